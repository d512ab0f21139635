#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What attls check says of key rings, which are made here, dates and all.

rings.py ATTLS		compares with rings/NAME.out; UPDATE=1 writes them
"""
import contextlib
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
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from tokens import Token  # noqa: E402 pylint: disable=C0413

PASSWORD = "sesame-4711"
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

    def key_pem(self, how=ser.NoEncryption()):
        return self.key.private_bytes(ser.Encoding.PEM,
                                      ser.PrivateFormat.PKCS8, how)

    def pkcs12(self, label, cas, how):
        return pkcs12.serialize_key_and_certificates(
            label, self.key, self.cert, [ca.cert for ca in cas], how)


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


def rule(name, directory, role="Server", port=443, adv="", parms="", more=""):
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
    }}{more}
  }}
}}
"""


def protected(directory, password, role="Server", **kw):
    return rule("r", directory, role, parms=f"      {password}", **kw)


def on_token(name, password, role="Server", **kw):
    return protected(f'"*TOKEN*/attls {name}"', password, role, **kw)


PW = f"KeyringPw {PASSWORD}"
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


def fill(token, number, label, cert, key=None):
    put("token.crt", cert.cert_pem())
    token.cert("token.crt", number, label)
    if key:
        put("token.key", key.key_pem())
        token.key("token.key", number)


def make_tokens(stack):
    """Those of TOKENS, gone when the stack is left."""
    ca = Party("the authority", ca=True)
    server = Party("server.example", ca)
    rsa2048 = Party("server.example", ca,
                    key=rsa.generate_private_key(65537, 2048))
    expired = Party("server.example", ca, dates=(-90, -10))
    tokens = {name: stack.enter_context(Token(f"attls {name}", PASSWORD))
              for name in ("good", "expired", "nokey", "otherkey", "empty")}
    fill(tokens["good"], 1, "server", server, server)
    fill(tokens["good"], 2, "rsa", rsa2048, rsa2048)
    fill(tokens["good"], 3, "the authority", ca)
    fill(tokens["expired"], 1, "old", expired, expired)
    fill(tokens["nokey"], 1, "server", server)
    fill(tokens["otherkey"], 1, "server", server, expired)


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
    ring("short", ("server", Party("server.example", ca, dates=(-1, 6))))
    ring("shorter", ("server", Party("server.example", ca, dates=(-5, 2))))
    chained = Party("server.example", old_ca)
    ring("oldchain", ("server", chained))
    put("oldchain/server.crt", chained.cert_pem() + old_ca.cert_pem())
    ring("nokey", ("server", server), cas=[ca], keys=False)
    ring("wrongkey", ("server", server))
    put("wrongkey/server.key", other.key_pem())
    ring("small", ("server", small))
    ring("p224", ("server", p224))
    ring("exposed", ("server", server), mode=0o644)
    ring("writable", ("server", server))
    os.chmod("writable", 0o707)
    ring("writable-ca", ("server", server), cas=[ca])
    os.chmod("writable-ca/ca0.pem", 0o606)
    ring("empty")
    ring("garbled")
    put("garbled/x.pem", b"-----BEGIN CERTIFICATE-----\nnonsense\n")
    locked = ser.BestAvailableEncryption(PASSWORD.encode())
    ring("locked", ("server", server))
    put("locked/server.key", server.key_pem(locked))
    put("good.p12", server.pkcs12(b"Web Server", [ca], locked))
    put("noname.p12", server.pkcs12(None, [ca], locked))
    put("open.p12", expired.pkcs12(b"web", [], ser.NoEncryption()), 0o644)
    put("trust.p12", pkcs12.serialize_key_and_certificates(
        None, None, None, [ca.cert], locked))
    # As z/OS exports it.
    put("zos.p12", server.pkcs12(
        b"web", [ca], ser.PrivateFormat.PKCS12.encryption_builder()
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1()).build(PASSWORD.encode())))
    put("garbled.p12", b"not one\n")
    put("ring.kdb", b"not one either\n")
    with_crls(ca, other)
    several(server, rsa2048)
    forgotten(server)
    make_stashes()


def crl(issuer, signer, until=1):
    return (x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.subject).last_update(days(-9))
            .next_update(days(until)).sign(signer.key, hashes.SHA256())
            .public_bytes(ser.Encoding.PEM))


def with_crls(ca, other):
    for name, data in (("crl", crl(ca, ca)), ("crl-old", crl(ca, ca, -1)),
                       ("crl-forged", crl(ca, other)),
                       ("crl-garbled", crl(ca, ca).replace(b"M", b"N", 1))):
        ring(name, cas=[ca])
        put(f"{name}/ca.crl", data)


