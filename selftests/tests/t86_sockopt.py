# SPDX-License-Identifier: GPL-2.0-only
"""SOL_ATTLS and TCP_ULP "attls": the socket's side of them."""
import contextlib
import ctypes
import errno
import os
import socket
import struct

import sockopt
import ttls
from ktap import check, equal, slow, test
from lab import (MODULE, client, echo_server, in_thread, listen, read,
                 recv_exact, rule, server, wait_for)
from t80_ioctl import CONTROLLED, accepted, secure

GETTERS = (sockopt.ALPN, sockopt.PEER_CHAIN, sockopt.OWN_CHAIN, sockopt.USER)


def errno_of(call, *args):
    """0, or the errno of a call."""
    try:
        call(*args)
    except OSError as e:
        return e.errno
    return 0


def ttls_of(sock, req=ttls.QUERY):
    """The same as ttls.call(), by the option."""
    io = ttls.Ioctl(ver=1, req=req)
    err, _ = sockopt.get_raw(sock, sockopt.TTLS, ctypes.byref(io),
                             ctypes.sizeof(io))
    return err, io


def tls_works(lab, plain, peer, server_side):
    """A peer with TLS of its own at the other end of plain."""
    context = (lab.tls_server_context() if server_side else
               lab.tls_client_context())
    name = None if server_side else "server.example"
    with context.wrap_socket(peer, server_side=server_side,
                             server_hostname=name) as tls:
        plain.settimeout(slow(60))
        plain.sendall(lab.marker)
        equal(recv_exact(tls, len(lab.marker)), lab.marker, "from us")
        tls.sendall(lab.marker)
        equal(recv_exact(plain, len(lab.marker)), lab.marker, "to us")


@test
def test_sockopt_without_a_rule(lab):
    """TCP's own functions, and yet there are answers; others have none."""
    lab.policy("# no rule\n")
    for host, family in (("127.0.0.1", socket.AF_INET),
                         ("::1", socket.AF_INET6)):
        port = lab.next_port()
        with listen(port, host, family) as listener, \
                socket.create_connection((host, port)) as c, \
                socket.socket(family) as new:
            err, io = ttls_of(c)
            equal((err, io.policy, io.conn),
                  (0, ttls.POL_NO_POLICY, ttls.NOTSECURE), "connected")
            for other in (listener, new):
                equal(ttls_of(other)[0], errno.ENOTCONN, "not connected")
            for option in GETTERS:
                equal(errno_of(sockopt.get, c, option), errno.ENODATA,
                      f"get {option}")
            equal(errno_of(sockopt.export, c, b"label", 9), errno.ENODATA,
                  "export")
            equal(sockopt.get(c, sockopt.PEER_NAME), b"\0", "name")
            sockopt.wait(c)
            for option in (0, 10, -1, 1 << 30):
                equal(errno_of(sockopt.get, c, option), errno.ENOPROTOOPT,
                      f"get {option}")
                equal(errno_of(sockopt.put, c, option, b"x"),
                      errno.ENOPROTOOPT, f"set {option}")
            equal(errno_of(c.setsockopt, 0x5455, 1, b"x"), errno.ENOPROTOOPT,
                  "another level")
    for kind, proto in ((socket.SOCK_DGRAM, socket.IPPROTO_UDP),
                        (socket.SOCK_RAW, socket.IPPROTO_UDP),
                        (socket.SOCK_STREAM, socket.IPPROTO_MPTCP)):
        with socket.socket(type=kind, proto=proto) as s:
            check(ttls_of(s)[0] in (errno.ENOPROTOOPT, errno.EOPNOTSUPP),
                  f"{proto}")
            equal(errno_of(sockopt.put, s, sockopt.ALPN, b""),
                  errno.ENOPROTOOPT, f"{proto}")


