# SPDX-License-Identifier: GPL-2.0-only
"""Any calls on any records: what is read is the data, all of it, in order.

The peer sends data, tickets, key updates and records of nothing as dice
fall, split and joined as they come; the application reads with whatever call
the dice choose.  ATTLS_SEED=N repeats a run.
"""
import fcntl
import os
import random
import select
import socket
import struct
import termios
import threading

from ktap import FULL, Failed, check, equal, test
from rogue import (ALERT, CLOSE_NOTIFY, DATA, HANDSHAKE, key_update, ticket)
from t35_control import ROLES, rogue_pair

CONNECTIONS = 200 if FULL else 12
RECORDS = 60
SIZES = (1, 2, 10, 60, 100, 500, 1000, 5000, 16000)


def send_records(dice, far, data, done):
    """The stream @data as records, with others between, then the end."""
    at, wire, quiet = 0, b"", 0
    try:
        while at < len(data) or wire:
            what = dice.random()
            if at == len(data) or (wire and what < 0.3):
                cut = dice.randrange(len(wire)) if what < 0.1 else len(wire)
                far.sock.sendall(wire[:cut])
                wire = wire[cut:]
            elif what < 0.4 and quiet < 20:
                quiet += 1
                kind = dice.choice((ticket(), key_update(dice.getrandbits(1)),
                                    b""))
                wire += far.seal(HANDSHAKE if kind else DATA, kind)
                if len(kind) == 5:
                    far.tx.update()
            else:
                quiet = 0
                size = dice.choice(SIZES)
                wire += far.seal(DATA, data[at:at + size],
                                 dice.choice((0, 0, 7)))
                at += size
        far.send(ALERT, bytes([1, CLOSE_NOTIFY]))
        far.sock.shutdown(socket.SHUT_WR)
        done.append(True)
    except OSError as e:
        done.append(e)


class Reader:
    """Reads @want from @sock with random calls."""

    def __init__(self, dice, sock, want):
        self.dice, self.sock, self.want = dice, sock, want
        self.at = 0
        self.lowat = 1
        self.calls = []
        self.pipe = os.pipe()

    def close(self):
        for fd in self.pipe:
            os.close(fd)

    def left(self):
        return len(self.want) - self.at

    def same(self, got, what):
        want = self.want[self.at:self.at + len(got)]
        if got != want:
            raise Failed(f"{what} at {self.at}: {len(got)} bytes, not those")

    def take(self, got, what):
        self.same(got, what)
        self.at += len(got)

    def ended(self, got, what):
        """No data is the end, and the end is where the data ends."""
        check(got or not self.left(),
              f"{what}: the end at {self.at} of {len(self.want)}")
        return not got

    def recv(self, flags, blocking):
        size = self.dice.choice(SIZES)
        what = f"recv({size}, {flags:#x})"
        try:
            got = self.sock.recv(size, flags)
        except BlockingIOError:
            check(not blocking, f"{what}: EAGAIN")
            return False
        if self.ended(got, what):
            return True
        least = size if flags & socket.MSG_WAITALL else self.lowat
        if blocking:
            check(len(got) >= min(least, size, self.left()),
                  f"{what} gave {len(got)}, SO_RCVLOWAT {self.lowat}")
        if flags & socket.MSG_TRUNC:
            self.at += len(got)
        elif flags & socket.MSG_PEEK:
            self.same(got, what)
        else:
            self.take(got, what)
        return False

    def call_recv(self):
        return self.recv(0, True)

    def call_recv_waitall(self):
        return self.recv(socket.MSG_WAITALL, True)

    def call_recv_dontwait(self):
        return self.recv(socket.MSG_DONTWAIT, False)

    def call_recv_trunc(self):
        return self.recv(socket.MSG_TRUNC | socket.MSG_DONTWAIT, False)

    def call_peek(self):
        return self.recv(socket.MSG_PEEK, True)

    def call_peek_dontwait(self):
        return self.recv(socket.MSG_PEEK | socket.MSG_DONTWAIT, False)

    def call_recvmsg(self):
        parts = [bytearray(self.dice.choice(SIZES)) for _ in range(3)]
        n, _, flags, _ = self.sock.recvmsg_into(parts)
        equal(flags, 0, "recvmsg: msg_flags")
        got = b"".join(parts)[:n]
        if self.ended(got, "recvmsg"):
            return True
        self.take(got, "recvmsg")
        return False

    def call_splice(self):
        size = self.dice.choice(SIZES)
        n = os.splice(self.sock.fileno(), self.pipe[1], size)
        if self.ended(b"x" * n, "splice"):
            return True
        self.take(os.read(self.pipe[0], n), "splice")
        return False

    def call_fionread(self):
        n = struct.unpack("i", fcntl.ioctl(self.sock, termios.FIONREAD,
                                           bytes(4)))[0]
        check(n <= self.left(), f"FIONREAD {n}, left {self.left()}")
        if n:
            got = self.sock.recv(n, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            equal(len(got), n, "what FIONREAD has promised")
        return False

    def call_poll(self):
        poll = select.poll()
        poll.register(self.sock, select.POLLIN | select.POLLRDHUP)
        events = dict(poll.poll(self.dice.choice((0, 20))))
        if events.get(self.sock.fileno(), 0) & select.POLLIN:
            try:
                self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except BlockingIOError as e:
                raise Failed("poll says POLLIN, recv EAGAIN") from e
        return False

    def call_lowat(self):
        self.lowat = self.dice.choice((1, 1, 50, 200, 2000))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT,
                             self.lowat)
        return False

    def run(self):
        calls = sorted(name for name in dir(self) if name.startswith("call_"))
        ended = False
        while not ended:
            name = self.dice.choice(calls)
            self.calls.append(name)
            ended = getattr(self, name)()
        equal(self.at, len(self.want), "bytes read")
        equal(self.sock.recv(10), b"", "once more")


def one_connection(lab, seed):
    dice = random.Random(seed)
    app, far = rogue_pair(lab, ROLES[seed % 2])
    app.settimeout(None)
    size = sum(dice.choice(SIZES) for _ in range(RECORDS))
    data = (lab.marker * (size // len(lab.marker) + 1))[:size]
    reader, done = Reader(dice, app, data), []
    thread = threading.Thread(target=send_records, daemon=True,
                              args=(random.Random(seed + 1), far, data, done))
    thread.start()
    try:
        reader.run()
    except (Failed, OSError) as e:
        raise Failed(f"ATTLS_SEED={seed}: {e}; the last calls: "
                     f"{' '.join(reader.calls[-8:])}; peer {done}") from e
    finally:
        app.close()
        reader.close()
    thread.join(60)
    equal(done, [True], f"ATTLS_SEED={seed}: the peer")
    far.sock.close()


@test(timeout=3000 if FULL else 300)
def test_any_calls_on_any_records(lab):
    """A stream read by random calls, from records as random."""
    seed = os.environ.get("ATTLS_SEED")
    if seed:
        one_connection(lab, int(seed))
        return
    first = random.SystemRandom().randrange(1 << 30)
    for seed in range(first, first + CONNECTIONS):
        one_connection(lab, seed)
