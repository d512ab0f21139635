# SPDX-License-Identifier: GPL-2.0-only
"""What a program wishes of a handshake, and what it then learns of it.

The other side is never ours: OpenSSL by Python, by s_client and s_server, and
by programs/exporter.c.
"""
import contextlib
import errno
import re
import socket
import ssl
import subprocess
from functools import partial

import sockopt
import ttls
from certs import NAME
from cryptography.hazmat.primitives.serialization import Encoding
from ktap import check, equal, slow, test
from lab import (client, echo_server, in_thread, is_listening, listen,
                 recv_exact, rule, serve_one, server, wait_for)
from programs import BUILT
from t37_parameters import OTHER, SNI, VERSIONS, logged
from t49_tokens import Ours
from t80_ioctl import CONTROLLED, pair

LOCALHOST = "127.0.0.1"


@contextlib.contextmanager
def dialled(port, name=None, alpn=()):
    """A client of ours, with wishes, in TLS; or ConnectionResetError."""
    with socket.socket() as s:
        sockopt.attach(s)
        if name:
            sockopt.put(s, sockopt.PEER_NAME, name.encode())
        if alpn:
            sockopt.put(s, sockopt.ALPN, sockopt.protocols(*alpn))
        s.connect((LOCALHOST, port))
        sockopt.wait(s)
        yield s


def works(lab, port, **wishes):
    with dialled(port, **wishes) as s:
        lab.echoes(s)


def refused(lab, port, words, **wishes):
    """A client of ours is reset, and attlsd says why."""
    try:
        with dialled(port, **wishes):
            check(False, f"{port} {wishes}: taken")
    except ConnectionResetError:
        pass
    logged(lab, port, words)


@contextlib.contextmanager
def serving(lab, leaf, version=None):
    """The port of an echo server of OpenSSL."""
    with listen(lab.next_port()) as listener:
        echo_server(listener, lab.tls_server_context(leaf, version))
        yield listener.getsockname()[1]


# The peer is at 127.0.0.1.  A certificate, a name, and the names that it is
# for instead, as the log has them.
NAMES = (
    ("server-ecdsa", NAME, None),
    ("server-ecdsa", "SERVER.example", None),
    ("server-ecdsa", NAME + ".", None),
    ("server-ecdsa", "127.0.0.1", None),
    ("server-ecdsa", "::1", None),
    ("server-ecdsa", "other.example", f"{NAME}, 127.0.0.1, ::1"),
    ("server-ecdsa", "127.0.0.2", f"{NAME}, 127.0.0.1, ::1"),
    ("server-ecdsa", "::2", f"{NAME}, 127.0.0.1, ::1"),
    ("elsewhere", NAME, None),
    ("elsewhere", "127.0.0.2", None),
    ("elsewhere", "127.0.0.1", f"{NAME}, 127.0.0.2"),
    ("wildcard", "a.tls.example", None),
    ("wildcard", "a.b.tls.example", "*.tls.example, 127.0.0.1, ::1"),
    ("wildcard", "tls.example", "*.tls.example, 127.0.0.1, ::1"),
    ("partial", "www.tls.example", "w*.tls.example"),
    ("common", "common.example", "127.0.0.1"),
    ("nobody", "nobody.example", "no host"),
)


@test
def test_wishes_name(lab):
    """The certificate must be for it: RFC 9525, whatever the address is."""
    lab.pki.leaf("partial", san="DNS:w*.tls.example")
    lab.pki.leaf("common", cn="common.example", san="IP:127.0.0.1")
    lab.pki.leaf("nobody", cn="nobody.example", san="email:a@nobody.example")
    with contextlib.ExitStack() as stack:
        ports = {(leaf, version): stack.enter_context(
            serving(lab, leaf, VERSIONS[version]))
            for leaf in sorted({leaf for leaf, _, _ in NAMES})
            for version in VERSIONS}
        lab.policy("".join(client(port, host=None) for port in ports.values()))
        for leaf, name, names in NAMES:
            for version in VERSIONS:
                port = ports[leaf, version]
                if not names:
                    works(lab, port, name=name)
                    continue
                refused(lab, port, "RC: 8 Initial Handshake: certificate of "
                        f"the partner is not for {name}, which the program "
                        f"expects, but for {names}\n", name=name)


