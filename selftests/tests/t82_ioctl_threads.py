# SPDX-License-Identifier: GPL-2.0-only
"""SIOCTTLSCTL from several threads and processes, and as dice fall.

ATTLS_SEED=N repeats a run of the dice.
"""
import contextlib
import ctypes
import errno
import mmap
import os
import random
import select
import signal
import socket
import sys
import threading
import time

import ttls
from dice import SEED, new_dice
from ktap import DEBUG_KERNEL, amount, check, equal, slow, test
from lab import in_thread, listen, recv_exact, server, wait_for
from t80_ioctl import CONTROLLED, accepted, pair, secured

LIB = os.path.dirname(os.path.abspath(ttls.__file__))


def shake(lab, c):
    """The other side's handshake: a TLS socket."""
    return lab.tls_client_context().wrap_socket(
        c, server_hostname="server.example")


def is_shaking(lab):
    return [c["state"] for c in lab.conns()] == ["handshake"]


@test
def test_ioctl_many_inits(lab):
    """Of threads that ask at once one has asked, the others are told."""
    with accepted(lab, adv=CONTROLLED) as (s, c):
        s.setblocking(False)
        gate = threading.Barrier(8)

        def ask():
            gate.wait()
            return ttls.call(s, ttls.INIT)[0]
        asked = [in_thread(ask) for _ in range(8)]
        for thread, _ in asked:
            thread.join(slow(60))
        equal(sorted(result[0] for _, result in asked),
              sorted([errno.EINPROGRESS] + [errno.EALREADY] * 7), "errors")
        with shake(lab, c) as tls:
            tls.sendall(lab.marker)
            equal(select.select([s], [], [], slow(60))[0], [s], "readable")
            equal(recv_exact(s, len(lab.marker)), lab.marker, "data")


@test
def test_ioctl_query_waits(lab):
    """QUERY of a blocking socket waits for the handshake, and tells."""
    with accepted(lab, adv=CONTROLLED) as (s, c):
        asked = [in_thread(lambda: ttls.ask(s, ttls.INIT))]
        wait_for("INIT", lambda: is_shaking(lab))
        asked += [in_thread(lambda: ttls.ask(s)) for _ in range(3)]
        time.sleep(0.2)
        check(not any(result for _, result in asked), "it does not wait")
        with shake(lab, c):
            for thread, result in asked:
                thread.join(slow(60))
                equal(result[0].conn, ttls.SECURE, "status")
    with accepted(lab, adv=CONTROLLED) as (s, c):
        asked = [in_thread(lambda: ttls.call(s, ttls.INIT))]
        wait_for("INIT", lambda: is_shaking(lab))
        asked.append(in_thread(lambda: ttls.call(s)))
        time.sleep(0.2)
        c.close()
        for thread, result in asked:
            thread.join(slow(60))
            err, io = result[0]
            equal((err, io.reason), (errno.ECONNRESET, ttls.JR_HANDSHAKE),
                  "the peer has gone")


@test
def test_ioctl_init_behind_a_writer(lab):
    """What a thread is writing goes out in clear, all before the handshake."""
    size = 4 << 20
    with accepted(lab, adv=CONTROLLED) as (s, c):
        writer, _ = in_thread(lambda: s.sendall(b"c" * size))
        wait_for("a full pipe", lambda: not select.select([], [s], [], 0)[1])
        thread, result = in_thread(lambda: ttls.ask(s, ttls.INIT))
        wait_for("INIT", lambda: is_shaking(lab))
        equal(recv_exact(c, size), b"c" * size, "clear data")
        writer.join(slow(60))
        with shake(lab, c) as tls:
            thread.join(slow(60))
            equal(result[0].conn, ttls.SECURE, "status")
            s.sendall(lab.marker)
            equal(recv_exact(tls, len(lab.marker)), lab.marker, "data")


