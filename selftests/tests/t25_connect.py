# SPDX-License-Identifier: GPL-2.0-only
"""connect and accept: in one thread, again after a failure, handed on."""
import errno
import select
import socket
import subprocess
import sys
import threading
import time

from ktap import amount, check, equal, slow, test
from lab import (NAME, TOP, both, client, echo_server, in_thread, listen,
                 recv_exact, rule, serve_one, server, wait_for)


@test
def test_one_thread_connects_to_itself(lab):
    """connect, accept, send, receive: nobody else could accept."""
    for family, host in ((socket.AF_INET, "127.0.0.1"),
                         (socket.AF_INET6, "::1")):
        port = lab.next_port()
        lab.policy(both(port))
        code = f"""
import socket
listener = socket.create_server(("{host}", {port}), family={int(family)})
a = socket.create_connection(("{host}", {port}))
b, _ = listener.accept()
for s in (a, b):
    s.settimeout(60)
a.sendall({lab.marker!r})
assert b.recv(1000) == {lab.marker!r}
b.sendall({lab.marker!r})
assert a.recv(1000) == {lab.marker!r}
"""
        secured = lab.stats()["connections_secured"]
        out = subprocess.run([sys.executable, "-c", code], check=False,
                             capture_output=True, text=True, timeout=100)
        equal(out.returncode, 0, out.stderr)
        equal(lab.stats()["connections_secured"] - secured, 2, "secured")


@test
def test_server_that_accepts_and_waits(lab):
    """The handshake does not wait for the server to use the socket."""
    port = lab.next_port()
    lab.policy(server(port))
    listener = listen(port)
    context = lab.tls_client_context()
    raw = socket.create_connection(("127.0.0.1", port))
    raw.settimeout(60)
    accepted, _ = listener.accept()
    tls = context.wrap_socket(raw, server_hostname=NAME)
    tls.sendall(lab.marker)
    accepted.settimeout(60)
    equal(recv_exact(accepted, len(lab.marker)), lab.marker, "data")
    tls.close()
    accepted.close()
    listener.close()


def failing_then_good(lab, listener):
    """The first peer hangs up in the handshake, the next is an echo."""
    def serve():
        first, _ = listener.accept()
        first.recv(1)
        first.close()
        echo_server(listener, wrap=lab.tls_server_context())
    threading.Thread(target=serve, daemon=True).start()


@test
def test_connect_again_after_a_failed_handshake(lab):
    """Blocking: ECONNRESET, then the same socket connects and works."""
    port = lab.next_port()
    lab.policy(client(port))
    listener = listen(port)
    failing_then_good(lab, listener)
    s = socket.socket()
    equal(s.connect_ex(("127.0.0.1", port)), errno.ECONNRESET, "first")
    equal(s.connect_ex(("127.0.0.1", port)), 0, "second")
    lab.echoes(s)
    s.close()
    listener.close()


@test
def test_connect_again_without_blocking(lab):
    """SO_ERROR, ECONNABORTED once as on TCP, then a new connect."""
    port = lab.next_port()
    lab.policy(client(port))
    listener = listen(port)
    failing_then_good(lab, listener)
    s = socket.socket()
    s.setblocking(False)
    poll = select.poll()
    poll.register(s, select.POLLOUT)
    where = ("127.0.0.1", port)
    equal(s.connect_ex(where), errno.EINPROGRESS, "first")
    check(poll.poll(60000), "no end of the first")
    equal(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
          errno.ECONNRESET, "SO_ERROR")
    equal(s.connect_ex(where), errno.ECONNABORTED, "its echo")
    equal(s.connect_ex(where), errno.EINPROGRESS, "second")
    check(poll.poll(60000), "no end of the second")
    equal(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0, "SO_ERROR")
    lab.echoes(s)
    s.close()
    listener.close()


