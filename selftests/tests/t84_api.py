# SPDX-License-Identifier: GPL-2.0-only
"""libattls, its Python module, and the programs of Documentation/api.rst."""
import contextlib
import errno
import inspect
import io
import os
import re
import socket
import ssl
import subprocess
import sys
import threading

import sockopt
from ktap import Failed, check, equal, slow, test
from lab import (client, echo_server, in_thread, is_listening, listen, read,
                 recv_exact, rule, server, wait_for)
from programs import BUILT, write

HERE = os.path.dirname(__file__)
LIB = f"{HERE}/../../lib"
OPTIONS = f"{HERE}/../../uapi/linux/attls_sockopt.h"
PAGE = f"{HERE}/../../Documentation/api.rst"
ON = "ApplicationControlled On"


def attls():
    """The module, as programs find it; not before it is installed."""
    import attls as module  # pylint: disable=import-outside-toplevel
    return module


class Lines:
    """A peer that speaks in lines, and can begin TLS and end it."""

    def __init__(self, lab, port, tls=False, leaf=None):
        self.context = lab.tls_client_context()
        if leaf:
            self.context.load_cert_chain(lab.pki.cert(leaf),
                                         lab.pki.key(leaf))
        self.s = socket.create_connection(("127.0.0.1", port))
        self.s.settimeout(slow(60))
        if tls:
            self.start()

    def start(self):
        self.s = self.context.wrap_socket(self.s,
                                          server_hostname="server.example")

    def stop(self):
        """close_notify both ways; the socket goes on."""
        self.s = self.s.unwrap()

    def line(self):
        data = b""
        while not data.endswith(b"\n"):
            byte = self.s.recv(1)
            if not byte:
                break
            data += byte
        return data.decode().rstrip("\r\n")

    def ask(self, text):
        self.s.sendall(text.encode() + b"\r\n")
        return self.line()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()


@contextlib.contextmanager
def inetd(lab, name, port, **kw):
    """A program of the page for each connection, as inetd starts it; a
    function that says what they wrote to standard error."""
    listener = listen(port)
    listener.settimeout(0.5)
    done = threading.Event()
    programs = []

    def serve():
        while not done.is_set():
            try:
                s, _ = listener.accept()
            except TimeoutError:
                continue
            programs.append(lab.process(f"{name}-{port}",
                                        [f"{BUILT}/api_{name}"],
                                        stdin=s, stdout=s, **kw))
            s.close()
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield lambda: programs[-1].text() if programs else ""
    finally:
        done.set()
        thread.join()
        listener.close()


def names(text, pattern):
    return sorted(set(re.findall(pattern, text, re.M)))


@test
def test_api_library_and_its_page(_lab):
    """One list of functions in header, manual page and library, which needs
    no other library."""
    path = "/usr/lib/libattls.so.0"
    exported = subprocess.run(["nm", "-D", "--defined-only", path],
                              capture_output=True, text=True, check=True)
    has = names(exported.stdout, r" T (attls_\w+)")
    check(len(has) >= 10, f"{has}")
    header = read(f"{LIB}/attls/attls.h")
    equal(names(header, r"^[a-z].*\b\*?(attls_\w+)\("), has, "header")
    page = read("/usr/share/man/man3/libattls.3")
    equal(names(page, r"^\.Nm (attls_\w+)"), has, "NAME of the page")
    equal(names(page, r'^\.Fn (attls_\w+) (?:"|void)'), has, "its SYNOPSIS")
    needed = subprocess.run(["readelf", "-d", path], capture_output=True,
                            text=True, check=True).stdout
    wrong = [lib for lib in re.findall(r"NEEDED.*\[(.*)\]", needed)
             if not re.match(r"libc\.so|ld-linux", lib)]
    equal(wrong, [], "libraries it needs")


@test
def test_api_tables_of_the_page(_lab):
    """What the page lists is what there is, and is installed."""
    page = read(PAGE)
    equal(names(page, r"^``(attls_\w+)\(\)``"),
          names(read(f"{LIB}/attls/attls.h"), r"^[a-z].*\b(attls_\w+)\("),
          "functions")
    module = attls()
    equal(names(page, r"^``(\w+)\((?:sock|address)\b"),
          sorted(name for name, what in vars(module).items()
                 if inspect.isfunction(what) and name[0] != "_"), "module")
    equal(names(page, r"^``(ATTLS_SO_\w+)``"),
          names(read(OPTIONS), r"^\t(ATTLS_SO_\w+)\s*="), "options")
    equal(read("/usr/include/linux/attls_sockopt.h"), read(OPTIONS),
          "installed header")


