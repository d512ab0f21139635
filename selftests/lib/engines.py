# SPDX-License-Identifier: GPL-2.0-only
"""Real TLS peers that send what they have to say in an unusual way."""
import socket
import ssl
import struct
import time

from certs import NAME
from ktap import slow

VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2,
            "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def reset(s):
    """A close that sends RST."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


class Engine:
    """A TLS peer over a socket whose bytes go through send()."""

    def __init__(self, lab, raw, version, server):
        self.raw = raw
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.settimeout(slow(60))
        self.coming, self.going = ssl.MemoryBIO(), ssl.MemoryBIO()
        if server:
            context = lab.tls_server_context(version=version)
            self.tls = context.wrap_bio(self.coming, self.going, True)
        else:
            context = lab.tls_client_context(version)
            self.tls = context.wrap_bio(self.coming, self.going,
                                        server_hostname=NAME)

    def send(self, data):
        self.raw.sendall(data)

    def flush(self):
        if data := self.going.read():
            self.send(data)

    def until(self, call, *args):
        """call, and the bytes that it wants to go and come."""
        while True:
            try:
                value = call(*args)
                self.flush()
                return value
            except ssl.SSLWantReadError:
                self.flush()
            data = self.raw.recv(65536)
            if not data:
                raise ConnectionResetError("end of file")
            self.coming.write(data)

    def handshake(self):
        self.until(self.tls.do_handshake)

    def write(self, data):
        self.until(self.tls.write, data)

    def read(self, n):
        data = b""
        while len(data) < n:
            data += self.until(self.tls.read, n - len(data))
        return data


class CutEngine(Engine):
    """Sends its first n bytes and then RST or FIN."""

    def __init__(self, lab, raw, version, server, n, how):
        super().__init__(lab, raw, version, server)
        self.left, self.how = n, how

    def send(self, data):
        part = data[:self.left]
        self.raw.sendall(part)
        self.left -= len(part)
        if part != data or not self.left:
            self.end()
            raise BrokenPipeError

    def end(self):
        if self.how == "RST":
            reset(self.raw)
        else:
            self.raw.shutdown(socket.SHUT_WR)

    def run(self):
        """The handshake as far as it goes; True: to its end."""
        try:
            if not self.left:
                self.end()
                return False
            self.handshake()
            self.end()
            return True
        except (OSError, ssl.SSLError):
            return False


class SlowEngine(Engine):
    """Sends a few bytes at a time."""

    def __init__(self, lab, raw, version, server, dice):
        super().__init__(lab, raw, version, server)
        self.dice = dice

    def send(self, data):
        while data:
            n = self.dice.randint(1, 30)
            self.raw.sendall(data[:n])
            data = data[n:]
            time.sleep(self.dice.random() * 0.02)