@test
def test_wishes_name_that_nobody_has(lab):
    """The kernel looks at characters only; attlsd begins no handshake."""
    with serving(lab, "server-ecdsa") as port:
        lab.policy(client(port, host=None))
        for name, why in ((".server.example", "a label is empty"),
                          (NAME + "..", "a label is empty"),
                          (".", "a label is empty"),
                          ("-a.example", "a label begins or ends with '-'"),
                          ("a" * 64 + ".example", "a label is longer than 63 "
                           "characters"),
                          ("127.0.0.1:443", "it has a character that names do "
                           "not have"),
                          ("127.0.0.256", "it is an address")):
            shown = name.removesuffix(".") or name
            refused(lab, port, f'named "{shown}": {why}\n', name=name)


@test
def test_wishes_name_where_the_policy_has_no_check(lab):
    """Compat zOS takes any server; who names one does not."""
    with serving(lab, "wrongname") as port:
        lab.policy("Compat zOS\n" + client(port, host=None, adv="TLSv1.2 On"
                                           "\nTLSv1.3 On"))
        works(lab, port)
        works(lab, port, name="other.example")
        refused(lab, port, f"is not for {NAME}", name=NAME)


@test
def test_wishes_name_and_those_of_the_policy(lab):
    """The check of the policy stays, beside that of the program."""
    lab.pki.leaf("two", san=f"DNS:{NAME},DNS:other.example")
    with serving(lab, "two") as two, serving(lab, "wrongname") as one:
        lab.policy(client(two) + client(one))
        works(lab, two, name="other.example")
        refused(lab, two, "is not for third.example", name="third.example")
        refused(lab, one, "certificate of the partner not valid (hostname "
                "mismatch)", name="other.example")


def asked_for(lab, port, name):
    """What a client of ours asks a server of OpenSSL for."""
    names = []
    context = lab.tls_server_context("two")
    context.sni_callback = lambda _s, sni, _c: names.append(sni)
    with listen(port) as listener:
        echo_server(listener, context)
        works(lab, port, name=name)
    return names


@test
def test_wishes_name_is_asked_for(lab):
    """Before the policy's names; an address is not, but they then are."""
    lab.pki.leaf("two", san=f"DNS:{NAME},DNS:other.example,IP:127.0.0.1")
    optional = SNI.format("Optional", "Optional") + OTHER
    for adv, host, name, want in (
            ("", None, NAME, NAME),
            ("", None, NAME + ".", NAME),
            ("", None, LOCALHOST, None),
            ("", NAME, LOCALHOST, NAME),
            ("", NAME, "other.example", "other.example"),
            ("ClientHandshakeSNI Off", None, NAME, NAME),
            (optional, None, NAME, NAME),
            (optional, None, LOCALHOST, "other.example")):
        port = lab.next_port()
        lab.policy(client(port, host=host, adv=adv))
        equal(asked_for(lab, port, name), [want], f"{adv} {host} {name}")


@test
def test_wishes_name_that_a_server_must_take(lab):
    """ClientHandshakeSNI Required is for the name of the program as well."""
    with serving(lab, "wrongname") as port:
        lab.policy(client(port, adv=SNI.format("Required", "Optional"),
                          host="other.example"))
        refused(lab, port, "the server ignores the name", name="other.example")


def init_of_client(lab, port, name):
    """INIT of a client that expects @name: an Ioctl, or an errno."""
    with pair(port) as (s, c):
        c.settimeout(None)
        sockopt.put(c, sockopt.PEER_NAME, name.encode())
        thread, result = in_thread(lambda: ttls.ask(c, ttls.INIT))
        try:
            with lab.tls_server_context().wrap_socket(
                    s, server_side=True) as tls:
                thread.join(slow(60))
                c.sendall(lab.marker)
                equal(recv_exact(tls, len(lab.marker)), lab.marker, "data")
        except (ssl.SSLError, ConnectionResetError):
            thread.join(slow(60))
        return result[0]


@test
def test_wishes_name_before_INIT(lab):
    """ApplicationControlled: on a connection in clear."""
    port = lab.next_port()
    lab.policy(client(port, host=None, adv=CONTROLLED))
    io = init_of_client(lab, port, NAME)
    check(not isinstance(io, int), f"INIT: errno {io}")
    equal(io.conn, ttls.SECURE, "status")
    equal(init_of_client(lab, port, "other.example"), errno.ECONNRESET,
          "INIT")
    logged(lab, port, "is not for other.example")


