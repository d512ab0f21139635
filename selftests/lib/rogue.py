# SPDX-License-Identifier: GPL-2.0-only
"""A TLS 1.3 peer that can send any record it likes.

OpenSSL does the handshake and writes the traffic secrets into its key log;
from then on the records are made and read here.
"""
import ctypes
import hashlib
import hmac
import os
import ssl
import struct
import tempfile

from cryptography.hazmat.primitives.ciphers import aead

ALERT, HANDSHAKE, DATA = 21, 22, 23
TICKET, KEY_UPDATE = 4, 24
CLOSE_NOTIFY, UNEXPECTED_MESSAGE, BAD_RECORD_MAC = 0, 10, 20

SUITES = {
    "TLS_AES_128_GCM_SHA256": (aead.AESGCM, 16, "sha256"),
    "TLS_AES_256_GCM_SHA384": (aead.AESGCM, 32, "sha384"),
    "TLS_CHACHA20_POLY1305_SHA256": (aead.ChaCha20Poly1305, 32, "sha256"),
}


def choose_suite(context, suite):
    """What the ssl module has no function for: only @suite of TLS 1.3.

    The SSL_CTX is the first member of the context behind its object head.
    """
    libssl = ctypes.CDLL("libssl.so.3")
    ctx = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    done = libssl.SSL_CTX_set_ciphersuites(ctx, suite.encode())
    assert done == 1, suite


class Flow:
    """Keys of one direction, RFC 8446 sections 5.3 and 7."""

    def __init__(self, suite, secret):
        self.cipher, self.key_len, self.hash = SUITES[suite]
        self.use(secret)

    def expand(self, label, length):
        label = b"tls13 " + label
        info = struct.pack(">HB", length, len(label)) + label + b"\0\1"
        return hmac.new(self.secret, info, self.hash).digest()[:length]

    def use(self, secret):
        self.secret = secret
        self.aead = self.cipher(self.expand(b"key", self.key_len))
        self.iv = self.expand(b"iv", 12)
        self.seq = 0

    def update(self):
        """The next generation, section 7.2."""
        size = hashlib.new(self.hash).digest_size
        self.use(self.expand(b"traffic upd", size))

    def nonce(self):
        seq = self.seq.to_bytes(12, "big")
        self.seq += 1
        return bytes(a ^ b for a, b in zip(self.iv, seq))


def message(kind, body=b""):
    """A handshake message, section 4."""
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def key_update(request=0):
    return message(KEY_UPDATE, bytes([request]))


def ticket():
    nonce, identity = os.urandom(8), os.urandom(64)
    return message(TICKET, struct.pack(">II", 7200, 1) +
                   bytes([len(nonce)]) + nonce +
                   struct.pack(">H", len(identity)) + identity + b"\0\0")


class Rogue:
    """The far end of @sock after a handshake by OpenSSL."""

    def __init__(self, sock, context, **names):
        self.sock = sock
        self.buffer = b""
        self.updates = self.requests = 0	# key updates that came
        self.tickets = 0
        with tempfile.TemporaryDirectory() as where:
            context.keylog_filename = os.path.join(where, "keys")
            tls = self._handshake(context, names)
            with open(context.keylog_filename, encoding="ascii") as f:
                words = [line.split() for line in f if line[0] != "#"]
        secret = {w[0]: bytes.fromhex(w[2]) for w in words}
        self.suite = suite = tls.cipher()[0]
        client = Flow(suite, secret["CLIENT_TRAFFIC_SECRET_0"])
        server = Flow(suite, secret["SERVER_TRAFFIC_SECRET_0"])
        served = names.get("server_side")
        self.tx, self.rx = (server, client) if served else (client, server)

    def _handshake(self, context, names):
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(into, out, **names)
        done = False
        while not done:
            try:
                tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            self.sock.sendall(out.read())
            if not done:
                into.write(self._raw_record())
        return tls

    def _fill(self, size):
        while len(self.buffer) < size:
            chunk = self.sock.recv(65536)
            if not chunk:
                raise EOFError
            self.buffer += chunk

    def _raw_record(self):
        self._fill(5)
        size = 5 + int.from_bytes(self.buffer[3:5], "big")
        self._fill(size)
        record, self.buffer = self.buffer[:size], self.buffer[size:]
        return record

    def seal(self, kind, data, pad=0):
        """The record of @data under the key and number that are next."""
        inner = data + bytes([kind]) + bytes(pad)
        head = struct.pack(">BHH", DATA, 0x0303, len(inner) + 16)
        return head + self.tx.aead.encrypt(self.tx.nonce(), inner, head)

    def send(self, kind, data, pad=0):
        self.sock.sendall(self.seal(kind, data, pad))

    def _receive_any(self):
        record = self._raw_record()
        inner = self.rx.aead.decrypt(self.rx.nonce(), record[5:], record[:5])
        inner = inner.rstrip(b"\0")
        return inner[-1], inner[:-1]

    def receive(self):
        """The next record, but tickets, which are counted: type, content."""
        while True:
            kind, content = self._receive_any()
            if (kind, content[:1]) != (HANDSHAKE, bytes([TICKET])):
                return kind, content
            self.tickets += 1

    def receive_data(self, size):
        """@size bytes of data; key updates on the way are followed.

        One that requests another is answered.
        """
        data = b""
        while len(data) < size:
            kind, content = self.receive()
            if kind == DATA:
                data += content
            elif (kind, content[:1]) == (HANDSHAKE, bytes([KEY_UPDATE])):
                self.rx.update()
                self.updates += 1
                if content == key_update(1):
                    self.requests += 1
                    self.send_key_update()
            else:
                raise AssertionError(f"record {kind}: {content!r}")
        return data

    def send_key_update(self, request=0):
        self.send(HANDSHAKE, key_update(request))
        self.tx.update()