@test
def test_api_aware(lab):
    """The page's program says of its peer what is so."""
    port = lab.next_port()
    lab.policy(rule("aware", "Inbound", port, "ServerWithClientAuth",
                    "server"))
    with inetd(lab, "aware", port), \
            Lines(lab, port, tls=True, leaf="client") as peer:
        cipher = peer.line()
        check(re.fullmatch(r"cipher 13\d\d by rule aware", cipher), cipher)
        size = len(ssl.PEM_cert_to_DER_cert(read(lab.pki.cert("client"))))
        equal(peer.line(), f"user unknown, certificate of {size} bytes",
              "user")
        equal(peer.line(), "is client.example", "host")


@test
def test_api_aware_in_clear(lab):
    port = lab.next_port()
    lab.policy("# no rule\n")
    with inetd(lab, "aware", port), Lines(lab, port) as peer:
        equal(peer.line(), "clear: no service", "without a rule")


@test
def test_api_starttls(lab):
    """Client and server of the page, each under its rule."""
    port = lab.next_port()
    lab.policy(server(port, adv=ON) + client(port, adv=ON))
    with inetd(lab, "starttls_server", port) as said:
        out = subprocess.run(
            [f"{BUILT}/api_starttls_client", "127.0.0.1", str(port),
             "a@example", "b@example"], input=lab.marker.decode() + "\n",
            capture_output=True, text=True, timeout=slow(60), check=False)
        equal((out.returncode, out.stderr), (0, ""), "client")
        mail = said()
        check("TLS with cipher" in mail and lab.marker.decode() in mail, mail)


@test
def test_api_starttls_wants_the_policy(lab):
    """Without ApplicationControlled the programs say so and do nothing."""
    port = lab.next_port()
    lab.policy("# no rule\n")
    with inetd(lab, "starttls_server", port), Lines(lab, port) as peer:
        equal(peer.line(), "421 the policy has no TLS for us", "server")


@test
def test_api_starttls_injection(lab):
    """Clear commands sent behind STARTTLS are not taken for TLS: reset."""
    port = lab.next_port()
    lab.policy(server(port, adv=ON))
    with inetd(lab, "starttls_server", port) as said, \
            Lines(lab, port) as peer:
        peer.line()
        peer.s.sendall(b"STARTTLS\r\nMAIL FROM:<evil@example>\r\n")
        try:
            answers = recv_exact(peer.s, 1000)
        except ConnectionResetError:
            answers = b""
        check(b"250" not in answers, f"{answers}")
        wait_for("the program", lambda: "no TLS" in said())


@test(timeout=200)
def test_api_mixed_port(lab):
    """TLS clients, silent ones and those that speak, on one port."""
    port = lab.next_port()
    timer = slow(4)
    lab.policy(server(port, adv=f"{ON}\nHandshakeTimeout {timer}"))
    text = lab.marker.decode()
    with inetd(lab, "mixed", port):
        with Lines(lab, port, tls=True) as peer:
            equal(peer.line(), "220 welcome in TLS", "TLS")
            equal(peer.ask(text), f"250 {text}", "echo")
        with Lines(lab, port) as peer:
            equal(peer.line(), "220 welcome in clear", "silent")
            equal(peer.ask("hello"), "530 STARTTLS first", "clear")
            equal(peer.ask("STARTTLS"), "220 go ahead", "later")
            peer.start()
            equal(peer.ask(text), f"250 {text}", "echo")
        with Lines(lab, port) as peer:
            peer.s.sendall(b"hello\r\n")
            equal(peer.line(), "220 welcome in clear", "who speaks first")
            equal(peer.line(), "530 STARTTLS first", "and is heard")


@test(clear=True)
def test_api_clear_channel(lab):
    """AUTH, CCC, and clear again, twice."""
    port = lab.next_port()
    lab.policy(server(port, adv=ON))
    with inetd(lab, "clear_channel", port), Lines(lab, port) as peer:
        peer.line()
        for word in ("first", "second"):
            equal(peer.ask(word), f"200 {word}, clear", "before")
            equal(peer.ask("AUTH TLS"), "234 go ahead", "AUTH")
            peer.start()
            secret = f"secret-{word}-{os.urandom(8).hex()}"
            equal(peer.ask(secret), f"200 {secret}, TLS", "under TLS")
            equal(peer.ask("CCC"), "200 clear from now on", "CCC")
            peer.stop()
            check(not lab.wires[0].found(secret.encode()), "in clear")
        text = lab.marker.decode()
        equal(peer.ask(text), f"200 {text}, clear", "in the end")


