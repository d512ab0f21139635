# SPDX-License-Identifier: GPL-2.0-only
"""SIOCTTLSCTL: programs that know about the policy, and control it."""
import contextlib
import errno
import select
import socket
import ssl
import struct

import ttls
from ktap import check, equal, slow, test
from lab import (client, echo_server, in_thread, listen, recv_exact, rule,
                 server, wait_for)
from t39_certmap import entry, mapped

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
    """(server's socket, which blocks, client's) of a connection."""
    with listen(port) as listener, \
            socket.create_connection(("127.0.0.1", port)) as c:
        s, _ = listener.accept()
        with s:
            s.settimeout(None)
            c.settimeout(slow(60))
            yield s, c


@contextlib.contextmanager
def secure(lab):
    """A client's socket, under a rule at both ends."""
    port = lab.next_port()
    lab.policy(server(port) + client(port))
    with listen(port) as listener:
        echo_server(listener)
        with socket.create_connection(("127.0.0.1", port)) as s:
            lab.echoes(s)
            s.settimeout(None)
            yield s


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
    """Before any policy, also for a connection older than the module."""
    with contextlib.ExitStack() as stack:
        with lab.unloaded():
            old = stack.enter_context(pair(lab.next_port()))
            equal(ttls.call(old[0])[0], errno.ENOTTY, "no module")
        new = stack.enter_context(pair(lab.next_port()))
        for end in (*old, *new):
            equal(ttls.status(end), (ttls.POL_OFF, ttls.NOTSECURE), "status")
            equal(ttls.call(end, ttls.INIT)[0], errno.EOPNOTSUPP, "INIT")


@test
def test_ioctl_maps(lab):
    """The first use of a socket whose rule depends on who uses it."""
    with accepted(lab, adv=CONTROLLED, cond="  Userid root") as (s, _):
        equal(lab.conns(), [], "mapped by accept")
        equal(ttls.status(s), (ttls.POL_APPLCNTRL, ttls.NOTSECURE), "status")
        equal([c["state"] for c in lab.conns()], ["clear"], "state")
    with accepted(lab, adv=CONTROLLED, cond="  Userid nobody") as (s, _):
        equal(ttls.status(s), (ttls.POL_NO_POLICY, ttls.NOTSECURE), "status")


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
    with secure(lab) as s:
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
def test_ioctl_urgent_data_in_clear(lab):
    """A reader that peeks waits behind an urgent byte, as on TCP."""
    with accepted(lab, adv=CONTROLLED) as (s, c):
        c.send(b"!", socket.MSG_OOB)
        equal(select.select([], [], [s], slow(60))[2], [s], "urgent")
        thread, result = in_thread(lambda: s.recv(9, socket.MSG_PEEK))
        thread.join(0.2)
        equal(result, [], "what the reader got too early")
        c.sendall(b"data")
        thread.join(slow(60))
        equal(result, [b"data"], "what the reader got")


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
        io = ttls.ask(c)
        equal((io.sec_type, io.fips140), (1, 0), "Sec_Type, FIPS140")
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
                       {"buffer_len": 1}, {"req": 1}, {"req": 1, "buffer": 8},
                       {"req": 1, "buffer_len": 8}):
            err, io = ttls.call(s, **fields)
            equal((err, io.reason), (errno.EINVAL, ttls.JR_PARM),
                  f"{fields}")
        for req in (ttls.INIT | ttls.STOP, ttls.INIT | ttls.RESET_CIPHER,
                    ttls.INIT | ttls.RESET_SESSION,
                    ttls.STOP | ttls.RESET_CIPHER,
                    ttls.STOP | ttls.RESET_SESSION,
                    ttls.STOP | ttls.RESET_WRITE_CIPHER,
                    ttls.STOP | ttls.RETURN_CERTIFICATE,
                    ttls.ALLOW_HSTIMEOUT,
                    ttls.STOP | ttls.ALLOW_HSTIMEOUT):
            err, io = ttls.call(s, req)
            equal((err, io.reason), (errno.EPERM, ttls.JR_OK), f"{req:#x}")
        for req in (ttls.STOP, ttls.RESET_CIPHER, ttls.RESET_WRITE_CIPHER,
                    ttls.RESET_SESSION,
                    ttls.RESET_SESSION | ttls.RESET_CIPHER):
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
    with socket.create_server(("127.0.0.1", lab.next_port())) as listener, \
            socket.socket(proto=socket.IPPROTO_MPTCP) as s:
        s.connect(listener.getsockname())
        check(ttls.status(s)[0] in (ttls.POL_OFF, ttls.POL_NO_POLICY), "MPTCP")
    with socket.socket() as s:
        equal(ttls.call(s)[0], errno.ENOTCONN, "not connected")
        s.bind(("127.0.0.1", lab.next_port()))
        equal(ttls.call(s)[0], errno.ENOTCONN, "bound")
        s.listen()
        equal(ttls.call(s)[0], errno.ENOTCONN, "listening")
    with open("/dev/null", encoding="ascii") as f:
        equal(ttls.raw(f.fileno(), ttls.ctypes.byref(ttls.Ioctl(ver=1))),
              errno.ENOTTY, "no socket")
    equal(ttls.raw(-1, ttls.ctypes.byref(ttls.Ioctl(ver=1))), errno.EBADF,
          "no file")


