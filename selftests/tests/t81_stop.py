# SPDX-License-Identifier: GPL-2.0-only
"""SIOCTTLSCTL: the end of TLS on a live connection, and new keys.

What is sent under TLS is the marker, which the oracle looks for on the wire.
"""
import contextlib
import errno
import os
import select
import signal
import socket
import ssl
import struct
import threading

import ttls
from engines import VERSIONS, Engine, reset
from ktap import amount, check, equal, slow, test
from lab import (NAME, client, in_thread, read, recv_exact, server,
                 wait_for)
from rogue import ALERT, CLOSE_NOTIFY, DATA, HANDSHAKE, Rogue, key_update
from sockopt import TCP_ULP
from t80_ioctl import pair

CONTROLLED = "ApplicationControlled On"
CLEAR = b"in clear again\r\n"


def stat(lab, name):
    return lab.stats()[name]


def joined(thread, result, what):
    """What the call of a thread gave; see in_thread."""
    thread.join(slow(60))
    check(result, f"{what} hangs")
    return result[0]


def init(s, other):
    """INIT on s while other() does the other side's part: its value."""
    thread, result = in_thread(lambda: ttls.call(s, ttls.INIT))
    value = other()
    equal(joined(thread, result, "INIT")[0], 0, "INIT")
    return value


def stop(s):
    """STOP on s in a thread: for stopped()."""
    return in_thread(lambda: ttls.call(s, ttls.STOP))


def stopped(s, call, want=0, reason=ttls.JR_OK):
    err, io = joined(*call, "STOP")
    equal((err, io.reason), (want, reason), "STOP")
    if not want:
        equal((io.conn, ttls.status(s)[1]), (ttls.NOTSECURE,) * 2, "status")


@contextlib.contextmanager
def secured(lab, version=None, adv=CONTROLLED):
    """(s, tls): s is SECURE, its peer an SSLSocket."""
    port = lab.next_port()
    lab.policy(server(port, adv=adv))
    with pair(port) as (s, c):
        context = lab.tls_client_context(version)
        yield s, init(s, lambda: context.wrap_socket(
            c, server_hostname=NAME))


@contextlib.contextmanager
def controlled(lab):
    """(s, c): both sides are under rules, in clear yet, and block."""
    port = lab.next_port()
    lab.policy(server(port, adv=CONTROLLED) + client(port, adv=CONTROLLED))
    with pair(port) as (s, c):
        c.settimeout(None)
        yield s, c


@contextlib.contextmanager
def engine(lab, version, adv=CONTROLLED):
    """The same with a peer that decides what goes into a segment."""
    port = lab.next_port()
    lab.policy(server(port, adv=adv))
    with pair(port) as (s, c):
        far = Engine(lab, c, VERSIONS[version], False)
        init(s, far.handshake)
        yield s, far


def close_notify(far):
    """The bytes of the engine's close_notify, not sent yet."""
    with contextlib.suppress(ssl.SSLWantReadError):
        far.tls.unwrap()
    return far.going.read()


def under_tls(lab, s, tls):
    """The marker in both directions."""
    s.sendall(lab.marker)
    equal(recv_exact(tls, len(lab.marker)), lab.marker, "to the peer")
    tls.sendall(lab.marker)
    equal(recv_exact(s, len(lab.marker)), lab.marker, "from the peer")


def in_clear(s, raw, text=CLEAR):
    s.sendall(text)
    equal(recv_exact(raw, len(text)), text, "to the peer, clear")
    raw.sendall(text)
    equal(recv_exact(s, len(text)), text, "from the peer, clear")


@test
def test_stop(lab):
    """TLS, clear, TLS again, clear again; what was agreed is forgotten."""
    for version in VERSIONS.values():
        with secured(lab, version) as (s, tls):
            for _ in range(2):
                under_tls(lab, s, tls)
                call = stop(s)
                raw = tls.unwrap()
                stopped(s, call)
                equal(ttls.ask(s).protocol, 0, "protocol")
                in_clear(s, raw)
                context = lab.tls_client_context(version)
                tls = init(s, lambda raw=raw, context=context:
                           context.wrap_socket(raw, server_hostname=NAME))
            under_tls(lab, s, tls)