@test
def test_ioctl_poll_over_init(lab):
    """Who waits in poll, by level or edge, is told of data alone."""
    with accepted(lab, adv=CONTROLLED) as (s, c):
        edge = select.epoll()
        edge.register(s, select.EPOLLIN | select.EPOLLET)
        waits = [in_thread(lambda: edge.poll(slow(60))),
                 in_thread(lambda: select.select([s], [], [], slow(60))[0])]
        _, tls = secured(lab, s, c)
        check(not any(result for _, result in waits), "told too early")
        tls.sendall(lab.marker)
        for thread, _ in waits:
            thread.join(slow(60))
        equal([bool(result[0]) for _, result in waits], [True] * 2, "told")
        equal(recv_exact(s, len(lab.marker)), lab.marker, "data")
        edge.close()


@test
def test_ioctl_shutdown_during_init(lab):
    """It takes effect when TLS is up, and INIT ends as ever."""
    with accepted(lab, adv=CONTROLLED) as (s, c):
        thread, result = in_thread(lambda: ttls.ask(s, ttls.INIT))
        wait_for("INIT", lambda: is_shaking(lab))
        s.shutdown(socket.SHUT_RDWR)
        with shake(lab, c) as tls:
            thread.join(slow(60))
            equal(result[0].conn, ttls.SECURE, "status")
            equal(tls.recv(1), b"", "the end")


@test
def test_ioctl_close_during_init(lab):
    """The call keeps the socket, as each call does."""
    with accepted(lab, adv=CONTROLLED) as (s, c):
        fd = s.detach()
        io = ttls.Ioctl(ver=1, req=ttls.INIT)
        thread, result = in_thread(lambda: ttls.raw(fd, ctypes.byref(io)))
        wait_for("INIT", lambda: is_shaking(lab))
        os.close(fd)
        with shake(lab, c) as tls:
            thread.join(slow(60))
            equal((result, io.conn), ([0], ttls.SECURE), "INIT")
            equal(tls.recv(1), b"", "the end")


@test
def test_ioctl_init_interrupted(lab):
    """A signal: EINTR, or the call goes on, and so does the handshake."""
    for restart in (False, True):
        with accepted(lab, adv=CONTROLLED) as (s, c):
            came = []
            old = signal.signal(signal.SIGUSR1, lambda *_: came.append(1))
            signal.siginterrupt(signal.SIGUSR1, not restart)
            me = threading.get_ident()

            def other(c=c, came=came):
                wait_for("INIT", lambda: is_shaking(lab))
                signal.pthread_kill(me, signal.SIGUSR1)
                if not restart:
                    wait_for("the signal", lambda: came)
                shake(lab, c).recv(1)
            thread, _ = in_thread(other)
            try:
                err, io = ttls.call(s, ttls.INIT)
                if not restart:
                    equal(err, errno.EINTR, "interrupted")
                    err, io = ttls.call(s, ttls.INIT)
                equal((err, io.conn), (0, ttls.SECURE), "INIT")
                err, io = ttls.call(s, ttls.INIT)
                equal((err, io.reason), (errno.EALREADY, ttls.JR_ACTIVE),
                      "INIT anew")
                s.sendall(b"x")
                thread.join(slow(60))
            finally:
                signal.signal(signal.SIGUSR1, old)


# Asks for TLS on a socket that it gets, as a user that owns nothing.
STRANGER = f"""
import socket, sys
sys.path.insert(0, {LIB!r})
import ttls
_, fds, _, _ = socket.recv_fds(socket.socket(fileno=0), 1, 1)
s = socket.socket(fileno=fds[0])
assert ttls.ask(s, ttls.INIT).conn == ttls.SECURE
s.sendall(sys.argv[1].encode())
"""


@test
def test_ioctl_of_another_process(lab):
    """A socket by SCM_RIGHTS, of an unprivileged user; fork after INIT."""
    with accepted(lab, adv=CONTROLLED) as (s, c):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            stranger = lab.process(
                "stranger", [sys.executable, "-c", STRANGER,
                             lab.marker.decode()],
                stdin=theirs, user=65534, group=65534, extra_groups=[])
            socket.send_fds(ours, [b"x"], [s.fileno()])
            with shake(lab, c) as tls:
                equal(recv_exact(tls, len(lab.marker)), lab.marker, "data")
                equal(stranger.popen.wait(slow(60)), 0, stranger.text())
                equal(ttls.status(s), (ttls.POL_APPLCNTRL, ttls.SECURE),
                      "status here")
                pid = os.fork()
                if not pid:
                    good = ttls.ask(s).conn == ttls.SECURE
                    s.sendall(lab.marker)
                    os._exit(0 if good else 1)
                equal(os.waitpid(pid, 0)[1], 0, "the child")
                equal(recv_exact(tls, len(lab.marker)), lab.marker, "its data")


