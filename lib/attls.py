# SPDX-License-Identifier: GPL-2.0-only
"""TLS on and off on TCP sockets, where the policy of attls lets programs.

    with attls.secure(sock) as status:
        print(status.protocol, attls.names(sock).rule)
        sock.sendall(b"encrypted by the kernel")
    sock.sendall(b"clear again")

    with attls.connect(("mail.example", 993), alpn=["imap"]) as sock:
        print(attls.alpn(sock))     # connected to it, and to nobody else

What fails raises Error, an OSError with errno and reason (TTLS_Jr*).  A
socket with a timeout waits that long, as for any other call; one that does
not block raises Error with EINPROGRESS, and wait() is for when it is
writable.  See libattls(3).
"""
import contextlib
import ctypes
import errno
import math
import socket
import typing

_lib = ctypes.CDLL("libattls.so.0", use_errno=True)
_libc = ctypes.CDLL(None)
_libc.free.argtypes = [ctypes.c_void_p]

POL_OFF, POL_NO_POLICY, POL_NOT_ENABLED, POL_ENABLED, POL_APPLCNTRL = \
    range(1, 6)
CONN_NOTSECURE, CONN_HS_INPROGRESS, CONN_SECURE = range(1, 4)
(SEC_UNKNOWN, SEC_CLIENT, SEC_SERVER, SEC_SRV_CA_PASS, SEC_SRV_CA_FULL,
 SEC_SRV_CA_REQD, SEC_SRV_CA_SAFCHK) = range(7)

RESET_SESSION = 0x0004
RESET_CIPHER = 0x0008
ALLOW_HSTIMEOUT = 0x0020
RESET_WRITE_CIPHER = 0x0040


class Error(OSError):
    """A call that failed: errno, strerror, reason."""

    def __init__(self, number, reason):
        text = _lib.attls_strerror(number, reason).decode()
        super().__init__(number, text)
        self.reason = reason


class Status(typing.NamedTuple):
    """How a connection is protected: POL_*, CONN_*, SEC_*, ..."""

    policy: int
    conn: int
    role: int
    protocol: str   # "TLSv1.3", or empty
    cipher: str     # four hex digits as in the policy, or empty
    group: str      # of the key share, four digits as in the policy
    fips: int
    resumed: bool

    @property
    def secure(self):
        return self.conn == CONN_SECURE


class Names(typing.NamedTuple):
    """What of the policy it is under, and whose certificate the peer has."""

    rule: str
    group: str
    environment: str
    connection: str
    user: str


class _Status(ctypes.Structure):
    _fields_ = [("policy", ctypes.c_uint), ("conn", ctypes.c_uint),
                ("role", ctypes.c_uint), ("protocol", ctypes.c_uint),
                ("fips", ctypes.c_uint), ("resumed", ctypes.c_bool),
                ("cipher", ctypes.c_char * 8), ("group", ctypes.c_char * 8),
                ("rsvd", ctypes.c_uint * 8)]


class _Names(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in Names._fields]


