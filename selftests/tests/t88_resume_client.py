# SPDX-License-Identifier: GPL-2.0-only
"""Sessions that clients of ours resume, with servers that are not ours.

A server's tickets of TLS 1.3 reach attlsd some time after the handshake; so
who wants to see one used connects until it is.
"""
import contextlib
import os
import re
import resource
import signal
import socket
import ssl
import struct
import subprocess
import threading
from functools import partial

import sockopt
import ttls
from certs import NAME
from ktap import check, equal, slow, test
from lab import (TOP, client, is_listening, listen, read, recv_exact, rule,
                 wait_for, write)
from programs import load, serve
from programs import write as script
from t10_basic import s_server
from t37_parameters import VERSIONS, logged
from t38_revocation import CDP_ON, gsk
from t80_ioctl import CONTROLLED
from t86_wishes import dialled

LOCALHOST = "127.0.0.1"
NOBODY = 65534
NO_TICKETS = "GSK_SESSION_TICKET_CLIENT_ENABLE Off\n"
REQUIRED = 1


class Peer:
    """An echo server of OpenSSL, by Python, that notes what it resumed."""

    def __init__(self, lab, version=None, tickets=2, leaf="server-ecdsa",
                 host=LOCALHOST, context=None):
        self.context = context or lab.tls_server_context(
            leaf, VERSIONS[version] if version else None)
        if not context:
            self.context.num_tickets = tickets
        self.listener = listen(lab.next_port(), host)
        self.port = self.listener.getsockname()[1]
        self.resumed = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        self.listener.settimeout(0.5)
        with contextlib.suppress(OSError):
            while True:
                with contextlib.suppress(TimeoutError):
                    s, _ = self.listener.accept()
                    threading.Thread(target=self.echo, args=(s,),
                                     daemon=True).start()

    def echo(self, raw):
        raw.settimeout(slow(60))
        with contextlib.suppress(OSError), \
                self.context.wrap_socket(raw, server_side=True) as s:
            self.resumed.append(s.session_reused)
            while data := s.recv(65536):
                s.sendall(data)

    def close(self):
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def once(lab, peer, host=LOCALHOST):
    """A connection: whether it was resumed."""
    with socket.create_connection((host, peer.port)) as s:
        lab.echoes(s)
    return peer.resumed[-1]


def resumes(lab, peer, **kw):
    wait_for("a session that is resumed", lambda: once(lab, peer, **kw))


def wished(lab, peer, **wishes):
    """The same, of a program that wishes something of its handshake."""
    with dialled(peer.port, **wishes) as s:
        lab.echoes(s)
    return peer.resumed[-1]


@contextlib.contextmanager
def as_nobody():
    """Sockets that are made now are those of another user."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def full(lab, peer, times=2, **kw):
    for _ in range(times):
        equal(once(lab, peer, **kw), False, "resumed")


@test(fips="also")
def test_resume_client(lab):
    """The second connection, in both versions; and the certificate stays."""
    for version in VERSIONS:
        with Peer(lab, version) as peer:
            lab.policy(client(peer.port))
            equal(once(lab, peer), False, "the first")
            resumes(lab, peer)
            with socket.create_connection((LOCALHOST, peer.port)) as s:
                lab.echoes(s)
                equal(peer.resumed[-1], True, "again")
                _, _, der = ttls.certificate(s)
                with open(lab.pki.cert("server-ecdsa"),
                          encoding="ascii") as f:
                    pem = ssl.PEM_cert_to_DER_cert(f.read())
                check(der.startswith(pem), "certificate")


@test
def test_resume_client_ids(lab):
    """TLS 1.2 without tickets, by either side's wish."""
    context = lab.tls_server_context("server-ecdsa", VERSIONS["TLSv1.2"])
    context.options |= ssl.OP_NO_TICKET
    with Peer(lab, context=context) as peer:
        lab.policy(client(peer.port))
        resumes(lab, peer)
        lab.policy(client(peer.port, action=gsk("GSK_V3_SIDCACHE_SIZE 0")))
        full(lab, peer)
        lab.policy(client(peer.port,
                          action=gsk("GSK_V3_SESSION_TIMEOUT 0")))
        full(lab, peer)
    with Peer(lab, "TLSv1.2") as peer:
        lab.policy(client(peer.port, action=gsk(NO_TICKETS)))
        resumes(lab, peer)


