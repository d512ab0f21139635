# SPDX-License-Identifier: GPL-2.0-only
"""Keepers: what the kernel tells who has made a session, and sends for it.

The test is the agent, with keys of its own: no TLS library is in the way.
"""
import contextlib
import ctypes
import errno
import os
import select
import socket
import threading

import agent
import sockopt
import ttls
from ktap import check, equal, slow, test
from lab import client, listen, recv_exact, server, wait_for

CONTROLLED = "ApplicationControlled On"


@contextlib.contextmanager
def device():
    fd = os.open("/dev/attls", os.O_RDWR)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def pair(port):
    """(server's socket, client's) of a connection, both without blocking."""
    with listen(port) as listener, socket.socket() as c:
        c.setblocking(False)
        check(c.connect_ex(("127.0.0.1", port)) in (0, errno.EINPROGRESS),
              "connect")
        s, _ = listener.accept()
        with s:
            s.setblocking(False)
            yield s, c


@contextlib.contextmanager
def connection(lab, adv="", **kw):
    """(server's socket, client's, server's keeper, client's)."""
    port = lab.next_port()
    lab.policy(server(port, adv=adv) + client(port, adv=adv))
    lab.stop_attlsd()
    with device() as dev, pair(port) as (s, c):
        with contextlib.ExitStack() as stack:
            if adv:
                begin(s, c)
            keepers = agent.secure(dev, **kw)
            for keeper in keepers:
                stack.callback(keeper.close)
            wait_for("both ends", lambda: is_writable(s) and is_writable(c))
            yield s, c, *keepers


def begin(*sockets):
    for s in sockets:
        equal(ttls.call(s, ttls.INIT)[0], errno.EINPROGRESS, "INIT")


def is_writable(s):
    return select.select([], [s], [], 0)[1]


def nothing_for(s):
    """The application takes what has come, and finds nothing."""
    try:
        check(False, f"{s.recv(1)} for the application")
    except BlockingIOError:
        pass


def ticket_of(s, keeper):
    """The next ticket that the socket receives, at its keeper."""
    def got():
        nothing_for(s)
        err, kind, message = keeper.event()
        equal(err in (0, errno.EAGAIN), True, f"event: errno {err}")
        equal(err or kind, err or agent.TICKET, "kind")
        return message
    return wait_for("a ticket", got)


def poll(keeper):
    poller = select.poll()
    poller.register(keeper.fd, select.POLLIN)
    return poller.poll(0)[0][1] if poller.poll(0) else 0


def is_over(keeper):
    return poll(keeper) == select.POLLERR | select.POLLHUP


@test
def test_keeper_ticket(lab):
    """A ticket of each length arrives as it was sent, and data around it."""
    with connection(lab) as (s, c, at_server, at_client):
        equal(poll(at_client), 0, "poll before")
        equal(at_client.event()[0], errno.EAGAIN, "event before")
        for length in (5, 132, 133, 1000, agent.TICKET_MAX):
            s.send(lab.marker)
            equal(at_server.send(agent.ticket(length)), 0, f"{length}")
            s.send(lab.marker)
            for _ in range(2):
                wait_for("data", lambda: select.select([c], [], [], 0)[0])
                equal(c.recv(len(lab.marker)), lab.marker, f"{length}: data")
            equal(ticket_of(c, at_client), agent.ticket(length), f"{length}")
        equal(at_client.event()[0], errno.EAGAIN, "event after")


@test
def test_keeper_tickets_with_the_first_data(lab):
    """They do not leave before it, and then in front of it."""
    two = [agent.ticket(300, 1), agent.ticket(2000, 2)]
    with connection(lab, tickets=b"".join(two)) as (s, c, _, at_client):
        c.send(lab.marker)
        wait_for("data", lambda: select.select([s], [], [], 0)[0])
        equal(s.recv(len(lab.marker)), lab.marker, "data of the client")
        nothing_for(c)
        equal(c.getsockopt(socket.SOL_TCP, socket.TCP_INFO, 232)[0], 1,
              "ESTABLISHED")
        equal(at_client.event()[0], errno.EAGAIN, "too early")
        for _ in range(2):
            s.send(lab.marker)
            wait_for("data", lambda: select.select([c], [], [], 0)[0])
            equal(c.recv(len(lab.marker)), lab.marker, "data")
        equal([at_client.event() for _ in two],
              [(0, agent.TICKET, t) for t in two], "tickets")
        equal(at_client.event()[0], errno.EAGAIN, "no more")


