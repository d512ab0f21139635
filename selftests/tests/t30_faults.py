# SPDX-License-Identifier: GPL-2.0-only
"""Fail closed: no agent, dying agent, bad peers, bad certificates."""
import errno
import os
import select
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

from ktap import check, equal, test
from lab import (both, client, echo_server, listen, recv_exact, rule,
                 serve_one, server, wait_for)
from t20_hold import client_hello

SHORT = "HandshakeTimeout 2"


def connect_errno(port, data=b"x"):
    """What a blocking program gets: errno of connect, send or recv."""
    s = socket.socket()
    s.settimeout(None)
    try:
        s.connect(("127.0.0.1", port))
        s.sendall(data)
        s.recv(1)
        return 0
    except OSError as e:
        return e.errno
    finally:
        s.close()


def first_use(s):
    """A receive that does not wait: the handshake begins."""
    s.setblocking(False)
    try:
        s.recv(1)
    except BlockingIOError:
        pass


def log_lines(lab, *words):
    """Failure lines of this test, from attlsd and the kernel."""
    lines = lab.klog()
    if lab.attlsd:
        lines = lines + lab.attlsd.text().splitlines()
    return [line for line in lines if "EZD1286I" in line and
            all(word in line for word in words)]


@test
def test_agent_stopped(lab):
    """Policy in force, attlsd stopped: ECONNRESET within the timeout."""
    port = lab.next_port()
    lab.policy(both(port, SHORT))
    lab.stop_attlsd()
    listener = listen(port)
    thread, sent = serve_one(listener, lambda c: c.sendall(lab.marker))
    s = socket.socket()
    equal(s.connect_ex(("127.0.0.1", port)), errno.ECONNRESET, "connect")
    s.close()
    thread.join(30)
    check(sent and sent[0] in (errno.ECONNRESET, errno.EPIPE), f"{sent}")
    check(log_lines(lab, f"in{port}") or log_lines(lab, f"out{port}"),
          "no log line")
    listener.close()


@test
def test_agent_never_started_again_but_nonblocking_program(lab):
    """A non-blocking program is told by poll, and never blocked."""
    port = lab.next_port()
    lab.policy(client(port, adv=SHORT))
    lab.stop_attlsd()
    listener = listen(port)
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(("127.0.0.1", port))
    start = time.monotonic()
    for _ in range(10):
        try:
            s.send(lab.marker)
            raise AssertionError("sent in clear")
        except BlockingIOError:
            time.sleep(0.01)
    check(time.monotonic() - start < 1.5, "blocked")
    poll = select.poll()
    poll.register(s, select.POLLOUT)
    check(poll.poll(60000), "poll timed out")
    equal(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
          errno.ECONNRESET, "SO_ERROR")
    s.close()
    listener.close()


@test
def test_agent_killed_in_the_middle(lab):
    """SIGKILL of all workers while handshakes run: reset at once."""
    port = lab.next_port()
    lab.policy(server(port, adv="HandshakeTimeout 60"))
    listener = listen(port)
    peers = []
    for _ in range(5):
        p = socket.create_connection(("127.0.0.1", port))
        p.sendall(client_hello(lab)[:50])
        peers.append(p)
    accepted = [listener.accept()[0] for _ in peers]
    for a in accepted:
        first_use(a)
    wait_for("handshakes", lambda: len(
        [c for c in lab.conns() if c["state"] == "handshake"]) == 5)
    time.sleep(1)
    workers = subprocess.run(["pgrep", "-x", "attlsd"], text=True,
                             capture_output=True, check=True).stdout.split()
    for pid in workers:
        os.kill(int(pid), signal.SIGKILL)
    lab.attlsd.popen.wait()
    lab.processes.remove(lab.attlsd)
    lab.attlsd = None
    start = time.monotonic()
    for a in accepted:
        a.settimeout(30)
        try:
            a.recv(1)
            raise AssertionError("no error")
        except ConnectionResetError:
            pass
    check(time.monotonic() - start < 20, "waited for a timer")
    check(log_lines(lab, "attlsd died"), "no log line")
    for s in accepted + peers:
        s.close()
    listener.close()


@test
def test_restart_does_not_disturb_live_connections(lab):
    """attlsd SIGKILLed, started again, reloaded: connections go on."""
    port = lab.next_port()
    lab.policy(both(port))
    listener = listen(port)
    echo_server(listener)
    old = socket.create_connection(("127.0.0.1", port))
    lab.echoes(old)
    lab.stop_attlsd(signal.SIGKILL)
    lab.echoes(old)
    lab.start_attlsd()
    lab.echoes(old)
    lab.works(port)
    lab.attls("reload")
    lab.echoes(old)
    lab.works(port)
    old.close()
    listener.close()


@test
def test_connection_waits_for_an_agent_that_restarts(lab):
    """A short absence of attlsd is bridged by the queue."""
    port = lab.next_port()
    lab.policy(both(port, "HandshakeTimeout 60"))
    lab.stop_attlsd()
    listener = listen(port)
    echo_server(listener)
    result = []

    def connect():
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(lab.marker)
        result.append(recv_exact(s, len(lab.marker)))
        s.close()
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    time.sleep(1)
    equal(result, [], "before attlsd")
    lab.start_attlsd()
    thread.join(60)
    equal(result, [lab.marker], "after attlsd")
    listener.close()