@contextlib.contextmanager
def accepted(port):
    """(client, server) of a connection to a listener of ours."""
    with listen(port) as listener:
        one = socket.create_connection(("127.0.0.1", port))
        two, _ = listener.accept()
    with one, two:
        for s in (one, two):
            s.settimeout(slow(60))
        yield one, two


def page_of_python(caption=""):
    """The Python of the page that has this caption, or the first."""
    if caption:
        caption = f"   :caption: {re.escape(caption)}\n"
    block = re.search(r"^\.\. code-block:: python\n" + caption +
                      r"\n((?:   .*\n|\n)+)", read(PAGE), re.M)[1]
    return re.sub("^   ", "", block, flags=re.M)


def python_of(caption):
    """The command that runs a Python program of the page."""
    return [sys.executable, write(caption, page_of_python(caption))]


def upload(one, data):
    """What upload() of the page prints, or None if it takes nobody."""
    scope = {}
    exec(page_of_python(), scope)  # pylint: disable=exec-used
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            scope["upload"](one, data)
        except ConnectionError:
            return None
    return out.getvalue()


@test
def test_api_python_page(lab):
    """upload() of the page, to the host that it wants and to another."""
    mine = attls()
    lab.pki.leaf("ftp", cn="ftp.example")
    lab.pki.ring("ftp", ["ftp"])

    def serve(s):
        with mine.secure(s):
            s.sendall(s.recv(100))
        return s.recv(100)
    for ring in ("ftp", "server"):
        port = lab.next_port()
        lab.policy(server(port, ring=ring, adv=ON) +
                   client(port, adv=ON, host=f"{ring}.example"))
        with accepted(port) as (one, two):
            thread, heard = in_thread(lambda s=two: serve(s))
            out = upload(one, lab.marker)
            one.close()
            thread.join(slow(60))
        if ring == "server":
            equal(out, None, "the wrong host")
            continue
        check(re.fullmatch(rf"TLSv1\.3 13\d\d out{port}\n", out), out)
        equal(heard, [b"in clear again\r\n"], "heard")
    check(lab.wires[0].found(b"in clear again"), "not in clear again")


def failure(call, *args):
    try:
        call(*args)
    except attls().Error as error:
        return error
    raise Failed(f"{call.__name__} did not fail")


def is_invalid(reason, call, *args):
    """It fails with EINVAL, and this reason of the library."""
    error = failure(call, *args)
    equal((error.errno, error.reason), (errno.EINVAL, reason), f"{args[1:]}")


def error_of(call, *args):
    return failure(call, *args).errno


def text_of(call, *args):
    return failure(call, *args).strerror


@test
def test_api_python_errors(lab):
    """What calls say where they cannot do what is asked."""
    port = lab.next_port()
    mine = attls()
    lab.policy("# no rule\n")
    with accepted(port) as (one, two):
        equal(mine.query(one).policy, mine.POL_NO_POLICY, "query")
        for call in (mine.start, mine.stop):
            equal(text_of(call, one),
                  "the policy has no TLS for this connection", "text")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        equal(text_of(mine.query, s), "not a TCP socket", "text")
    lab.policy(server(port))
    with accepted(port) as (one, two):
        equal(text_of(mine.stop, two),
              "the policy does not say ApplicationControlled On", "text")


@test
def test_api_python_waits(lab):
    """A socket that does not block, and one with a timeout, whose peer takes
    its time."""
    port = lab.next_port()
    mine = attls()
    lab.policy(server(port, adv=ON) + client(port, adv=ON))
    with accepted(port) as (one, two):
        one.setblocking(False)
        equal(error_of(mine.start, one), errno.EINPROGRESS, "start")
        equal(error_of(mine.query, one), errno.EAGAIN, "query meanwhile")
        equal(error_of(mine.start, one), errno.EALREADY, "start again")
        late = failure(mine.wait, one, 0.1)
        equal((late.errno, late.reason), (errno.ETIMEDOUT, 0), "wait")
        equal(mine.start(two), True, "the peer")
        equal(mine.wait(one, slow(60)), True, "wait again")
        equal(mine.query(one).protocol, "TLSv1.3", "protocol")
    with accepted(port) as (one, two):
        one.settimeout(0.1)
        equal(error_of(mine.start, one), errno.ETIMEDOUT, "timeout")
        equal(mine.start(two), True, "the peer")
        equal(mine.wait(one, slow(60)), True, "wait")