@test
def test_ioctl_while_unloading(lab):
    """Calls are answered by the module or not at all, and it goes."""
    stop = threading.Event()
    seen = set()
    with pair(lab.next_port()) as (s, _):
        def ask():
            while not stop.is_set():
                seen.add(ttls.call(s)[0])
        threads = [in_thread(ask)[0] for _ in range(2)]
        try:
            with lab.unloaded():
                wait_for("no answer", lambda: errno.ENOTTY in seen)
        finally:
            stop.set()
            for thread in threads:
                thread.join(slow(60))
    equal(seen, {0, errno.ENOTTY}, "errors")


# int ioctl(int fd, unsigned int command, unsigned int argument), as 32-bit
# programs call it: push %rbx; mov $54, %eax; mov %edi, %ebx; mov %esi, %ecx;
# int $0x80; pop %rbx; ret
IOCTL_32 = bytes.fromhex("53 b836000000 89fb 89f1 cd80 5b c3")


def low_memory(data):
    """An address below 4 GiB where data is, which can be run."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    at = libc.mmap(None, mmap.PAGESIZE, 7, 0x62, -1, 0)  # MAP_32BIT
    ctypes.memmove(at, data, len(data))
    return at


def test_ioctl_of_32_bits(lab):
    """The same structure in the same place, by the other system call."""
    function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_uint,
                                ctypes.c_uint)(low_memory(IOCTL_32))
    at = low_memory(bytes(ttls.Ioctl(ver=1)))
    with accepted(lab, adv=CONTROLLED) as (s, _), \
            pair(lab.next_port()) as (none, _):
        for sock, want in ((s, ttls.POL_APPLCNTRL),
                           (none, ttls.POL_NO_POLICY)):
            equal(function(sock.fileno(), ttls.SIOCTTLSCTL, at), 0, "QUERY")
            equal(ttls.Ioctl.from_address(at).policy, want, "status")
        ttls.Ioctl.from_address(at).ver = 9
        equal(function(s.fileno(), ttls.SIOCTTLSCTL, at), -errno.EINVAL,
              "version")


if not DEBUG_KERNEL:	# it has no such system calls
    test(test_ioctl_of_32_bits)


class Page:
    """Memory with nothing behind it, and what a call may not touch before."""

    def __init__(self, pages=2):
        self.size = pages * mmap.PAGESIZE
        self.map = mmap.mmap(-1, self.size + mmap.PAGESIZE)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        libc = ctypes.CDLL(None)
        equal(libc.mprotect(ctypes.c_void_p(self.start + self.size),
                            mmap.PAGESIZE, 0), 0, "mprotect")

    def put(self, data):
        """data at the end: its address."""
        at = self.size - len(data)
        self.map[:at] = b"\xa5" * at
        self.map[at:self.size] = data
        return self.start + at

    def touched(self, size):
        """True: something but the last size bytes was written to."""
        at = self.size - size
        return self.map[:at] != b"\xa5" * at


# What a call may say, whatever it was.
ERRORS = {0, errno.EACCES, errno.EAGAIN, errno.EALREADY, errno.EFAULT,
          errno.EINPROGRESS, errno.EINVAL, errno.ENOBUFS, errno.ENOTCONN,
          errno.EOPNOTSUPP, errno.EPERM, errno.EPIPE, errno.EPROTO,
          errno.EPROTOTYPE}


def random_buffer(dice):
    """A buffer of version 2, often with something wrong."""
    gets = [dice.choice((1, 2, 3, 4, 5, 0x100, 0x101, 7,
                         (ttls.HOST, b"a.example\0"),
                         (ttls.HOST, dice.randbytes(dice.randrange(300)))))
            for _ in range(dice.choice((0, 1, 3, 9, 64, 70)))]
    sets = [(dice.choice((dice.getrandbits(8), 0x102, 0x103)),
             dice.randbytes(dice.choice((16, dice.randrange(20)))))
            for _ in range(dice.choice((0, 0, 0, 1, 5)))]
    size = dice.choice((44, 60, 100, 500, 4096, 8192, dice.randrange(1, 8192)))
    data = bytearray(ttls.question(*gets, sets=sets, size=size).raw)
    for _ in range(dice.choice((0, 0, 1, 3))):
        at = dice.randrange(size)
        data[at:at + 4] = dice.choice((b"\xff\xff\xff\xff", bytes(4),
                                       dice.randbytes(4)))
    return bytes(data[:size])


def random_argument(dice, page):
    """(Ioctl, size of its buffer in page)."""
    io = ttls.Ioctl(ver=dice.choice((1, 1, 2, 2, 2, dice.getrandbits(8))),
                    req=dice.choice((0, 0, 0, 1, 2, 4, 8, 12, 0x22, 0x40, 0x80,
                                     dice.getrandbits(16))))
    data = b""
    if io.ver == 2 or io.req & 1:
        data = random_buffer(dice)
        io.buffer = page.put(data)
        io.buffer_len = len(data)
    if dice.random() < 0.2:
        io.buffer_len = dice.choice((0, 1, len(data) + 1, 1 << 20,
                                     0xffffffff))
    if dice.random() < 0.1:
        io.buffer = dice.choice((0, 8, page.start + page.size,
                                 (1 << 64) - 64, dice.getrandbits(64)))
    if dice.random() < 0.1:
        io.rsvd3 = dice.getrandbits(32)
    return io, len(data)


@contextlib.contextmanager
def changing(page, size):
    """The last size bytes of page change all the time."""
    stop = threading.Event()

    def change():
        dice = random.Random(SEED)
        while not stop.is_set():
            at = page.size - 1 - dice.randrange(size)
            page.map[at] = dice.getrandbits(8)
    thread = threading.Thread(target=change, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


CHANGING = 1000


def throw(dice, sockets, page, n, spare=0):
    """One random call; the last spare bytes of page may change."""
    io, size = random_argument(dice, page)
    err = ttls.raw(dice.choice(sockets).fileno(), ctypes.byref(io),
                   dice.choice((ttls.SIOCTTLSCTL, ttls.SIOCTTLSCTL,
                                ttls.SIOCTTLSCTL, 0xC000D90B |
                                dice.getrandbits(14) << 16)))
    check(err in ERRORS, f"call {n}: errno {err}")
    check(not size or io.buffer_len != size or
          not page.touched(max(size, spare)),
          f"call {n}: more than the buffer")


def rounds(lab, count, play):
    """play(n, sockets) so often, with sockets of all kinds: the first is in
    clear yet, the second is SECURE."""
    ports = lab.next_port(), lab.next_port()
    lab.policy("".join(server(port, adv=CONTROLLED) for port in ports))
    with pair(lab.next_port()) as (none, _), \
            socket.socket(type=socket.SOCK_DGRAM) as udp, \
            socket.socket(socket.AF_UNIX) as local, \
            listen(lab.next_port()) as listener:
        for n in range(count):
            with pair(ports[0]) as (clear, _), pair(ports[1]) as (s, c), \
                    socket.socket() as new:
                _, tls = secured(lab, s, c)
                sockets = [clear, s, s, none, udp, local, listener, new]
                for each in sockets:
                    each.setblocking(False)
                play(n, sockets)
                tls.close()


@test(timeout=300)
def test_ioctl_random_calls(lab):
    """Whatever is asked for: an errno of the table, and no byte too many."""
    dice = new_dice()
    page = Page()

    def play(n, sockets):
        for m in range(100):
            throw(dice, sockets, page, (n, m))
        with changing(page, CHANGING):
            for m in range(100, 200):
                throw(dice, sockets[1:2], page, (n, m), CHANGING)
    rounds(lab, amount(6, 400), play)