def bad_peer(port, data, then="wait"):
    """A client that sends data to a server under policy; server's errno."""
    listener = listen(port)
    thread, result = serve_one(listener, lambda c: c.recv(100))
    s = socket.create_connection(("127.0.0.1", port))
    if data:
        s.sendall(data, socket.MSG_OOB if then == "urgent" else 0)
    if then == "rst":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                     struct.pack("ii", 1, 0))
        time.sleep(0.3)
        s.close()
    elif then == "fin":
        s.shutdown(socket.SHUT_WR)
    thread.join(60)
    check(not thread.is_alive(), "server hangs")
    s.close()
    listener.close()
    return result[0]


def expect_reset(lab, what, data, then="wait", adv="", words=()):
    port = lab.next_port()
    lab.policy(server(port, adv=adv))
    before = lab.stats()["failed"]
    equal(bad_peer(port, data, then), errno.ECONNRESET, what)
    wait_for(f"{what}: log line",
             lambda: log_lines(lab, f"in{port}", *words))
    equal(len(log_lines(lab, f"in{port}")), 1, f"{what}: log lines")
    equal(lab.stats()["failed"] - before, 1, f"{what}: counter")


@test
def test_peer_sends_http(lab):
    expect_reset(lab, "HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                 words=("5003",))


@test
def test_peer_sends_garbage(lab):
    expect_reset(lab, "garbage", bytes(range(256)) * 20)


@test
def test_peer_sends_truncated_hello(lab):
    hello = client_hello(lab)
    expect_reset(lab, "truncated", hello[:100], then="fin")


@test
def test_peer_sends_urgent_data(lab):
    """No TLS has any: refused at once, whatever comes behind it."""
    hello = client_hello(lab)
    for n in (1, 4, len(hello)):
        expect_reset(lab, f"urgent byte {n}", hello[:n], then="urgent")


@test(timeout=240)
def test_peer_sends_nothing(lab):
    expect_reset(lab, "silence", b"", adv=SHORT, words=("5004",))


@test(timeout=240)
def test_peer_stops_in_the_middle(lab):
    """Phase 2 of the timer: ten times as long, then reset."""
    expect_reset(lab, "stall", client_hello(lab)[:60],
                 adv="HandshakeTimeout 1", words=("5005",))


@test(timeout=300)
def test_peer_resets_in_each_step(lab):
    """RST after each part of the ClientHello, and after ServerHello."""
    hello = client_hello(lab)
    for n in (0, 1, 5, 6, 100, len(hello)):
        expect_reset(lab, f"RST after {n}", hello[:n], then="rst",
                     adv="HandshakeTimeout 20")


@test
def test_wrong_certificates(lab):
    """Expired, of another authority, of another name: connect fails."""
    for leaf, words in (("expired", ("401",)), ("stranger", ()),
                        ("wrongname", ())):
        port = lab.next_port()
        lab.policy(client(port))
        listener = listen(port)
        echo_server(listener, wrap=lab.tls_server_context(leaf))
        before = lab.stats()["failed"]
        equal(connect_errno(port), errno.ECONNRESET, leaf)
        wait_for(f"{leaf}: log", lambda port=port, words=words: log_lines(
            lab, f"out{port}", *words))
        equal(lab.stats()["failed"] - before, 1, f"{leaf}: counter")
        listener.close()


@test
def test_both_sides_clients(lab):
    """Two TLS clients: a failure, not a hang."""
    port = lab.next_port()
    lab.policy(rule("in", "Inbound", port, "Client", "client", SHORT) +
               client(port, adv=SHORT))
    listener = listen(port)
    echo_server(listener)
    equal(connect_errno(port), errno.ECONNRESET, "connect")
    listener.close()


@test
def test_old_protocol_refused(lab):
    """A TLS 1.2 peer where policy wants 1.3 only."""
    port = lab.next_port()
    lab.policy(server(port, adv="TLSv1.2 Off"))
    listener = listen(port)
    echo_server(listener)
    context = lab.tls_client_context(ssl.TLSVersion.TLSv1_2)
    with socket.create_connection(("127.0.0.1", port)) as raw:
        try:
            context.wrap_socket(raw, server_hostname="server.example")
            raise AssertionError("TLS 1.2 accepted")
        except (ssl.SSLError, ConnectionResetError):
            pass
    listener.close()


@test
def test_application_closes_during_handshake(lab):
    """The handshake goes on; a peer that does not is reset in time."""
    port = lab.next_port()
    lab.policy(server(port, adv="HandshakeTimeout 2"))
    listener = listen(port)
    for _ in range(10):
        p = socket.create_connection(("127.0.0.1", port))
        p.sendall(client_hello(lab)[:20])
        c, _ = listener.accept()
        first_use(c)
        c.close()
        p.settimeout(30)
        try:
            equal(p.recv(10), b"", "peer")
        except ConnectionResetError:
            pass
        p.close()
    wait_for("conns to go", lambda: not lab.conns())
    listener.close()


@test
def test_forged_control_records(lab):
    """Fatal alert from the peer in the middle of data: ECONNRESET."""
    port = lab.next_port()
    lab.policy(server(port))
    listener = listen(port)
    thread, result = serve_one(listener, lambda c: recv_exact(c, 1000))
    with socket.create_connection(("127.0.0.1", port)) as raw:
        tls = lab.tls_client_context().wrap_socket(
            raw, server_hostname="server.example")
        tls.sendall(lab.marker)
        plain = socket.socket(fileno=tls.detach())
        # A record that does not decrypt.
        plain.sendall(b"\x17\x03\x03\x00\x20" + os.urandom(32))
        thread.join(60)
        plain.close()
    equal(result, [errno.ECONNRESET], "receive")
    check(log_lines(lab, "bad record"), "no log line")
    listener.close()


@test
def test_agent_never_started(lab):
    """Rules in the kernel and no attlsd yet: held, then reset."""
    if lab.attlsd:
        lab.stop_attlsd()
    port = lab.next_port()
    lab.attls("hold", lab.write_policy(both(port, SHORT), "hold.conf"))
    listener = listen(port)
    echo_server(listener)
    equal(connect_errno(port, lab.marker), errno.ECONNRESET, "connect")
    listener.close()


def reset(s):
    """close() sends a RST."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@test(timeout=240)
def test_server_misbehaves(lab):
    """A client under policy against servers that are no TLS servers."""
    server_hello = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"
    cases = {
        "RST at once": reset,
        "RST after ClientHello": lambda s: (s.recv(5000), reset(s)),
        "FIN after ClientHello": lambda s: s.recv(5000),
        "garbage": lambda s: (s.recv(5000), s.sendall(os.urandom(500)),
                              s.recv(5000)),
        "banner": lambda s: (s.sendall(b"220 ready\r\n"), s.recv(5000)),
        "half a ServerHello, FIN": lambda s: (
            s.recv(5000), s.sendall(server_hello), s.shutdown(1),
            s.recv(5000)),
        "half a ServerHello, RST": lambda s: (
            s.recv(5000), s.sendall(server_hello), time.sleep(0.3),
            reset(s)),
        "silence": lambda s: (s.recv(5000), s.recv(5000)),
    }
    for what, act in cases.items():
        port = lab.next_port()
        lab.policy(client(port, adv=SHORT))
        before = lab.stats()["failed"]
        listener = listen(port)
        thread, _ = serve_one(listener, act)
        equal(connect_errno(port, lab.marker), errno.ECONNRESET, what)
        wait_for(f"{what}: log line",
                 lambda port=port: log_lines(lab, f"out{port}"))
        equal(len(log_lines(lab, f"out{port}")), 1, f"{what}: log lines")
        equal(lab.stats()["failed"] - before, 1, f"{what}: counter")
        thread.join(30)
        listener.close()


def churn(lab, port, stop, results):
    """Short connections until told to stop: one result each."""
    n = 0
    while not stop.is_set():
        n += 1
        data = lab.marker + b" %d" % n
        try:
            with socket.create_connection(("127.0.0.1", port)) as s:
                s.settimeout(60)
                s.sendall(data)
                got = recv_exact(s, len(data))
                results.append(0 if got == data else got)
        except OSError as e:
            results.append(e)


def churn_while(lab, port, action, times):
    """Runs churning clients while action() is done several times."""
    stop, results = threading.Event(), []
    threads = [threading.Thread(target=churn,
                                args=(lab, port, stop, results), daemon=True)
               for _ in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(times):
        time.sleep(1)
        action()
    wait_for("connections", lambda: len(results) > 50, 60)
    stop.set()
    for thread in threads:
        thread.join(60)
        check(not thread.is_alive(), "a client hangs")
    return results


@test(timeout=240)
def test_reload_under_load(lab):
    """Reloads while short connections come and go: none is lost."""
    port = lab.next_port()
    lab.policy(both(port, "HandshakeTimeout 30"))
    listener = listen(port, backlog=512)
    echo_server(listener)
    results = churn_while(lab, port, lambda: lab.attls("reload"), 6)
    equal([r for r in results if r != 0], [], "failures")
    listener.close()


@test(timeout=240)
def test_agent_killed_under_load(lab):
    """attlsd killed and started again: resets at most, nothing in clear."""
    port = lab.next_port()
    lab.policy(both(port, "HandshakeTimeout 10"))
    listener = listen(port, backlog=512)
    echo_server(listener)

    def kill_and_start():
        lab.stop_attlsd(signal.SIGKILL)
        lab.start_attlsd()
    results = churn_while(lab, port, kill_and_start, 4)
    odd = [r for r in results if r != 0 and r != b"" and not
           isinstance(r, ConnectionResetError)]
    equal(odd, [], "results")
    check(results.count(0) > 20, "hardly a connection came up")
    listener.close()


@test
def test_nothing_is_left(lab):
    """After all this: no conn, and the module can be unloaded."""
    wait_for("conns to go", lambda: not lab.conns())
    lab.unload()
    lab.load()