@test
def test_keeper_tickets_and_a_client_that_closed(lab):
    """Data of who never reads, and has closed, is the server's."""
    with connection(lab, tickets=agent.ticket(300)) as (s, c, *_):
        c.send(lab.marker)
        c.close()
        wait_for("the end", lambda: select.select([s], [], [], 0)[0])
        s.setblocking(True)
        s.settimeout(slow(60))
        equal(recv_exact(s, len(lab.marker) + 1), lab.marker, "data, and EOF")


@test
def test_keeper_poll(lab):
    """A keeper is readable while a ticket waits; its end is a hang-up."""
    with connection(lab) as (s, c, at_server, at_client):
        equal(at_server.send(agent.ticket(99)), 0, "send")
        wait_for("POLLIN", lambda: nothing_for(c) or poll(at_client))
        equal(poll(at_client), select.POLLIN, "a ticket")
        s.close()
        wait_for("the server's end", lambda: is_over(at_server))
        equal(at_server.event()[0], errno.ECONNRESET, "server's event")
        equal(at_server.send(agent.ticket(99)), errno.ECONNRESET, "no send")
        c.close()
        equal(poll(at_client), select.POLLIN, "the ticket still")
        equal(at_client.event()[1], agent.TICKET, "the ticket")
        check(is_over(at_client), "the end")


@test
def test_keeper_bound(lab):
    """Eight tickets wait for a keeper, more are dropped and counted."""
    with connection(lab) as (s, c, at_server, at_client):
        before = lab.stats()["tickets_dropped"]
        for i in range(11):
            equal(at_server.send(agent.ticket(200, i)), 0, f"{i}")
        wait_for("the drop", lambda: nothing_for(c) or
                 lab.stats()["tickets_dropped"] == before + 3)
        for i in range(8):
            equal(at_client.event(), (0, agent.TICKET, agent.ticket(200, i)),
                  f"{i}")
        equal(at_client.event()[0], errno.EAGAIN, "no more")
        equal(at_server.send(agent.ticket(200, 9)), 0, "another")
        equal(ticket_of(c, at_client), agent.ticket(200, 9), "another")


@test
def test_keeper_no_keeper(lab):
    """Who closes the file, or never kept it, changes nothing."""
    for flags in (0, agent.KEEP):
        with connection(lab, client=flags) as (s, c, at_server, at_client):
            if not flags:
                equal(at_client.event()[0], errno.EINVAL, "no keeper")
                equal(at_client.send(agent.ticket(9)), errno.EINVAL, "same")
            os.close(at_client.fd)
            at_client.fd = os.dup(at_server.fd)
            equal(at_server.send(agent.ticket(99)), 0, "send")
            s.send(lab.marker)
            wait_for("data", lambda: select.select([c], [], [], 0)[0])
            equal(c.recv(len(lab.marker)), lab.marker, "data")
            nothing_for(c)


@test
def test_keeper_refuses(lab):
    """What is no ticket, no size and no right to send is EINVAL."""
    with connection(lab, client=agent.KEEP) as (s, c, at_server, at_client):
        good = agent.ticket(99)
        for bad in (b"", b"\4", b"\4\0\0\0", good[:-1], good + b"x",
                    b"\1" + good[1:], b"\x18\0\0\1\0", bytes(17000)):
            equal(at_server.send(bad), errno.EINVAL, f"{bad[:4]}")
        equal(at_server.send(good, size=20), errno.EINVAL, "size")
        equal(at_client.send(good), errno.EINVAL, "a client")
        equal(at_client.event(room=100)[0], errno.EINVAL, "room")
        equal(at_client.event(size=20)[0], errno.EINVAL, "size of event")
        equal(at_server.send(good), 0, "good")
        wait_for("it", lambda: nothing_for(c) or poll(at_client))
        equal(at_client.event(address=8)[0], errno.EFAULT, "no memory there")
        equal(at_client.event(), (0, agent.TICKET, good), "it is still there")


