# SPDX-License-Identifier: GPL-2.0-only
"""SOL_ATTLS and TCP_ULP "attls" from several threads, as dice fall, and
without memory.

ATTLS_SEED=N repeats a run of the dice.
"""
import contextlib
import ctypes
import errno
import os
import socket
import struct
import threading

import sockopt
import ttls
from dice import new_dice
from ktap import amount, check, equal, slow, test
from lab import (client, echo_server, in_thread, listen, recv_exact, server,
                 wait_for)
from faults import arm, fired
from t70_inject import RESET, name_of, walk_through_faults
from t80_ioctl import accepted
from t82_ioctl_threads import Page, changing, rounds
from t86_sockopt import errno_of, old_pair


def records(data):
    """The types of TLS records, of which the last may be cut."""
    types = []
    while data:
        types.append(data[0])
        check(data[1:2] in (b"", b"\3"), f"no record: {data[:40]}")
        data = data[5 + int.from_bytes(data[3:5].ljust(2, b"\xff")):]
    return types


def write_until(s, stop):
    """A thread that knows nothing: how its writes ended."""
    def write():
        while not stop.is_set():
            s.sendall(b"x" * 100)
        return 0
    return in_thread(write)


@test(timeout=120)
def test_attach_while_another_writes(lab):
    """What is written before is in clear, what is written after is not."""
    for _ in range(amount(4, 200)):
        lab.policy("# no rule\n")
        with old_pair(lab) as (s, c, port):
            lab.policy(client(port))
            stop = threading.Event()
            thread, _ = write_until(c, stop)
            equal(recv_exact(s, 100), b"x" * 100, "before")
            while errno_of(sockopt.attach, c) == errno.EBUSY:
                s.recv(4096)
            stop.set()
            c.shutdown(socket.SHUT_RDWR)
            got = b""
            with contextlib.suppress(ConnectionResetError):
                while data := s.recv(65536):
                    got += data
            thread.join(slow(60))
            check(not thread.is_alive(), "the writer hangs")
            check(set(records(got.lstrip(b"x"))) <= {22},
                  f"behind the attach: {got.lstrip(b'x')[:60]}")


@test(timeout=120)
def test_name_while_another_connects(lab):
    """The name of before or none: the handshake is one with a right name."""
    port = lab.next_port()
    lab.policy(server(port) + client(port))
    with listen(port) as listener:
        echo_server(listener)
        for _ in range(amount(10, 300)):
            with socket.socket() as c:
                c.settimeout(slow(60))
                sockopt.put(c, sockopt.PEER_NAME, b"server.example")
                gate = threading.Barrier(2)

                def rename(c=c, gate=gate):
                    gate.wait()
                    while True:
                        sockopt.put(c, sockopt.PEER_NAME, b"server.example")
                thread, result = in_thread(rename)
                gate.wait()
                c.connect(("127.0.0.1", port))
                lab.echoes(c)
                thread.join(slow(60))
                equal(result, [errno.EISCONN], "how the other ended")


@test(timeout=120)
def test_attach_by_many(lab):
    """One of them has attached it, and all are told that it is."""
    lab.policy("# no rule\n")
    with old_pair(lab) as (s, c, port):
        lab.policy(server(port))
        gate = threading.Barrier(6)

        def attach():
            gate.wait()
            return sockopt.attach(s)
        asked = [in_thread(attach) for _ in range(6)]
        for thread, _ in asked:
            thread.join(slow(60))
        told = [result[0] for _, result in asked]
        # Who waits for the lock keeps the first from it.
        check(set(told) <= {None, errno.EBUSY} and None in told, f"{told}")
        with lab.tls_client_context().wrap_socket(
                c, server_hostname="server.example") as tls:
            tls.sendall(lab.marker)
            equal(recv_exact(s, len(lab.marker)), lab.marker, "data")


# What a call may say, whatever it was.
ERRORS = {0, errno.EAGAIN, errno.EALREADY, errno.EFAULT, errno.EINPROGRESS,
          errno.EINVAL, errno.EISCONN, errno.ENODATA, errno.ENOPROTOOPT,
          errno.ENOTCONN, errno.EOPNOTSUPP, errno.EPERM, errno.EPIPE,
          errno.EPROTO, errno.ERANGE, errno.EACCES, errno.ECONNRESET}


def random_exporter(dice, page):
    def size(most):
        return dice.choice((0, 1, 32, most, most + 1, dice.getrandbits(32)))

    def pointer():
        return dice.choice((page.start, page.start + page.size - 8, 8,
                            dice.getrandbits(64)))
    return struct.pack("IIIIQQQ", dice.choice((0, 1, 1, dice.getrandbits(32))),
                       size(249), size(65535), size(4096), pointer(),
                       pointer(), pointer())


