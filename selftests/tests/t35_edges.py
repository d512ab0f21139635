# SPDX-License-Identifier: GPL-2.0-only
"""No control record is an edge to an edge-triggered waiter, no data is lost.

The waiter asks for EPOLLOUT too, so each wake-up of its socket is an event.
"""
import fcntl
import os
import random
import select
import signal
import socket
import ssl
import struct
import threading

from ktap import check, equal, slow, test
from lab import client, in_thread, listen, recv_exact, wait_for
from rogue import ALERT, CLOSE_NOTIFY, DATA, HANDSHAKE, key_update, ticket
from t35_control import ROLES, rogue_pair, stat

IN, OUT, RDHUP = select.EPOLLIN, select.EPOLLOUT, select.EPOLLRDHUP
EDGE = select.EPOLLET
NOTHING = 0.3			# seconds in which nothing comes


class Waiter:
    """Who waits for the edges of @app; the first is that it can write."""

    def __init__(self, app, flags=EDGE):
        self.app, self.flags = app, flags
        self.epoll = select.epoll()
        self.epoll.register(app, IN | OUT | RDHUP | flags)

    def rearm(self):
        self.epoll.modify(self.app, IN | OUT | RDHUP | self.flags)

    def next(self, timeout=slow(20)):
        """The next event; 0: none."""
        events = self.epoll.poll(timeout)
        return events[0][1] if events else 0

    def one(self, want, what):
        equal(self.next(), want, what)
        self.none(f"after {what}")

    def none(self, what):
        equal(self.next(NOTHING), 0, what)


def tickets_taken(lab, far, *segments):
    """Sends @segments of two tickets in all; returns when they are gone."""
    before = stat(lab, "tickets_received")
    for segment in segments:
        far.sock.sendall(segment)
    wait_for("the tickets to be taken",
             lambda: stat(lab, "tickets_received") == before + 2)


def send_tickets(lab, far, waiter, when):
    """Two in one segment, in two, in pieces."""
    one, two = far.seal(HANDSHAKE, ticket()), far.seal(HANDSHAKE, ticket())
    tickets_taken(lab, far, one + two)
    waiter.none(f"two tickets in a segment {when}")
    one, two = far.seal(HANDSHAKE, ticket()), far.seal(HANDSHAKE, ticket())
    tickets_taken(lab, far, one, two)
    waiter.none(f"two tickets {when}")
    one, two = far.seal(HANDSHAKE, ticket()), far.seal(HANDSHAKE, ticket())
    tickets_taken(lab, far, one[:3], one[3:50], one[50:] + two[:1], two[1:])
    waiter.none(f"tickets in pieces {when}")


@test
def test_edge_ticket_is_none(lab):
    """Before the first data, and later those of a length seen before."""
    app, far = rogue_pair(lab, "client")
    waiter = Waiter(app)
    waiter.one(OUT, "writable")
    send_tickets(lab, far, waiter, "before data")
    far.send(DATA, lab.marker)
    waiter.one(IN | OUT, "the first data")
    equal(recv_exact(app, len(lab.marker)), lab.marker, "data")
    send_tickets(lab, far, waiter, "after data")
    # In one segment with data, which may be as long as they are.
    for data in (lab.marker, lab.marker[:1] * len(ticket())):
        far.sock.sendall(far.seal(HANDSHAKE, ticket()) +
                         far.seal(DATA, data))
        waiter.one(IN | OUT, "a ticket and data")
        equal(recv_exact(app, len(data)), data, "data")
        far.send(DATA, data)
        waiter.one(IN | OUT, "data")
        equal(recv_exact(app, len(data)), data, "data")
    # The end: close_notify and FIN in one segment, behind a ticket.
    far.send(HANDSHAKE, ticket())
    far.sock.send(far.seal(ALERT, bytes([1, CLOSE_NOTIFY])), socket.MSG_MORE)
    far.sock.shutdown(socket.SHUT_WR)
    waiter.one(IN | OUT | RDHUP, "the end")
    equal(app.recv(100), b"", "end")
    app.close()


