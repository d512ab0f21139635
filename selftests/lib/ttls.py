# SPDX-License-Identifier: GPL-2.0-only
"""SIOCTTLSCTL for tests: the structures of uapi/linux/ttls.h."""
import ctypes
import os
import struct

SIOCTTLSCTL = 0xC038D90B

QUERY = 0x00
RETURN_CERTIFICATE = 0x01
INIT = 0x02
RESET_SESSION = 0x04
RESET_CIPHER = 0x08
STOP = 0x10
ALLOW_HSTIMEOUT = 0x20
RESET_WRITE_CIPHER = 0x40
SEND_SESSION_TICKET = 0x80

POL_OFF, POL_NO_POLICY, POL_NOT_ENABLED, POL_ENABLED, POL_APPLCNTRL = (
    range(1, 6))
NOTSECURE, HS_INPROGRESS, SECURE = range(1, 4)

(JR_OK, JR_INVALID_VERSION, JR_PARM, JR_BUFF_TOO_SMALL, JR_DENIED, JR_ACTIVE,
 JR_HANDSHAKE, JR_READ_PENDING, JR_WRITE_PENDING, JR_UNEXPECTED) = range(10)
JR_RENEGOTIATION = 64
JR_NOT_CLEAR = 65
JR_NO_TICKET = 66

RULE, GROUP, ENVIRONMENT, CONNECTION, CERTIFICATE, HOST = range(1, 7)
USER = 0x100
SESSION_TOKEN, SESSION_REUSE, SESSION_REQUIRED = range(0x101, 0x104)
Q_OK, Q_MISMATCH, Q_NO_CERTIFICATE, Q_UNKNOWN, Q_TOO_LATE = range(5)

_libc = ctypes.CDLL(None, use_errno=True)


class Ioctl(ctypes.Structure):
    """struct TTLS_IOCTL."""
    _fields_ = [
        ("ver", ctypes.c_uint8),
        ("rsvd1", ctypes.c_uint8),
        ("req", ctypes.c_uint16),
        ("policy", ctypes.c_uint8),
        ("conn", ctypes.c_uint8),
        ("protocol", ctypes.c_uint16),
        ("cipher2", ctypes.c_char * 2),
        ("sec_type", ctypes.c_uint8),
        ("user_len", ctypes.c_uint8),
        ("user", ctypes.c_char * 9),
        ("fips140", ctypes.c_uint8),
        ("flags", ctypes.c_uint8),
        ("rsvd2", ctypes.c_uint8),
        ("cipher4", ctypes.c_char * 4),
        ("share", ctypes.c_char * 4),
        ("cert_len", ctypes.c_uint32),
        ("buffer_len", ctypes.c_uint32),
        ("buffer", ctypes.c_uint64),
        ("reason", ctypes.c_uint32),
        ("rsvd3", ctypes.c_uint32),
    ]


assert ctypes.sizeof(Ioctl) == 56


def raw(fd, argument, command=SIOCTTLSCTL):
    """The call with an address, or anything ctypes passes: the errno, or 0."""
    ctypes.set_errno(0)
    ret = _libc.ioctl(ctypes.c_int(fd), ctypes.c_ulong(command), argument)
    return ctypes.get_errno() if ret else 0


def call(s, req=QUERY, **fields):
    """One call on a socket: (errno, Ioctl)."""
    io = Ioctl(ver=1, req=req, **fields)
    return raw(s.fileno(), ctypes.byref(io)), io


def ask(s, req=QUERY, **fields):
    """The same, where it must work: Ioctl."""
    err, io = call(s, req, **fields)
    if err:
        raise OSError(err, f"{os.strerror(err)}, reason {io.reason}")
    return io


def certificate(s, size=65536, **kw):
    """RETURN_CERTIFICATE: (errno, Ioctl, what is in the buffer)."""
    buffer = ctypes.create_string_buffer(size)
    err, io = call(s, RETURN_CERTIFICATE | kw.pop("req", 0), buffer_len=size,
                   buffer=ctypes.addressof(buffer), **kw)
    return err, io, buffer.raw


def question(*gets, sets=(), size=65536, ident=b"TTLSHDR "):
    """The buffer of version 2: gets are keys, or (key, input)."""
    asked = [(g, b"") if isinstance(g, int) else g for g in [*sets, *gets]]
    at = 44 + 16 * len(asked)
    quads, data = b"", b""
    for key, text in asked:
        quads += struct.pack("=4I", key, at + len(data) if text else 0,
                             len(text), 77)
        data += text
    buffer = ctypes.create_string_buffer(size)
    head = struct.pack("=8s8xIII16x", ident, 0, len(sets), len(gets))
    whole = head + quads + data
    ctypes.memmove(buffer, whole, min(len(whole), size))
    return buffer


def query(s, buffer):
    """A call of version 2: (errno, Ioctl, bytes needed, answers).

    An answer is (Rcode, data).
    """
    io = Ioctl(ver=2, buffer=ctypes.addressof(buffer),
               buffer_len=len(buffer))
    err = raw(s.fileno(), ctypes.byref(io))
    needed, n_sets, n_gets = struct.unpack_from("=3I", buffer, 16)
    answers = []
    for i in range(n_sets + n_gets if not err else 0):
        _, offset, size, code = struct.unpack_from("=4I", buffer, 44 + 16 * i)
        answers.append((code, buffer.raw[offset:offset + size]))
    return err, io, needed, answers


def status(s):
    """(Stat_Policy, Stat_Conn) of a socket."""
    io = ask(s)
    return io.policy, io.conn