@test
def test_stop_of_a_client(lab):
    """HandshakeRole Client, with the tickets of its server unread."""
    port = lab.next_port()
    lab.policy(client(port, adv=CONTROLLED))
    context = lab.tls_server_context()
    with pair(port) as (s, c):
        c.settimeout(None)
        tls = init(c, lambda: context.wrap_socket(s, server_side=True))
        call = stop(c)
        raw = tls.unwrap()
        stopped(c, call)
        in_clear(c, raw)
        equal(c.getpeername()[1], port, "peer")
        tls = init(c, lambda: context.wrap_socket(raw, server_side=True))
        under_tls(lab, c, tls)


@test
def test_stop_nonblocking(lab):
    """EINPROGRESS, nothing to write until the peer has answered."""
    with secured(lab) as (s, tls):
        s.setblocking(False)
        err, io = ttls.call(s, ttls.STOP)
        equal((err, io.reason, io.conn),
              (errno.EINPROGRESS, ttls.JR_OK, ttls.SECURE), "STOP")
        equal(select.select([s], [s], [], 0), ([], [], []), "ready too early")
        err, io = ttls.call(s, ttls.STOP)
        equal((err, io.reason), (errno.EALREADY, ttls.JR_ACTIVE), "again")
        equal(ttls.call(s, ttls.INIT)[0], errno.EALREADY, "INIT")
        for use in (lambda: s.send(CLEAR), lambda: s.recv(1)):
            try:
                use()
                check(False, "went through")
            except BlockingIOError:
                pass
        raw = tls.unwrap()
        equal(select.select([], [s], [], slow(60))[1], [s], "writable")
        equal(ttls.status(s)[1], ttls.NOTSECURE, "status")
        err, io = ttls.call(s, ttls.STOP)
        equal((err, io.reason), (errno.EALREADY, ttls.JR_ACTIVE), "in clear")
        s.setblocking(True)
        in_clear(s, raw)


BEHIND = {
    "one byte": b"x",
    "a header's length": b"hello",
    "a line": CLEAR,
    "more than a segment": os.urandom(8) + b"y" * 100000,
    "a record's header": b"\x17\x03\x03\x40\x00",
    "a record": b"\x17\x03\x03\x00\x20" + bytes(32),
    "an alert": b"\x15\x03\x03\x00\x02\x01\x00",
}


@test
def test_stop_with_clear_bytes_behind_close_notify(lab):
    """In one segment with the peer's answer; they are the next data."""
    for version in VERSIONS:
        with engine(lab, version) as (s, far):
            for what, text in BEHIND.items():
                call = stop(s)
                far.coming.write(far.raw.recv(65536))	# ours
                far.send(close_notify(far) + text)
                stopped(s, call)
                equal(recv_exact(s, len(text)), text, what)
                in_clear(s, far.raw)
                far = Engine(lab, far.raw, VERSIONS[version], False)
                init(s, far.handshake)


@test
def test_stop_after_the_peer(lab):
    """Its close_notify is an end, and clear bytes behind it are no error."""
    for version in VERSIONS:
        with engine(lab, version) as (s, far):
            for what, text in BEHIND.items():
                far.send(close_notify(far) + text)
                for _ in range(2):
                    equal(select.select([s], [], [s], slow(60))[0], [s],
                          "readable")
                    equal(s.recv(1), b"", f"end before {what}")
                equal(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0,
                      "SO_ERROR")
                s.sendall(lab.marker)	# the other direction is open
                stopped(s, stop(s))
                equal(recv_exact(s, len(text)), text, what)
                equal(far.read(len(lab.marker)), lab.marker, "half-closed")
                far.until(far.tls.unwrap)
                in_clear(s, far.raw)
                far = Engine(lab, far.raw, VERSIONS[version], False)
                init(s, far.handshake)


@test
def test_stop_with_unread_data(lab):
    """Refused until it is read; nothing is lost, TLS goes on."""
    with secured(lab) as (s, tls):
        tls.sendall(lab.marker)
        equal(select.select([s], [], [], slow(60))[0], [s], "readable")
        stopped(s, stop(s), errno.EPROTO, ttls.JR_READ_PENDING)
        equal(s.recv(4), lab.marker[:4], "part")
        stopped(s, stop(s), errno.EPROTO, ttls.JR_READ_PENDING)
        equal(recv_exact(s, len(lab.marker) - 4), lab.marker[4:], "rest")
        under_tls(lab, s, tls)
        call = stop(s)
        raw = tls.unwrap()
        stopped(s, call)
        in_clear(s, raw)


