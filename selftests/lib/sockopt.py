# SPDX-License-Identifier: GPL-2.0-only
"""SOL_ATTLS for tests: the options of uapi/linux/attls_sockopt.h."""
import ctypes
import errno
import os
import socket
import struct

SOL_ATTLS = 0x5454
TCP_ULP = 31
(TTLS, PEER_NAME, ALPN, WAIT, PEER_CHAIN, OWN_CHAIN, USER,
 EXPORTER, SESSION) = range(1, 10)
SESSION_REQUIRED = 1
FOREVER = 0xFFFFFFFF
EXPORTER_CONTEXT = 1

_libc = ctypes.CDLL(None, use_errno=True)


def attach(sock):
    sock.setsockopt(socket.SOL_TCP, TCP_ULP, b"attls")


def put(sock, option, value):
    sock.setsockopt(SOL_ATTLS, option, value)


def protocols(*names):
    """The value of ALPN for names in bytes."""
    return b"".join(bytes([len(name)]) + name for name in names)


def put_raw(sock, option, buffer, size):
    """setsockopt that other threads do not wait for: the errno."""
    ret = _libc.setsockopt(sock.fileno(), SOL_ATTLS, option, buffer, size)
    return ctypes.get_errno() if ret else 0


def wait(sock, milliseconds=FOREVER):
    err = put_raw(sock, WAIT, struct.pack("I", milliseconds), 4)
    if err:
        raise OSError(err, os.strerror(err))


def get_raw(sock, option, buffer, size):
    """getsockopt with a buffer that is read as well: (errno, size)."""
    length = ctypes.c_uint32(size)
    ret = _libc.getsockopt(sock.fileno(), SOL_ATTLS, option, buffer,
                           ctypes.byref(length))
    return (ctypes.get_errno() if ret else 0), length.value


def get(sock, option, size=1024):
    """The bytes of an answer, whose size a first call may have to ask."""
    buffer = ctypes.create_string_buffer(size or 1)
    err, need = get_raw(sock, option, buffer, size)
    if err == errno.ERANGE and need > size:
        return get(sock, option, need)
    if err:
        raise OSError(err, os.strerror(err))
    return buffer.raw[:need]


def export(sock, label, length, context=None):
    """Keying material, or OSError."""
    out = ctypes.create_string_buffer(length or 1)
    inputs = [ctypes.create_string_buffer(b, len(b) or 1)
              for b in (label, context or b"")]
    ask = ctypes.create_string_buffer(struct.pack(
        "IIIIQQQ", EXPORTER_CONTEXT if context is not None else 0,
        len(label), len(context or b""), length,
        *(ctypes.addressof(b) for b in (*inputs, out))))
    err, _ = get_raw(sock, EXPORTER, ask, 40)
    if err:
        raise OSError(err, os.strerror(err))
    return out.raw[:length]