def served(context, look, s):
    """look(TLS) at a server of OpenSSL on @s, which echoes once."""
    s.settimeout(slow(60))
    with context.wrap_socket(s, server_side=True) as tls:
        tls.sendall(tls.recv(100))
        return look(tls)


@test
def test_wishes_protocols_of_a_client(lab):
    """The server chooses, or does not care; with none, nothing is offered."""
    port = lab.next_port()
    lab.policy(client(port))
    for version in VERSIONS.values():
        for theirs, ours, want in (
                (["h2", "http/1.1"], (b"http/1.1", b"h2"), "h2"),
                (["h2", "http/1.1"], (b"http/1.0", b"http/1.1"), "http/1.1"),
                ([], (b"h2",), None),
                (["h2"], (), None)):
            context = lab.tls_server_context(version=version)
            if theirs:
                context.set_alpn_protocols(theirs)
            with listen(port) as listener:
                thread, result = serve_one(listener, partial(
                    served, context, ssl.SSLSocket.selected_alpn_protocol))
                with dialled(port, alpn=ours) as s:
                    got = sockopt.get(s, sockopt.ALPN)
                    lab.echoes(s)
                thread.join(slow(60))
            equal(result, [want], f"{version} {theirs} {ours}")
            equal(got, (want or "").encode(), f"{version} {theirs} {ours}")


@test
def test_wishes_protocols_that_a_server_refuses(lab):
    """Its alert is in the log."""
    port = lab.next_port()
    lab.process("s_server", [
        "openssl", "s_server", "-quiet", "-accept", str(port),
        "-alpn", "h3,imap", "-cert", lab.pki.cert("server-ecdsa"),
        "-key", lab.pki.key("server-ecdsa")])
    wait_for("s_server", lambda: is_listening(port))
    lab.policy(client(port))
    with dialled(port, alpn=[b"h2", b"imap"]) as s:
        equal(sockopt.get(s, sockopt.ALPN), b"imap", "protocol")
    refused(lab, port, "the partner refused: no common application protocol "
            "(alert 120)", alpn=[b"h2", b"http/1.1"])


def serve_protocols(lab, port, version, theirs, ours):
    """INIT with @ours for a client that offers @theirs.

    What each of them says was chosen: the client in text, or the alert; the
    server in bytes, or its errno.
    """
    context = lab.tls_client_context(version)
    if theirs:
        context.set_alpn_protocols(theirs)
    with pair(port) as (s, c):
        if ours:
            sockopt.put(s, sockopt.ALPN, sockopt.protocols(*ours))
        thread, result = in_thread(lambda: ttls.ask(s, ttls.INIT))
        try:
            with context.wrap_socket(c, server_hostname=NAME) as tls:
                thread.join(slow(60))
                check(not isinstance(result[0], int), f"INIT: {result}")
                tls.sendall(lab.marker)
                equal(recv_exact(s, len(lab.marker)), lab.marker, "data")
                return (tls.selected_alpn_protocol(),
                        sockopt.get(s, sockopt.ALPN))
        except ssl.SSLError as e:
            thread.join(slow(60))
            return e.reason, result[0]


ALERT = "TLSV1_ALERT_NO_APPLICATION_PROTOCOL", errno.ECONNRESET


@test
def test_wishes_protocols_of_a_server(lab):
    """The first of its own that the client offers; an alert without one."""
    port = lab.next_port()
    lab.policy(server(port, adv=CONTROLLED))
    ours = (b"h2", b"http/1.1")
    for version in VERSIONS.values():
        for theirs, mine, want in (
                (["http/1.1", "h2"], ours, ("h2", b"h2")),
                (["http/1.1"], ours, ("http/1.1", b"http/1.1")),
                (None, ours, (None, b"")),
                (["h2"], (), (None, b"")),
                (["h3", "x\ty"], ours, ALERT),
                # The bytes of a protocol, but over the border of two.
                (["h", "2"], (b"h\1" + b"2",), ALERT)):
            equal(serve_protocols(lab, port, version, theirs, mine), want,
                  f"{version} {theirs} {mine}")
    logged(lab, port, "RC: 415 Initial Handshake: the client offers the "
           "protocols h3 x?y, and the program has only h2 http/1.1\n")