@test(timeout=300)
def test_reset_in_the_handshake_is_told_each_time(lab):
    """By SO_ERROR, whatever the agent does with the socket just then."""
    port = lab.next_port()
    lab.policy(client(port))
    listener = listen(port)
    rounds = amount(100, 2000)

    def serve():
        for _ in range(rounds):
            s, _ = listener.accept()
            s.recv(1)
            s.close()
    threading.Thread(target=serve, daemon=True).start()
    for _ in range(rounds):
        with socket.socket() as s:
            s.setblocking(False)
            poll = select.poll()
            poll.register(s, select.POLLOUT)
            equal(s.connect_ex(("127.0.0.1", port)), errno.EINPROGRESS,
                  "connect")
            check(poll.poll(slow(60000)), "no end")
            equal(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
                  errno.ECONNRESET, "SO_ERROR")
    listener.close()


@test
def test_connect_again_to_another_place(lab):
    """After a failure under a rule, to where no rule is: plain TCP."""
    port, other = lab.next_port(), lab.next_port()
    lab.policy(client(port))
    listener, plain = listen(port), listen(other)
    serve_one(listener, lambda c: c.recv(1))
    echo_server(plain)
    s = socket.socket()
    equal(s.connect_ex(("127.0.0.1", port)), errno.ECONNRESET, "first")
    equal(s.connect_ex(("127.0.0.1", other)), 0, "second")
    s.settimeout(60)
    s.sendall(b"in clear")
    equal(recv_exact(s, 8), b"in clear", "echo")
    s.close()
    listener.close()
    plain.close()


@test
def test_nagle_and_cork_during_the_handshake(lab):
    """What the application sets while it is held is what it finds."""
    port = lab.next_port()
    lab.policy(client(port))
    listener = listen(port)
    nodelay, cork = socket.TCP_NODELAY, 3
    tcp = socket.SOL_TCP
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(("127.0.0.1", port))
    peer, _ = listener.accept()
    peer.settimeout(60)
    check(peer.recv(1, socket.MSG_PEEK), "no ClientHello")
    equal(s.getsockopt(tcp, nodelay), 0, "default")
    s.setsockopt(tcp, nodelay, 1)
    s.setsockopt(tcp, cork, 1)
    equal((s.getsockopt(tcp, nodelay), s.getsockopt(tcp, cork)), (1, 1),
          "while held")
    s.setsockopt(tcp, cork, 0)
    tls = lab.tls_server_context().wrap_socket(peer, server_side=True)
    s.settimeout(60)
    s.sendall(lab.marker)
    equal(recv_exact(tls, len(lab.marker)), lab.marker, "data")
    tls.sendall(lab.marker)
    equal(recv_exact(s, len(lab.marker)), lab.marker, "data back")
    equal((s.getsockopt(tcp, nodelay), s.getsockopt(tcp, cork)), (1, 0),
          "when secure")
    tls.close()
    s.close()
    listener.close()


@test
def test_socket_handed_to_another_program(lab):
    """A rule by program looks at the one that uses the socket first."""
    port = lab.next_port()
    service = f"{TOP}/attls-service"
    subprocess.run(["cp", "-f", "/usr/bin/socat", service], check=True)
    lab.policy(rule("handed", "Inbound", port, "Server", "server",
                    cond="  Jobname attls-service"))
    listener = listen(port)
    raw = socket.create_connection(("127.0.0.1", port))
    raw.settimeout(60)
    accepted, _ = listener.accept()
    with subprocess.Popen([service, "STDIO", "EXEC:cat"],
                          stdin=accepted.fileno(),
                          stdout=accepted.fileno()) as child:
        accepted.close()
        tls = lab.tls_client_context().wrap_socket(raw, server_hostname=NAME)
        lab.echoes(tls)
        conn, = [c for c in lab.conns() if c["local_port"] == port]
        equal(conn["program"], "attls-service", "the program")
        tls.close()
        raw.close()
        child.wait(60)
    listener.close()


