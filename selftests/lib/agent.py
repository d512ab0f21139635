# SPDX-License-Identifier: GPL-2.0-only
"""/dev/attls for tests that are the agent: structures of uapi/linux/attls.h.

Two handshakes of one connection that get keys the other way round make it
SECURE without a TLS library: what the kernel does then is seen alone.
"""
import ctypes
import errno
import fcntl
import os
import struct

from lab import wait_for

KEEP, TICKETS = 2, 4
FULL = 2
TICKET, SEND_TICKET, FORGET = range(1, 4)
TICKET_MAX = 16384
TLS12, TLS13 = 0x0303, 0x0304
CLIENT = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _code(direction, number, size):
    return direction << 30 | size << 16 | 0xd9 << 8 | number


def _call(fd, request, argument):
    """The errno of an ioctl that other threads do not wait for, or 0."""
    ret = _libc.ioctl(ctypes.c_int(fd), ctypes.c_ulong(request), argument)
    return ctypes.get_errno() if ret else 0


class Install(ctypes.Structure):
    """struct attls_install."""
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("protocol", ctypes.c_uint16), ("cipher", ctypes.c_uint16),
        ("group", ctypes.c_uint16), ("flags", ctypes.c_uint16),
        ("tx_len", ctypes.c_uint32), ("rx_len", ctypes.c_uint32),
        ("secret_len", ctypes.c_uint32),
        ("max_fragment", ctypes.c_uint16), ("reserved", ctypes.c_uint16),
        ("reserved2", ctypes.c_uint32),
        ("tx", ctypes.c_uint64), ("rx", ctypes.c_uint64),
        ("tx_secret", ctypes.c_uint64), ("rx_secret", ctypes.c_uint64),
        ("cert_uid", ctypes.c_uint32), ("reserved3", ctypes.c_uint32),
        ("cert_user", ctypes.c_char * 64),
        ("cert_len", ctypes.c_uint32), ("names_len", ctypes.c_uint32),
        ("cert", ctypes.c_uint64), ("names", ctypes.c_uint64),
        ("chain_len", ctypes.c_uint32), ("own_chain_len", ctypes.c_uint32),
        ("chain", ctypes.c_uint64), ("own_chain", ctypes.c_uint64),
        ("alpn_len", ctypes.c_uint32), ("exporter_len", ctypes.c_uint32),
        ("alpn", ctypes.c_uint64), ("exporter", ctypes.c_uint64),
        ("session", ctypes.c_uint8 * 16),
        ("tickets_len", ctypes.c_uint32), ("reserved4", ctypes.c_uint32),
        ("tickets", ctypes.c_uint64),
    ]


ACCEPT = _code(3, 0x20, 168)
INSTALL = _code(1, 0x21, ctypes.sizeof(Install))
EVENT = _code(3, 0x25, 24)
SEND = _code(1, 0x26, 16)


class Handshake:
    """An accepted handshake, or the keeper that it becomes."""

    def __init__(self, request):
        self.fd = struct.unpack_from("=i", request, 4)[0]
        self.role = request[52]
        self.flags, self.lost = struct.unpack_from("=II", request, 156)

    def close(self):
        os.close(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def install(self, **fields):
        """INSTALL: the errno, or 0."""
        fields.setdefault("size", ctypes.sizeof(Install))
        return self.install_raw(Install(**fields))

    def install_raw(self, install):
        return _call(self.fd, INSTALL, ctypes.byref(install))

    def event(self, room=TICKET_MAX, size=24, address=None):
        """(0, kind, ticket), or (errno, 0, b"")."""
        data = ctypes.create_string_buffer(TICKET_MAX)
        event = ctypes.create_string_buffer(struct.pack(
            "=IIIIQ", size, 0, room, 0,
            ctypes.addressof(data) if address is None else address))
        err = _call(self.fd, EVENT, event)
        if err:
            return err, 0, b""
        _, kind, used = struct.unpack_from("=III", event)
        return 0, kind, data.raw[:used]

    def send(self, message, size=16):
        """ATTLS_IOC_TICKET: the errno, or 0."""
        data = ctypes.create_string_buffer(message, len(message) or 1)
        return _call(self.fd, SEND, ctypes.create_string_buffer(struct.pack(
            "=IIQ", size, len(message), ctypes.addressof(data))))


def accept(device):
    """The next handshake; None while there is none."""
    request = bytearray(struct.pack("=I164x", 168))
    try:
        fcntl.ioctl(device, ACCEPT, request)
    except BlockingIOError:
        return None
    return Handshake(request)


def ticket(length, tag=0):
    """A NewSessionTicket of so many bytes, as far as the kernel looks."""
    return bytes([4]) + (length - 4).to_bytes(3, "big") + bytes(
        (tag + i) & 0xff for i in range(length - 4))


class Keys:
    """Two directions of AES-128-GCM, and a session."""

    def __init__(self, protocol=TLS13):
        self.protocol = protocol
        # iv, key, salt, rec_seq of struct tls12_crypto_info_aes_gcm_128
        self.info = [ctypes.create_string_buffer(
            struct.pack("=HH", protocol, 51) + os.urandom(28) + bytes(8), 40)
            for _ in range(2)]
        self.secret = [ctypes.create_string_buffer(os.urandom(32), 32)
                       for _ in range(2)]
        self.session = (ctypes.c_uint8 * 16)(*os.urandom(16))
        self.tickets = None

    def fields(self, client, flags=0, tickets=b""):
        """What INSTALL takes at one end."""
        mine, other = (0, 1) if client else (1, 0)
        tls13 = self.protocol == TLS13
        fields = {
            "protocol": self.protocol, "flags": flags,
            "cipher": 0x1301 if tls13 else 0xc02f, "tx_len": 40, "rx_len": 40,
            "tx": ctypes.addressof(self.info[mine]),
            "rx": ctypes.addressof(self.info[other]),
            "session": self.session,
        }
        if tickets:
            self.tickets = ctypes.create_string_buffer(tickets, len(tickets))
            fields |= {"tickets_len": len(tickets),
                       "tickets": ctypes.addressof(self.tickets)}
        if tls13:
            fields |= {
                "secret_len": 32,
                "tx_secret": ctypes.addressof(self.secret[mine]),
                "rx_secret": ctypes.addressof(self.secret[other]),
            }
        return fields


def both_ends(device):
    """The two handshakes of one connection: (server's, client's)."""
    got = [wait_for("a handshake", lambda: accept(device)) for _ in range(2)]
    got.sort(key=lambda hs: hs.role == CLIENT)
    return got


def secure(device, server=KEEP | TICKETS, client=KEEP, protocol=TLS13,
           tickets=b""):
    """Makes a waiting connection SECURE: its keepers, (server's, client's)."""
    keys = Keys(protocol)
    ends = both_ends(device)
    for hs, *what in zip(ends, (server, client), (tickets, b"")):
        err = hs.install(**keys.fields(hs.role == CLIENT, *what))
        if err:
            raise OSError(err, f"INSTALL: {errno.errorcode[err]}")
    return ends
