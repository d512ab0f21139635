# SPDX-License-Identifier: GPL-2.0-only
"""Raw generic netlink: right messages to the family attls, and wrong ones.

genl.py	asks for each command and prints {command: errno}
"""
import errno
import json
import socket
import struct

NETLINK_GENERIC, SOL_NETLINK = 16, 270
NETLINK_CAP_ACK, NETLINK_EXT_ACK = 10, 11
REQUEST, ACK, DUMP = 1, 4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
GENL_CTRL, CTRL_GETFAMILY, CTRL_FAMILY_ID, CTRL_FAMILY_NAME = 16, 3, 1, 2
POLICY_SET, POLICY_GET, CONN_GET, STATS_GET = 1, 2, 3, 4
GENERATION, CHUNK = 2, 3
CHUNK_MAX = 32768
SO_SNDBUFFORCE = 32


def attr(kind, data, length=None):
    """An attribute; length: what it says to be instead of the truth."""
    head = struct.pack("=HH", len(data) + 4 if length is None else length,
                       kind)
    return head + data + bytes(-len(data) % 4)


def u32(kind, value):
    return attr(kind, struct.pack("=I", value))


def set_attrs(generation, blob):
    """What puts a rule set in force."""
    chunks = (attr(CHUNK, blob[i:i + CHUNK_MAX])
              for i in range(0, len(blob), CHUNK_MAX))
    return u32(GENERATION, generation) + b"".join(chunks)


def message(kind, command, attrs=b"", flags=REQUEST | ACK, length=None,
            version=1, reserved=0):
    """A generic netlink message; length: as for attr."""
    body = struct.pack("=BBH", command, version, reserved) + attrs
    return struct.pack("=IHHII", len(body) + 16 if length is None else length,
                       kind, flags, 1, 0) + body


def attrs_of(data):
    """[(type, bytes)] of what the kernel sent."""
    found = []
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found.append((kind, data[4:length]))
        data = data[(length + 3) & ~3:]
    return found


class Genl:
    """A socket, and the number of the family."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW,
                                  NETLINK_GENERIC)
        for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK):
            self.sock.setsockopt(SOL_NETLINK, option, 1)
        self.family = GENL_CTRL
        name = attr(CTRL_FAMILY_NAME, b"attls\0")
        replies = self.talk(message(GENL_CTRL, CTRL_GETFAMILY, name))
        ids = dict(attrs_of(replies[0][1]))
        self.family = struct.unpack("=H", ids[CTRL_FAMILY_ID])[0]

    def send_large(self):
        """Has room for the largest rule set; needs privilege."""
        self.sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 40 << 20)

    def close(self):
        self.sock.close()

    def replies(self):
        """[(errno or None, attributes)]: a request is done when it is sent."""
        found = []
        while True:
            try:
                data = self.sock.recv(1 << 20, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return found
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    number = -struct.unpack_from("=i", data, 16)[0]
                    found.append((number, b""))
                else:
                    found.append((None, data[20:length]))
                data = data[(length + 3) & ~3:]

    def talk(self, data):
        self.sock.sendall(data)
        return self.replies()

    def message(self, command, attrs=b"", **wrong):
        return message(self.family, command, attrs, **wrong)

    def errno(self, command, attrs=b"", **wrong):
        """How a request ends: a number, or None when nobody answers."""
        replies = self.talk(self.message(command, attrs, **wrong))
        return replies[-1][0] if replies else None

    def install(self, generation, blob):
        return self.errno(POLICY_SET, set_attrs(generation, blob))

    def policy(self):
        """Generation and rule set in force."""
        generation, blob = 0, b""
        replies = self.talk(self.message(POLICY_GET, flags=REQUEST | DUMP))
        if replies[-1][0]:
            raise OSError(replies[-1][0], "POLICY_GET")
        for number, attrs in replies:
            if number is not None:
                continue
            found = dict(attrs_of(attrs))
            generation = struct.unpack("=I", found[GENERATION])[0]
            blob += found.get(CHUNK, b"")
        return generation, blob


def main():
    genl = Genl()
    print(json.dumps({
        "POLICY_SET": genl.install(0xffffffff, b"x"),
        "POLICY_GET": genl.errno(POLICY_GET, flags=REQUEST | DUMP),
        "CONN_GET": genl.errno(CONN_GET, flags=REQUEST | DUMP),
        "STATS_GET": genl.errno(STATS_GET),
        "EPERM": errno.EPERM,
    }))


if __name__ == "__main__":
    main()