def several(*parties):
    """A file with a key pair each, which openssl(1) does not make."""
    put("keys", b"".join(p.key_pem() for p in parties))
    put("certs", b"".join(p.cert_pem() for p in parties))
    subprocess.run(["certtool", "--to-p12", "--outder", "--p12-name", "first",
                    "--load-privkey", "keys", "--load-certificate", "certs",
                    "--password", PASSWORD, "--outfile", "several.p12"],
                   check=True, capture_output=True)
    os.chmod("several.p12", 0o600)


def forgotten(party):
    """Encrypted with 40 bits, as it was done once."""
    put("pair", party.key_pem() + party.cert_pem())
    subprocess.run(["openssl", "pkcs12", "-export", "-legacy", "-in", "pair",
                    "-passout", f"pass:{PASSWORD}", "-out", "rc2.p12"],
                   check=True, capture_output=True)
    os.chmod("rc2.p12", 0o600)


def make_stashes():
    line = PASSWORD.encode()
    put("text.sth", line + b"\n")
    put("gskit.sth", bytes(b ^ 0xf5 for b in (line + b"\0").ljust(129, b"x")))
    put("newer.sth", bytes(range(193)))
    put("empty.sth", b"")
    put("wrong.sth", b"sesame\n")
    put("group.sth", line, 0o640)
    put("alien.sth", line)
    os.chown("alien.sth", 65534, 65534)


def signing(label):
    return rule("r", "TOP/good", "Client", more=f"""
    TTLSGskAdvancedParms
    {{
      TTLSGskOcspParms
      {{
        OcspAiaEnable On
        OcspRequestSigkeylabel {label}
      }}
    }}""")


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
    ("short", rule("r", "TOP/short")),
    ("shorter", rule("r", "TOP/shorter")),
    ("soon-shared", shared("a", 443) + shared("b", 444) + SHARED),
    ("oldchain", rule("r", "TOP/oldchain")),
    ("nokey", rule("r", "TOP/nokey")),
    ("wrongkey", rule("r", "TOP/wrongkey")),
    ("label", rule("r", "TOP/good", adv="      CertificateLabel sever")),
    ("labels", rule("r", "TOP/good",
                    adv="      ServerCertificateLabel server\n"
                    "      ServerCertificateLabel nowhere\n"
                    "      ServerCertificateLabel rsb")),
    ("names", rule("r", "TOP/good",
                   adv="      ServerHandshakeSNI Optional\n"
                   "      ServerHandshakeSNIMatch Optional\n"
                   "      ServerHandshakeSNIList a.example rsa\n"
                   "      ServerHandshakeSNIList b.example rsb")),
    ("no-pair", rule("r", "TOP/trust")),
    ("no-ca", rule("r", "TOP/soon", "Client")),
    ("oldtrust", rule("r", "TOP/oldtrust", "Client")),
    ("crl", rule("r", "TOP/crl", "Client")),
    ("crl-old", rule("r", "TOP/crl-old", "Client")),
    ("crl-forged", rule("r", "TOP/crl-forged", "Client")),
    ("crl-garbled", rule("r", "TOP/crl-garbled", "Client")),
    ("signer", signing("rsa")),
    ("signer-label", signing("rsb")),
    ("signer-key", signing("server")),
    ("small", rule("r", "TOP/small")),
    ("p224", rule("r", "TOP/p224")),
    ("peers", rule("r", "TOP/good", "ServerWithClientAuth",
                   adv="      PeerMinRsaKeySize 3072\n"
                   "      PeerMinECCKeySize 384")),
    ("exposed", rule("r", "TOP/exposed")),
    ("writable", rule("r", "TOP/writable")),
    ("writable-ca", rule("r", "TOP/writable-ca")),
    ("several", rule("a", "TOP/missing") + rule("b", "TOP/expired", port=444)),
    ("locked", rule("r", "TOP/locked")),
    ("locked-wrong", protected("TOP/locked", "KeyringPw sesame")),
    ("locked-pw", protected("TOP/locked", PW)),
    ("p12", protected("TOP/good.p12", PW,
                      adv='      CertificateLabel "Web Server"')),
    ("p12-label", protected("TOP/good.p12", PW,
                            adv='      CertificateLabel "web srver"')),
    ("p12-noname", protected("TOP/noname.p12", PW,
                             adv="      CertificateLabel noname")),
    ("p12-3des", protected("TOP/zos.p12", PW)),
    ("p12-rc2", protected("TOP/rc2.p12", PW)),
    ("p12-several", protected("TOP/several.p12", PW,
                              adv="      ServerCertificateLabel first\n"
                              "      ServerCertificateLabel several")),
    ("p12-client", protected("TOP/trust.p12", PW, "Client")),
    ("p12-open", rule("r", "TOP/open.p12")),
    ("p12-nothing", rule("r", "TOP/good.p12")),
    ("p12-wrong", protected("TOP/good.p12", "KeyringPw sesame")),
    ("p12-both", rule("a", "TOP/good.p12", parms=f"      {PW}")
     + rule("b", "TOP/good.p12", port=444)),
    ("p12-garbled", rule("r", "TOP/garbled.p12")),
    ("kdb", protected("TOP/ring.kdb", "KeyringStashFile TOP/text.sth")),
    ("stash", protected("TOP/good.p12", "KeyringStashFile TOP/text.sth")),
    ("stash-gskit", protected("TOP/good.p12",
                              "KeyringStashFile TOP/gskit.sth")),
    ("stash-newer", protected("TOP/good.p12",
                              "KeyringStashFile TOP/newer.sth")),
    ("stash-empty", protected("TOP/good.p12",
                              "KeyringStashFile TOP/empty.sth")),
    ("stash-wrong", protected("TOP/good.p12",
                              "KeyringStashFile TOP/wrong.sth")),
    ("stash-group", protected("TOP/good.p12",
                              "KeyringStashFile TOP/group.sth")),
    ("stash-alien", protected("TOP/good.p12",
                              "KeyringStashFile TOP/alien.sth")),
    ("stash-missing", protected("TOP/good.p12",
                                "KeyringStashFile TOP/none.sth")),
    ("stash-relative", protected("TOP/good.p12", "KeyringStashFile x.sth")),
    ("pw-stash", protected("TOP/good.p12", PW +
                           "\n      KeyringStashFile TOP/text.sth")),
    ("pw-words", protected("TOP/good.p12", f"KeyringPw open {PASSWORD}")),
    ("pw-empty", protected("TOP/good.p12", 'KeyringPw ""')),
    ("pw-stars", protected("TOP/good.p12", "KeyringPw ********")),
    ("token", on_token("good", PW)),
    ("token-label", on_token("good", PW,
                             adv="      CertificateLabel srver")),
    ("token-client", on_token("good", PW, "Client")),
    ("token-nothing", on_token("good", "")),
    ("token-wrong", on_token("good", "KeyringPw sesame")
     + rule("b", '"*TOKEN*/attls good"', port=444,
            parms="      KeyringPw sesame")),
    ("token-missing", on_token("absent", PW)),
    ("token-expired", on_token("expired", PW)),
    ("token-nokey", on_token("nokey", PW)),
    ("token-otherkey", on_token("otherkey", PW)),
    ("token-empty", on_token("empty", PW)),
    ("json", rule("r", "TOP/expired"), "--json"),
    ("not-opened", rule("r", "TOP/missing"), "--no-rings"),
]


