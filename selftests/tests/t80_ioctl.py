# SPDX-License-Identifier: GPL-2.0-only
"""SIOCTTLSCTL: programs that know about the policy, and control it."""
import contextlib
import errno
import select
import socket

import ttls
from ktap import check, equal, slow, test
from lab import (client, echo_server, in_thread, listen, recv_exact, server)

CONTROLLED = "ApplicationControlled On"


@contextlib.contextmanager
def accepted(lab, **kw):
    """(server's socket, client's): the server's is under a rule."""
    port = lab.next_port()
    lab.policy(server(port, **kw))
    with pair(port) as sockets:
        yield sockets


@contextlib.contextmanager
def pair(port):
    with listen(port) as listener, \
            socket.create_connection(("127.0.0.1", port)) as c:
        s, _ = listener.accept()
        with s:
            s.settimeout(None)
            c.settimeout(slow(60))
            yield s, c


def secured(lab, s, c, **kw):
    """INIT on s while the other end shakes hands: (Ioctl, TLS socket)."""
    thread, result = in_thread(lambda: ttls.ask(s, ttls.INIT, **kw))
    tls = lab.tls_client_context().wrap_socket(
        c, server_hostname="server.example")
    thread.join(slow(60))
    check(not isinstance(result[0], int), f"INIT: errno {result}")
    return result[0], tls


@test
def test_ioctl_policy_off(lab):
    """Before any policy has been in force: TTLS_POL_OFF."""
    with lab.unloaded():
        pass
    with pair(lab.next_port()) as (s, c):
        for end in (s, c):
            equal(ttls.status(end), (ttls.POL_OFF, ttls.NOTSECURE), "status")
            equal(ttls.call(end, ttls.INIT)[0], errno.EOPNOTSUPP, "INIT")


@test
def test_ioctl_without_a_rule(lab):
    """No rule, or one with TTLSEnabled Off; INIT is not to be had."""
    none, off = lab.next_port(), lab.next_port()
    lab.policy(server(off, group="Off"))
    for port, want in ((none, ttls.POL_NO_POLICY),
                       (off, ttls.POL_NOT_ENABLED)):
        with pair(port) as (s, _):
            io = ttls.ask(s)
            equal((io.policy, io.conn, io.sec_type, io.protocol),
                  (want, ttls.NOTSECURE, 0, 0), "QUERY")
            for req in (ttls.INIT, ttls.STOP, ttls.RESET_CIPHER,
                        ttls.RESET_WRITE_CIPHER):
                err, io = ttls.call(s, req)
                equal((err, io.policy), (errno.EOPNOTSUPP, want),
                      f"request {req:#x}")


@test
def test_ioctl_query_of_an_unaware_connection(lab):
    """ApplicationControlled Off: all is told, nothing may be asked for."""
    port = lab.next_port()
    lab.policy(server(port) + client(port))
    with listen(port) as listener:
        echo_server(listener)
        with socket.create_connection(("127.0.0.1", port)) as s:
            lab.echoes(s)
            io = ttls.ask(s)
            equal((io.policy, io.conn, io.sec_type, io.protocol),
                  (ttls.POL_ENABLED, ttls.SECURE, 1, 0x0304), "QUERY")
            equal(io.cipher2, b"4X", "two digits")
            check(io.cipher4 in (b"1301", b"1302", b"1303"), "four digits")
            check(io.share.isdigit() and len(io.share) == 4, "key share")
            err, io = ttls.call(s, ttls.INIT)
            equal((err, io.reason, io.conn),
                  (errno.EACCES, ttls.JR_DENIED, ttls.SECURE), "INIT")