@test
def test_stop_while_a_writer_is_blocked(lab):
    """Refused; what was written arrives under TLS."""
    with secured(lab) as (s, tls):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        want = lab.marker * ((2 << 20) // len(lab.marker))
        thread, result = in_thread(lambda: s.sendall(want))
        wait_for("full buffers",
                 lambda: not select.select([], [s], [], 0)[1])
        stopped(s, stop(s), errno.EPROTO, ttls.JR_WRITE_PENDING)
        check(recv_exact(tls, len(want)) == want, "data")
        joined(thread, result, "writer")
        call = stop(s)
        raw = tls.unwrap()
        stopped(s, call)
        in_clear(s, raw)


@test
def test_stop_with_an_open_record(lab):
    """MSG_MORE: refused until the rest is sent; then all has arrived."""
    with secured(lab) as (s, tls):
        s.send(lab.marker[:8], socket.MSG_MORE)
        stopped(s, stop(s), errno.EPROTO, ttls.JR_WRITE_PENDING)
        s.sendall(lab.marker[8:])
        equal(recv_exact(tls, len(lab.marker)), lab.marker, "data")
        call = stop(s)
        raw = tls.unwrap()
        stopped(s, call)
        in_clear(s, raw)


@test
def test_stop_crosses_data_of_the_peer(lab):
    """Sent before it saw ours: told, read as what it is, and then clear."""
    for version in VERSIONS:
        with engine(lab, version) as (s, far):
            call = stop(s)
            check(far.raw.recv(5, socket.MSG_PEEK), "no close_notify")
            far.write(lab.marker)
            stopped(s, call, errno.EPROTO, ttls.JR_READ_PENDING)
            equal(ttls.status(s)[1], ttls.SECURE, "status")
            equal(recv_exact(s, len(lab.marker)), lab.marker, "data")
            call = stop(s)
            far.send(close_notify(far) + CLEAR)
            stopped(s, call)
            equal(recv_exact(s, len(CLEAR)), CLEAR, "clear")
            far.until(far.tls.unwrap)
            in_clear(s, far.raw)


@test
def test_stop_crosses_data_nonblocking(lab):
    """Readable, not writable; writable when it has been read and all came."""
    with engine(lab, "TLSv1.3") as (s, far):
        s.setblocking(False)
        equal(ttls.call(s, ttls.STOP)[0], errno.EINPROGRESS, "STOP")
        far.write(lab.marker)
        far.send(close_notify(far))
        equal(select.select([s], [s], [], slow(60)), ([s], [], []), "ready")
        equal(recv_exact(s, len(lab.marker)), lab.marker, "data")
        equal(select.select([], [s], [], slow(60))[1], [s], "writable")
        equal(ttls.status(s)[1], ttls.NOTSECURE, "status")
        far.until(far.tls.unwrap)
        s.setblocking(True)
        in_clear(s, far.raw)


@test
def test_stop_when_tcp_ends(lab):
    """EPIPE for what is shut down or reset, before or meanwhile."""
    with secured(lab) as (s, tls):
        s.shutdown(socket.SHUT_WR)
        stopped(s, stop(s), errno.EPIPE)
    with engine(lab, "TLSv1.3") as (s, far):
        far.send(close_notify(far))
        far.raw.shutdown(socket.SHUT_WR)
        equal(s.recv(1), b"", "end")
        stopped(s, stop(s), errno.EPIPE)
    for end in (reset, lambda raw: raw.shutdown(socket.SHUT_WR)):
        with engine(lab, "TLSv1.3") as (s, far):
            call = stop(s)
            far.raw.recv(65536)
            end(far.raw)
            stopped(s, call, errno.EPIPE)
            check(s.fileno() >= 0 and ttls.call(s)[0] == errno.ENOTCONN,
                  "still connected")
    with secured(lab) as (s, tls):
        call = stop(s)
        with tls.unwrap():
            stopped(s, call)
        equal(s.recv(1), b"", "end in clear")


@test
def test_stop_without_an_answer(lab):
    """HandshakeTimeout is the time that the peer has."""
    before = stat(lab, "failed_stop")
    with engine(lab, "TLSv1.3", CONTROLLED + "\nHandshakeTimeout 3") as (s, _):
        stopped(s, stop(s), errno.EPIPE)
    equal(stat(lab, "failed_stop"), before + 1, "failed_stop")


@test
def test_stop_while_others_read_poll_and_write(lab):
    """They go on in clear, and nobody is told of an end."""
    with secured(lab) as (s, tls), contextlib.closing(select.epoll()) as poll:
        poll.register(s, select.EPOLLIN | select.EPOLLRDHUP)
        reader, got = in_thread(lambda: recv_exact(s, len(CLEAR)))
        poller, events = in_thread(lambda: poll.poll(slow(60)))
        call = stop(s)
        wait_for("STOP", lambda: [c for c in lab.conns()
                                  if c["state"] == "stopping"])
        writer, sent = in_thread(lambda: s.sendall(CLEAR))
        equal((got, events, sent), ([], [], []), "went on too early")
        raw = tls.unwrap()
        stopped(s, call)
        equal(recv_exact(raw, len(CLEAR)), CLEAR, "the writer's")
        joined(writer, sent, "writer")
        raw.sendall(CLEAR + CLEAR)	# half of it stays for the poller
        equal(joined(reader, got, "reader"), CLEAR, "the reader's")
        equal(joined(poller, events, "poller"),
              [(s.fileno(), select.EPOLLIN)], "events")


@test
def test_stop_interrupted(lab):
    """A signal: EINTR, or the call goes on, and so does STOP."""
    for restart in (False, True):
        with secured(lab) as (s, tls):
            came = []
            old = signal.signal(signal.SIGUSR1, lambda *_: came.append(1))
            signal.siginterrupt(signal.SIGUSR1, not restart)
            me = threading.get_ident()

            def other(tls=tls, came=came, restart=restart):
                wait_for("STOP", lambda: [c for c in lab.conns()
                                          if c["state"] == "stopping"])
                signal.pthread_kill(me, signal.SIGUSR1)
                if not restart:
                    wait_for("the signal", lambda: came)
                return tls.unwrap()
            peer, raw = in_thread(other)
            try:
                err, io = ttls.call(s, ttls.STOP)
                if not restart:
                    equal(err, errno.EINTR, "interrupted")
                    raw = [joined(peer, raw, "peer")]
                    wait_for("CLEAR", lambda s=s:
                             ttls.status(s)[1] == ttls.NOTSECURE)
                    err, io = ttls.call(s, ttls.STOP)
                equal((err, io.conn), (0, ttls.NOTSECURE), "STOP")
                err, io = ttls.call(s, ttls.STOP)
                equal((err, io.reason), (errno.EALREADY, ttls.JR_ACTIVE),
                      "STOP anew")
                in_clear(s, joined(peer, raw, "peer"))
            finally:
                signal.signal(signal.SIGUSR1, old)


@test
def test_stop_between_calls(lab):
    """Receives of all kinds, under TLS and in clear, as on TCP."""
    def receives(s, far, data):
        size = len(data)
        far.sendall(data[:8])
        equal(s.recv(size, socket.MSG_PEEK), data[:8], "MSG_PEEK")
        far.sendall(data[8:])
        equal(s.recv(size, socket.MSG_WAITALL), data, "MSG_WAITALL")
        far.sendall(data)
        equal(len(s.recv(4, socket.MSG_TRUNC)), 4, "MSG_TRUNC")
        equal(recv_exact(s, size - 4), data[4:], "behind MSG_TRUNC")
        for use in (lambda: s.recv(1, socket.MSG_DONTWAIT), lambda: s.recv(1)):
            try:
                use()
                check(False, "received what was not sent")
            except BlockingIOError:
                pass

    def splices(s, far, data):
        out, into = os.pipe()
        try:
            thread, result = in_thread(
                lambda: os.splice(s.fileno(), into, len(data)))
            far.sendall(data)
            equal(joined(thread, result, "splice"), len(data), "splice")
            equal(os.read(out, len(data)), data, "spliced")
            os.write(into, data)
            equal(os.splice(out, s.fileno(), len(data)), len(data), "into")
            equal(recv_exact(far, len(data)), data, "spliced back")
        finally:
            os.close(out)
            os.close(into)

    with secured(lab) as (s, far):
        for data in (lab.marker, CLEAR):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO,
                         struct.pack("ll", 0, 200000))
            receives(s, far, data)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO,
                         struct.pack("ll", 0, 0))
            splices(s, far, data)
            if data == lab.marker:
                call = stop(s)
                far = far.unwrap()
                stopped(s, call)