def throw(dice, sockets, page, n):
    """One random call, with its value at the end of page."""
    sock = dice.choice(sockets)
    option = dice.choice((*range(1, 10), dice.getrandbits(32)))
    data = dice.choice((
        random_exporter(dice, page), bytes(ttls.Ioctl(ver=1)),
        struct.pack("I", dice.choice((0, 1))), b"server.example",
        sockopt.protocols(b"h2", b"http/1.1"),
        struct.pack("16sI", dice.randbytes(16), dice.choice((0, 1, 2))),
        dice.randbytes(dice.randrange(300))))
    if option == sockopt.WAIT and len(data) == 4:
        data = bytes(4)
    at = ctypes.c_void_p(dice.choice((page.put(data), page.put(data), 8)))
    size = dice.choice((len(data), len(data), 0, len(data) + 1,
                        dice.getrandbits(31)))
    if dice.random() < 0.5:
        err = sockopt.put_raw(sock, option, at, size)
    else:
        err, _ = sockopt.get_raw(sock, option, at, size)
    check(err in ERRORS, f"call {n}, option {option}: errno {err}")


@test(timeout=300)
def test_sockopt_random_calls(lab):
    """Whatever is asked for: an errno of the table, and nothing breaks."""
    dice = new_dice()
    page = Page(32)

    def play(n, sockets):
        sockopt.put(sockets[0], sockopt.ALPN, b"")
        for m in range(150):
            throw(dice, sockets, page, (n, m))
        with changing(page, 300):
            for m in range(150, 300):
                throw(dice, [sockets[1], sockets[-1]], page, (n, m))
    rounds(lab, amount(5, 300), play)


def use(lab, port):
    """A program that does all of it; "", or the errno and where."""
    doing = "attach"
    with socket.socket() as s:
        try:
            sockopt.attach(s)
            doing = "name"
            sockopt.put(s, sockopt.PEER_NAME, b"server.example")
            sockopt.put(s, sockopt.ALPN, sockopt.protocols(b"h2"))
            doing = "connect"
            s.connect(("127.0.0.1", port))
            doing = "send"
            s.sendall(lab.marker)
            doing = "recv"
            equal(recv_exact(s, len(lab.marker)), lab.marker, "data")
            doing = "ask"
            sockopt.get(s, sockopt.PEER_CHAIN)
            sockopt.export(s, b"EXPORTER-x", 32, b"context")
            return ""
        except OSError as e:
            return f"{name_of(e)} in {doing}"


@test(debug=True, timeout=600)
def test_inject_sockopt(lab):
    """Attach, wishes, chains and exporters without memory."""
    port = lab.next_port()
    lab.policy(server(port) + client(port))
    with listen(port) as listener:
        echo_server(listener)

        def step(n):
            arm(n)
            outcome = use(lab, port)
            hit = fired()
            # TCP's connect, which goes through ours, says ENOBUFS.
            check(not outcome or
                  outcome.startswith((*RESET, "ENOMEM", "ENOBUFS")), outcome)
            return hit
        equal(walk_through_faults(lab, step), [], "wrong")


def attach_old(lab, n):
    """attach with the n-th allocation of it failing: "", or its errno."""
    lab.policy("# no rule\n")
    with old_pair(lab) as (s, c, port):
        lab.policy(server(port))
        arm(n)
        err = errno_of(sockopt.attach, s)
        hit = fired()
        if err:
            equal(err, errno.ENOMEM, "errno")
            s.sendall(b"goes on in clear")
            equal(recv_exact(c, 16), b"goes on in clear", "data")
        else:
            wait_for("the handshake", lambda: lab.stats()["failed"] or
                     lab.conns())
        return hit


@test(debug=True, timeout=600)
def test_inject_attach(lab):
    """A connection that cannot be attached is as it was."""
    equal(walk_through_faults(lab, lambda n: attach_old(lab, n)), [], "wrong")


@test
def test_sockopt_while_closing(lab):
    """One waits for the handshake, another closes the file."""
    for _ in range(amount(2, 50)):
        with accepted(lab, adv="HandshakeTimeout 3") as (s, _):
            thread, result = in_thread(lambda s=s: sockopt.wait(s))
            thread.join(0.05)
            os.close(s.detach())
            thread.join(slow(60))
            check(not thread.is_alive(), "the waiter hangs")
            equal(result, [errno.ECONNRESET], "wait")