@test
def test_ioctl_bad_memory(lab):
    """Addresses that are not there, and structures of another length."""
    with accepted(lab, adv=CONTROLLED) as (s, _):
        for address in (0, 8, 1 << 46, (1 << 64) - 4096):
            equal(ttls.raw(s.fileno(), ttls.ctypes.c_void_p(address)),
                  errno.EFAULT, f"address {address:#x}")
        memory = ttls.ctypes.create_string_buffer(64)
        at = ttls.ctypes.addressof(memory) + 1
        ttls.ctypes.memmove(at, bytes(ttls.Ioctl(ver=1)), 56)
        equal(ttls.raw(s.fileno(), ttls.ctypes.c_void_p(at)), 0, "odd address")
        equal((memory[5], memory[57:]), (b"\5", bytes(7)), "what it wrote")
        io = ttls.Ioctl(ver=1)
        for size in (0, 8, 55, 57, 8192):
            command = 0xC000D90B | size << 16
            equal(ttls.raw(s.fileno(), ttls.ctypes.byref(io), command),
                  errno.EINVAL, f"length {size}")
        equal(ttls.status(s), (ttls.POL_APPLCNTRL, ttls.NOTSECURE), "status")


def der(lab, leaf):
    with open(lab.pki.cert(leaf), encoding="ascii") as f:
        return ssl.PEM_cert_to_DER_cert(f.read())


@contextlib.contextmanager
def connected(lab, leaf, port):
    """A client under the rule of this port; its server has a certificate."""
    with listen(port) as listener:
        echo_server(listener, lab.tls_server_context(leaf))
        with socket.create_connection(("127.0.0.1", port)) as s:
            lab.echoes(s)
            yield s


def secure_fields(lab, version, **kw):
    """What QUERY says of a secure server after INIT."""
    with accepted(lab, adv=CONTROLLED, **kw) as (s, c):
        thread, _ = in_thread(lambda: ttls.ask(s, ttls.INIT))
        with lab.tls_client_context(version).wrap_socket(
                c, server_hostname="server.example"):
            thread.join(slow(60))
            io = ttls.ask(s)
    return io.protocol, io.cipher4, io.cipher2, io.share


@test
def test_ioctl_what_was_agreed(lab):
    """Protocol, cipher in four and in two digits, key share."""
    equal(secure_fields(lab, ssl.TLSVersion.TLSv1_2, ring="rsa", action=
                        "TTLSCipherParms { V3CipherSuites 9C }"),
          (0x0303, b"009C", b"9C", b""), "TLS 1.2")
    equal(secure_fields(lab, ssl.TLSVersion.TLSv1_3, action="""
        TTLSCipherParms { V3CipherSuites4Char 1302 }
        TTLSSignatureParms { ServerKeyShareGroups 0023 }"""),
          (0x0304, b"1302", b"4X", b"0023"), "TLS 1.3")


@test
def test_ioctl_roles(lab):
    """Sec_Type comes from the policy, before any handshake."""
    roles = [("Server", "", 2)] + [
        ("ServerWithClientAuth", f"ClientAuthType {kind}\n", value)
        for kind, value in (("PassThru", 3), ("Full", 4), ("Required", 5),
                            ("SAFCheck", 6))]
    ports = [lab.next_port() for _ in roles]
    users = f"TTLSCertificateMap\n{{\n{entry('mail', 'Subject CN=x')}}}"
    lab.policy("".join(
        rule(f"in{port}", "Inbound", port, role, "server", adv + CONTROLLED,
             action=users if value == 6 else "")
        for port, (role, adv, value) in zip(ports, roles)))
    for port, (role, adv, value) in zip(ports, roles):
        with pair(port) as (s, _):
            equal(ttls.ask(s).sec_type, value, f"{role} {adv}")