@test
def test_sockopt_is_the_ioctl(lab):
    """Byte for byte, and INIT and STOP by it."""
    with accepted(lab, adv=CONTROLLED) as (s, c):
        equal(bytes(ttls_of(s)[1]), bytes(ttls.call(s)[1]), "in clear")
        thread, result = in_thread(lambda: ttls_of(s, ttls.INIT))
        tls = lab.tls_client_context().wrap_socket(
            c, server_hostname="server.example")
        thread.join(slow(60))
        equal((result[0][0], result[0][1].conn), (0, ttls.SECURE), "INIT")
        equal(bytes(ttls_of(s)[1]), bytes(ttls.call(s)[1]), "secure")
        thread, result = in_thread(lambda: ttls_of(s, ttls.STOP))
        clear = tls.unwrap()
        thread.join(slow(60))
        equal((result[0][0], result[0][1].conn), (0, ttls.NOTSECURE), "STOP")
        s.sendall(b"clear again")
        equal(recv_exact(clear, 11), b"clear again", "data")
        for option in GETTERS:
            equal(errno_of(sockopt.get, s, option), errno.ENODATA,
                  f"get {option}")
        equal(sockopt.get_raw(s, sockopt.TTLS, ttls.Ioctl(ver=1), 55)[0],
              errno.EINVAL, "size")


@test
def test_sockopt_wait(lab):
    """As long as it takes, or as long as was said; how it ended."""
    with accepted(lab, adv=CONTROLLED) as (s, c):
        sockopt.wait(s)
        s.setblocking(False)
        equal(ttls.call(s, ttls.INIT)[0], errno.EINPROGRESS, "INIT")
        for milliseconds in (0, 50):
            equal(errno_of(sockopt.wait, s, milliseconds), errno.EAGAIN,
                  f"{milliseconds} ms")
        thread, result = in_thread(lambda: sockopt.wait(s))
        with lab.tls_client_context().wrap_socket(
                c, server_hostname="server.example"):
            thread.join(slow(60))
            equal(result, [None], "wait")
    with accepted(lab) as (s, c):
        c.sendall(b"this is no TLS")
        equal(errno_of(sockopt.wait, s), errno.ECONNRESET, "no TLS")
        equal(errno_of(sockopt.wait, s), errno.ENOTCONN, "afterwards")
    with socket.socket() as new:
        equal(errno_of(sockopt.wait, new), errno.ENOTCONN, "no connection")
        for value in (b"", b"123", b"12345"):
            equal(errno_of(sockopt.put, new, sockopt.WAIT, value),
                  errno.EINVAL, f"{value}")


@test
def test_attach_before_connect(lab):
    """Again and again; then a connect under a rule, and one without."""
    ruled, free = lab.next_port(), lab.next_port()
    lab.policy(server(ruled) + client(ruled))
    for port in (ruled, free):
        with listen(port) as listener, socket.socket() as c:
            echo_server(listener)
            sockopt.attach(c)
            sockopt.attach(c)
            equal(c.getsockopt(socket.SOL_TCP, sockopt.TCP_ULP, 16),
                  b"attls\0".ljust(16, b"\0"), "the slot")
            equal(errno_of(c.setsockopt, socket.SOL_TCP, sockopt.TCP_ULP,
                           b"tls"), errno.ENOTCONN, "kTLS besides")
            c.connect(("127.0.0.1", port))
            c.sendall(b"hello")
            equal(recv_exact(c, 5), b"hello", "echo")
            equal(ttls.status(c)[1], ttls.SECURE if port == ruled else
                  ttls.NOTSECURE, "status")
            equal(errno_of(sockopt.attach, c),
                  0 if port == ruled else errno.EOPNOTSUPP, "attach")


@test
def test_attach_listens_not(lab):
    """Who listens is under rules anyway; without the slot it may."""
    lab.policy("# no rule\n")
    with socket.socket() as s:
        sockopt.attach(s)
        s.bind(("127.0.0.1", lab.next_port()))
        equal(errno_of(s.listen), errno.EINVAL, "listen")
    with listen(lab.next_port()) as s:
        equal(errno_of(sockopt.attach, s), errno.EINVAL, "attach")
        equal(errno_of(sockopt.put, s, sockopt.PEER_NAME, b"a"),
              errno.EINVAL, "name")