@test
def test_resume_client_tickets_off(lab):
    """The policy keeps none, or none of that size; the limit itself does."""
    for version in VERSIONS:
        sessions = "GSK_V3_SIDCACHE_SIZE 0\n" if version == "TLSv1.2" else ""
        with Peer(lab, version) as peer:
            lab.policy(client(peer.port, action=gsk(sessions + NO_TICKETS)))
            full(lab, peer)
            size = "GSK_SESSION_TICKET_CLIENT_MAXSIZE {}"
            lab.policy(client(peer.port, action=gsk(size.format(64))))
            full(lab, peer)
            lab.policy(client(peer.port, action=gsk(size.format(4096))))
            resumes(lab, peer)


@test
def test_resume_client_once(lab):
    """A ticket of TLS 1.3 is used once, a session of TLS 1.2 again and
    again."""
    with Peer(lab, "TLSv1.3", tickets=1) as peer:
        lab.policy(client(peer.port))
        resumes(lab, peer)
        peer.context.num_tickets = 0
        # What is left of before, and then nothing.
        wait_for("a full handshake", lambda: not once(lab, peer))
        full(lab, peer)
    with Peer(lab, "TLSv1.2") as peer:
        lab.policy(client(peer.port))
        resumes(lab, peer)
        for _ in range(4):
            equal(once(lab, peer), True, "again")


@test
def test_resume_client_declined(lab):
    """Servers that have lost their keys, or gone back to another version."""
    for version in VERSIONS:
        with Peer(lab, version) as peer:
            lab.policy(client(peer.port))
            resumes(lab, peer)
            peer.context = lab.tls_server_context("server-ecdsa",
                                                  VERSIONS[version])
            equal(once(lab, peer), False, "with other keys")
            resumes(lab, peer)
            other = {"TLSv1.2": "TLSv1.3", "TLSv1.3": "TLSv1.2"}[version]
            peer.context = lab.tls_server_context("server-ecdsa",
                                                  VERSIONS[other])
            equal(once(lab, peer), False, f"with {other}")
            resumes(lab, peer)


@test
def test_resume_client_of_another_user(lab):
    """Who may not see the session of root has one of its own."""
    for version in VERSIONS:
        with Peer(lab, version) as peer:
            lab.policy(client(peer.port))
            resumes(lab, peer)
            with as_nobody():
                equal(once(lab, peer), False, "another user")
                resumes(lab, peer)
            equal(once(lab, peer), True, "root again")


@test
def test_resume_client_other_names(lab):
    """Who expects somebody else, or another protocol, has another session."""
    for version in VERSIONS:
        with Peer(lab, version) as peer:
            lab.policy(client(peer.port, host=None))
            usual = partial(wished, lab, peer, name=NAME)
            wait_for("a session", usual)
            equal(wished(lab, peer, name=LOCALHOST), False, "an address")
            equal(wished(lab, peer, name=NAME.upper()), False, "spelling")
            equal(wished(lab, peer, name=NAME, alpn=[b"h2"]), False, "ALPN")
            equal(usual(), True, "the same")


@test
def test_resume_client_other_rule(lab):
    """Sessions belong to an action, and end with the policy."""
    with Peer(lab, "TLSv1.2") as peer:
        mine = client(peer.port)
        lab.policy(mine)
        resumes(lab, peer)
        lab.policy(mine)
        equal(once(lab, peer), False, "after a reload")
        resumes(lab, peer)
    for version in VERSIONS:
        with Peer(lab, version) as peer:
            lab.policy(client(peer.port, cond="  Userid root") +
                       client(peer.port, cond="  Userid nobody").replace(
                           f"out{peer.port}", "other"))
            resumes(lab, peer)
            with as_nobody():
                equal(once(lab, peer), False, "another rule")


@test
def test_resume_client_revocation(lab):
    """Who checks revocation sees a chain each time."""
    for version in VERSIONS:
        with Peer(lab, version) as peer:
            lab.policy(client(peer.port, action=gsk(
                "RevocationSecurityLevel Low" + CDP_ON)))
            full(lab, peer, 3)


def token(s):
    """The session of a socket: 16 bytes, or none."""
    return sockopt.get(s, sockopt.SESSION)[:16]