@test
def test_api_python_handshake_fails(lab):
    """A peer that is none: both kinds of sockets say so."""
    port = lab.next_port()
    mine = attls()
    lab.policy(server(port, adv=ON))
    for timeout in (None, slow(60)):
        with accepted(port) as (one, two):
            two.settimeout(timeout)
            one.sendall(b"no TLS at all\r\n")
            equal(error_of(mine.start, two), errno.ECONNRESET, f"{timeout}")


def start_both(one, two, theirs=None, **wishes):
    """TLS begins, with wishes of the client, and those of the server."""
    thread, done = in_thread(lambda: attls().start(two, **(theirs or {})))
    equal(attls().start(one, **wishes), True, "start")
    thread.join(slow(60))
    equal(done, [True], "start of the other side")


@contextlib.contextmanager
def started(port, theirs=None, **wishes):
    """A connection whose both sides have TLS, begun as by start_both()."""
    with accepted(port) as (one, two):
        start_both(one, two, theirs, **wishes)
        yield one, two


@test
def test_api_python_reset(lab):
    """New keys for data that goes on; TLS 1.2 has none."""
    port = lab.next_port()
    mine = attls()
    lab.policy(server(port, adv=ON) + client(port, adv=ON))
    with started(port) as (one, two):
        mine.reset(one, mine.RESET_SESSION | mine.RESET_CIPHER)
        one.sendall(lab.marker)
        equal(recv_exact(two, len(lab.marker)), lab.marker, "data")
        mine.reset(two, mine.RESET_WRITE_CIPHER)
        two.sendall(lab.marker)
        equal(recv_exact(one, len(lab.marker)), lab.marker, "data back")
        for bits in (0, 0x0010):
            equal(error_of(mine.reset, one, bits), errno.EINVAL, f"{bits:#x}")
    lab.policy(server(port, adv=f"{ON}\nTLSv1.3 Off") + client(port, adv=ON))
    with started(port) as (one, two):
        equal(text_of(mine.reset, one, mine.RESET_CIPHER),
              "TLS 1.2 has no new keys", "TLS 1.2")


@test
def test_api_python_certificate(lab):
    """The peer's certificate, or None."""
    port = lab.next_port()
    mine = attls()
    lab.policy(server(port, ring="ecdsa", adv=ON) + client(port, adv=ON))
    with started(port) as (one, two):
        der = ssl.PEM_cert_to_DER_cert(read(lab.pki.cert("server-ecdsa")))
        equal(mine.certificate(one), der, "of the server")
        equal(mine.certificate(two), None, "of the client")
        equal(mine.host(one, "SERVER.example"), True, "host")
        equal(mine.host(one, "127.0.0.1"), True, "address")
        equal(mine.host(one, "server.example.org"), False, "another")
        equal(mine.host(two, "server.example"), False, "of nobody")
        names = mine.names(two)
        equal((names.rule, names.user), (f"in{port}", ""), "names")


NAMED = ([f"{BUILT}/api_named_peer"], "named_peer.py")
BINDING = "EXPORTER-Channel-Binding"


def run_named(program, port, domain):
    """A program of the page that names its peer."""
    argv = python_of(program) if isinstance(program, str) else program
    return subprocess.run([*argv, "127.0.0.1", str(port), domain],
                          capture_output=True, text=True, timeout=slow(60),
                          check=False)


@contextlib.contextmanager
def s_server(lab, port, *options):
    """openssl s_server; it ends at the end of its standard input."""
    process = lab.process(f"s_server-{port}", [
        "openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert",
        lab.pki.cert("server-ecdsa"), "-key", lab.pki.key("server-ecdsa"),
        *options], stdin=subprocess.PIPE)
    try:
        wait_for("s_server", lambda: is_listening(port))
        yield process
    finally:
        process.popen.stdin.close()
        process.stop()


@test
def test_api_named_peer(lab):
    """The page's clients say of s_server what it says itself."""
    port = lab.next_port()
    lab.policy(client(port, host=None))
    sizes = [len(ssl.PEM_cert_to_DER_cert(read(lab.pki.cert(name))))
             for name in ("server-ecdsa", "ca")]
    with s_server(lab, port, "-cert_chain", lab.pki.cert("ca"), "-alpn",
                  "xmpp-client,http/1.1", "-keymatexport", BINDING,
                  "-keymatexportlen", "32") as peer:
        for count, program in enumerate(NAMED, 1):
            out = run_named(program, port, "server.example")
            equal((out.returncode, out.stderr), (0, ""), f"{program}")
            keys = wait_for("its key", lambda n=count: len(found := re.findall(
                r"Keying material: (\w{64})", peer.text())) == n and found)
            equal(out.stdout.splitlines(),
                  ["TLSv1.3 xmpp-client",
                   *(f"certificate of {size} bytes" for size in sizes),
                   keys[-1].lower()], f"{program}")