@contextlib.contextmanager
def old_pair(lab, bound=False):
    """(accepted, connected) sockets of a connection that no rule has seen."""
    port = lab.next_port()
    with listen(port) as listener, socket.socket() as c:
        if bound:
            c.bind(("127.0.0.1", lab.next_port()))
        c.connect(("127.0.0.1", port))
        s, _ = listener.accept()
        with s:
            yield s, c, port


@test
def test_attach_older_than_the_policy(lab):
    """Both ends, each in its direction, whatever port it has."""
    for bound in (False, True):
        for inbound in (False, True):
            lab.policy("# no rule\n")
            with old_pair(lab, bound) as (s, c, port):
                c.sendall(b"hello")
                equal(recv_exact(s, 5), b"hello", "in clear")
                ours, peer = (s, c) if inbound else (c, s)
                equal(errno_of(sockopt.attach, ours), errno.EOPNOTSUPP,
                      "no rule")
                lab.policy(server(port) if inbound else client(port))
                sockopt.attach(ours)
                tls_works(lab, ours, peer, not inbound)
                equal(ttls.status(ours), (ttls.POL_ENABLED, ttls.SECURE),
                      "status")


@contextlib.contextmanager
def unprivileged():
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@test
def test_attach_older_than_the_module(lab):
    """Who may load modules has the module loaded by it."""
    with contextlib.ExitStack() as stack:
        with lab.unloaded():
            s, c, port = stack.enter_context(old_pair(lab))
            with unprivileged():
                for end in (s, c):
                    equal(errno_of(sockopt.attach, end), errno.ENOENT,
                          "attach")
                    equal(errno_of(sockopt.put, end, sockopt.ALPN, b""),
                          errno.ENOPROTOOPT, "option")
            check(not os.path.exists(MODULE), "loaded by anybody")
            equal(errno_of(sockopt.attach, s), errno.EOPNOTSUPP, "attach")
            check(os.path.exists(MODULE), "not loaded by root")
        lab.policy(server(port) + client(port))
        for end in (s, c):
            sockopt.attach(end)
        s.sendall(lab.marker)
        equal(recv_exact(c, len(lab.marker)), lab.marker, "data")


@test
def test_attach_to_be_controlled(lab):
    """ApplicationControlled: in clear until INIT, with a name by then."""
    lab.policy("# no rule\n")
    with old_pair(lab) as (s, c, port):
        equal(errno_of(sockopt.put, c, sockopt.PEER_NAME, b"a"),
              errno.EISCONN, "before")
        lab.policy(client(port, adv=CONTROLLED) +
                   server(port, adv=CONTROLLED))
        sockopt.attach(c)
        sockopt.attach(s)
        c.sendall(b"STARTTLS")
        equal(recv_exact(s, 8), b"STARTTLS", "in clear")
        equal(errno_of(sockopt.put, s, sockopt.PEER_NAME, b"a"),
              errno.EOPNOTSUPP, "of a server")
        sockopt.put(c, sockopt.PEER_NAME, b"server.example")
        equal(sockopt.get(c, sockopt.PEER_NAME), b"server.example\0", "name")
        thread, result = in_thread(lambda: ttls.call(s, ttls.INIT)[0])
        equal(ttls.call(c, ttls.INIT)[0], 0, "INIT")
        thread.join(slow(60))
        equal(result, [0], "INIT of the server")
        equal(errno_of(sockopt.put, c, sockopt.PEER_NAME, b"b"),
              errno.EISCONN, "too late")


@test
def test_attach_is_busy(lab):
    """A reader inside TCP would read the handshake."""
    lab.policy("# no rule\n")
    with old_pair(lab) as (s, c, port):
        thread, result = in_thread(lambda: s.recv(3))
        wait_for("the reader", lambda: errno_of(sockopt.attach, s) ==
                 errno.EBUSY)
        c.sendall(b"end")
        thread.join(slow(60))
        equal(result, [b"end"], "read")
        lab.policy(server(port))
        sockopt.attach(s)
        tls_works(lab, s, c, False)


