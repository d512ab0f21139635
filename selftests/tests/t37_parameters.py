# SPDX-License-Identifier: GPL-2.0-only
"""Parameters of the handshake, seen from a peer that is not ours."""
import contextlib
import os
import re
import socket
import ssl
import subprocess
from functools import partial

from ktap import check, equal, slow, test
from lab import (ATTLSD, NAME, TOP, client, echo, echo_server, is_listening,
                 listen, read, recv_exact, serve_one, server, wait_for, write)
from programs import BUILT
from rogue import DATA
from t35_control import rogue_pair, to_app

VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2,
            "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def logged(lab, port, words, mark=""):
    """attlsd says for a handshake on @port why it failed."""
    line = re.compile(rf"{re.escape(mark)}EZD1286I.*\.\.{port} .*"
                      f"{re.escape(words)}")
    wait_for(words, lambda: line.search(lab.attlsd.text()))


def is_reset(lab, port, words):
    """A client of ours is reset, and attlsd says why."""
    with socket.socket() as s:
        s.settimeout(slow(60))
        try:
            s.connect(("127.0.0.1", port))
            data = s.recv(100)
        except ConnectionResetError:
            data = None
        equal(data, None, "a connection that is to be reset")
    logged(lab, port, words)


def asked_for(lab, port, adv, answers=True):
    """The name that a client of ours asks a server of OpenSSL for."""
    names = []
    context = lab.tls_server_context()
    if answers:
        context.sni_callback = lambda _s, name, _c: names.append(name)
    lab.policy(client(port, adv=adv))
    with listen(port) as listener:
        thread, _ = serve_one(listener, lambda s: echo(s, context))
        lab.works(port)
        thread.join(slow(60))
    return names


SNI = "ClientHandshakeSNI {}\nClientHandshakeSNIMatch {}\n"
OTHER = "ClientHandshakeSNIList other.example\n"


@test
def test_server_name_of_a_client(lab):
    """By the host, by the list, none; a server must answer to Required."""
    for adv, name in (("", NAME),
                      ("ClientHandshakeSNI Off", None),
                      (SNI.format("Optional", "Optional"), NAME),
                      (SNI.format("Optional", "Required") + OTHER,
                       "other.example"),
                      (SNI.format("Required", "Required") + OTHER,
                       "other.example")):
        equal(asked_for(lab, lab.next_port(), adv), [name], adv)
    port = lab.next_port()
    adv = SNI.format("Optional", "Required")
    equal(asked_for(lab, port, adv, answers=False), [], "without answer")
    adv = SNI.format("Required", "Optional")
    lab.policy(client(port, adv=adv))
    with listen(port) as listener:
        echo_server(listener, lab.tls_server_context())
        is_reset(lab, port, "the server ignores the name")


@test
def test_server_name_that_the_server_does_not_know(lab):
    """A warning, as GnuTLS sends it, is an end with Match Required alone."""
    port = lab.next_port()
    lab.process("gnutls-serv", [
        "gnutls-serv", "--echo", "-p", str(port), "--disable-client-cert",
        "--sni-hostname", "books.example",
        "--x509certfile", lab.pki.cert("server-ecdsa"),
        "--x509keyfile", lab.pki.key("server-ecdsa")])
    wait_for("gnutls-serv", lambda: is_listening(port))
    old = "TLSv1.3 Off\n"
    lab.policy(client(port, adv=old + SNI.format("Optional", "Optional")))
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.settimeout(slow(60))
        s.sendall(lab.marker + b"\n")
        equal(recv_exact(s, len(lab.marker) + 1), lab.marker + b"\n", "echo")
    lab.policy(client(port, adv=old + SNI.format("Optional", "Required")))
    is_reset(lab, port, "the server does not know the name")


def shown(lab, port, version, name):
    """The certificate that a server of ours shows for @name, or the alert."""
    context = lab.tls_client_context(VERSIONS[version])
    context.check_hostname = False
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.settimeout(slow(60))
        try:
            with context.wrap_socket(raw, server_hostname=name) as s:
                lab.echoes(s)
                return ssl.DER_cert_to_PEM_cert(s.getpeercert(True))
        except ssl.SSLError as e:
            return e.reason


def expect(lab, port, name, leaf):
    with open(lab.pki.cert(leaf), encoding="ascii") as f:
        pem = f.read()
    for version in VERSIONS:
        equal(shown(lab, port, version, name), pem, f"{version} {name}")


@test
def test_certificate_by_server_name(lab):
    """Each name has its own; others are refused, or get the usual one."""
    lab.pki.ring("names", ["server-rsa", "server-ecdsa", "wrongname"])
    adv = f"""
CertificateLabel server-rsa
ServerHandshakeSNIList {NAME} server-ecdsa
ServerHandshakeSNIList other.example wrongname
ServerHandshakeSNI """
    port = lab.next_port()
    with listen(port) as listener:
        echo_server(listener)
        lab.policy(server(port, ring="names", adv=adv + "Required\n"
                          "ServerHandshakeSNIMatch Required"))
        expect(lab, port, NAME, "server-ecdsa")
        expect(lab, port, "OTHER.example", "wrongname")
        for version in VERSIONS:
            reason = shown(lab, port, version, "third.example")
            check("UNRECOGNIZED_NAME" in reason, f"{version}: {reason}")
        logged(lab, port, "the client asks for a server name that the policy "
               "does not list")
        check("MISSING_EXTENSION" in shown(lab, port, "TLSv1.3", None),
              "no alert without a name")
        check("HANDSHAKE_FAILURE" in shown(lab, port, "TLSv1.2", None),
              "no alert without a name")
        logged(lab, port, "no server name from the client, which the policy "
               "requires")
        lab.policy(server(port, ring="names", adv=adv + "Optional\n"
                          "ServerHandshakeSNIMatch Optional"))
        expect(lab, port, "other.example", "wrongname")
        expect(lab, port, "third.example", "server-rsa")
        expect(lab, port, None, "server-rsa")


