# SPDX-License-Identifier: GPL-2.0-only
"""A small PKI of real certificates, made once per boot with openssl(1)."""
import os
import shutil
import subprocess

KEYS = {
    "rsa": ["-newkey", "rsa:2048"],
    "ecdsa": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "ed25519": ["-newkey", "ed25519"],
}
NAME = "server.example"
STAFF = "/C=US/O=Example/OU=Web/CN=Bob"


def _openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


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
              subject=None):
        san = san or f"DNS:{cn},IP:127.0.0.1,IP:::1"
        _openssl("req", "-x509", *KEYS[kind], "-nodes",
                 "-CA", self.cert(ca), "-CAkey", self.key(ca), *validity,
                 "-subj", subject or f"/CN={cn}",
                 "-addext", "basicConstraints=critical,CA:FALSE",
                 "-addext", f"subjectAltName={san}",
                 "-keyout", self.key(name), "-out", self.cert(name))

    def ring(self, name, leaves, ca="ca"):
        """A key ring directory: one authority and pairs."""
        ring = self.path("ring-" + name)
        os.makedirs(ring, mode=0o700, exist_ok=True)
        shutil.copy(self.cert(ca), os.path.join(ring, "ca.pem"))
        for leaf in leaves:
            shutil.copy(self.cert(leaf), os.path.join(ring, leaf + ".crt"))
            shutil.copy(self.key(leaf), os.path.join(ring, leaf + ".key"))
        return ring
