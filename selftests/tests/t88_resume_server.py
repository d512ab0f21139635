# SPDX-License-Identifier: GPL-2.0-only
"""Sessions that a server of ours resumes: tickets, and ids of TLS 1.2."""
import contextlib
import re
import shutil
import socket
import ssl
import subprocess

from cryptography.hazmat.primitives import serialization

import sockopt
from ktap import check, equal, slow, test
from lab import echo_server, in_thread, listen, rule, server, wait_for
from storm import PROGRAMS
from t38_revocation import gsk
from t88_resume_client import kill_worker

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def context_of(lab, kind, leaf=None):
    """A client of one kind of session: 1.3, 1.2, or ids of TLS 1.2."""
    context = lab.tls_client_context(TLS13 if kind == "1.3" else TLS12)
    context.check_hostname = False
    if kind == "ids":
        context.options |= ssl.OP_NO_TICKET
    if leaf:
        context.load_cert_chain(lab.pki.cert(leaf), lab.pki.key(leaf))
    return context


KINDS = ("1.3", "1.2", "ids")


class Client:
    """Connections with one context, which sessions are bound to."""

    def __init__(self, lab, kind, leaf=None):
        self.lab = lab
        self.kind = kind
        self.context = context_of(lab, kind, leaf)

    def talk(self, port, session=None, name="server.example"):
        """(whether the session was resumed, the one it has now)"""
        with socket.create_connection(("127.0.0.1", port),
                                      timeout=slow(60)) as raw:
            with self.context.wrap_socket(raw, server_hostname=name,
                                          session=session) as s:
                self.lab.echoes(s)
                return s.session_reused, s.session

    def first(self, port, **kw):
        """The session of a full handshake."""
        reused, session = self.talk(port, **kw)
        equal(reused, False, f"{self.kind}: a first handshake is resumed")
        return session

    def expect(self, port, session, reused, what, **kw):
        """The next session."""
        got, session = self.talk(port, session, **kw)
        equal(got, reused, f"{self.kind}: {what}")
        return session


@contextlib.contextmanager
def echoing(lab, n=1):
    """Ports of echo servers."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(listen(lab.next_port()))
                     for _ in range(n)]
        for listener in listeners:
            echo_server(listener)
        yield [listener.getsockname()[1] for listener in listeners]


def clients(lab, *kinds, **kw):
    return [Client(lab, kind, **kw) for kind in kinds or KINDS]


@test(fips="also")
def test_resume_server_tickets_and_ids(lab):
    """Resumed by the same rule, again and again; not by another one."""
    with echoing(lab, 2) as (port, other):
        lab.policy(server(port) + server(other))
        for client in clients(lab):
            session = client.first(port)
            for i in range(3):
                session = client.expect(port, session, True, f"round {i}")
            client.expect(other, session, False, "another rule")


@test
def test_resume_server_of_the_same_action(lab):
    """Rules that share their actions share sessions."""
    with echoing(lab, 2) as ports:
        text = server(ports[0])
        start = text.index("  TTLSEnvironmentAction")
        action = text[start:text.rindex("}")]
        group = text[text.index("  TTLSGroupAction"):start]
        lab.policy(action.replace("TTLSEnvironmentAction",
                                  "TTLSEnvironmentAction same", 1) +
                   "".join(f"""