@test
def test_certificate_of_a_server_name_that_is_not_there(lab):
    """Found out when the policy is read."""
    port = lab.next_port()
    lab.policy("# nothing\n")
    path = lab.write_policy(server(port, adv=f"""
ServerHandshakeSNI Optional
ServerHandshakeSNIMatch Optional
ServerHandshakeSNIList {NAME} nobody"""), "bad.conf")
    out = lab.attls("load", path, ok=1)
    check('with a private key named "nobody"' in out.stderr, out)


FRAGMENT = "ClientMaxSSLFragment {}\nClientMaxSSLFragmentLength 512"


@test
def test_records_that_a_client_wants_small(lab):
    """OpenSSL grants them, and so are ours; Go does not."""
    app, far = rogue_pair(lab, "client", adv=FRAGMENT.format("Required"))
    data = lab.marker * 40
    app.sendall(data)
    while data:
        kind, content = far.receive()
        check(kind == DATA and len(content) <= 512, f"{len(content)} bytes")
        check(data.startswith(content), "other data")
        data = data[len(content):]
    to_app(lab, app, far)
    app.close()
    port = lab.next_port()
    lab.process("go_tls", [f"{BUILT}/go_tls", f"127.0.0.1:{port}",
                           lab.pki.cert("server-ecdsa"),
                           lab.pki.key("server-ecdsa")])
    wait_for("go_tls", lambda: is_listening(port))
    lab.policy(client(port, adv=FRAGMENT.format("Optional")))
    lab.works(port)
    lab.policy(client(port, adv=FRAGMENT.format("Required")))
    is_reset(lab, port, "the server does not grant smaller records")


@test
def test_records_that_a_server_wants_small(lab):
    """A client that does not ask for them is refused, one that does is not."""
    port = lab.next_port()
    lab.policy(server(port, adv="ServerMaxSSLFragment Required"))
    data = lab.marker + b"\n"
    with listen(port) as listener:
        for version in ("-tls1_2", "-tls1_3"):
            for asks in ([], ["-maxfraglen", "512"]):
                serve_one(listener,
                          lambda s: s.sendall(recv_exact(s, len(data))))
                out = subprocess.run(
                    ["openssl", "s_client", "-quiet", version, *asks,
                     "-connect", f"127.0.0.1:{port}"],
                    input=data, capture_output=True, timeout=slow(60),
                    check=False)
                equal(data in out.stdout, bool(asks),
                      f"{version} {asks}: {out}")
        logged(lab, port, "the client does not ask for smaller records")


@contextlib.contextmanager
def journal(lab):
    """The journal, and what it gives a service as its standard error."""
    conf = "/run/systemd/journald.conf.d"
    os.makedirs(conf, exist_ok=True)
    write(f"{conf}/test.conf", "[Journal]\nAudit=no\nStorage=volatile\n"
          "ReadKMsg=no\n")
    machine = read("/etc/machine-id")
    write("/etc/machine-id", "0123456789abcdef" * 2 + "\n")
    journald = lab.process("journald", ["/usr/lib/systemd/systemd-journald"])
    stream = socket.socket(socket.AF_UNIX)
    try:
        wait_for("the journal", lambda: stream.connect_ex(
            "/run/systemd/journal/stdout") == 0)
        stream.sendall(b"attlsd\n\n30\n1\n0\n0\n0\n")
        yield stream
    finally:
        stream.close()
        journald.stop()
        write("/etc/machine-id", machine)
        os.unlink(f"{conf}/test.conf")


def journal_has(facility, port):
    """A failure on @port, under the number of @facility."""
    out = subprocess.run(
        ["journalctl", "-o", "cat", f"SYSLOG_FACILITY={facility}",
         "SYSLOG_IDENTIFIER=attlsd"],
        capture_output=True, text=True, check=False)
    return re.search(rf"EZD1286I.*\.\.{port} ", out.stdout)


def speak_clear(port):
    """What attlsd has a line for."""
    with listen(port), socket.create_connection(("127.0.0.1", port)) as s:
        s.settimeout(slow(60))
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            while s.recv(100):
                pass


@test
def test_SyslogFacility(lab):
    """Lines about one group are marked, and the journal knows them apart."""
    auth, daemon = lab.next_port(), lab.next_port()
    lab.policy(server(daemon) + server(auth, group="""On
    TTLSGroupAdvancedParms
    {
      SyslogFacility Auth
    }"""))
    for port, mark in ((auth, " auth.error: "), (daemon, " error: ")):
        speak_clear(port)
        logged(lab, port, "cleartext", mark)
    lab.stop_attlsd()
    before = lab.generation()
    with journal(lab) as stream:
        st = os.fstat(stream.fileno())
        lab.attlsd = lab.process(
            "attlsd", ["sh", "-c", f"exec {ATTLSD} -c {TOP}/policy.conf -w 1 "
                       f"2>&{stream.fileno()}"],
            pass_fds=[stream.fileno()],
            env=os.environ | {"JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino}"})
        wait_for("attlsd", lambda: lab.status_ok(before), 60)
        for port, facility, other in ((auth, 4, 3), (daemon, 3, 4)):
            speak_clear(port)
            wait_for("a line", partial(journal_has, facility, port))
            check(not journal_has(other, port), f"also in facility {other}")
        lab.stop_attlsd()
