# SPDX-License-Identifier: GPL-2.0-only
"""What programs see while the handshake runs, and at the end."""
import errno
import functools
import os
import select
import socket
import ssl
import subprocess
import threading
import time

from ktap import Failed, check, equal, slow, test
from lab import (both, client, echo_server, in_thread, listen, recv_exact,
                 serve_one, server, write)


def client_hello(lab):
    """The bytes of a ClientHello."""
    out = ssl.MemoryBIO()
    tls = lab.tls_client_context().wrap_bio(ssl.MemoryBIO(), out,
                                            server_hostname="server.example")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def mptcp_socket():
    s = socket.socket(proto=socket.IPPROTO_MPTCP)
    s.settimeout(60)
    return s


@test
def test_slow_peer_does_not_stop_an_epoll_server(lab):
    """One peer sends its ClientHello a byte at a time; others go on."""
    port = lab.next_port()
    # The slow one comes from an address that the client's rule leaves out.
    lab.policy(server(port) + client(port, cond="  LocalAddr 127.0.0.1"))
    listener = listen(port)
    listener.setblocking(False)
    stop = threading.Event()
    served = []

    def epoll_server():
        ep = select.epoll()
        ep.register(listener, select.EPOLLIN)
        socks = {}
        while not stop.is_set():
            for fd, events in ep.poll(0.2):
                if fd == listener.fileno():
                    s, _ = listener.accept()
                    s.setblocking(False)
                    socks[s.fileno()] = s
                    ep.register(s, select.EPOLLIN)
                    continue
                s = socks[fd]
                try:
                    data = s.recv(4096)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                if data:
                    s.send(data)
                    served.append(data)
                else:
                    ep.unregister(fd)
                    s.close()
                    del socks[fd]

    thread = threading.Thread(target=epoll_server, daemon=True)
    thread.start()
    hello = client_hello(lab)
    slow = subprocess.Popen(["python3", "-c", f"""
import socket, time
s = socket.socket()
s.setsockopt(socket.SOL_TCP, socket.TCP_NODELAY, 1)
s.bind(("127.0.0.2", 0))
s.connect(("127.0.0.1", {port}))
for b in {hello!r}:
    s.send(bytes([b])); time.sleep(1)
"""])
    try:
        time.sleep(2)
        for i in range(20):
            with socket.create_connection(("127.0.0.1", port)) as s:
                s.settimeout(30)
                data = lab.marker + b" %d" % i
                s.sendall(data)
                equal(recv_exact(s, len(data)), data, "echo")
        check(slow.poll() is None, "the slow peer has gone")
    finally:
        slow.kill()
        slow.wait()
        stop.set()
        thread.join(10)
        listener.close()


@test
def test_handshake_before_accept(lab):
    """TLS is up though nobody accepts, and is shown under who listens."""
    port = lab.next_port()
    lab.policy(server(port))
    before = lab.stats()["accepted_before_the_application"]
    listener = listen(port)
    context = lab.tls_client_context()
    clients = []
    for i in range(20):
        s = socket.create_connection(("127.0.0.1", port))
        s.settimeout(60)
        tls = context.wrap_socket(s, server_hostname="server.example")
        tls.sendall(lab.marker + b" %02d" % i)
        clients.append(tls)
    early = lab.stats()["accepted_before_the_application"] - before
    equal(early, len(clients), "connections accepted early")
    equal({c["pid"] for c in lab.conns()}, {os.getpid()}, "processes")
    for i, tls in enumerate(clients[:10]):
        c, _ = listener.accept()
        equal(recv_exact(c, len(lab.marker) + 3), lab.marker + b" %02d" % i,
              "what was sent before accept")
        c.sendall(lab.marker)
        equal(recv_exact(tls, len(lab.marker)), lab.marker, "answer")
        c.close()
    listener.close()
    for tls in clients[10:]:
        try:
            got = tls.recv(1)
        except ConnectionResetError:
            continue
        raise Failed(f"the listener is closed, but recv gave {got!r}")