@test
def test_api_named_peer_is_another(lab):
    """They do not talk to another one, nor in clear where no rule is."""
    port = lab.next_port()
    for policy in (client(port, host=None), "# no rule\n"):
        lab.policy(policy)
        with s_server(lab, port):
            for program in NAMED:
                out = run_named(program, port, "other.example")
                equal((out.returncode, out.stdout), (1, ""), f"{program}")
                check("Connection reset by peer" in out.stderr, out.stderr)


class Typist:
    """A program that is told a line and answers with one."""

    def __init__(self, lab, name, argv):
        self.process = lab.process(name, argv, stdin=subprocess.PIPE)
        self.lines = len(self.process.text().splitlines())

    def ask(self, text):
        self.process.popen.stdin.write(text.encode() + b"\n")
        self.process.popen.stdin.flush()
        self.lines += 1
        lines = wait_for(f"answer to {text}", lambda: len(
            found := self.process.text().splitlines()) >= self.lines and found)
        return lines[-1]

    def close(self):
        self.process.popen.stdin.close()
        equal(self.process.popen.wait(slow(60)), 0, "exit")


@contextlib.contextmanager
def attached(lab, port, name):
    """The page's client of attached.c."""
    peer = Typist(lab, name, [*python_of("attached.py"), "127.0.0.1",
                              str(port)])
    try:
        equal(peer.ask("hello"), "250 hello", "in clear")
        yield peer
        text = lab.marker.decode()
        equal(peer.ask("STARTTLS"), "220 go ahead", name)
        equal(peer.ask(text), f"250 {text}", "under TLS")
        equal([c["state"] for c in lab.conns()], ["secure"] * 2, "both ends")
        peer.close()
    finally:
        peer.process.stop()


@test(timeout=200)
def test_api_attached(lab):
    """Both programs of the page have had their connection since before the
    module, or the policy, and try again until there is a rule."""
    port = lab.next_port()
    with contextlib.ExitStack() as stack:
        with lab.unloaded():
            # To root the kernel would load the module.
            stack.enter_context(inetd(lab, "attached", port, user="nobody"))
            older = stack.enter_context(attached(lab, port, "older"))
            equal(older.ask("STARTTLS"), "454 the module attls is not loaded",
                  "no module")
        lab.policy("# no rule\n")
        equal(older.ask("STARTTLS"),
              "454 the policy has no TLS for this connection", "no rule")
        lab.policy(server(port, adv=ON) + client(port))


@test
def test_api_attached_by_both(lab):
    """The same where both rules leave TLS to the programs."""
    port = lab.next_port()
    lab.policy("# no rule\n")
    with inetd(lab, "attached", port), attached(lab, port, "both"):
        lab.policy(server(port, adv=ON) + client(port, adv=ON))


@test
def test_api_python_wishes(lab):
    """Name and protocols go to the handshake, and what it came to comes back;
    also a certificate that takes more room than most."""
    port = lab.next_port()
    mine = attls()
    lab.pki.leaf("large", san=",".join(
        ["DNS:server.example", *(f"DNS:h{i}.example" for i in range(900))]))
    lab.pki.ring("large", ["large"])
    lab.policy(server(port, ring="large", adv=ON) +
               client(port, ring="clientcert", adv=ON, host=None))
    large = ssl.PEM_cert_to_DER_cert(read(lab.pki.cert("large")))
    check(len(large) > 8192, f"{len(large)} bytes")
    with started(port, {"alpn": ["first", "second"]},
                 peer_name="server.example",
                 alpn=["third", "second", "first"]) as (one, two):
        equal((mine.alpn(one), mine.alpn(two)), ("first", "first"), "ALPN")
        equal(mine.peer_chain(one)[0], large, "certificate")
        equal(mine.peer_chain(one), mine.own_chain(two), "of the server")
        equal((mine.peer_chain(two), mine.own_chain(one)), ([], []),
              "of the client")
        keys = set()
        for context in (None, b"", b"\0one", b"\0two"):
            key = mine.export(one, "EXPERIMENTAL label", 40, context)
            equal(mine.export(two, "EXPERIMENTAL label", 40, context), key,
                  f"key of {context}")
            keys.add(key)
        # TLS 1.3 has one key for no context and an empty one.
        equal([len(key) for key in keys], [40] * 3, "different keys")
        equal(mine.export(one, "EXPERIMENTAL label", 7),
              mine.export(two, "EXPERIMENTAL label", 7), "a short one")
    with accepted(port) as (one, two):
        thread, done = in_thread(lambda: mine.start(two))
        equal(error_of(mine.secure(one, peer_name="other.example").__enter__),
              errno.ECONNRESET, "another name")
        thread.join(slow(60))
        equal(done, [errno.ECONNRESET], "its start")