@test
def test_ioctl_user(lab):
    """The user of the certificate, in the field or, if long, by its key."""
    for user in ("www-data", "systemd-network"):
        port = lab.next_port()
        lab.policy(mapped(port, entry(user, "SubjectFilter C=US")))
        context = lab.tls_client_context()
        context.load_cert_chain(lab.pki.cert("staff"), lab.pki.key("staff"))
        with pair(port) as (s, c):
            thread, result = in_thread(lambda: ttls.ask(s))
            with context.wrap_socket(c, server_hostname="server.example"):
                thread.join(slow(60))
                short = len(user) < 9
                io = result[0]
                equal((io.user, io.user_len, io.flags),
                      (user.encode(), len(user), 0) if short else (b"", 0, 1),
                      "user")
                equal(ttls.query(s, ttls.question(ttls.USER))[3],
                      [(0, user.encode() + b"\0")], "TTLSK_UserID")
                _, io, got = ttls.certificate(s)
                equal(got[:io.cert_len], der(lab, "staff"), "certificate")


@test
def test_ioctl_certificate(lab):
    """RETURN_CERTIFICATE: of the server, and of a client that has none."""
    port = lab.next_port()
    lab.policy(client(port))
    want = der(lab, "server-ecdsa")
    with connected(lab, "server-ecdsa", port) as s:
        err, io, got = ttls.certificate(s)
        equal((err, io.cert_len), (0, len(want)), "length")
        equal(got[:io.cert_len], want, "certificate")
        err, io, _ = ttls.certificate(s, len(want))
        equal(err, 0, "just enough room")
        err, io, got = ttls.certificate(s, len(want) - 1)
        equal((err, io.reason, io.cert_len, io.conn),
              (errno.ENOBUFS, ttls.JR_BUFF_TOO_SMALL, len(want), ttls.SECURE),
              "too little room")
        check(not any(got), "bytes of what did not fit")
        equal(ttls.call(s, ttls.RETURN_CERTIFICATE, buffer=8,
                        buffer_len=4096)[0], errno.EFAULT, "bad address")
    with accepted(lab, adv=CONTROLLED) as (s, c):
        equal(ttls.certificate(s)[1].cert_len, 0, "in clear")
        thread, result = in_thread(lambda: ttls.certificate(s, req=ttls.INIT))
        with lab.tls_client_context().wrap_socket(
                c, server_hostname="server.example"):
            thread.join(slow(60))
            err, io, _ = result[0]
            equal((err, io.conn, io.cert_len), (0, ttls.SECURE, 0),
                  "with INIT, no certificate")


@test
def test_ioctl_version_2(lab):
    """Names, certificate and user; room for them; what makes no sense."""
    port = lab.next_port()
    lab.policy(client(port))
    want = der(lab, "server-ecdsa")
    with connected(lab, "server-ecdsa", port) as s:
        conn, = (c for c in lab.conns() if c["remote_port"] == port)
        ask = (ttls.RULE, ttls.GROUP, ttls.ENVIRONMENT, ttls.CONNECTION,
               ttls.CERTIFICATE, ttls.USER, 999)
        err, io, _, answers = ttls.query(s, ttls.question(*ask))
        equal((err, io.conn, io.policy), (0, ttls.SECURE, ttls.POL_ENABLED),
              "QUERY")
        names = [(conn[k] or "").encode() + b"\0" for k in
                 ("rule", "group", "environment", "connection")]
        equal(answers, [(0, n) for n in names] +
              [(0, want), (0, b"\0"), (ttls.Q_UNKNOWN, b"")], "answers")
        room = 44 + 16 * len(ask) + sum(len(data) for _, data in answers)
        buffer = ttls.question(*ask, size=room - 1)
        before = buffer.raw
        err, io, needed, _ = ttls.query(s, buffer)
        equal((err, io.reason, needed),
              (errno.ENOBUFS, ttls.JR_BUFF_TOO_SMALL, room), "too small")
        equal(buffer.raw[20:], before[20:], "the rest of the buffer")
        equal(ttls.query(s, ttls.question(*ask, size=room))[0], 0, "enough")
        err, _, _, answers = ttls.query(
            s, ttls.question(ttls.RULE, sets=[(5, b"data")]))
        equal((err, answers[0][0], answers[1]),
              (0, ttls.Q_UNKNOWN, (0, names[0])), "a Set, which there is not")
        for what, buffer in bad_buffers():
            err, io, _, _ = ttls.query(s, buffer)
            equal((err, io.reason), (errno.EINVAL, ttls.JR_PARM), what)
        io = ttls.Ioctl(ver=2, buffer=8, buffer_len=100)
        equal(ttls.raw(s.fileno(), ttls.ctypes.byref(io)), errno.EFAULT,
              "bad address")