@test
def test_shutdown_wakes_who_waits_for_the_handshake(lab):
    """recv gives the end, send EPIPE, though the peer never speaks."""
    port = lab.next_port()
    lab.policy(server(port))
    listener = listen(port)
    for how, call, want in (
            (socket.SHUT_RD, lambda c: c.recv(10), b""),
            (socket.SHUT_WR, lambda c: c.send(lab.marker), errno.EPIPE),
            (socket.SHUT_RDWR, lambda c: c.recv(10), b"")):
        silent = socket.create_connection(("127.0.0.1", port))
        c, _ = listener.accept()
        c.settimeout(None)
        thread, result = in_thread(functools.partial(call, c))
        time.sleep(0.5)
        equal(result, [], "before shutdown")
        c.shutdown(how)
        thread.join(5)
        equal(result, [want], f"shutdown({how})")
        silent.close()
        c.close()
    listener.close()


@test
def test_SO_RCVLOWAT_does_not_delay_the_handshake(lab):
    """TCP tells of no byte below that mark; the application has its own."""
    port = lab.next_port()
    lab.policy(both(port))
    mark = (socket.SOL_SOCKET, socket.SO_RCVLOWAT)
    with listen(port) as listener, socket.socket() as s:
        for one in (listener, s):
            one.setsockopt(*mark, 20000)

        def ready(c):
            c.settimeout(slow(60))
            c.recv(1, socket.MSG_PEEK)
            have = c.getsockopt(*mark)
            c.setsockopt(*mark, 1)
            return have, recv_exact(c, 20000), c.sendall(b"done")
        thread, served = serve_one(listener, ready)
        s.connect(("127.0.0.1", port))
        equal(s.getsockopt(*mark), 20000, "of the client, connected")
        s.setsockopt(*mark, 1)
        s.sendall(bytes(20000))
        s.settimeout(slow(60))
        equal(recv_exact(s, 4), b"done", "answer")
        thread.join(slow(60))
        equal(served, [(20000, bytes(20000), None)], "the server")


@test
def test_nonblocking_connect(lab):
    """EINPROGRESS, not writable until TLS is up, SO_ERROR 0, then data."""
    port = lab.next_port()
    lab.policy(both(port))
    listener = listen(port)
    echo_server(listener)
    s = socket.socket()
    s.setblocking(False)
    equal(s.connect_ex(("127.0.0.1", port)), errno.EINPROGRESS, "connect")
    try:
        s.send(lab.marker)
        early = True
    except BlockingIOError:
        early = False
    poll = select.poll()
    poll.register(s, select.POLLOUT)
    events = poll.poll(60000)
    equal(events, [(s.fileno(), select.POLLOUT)], "poll")
    equal(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0, "SO_ERROR")
    check(early or [c for c in lab.conns() if c["state"] == "secure"],
          "writable, and not secure")
    lab.echoes(s)
    s.close()
    listener.close()