@contextlib.contextmanager
def named(port, session, flags=0):
    """A client of ours that names the session it wants."""
    with socket.socket() as s:
        sockopt.attach(s)
        sockopt.put(s, sockopt.SESSION, struct.pack("16sI", session, flags))
        s.connect((LOCALHOST, port))
        sockopt.wait(s)
        yield s


def refused(lab, peer, session, words):
    """What is demanded cannot be had, and attlsd says why."""
    try:
        with named(peer.port, session, REQUIRED):
            check(False, f"{words}: taken")
    except ConnectionResetError:
        pass
    logged(lab, peer.port, "RC: 415 Initial Handshake: the program demands "
           f"that session {session.hex()} is resumed, but {words}")


def session_of(lab, peer):
    """The token of a connection that has just begun a session."""
    with socket.create_connection((LOCALHOST, peer.port)) as s:
        lab.echoes(s)
        return token(s), peer.resumed[-1]


@test
def test_resume_client_token(lab):
    """It is the same on what resumes it, and on nothing else."""
    for version in VERSIONS:
        with Peer(lab, version) as peer, Peer(lab, version) as other:
            lab.policy(client(peer.port) + client(other.port))
            first, _ = session_of(lab, peer)
            equal(len(first), 16, "token")
            again = wait_for("a session that is resumed", lambda: (
                resumed_by(lab, peer)))
            there, _ = session_of(lab, other)
            check(again != there != first, "tokens of two servers")


def resumed_by(lab, peer):
    session, resumed = session_of(lab, peer)
    return resumed and session


@test
def test_resume_client_without_token(lab):
    """Where the policy keeps no sessions there is none."""
    for version in VERSIONS:
        with Peer(lab, version) as peer:
            lab.policy(client(peer.port, action=gsk(
                "GSK_V3_SIDCACHE_SIZE 0\n" + NO_TICKETS)))
            equal(session_of(lab, peer), (b"", False), "token")


@test
def test_resume_client_other_port(lab):
    """The session that is named, at whatever port; without, there is none."""
    for version in VERSIONS:
        with Peer(lab, version) as peer:
            with Peer(lab, context=peer.context) as data:
                lab.policy(rule("both", "Outbound",
                                f"{peer.port}-{data.port}", "Client",
                                "client", f"HostReferenceIdDNS {NAME}"))
                resumes(lab, peer)
                full(lab, data, 1)
                session, _ = session_of(lab, peer)
                for flags in (0, REQUIRED):
                    with named(data.port, session, flags) as s:
                        lab.echoes(s)
                        equal(token(s), session, "token")
                    equal(data.resumed[-1], True, f"flags {flags}")


@test
def test_resume_client_demand(lab):
    """What was never there, what another user has, what the server lost."""
    nothing = bytes(range(16))
    for version in VERSIONS:
        with Peer(lab, version) as peer:
            lab.policy(client(peer.port))
            resumes(lab, peer)
            session = wait_for("a session", partial(resumed_by, lab, peer))
            refused(lab, peer, nothing, "there is none of that name")
            with named(peer.port, nothing) as s:
                lab.echoes(s)
                check(token(s) not in (nothing, session), "token of another")
            equal(peer.resumed[-1], False, "a wish is no demand")
            with as_nobody():
                refused(lab, peer, session, "there is none of that name")
            peer.context = lab.tls_server_context("server-ecdsa",
                                                  VERSIONS[version])
            refused(lab, peer, session, "the server has begun a new one")


@test
def test_resume_client_reset(lab):
    """RESET_SESSION: the session is forgotten, the connection goes on."""
    for version in VERSIONS:
        with Peer(lab, version) as peer:
            lab.policy(client(peer.port, adv=CONTROLLED))
            wait_for("a session", lambda: (controlled(lab, peer),
                                           peer.resumed[-1])[1])
            with dial_controlled(lab, peer) as s:
                session = token(s)
                ttls.ask(s, ttls.RESET_SESSION)
                lab.echoes(s)
                controlled(lab, peer)
                equal(peer.resumed[-1], False, "after RESET_SESSION")
                lab.echoes(s)
                equal(token(s), session, "token")
            refused_init(lab, peer, session)
            wait_for("another session", lambda: (controlled(lab, peer),
                                                 peer.resumed[-1])[1])


@contextlib.contextmanager
def dial_controlled(lab, peer):
    with socket.create_connection((LOCALHOST, peer.port)) as s:
        s.settimeout(None)
        ttls.ask(s, ttls.INIT)
        lab.echoes(s)
        yield s


