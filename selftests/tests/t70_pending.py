# SPDX-License-Identifier: GPL-2.0-only
"""Handshakes that do not go on: silent, slow, cut, too many, no memory."""
import contextlib
import errno
import mmap
import queue
import random
import re
import resource
import select
import socket
import subprocess
import threading
import time

from engines import VERSIONS, CutEngine, Engine, SlowEngine, reset
from ktap import amount, check, equal, slow, test
from lab import (MODULE, both, client, echo_server, listen, read, recv_exact,
                 server, wait_for, write)
from storm import Books, Load, check_result

LONG = "HandshakeTimeout 300"		# no timer comes to the rescue


class Silent:
    """Peers that connect and say nothing, and the program they are with."""

    def __init__(self, port, n):
        files = 2 * n + 1000
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
        self.epoll = select.epoll()
        self.peers, self.accepted = [], {}
        with listen(port, backlog=4096) as listener:
            while len(self.peers) < n:
                self.add(listener, port, min(500, n - len(self.peers)))

    def add(self, listener, port, n):
        for _ in range(n):
            self.peers.append(socket.create_connection(("127.0.0.1", port)))
        for _ in range(n):
            s, _ = listener.accept()
            s.setblocking(False)
            self.accepted[s.fileno()] = s
            self.epoll.register(s, select.EPOLLIN | select.EPOLLET)

    def collect(self, n, seconds=60):
        """The errno that each of the next n programs is woken with."""
        errors = []
        while len(errors) < n:
            events = self.epoll.poll(slow(seconds))
            check(events, f"only {len(errors)} of {n} were told")
            for fd, _ in events:
                s = self.accepted.pop(fd)
                try:
                    errors.append(len(s.recv(10)))
                except OSError as e:
                    errors.append(e.errno)
                s.close()
        return errors

    def close(self):
        for s in self.peers + list(self.accepted.values()):
            s.close()
        self.epoll.close()


def handshakes(lab):
    return len([c for c in lab.conns() if c["state"] == "handshake"])


@test(timeout=amount(300, 1800))
def test_pending_silent_peers(lab):
    """Thousands of peers say nothing; others are served; all can end."""
    n = amount(2000, 10000)
    silent, busy = lab.next_port(), lab.next_port()
    listener = listen(busy)
    echo_server(listener)
    lab.policy(server(silent, adv=LONG) + both(busy, LONG))
    books = Books(lab)
    crowd = Silent(silent, n)
    wait_for("all handshakes", lambda: handshakes(lab) == n, 60)
    for _ in range(5):
        lab.works(busy)
    failed = lab.stats()["failed"]
    for i, peer in enumerate(crowd.peers):
        if i % 2:
            reset(peer)
        else:
            peer.shutdown(socket.SHUT_WR)
    equal(set(crowd.collect(n)), {errno.ECONNRESET}, "what programs got")
    equal(lab.stats()["failed"] - failed, n, "failed")
    lab.works(busy)
    crowd.close()
    books.settle()
    listener.close()


def resume(lab, crowd, n):
    """Peers that begin to speak at last; their programs get their data."""
    for peer in crowd.peers[:n]:
        engine = Engine(lab, peer, None, False)
        engine.handshake()
        engine.write(lab.marker)
    while n:
        events = crowd.epoll.poll(slow(60))
        check(events, "a program was not told")
        for fd, _ in events:
            equal(crowd.accepted[fd].recv(100), lab.marker, "data")
            n -= 1


@test(timeout=300)
def test_pending_queue_is_full(lab):
    """max_pending: more are reset and counted, those before them are not."""
    bound, more = 40, 25
    parameter = f"{MODULE}/parameters/max_pending"
    port = lab.next_port()
    lab.policy(server(port, adv=LONG))
    books = Books(lab)
    lab.stop_attlsd()
    saved = read(parameter)
    before = lab.stats()
    try:
        write(parameter, bound)
        crowd = Silent(port, bound + more)
        equal(crowd.collect(more), [errno.ECONNRESET] * more, "over it")
        after = lab.stats()
        equal(after["failed_queue_full"] - before["failed_queue_full"], more,
              "failed_queue_full")
        equal(handshakes(lab), bound, "pending")
        lab.start_attlsd()
        live = {s.getpeername() for s in crowd.accepted.values()}
        crowd.peers = [p for p in crowd.peers if p.getsockname() in live]
        resume(lab, crowd, 10)
        equal(lab.stats()["failed"], after["failed"], "failed afterwards")
    finally:
        write(parameter, saved)
    crowd.close()
    books.settle()