@test
def test_keeper_install_flags(lab):
    """TICKETS goes with KEEP and TLS 1.3 only."""
    port = lab.next_port()
    lab.policy(server(port))
    lab.stop_attlsd()
    with device() as dev, pair(port), \
            wait_for("a handshake", lambda: agent.accept(dev)) as hs:
        for protocol, flags in ((agent.TLS13, agent.TICKETS),
                                (agent.TLS12, agent.KEEP | agent.TICKETS),
                                (agent.TLS13, 8), (agent.TLS13, 0x8002)):
            fields = agent.Keys(protocol).fields(False, flags)
            equal(hs.install(**fields), errno.EINVAL, f"{flags}")
        good = agent.ticket(99)
        for protocol, bad in ((agent.TLS12, good), (agent.TLS13, good[:-1]),
                              (agent.TLS13, good + good[:4]),
                              (agent.TLS13, b"\1" + good[1:]),
                              (agent.TLS13, good * 700)):
            fields = agent.Keys(protocol).fields(False, 0, bad)
            equal(hs.install(**fields), errno.EINVAL, f"{bad[:4]}")
        keys = agent.Keys(agent.TLS12)
        equal(hs.install(**keys.fields(False, agent.KEEP)), 0, "TLS 1.2")
        equal(hs.install(**keys.fields(False)), errno.ECANCELED, "again")
        equal(hs.event()[0], errno.EAGAIN, "a keeper")


@test
def test_keeper_full_buffer(lab):
    """A ticket never waits: EAGAIN, and later it comes behind the data."""
    with connection(lab) as (s, c, at_server, at_client):
        sent = received = tickets = 0

        def is_full():
            """The peer's window, too, which opens on the way."""
            nonlocal sent, tickets
            with contextlib.suppress(BlockingIOError):
                while True:
                    sent += s.send(bytes(16384))
            err = at_server.send(agent.ticket(300, tickets))
            tickets += not err
            return err == errno.EAGAIN

        def receive():
            nonlocal received
            with contextlib.suppress(BlockingIOError):
                received += len(c.recv(65536))

        def sends():
            receive()
            return at_server.send(agent.ticket(300, tickets)) == 0
        wait_for("a full buffer", is_full)
        wait_for("room", sends)
        wait_for("the data", lambda: receive() or received == sent)
        for i in range(min(tickets + 1, 8)):
            equal(ticket_of(c, at_client), agent.ticket(300, i), f"{i}")


@test
def test_keeper_send_ticket(lab):
    """SEND_SESSION_TICKET tells the keeper; so many, and not a client's."""
    with connection(lab, CONTROLLED) as (s, c, at_server, at_client):
        for i in range(16):
            equal(ttls.call(s, ttls.SEND_SESSION_TICKET)[0], 0, f"{i}")
        equal(ttls.call(s, ttls.SEND_SESSION_TICKET)[0], errno.ENOBUFS, "17")
        for i in range(16):
            equal(at_server.event(), (0, agent.SEND_TICKET, b""), f"{i}")
        equal(at_server.event()[0], errno.EAGAIN, "no more")
        equal(ttls.call(s, ttls.RESET_SESSION)[0], 0, "RESET_SESSION")
        equal(at_server.send(agent.ticket(9)), errno.EINVAL, "forgotten")
        for end in (s, c):
            err, io = ttls.call(end, ttls.SEND_SESSION_TICKET)
            equal((err, io.reason, io.conn), (
                errno.EOPNOTSUPP, ttls.JR_NO_TICKET, ttls.SECURE), "no more")
        os.close(at_server.fd)
        at_server.fd = os.dup(at_client.fd)
        err, io = ttls.call(s, ttls.SEND_SESSION_TICKET)
        equal((err, io.reason), (errno.EOPNOTSUPP, ttls.JR_NO_TICKET),
              "no keeper")
        c.close()
        wait_for("the end", lambda: ttls.call(
            s, ttls.SEND_SESSION_TICKET)[0] in (errno.EPIPE, errno.ENOTCONN,
                                                errno.EOPNOTSUPP))