def controlled(lab, peer):
    with dial_controlled(lab, peer):
        pass


def refused_init(lab, peer, session):
    with socket.socket() as s:
        sockopt.attach(s)
        sockopt.put(s, sockopt.SESSION,
                    struct.pack("16sI", session, REQUIRED))
        s.connect((LOCALHOST, peer.port))
        err, _ = ttls.call(s, ttls.INIT)
        check(err, "INIT with a session that was reset")
    logged(lab, peer.port, "there is none of that name")


def workers(lab):
    out = subprocess.run(["pgrep", "-P", str(lab.attlsd.popen.pid)],
                         capture_output=True, text=True, check=True).stdout
    return [int(pid) for pid in out.split()]


def both_workers(lab):
    """When those of the policy before are gone."""
    return wait_for("two workers",
                    lambda: len(workers(lab)) == 2 and workers(lab))


def kill_worker(lab, spared=None):
    """Not that one; another takes the place of who dies."""
    old = both_workers(lab)
    os.kill(next(pid for pid in old if pid != spared), signal.SIGKILL)
    wait_for("another worker", lambda: len(workers(lab)) == len(old)
             and workers(lab) != old)


@test
def test_resume_client_worker_killed(lab):
    """What a worker leaves behind is not looked at: each begins anew."""
    for version in VERSIONS:
        with Peer(lab, version) as peer:
            lab.policy(client(peer.port))
            resumes(lab, peer)
            kill_worker(lab)
            equal(once(lab, peer), False, "after that")
            resumes(lab, peer)


def worker_of(lab, seen):
    """Who has made the handshakes since, by what attlsd traced."""
    pids = wait_for("a handshake", lambda: set(re.findall(
        r"attlsd\[(\d+)\] .* EZD1283I", lab.attlsd.text()[seen:])))
    equal(len(pids), 1, "workers")
    return int(pids.pop())