@test
def test_attach_has_another_ulp(lab):
    """The application's own kTLS, with no keys yet."""
    lab.policy("# no rule\n")
    with old_pair(lab) as (s, c, port):
        s.setsockopt(socket.SOL_TCP, sockopt.TCP_ULP, b"tls")
        lab.policy(server(port))
        equal(errno_of(sockopt.attach, s), errno.EEXIST, "attach")
        s.sendall(b"clear")
        equal(recv_exact(c, 5), b"clear", "goes on")


@test
def test_attach_leaves_no_trace(lab):
    """No rule, or closed unused: the module is not in use by it."""
    lab.policy("# no rule\n")
    port = lab.next_port()
    with listen(port) as listener, socket.socket() as c:
        before = read(f"{MODULE}/refcnt")
        with socket.socket() as unused:
            sockopt.attach(unused)
            sockopt.put(unused, sockopt.PEER_NAME, b"nobody")
            check(read(f"{MODULE}/refcnt") != before, "in use")
        sockopt.attach(c)
        sockopt.put(c, sockopt.ALPN, sockopt.protocols(b"h2"))
        c.connect(("127.0.0.1", port))
        listener.accept()[0].close()
        wait_for("references", lambda: read(f"{MODULE}/refcnt") == before)


def refused(address, name, flags=0):
    """The errno of a connect that names its peer."""
    with socket.socket() as s:
        sockopt.put(s, sockopt.PEER_NAME, name)
        if flags:
            return errno_of(s.sendto, b"data", flags, address)
        err = errno_of(s.connect, address)
        sockopt.put(s, sockopt.PEER_NAME, b"")
        s.connect(address)
        return err


@test
def test_peer_name_wants_a_rule(lab):
    """No SYN without one; nothing in clear if the rule is known late."""
    free, late = lab.next_port(), lab.next_port()
    only_low = rule("low", "Outbound", late, "Client", "client",
                    cond="  LocalPortRange 1-2\n")
    off = rule("off", "Outbound", free, "", group="Off")
    for text in (only_low, only_low + off):
        lab.policy(text)
        with listen(free) as listener:
            equal(refused(("127.0.0.1", free), b"server.example"),
                  errno.ECONNRESET, "connect")
            conn, _ = listener.accept()  # the one without a name
            conn.close()
            err = refused(("127.0.0.1", free), b"server.example",
                          socket.MSG_FASTOPEN)
            check(err in (errno.ECONNRESET, errno.EHOSTUNREACH),
                  f"Fast Open: {err}")
            listener.settimeout(0.5)
            try:
                conn, _ = listener.accept()
                equal(conn.recv(9), b"", "what came in clear")
            except TimeoutError:
                pass
        with listen(late):
            equal(refused(("127.0.0.1", late), b"server.example"),
                  errno.ECONNRESET, "with a rule for another port")
    check(lab.stats()["failed_denied"] > 0, "counter")


@test
def test_wish_values(lab):
    """What is a name and a list, and what is not."""
    lab.policy("# no rule\n")
    with socket.socket() as s:
        for good in (b"a", b"A.b-c_d", b"::1", b"127.0.0.1", b"a" * 255,
                     b"a" * 255 + b"\0", b""):
            sockopt.put(s, sockopt.PEER_NAME, good)
            equal(sockopt.get(s, sockopt.PEER_NAME),
                  good.rstrip(b"\0") + b"\0", "name")
        for bad in (b"a" * 256, b"a b", b"a\0b", b"\0\0", b"a\0\0",
                    b"\xff", b"*.a", b"a/b", b"a" * 5000):
            equal(errno_of(sockopt.put, s, sockopt.PEER_NAME, bad),
                  errno.EINVAL, f"name {bad[:9]}")
        for good in (b"", b"\1a", sockopt.protocols(b"h2", b"http/1.1"),
                     b"\xfe" + b"a" * 254):
            sockopt.put(s, sockopt.ALPN, good)
        for bad in (b"\0", b"\2a", b"\1a\0", b"\1", b"\xff" + b"a" * 255,
                    b"\1a" * 128):
            equal(errno_of(sockopt.put, s, sockopt.ALPN, bad), errno.EINVAL,
                  f"list {bad[:9]}")
        equal(errno_of(sockopt.get, s, sockopt.ALPN), errno.ENOTCONN, "get")