TTLSRule in{port}
{{
  Direction Inbound
  LocalPortRange {port}
{group}
  TTLSEnvironmentActionRef same
}}""" for port in ports))
        for client in clients(lab):
            session = client.first(ports[0])
            client.expect(ports[1], session, True, "the same action")


@test
def test_resume_server_new_policy(lab):
    """No session outlives its policy, though it is the same text."""
    with echoing(lab) as (port,):
        lab.policy(server(port))
        known = clients(lab)
        sessions = [client.first(port) for client in known]
        lab.policy(server(port))
        for client, session in zip(known, sessions):
            session = client.expect(port, session, False, "of the old policy")
            client.expect(port, session, True, "of the new policy")


@test
def test_resume_server_off(lab):
    """Without tickets there are the ids of TLS 1.2, or nothing."""
    no_tickets = "GSK_SESSION_TICKET_SERVER_ENABLE Off\n"
    for more, ids in (("", True), ("GSK_V3_SIDCACHE_SIZE 0", False),
                      ("GSK_V3_SESSION_TIMEOUT 0", False)):
        with echoing(lab) as (port,):
            lab.policy(server(port, action=gsk(no_tickets + more)))
            for client in clients(lab):
                session = client.first(port)
                equal(session.has_ticket, False, f"{client.kind}: a ticket")
                client.expect(port, session, ids and client.kind != "1.3",
                              f"tickets Off {more}")


@test
def test_resume_server_size_of_the_cache(lab):
    """The oldest session id goes; those of other rules stay."""
    with echoing(lab, 2) as (port, other):
        lab.policy(server(port, action=gsk("GSK_V3_SIDCACHE_SIZE 2")) +
                   server(other))
        client, = clients(lab, "ids")
        kept = client.first(other)
        sessions = [client.first(port) for _ in range(3)]
        client.expect(port, sessions[1], True, "the second")
        client.expect(port, sessions[2], True, "the third")
        client.expect(port, sessions[0], False, "the first, of three")
        client.expect(other, kept, True, "of another rule")


@test
def test_resume_server_store(_lab):
    """What workers share: room, keys, deaths; see programs/store_test.c."""
    out = subprocess.run([f"{PROGRAMS}/store_test"], capture_output=True,
                         text=True, timeout=slow(100), check=False).stdout
    equal(re.findall("^not ok.*", out, re.M), [], out)
    equal(len(re.findall("^ok", out, re.M)), 25, out)


@test
def test_resume_server_requirements(lab):
    """What the policy requires is there when a session is resumed as well."""
    path = lab.pki.path("session")
    ask = ["-maxfraglen", "512", "-sess_out", path]
    with echoing(lab) as (port,):
        lab.policy(server(port, adv="ServerMaxSSLFragment Required\n"
                          "ServerExtendedMasterSecret Required"))
        for kind in (["-tls1_2"], ["-tls1_2", "-no_ticket"], ["-tls1_3"]):
            s_client(lab, port, *kind, *ask)
            out = s_client(lab, port, *kind, *ask, "-sess_in", path)
            check("Reused, TLSv1." in out, f"{kind}: {out}")


def s_client(lab, port, *options):
    """What s_client prints of a connection, after an echo."""
    marker = lab.marker.decode()
    with subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}",
             "-CAfile", lab.pki.cert("ca"), "-servername", "server.example",
             "-verify_return_error", *options], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True) as process:
        process.stdin.write(f"{marker}\n")
        process.stdin.flush()
        out = ""
        while marker not in out:
            line = process.stdout.readline()
            check(line, f"s_client: {out}")
            out += line
        return out + process.communicate()[0]


@test
def test_resume_server_count_of_tickets(lab):
    """As many as the policy says, and one after a handshake that resumes."""
    path = lab.pki.path("session")
    for count in (0, 1, 3):
        with echoing(lab) as (port,):
            lab.policy(server(port, action=gsk(
                f"GSK_SESSION_TICKET_SERVER_COUNT {count}")))
            out = s_client(lab, port, "-tls1_3", "-sess_out", path)
            equal(out.count("New Session Ticket arrived"), count, "tickets")
            if count:
                out = s_client(lab, port, "-tls1_3", "-sess_in", path)
                check("Reused, TLSv1.3" in out, out)
                equal(out.count("New Session Ticket arrived"), 1, "the next")


def key_name(path):
    """The name of the key of a ticket that s_client has written."""
    text = subprocess.run(["openssl", "sess_id", "-noout", "-text", "-in",
                           path], check=True, capture_output=True,
                          text=True).stdout
    return re.search(r"TLS session ticket:\s+0000 - (.{47})", text)[1]


@test
def test_resume_server_key_refresh(lab):
    """A ticket under an old key is good, and replaced."""
    old, new = lab.pki.path("old"), lab.pki.path("new")
    with echoing(lab) as (port,):
        lab.policy(server(port, action=gsk(
            "GSK_SESSION_TICKET_SERVER_KEY_REFRESH 1")))
        for version in ("1_2", "1_3"):
            s_client(lab, port, f"-tls{version}", "-sess_out", old)
            first = key_name(old)

            def another(version=version):
                s_client(lab, port, f"-tls{version}", "-sess_out", new)
                return key_name(new) != first
            wait_for("a new key", another)
            out = s_client(lab, port, f"-tls{version}", "-sess_in", old,
                           "-sess_out", new)
            check("Reused, TLSv1." in out, out)
            check(key_name(new) != first, "under the old key")


@test
def test_resume_server_timeout(lab):
    """The server forgets, whatever the client thinks."""
    action = gsk("GSK_SESSION_TICKET_SERVER_TIMEOUT 1\n"
                 "GSK_V3_SESSION_TIMEOUT 1")
    with echoing(lab) as (port,):
        lab.policy(server(port, action=action))
        for client in clients(lab):
            session = client.first(port)
            wait_for(f"{client.kind}: the end of a session",
                     lambda c=client, s=session: not c.talk(port, s)[0])


@test
def test_resume_server_another_worker(lab):
    """What one worker has made, another one resumes."""
    with echoing(lab) as (port,):
        lab.policy(rule(f"in{port}", "Inbound", port, "Server", "server",
                        action="Trace 15"))
        seen = len(lab.attlsd.text())
        for client in clients(lab, "1.2", "ids"):
            session = client.first(port)

            def both(client=client, session=session):
                threads = [in_thread(lambda: client.talk(port, session)[0])
                           for _ in range(8)]
                for thread, result in threads:
                    thread.join(slow(60))
                    equal(result, [True], f"{client.kind}: resumed")
                pids = re.findall(r"attlsd\[(\d+)\] .* EZD1283I",
                                  lab.attlsd.text()[seen:])
                return len(set(pids)) > 1
            wait_for("both workers", both, 60)
            seen = len(lab.attlsd.text())


@test
def test_resume_server_worker_killed(lab):
    """All is forgotten once; then it goes on."""
    with echoing(lab) as (port,):
        lab.policy(server(port))
        known = clients(lab)
        sessions = [client.first(port) for client in known]
        kill_worker(lab)
        for client, session in zip(known, sessions):
            session = client.expect(port, session, False, "after a death")
            client.expect(port, session, True, "after that")


@test
def test_resume_server_another_name(lab):
    """A session is resumed under the server name that it was made under."""
    lab.pki.ring("names", ["server-rsa", "server-ecdsa", "wrongname"])
    names = """