@test(timeout=300)
def test_pending_leave_room_for_who_accepts(lab):
    """Connections that nobody accepts take half of max_pending at most."""
    bound, n = 10, 30
    parameter = f"{MODULE}/parameters/max_pending"
    port = lab.next_port()
    lab.policy(server(port, adv=LONG))
    books = Books(lab)
    early = lab.stats()["accepted_before_the_application"]
    lab.stop_attlsd()
    saved = read(parameter)
    try:
        write(parameter, bound)
        listener = listen(port)
        peers = [socket.create_connection(("127.0.0.1", port))
                 for _ in range(n)]
        wait_for("half of it", lambda: handshakes(lab) > bound // 2)
        equal(handshakes(lab), bound // 2 + 1, "pending")
        lab.start_attlsd()
        for peer in peers:
            peer.settimeout(slow(60))
            program, _ = listener.accept()
            engine = Engine(lab, peer, None, False)
            engine.handshake()
            engine.write(lab.marker)
            program.settimeout(slow(60))
            equal(recv_exact(program, len(lab.marker)), lab.marker, "data")
            program.close()
            peer.close()
    finally:
        write(parameter, saved)
    check(lab.stats()["accepted_before_the_application"] - early > bound // 2,
          "accepted early")
    listener.close()
    books.settle()


def slow_peer(lab, raw, version, as_server, seed, results):
    try:
        engine = SlowEngine(lab, raw, version, as_server,
                            random.Random(seed))
        engine.handshake()
        if as_server:
            engine.write(engine.read(len(lab.marker)))
            results.put(lab.marker)
        else:
            engine.write(lab.marker)
            results.put(engine.read(len(lab.marker)))
    except OSError as e:
        results.put(e)


@test(timeout=300)
def test_pending_slow_clients(lab):
    """A crowd of clients, each a few bytes at a time."""
    n = amount(20, 200)
    for name, version in VERSIONS.items():
        port = lab.next_port()
        lab.policy(server(port, adv=LONG))
        listener = listen(port)
        echo_server(listener)
        results = queue.Queue()
        for i in range(n):
            raw = socket.create_connection(("127.0.0.1", port))
            threading.Thread(target=slow_peer, daemon=True, args=(
                lab, raw, version, False, i, results)).start()
        for _ in range(n):
            equal(results.get(timeout=slow(60)), lab.marker, name)
        listener.close()


@test(timeout=300)
def test_pending_slow_servers(lab):
    """A crowd of programs whose servers send a few bytes at a time."""
    n = amount(20, 200)
    for name, version in VERSIONS.items():
        port = lab.next_port()
        lab.policy(client(port, adv=LONG))
        listener = listen(port)
        results, echoed = queue.Queue(), queue.Queue()

        def program(port=port, echoed=echoed):
            try:
                lab.works(port)
                echoed.put(0)
            except OSError as e:
                echoed.put(e)
        for i in range(n):
            threading.Thread(target=program, daemon=True).start()
            raw, _ = listener.accept()
            threading.Thread(target=slow_peer, daemon=True, args=(
                lab, raw, version, True, i, results)).start()
        for _ in range(n):
            equal(results.get(timeout=slow(60)), lab.marker, name)
            equal(echoed.get(timeout=slow(60)), 0, name)
        listener.close()


def use(lab, s, outcomes, port=None):
    """A program and its connection, or one to make; what came of it."""
    with s:
        try:
            s.settimeout(slow(20))
            if port:
                s.connect(("127.0.0.1", port))
            s.sendall(lab.marker)
            outcomes.put(len(s.recv(100)))
        except TimeoutError:
            outcomes.put("hangs")
        except OSError as e:
            outcomes.put(e.errno)


def serve_all(lab, listener, outcomes):
    """A program that serves one after the other; the errno of each."""
    def serve():
        try:
            while True:
                use(lab, listener.accept()[0], outcomes)
        except OSError:
            pass
    listener.settimeout(None)
    threading.Thread(target=serve, daemon=True).start()


def cuts(lab, what, one_cut):
    """one_cut(n) for n = 0, ... until the handshake comes to its end.

    Each ends in a reset that the program hears of, and is counted: before
    it was secure, or as what it was cut off.  Returns what was wrong.
    """
    before, count, wrong = lab.stats(), 0, []
    stride = amount(97, 1)
    n = 0
    while True:
        complete, outcome = one_cut(n)
        count += 1
        if outcome not in (errno.ECONNRESET, errno.EPIPE):
            wrong.append(f"{what} after {n} bytes: {outcome}")
        if complete:
            break
        check(n < 20000, f"{what}: no end")
        # Byte by byte where there is most to be wrong.
        n += 1 if n < 8 else stride
    wait_for("conns to go", lambda: not lab.conns())
    after = lab.stats()
    delta = {k: after[k] - before[k] for k in after}
    if delta["failed"] - delta["failed_truncated"] + \
            delta["connections_secured"] != count:
        wrong.append(f"{what}: {count} cuts counted as {delta}")
    print(f"# {what}: {count} cuts, the last after {n} bytes")
    return wrong


def ends_at_each_byte(lab, role):
    """RST and FIN at each byte that a peer sends in the handshake."""
    wrong = []
    is_server = role == "server"
    for name, version in VERSIONS.items():
        for how in ("RST", "FIN"):
            port = lab.next_port()
            lab.policy((client if is_server else server)(port, adv=LONG))
            listener = listen(port)
            outcomes = queue.Queue()
            if not is_server:
                serve_all(lab, listener, outcomes)

            def one_cut(n, port=port, version=version, how=how,
                        outcomes=outcomes, listener=listener):
                if is_server:
                    threading.Thread(target=use, daemon=True, args=(
                        lab, socket.socket(), outcomes, port)).start()
                    raw, _ = listener.accept()
                else:
                    raw = socket.create_connection(("127.0.0.1", port))
                done = CutEngine(lab, raw, version, is_server, n, how).run()
                outcome = outcomes.get(timeout=slow(60))
                raw.close()
                return done, outcome
            wrong += cuts(lab, f"{name} {role}, {how}", one_cut)
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
    equal(wrong, [], "wrong")


@test(timeout=amount(600, 3600))
def test_pending_client_ends_at_each_byte(lab):
    ends_at_each_byte(lab, "client")


@test(timeout=amount(600, 3600))
def test_pending_server_ends_at_each_byte(lab):
    ends_at_each_byte(lab, "server")


def held_by_tcp():
    """In pages, and to a megabyte for each processor: TCP counts so."""
    return int(re.search(r"^TCP: .* mem (\d+)", read("/proc/net/sockstat"),
                         re.M)[1])


def tcp_limits(lab, limits):
    """Programs that do not read hold 16 MB, to be over limits for sure."""
    path = "/proc/sys/net/ipv4/tcp_mem"
    saved, held = read(path), []
    with listen(lab.next_port()) as listener:
        while held_by_tcp() < 4096:
            s = socket.create_connection(listener.getsockname())
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            s.setblocking(False)
            held += [s, listener.accept()[0]]
            with contextlib.suppress(BlockingIOError):
                while True:
                    s.send(bytes(65536))
    write(path, limits)

    def restore():
        write(path, saved.replace("\t", " "))
        for s in held:
            s.close()
    return restore


@test(timeout=300)
def test_pending_tcp_is_full(lab):
    """TCP may queue nothing: all wait, and go on when it may again."""
    port = lab.next_port()
    lab.policy(both(port, LONG))
    books = Books(lab)
    restore = tcp_limits(lab, "0 1 64")
    try:
        load = Load(lab, port, amount(50, 1000), live=0)
        wait_for("connections", lab.conns)
        time.sleep(slow(5))
        check(load.running(), "there was no limit")
    finally:
        restore()
    check_result(load.end(), least=1)
    books.settle()


def tcp_is_short(lab):
    """TCP is under pressure for as long as it may."""
    return tcp_limits(lab, "0 1 1000000")


def memory_is_short(_):
    """A hog leaves a quarter of a gigabyte."""
    for line in read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) << 10
    hog = mmap.mmap(-1, free - (256 << 20),
                    mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS |
                    mmap.MAP_POPULATE)
    return hog.close


def cgroup_is_short(_):
    """The kernel reclaims from what we start all the time."""
    top, ours = "/sys/fs/cgroup", "/sys/fs/cgroup/attls-short"
    write(f"{top}/cgroup.subtree_control", "+memory")
    subprocess.run(["mkdir", "-p", ours], check=True)
    write(f"{ours}/memory.high", 16 << 20)
    write(f"{ours}/cgroup.procs", 0)

    def restore():
        write(f"{top}/cgroup.procs", 0)
    return restore


@test(timeout=amount(600, 1800))
def test_pending_memory_is_short(lab):
    """Connections work or are reset; with memory back, all work."""
    port = lab.next_port()
    lab.policy(both(port, LONG))
    books = Books(lab)
    for shorten in (tcp_is_short, memory_is_short, cgroup_is_short):
        restore = shorten(lab)
        try:
            result = Load(lab, port, amount(100, 3000), live=0).end()
        finally:
            restore()
        print(f"# {shorten.__name__}: {result}")
        check_result(result, least=0)
        check_result(Load(lab, port, 20).end(), least=1)
        wait_for("conns to go", lambda: not lab.conns())
    books.settle()