@test
def test_nonblocking_connect_fails(lab):
    """The server is no TLS server: ECONNRESET by SO_ERROR after poll."""
    port = lab.next_port()
    lab.policy(client(port))
    listener = listen(port)
    serve_one(listener, lambda c: (
        c.recv(100), c.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")))
    s = socket.socket()
    s.setblocking(False)
    equal(s.connect_ex(("127.0.0.1", port)), errno.EINPROGRESS, "connect")
    poll = select.poll()
    poll.register(s, select.POLLOUT)
    check(poll.poll(60000), "poll timed out")
    equal(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
          errno.ECONNRESET, "SO_ERROR")
    s.close()
    listener.close()


@test
def test_blocking_connect_fails_with_econnreset(lab):
    """connect() itself fails when the handshake does."""
    port = lab.next_port()
    lab.policy(client(port))
    listener = listen(port)
    serve_one(listener, lambda c: (
        c.recv(100), c.sendall(b"220 smtp ready\r\n"), c.recv(100)))
    s = socket.socket()
    equal(s.connect_ex(("127.0.0.1", port)), errno.ECONNRESET, "connect")
    s.close()
    listener.close()


@test
def test_connection_refused_is_tcps_own(lab):
    """No server at all: ECONNREFUSED, and the socket can try again."""
    port = lab.next_port()
    lab.policy(both(port))
    s = socket.socket()
    equal(s.connect_ex(("127.0.0.1", port)), errno.ECONNREFUSED, "connect")
    listener = listen(port)
    echo_server(listener)
    equal(s.connect_ex(("127.0.0.1", port)), 0, "second connect")
    lab.echoes(s)
    s.close()
    listener.close()


@test
def test_half_close(lab):
    """shutdown(WR) on one side, the other side answers until its own."""
    port = lab.next_port()
    lab.policy(both(port))
    listener = listen(port)
    got = []

    def serve():
        c, _ = listener.accept()
        data = b""
        while chunk := c.recv(1000):
            data += chunk
        got.append(data)
        for _ in range(3):
            c.sendall(lab.marker)
            time.sleep(0.2)
        c.close()
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.settimeout(60)
        s.sendall(lab.marker * 2)
        s.shutdown(socket.SHUT_WR)
        equal(recv_exact(s, 4 * len(lab.marker)), lab.marker * 3, "answer")
        thread.join(30)
        equal(got, [lab.marker * 2], "request")
    listener.close()


@test
def test_close_right_after_send(lab):
    """connect, send, close: the server gets the data and then EOF."""
    port = lab.next_port()
    lab.policy(both(port))
    listener = listen(port)

    def clients():
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port)) as s:
                s.sendall(lab.marker * 10)
    thread = threading.Thread(target=clients, daemon=True)
    thread.start()
    for _ in range(20):
        c, _ = listener.accept()
        c.settimeout(60)
        equal(recv_exact(c, 10 * len(lab.marker) + 1), lab.marker * 10,
              "data until EOF")
        c.close()
    thread.join(30)
    listener.close()