def bad_buffers():
    yield "eyecatcher", ttls.question(ident=b"TTLSHDR\0")
    yield "shorter than a header", ttls.question(size=43)
    yield "longer than allowed", ttls.question(size=(1 << 20) + 1)
    yield "no room for the questions", ttls.question(1, size=59)
    for at in (8, 15, 28, 43):
        buffer = ttls.question(1)
        buffer[at] = 1
        yield f"reserved byte {at}", buffer
    for sets, gets in ((0, 65), (65, 0), (64, 1), (0xffffffff, 2),
                       (2, 0xffffffff), (0x10000000, 0), (0, 0x10000000)):
        buffer = ttls.question()
        struct.pack_into("=II", buffer, 20, sets, gets)
        yield f"{sets} sets, {gets} gets", buffer
    for offset, size in ((0, 4), (59, 4), (65536, 1), (65537, 0), (65530, 8),
                         (0xffffffff, 2), (60, 0xffffffff), (60, 0)):
        buffer = ttls.question((ttls.HOST, b"a.b\0"))
        struct.pack_into("=II", buffer, 48, offset, size)
        yield f"input of {size} bytes at {offset}", buffer
    for name in (b"no.nul", b"two\0nuls\0", b"x" * 256 + b"\0"):
        yield f"name {name[:10]}", ttls.question((ttls.HOST, name))


HOSTS = {
    "server-ecdsa": ({"server.example": 1, "SERVER.Example": 1, "127.0.0.1": 1,
                      "::1": 1, "0:0::1": 1, "server.example.": 1,
                      "a.server.example": 0, "server.exampl": 0, "example": 0,
                      "127.0.0.2": 0, "::2": 0, "": 0, ".": 0,
                      "::ffff:127.0.0.1": 0, "*.example": 0}),
    "wildcard": ({"a.tls.example": 1, "xn--bcher-kva.tls.example": 1,
                  "A.TLS.EXAMPLE": 1, "a.b.tls.example": 0, "tls.example": 0,
                  ".tls.example": 0, "atls.example": 0, "a.tls.example.x": 0,
                  "*.tls.example": 0}),
    "star": ({"a.example": 0, "xa.b.example": 0, "ab.b.example": 0,
              "x*.b.example": 0, "cn.example": 0}),
    "common": ({"cn.example": 1, "127.0.0.1": 1, "x.cn.example": 0}),
}


@test
def test_ioctl_host_status(lab):
    """A certificate is for the hosts that RFC 9525 says it is for."""
    ports = [lab.next_port() for _ in HOSTS]
    lab.pki.leaf("star", cn="cn.example", san="DNS:*.example,DNS:x*.b.example,"
                 "DNS:a.*.b.example,IP:127.0.0.1")
    lab.pki.leaf("common", cn="cn.example", san="IP:127.0.0.1")
    lab.policy("".join(client(port, host=None) for port in ports))
    for port, (leaf, hosts) in zip(ports, HOSTS.items()):
        with connected(lab, leaf, port) as s:
            err, _, _, answers = ttls.query(s, ttls.question(*(
                (ttls.HOST, host.encode() + b"\0") for host in hosts)))
            equal(err, 0, "QUERY")
            got = {host: int(code == ttls.Q_OK)
                   for host, (code, _) in zip(hosts, answers)}
            equal(got, hosts, leaf)
    with accepted(lab, adv=CONTROLLED) as (s, _):
        _, _, _, answers = ttls.query(
            s, ttls.question((ttls.HOST, b"a\0"), ttls.CERTIFICATE))
        equal([code for code, _ in answers], [ttls.Q_NO_CERTIFICATE] * 2,
              "in clear")


@test
def test_ioctl_reset_session(lab):
    """After INIT it is done; a ticket is not to be had."""
    with accepted(lab, adv=CONTROLLED) as (s, c):
        _, tls = secured(lab, s, c)
        equal(ttls.ask(s, ttls.RESET_SESSION).conn, ttls.SECURE, "session")
        err, io = ttls.call(s, ttls.SEND_SESSION_TICKET)
        equal((err, io.conn), (errno.EOPNOTSUPP, ttls.SECURE), "ticket")
        tls.sendall(lab.marker)
        equal(recv_exact(s, len(lab.marker)), lab.marker, "data")


ALLOWED = ttls.INIT | ttls.ALLOW_HSTIMEOUT