def nobody():
    os.setgid(65534)
    os.setuid(65534)


def run(attls, policy, args, top, mode=0o600, user=None):
    """What the command says, and its exit status."""
    put("policy.conf", policy.replace("TOP", top).encode(), mode)
    done = subprocess.run([attls, *args], text=True, capture_output=True,
                          check=False, preexec_fn=user)
    text = done.stderr + done.stdout
    if PASSWORD in text:
        text += "it shows the password\n"
    if "--json" in args:
        text = json.dumps(json.loads(done.stdout)["diags"], indent=1) + "\n"
    text = re.sub(r"\d{4}-\d\d-\d\d", "DATE", text.replace(top, "TOP"))
    return f"{text}exit status {done.returncode}\n"


def keyring_lines(text):
    return "".join(line + "\n" for line in text.splitlines()
                   if "Keyring" in line or "password" in line)


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
    with tempfile.TemporaryDirectory() as top, \
            contextlib.ExitStack() as stack:
        os.chmod(top, 0o755)
        os.chdir(top)
        make_rings()
        make_tokens(stack)
        for name, policy, *args in CASES:
            args = ["check", *args, "policy.conf"]
            good &= compare(name, run(attls, policy, args, top))
        args = ["check", "policy.conf"]
        good &= compare("nobody", run(attls, rule("r", "TOP/good"), args, top,
                                      0o644, nobody))
        secret = protected("TOP/good.p12", PW)
        good &= compare("pw-exposed", run(attls, secret, args, top, 0o644))
        args = ["explain", "policy.conf", "--in", "--local", "192.0.2.1:443",
                "--remote", "192.0.2.2:40000"]
        good &= compare("pw-explain", keyring_lines(
            run(attls, secret, args, top)))
        args = ["check", "--print", "policy.conf"]
        good &= compare("pw-print", keyring_lines(
            run(attls, secret, args, top)))
        os.chdir("/")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