@test
def test_ulp_on_a_socket_that_is_not_connected(lab):
    """kTLS must not learn our tables; it would give them to everybody."""
    port, other = lab.next_port(), lab.next_port()
    lab.policy(both(port) + client(other))
    ended = listen(lab.next_port())
    ended.shutdown(socket.SHUT_RDWR)
    refused = socket.socket()
    equal(refused.connect_ex(("127.0.0.1", other)), errno.ECONNREFUSED,
          "nobody listens")
    for s in (ended, refused, socket.socket()):
        try:
            s.setsockopt(socket.SOL_TCP, 31, b"tls")
            raise AssertionError("allowed")
        except OSError as e:
            equal(e.errno, errno.ENOTCONN, "TCP_ULP")
        s.close()
    listener = listen(port)
    echo_server(listener)
    lab.works(port)
    listener.close()


def send_until_connected(s, data, start):
    """Sends as soon as TCP takes it; the errno if it never does."""
    start.wait()
    while True:
        try:
            return s.send(data)
        except BrokenPipeError:
            continue		# connect has not begun
        except OSError as e:
            if e.errno != errno.ENOTCONN:
                return e.errno


@test(timeout=300)
def test_send_races_connect(lab):
    """A thread is in TCP's send already when connect puts a rule on it."""
    port = lab.next_port()
    lab.policy(both(port))
    listener = listen(port)
    echo_server(listener)
    reset = 0
    for _ in range(amount(100, 2000)):
        s = socket.socket()
        start = threading.Event()
        sender, sent = in_thread(
            lambda s=s, start=start: send_until_connected(s, lab.marker,
                                                          start))
        s.settimeout(None)
        start.set()
        try:
            s.connect(("127.0.0.1", port))
            sender.join(slow(60))
            equal(sent, [len(lab.marker)], "sent")
            s.settimeout(slow(60))
            equal(recv_exact(s, len(lab.marker)), lab.marker, "echo")
        except ConnectionResetError:
            reset += 1
            sender.join(slow(60))
            check(sent, "the sender hangs")
        s.close()
    listener.close()
    return f"{reset} reset"


@test
def test_listen_after_a_connect_that_was_refused(lab):
    """The socket was under a rule for a while, and becomes a listener."""
    port, nobody = lab.next_port(), lab.next_port()
    lab.policy(both(port) + client(nobody))
    s = socket.socket()
    s.bind(("127.0.0.1", port))
    equal(s.connect_ex(("127.0.0.1", nobody)), errno.ECONNREFUSED, "connect")
    s.listen()
    s.settimeout(60)
    echo_server(s)
    lab.works(port)
    s.close()


BLOCKED = """
import socket, sys
l = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
s, _ = l.accept()
while d := s.recv(4096):
    s.sendall(d)
"""


@test
def test_accept_that_waits_when_the_module_is_loaded(lab):
    """It took TCP's table with it; the connection is protected all the same."""
    port = lab.next_port()
    with lab.unloaded():
        program = lab.process("blocked", [sys.executable, "-c", BLOCKED,
                                          str(port)])
        wait_for("accept", lambda: "listening" in program.text())
        time.sleep(1)
    lab.policy(both(port))
    with socket.create_connection(("127.0.0.1", port)) as s:
        lab.echoes(s)
        states = [c["state"] for c in lab.conns()
                  if port in (c["local_port"], c["remote_port"])]
        equal(len(states), 2, f"ends under rules: {states}")


@test
def test_accept_that_waits_when_the_module_is_unloaded(lab):
    """It gives the module up, and takes its connection as TCP does."""
    port = lab.next_port()
    lab.policy(both(port))
    program = lab.process("blocked", [sys.executable, "-c", BLOCKED,
                                      str(port)])
    wait_for("accept", lambda: "listening" in program.text())
    time.sleep(1)
    with lab.unloaded():
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.settimeout(slow(60))
            s.sendall(b"clear")
            equal(recv_exact(s, 5), b"clear", "echo")