@test
def test_ioctl_allow_clear_text(lab):
    """Clear bytes instead of TLS: in clear, all of them, and INIT later."""
    for first in (b"USER anonymous\r\n", b"\x16", b"\x16\x02\x00",
                  b"\x80\x2e\x01"):
        rest = b"" if len(first) > 1 else b"x"
        with accepted(lab, adv=CONTROLLED) as (s, c):
            thread, result = in_thread(lambda: ttls.ask(s, ALLOWED))
            c.sendall(first)
            c.sendall(rest)
            thread.join(slow(60))
            equal((result[0].conn, result[0].policy),
                  (ttls.NOTSECURE, ttls.POL_APPLCNTRL), f"{first}")
            equal(recv_exact(s, len(first + rest)), first + rest, "data")
            s.sendall(b"AUTH TLS\r\n")
            equal(recv_exact(c, 10), b"AUTH TLS\r\n", "answer")
            _, tls = secured(lab, s, c)
            tls.sendall(lab.marker)
            equal(recv_exact(s, len(lab.marker)), lab.marker, "secure data")


@test
def test_ioctl_allow_tls(lab):
    """The peer begins with TLS, in pieces and in one."""
    with accepted(lab, adv=CONTROLLED) as (s, c):
        thread, result = in_thread(lambda: ttls.ask(s, ALLOWED))
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = lab.tls_client_context().wrap_bio(
            into, out, server_hostname="server.example")
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = out.read()
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(4):
            c.sendall(hello[i:i + 1])
        c.sendall(hello[4:])
        done = False
        while not done:
            into.write(c.recv(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                done = True
            c.sendall(out.read())
        thread.join(slow(60))
        equal(result[0].conn, ttls.SECURE, "status")
        tls.write(lab.marker)
        c.sendall(out.read())
        equal(recv_exact(s, len(lab.marker)), lab.marker, "data")


@test
def test_ioctl_allow_silence(lab):
    """Nothing until the timer: in clear.  One byte of TLS: reset."""
    with accepted(lab, adv=CONTROLLED + "\nHandshakeTimeout 1") as (s, c):
        before = lab.stats()["left_in_clear"]
        s.setblocking(False)
        equal(ttls.call(s, ALLOWED)[0], errno.EINPROGRESS, "INIT")
        equal(select.select([], [s], [], slow(60))[1], [s], "writable")
        equal(ttls.status(s), (ttls.POL_APPLCNTRL, ttls.NOTSECURE), "status")
        equal(lab.stats()["left_in_clear"] - before, 1, "counted")
        s.setblocking(True)
        s.sendall(b"220 ready\r\n")
        equal(recv_exact(c, 11), b"220 ready\r\n", "greeting")
        c.sendall(b"\x16")
        err, io = ttls.call(s, ALLOWED)
        equal((err, io.reason), (errno.ECONNRESET, ttls.JR_HANDSHAKE),
              "the beginning of a record")


@test
def test_ioctl_allow_denied(lab):
    """For servers with a timer alone."""
    with accepted(lab, adv=CONTROLLED + "\nHandshakeTimeout 0") as (s, _):
        err, io = ttls.call(s, ALLOWED)
        equal((err, io.reason, io.conn),
              (errno.EPROTO, ttls.JR_DENIED, ttls.NOTSECURE), "no timer")
    port = lab.next_port()
    lab.policy(client(port, adv=CONTROLLED))
    with pair(port) as (_, c):
        err, io = ttls.call(c, ALLOWED)
        equal((err, io.reason, io.conn),
              (errno.EPROTO, ttls.JR_DENIED, ttls.NOTSECURE), "a client")


@test
def test_ioctl_allow_close(lab):
    """The application does not wait: the end, at once and without a reset."""
    with accepted(lab, adv=CONTROLLED + "\nHandshakeTimeout 600") as (s, c):
        s.setblocking(False)
        equal(ttls.call(s, ALLOWED)[0], errno.EINPROGRESS, "INIT")
        s.close()
        equal(c.recv(1), b"", "the end")


@test
def test_ioctl_allow_end(lab):
    """The peer goes away without a word: in clear, and the end."""
    with accepted(lab, adv=CONTROLLED) as (s, c):
        thread, result = in_thread(lambda: ttls.ask(s, ALLOWED))
        wait_for("INIT", lambda: lab.conns()[0]["state"] == "handshake")
        c.shutdown(socket.SHUT_WR)
        thread.join(slow(60))
        equal(result[0].conn, ttls.NOTSECURE, "status")
        equal(s.recv(1), b"", "the end")
        equal(ttls.call(s, ttls.INIT)[0], errno.EPIPE, "INIT")