@test
def test_edge_key_update_is_none(lab):
    """Nor is one that is answered; data as long as control records is."""
    for role in ROLES:
        app, far = rogue_pair(lab, role)
        waiter = Waiter(app)
        waiter.one(OUT, "writable")
        for request in (0, 1):
            before = stat(lab, "key_updates_received")
            far.send_key_update(request)
            wait_for("the key update to be taken", lambda b=before:
                     stat(lab, "key_updates_received") == b + 1)
            waiter.none("a key update")
            for data in (b"12", b"12345", lab.marker):
                far.send(DATA, data)
                waiter.one(IN | OUT, f"{len(data)} bytes")
                equal(recv_exact(app, len(data)), data, "data")
            burst = far.seal(HANDSHAKE, key_update())
            far.tx.update()
            far.sock.sendall(burst + far.seal(DATA, lab.marker))
            waiter.one(IN | OUT, "data behind a key update")
            equal(recv_exact(app, len(lab.marker)), lab.marker, "data")
        app.close()


@test
def test_edge_of_the_end_without_FIN(lab):
    """close_notify alone is told, by a ticket before it or not."""
    for role in ROLES:
        app, far = rogue_pair(lab, role)
        waiter = Waiter(app)
        waiter.one(OUT, "writable")
        burst = b"" if role == "server" else far.seal(HANDSHAKE, ticket())
        far.sock.sendall(burst + far.seal(ALERT, bytes([1, CLOSE_NOTIFY])))
        waiter.one(IN | OUT | RDHUP, "the end")
        equal(app.recv(100), b"", "end")
        app.close()


@test
def test_edge_with_TLS_1_2(lab):
    """Where records say what they are."""
    port = lab.next_port()
    lab.policy(client(port, adv="TLSv1.3 Off"))
    listener = listen(port)
    context = lab.tls_server_context(version=ssl.TLSVersion.TLSv1_2)
    thread, far = in_thread(
        lambda: context.wrap_socket(listener.accept()[0], server_side=True))
    app = socket.create_connection(("127.0.0.1", port), timeout=60)
    thread.join(60)
    waiter = Waiter(app)
    waiter.one(OUT, "writable")
    for _ in range(2):
        far[0].sendall(lab.marker)
        waiter.one(IN | OUT, "data")
        equal(recv_exact(app, len(lab.marker)), lab.marker, "data")
    thread, _ = in_thread(far[0].unwrap)		# waits for ours
    waiter.one(IN | OUT | RDHUP, "the end")
    equal(app.recv(100), b"", "end")
    app.close()
    thread.join(60)
    far[0].close()
    listener.close()


@test
def test_edge_of_who_comes_later(lab):
    """A poll that finds the data tells all; no event is left behind."""
    app, far = rogue_pair(lab, "client")
    poll = select.poll()
    poll.register(app, select.POLLIN)
    far.sock.sendall(far.seal(HANDSHAKE, ticket()) +
                     far.seal(DATA, lab.marker))
    equal(poll.poll(slow(20) * 1000), [(app.fileno(), select.POLLIN)], "poll")
    waiter = Waiter(app)
    waiter.one(IN | OUT, "data that was there")
    equal(recv_exact(app, len(lab.marker)), lab.marker, "data")
    once = Waiter(app, EDGE | select.EPOLLONESHOT)
    once.one(OUT, "writable")
    tickets_taken(lab, far, far.seal(HANDSHAKE, ticket()),
                  far.seal(HANDSHAKE, ticket()))
    once.none("a ticket")
    once.rearm()
    once.one(OUT, "writable")
    once.rearm()
    equal(once.next(), OUT, "writable")
    far.send(DATA, lab.marker)
    check(not waiter.next(NOTHING) & RDHUP, "an end")
    once.rearm()
    once.one(IN | OUT, "data")
    app.close()