@test
def test_ioctl_init(lab):
    """Clear until INIT, which comes back when TLS is up."""
    with accepted(lab, adv=CONTROLLED) as (s, c):
        io = ttls.ask(s)
        equal((io.policy, io.conn, io.sec_type),
              (ttls.POL_APPLCNTRL, ttls.NOTSECURE, 2), "before")
        s.sendall(b"220 ready\r\n")
        equal(recv_exact(c, 11), b"220 ready\r\n", "greeting")
        c.sendall(b"STARTTLS\r\n")
        equal(recv_exact(s, 10), b"STARTTLS\r\n", "command")
        io, tls = secured(lab, s, c)
        equal((io.policy, io.conn, io.reason),
              (ttls.POL_APPLCNTRL, ttls.SECURE, ttls.JR_OK), "after")
        s.sendall(lab.marker)
        equal(recv_exact(tls, len(lab.marker)), lab.marker, "to the client")
        tls.sendall(lab.marker)
        equal(recv_exact(s, len(lab.marker)), lab.marker, "to the server")
        err, io = ttls.call(s, ttls.INIT)
        equal((err, io.reason, io.conn),
              (errno.EALREADY, ttls.JR_ACTIVE, ttls.SECURE), "INIT again")


@test
def test_ioctl_init_nonblocking(lab):
    """EINPROGRESS, nothing to write nor to ask until TLS is up."""
    with accepted(lab, adv=CONTROLLED) as (s, c):
        s.setblocking(False)
        err, io = ttls.call(s, ttls.INIT)
        equal((err, io.reason, io.conn),
              (errno.EINPROGRESS, ttls.JR_OK, ttls.HS_INPROGRESS), "INIT")
        equal(select.select([], [s], [], 0)[1], [], "writable too early")
        equal(ttls.call(s)[0], errno.EWOULDBLOCK, "QUERY")
        err, io = ttls.call(s, ttls.INIT)
        equal((err, io.reason), (errno.EALREADY, ttls.JR_ACTIVE), "again")
        tls = lab.tls_client_context().wrap_socket(
            c, server_hostname="server.example")
        equal(select.select([], [s], [], slow(60))[1], [s], "writable")
        equal(ttls.status(s), (ttls.POL_APPLCNTRL, ttls.SECURE), "status")
        s.sendall(lab.marker)
        equal(recv_exact(tls, len(lab.marker)), lab.marker, "data")


@test
def test_ioctl_init_of_a_client(lab):
    """HandshakeRole Client; the server has no policy."""
    port = lab.next_port()
    lab.policy(client(port, adv=CONTROLLED))
    with pair(port) as (s, c):
        equal(ttls.ask(c).sec_type, 1, "Sec_Type")
        c.settimeout(None)
        thread, result = in_thread(lambda: ttls.ask(c, ttls.INIT))
        with lab.tls_server_context().wrap_socket(s, server_side=True) as tls:
            thread.join(slow(60))
            check(not isinstance(result[0], int), f"INIT: errno {result}")
            equal(result[0].conn, ttls.SECURE, "status")
            c.sendall(lab.marker)
            equal(recv_exact(tls, len(lab.marker)), lab.marker, "data")


@test
def test_ioctl_init_fails(lab):
    """The other side is no TLS: ECONNRESET, then the connection is gone."""
    with accepted(lab, adv=CONTROLLED) as (s, c):
        c.sendall(b"this is no TLS\r\n")
        err, io = ttls.call(s, ttls.INIT)
        equal((err, io.reason), (errno.ECONNRESET, ttls.JR_HANDSHAKE), "INIT")
        equal(ttls.call(s)[0], errno.ENOTCONN, "QUERY")


@test
def test_ioctl_init_while_others_read(lab):
    """A blocked reader gets no byte of the handshake, and then the data."""
    with accepted(lab, adv=CONTROLLED) as (s, c):
        thread, result = in_thread(lambda: recv_exact(s, len(lab.marker)))
        _, tls = secured(lab, s, c)
        tls.sendall(lab.marker)
        thread.join(slow(60))
        equal(result, [lab.marker], "what the reader got")