@test
def test_close_notify(lab):
    """A foreign peer gets close_notify before the FIN."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for how in ("close", "shutdown"):
            port = lab.next_port()
            lab.policy(server(port))
            listener = listen(port)

            def serve(listener=listener, how=how):
                c, _ = listener.accept()
                c.sendall(lab.marker)
                if how == "shutdown":
                    c.shutdown(socket.SHUT_WR)
                    while c.recv(1000):
                        pass
                c.close()
            threading.Thread(target=serve, daemon=True).start()
            context = lab.tls_client_context(version)
            with socket.create_connection(("127.0.0.1", port)) as raw:
                # Raises on an EOF that no close_notify announced.
                tls = context.wrap_socket(raw,
                                          server_hostname="server.example",
                                          suppress_ragged_eofs=False)
                equal(recv_exact(tls, 1000), lab.marker, f"{version} {how}")
                tls.unwrap().close()
            listener.close()


@test
def test_truncation_is_an_error(lab):
    """A FIN without close_notify: ECONNRESET, unless policy allows it."""
    for adv, want in (("", errno.ECONNRESET),
                      ("TruncationCheck Off", lab.marker)):
        port = lab.next_port()
        lab.policy(server(port, adv=adv))
        listener = listen(port)
        with socket.create_connection(("127.0.0.1", port)) as raw:
            thread, result = serve_one(listener, lambda c: recv_exact(c, 100))
            context = lab.tls_client_context()
            tls = context.wrap_socket(raw, server_hostname="server.example",
                                      suppress_ragged_eofs=True)
            tls.sendall(lab.marker)
            # Past the TLS layer: the file descriptor alone.
            plain = socket.socket(fileno=tls.detach())
            plain.shutdown(socket.SHUT_WR)
            thread.join(60)
            plain.close()
        equal(result, [want], adv or "default")
        listener.close()


@test
def test_tickets_never_reach_the_application(lab):
    """Many session tickets from the server between data."""
    port = lab.next_port()
    lab.policy(client(port))
    before = lab.stats()["tickets_received"]
    context = lab.tls_server_context(version=ssl.TLSVersion.TLSv1_3)
    context.num_tickets = 8
    listener = listen(port)
    echo_server(listener, wrap=context)
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.settimeout(60)
        poll = select.poll()
        poll.register(s, select.POLLIN)
        equal(poll.poll(1500), [], "readable by tickets alone")
        for i in range(10):
            data = lab.marker + b" %d" % i
            s.sendall(data)
            equal(recv_exact(s, len(data)), data, "echo")
    equal(lab.stats()["tickets_received"] - before, 8, "tickets")
    listener.close()


@test
def test_fastopen_sends_nothing_in_clear(lab):
    """MSG_FASTOPEN and TCP_FASTOPEN_CONNECT under a rule."""
    port = lab.next_port()
    fastopen = "/proc/sys/net/ipv4/tcp_fastopen"
    write(fastopen, 519)		# both sides, and without a cookie
    closed = lab.next_port()
    lab.policy(both(port) + client(closed))
    listener = listen(port)
    listener.setsockopt(socket.SOL_TCP, socket.TCP_FASTOPEN, 16)
    echo_server(listener)
    where = ("127.0.0.1", port)
    s = socket.socket()
    sent = s.sendto(lab.marker, socket.MSG_FASTOPEN, where)
    equal(sent, len(lab.marker), "blocking")
    s.settimeout(60)
    equal(recv_exact(s, sent), lab.marker, "MSG_FASTOPEN")
    try:
        s.sendto(lab.marker, socket.MSG_FASTOPEN, where)
        raise AssertionError("a second one")
    except OSError as e:
        equal(e.errno, errno.EISCONN, "a second one")
    s.close()

    s = socket.socket()
    s.setblocking(False)
    try:
        s.sendto(lab.marker, socket.MSG_FASTOPEN, where)
        raise AssertionError("did not say EINPROGRESS")
    except BlockingIOError as e:
        equal(e.errno, errno.EINPROGRESS, "without blocking")
    lab.echoes(s)
    s.close()

    s = socket.socket()
    try:
        s.sendto(lab.marker, socket.MSG_FASTOPEN, ("127.0.0.1", closed))
        raise AssertionError("nobody listens")
    except ConnectionRefusedError:
        pass
    s.close()

    s = socket.socket()
    s.setsockopt(socket.SOL_TCP, 30, 1)		# TCP_FASTOPEN_CONNECT
    s.connect(("127.0.0.1", port))
    s.sendall(lab.marker)			# blocks, and connects
    equal(recv_exact(s, len(lab.marker)), lab.marker, "FASTOPEN_CONNECT")
    s.close()
    write(fastopen, 1)
    listener.close()


@test
def test_fastopen_over_MPTCP_sends_nothing(lab):
    """MPTCP takes the data of the SYN to a subflow of its own."""
    port = lab.next_port()
    fastopen = "/proc/sys/net/ipv4/tcp_fastopen"
    write(fastopen, 519)		# both sides, and without a cookie
    lab.policy(client(port))
    listener = listen(port)
    listener.setsockopt(socket.SOL_TCP, socket.TCP_FASTOPEN, 16)
    for flags in (0, socket.MSG_DONTWAIT):
        s = mptcp_socket()
        try:
            s.sendto(lab.marker, socket.MSG_FASTOPEN | flags,
                     ("127.0.0.1", port))
            poll = select.poll()
            poll.register(s, 0)
            check(poll.poll(60000), "the connection lives")
        except OSError as e:
            check(e.errno in (errno.ECONNRESET, errno.EINPROGRESS),
                  f"flags {flags}: {e}")
        s.close()
    s = mptcp_socket()
    s.setsockopt(socket.SOL_TCP, 30, 1)		# TCP_FASTOPEN_CONNECT
    try:
        s.connect(("127.0.0.1", port))
        s.sendall(lab.marker)
        equal(s.recv(100), "nothing", "received")
    except OSError as e:
        check(e.errno in (errno.ECONNRESET, errno.EPIPE), f"{e}")
    s.close()
    listener.close()
    write(fastopen, 1)


@test
def test_keys_are_out_of_reach(lab):
    """SOL_TLS, TCP_ULP, ADDRFORM and mmap on a protected socket."""
    port = lab.next_port()
    lab.policy(both(port))
    listener = listen(port)
    echo_server(listener)
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.settimeout(60)
        for call in (lambda: s.getsockopt(282, 1, 64),
                     lambda: s.setsockopt(282, 1, b"\0" * 40),
                     lambda: s.setsockopt(socket.SOL_TCP, 31, b"tls")):
            try:
                call()
                raise AssertionError("allowed")
            except PermissionError:
                pass
        lab.echoes(s)
    listener.close()