@test
def test_wish_ends_with_its_socket(lab):
    """Memory of a socket is used again; what another wished is not."""
    port = lab.next_port()
    lab.policy(server(port, adv=CONTROLLED) + client(port))
    with listen(port) as listener:
        for _ in range(50):
            with socket.socket() as s:
                sockopt.put(s, sockopt.PEER_NAME, b"nobody.example")
                s.settimeout(slow(60))
                thread, result = in_thread(
                    lambda s=s: errno_of(s.connect, ("127.0.0.1", port)))
                with listener.accept()[0] as child:
                    equal(sockopt.get(child, sockopt.PEER_NAME), b"\0",
                          "of a server")
                thread.join(slow(60))
                equal(result, [errno.ECONNRESET], "connect")
            with socket.socket() as s:
                equal(sockopt.get(s, sockopt.PEER_NAME), b"\0", "of a new one")


@test
def test_sockopt_sizes(lab):
    """ERANGE says how much; nothing is written behind the buffer."""
    with secure(lab) as s:
        chain = sockopt.get(s, sockopt.PEER_CHAIN, 0)
        check(len(chain) > 300, "a certificate")
        buffer = ctypes.create_string_buffer(b"\xaa" * 64)
        err, need = sockopt.get_raw(s, sockopt.PEER_CHAIN, buffer, 32)
        equal((err, need), (errno.ERANGE, len(chain)), "too small")
        equal(buffer.raw[:64], b"\xaa" * 64, "untouched")
        equal(sockopt.get(s, sockopt.OWN_CHAIN), b"", "none was sent")
        equal(sockopt.get(s, sockopt.USER), b"\0", "no user")
        equal(sockopt.get(s, sockopt.ALPN), b"", "no protocol")
        for option in (*GETTERS, sockopt.PEER_NAME):
            equal(sockopt.get_raw(s, option, ctypes.c_void_p(8), 1 << 20)[0],
                  0 if option in (sockopt.ALPN, sockopt.OWN_CHAIN) else
                  errno.EFAULT, f"option {option}, nowhere")
        for option in (sockopt.PEER_NAME, sockopt.ALPN, sockopt.WAIT):
            equal(sockopt.put_raw(s, option, ctypes.c_void_p(8), 4),
                  errno.EFAULT, f"set {option}, nowhere")


@test
def test_exporter_values(lab):
    """Sizes, flags and labels."""
    with secure(lab) as s:
        equal(len(sockopt.export(s, b"EXPORTER-x", 4096)), 4096, "long")
        check(sockopt.export(s, b"EXPORTER-x", 32) !=
              sockopt.export(s, b"EXPORTER-y", 32), "labels differ")
        equal(sockopt.export(s, b"EXPORTER-x", 32),
              sockopt.export(s, b"EXPORTER-x", 32, b""),
              "TLS 1.3: an empty context is none")
        check(sockopt.export(s, b"l" * 249, 32, b"c" * 65535) !=
              sockopt.export(s, b"l" * 249, 32, b"c" * 65534), "contexts")
        for label, length, context in (
                (b"", 32, None), (b"l" * 250, 32, None), (b"l", 0, None),
                (b"l", 4097, None), (b"l", 1 << 31, None),
                (b"l", 32, b"c" * 65536), (b"\xff", 32, None),
                (b"a\0b", 32, None), (b"key expansion", 32, None),
                (b"master secret", 32, None)):
            equal(errno_of(sockopt.export, s, label, length, context),
                  errno.EINVAL, f"{label[:9]} {length}")
        ask = struct.pack("IIIIQQQ", 2, 1, 0, 1, 8, 8, 8)
        for raw, size, want in ((ask, 40, errno.EINVAL),
                                (ask, 39, errno.EINVAL),
                                (bytes(4) + ask[4:], 40, errno.EFAULT)):
            equal(sockopt.get_raw(s, sockopt.EXPORTER,
                                  ctypes.create_string_buffer(raw), size)[0],
                  want, f"{size} bytes, flags {raw[0]}")
