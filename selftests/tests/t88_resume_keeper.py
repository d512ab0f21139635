# SPDX-License-Identifier: GPL-2.0-only
"""What a server of ours does with its sessions after the handshake.

The clients are OpenSSL's, by Python.
"""
import contextlib
import errno
import socket
import struct

import sockopt
import ttls
from certs import NAME
from ktap import check, equal, slow, test
from lab import in_thread, listen, recv_exact, server, wait_for
from t37_parameters import VERSIONS, logged
from t38_revocation import gsk
from t80_ioctl import CONTROLLED
from t88_resume_client import (LOCALHOST, REQUIRED, kill_worker, token,
                               worker_of)

NO_MORE = gsk("GSK_SESSION_TICKET_SERVER_COUNT 0")
OFF = gsk("GSK_SESSION_TICKET_SERVER_ENABLE Off\nGSK_V3_SIDCACHE_SIZE 0")


class Server:
    """A program that asks for TLS on what it accepts."""

    def __init__(self, lab, version, action=""):
        self.lab = lab
        self.listener = listen(lab.next_port())
        self.port = self.listener.getsockname()[1]
        self.context = lab.tls_client_context(VERSIONS[version])
        lab.policy(server(self.port, adv=CONTROLLED, action=action))

    def accept(self, demand):
        s, _ = self.listener.accept()
        s.settimeout(None)
        if demand:
            sockopt.attach(s)
            sockopt.put(s, sockopt.SESSION, struct.pack(
                "16sI", demand, REQUIRED))
        return s, ttls.call(s, ttls.INIT)[0]

    @contextlib.contextmanager
    def connection(self, session=None, demand=None):
        """(socket of the server, TLS socket of the client)"""
        thread, result = in_thread(lambda: self.accept(demand))
        with socket.create_connection((LOCALHOST, self.port)) as raw:
            raw.settimeout(slow(60))
            with self.context.wrap_socket(raw, server_hostname=NAME,
                                          session=session) as c:
                thread.join(slow(60))
                s, err = result[0]
                with s:
                    check(not err, f"INIT: {errno.errorcode.get(err)}")
                    yield s, c

    def exchange(self, s, c):
        """Each way; so the client has read the tickets before."""
        c.sendall(self.lab.marker)
        equal(recv_exact(s, len(self.lab.marker)), self.lab.marker, "to it")
        s.sendall(self.lab.marker)
        equal(recv_exact(c, len(self.lab.marker)), self.lab.marker, "back")

    def has_ticket(self, s, c):
        self.exchange(s, c)
        return c.session.has_ticket

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


@test(fips="also")
def test_resume_keeper_sends_tickets(lab):
    """SEND_SESSION_TICKET, where the policy has none sent by itself."""
    with Server(lab, "TLSv1.3", NO_MORE) as peer:
        with peer.connection() as (s, c):
            equal(peer.has_ticket(s, c), False, "a ticket before")
            ttls.ask(s, ttls.SEND_SESSION_TICKET)
            wait_for("a ticket", lambda: peer.has_ticket(s, c))
            name, session = token(s), c.session
            equal(len(name), 16, "token")
            with peer.connection(session) as (s2, c2):
                equal((c2.session_reused, token(s2)), (True, name), "resumed")
                ttls.ask(s2, ttls.SEND_SESSION_TICKET)
                wait_for("another ticket", lambda: (
                    peer.has_ticket(s2, c2) and c2.session != session))
                session = c2.session
            with peer.connection(session) as (s3, c3):
                equal((c3.session_reused, token(s3)), (True, name), "again")


@test
def test_resume_keeper_after_a_death(lab):
    """No ticket for a session that a worker may have had to forget."""
    with Server(lab, "TLSv1.3", NO_MORE + "\nTrace 15") as peer:
        seen = len(lab.attlsd.text())
        with peer.connection() as (s, c):
            kill_worker(lab, worker_of(lab, seen))
            ttls.ask(s, ttls.SEND_SESSION_TICKET)
            wait_for("a log line", lambda: "a ticket cannot be made" in
                     lab.attlsd.text()[seen:])
            equal(peer.has_ticket(s, c), False, "a ticket")


@test
def test_resume_keeper_tickets_off(lab):
    """No more of what there is none of, nor in TLS 1.2."""
    for version, action in (("TLSv1.3", OFF), ("TLSv1.2", "")):
        with Server(lab, version, action) as peer:
            with peer.connection() as (s, c):
                err, _ = ttls.call(s, ttls.SEND_SESSION_TICKET)
                equal(err, errno.EOPNOTSUPP, version)
                equal(token(s) == b"", bool(action), "without token")
                peer.exchange(s, c)


@test
def test_resume_keeper_forgets(lab):
    """RESET_SESSION: what resumed it, and its tickets, are worth nothing."""
    for version in VERSIONS:
        with Server(lab, version) as peer:
            with peer.connection() as (s, c):
                peer.exchange(s, c)
                session, name = c.session, token(s)
                with peer.connection(session) as (s2, c2):
                    equal((c2.session_reused, token(s2)), (True, name),
                          "resumed")
                    peer.exchange(s2, c2)
                    ttls.ask(s2, ttls.RESET_SESSION)
                    peer.exchange(s2, c2)
                    session = c2.session
                with peer.connection(session) as (s3, c3):
                    equal(c3.session_reused, False, "after RESET_SESSION")
                    check(token(s3) != name, "another token")
                    peer.exchange(s3, c3)
                    session = c3.session
                with peer.connection(session) as (_, c4):
                    equal(c4.session_reused, True, "the new one")
                peer.exchange(s, c)


@test
def test_resume_keeper_demand(lab):
    """A server that wants the session of another connection, and no other."""
    for version in VERSIONS:
        with Server(lab, version) as peer:
            with peer.connection() as (s, c), peer.connection() as (o, d):
                peer.exchange(s, c)
                peer.exchange(o, d)
                name = token(s)
                with peer.connection(c.session, name) as (s2, c2):
                    equal((c2.session_reused, token(s2)), (True, name),
                          "resumed")
                for session, why in ((None, "the client has resumed none"),
                                     (d.session, "the client has resumed "
                                      + token(o).hex())):
                    is_refused(peer, session, name)
                    logged(lab, peer.port, "the program demands that session "
                           f"{name.hex()} is resumed, but {why}")


def is_refused(peer, session, name):
    """INIT fails; the client may have seen the handshake through."""
    thread, result = in_thread(lambda: peer.accept(name))
    with socket.create_connection((LOCALHOST, peer.port)) as raw:
        raw.settimeout(slow(60))
        with contextlib.suppress(OSError), \
                peer.context.wrap_socket(raw, server_hostname=NAME,
                                         session=session) as c:
            c.recv(1)
    thread.join(slow(60))
    s, err = result[0]
    s.close()
    check(err, f"INIT with {session}")
