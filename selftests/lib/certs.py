# SPDX-License-Identifier: GPL-2.0-only
"""A small PKI of real certificates, made once per boot with openssl(1)."""
import datetime
import os
import shutil
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

KEYS = {
    "rsa": ["-newkey", "rsa:2048"],
    "ecdsa": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "ed25519": ["-newkey", "ed25519"],
}
NAME = "server.example"
STAFF = "/C=US/O=Example/OU=Web/CN=Bob"


def _openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def _ber(tag, *parts):
    """BER of one thing, whose contents are parts."""
    body = b"".join(parts)
    size = len(body).to_bytes(4, "big")
    return bytes([tag, 0x84]) + size + body


def _oid(text):
    """What is below 1.2.840.113549.1, with small numbers."""
    words = [int(word) for word in text.split(".")]
    return _ber(6, bytes.fromhex("2a864886f70d01"), bytes(words))


def _data(body):
    return _ber(0x30, _oid("7.1"), _ber(0xa0, _ber(4, body)))


def pkcs12_of_authority(cert, crl):
    """A PKCS#12 file without a password, with certificate and CRL as DER."""
    bags = [_ber(0x30, _oid(bag), _ber(0xa0, _ber(
        0x30, _oid(kind), _ber(0xa0, _ber(4, value)))))
            for bag, kind, value in (("12.10.1.3", "9.22.1", cert),
                                     ("12.10.1.4", "9.23.1", crl))]
    safe = _ber(0x30, _data(_ber(0x30, *bags)))
    return _ber(0x30, _ber(2, b"\3"), _data(safe))


class Pki:
    """Directory with authorities, leaf pairs and key rings."""

    def __init__(self, top):
        self.top = top
        os.makedirs(top, exist_ok=True)
        self._authority("ca")
        self._authority("otherca")
        for kind in KEYS:
            self._leaf(f"server-{kind}", "ca", kind, NAME)
        self._leaf("client", "ca", "ecdsa", "client.example")
        self._leaf("staff", "ca", "ecdsa", "Bob", subject=STAFF,
                   san="DNS:bob.example,email:Bob@mail.example,"
                   "URI:spiffe://example/bob,"
                   "otherName:msUPN;UTF8:bob@corp.example")
        self._leaf("stranger", "otherca", "ecdsa", NAME)
        self._leaf("wrongname", "ca", "ecdsa", "other.example")
        self._leaf("wildcard", "ca", "ecdsa", "*.tls.example")
        self._leaf("elsewhere", "ca", "ecdsa", NAME,
                   san=f"DNS:{NAME},IP:127.0.0.2")
        self._leaf("cn", "ca", "ecdsa", "The Server", san="IP:127.0.0.1")
        self._leaf("expired", "ca", "ecdsa", NAME,
                   validity=["-not_before", "20200101000000Z",
                             "-not_after", "20210101000000Z"])
        self.ring("server", ["server-rsa", "server-ecdsa"])
        for kind in KEYS:
            self.ring(kind, [f"server-{kind}"])
        self.ring("expired", ["expired"])
        self.ring("stranger", ["stranger"])
        self.ring("wrongname", ["wrongname"])
        self.ring("client", [])
        self.ring("clientcert", ["client"])
        self.ring("untrusting", [], ca="otherca")

    def path(self, name):
        return os.path.join(self.top, name)

    def cert(self, name):
        return self.path(name + ".crt")

    def key(self, name):
        return self.path(name + ".key")

    def _authority(self, name):
        _openssl("req", "-x509", *KEYS["ecdsa"], "-nodes", "-days", "30",
                 "-subj", f"/CN=attls test {name}",
                 "-addext", "basicConstraints=critical,CA:TRUE",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                 "-keyout", self.key(name), "-out", self.cert(name))

    def _leaf(self, name, ca, kind, cn, validity=("-days", "30"), san=None,
              subject=None, ext=(), options=()):
        san = san or f"DNS:{cn},IP:127.0.0.1,IP:::1"
        if not any(line.startswith("basicConstraints") for line in ext):
            ext = ["basicConstraints=critical,CA:FALSE", *ext]
        more = [word for line in ext for word in ("-addext", line)]
        _openssl("req", "-x509", *KEYS[kind], "-nodes",
                 "-CA", self.cert(ca), "-CAkey", self.key(ca), *validity,
                 "-subj", subject or f"/CN={cn}",
                 "-addext", f"subjectAltName={san}", *more, *options,
                 "-keyout", self.key(name), "-out", self.cert(name))

    def leaf(self, name, *ext, ca="ca", cn=NAME, san=None, options=()):
        """One more certificate, with extensions as openssl.cnf has them."""
        self._leaf(name, ca, "ecdsa", cn, san=san, ext=ext, options=options)

    def load(self, name):
        with open(self.cert(name), "rb") as f:
            return x509.load_pem_x509_certificate(f.read())

    def crl(self, revoked=(), ca="ca", signer=None, days=1):
        """A CRL as DER; days: until the next one, or since."""
        now = datetime.datetime.now(datetime.timezone.utc)
        first = now - datetime.timedelta(days=9)
        builder = x509.CertificateRevocationListBuilder(
            self.load(ca).subject, first,
            now + datetime.timedelta(days=days))
        for name in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder(
                    self.load(name).serial_number, first).build())
        with open(self.key(signer or ca), "rb") as f:
            key = serialization.load_pem_private_key(f.read(), None)
        return builder.sign(key, hashes.SHA256()).public_bytes(
            serialization.Encoding.DER)

    def index(self, good=(), revoked=()):
        """The database of an authority, for openssl ocsp."""
        path = self.path("index.txt")
        lines = []
        for name in [*good, *revoked]:
            serial = f"{self.load(name).serial_number:X}"
            serial = serial.zfill(len(serial) + len(serial) % 2)
            state = "R" if name in revoked else "V"
            since = "250101000000Z" if name in revoked else ""
            lines.append(f"{state}\t491231235959Z\t{since}\t{serial}\t"
                         f"unknown\t/CN={name}\n")
        with open(path, "w", encoding="ascii") as f:
            f.writelines(lines)
        return path

    def ring(self, name, leaves, ca="ca"):
        """A key ring directory: one authority and pairs."""
        ring = self.path("ring-" + name)
        os.makedirs(ring, mode=0o700, exist_ok=True)
        shutil.copy(self.cert(ca), os.path.join(ring, "ca.pem"))
        for leaf in leaves:
            shutil.copy(self.cert(leaf), os.path.join(ring, leaf + ".crt"))
            shutil.copy(self.key(leaf), os.path.join(ring, leaf + ".key"))
        return ring