@test
def test_keeper_forget(lab):
    """RESET_SESSION: full handshakes until the keeper has done it."""
    with connection(lab, CONTROLLED) as (s, c, at_server, at_client), \
            device() as dev:
        port = lab.next_port()

        def seen():
            with pair(port), wait_for(
                    "a handshake", lambda: agent.accept(dev)) as hs:
                return hs.flags & agent.FULL, hs.lost

        def flag():
            now, count = seen()
            equal(count, lost, "sessions lost")
            return now
        lab.policy(server(port))
        lab.stop_attlsd()
        now, lost = seen()
        equal(now, 0, "before")
        for call in (ttls.RESET_SESSION, ttls.RESET_SESSION,
                     ttls.RESET_SESSION | ttls.RESET_CIPHER):
            equal(ttls.call(c, call)[0], 0, f"{call:#x}")
        equal(flag(), agent.FULL, "asked")
        equal(at_client.event(), (0, agent.FORGET, b""), "told once")
        equal(flag(), agent.FULL, "told, and at it")
        equal(at_client.event()[0], errno.EAGAIN, "done")
        equal(flag(), 0, "done")
        equal(ttls.call(c, ttls.RESET_SESSION)[0], 0, "again")
        c.close()
        equal(poll(at_client), select.POLLIN, "also of one that is closed")
        equal(at_client.event(address=8, room=agent.TICKET_MAX),
              (0, agent.FORGET, b""), "closed")
        check(is_over(at_client), "the end")
        equal(flag(), agent.FULL, "at it")
        os.close(at_client.fd)
        at_client.fd = os.dup(at_server.fd)
        lost += 1
        equal(flag(), 0, "the file is closed")
        equal(ttls.call(s, ttls.RESET_SESSION)[0] in (0, errno.ENOTCONN),
              True, "the server's")


@test
def test_keeper_stop_and_init(lab):
    """STOP ends a keeper; the next handshake is not the old file's."""
    with connection(lab, CONTROLLED) as (s, c, at_server, at_client):
        ends = {s: ttls.call(s, ttls.STOP)[0], c: 0}
        equal(ends[s], errno.EINPROGRESS, "STOP")
        wait_for("the close_notify", lambda: ttls.call(c, ttls.STOP)[0] in (
            errno.EINPROGRESS, 0))
        wait_for("the end", lambda: is_over(at_server) and is_over(at_client))
        for end in (s, c):
            wait_for("clear", lambda: ttls.status(end)[1] == ttls.NOTSECURE)
        begin(s, c)
        with device() as dev:
            for hs in (at_server, at_client):
                equal(hs.send(agent.ticket(9)) in (errno.ECONNRESET,
                                                   errno.EINVAL), True, "old")
                check(is_over(hs), "the old file")
                os.close(hs.fd)
                hs.fd = os.open("/dev/null", os.O_RDONLY)
            new = agent.secure(dev)
            s.send(lab.marker)
            wait_for("data", lambda: select.select([c], [], [], 0)[0])
            equal(c.recv(len(lab.marker)), lab.marker, "data")
            for hs in new:
                hs.close()


@test
def test_keeper_session_token(lab):
    """Both interfaces name the session that INSTALL named."""
    with connection(lab, CONTROLLED, protocol=agent.TLS12,
                    server=agent.KEEP) as (s, c, *_):
        tokens = {sockopt.get(end, sockopt.SESSION) for end in (s, c)}
        equal(len(tokens), 1, "one session")
        token = tokens.pop()
        equal((len(token), token[16:]), (20, bytes(4)), "size")
        check(any(token[:16]), "a name")
        for end in (s, c):
            err, _, _, answers = ttls.query(
                end, ttls.question(ttls.SESSION_TOKEN,
                                   sets=((ttls.SESSION_REUSE, token[:16]),)))
            equal((err, answers), (0, [(ttls.Q_TOO_LATE, token[:16]),
                                       (ttls.Q_OK, token[:16])]), "query")


@test
def test_keeper_threads(lab):
    """Tickets, requests, events and the closing of files from all sides."""
    for _ in range(3):
        with connection(lab, CONTROLLED) as (s, c, at_server, at_client):
            stop = threading.Event()

            def tickets():
                while not stop.is_set():
                    at_server.send(agent.ticket(700))
                    at_server.event()

            def requests():
                while not stop.is_set():
                    ttls.call(s, ttls.SEND_SESSION_TICKET)
                    ttls.call(c, ttls.RESET_SESSION)

            def events():
                while not stop.is_set():
                    at_client.event()
                    with contextlib.suppress(OSError):
                        c.recv(4096)
            threads = [threading.Thread(target=run, daemon=True)
                       for run in (tickets, requests, events)]
            for thread in threads:
                thread.start()
            for _ in range(20):
                with contextlib.suppress(BlockingIOError):
                    s.send(lab.marker)
            spare = os.open("/dev/null", os.O_RDONLY)
            os.dup2(spare, at_client.fd)
            with contextlib.suppress(BlockingIOError):
                s.send(lab.marker)
            os.dup2(spare, at_server.fd)
            os.close(spare)
            c.shutdown(socket.SHUT_RDWR)
            stop.set()
            for thread in threads:
                thread.join(slow(60))
                check(not thread.is_alive(), "a thread hangs")