class _Der(ctypes.Structure):
    _fields_ = [("der", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class _Chain(ctypes.Structure):
    _fields_ = [("count", ctypes.c_size_t), ("certs", ctypes.POINTER(_Der))]


_TOKEN_LEN = 16
_PROTOCOLS = {0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}

for _name, _result, *_arguments in (
        ("query", ctypes.c_int, ctypes.POINTER(_Status)),
        ("names", ctypes.POINTER(_Names)),
        ("certificate", ctypes.c_int, ctypes.POINTER(ctypes.c_void_p),
         ctypes.POINTER(ctypes.c_size_t)),
        ("host", ctypes.c_int, ctypes.c_char_p),
        ("start", ctypes.c_int, ctypes.c_uint),
        ("stop", ctypes.c_int),
        ("wait", ctypes.c_int, ctypes.c_int),
        ("reset", ctypes.c_int, ctypes.c_uint),
        ("attach", ctypes.c_int),
        ("set_peer_name", ctypes.c_int, ctypes.c_char_p),
        ("set_alpn", ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)),
        ("set_session", ctypes.c_int, ctypes.c_char_p, ctypes.c_bool),
        ("session", ctypes.c_int, ctypes.c_char_p),
        ("send_ticket", ctypes.c_int),
        ("alpn", ctypes.c_void_p),
        ("peer_chain", ctypes.POINTER(_Chain)),
        ("own_chain", ctypes.POINTER(_Chain)),
        ("export", ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p,
         ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)):
    _function = getattr(_lib, f"attls_{_name}")
    _function.restype = _result
    _function.argtypes = [ctypes.c_int, *_arguments]
_lib.attls_reason.restype = ctypes.c_uint
_lib.attls_strerror.restype = ctypes.c_char_p
_lib.attls_strerror.argtypes = [ctypes.c_int, ctypes.c_uint]


def _failed():
    return Error(ctypes.get_errno(), _lib.attls_reason())


def _call(name, sock, *arguments):
    """A function that returns -1 or NULL if it fails; begun anew after a
    signal, but for those that have begun something."""
    while True:
        result = getattr(_lib, f"attls_{name}")(sock.fileno(), *arguments)
        failed = result < 0 if isinstance(result, int) else not result
        if not failed:
            return result
        if ctypes.get_errno() != errno.EINTR or name in ("start", "stop"):
            raise _failed()


def _text(value):
    """What C takes for this text, and no less of it."""
    if "\0" in value:
        raise ValueError("embedded null character")
    return value.encode()


def query(sock):
    """The Status of a socket's connection."""
    status = _Status()
    _call("query", sock, ctypes.byref(status))
    return Status(status.policy, status.conn, status.role,
                  _PROTOCOLS.get(status.protocol, ""),
                  status.cipher.decode(), status.group.decode(),
                  status.fips, status.resumed)


def names(sock):
    """The Names of a socket's connection; empty where there is none."""
    found = _call("names", sock)
    try:
        return Names(*(getattr(found.contents, name).decode()
                       for name in Names._fields))
    finally:
        _libc.free(found)


def certificate(sock):
    """The peer's certificate as DER, or None if it sent none."""
    der, size = ctypes.c_void_p(), ctypes.c_size_t()
    _call("certificate", sock, ctypes.byref(der), ctypes.byref(size))
    if not der:
        return None
    try:
        return ctypes.string_at(der, size.value)
    finally:
        _libc.free(der)


def host(sock, name):
    """Whether the peer's certificate has this name or address."""
    return bool(_call("host", sock, _text(name)))


def attach(sock):
    """Gives attls a socket before connect(), or a connection without a rule,
    for which the policy is looked at now."""
    _call("attach", sock)


def set_peer_name(sock, name):
    """The server's certificate must be for this host, and there must be a
    rule; "": no such wish."""
    _call("set_peer_name", sock, _text(name))


def set_alpn(sock, protocols):
    """Protocols for ALPN, best first; none: no ALPN."""
    names_of = [_text(protocol) for protocol in protocols]
    _call("set_alpn", sock,
          (ctypes.c_char_p * (len(names_of) + 1))(*names_of))


def set_session(sock, token, required=False):
    """The handshake should resume the session that session() named, or must;
    None: no such wish."""
    if token is not None and len(token) != _TOKEN_LEN:
        raise ValueError(f"a token has {_TOKEN_LEN} bytes")
    _call("set_session", sock, token, required)


def session(sock):
    """What names the session, bytes, the same on all connections that have
    resumed it; None: it is never resumed."""
    token = ctypes.create_string_buffer(_TOKEN_LEN)
    return token.raw if _call("session", sock, token) else None


def send_ticket(sock):
    """A server of TLS 1.3 sends its client one more ticket, soon."""
    _call("send_ticket", sock)


def alpn(sock):
    """The protocol of ALPN, or None."""
    found = _call("alpn", sock)
    try:
        return ctypes.string_at(found).decode() or None
    finally:
        _libc.free(found)


def _chain(name, sock):
    found = _call(name, sock)
    try:
        certs = found.contents.certs[:found.contents.count]
        return [ctypes.string_at(cert.der, cert.len) for cert in certs]
    finally:
        _libc.free(found)


def peer_chain(sock):
    """The certificates that the peer sent, as DER, its own first."""
    return _chain("peer_chain", sock)


def own_chain(sock):
    """The certificates that were sent to the peer."""
    return _chain("own_chain", sock)


def export(sock, label, length, context=None):
    """Keying material, bytes: RFC 5705, RFC 8446 section 7.5."""
    out = ctypes.create_string_buffer(length)
    _call("export", sock, _text(label), context, len(context or b""), out,
          length)
    return out.raw


def wait(sock, timeout=None):
    """Waits for a start or stop under way: whether the socket is secure."""
    milliseconds = -1 if timeout is None else math.ceil(timeout * 1000)
    return bool(_call("wait", sock, milliseconds))


def _finish(name, sock, *arguments):
    """Begins something, and waits for it as long as the socket waits."""
    try:
        return bool(_call(name, sock, *arguments))
    except Error as error:
        waits = error.errno == errno.EINPROGRESS and sock.gettimeout() != 0
        if not waits and error.errno != errno.EINTR:
            raise
    return wait(sock, sock.gettimeout())


class _Wishes(typing.NamedTuple):
    """What is wished for before a handshake."""

    peer_name: str = ""
    alpn: typing.Sequence[str] = ()
    session: bytes | None = None
    required: bool = False

    def say(self, sock):
        if self.peer_name:
            set_peer_name(sock, self.peer_name)
        if self.alpn:
            set_alpn(sock, self.alpn)
        if self.session or self.required:
            set_session(sock, self.session, self.required)


def start(sock, allow_clear=False, **wishes):
    """Begins TLS.  Wishes are peer_name, alpn, session and required, as the
    functions set_*() take them.  False, only if allow_clear: the peer does not
    want it."""
    _Wishes(**wishes).say(sock)
    return _finish("start", sock, ALLOW_HSTIMEOUT if allow_clear else 0)


def stop(sock):
    """Ends TLS; what follows is clear."""
    _finish("stop", sock)


def reset(sock, what):
    """RESET_*: new keys, a new session."""
    _call("reset", sock, what)


@contextlib.contextmanager
def secure(sock, **wishes):
    """TLS for a while, begun as by start().  An exception leaves it on:
    nothing follows in clear that was meant to be encrypted."""
    start(sock, **wishes)
    yield query(sock)
    stop(sock)


def _connected(info, timeout, wishes):
    sock = socket.socket(*info[:3])
    try:
        if timeout is not None:
            sock.settimeout(timeout)
        attach(sock)
        wishes.say(sock)
        sock.connect(info[4])
    except BaseException:
        sock.close()
        raise
    return sock


def connect(address, timeout=None, *, peer_name=None, **wishes):
    """As socket.create_connection(), with wishes as for start(), but to nobody
    else than peer_name, which is the host of the address unless said
    otherwise.  "" leaves it to the policy who is taken, and whether there is
    TLS at all."""
    name = address[0] if peer_name is None else peer_name
    wishes = _Wishes(name, **wishes)
    failure = OSError(f"{address[0]}: no address")
    for info in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
        try:
            return _connected(info, timeout, wishes)
        except OSError as error:
            failure = error
    raise failure
