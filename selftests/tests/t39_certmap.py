# SPDX-License-Identifier: GPL-2.0-only
"""TTLSCertificateMap: whose certificate a client has, and SAFCheck."""
import contextlib
import ctypes
import errno
import os
import pwd
import re
import socket
import ssl
import subprocess

import agent
from ktap import check, equal, slow, test
from lab import echo_server, listen, rule, wait_for

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)

# Maps that have the certificate "staff" of certs.py, and those that have not.
TAKEN = (
    ("www-data", "Fingerprint {fingerprint}"),
    ("mail", 'Subject "cn=bob, OU=Web,O=EXAMPLE,C=US"'),
    ("backup", 'SubjectFilter "OU=Web,O=Example,C=US"\n'
               'Issuer "CN=attls test ca"'),
    ("lp", 'IssuerFilter "CN=attls test ca"'),
    ("games", "SubjectAltNameDNS BOB.example"),
    ("proxy", "SubjectAltNameEmail Bob@MAIL.example"),
    ("uucp", "SubjectAltNameURI spiffe://example/bob"),
    ("news", "SubjectAltNameUPN bob@corp.example"),
)
REFUSED = (
    ("Fingerprint " + "00" * 32,),
    ('SubjectFilter "OU=Sales,O=Example,C=US"',),
    ('SubjectFilter "O=Exampl,C=US"',),
    ('Subject "OU=Web,O=Example,C=US"',),
    ('SubjectFilter C=US\nIssuer "CN=attls test otherca"',),
    ("SubjectAltNameEmail bob@mail.example",),
    ("SubjectAltNameURI SPIFFE://example/bob",),
    ("SubjectAltNameDNS corp.example",),
    # A certificate of two users.
    ("SubjectAltNameDNS bob.example", "SubjectAltNameUPN bob@corp.example"),
)


def entry(user, criteria):
    return f"CertificateUser\n{{\nUserid {user}\n{criteria}\n}}\n"


def mapped(port, entries, auth="SAFCheck"):
    """A server under a map of @entries."""
    return rule(f"in{port}", "Inbound", port, "ServerWithClientAuth",
                "server", adv=f"ClientAuthType {auth}",
                action=f"Trace 15\nTTLSCertificateMap\n{{\n{entries}}}")


@contextlib.contextmanager
def servers(lab, n):
    """Ports of echo servers."""
    listeners = [listen(lab.next_port()) for _ in range(n)]
    for listener in listeners:
        echo_server(listener)
    try:
        yield [listener.getsockname()[1] for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()


@contextlib.contextmanager
def connected(lab, port, version, leaf="staff"):
    """A TLS client, after an echo."""
    context = lab.tls_client_context(version)
    if leaf:
        context.load_cert_chain(lab.pki.cert(leaf), lab.pki.key(leaf))
    with socket.create_connection(("127.0.0.1", port),
                                  timeout=slow(60)) as raw:
        with context.wrap_socket(raw, server_hostname="server.example") as s:
            lab.echoes(s)
            yield s


def conn_of(lab, s):
    """What the kernel shows of the server's side of @s."""
    conn, = [c for c in lab.conns()
             if c["remote_port"] == s.getsockname()[1]]
    return conn


def logged(lab, pattern, since=0):
    """The line in the log of attlsd, once it is there."""
    return wait_for(pattern, lambda: re.search(
        pattern, lab.attlsd.text()[since:]))[0]


def refused(lab, port, version, counter, rc, leaf="staff"):
    """The client fails, is counted, and the log says why; the log line."""
    before = lab.stats()[counter]
    seen = len(lab.attlsd.text())
    try:
        with connected(lab, port, version, leaf):
            check(False, f"{port}: taken")
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
        pass
    wait_for(counter, lambda: lab.stats()[counter] == before + 1)
    return logged(lab, f"EZD1286I .* RULE: in{port} RC: {rc} .*", seen)


def fingerprint(lab):
    out = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in",
         lab.pki.cert("staff")], capture_output=True, text=True, check=True)
    return out.stdout.strip().partition("=")[2]


@test
def test_certificate_of_a_user(lab):
    """Each way to say whose it is, in TLS 1.2 and 1.3, in all displays."""
    digest = fingerprint(lab)
    with servers(lab, len(TAKEN)) as ports:
        lab.policy("".join(
            mapped(port, entry(user, criteria.format(fingerprint=digest)) +
                   entry("nobody", "SubjectFilter O=Others"))
            for port, (user, criteria) in zip(ports, TAKEN)))
        for port, (user, _) in zip(ports, TAKEN):
            for version in VERSIONS:
                with connected(lab, port, version) as s:
                    conn = conn_of(lab, s)
                equal(conn["cert_user"], user, f"{port} {version}")
                equal(conn["cert_uid"], pwd.getpwnam(user).pw_uid, user)
            logged(lab, f"EZD1283I .* RULE: in{port} .* CERTUSERID: {user}\n")
        with connected(lab, ports[0], VERSIONS[1]):
            text = lab.attls("netstat", "-v").stdout
        check("CertUserID" in text and "www-data" in text, text)