def send_anything(far, total, dice):
    """@total bytes of data among tickets and key updates, in any pieces."""
    queue = b""
    while total or queue:
        if total and len(queue) < 4000:
            kind = dice.choice(("data", "data", "ticket", "update"))
            if kind == "ticket":
                queue += far.seal(HANDSHAKE, ticket())
            elif kind == "update" and dice.random() < 0.2:
                queue += far.seal(HANDSHAKE, key_update())
                far.tx.update()
            else:
                size = min(total, dice.choice((1, 2, 5, len(ticket()), 900)))
                queue += far.seal(DATA, bytes(size))
                total -= size
        if not total or dice.random() < 0.4:
            size = dice.randint(1, 2000)
            far.sock.sendall(queue[:size])
            queue = queue[size:]


F_SETSIG, F_SETOWN_EX, F_OWNER_TID = 10, 15, 0


def bytes_received(s):
    """tcpi_bytes_received: who asks does not look at any record."""
    return struct.unpack_from("Q", s.getsockopt(
        socket.SOL_TCP, socket.TCP_INFO, 136), 128)[0]


@test
def test_edge_of_a_signal_behind_tickets(lab):
    """Who asks for SIGIO after tickets came, unread, hears of the data."""
    mine = {signal.SIGRTMIN}
    for role in ROLES:
        app, far = rogue_pair(lab, role)
        tickets = b"".join(far.seal(HANDSHAKE, ticket()) for _ in range(2))
        want = bytes_received(app) + len(tickets)
        far.sock.sendall(tickets)
        wait_for("the tickets", lambda: bytes_received(app) == want)
        signal.pthread_sigmask(signal.SIG_BLOCK, mine)
        try:
            fcntl.fcntl(app, F_SETOWN_EX, struct.pack(
                "ii", F_OWNER_TID, threading.get_native_id()))
            fcntl.fcntl(app, F_SETSIG, signal.SIGRTMIN)
            fcntl.fcntl(app, fcntl.F_SETFL,
                        fcntl.fcntl(app, fcntl.F_GETFL) | os.O_ASYNC)
            far.send(DATA, lab.marker)
            got = signal.sigtimedwait(mine, slow(20))
            check(got and got.si_signo == signal.SIGRTMIN, f"{role}: none")
            equal(recv_exact(app, len(lab.marker)), lab.marker, role)
        finally:
            app.close()
            while signal.sigtimedwait(mine, 0):
                pass
            signal.pthread_sigmask(signal.SIG_UNBLOCK, mine)


@test
def test_edge_is_never_missed(lab):
    """Until EAGAIN and wait again, beside who polls and who reads it all."""
    dice = random.Random(lab.marker)
    size = 20000
    app, far = rogue_pair(lab, "client")
    app.setblocking(False)
    waiter = Waiter(app)
    stop = threading.Event()

    def poller():
        poll = select.poll()
        poll.register(app, select.POLLIN | RDHUP)
        while not stop.is_set():
            poll.poll(1)
    threads = [threading.Thread(target=poller, daemon=True) for _ in range(2)]
    threads.append(threading.Thread(target=send_anything, daemon=True,
                                    args=(far, size, dice)))
    for thread in threads:
        thread.start()
    got = 0
    while got < size:
        check(waiter.next(), f"no edge after {got} of {size} bytes")
        try:
            while data := app.recv(500):
                got += len(data)
        except BlockingIOError:
            pass
    equal(got, size, "bytes")
    stop.set()
    for thread in threads:
        thread.join(60)
    app.close()


@test
def test_edge_and_close(lab):
    """The socket goes away while somebody looks at a ticket."""
    for _ in range(5):
        app, far = rogue_pair(lab, "client")
        waiter = Waiter(app)
        for _ in range(20):
            far.send(HANDSHAKE, ticket())
        waiter.epoll.close()
        app.close()
        far.sock.close()