CertificateLabel server-rsa
ServerHandshakeSNIList server.example server-ecdsa
ServerHandshakeSNIList other.example wrongname
ServerHandshakeSNIMatch Optional
ServerHandshakeSNI """
    with echoing(lab, 3) as ports:
        lab.policy(server(ports[0]) +
                   server(ports[1], "names", names + "Optional") +
                   server(ports[2], "names", names + "Required"))
        for port in ports:
            for client in clients(lab):
                for name in ("server.example", "third.example"):
                    session = client.first(port, name=name)
                    client.expect(port, session, False, "another name",
                                  name="other.example")
                    client.expect(port, session, True, "the same name",
                                  name=name.upper())


def whose(listener):
    """What the kernel says of the client of one connection, which it echoes."""
    s, _ = listener.accept()
    with s:
        data = s.recv(1000)
        said = [sockopt.get(s, option)
                for option in (sockopt.USER, sockopt.PEER_CHAIN)]
        s.sendall(data)
        return said


@test
def test_resume_server_client_certificate(lab):
    """User, certificate and chain are those of the full handshake."""
    lab.pki.leaf("between", "basicConstraints=critical,CA:TRUE",
                 "keyUsage=critical,keyCertSign", cn="Between")
    lab.pki.leaf("low", ca="between", cn="low.example")
    with open(lab.pki.cert("low"), "a", encoding="ascii") as out, \
            open(lab.pki.cert("between"), encoding="ascii") as f:
        out.write(f.read())
    chain = b"".join(lab.pki.load(name).public_bytes(
        serialization.Encoding.DER) for name in ("low", "between"))
    port = lab.next_port()
    lab.policy(rule("staff", "Inbound", port, "ServerWithClientAuth", "server",
                    adv="ClientAuthType SAFCheck", action="""
TTLSCertificateMap
{
  CertificateUser
  {
    Userid mail
    SubjectFilter CN=low.example
  }
}"""))
    with listen(port) as listener:
        for client in clients(lab, leaf="low"):
            session = None
            for reused in (False, True, True):
                thread, result = in_thread(lambda: whose(listener))
                session = client.expect(port, session, reused,
                                        "with a certificate")
                thread.join(slow(60))
                equal(result, [[b"mail\0", chain]],
                      f"{client.kind}, {reused}: whose")


@test
def test_resume_server_revocation(lab):
    """Who asks for certificates and checks them never resumes."""
    ring = lab.pki.ring("crl", ["server-ecdsa"])
    subprocess.run(["openssl", "crl", "-inform", "DER", "-out",
                    f"{ring}/ca.crl"], input=lab.pki.crl(), check=True)
    with echoing(lab, 2) as (port, free):
        lab.policy(rule("checks", "Inbound", port, "ServerWithClientAuth",
                        "crl", adv="ClientAuthType Required") +
                   server(free, "crl"))
        for client in clients(lab, leaf="client"):
            session = client.first(port)
            equal(session.has_ticket, False, f"{client.kind}: a ticket")
            client.expect(port, session, False, "under revocation checks")
            session = client.first(free)
            client.expect(free, session, True, "without client certificates")
    shutil.rmtree(ring)


@test
def test_resume_server_end_of_certificate(lab):
    """A session ends with the certificate of the client."""
    lab.pki.leaf("short", cn="short.example", options=("-days", "1"))
    with echoing(lab) as (port,):
        lab.policy(rule("auth", "Inbound", port, "ServerWithClientAuth",
                        "server", adv="ClientAuthType Required",
                        action=gsk("GSK_SESSION_TICKET_SERVER_TIMEOUT "
                                   "604800")))
        hint = Client(lab, "1.3", "client").first(port).ticket_lifetime_hint
        equal(hint, 604800, "of a month")
        hint = Client(lab, "1.3", "short").first(port).ticket_lifetime_hint
        check(0 < hint <= 86400, f"of a day: {hint}")
