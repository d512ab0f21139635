# SPDX-License-Identifier: GPL-2.0-only
"""TN3270: the console of Hercules under a basic rule, and s3270 over TLS.

Both speak EBCDIC, in which the wire oracle is not at home: the test looks
itself for what stands on the screen.
"""
import contextlib
import subprocess

from ktap import check, equal, slow, test
from lab import rule, wait_for
from programs import moved, serve, write


def hercules(lab, port, screen):
    logo = write(f"hercules-{port}.logo", f"@SBA 0,0\n{screen}\n")
    conf = write(f"hercules-{port}.conf", f"""
ARCHMODE ESA/390
MAINSIZE 8
NUMCPU 1
CNSLPORT 127.0.0.1:{port}
HERCLOGO {logo}
0700 3270
""")
    serve(lab, ["hercules", "-d", "-f", conf], port,
          env={"HERCULES_RC": "/dev/null", "PATH": "/usr/bin:/bin"})


class Terminal:
    """s3270: takes actions, answers each with lines of which the last is
    "ok" or "error"."""

    def __init__(self, lab, *options):
        self.popen = subprocess.Popen(  # pylint: disable=R1732
            ["s3270", "-utf8", "-cafile", lab.pki.cert("ca"),
             "-accepthostname", "server.example", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)

    def do(self, action):
        print(action, file=self.popen.stdin, flush=True)
        said = ""
        for line in self.popen.stdout:
            if line in ("ok\n", "error\n"):
                break
            said += line
        return said

    def shows(self, text):
        wait_for(f"{text} on the screen",
                 lambda: text in self.do("Ascii()"), 60)


@contextlib.contextmanager
def terminal(lab, *options):
    one = Terminal(lab, *options)
    try:
        yield one
        one.popen.communicate("Quit()\n", timeout=slow(60))
    finally:
        one.popen.kill()
        one.popen.communicate()


def on_wire(lab, text):
    return lab.wires[0].found(text.encode("cp037"))


def console_over_tls(lab, port, *options):
    """One screen, which nobody else sees."""
    before = lab.stats()
    with terminal(lab, *options) as one:
        one.do(f"Connect(L:127.0.0.1:{port})")
        one.shows(lab.marker.decode())
        tls = one.do("Query(Tls)")
        check("data: secure host-verified" in tls, tls)
        equal([c["state"] for c in lab.conns()], ["secure"], "connections")
    lab.wires[0].canary()
    check(not on_wire(lab, lab.marker.decode()), "the screen is on the wire")
    equal(moved(lab, before).get("connections_secured"), 1, "secured")


@test(timeout=300)
def test_program_tn3270(lab):
    """In clear without a rule, so that the test is known to see; then TLS."""
    clear, port = lab.next_port(), lab.next_port()
    lab.policy("# no rule\n")
    screen = lab.marker.decode()
    hercules(lab, clear, screen[::-1])
    hercules(lab, port, screen)
    with terminal(lab) as one:
        one.do(f"Connect(127.0.0.1:{clear})")
        one.shows(screen[::-1])
        wait_for("the screen", lambda: on_wire(lab, screen[::-1]))
    lab.policy(rule("console", "Inbound", port, "Server", "server"))
    console_over_tls(lab, port)


@test(timeout=300)
def test_program_tn3270_certificates(lab):
    """Only who has a certificate gets a screen."""
    port = lab.next_port()
    lab.policy(rule("console", "Inbound", port, "ServerWithClientAuth",
                    "server"))
    hercules(lab, port, lab.marker.decode())
    console_over_tls(lab, port, "-certfile", lab.pki.cert("client"),
                     "-keyfile", lab.pki.key("client"))
    before = lab.stats()
    with terminal(lab) as one:
        one.do(f"Connect(L:127.0.0.1:{port})")
        wait_for("the refusal", lambda: "not-connected" in
                 one.do("Query(ConnectionState)"), 60)
        screen = one.do("Ascii()")
        check(lab.marker.decode() not in screen, screen)
    now = moved(lab, before)
    check("connections_secured" not in now, f"without a certificate: {now}")