@test
def test_api_python_no_wishes(lab):
    """Without any, and with those that were taken back."""
    port = lab.next_port()
    mine = attls()
    lab.policy(server(port, adv=ON) + client(port, adv=ON))
    with accepted(port) as (one, two):
        mine.set_peer_name(one, "other.example")
        equal(sockopt.get(one, sockopt.PEER_NAME), b"other.example\0", "name")
        mine.set_peer_name(one, "")
        equal(sockopt.get(one, sockopt.PEER_NAME), b"\0", "no name")
        mine.set_alpn(two, ["x" * 254])
        mine.set_alpn(two, [])
        start_both(one, two)
        equal((mine.alpn(one), mine.alpn(two)), (None, None), "ALPN")


@test
def test_api_python_connect(lab):
    """connect() takes nobody but the host of its address, in either mode of
    the socket."""
    here, there = lab.next_port(), lab.next_port()
    mine = attls()
    lab.policy(client(here, host=None) + client(there, host=None))
    with listen(here) as one, listen(there) as two:
        echo_server(one, lab.tls_server_context())
        echo_server(two, lab.tls_server_context("elsewhere"))
        for timeout in (None, slow(60)):
            with mine.connect(("127.0.0.1", here), timeout) as s:
                lab.echoes(s)
                equal(mine.query(s).secure, True, "secure")
            try:
                mine.connect(("127.0.0.1", there), timeout).close()
                raise Failed("connected to another")
            except ConnectionResetError:
                pass


@test
def test_api_python_wish_errors(lab):
    """What cannot be wished for or had, in words."""
    port = lab.next_port()
    mine = attls()
    lab.policy("# no rule\n")
    with accepted(port) as (one, two):
        equal(text_of(mine.attach, one),
              "the policy has no TLS for this connection", "no rule")
        for call in (mine.alpn, mine.peer_chain, mine.own_chain):
            equal(text_of(call, one), "the connection is in clear", "clear")
    with listen(port) as s:
        equal(text_of(mine.attach, s), "a listening socket: its connections "
              "come under rules anyway", "listening")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for call in (mine.attach, mine.alpn):
            equal(text_of(call, s), "not a TCP socket, or the module attls "
                  "is not loaded", "UDP")
    with socket.socket() as s:
        mine.attach(s)
        for name in ("no name", "x" * 256):
            is_invalid(0x102, mine.set_peer_name, s, name)
        for protocols in ([""], ["x" * 255], ["x" * 127] * 2):
            is_invalid(0x103, mine.set_alpn, s, protocols)


@test
def test_api_python_wishes_too_late(lab):
    """Of a server, and when TLS is on; keying material that is none."""
    port = lab.next_port()
    mine = attls()
    lab.policy(server(port, adv=ON) + client(port, adv=ON))
    with accepted(port) as (one, two):
        equal(text_of(mine.set_peer_name, two, "server.example"),
              "the rule makes it a server", "a server")
        mine.attach(one)
        equal(mine.query(one).policy, mine.POL_APPLCNTRL, "still clear")
    with started(port) as (one, two):
        for end in (one, two):
            mine.attach(end)
        equal(error_of(mine.set_peer_name, one, "server.example"),
              errno.EISCONN, "name")
        equal(text_of(mine.set_alpn, two, ["late"]),
              "TLS has begun, or is not for the program to begin", "ALPN")
        for label, size in (("", 1), ("x" * 250, 1), ("label", 0),
                            ("label", 4097), ("client finished", 12)):
            is_invalid(0x104, mine.export, one, label, size)
        mine.export(one, "x" * 249, 4096, b"x" * 65535)
        try:
            mine.host(one, "server.example\0.other.example")
            raise Failed("a name was cut off")
        except ValueError:
            pass
