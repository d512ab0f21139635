# SPDX-License-Identifier: GPL-2.0-only
"""SIOCTTLSCTL for tests: the structures of uapi/linux/ttls.h."""
import ctypes
import os

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


def status(s):
    """(Stat_Policy, Stat_Conn) of a socket."""
    io = ask(s)
    return io.policy, io.conn