@test
def test_ioctl_hello_before_init(lab):
    """What the peer has sent before INIT, and nobody read, is for TLS."""
    with accepted(lab, adv=CONTROLLED) as (s, c):
        tls = lab.tls_client_context().wrap_socket(
            c, server_hostname="server.example", do_handshake_on_connect=False)
        tls.setblocking(False)
        with contextlib.suppress(OSError):
            tls.do_handshake()
        tls.settimeout(slow(60))
        equal(select.select([s], [], [], slow(60))[0], [s], "readable")
        thread, result = in_thread(lambda: ttls.ask(s, ttls.INIT))
        tls.do_handshake()
        thread.join(slow(60))
        equal(result[0].conn, ttls.SECURE, "status")
        tls.sendall(lab.marker)
        equal(recv_exact(s, len(lab.marker)), lab.marker, "data")


@test
def test_ioctl_arguments(lab):
    """Version, bits, combinations and buffers that are not to be had."""
    with accepted(lab, adv=CONTROLLED) as (s, _):
        for version in (0, 3, 255):
            io = ttls.Ioctl(ver=version)
            err = ttls.raw(s.fileno(), ttls.ctypes.byref(io))
            equal((err, io.reason), (errno.EINVAL, ttls.JR_INVALID_VERSION),
                  f"version {version}")
        for fields in ({"req": 0x100}, {"req": 0x8000}, {"rsvd1": 1},
                       {"rsvd2": 1}, {"rsvd3": 1}, {"buffer": 4096},
                       {"buffer_len": 1}):
            err, io = ttls.call(s, **fields)
            equal((err, io.reason), (errno.EINVAL, ttls.JR_PARM),
                  f"{fields}")
        for req in (ttls.INIT | ttls.STOP, ttls.INIT | ttls.RESET_CIPHER,
                    ttls.STOP | ttls.RESET_CIPHER,
                    ttls.STOP | ttls.RESET_WRITE_CIPHER):
            err, io = ttls.call(s, req)
            equal((err, io.reason), (errno.EPERM, ttls.JR_OK), f"{req:#x}")
        for req in (ttls.STOP, ttls.RESET_CIPHER, ttls.RESET_WRITE_CIPHER):
            err, io = ttls.call(s, req)
            equal((err, io.conn), (errno.EPROTO, ttls.NOTSECURE),
                  f"{req:#x} without INIT")
        equal(ttls.status(s), (ttls.POL_APPLCNTRL, ttls.NOTSECURE), "status")


@test
def test_ioctl_other_sockets(lab):
    """Sockets that have no TCP connection."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        equal(ttls.call(s)[0], errno.EPROTOTYPE, "UDP")
    a, b = socket.socketpair()
    with a, b:
        equal(ttls.call(a)[0], errno.EPROTOTYPE, "UNIX")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as s:
        equal(ttls.call(s)[0], errno.EPROTOTYPE, "netlink")
    with socket.socket() as s:
        equal(ttls.call(s)[0], errno.ENOTCONN, "not connected")
        s.bind(("127.0.0.1", lab.next_port()))
        equal(ttls.call(s)[0], errno.ENOTCONN, "bound")
        s.listen()
        equal(ttls.call(s)[0], errno.ENOTCONN, "listening")
    with open("/dev/null", encoding="ascii") as f:
        equal(ttls.raw(f.fileno(), ttls.ctypes.byref(ttls.Ioctl(ver=1))),
              errno.ENOTTY, "no socket")


@test
def test_ioctl_bad_memory(lab):
    """Addresses that are not there, and structures of another length."""
    with accepted(lab, adv=CONTROLLED) as (s, _):
        for address in (0, 8, 1 << 46, (1 << 64) - 4096):
            equal(ttls.raw(s.fileno(), ttls.ctypes.c_void_p(address)),
                  errno.EFAULT, f"address {address:#x}")
        io = ttls.Ioctl(ver=1)
        for size in (0, 8, 55, 57, 8192):
            command = 0xC000D90B | size << 16
            equal(ttls.raw(s.fileno(), ttls.ctypes.byref(io), command),
                  errno.EINVAL, f"length {size}")
        equal(ttls.status(s), (ttls.POL_APPLCNTRL, ttls.NOTSECURE), "status")