@test
def test_certificate_of_nobody(lab):
    """Valid, but of no user or of two: refused with 5002, both versions."""
    with servers(lab, len(REFUSED)) as ports:
        lab.policy("".join(
            mapped(port, "".join(map(entry, ("daemon", "bin"), criteria)))
            for port, criteria in zip(ports, REFUSED)))
        for port in ports:
            for version in VERSIONS:
                line = refused(lab, port, version, "failed_no_user", 5002)
                check("(CN=Bob,OU=Web,O=Example,C=US)" in line, line)
        refused(lab, ports[0], VERSIONS[1], "failed_handshake", 5001, None)


@test
def test_certificate_map_changes(lab):
    """A wrong map changes nothing; a right one counts from then on."""
    with servers(lab, 1) as (port,):
        lab.policy(mapped(port, entry("mail", "SubjectFilter O=Example,C=US")))
        before = lab.generation()
        with connected(lab, port, VERSIONS[1]) as old:
            path = lab.write_policy(mapped(port, entry("mali", "Subject C=U")),
                                    "map.conf")
            out = lab.attls("load", path, ok=1)
            check(re.search(r'map\.conf:\d+:8: error: Userid "mali" is not a '
                            r'user of this system\n *did you mean "mail"\?',
                            out.stderr), f"{out}")
            equal(lab.generation(), before, "generation")
            with connected(lab, port, VERSIONS[0]) as s:
                equal(conn_of(lab, s)["cert_user"], "mail", "the old map")
            lab.policy(mapped(port, entry("news", "Subject C=US") +
                              entry("backup", "SubjectFilter C=US")))
            with connected(lab, port, VERSIONS[1]) as s:
                equal(conn_of(lab, s)["cert_user"], "backup", "the new map")
            lab.echoes(old)
            equal(conn_of(lab, old)["cert_user"], "mail", "an old connection")


@test
def test_certificate_map_without_check(lab):
    """Required and Full: the user is shown if there is one."""
    with servers(lab, 2) as ports:
        lab.policy(mapped(ports[0], entry("mail", "SubjectFilter C=US"),
                          "Required") +
                   mapped(ports[1], entry("mail", "SubjectFilter C=DE"),
                          "Full"))
        for port, leaf, user in ((ports[0], "staff", "mail"),
                                 (ports[0], "client", None),
                                 (ports[1], "staff", None),
                                 (ports[1], None, None)):
            with connected(lab, port, VERSIONS[1], leaf) as s:
                equal(conn_of(lab, s)["cert_user"], user, f"{port} {leaf}")


def install(hs, name, uid=0):
    """The errno of an INSTALL without a key, for user @name."""
    fields = {"protocol": agent.TLS12, "cipher": 0xc02f, "tx_len": 40,
              "rx_len": 40, "cert_uid": uid}
    kernel = agent.Install(size=ctypes.sizeof(agent.Install), **fields)
    ctypes.memmove(ctypes.addressof(kernel) + agent.Install.cert_user.offset,
                   name, len(name))
    return hs.install_raw(kernel)


@test
def test_certificate_user_in_the_kernel(lab):
    """The kernel takes no name that it could not show."""
    with servers(lab, 1) as (port,):
        lab.policy(mapped(port, entry("mail", "SubjectFilter C=US")))
        lab.stop_attlsd()
        device = os.open("/dev/attls", os.O_RDWR)
        with socket.create_connection(("127.0.0.1", port)) as s:
            hs = wait_for("a handshake", lambda: agent.accept(device))
            for name, uid in ((b"x" * 64, 0), (b"a b", 0), (b"a\n", 0),
                              (b"\xc3\xa9", 0), (b"\x7f", 0), (b"", 1),
                              (b"mail\0x", 8)):
                equal(install(hs, name, uid), errno.EINVAL, f"{name}")
            equal(install(hs, b"x" * 63, 8), errno.EPROTO, "a good name")
            hs.close()
            s.settimeout(slow(60))
            try:
                s.recv(1)
                check(False, "the client is not reset")
            except ConnectionResetError:
                pass
        os.close(device)