class LatePeer(Peer):
    """Does not look at a client's Finished, and so sends no tickets, before
    the gate is open."""

    def __init__(self, lab):
        self.gate = threading.Event()
        super().__init__(lab, "TLSv1.3")

    def echo(self, raw):
        raw.settimeout(slow(60))
        seen, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(seen, sent, server_side=True)
        with raw, contextlib.suppress(OSError):
            seen.write(raw.recv(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
            raw.sendall(sent.read())
            while data := raw.recv(65536):
                self.gate.wait(slow(60))
                seen.write(data)
                with contextlib.suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                    tls.write(tls.read(65536))
                raw.sendall(sent.read())
            self.resumed.append(tls.session_reused)


def files_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@test
def test_resume_client_ticket_after_a_death(lab):
    """Tickets of a connection that is older than the death of a worker: what
    that one was to have forgotten, nobody knows."""
    for dies in (False, True):
        with LatePeer(lab) as peer:
            lab.policy(client(peer.port, action="Trace 15"))
            seen = len(lab.attlsd.text())
            files = {pid: files_of(pid) for pid in both_workers(lab)}
            with socket.create_connection((LOCALHOST, peer.port)) as s:
                s.sendall(lab.marker)
                worker = worker_of(lab, seen)
                if dies:
                    kill_worker(lab, worker)
                peer.gate.set()
                equal(recv_exact(s, len(lab.marker)), lab.marker, "echo")
                wait_for("the tickets to be taken",
                         lambda: files_of(worker) == files[worker])
            once(lab, peer)
            wait_for("the end", lambda: len(peer.resumed) == 2)
            equal(peer.resumed[1], not dies, "resumed")


@test
def test_resume_client_drain(lab):
    """Workers that keep sessions of open connections end at once."""
    for version in VERSIONS:
        with Peer(lab, version, tickets=0) as peer:
            mine = client(peer.port, adv=CONTROLLED)
            lab.policy(mine)
            with contextlib.ExitStack() as stack:
                ends = [stack.enter_context(dial_controlled(lab, peer))
                        for _ in range(4)]
                old = workers(lab)
                lab.policy(mine)
                wait_for("the old workers to end", lambda: not any(
                    os.path.exists(f"/proc/{pid}") for pid in old))
                for s in ends:
                    lab.echoes(s)
                    ttls.ask(s, ttls.RESET_SESSION)


def open_files(lab):
    return sum(files_of(pid) for pid in workers(lab))


@contextlib.contextmanager
def few_files(lab, files):
    """attlsd can have no more of them open."""
    path = "/proc/sys/fs/nr_open"
    usual = read(path)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lab.stop_attlsd()
    write(path, files)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    try:
        lab.start_attlsd()
    finally:
        write(path, usual)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    try:
        yield
    finally:
        lab.stop_attlsd()
        lab.start_attlsd()


@test
def test_resume_client_keepers_bounded(lab):
    """Connections whose tickets never come cost a bounded number of files."""
    with Peer(lab, "TLSv1.3", tickets=0) as peer, \
            Peer(lab, "TLSv1.3", tickets=0) as aware:
        lab.policy(client(peer.port) + client(aware.port, adv=CONTROLLED))
        with few_files(lab, 200), contextlib.ExitStack() as stack:
            before = open_files(lab)
            ends = []
            for _ in range(30):
                s = stack.enter_context(socket.create_connection(
                    (LOCALHOST, peer.port)))
                lab.echoes(s)
                ends += [s, stack.enter_context(dial_controlled(lab, aware))]
            now = open_files(lab)
            # A quarter of 200 - 64, twice.
            check(before < now <= before + 68, f"{before}, {now} files")
            for s in ends:
                lab.echoes(s)


NGINX = """
daemon off;
user root;
worker_processes 1;
pid {top}/nginx-{port}.pid;
error_log stderr info;
events {{ worker_connections 256; }}
http {{
  access_log off;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    ssl_protocols {version};
    ssl_session_cache {cache};
    ssl_session_tickets {tickets};
    location / {{ return 200 "<$ssl_session_reused>"; }}
  }}
}}
"""


def page(lab, port):
    """What a web server says to who asks it in clear, as it believes."""
    return load(["curl", "-sS", "--max-time", str(slow(60)),
                 f"http://127.0.0.1:{port}/"])


@test
def test_resume_client_nginx(lab):
    """Tickets of both versions, and session ids; judged by nginx."""
    for version, cache, tickets in (("TLSv1.3", "off", "on"),
                                    ("TLSv1.2", "off", "on"),
                                    ("TLSv1.3", "shared:s:1m", "off"),
                                    ("TLSv1.2", "shared:s:1m", "off")):
        port = lab.next_port()
        conf = script(f"nginx-{port}.conf", NGINX.format(
            top=TOP, port=port, cert=lab.pki.cert("server-ecdsa"),
            key=lab.pki.key("server-ecdsa"), version=version, cache=cache,
            tickets=tickets))
        server = serve(lab, ["nginx", "-c", conf], port)
        lab.policy(client(port))
        check("<.>" in page(lab, port), f"{version}: the first is full")
        wait_for(f"{version}, tickets {tickets}",
                 lambda: "<r>" in page(lab, port))
        server.stop()


@test
def test_resume_client_openssl(lab):
    """openssl s_server; with session ids of TLS 1.2, too."""
    for version, *more in (("-tls1_3",), ("-tls1_2",),
                           ("-tls1_2", "-no_ticket")):
        port = lab.next_port()
        s_server(lab, port, "-www", version, *more)
        lab.policy(client(port))
        check("\nNew, TLS" in page(lab, port), f"{version}: the first")
        wait_for(f"{version} {more}",
                 lambda: "\nReused, TLS" in page(lab, port))


@test
def test_resume_client_gnutls(lab):
    """gnutls-serv, which says so in its output."""
    for version in VERSIONS:
        port = lab.next_port()
        gnutls = lab.process(f"gnutls-{port}", [
            "stdbuf", "-oL", "gnutls-serv", "--echo", "-p", str(port),
            "--disable-client-cert", "--priority",
            f"NORMAL:-VERS-ALL:+VERS-{version.replace('v', '')}",
            "--x509certfile", lab.pki.cert("server-ecdsa"),
            "--x509keyfile", lab.pki.key("server-ecdsa")])
        wait_for("gnutls-serv", lambda: is_listening(port))
        lab.policy(client(port))
        line = lab.marker + b"\n"

        def resumed():
            with socket.create_connection((LOCALHOST, port)) as s:
                s.settimeout(slow(60))
                s.sendall(line)
                equal(recv_exact(s, len(line)), line, "echo")
            return "This is a resumed session" in gnutls.text()
        wait_for(f"a resumed session of {version}", resumed)
