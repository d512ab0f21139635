#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What attls check says of key rings, which are made here, dates and all.

rings.py ATTLS		compares with rings/NAME.out; UPDATE=1 writes them
"""
import datetime
import difflib
import json
import os
import re
import subprocess
import sys
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

HERE = os.path.dirname(os.path.abspath(__file__))
NOW = datetime.datetime.now(datetime.timezone.utc)


def days(n):
    return NOW + datetime.timedelta(days=n)


class Party:
    """A private key and its certificate."""

    def __init__(self, name, issuer=None, ca=False, key=None, dates=(-2, 300)):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = issuer or self
        self.subject = subject
        self.cert = (
            x509.CertificateBuilder().subject_name(subject)
            .issuer_name(issuer.subject).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(days(dates[0])).not_valid_after(days(dates[1]))
            .add_extension(x509.BasicConstraints(ca, None), True)
            .sign(issuer.key, hashes.SHA256()))

    def cert_pem(self):
        return self.cert.public_bytes(ser.Encoding.PEM)

    def key_pem(self):
        return self.key.private_bytes(ser.Encoding.PEM,
                                      ser.PrivateFormat.PKCS8,
                                      ser.NoEncryption())


def put(path, data, mode=0o600):
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, mode)


def ring(name, *parties, cas=(), keys=True, mode=0o600):
    os.makedirs(name, mode=0o700)
    for i, party in enumerate(cas):
        put(f"{name}/ca{i}.pem", party.cert_pem())
    for label, party in parties:
        put(f"{name}/{label}.crt", party.cert_pem())
        if keys:
            put(f"{name}/{label}.key", party.key_pem(), mode)


def rule(name, directory, role="Server", port=443, adv="", parms=""):
    direction = "Outbound" if role == "Client" else "Inbound"
    side = "Remote" if role == "Client" else "Local"
    if role == "Client":
        adv += "\n      HostReferenceIdDNS server.example"
    return f"""TTLSRule {name}
{{
  {side}PortRange {port}
  Direction {direction}
  TTLSGroupAction
  {{
    TTLSEnabled On
  }}
  TTLSEnvironmentAction
  {{
    HandshakeRole {role}
    TTLSKeyringParms
    {{
      Keyring {directory}
{parms}
    }}
    TTLSEnvironmentAdvancedParms
    {{
{adv}
    }}
  }}
}}
"""


SHARED = """TTLSGroupAction on
{
  TTLSEnabled On
}
TTLSEnvironmentAction server
{
  HandshakeRole Server
  TTLSKeyringParms
  {
    Keyring TOP/soon
  }
}
"""


def shared(name, port):
    return f"""TTLSRule {name}
{{
  LocalPortRange {port}
  Direction Inbound
  TTLSGroupActionRef on
  TTLSEnvironmentActionRef server
  TTLSConnectionAction
  {{
    Trace 4
  }}
}}
"""


def make_rings():
    ca = Party("the authority", ca=True)
    old_ca = Party("the old authority", ca=True, dates=(-900, -3))
    server = Party("server.example", ca)
    other = Party("other.example", ca)
    expired = Party("server.example", ca, dates=(-90, -10))
    early = Party("server.example", ca, dates=(10, 300))
    soon = Party("server.example", ca, dates=(-80, 10))
    small = Party("server.example", ca,
                  key=rsa.generate_private_key(65537, 1024))
    rsa2048 = Party("server.example", ca,
                    key=rsa.generate_private_key(65537, 2048))
    p224 = Party("server.example", ca,
                 key=ec.generate_private_key(ec.SECP224R1()))
    ring("good", ("server", server), ("rsa", rsa2048), cas=[ca])
    ring("trust", cas=[ca])
    ring("oldtrust", cas=[old_ca, ca])
    ring("expired", ("server", expired), ("spare", server), cas=[ca])
    ring("early", ("server", early))
    ring("soon", ("server", soon))
    chained = Party("server.example", old_ca)
    ring("oldchain", ("server", chained))
    put("oldchain/server.crt", chained.cert_pem() + old_ca.cert_pem())
    ring("nokey", ("server", server), cas=[ca], keys=False)
    ring("wrongkey", ("server", server))
    put("wrongkey/server.key", other.key_pem())
    ring("small", ("server", small))
    ring("p224", ("server", p224))
    ring("exposed", ("server", server), mode=0o644)
    ring("empty")
    ring("garbled")
    put("garbled/x.pem", b"-----BEGIN CERTIFICATE-----\nnonsense\n")


# name, policy, further arguments
CASES = [
    ("good", rule("r", "TOP/good")),
    ("trust", rule("r", "TOP/trust", "Client")),
    ("missing", rule("r", "TOP/missing")),
    ("empty", rule("r", "TOP/empty")),
    ("garbled", rule("r", "TOP/garbled")),
    ("expired", rule("r", "TOP/expired")),
    ("expired-unused", rule("r", "TOP/expired",
                            adv="      CertificateLabel spare")),
    ("early", rule("r", "TOP/early")),
    ("soon", rule("r", "TOP/soon")),
    ("soon-shared", shared("a", 443) + shared("b", 444) + SHARED),
    ("oldchain", rule("r", "TOP/oldchain")),
    ("nokey", rule("r", "TOP/nokey")),
    ("wrongkey", rule("r", "TOP/wrongkey")),
    ("label", rule("r", "TOP/good", adv="      CertificateLabel sever")),
    ("labels", rule("r", "TOP/good",
                    adv="      ServerCertificateLabel server\n"
                    "      ServerCertificateLabel nowhere\n"
                    "      ServerCertificateLabel rsb")),
    ("no-pair", rule("r", "TOP/trust")),
    ("no-ca", rule("r", "TOP/soon", "Client")),
    ("oldtrust", rule("r", "TOP/oldtrust", "Client")),
    ("small", rule("r", "TOP/small")),
    ("p224", rule("r", "TOP/p224")),
    ("peers", rule("r", "TOP/good", "ServerWithClientAuth",
                   adv="      PeerMinRsaKeySize 3072\n"
                   "      PeerMinECCKeySize 384")),
    ("exposed", rule("r", "TOP/exposed")),
    ("several", rule("a", "TOP/missing") + rule("b", "TOP/expired", port=444)),
    ("json", rule("r", "TOP/expired"), "--json"),
    ("not-opened", rule("r", "TOP/missing"), "--no-rings"),
]


def nobody():
    os.setgid(65534)
    os.setuid(65534)


def check(attls, policy, args, top, user=None):
    """What the command says, and its exit status."""
    put("policy.conf", policy.replace("TOP", top).encode(), 0o644)
    done = subprocess.run([attls, "check", *args, "policy.conf"], text=True,
                          capture_output=True, check=False, preexec_fn=user)
    text = done.stderr + done.stdout
    if "--json" in args:
        text = json.dumps(json.loads(done.stdout)["diags"], indent=1) + "\n"
    text = re.sub(r"\d{4}-\d\d-\d\d", "DATE", text.replace(top, "TOP"))
    return f"{text}exit status {done.returncode}\n"


def compare(name, text):
    path = f"{HERE}/rings/{name}.out"
    if os.environ.get("UPDATE"):
        put(path, text.encode(), 0o644)
    with open(path, encoding="utf-8") as f:
        want = f.read()
    for line in difflib.unified_diff(want.splitlines(), text.splitlines(),
                                     path, "now", lineterm=""):
        print(f"# {line}")
    return want == text


def main():
    attls = os.path.abspath(sys.argv[1]) if "/" in sys.argv[1] else sys.argv[1]
    good = True
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        os.chdir(top)
        make_rings()
        for name, policy, *args in CASES:
            good &= compare(name, check(attls, policy, args, top))
        good &= compare("nobody", check(attls, rule("r", "TOP/good"), [], top,
                                        nobody))
        os.chdir("/")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