def deep(lab):
    """Certificates of an authority between, in files with it behind them."""
    lab.pki.leaf("between", "basicConstraints=critical,CA:TRUE",
                 "keyUsage=critical,keyCertSign,cRLSign", cn="between")
    for name in ("deep", "deepclient"):
        lab.pki.leaf(name, ca="between")
        with open(lab.pki.cert(name), "a", encoding="ascii") as chain, \
                open(lab.pki.cert("between"), encoding="ascii") as between:
            chain.write(between.read())
        lab.pki.ring(name, [name])


def der(lab, *names):
    return b"".join(lab.pki.load(name).public_bytes(Encoding.DER)
                    for name in names)


def deep_chains(lab):
    """What a server and its client send, in rings of longer chains."""
    deep(lab)
    return der(lab, "deep", "between"), der(lab, "deepclient", "between")


def chain_of_client(tls):
    """What a server of OpenSSL got of its client."""
    # Without a certificate of the client this would be an exception.
    return b"".join(tls.get_unverified_chain() if tls.getpeercert(True)
                    else [])


def chains(s):
    return [sockopt.get(s, option)
            for option in (sockopt.PEER_CHAIN, sockopt.OWN_CHAIN)]


@test
def test_wishes_chains_of_a_client(lab):
    """As they were sent; its own only if it was asked and has one."""
    theirs, ours = deep_chains(lab)
    port = lab.next_port()
    for ring in ("client", "deepclient"):
        lab.policy(client(port, ring=ring))
        for version in VERSIONS.values():
            for mode in (ssl.CERT_NONE, ssl.CERT_OPTIONAL):
                context = lab.tls_server_context("deep", version)
                context.load_verify_locations(lab.pki.cert("ca"))
                context.verify_mode = mode
                sent = mode == ssl.CERT_OPTIONAL and ring == "deepclient"
                with listen(port) as listener:
                    thread, result = serve_one(
                        listener, partial(served, context, chain_of_client))
                    with dialled(port) as s:
                        got = chains(s)
                        lab.echoes(s)
                    thread.join(slow(60))
                what = f"{ring} {version} {mode}"
                equal(got, [theirs, ours if sent else b""], what)
                equal(result, [got[1]], f"{what}: at the server")


def shown_to(lab, listener, *options, leaf=None):
    """(PEER_CHAIN, OWN_CHAIN) of a server of ours, and what s_client shows."""
    port = listener.getsockname()[1]
    if leaf:
        options += ("-cert", lab.pki.cert(leaf), "-key", lab.pki.key(leaf),
                    "-cert_chain", lab.pki.cert("between"))
    with subprocess.Popen(
            ["openssl", "s_client", "-showcerts", "-connect",
             f"{LOCALHOST}:{port}", *options], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE) as peer:
        s, _ = listener.accept()
        with s:
            s.settimeout(None)
            sockopt.wait(s)
            got = chains(s)
        out, _ = peer.communicate(timeout=slow(60))
    pems = re.findall("-----BEGIN.*?-----END CERTIFICATE-----\n", out, re.S)
    return got, b"".join(ssl.PEM_cert_to_DER_cert(pem) for pem in pems)


@test
def test_wishes_chains_of_a_server(lab):
    """With a client that has a certificate, and one that has none."""
    ours, theirs = deep_chains(lab)
    port = lab.next_port()
    for role in ("Server", "ServerWithClientAuth"):
        lab.policy(rule(f"in{port}", "Inbound", port, role, "deep",
                        adv="ClientAuthType Full" if role != "Server" else ""))
        for version in ("-tls1_2", "-tls1_3"):
            for leaf in (None, "deepclient"):
                with listen(port) as listener:
                    got, shown = shown_to(lab, listener, version, leaf=leaf)
                what = f"{role} {version} {leaf}"
                sent = leaf and role != "Server"
                equal(got, [theirs if sent else b"", ours], what)
                equal(shown, ours, f"{what}: at the client")


@test
def test_wishes_chain_by_server_name(lab):
    """The certificate that the name got, not that of the ring."""
    deep(lab)
    lab.pki.ring("shops", ["server-rsa", "deep", "wrongname"])
    port = lab.next_port()
    lab.policy(server(port, ring="shops", adv=f"""
CertificateLabel server-rsa
ServerHandshakeSNIList {NAME} deep
ServerHandshakeSNIList other.example wrongname
ServerHandshakeSNI Optional
ServerHandshakeSNIMatch Optional"""))
    for name, names in ((NAME, ("deep", "between")),
                        ("other.example", ("wrongname",)),
                        ("third.example", ("server-rsa",))):
        with listen(port) as listener:
            (_, own), shown = shown_to(lab, listener, "-servername", name)
        equal(own, der(lab, *names), name)
        equal(shown, own, f"{name}: at the client")