@test
def test_stop_twice(lab):
    """Of two threads one stops, the other is told, or waits with it."""
    for _ in range(amount(4, 50)):
        with secured(lab) as (s, tls):
            calls = [stop(s) for _ in range(2)]
            raw = tls.unwrap()
            errors = sorted(joined(*call, "STOP")[0] for call in calls)
            check(errors in ([0, 0], [0, errno.EALREADY]), f"{errors}")
            in_clear(s, raw)


def numbered(s, number, until):
    """Writes numbered lines until told; how many."""
    while not until.is_set() or number % 1000:
        s.sendall(b"%07d\n" % number)
        number += 1
    return number


@test
def test_stop_between_writes(lab):
    """Each line once, in order, under TLS before and in clear afterwards."""
    for _ in range(amount(2, 30)):
        with secured(lab) as (s, tls):
            until = threading.Event()
            writer, result = in_thread(lambda s=s, until=until:
                                       numbered(s, 0, until))

            def answer(tls=tls):
                secret = b"".join(iter(lambda: tls.recv(65536), b""))
                raw = tls.unwrap()
                return secret, raw
            peer, parts = in_thread(answer)
            wait_for("STOP", lambda s=s: not ttls.call(s, ttls.STOP)[0])
            until.set()
            secret, raw = joined(peer, parts, "peer")
            want = 8 * joined(writer, result, "writer")
            text = secret + recv_exact(raw, want - len(secret))
            lines = [int(line) for line in text.split()]
            equal(lines, list(range(want // 8)), "lines")
            in_clear(s, raw)


@test
def test_stop_against_close_and_shutdown(lab):
    """Whoever comes first, nothing hangs and nothing is left."""
    for end in (socket.socket.close,
                lambda s: s.shutdown(socket.SHUT_RDWR)):
        for nonblock in (True, False):
            for answer in (True, False):
                with engine(lab, "TLSv1.3") as (s, far):
                    s.setblocking(not nonblock)
                    dup = s.dup()
                    call = stop(dup)
                    if answer:
                        far.send(close_notify(far))
                    end(s)
                    if answer or nonblock:
                        joined(*call, "STOP")
                    else:
                        reset(far.raw)
                        joined(*call, "STOP")
                    dup.close()
    wait_for("no connection", lambda: not lab.conns())


def tls_in_use():
    """Sockets on which kTLS has keys now."""
    words = read("/proc/net/tls_stat").split()
    return int(words[words.index("TlsCurrTxSw") + 1])


@test(timeout=amount(120, 1200))
def test_stop_and_init_again_and_again(lab):
    """Both sides under rules; data in each phase, nothing left over."""
    before = tls_in_use()
    with controlled(lab) as (s, c):
        for _ in range(amount(20, 1000)):
            init(s, lambda: equal(ttls.call(c, ttls.INIT)[0], 0, "INIT"))
            equal(tls_in_use(), before + 2, "kTLS")
            under_tls(lab, s, c)
            calls = [stop(s), stop(c)]
            for end, call in zip((s, c), calls):
                stopped(end, call)
            equal(tls_in_use(), before, "kTLS")
            in_clear(s, c, os.urandom(3000))
        equal(len(lab.conns()), 2, "connections")


def options_until(s, over):
    """What a thread sees that sets options all the time: "" if it is right."""
    while not over.is_set():
        for value in (1, 0):
            s.setsockopt(socket.SOL_TCP, socket.TCP_NODELAY, value)
            got = s.getsockopt(socket.SOL_TCP, socket.TCP_NODELAY)
            if bool(got) != bool(value):
                return f"TCP_NODELAY: {got} for {value}"
        try:
            s.setsockopt(socket.SOL_TCP, TCP_ULP, b"tls")
            return "another ULP"
        except PermissionError:
            pass
    return ""


@test
def test_stop_while_others_set_options(lab):
    """They find the socket in clear, under TLS, and on the way."""
    with controlled(lab) as (s, c):
        equal(ttls.status(s)[1], ttls.NOTSECURE, "status")	# mapped
        over = threading.Event()
        call = in_thread(lambda: options_until(s, over))
        try:
            for _ in range(amount(5, 200)):
                init(s, lambda: equal(ttls.call(c, ttls.INIT)[0], 0, "INIT"))
                under_tls(lab, s, c)
                calls = [stop(s), stop(c)]
                for end, each in zip((s, c), calls):
                    stopped(end, each)
                in_clear(s, c, os.urandom(3000))
        finally:
            over.set()
        equal(joined(*call, "options"), "", "options")


def rogue(lab, s, c):
    context = lab.tls_client_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    c.setsockopt(socket.SOL_TCP, socket.TCP_NODELAY, 1)
    return init(s, lambda: Rogue(c, context, server_hostname=NAME))


@test
def test_stop_with_a_key_update_in_flight(lab):
    """The peer's, which requests one, and then its close_notify."""
    port = lab.next_port()
    lab.policy(server(port, adv=CONTROLLED))
    with pair(port) as (s, c):
        for _ in range(amount(5, 100)):
            far = rogue(lab, s, c)
            call = stop(s)
            far.send_key_update(1)
            c.sendall(far.seal(ALERT, bytes([1, CLOSE_NOTIFY])) + CLEAR)
            kind, content = far.receive()
            if kind == HANDSHAKE:
                equal(content, key_update(), "answer")
                far.rx.update()
                kind, content = far.receive()
            equal((kind, content), (ALERT, bytes([1, CLOSE_NOTIFY])), "alert")
            stopped(s, call)
            equal(recv_exact(s, len(CLEAR)), CLEAR, "clear")
            equal(far.buffer, b"", "left over")
            in_clear(s, c)


@test
def test_stop_of_a_small_window(lab):
    """kTLS copies what looks like a record: reset, not lost in silence."""
    before = stat(lab, "failed_stop")
    with engine(lab, "TLSv1.3") as (s, far):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        far.send(close_notify(far) + b"\x17\x03\x03\x40\x00" + bytes(8000))
        equal(s.recv(1), b"", "end")
        stopped(s, stop(s), errno.EPROTO, ttls.JR_NOT_CLEAR)
    equal(stat(lab, "failed_stop"), before + 1, "failed_stop")


@test
def test_reset_cipher(lab):
    """A KeyUpdate; RESET_CIPHER has the peer send one too."""
    port = lab.next_port()
    lab.policy(server(port, adv=CONTROLLED))
    with pair(port) as (s, c):
        far = rogue(lab, s, c)
        for req, request in ((ttls.RESET_CIPHER, 1),
                             (ttls.RESET_WRITE_CIPHER, 0),
                             (ttls.RESET_CIPHER, 1)):
            equal(ttls.call(s, req)[0], 0, f"request {req:#x}")
            s.sendall(lab.marker)
            equal(far.receive(), (HANDSHAKE, key_update(request)), "record")
            far.rx.update()
            equal(far.receive_data(len(lab.marker)), lab.marker, "data")
            received = stat(lab, "key_updates_received")
            if request:
                far.send_key_update()
            far.send(DATA, lab.marker)
            equal(recv_exact(s, len(lab.marker)), lab.marker, "data back")
            equal(stat(lab, "key_updates_received") - received, request,
                  "received")


@test
def test_reset_cipher_refused(lab):
    """TLS 1.2 has no key update; in clear there are no keys."""
    with secured(lab, ssl.TLSVersion.TLSv1_2) as (s, tls):
        for req in (ttls.RESET_CIPHER, ttls.RESET_WRITE_CIPHER):
            err, io = ttls.call(s, req)
            equal((err, io.reason, io.conn),
                  (errno.EPROTO, ttls.JR_RENEGOTIATION, ttls.SECURE),
                  f"request {req:#x}")
        under_tls(lab, s, tls)
        call = stop(s)
        tls.unwrap()
        stopped(s, call)
        err, io = ttls.call(s, ttls.RESET_CIPHER)
        equal((err, io.reason), (errno.EPROTO, ttls.JR_OK), "in clear")
    with secured(lab) as (s, _):
        s.shutdown(socket.SHUT_WR)
        equal(ttls.call(s, ttls.RESET_CIPHER)[0], errno.EPIPE, "shut down")


@test
def test_reset_cipher_against_stop(lab):
    """Keys change while data flows, until one side stops TLS."""
    with controlled(lab) as (s, c):
        for _ in range(amount(5, 100)):
            init(s, lambda: equal(ttls.call(c, ttls.INIT)[0], 0, "INIT"))

            def change():
                # Fewer than what passes for a flood.
                errors = [ttls.call(s, ttls.RESET_CIPHER)[0]
                          for _ in range(25)]
                return set(errors) - {0, errno.EPROTO}

            def answer():
                data = b"".join(iter(lambda: c.recv(65536), b""))
                return data, ttls.call(c, ttls.STOP)[0]
            changer, wrong = in_thread(change)
            peer, parts = in_thread(answer)
            for _ in range(10):
                s.sendall(lab.marker)
            wait_for("STOP", lambda: not ttls.call(s, ttls.STOP)[0])
            equal(joined(changer, wrong, "RESET_CIPHER"), set(), "errors")
            equal(joined(peer, parts, "peer"), (lab.marker * 10, 0), "peer")
            in_clear(s, c)