@test
def test_wishes_chain_by_cipher(lab):
    """Of a ring with several the certificate that the client can use."""
    port = lab.next_port()
    lab.policy(server(port))
    for kind in ("RSA", "ECDSA"):
        with listen(port) as listener:
            (_, own), shown = shown_to(
                lab, listener, "-tls1_2", "-cipher",
                f"ECDHE-{kind}-AES256-GCM-SHA384")
        equal(own, der(lab, f"server-{kind.lower()}"), kind)
        equal(shown, own, f"{kind}: at the client")


@test
def test_wishes_chain_of_a_token(lab):
    """A certificate whose key is not in attlsd."""
    port = lab.next_port()
    lab.policy("# nothing\n")
    with Ours(lab) as token, listen(port) as listener:
        lab.policy(token.server(port))
        (_, own), shown = shown_to(lab, listener)
        equal(own, der(lab, "server-ecdsa"), "own chain")
        equal(shown, own, "at the client")
        lab.policy("# nothing\n")


LABEL = b"EXPERIMENTAL-attls"
CONTEXTS = (None, b"", b"a context")
LENGTH = 80		# more than one output of a hash


def exporter(lab, role, version, ems, s):
    """What a peer of OpenSSL exports on @s, which the other side then ends."""
    out = subprocess.run(
        [f"{BUILT}/exporter", role, str(s.fileno()), version, ems,
         lab.pki.cert("server-ecdsa"), lab.pki.key("server-ecdsa"), LABEL,
         str(LENGTH), *CONTEXTS[1:]], pass_fds=[s.fileno()], text=True,
        capture_output=True, timeout=slow(60), check=False)
    return [bytes.fromhex(line) for line in out.stdout.split()] or out.stderr


def exports(s):
    """What @s does; an errno in its place."""
    got = []
    for context in CONTEXTS:
        try:
            got.append(sockopt.export(s, LABEL, LENGTH, context))
        except OSError as e:
            got.append(e.errno)
    return got


def as_client(lab, port, version, ems):
    """(ours, theirs)."""
    with listen(port) as listener:
        thread, theirs = serve_one(
            listener, partial(exporter, lab, "server", version, ems))
        with dialled(port) as s:
            ours = exports(s)
        thread.join(slow(60))
    return ours, theirs[0]


def as_server(lab, port, version, ems):
    with listen(port) as listener, socket.socket() as c:
        c.connect((LOCALHOST, port))
        thread, theirs = in_thread(
            lambda: exporter(lab, "client", version, ems, c))
        s, _ = listener.accept()
        with s:
            s.settimeout(None)
            sockopt.wait(s)
            ours = exports(s)
        thread.join(slow(60))
    return ours, theirs[0]


# A hash of each size.
SUITES = {"1.2": ("C02B", "C02C"), "1.3": ("1301", "1302")}


@test
def test_wishes_exporter(lab):
    """The same as the peer's: each version, hash, role, and context."""
    port = lab.next_port()
    for version, suites in SUITES.items():
        for suite in suites:
            action = f"TTLSCipherParms {{ V3CipherSuites4Char {suite} }}"
            for make, run in ((client, as_client), (server, as_server)):
                lab.policy(make(port, action=action))
                ours, theirs = run(lab, port, version, "ems")
                what = f"{run.__name__} {version} {suite}"
                equal(ours, theirs, what)
                equal(len(set(ours)), 3 if version == "1.2" else 2,
                      f"{what}: with a context and without")


@test
def test_wishes_exporter_without_extended_master_secret(lab):
    """RFC 7627 section 5.4: refused in TLS 1.2, in both roles."""
    port = lab.next_port()
    for make, run in ((client, as_client), (server, as_server)):
        lab.policy(make(port))
        ours, theirs = run(lab, port, "1.2", "plain")
        equal(len(theirs), 3, f"{run.__name__}: the peer exports: {theirs}")
        equal(ours, [errno.EOPNOTSUPP] * 3, run.__name__)
