# SPDX-License-Identifier: GPL-2.0-only
"""FIPS140: what is taken, what is refused, what must be there.

Other tests have their rules with FIPS140 On, too, in a guest whose kernel is
in FIPS mode: those that are marked so.
"""
import os
import shutil
import socket
import subprocess

from cryptography.hazmat.primitives import hashes

import ttls
from ktap import Failed, check, equal, test
from lab import FIPS_CONFIG, client, echo_server, listen, rule, server
from storm import attlsd_pids
from t10_basic import s_client


def fips(text, level="On"):
    """The policy with FIPS140 in each group action."""
    return text.replace("TTLSEnabled On", f"TTLSEnabled On\nFIPS140 {level}")


def refused(lab, text, *words):
    """It is an error for attls check, which has all the words."""
    out = lab.attls("check", lab.write_policy(text, "fips.conf"), ok=1)
    for word in words:
        check(word in out.stderr, f"{word}: {out.stderr}")


@test
def test_fips_without_the_kernel(lab):
    """A kernel that is not in FIPS mode: an error, and nothing changes."""
    port = lab.next_port()
    lab.policy(server(port))
    before = lab.generation()
    for level in ("On", "Level1", "Level3"):
        text = fips(server(port), level)
        line = text.splitlines().index(f"FIPS140 {level}") + 1
        refused(lab, text, f"fips.conf:{line}:", "not in FIPS mode", "fips=1")
        out = lab.attls("load", lab.write_policy(text, "fips.conf"), ok=1)
        check("not in FIPS mode" in out.stderr, out)
    equal(lab.generation(), before, "generation")
    lab.attls("check", lab.write_policy(fips(server(port), "Off")))
    lab.attls("check", "--no-rings", lab.write_policy(fips(server(port))))


@test(fips="only")
def test_fips_without_the_provider(lab):
    """No file of fipsinstall, one of another module, then the right one."""
    text = server(lab.next_port())
    shutil.copy(FIPS_CONFIG, FIPS_CONFIG + "-right")
    try:
        with open(FIPS_CONFIG, encoding="ascii") as f:
            wrong = f.read().replace("module-mac = ", "module-mac = 00:00:")
        os.unlink(FIPS_CONFIG)
        refused(lab, text, "FIPS provider", FIPS_CONFIG, "fipsinstall")
        with open(FIPS_CONFIG, "w", encoding="ascii") as f:
            f.write(wrong)
        refused(lab, text, "FIPS provider", "fipsinstall")
    finally:
        os.rename(FIPS_CONFIG + "-right", FIPS_CONFIG)
    lab.attls("check", lab.write_policy(text))


@test(fips="only", timeout=300)
def test_fips_offer(lab):
    """A peer that has only what FIPS 140-3 has not is refused."""
    port, plain = lab.next_port(), lab.next_port()
    text = server(plain).replace("FIPS140 On", "FIPS140 Off")
    lab.policy(server(port) + text)
    listeners = [listen(port), listen(plain)]
    for listener in listeners:
        echo_server(listener)
    for pid in attlsd_pids():
        with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
            check("/fips.so" in maps.read(), f"{pid} has no FIPS provider")
    for args in (["-groups", "P-256"], ["-groups", "X25519MLKEM768"],
                 ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"],
                 ["-tls1_2", "-cipher", "DHE-RSA-AES256-GCM-SHA384"],
                 ["-sigalgs", "RSA-PSS+SHA256"]):
        s_client(lab, port, *args)
    for args in (["-groups", "X25519"], ["-groups", "X448"],
                 ["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"],
                 ["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
                 ["-tls1_2", "-no_ems"]):
        try:
            out = s_client(lab, port, *args)
        except Failed:
            continue
        raise Failed(f"{args}: {out}")
    # The same worker serves others as ever.
    s_client(lab, plain, "-groups", "X25519")
    for listener in listeners:
        listener.close()


@test(fips="only")
def test_fips_keys(lab):
    """Keys that the FIPS provider does not have are errors of the ring."""
    port = lab.next_port()
    for name, key in (("k1", ["ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"]),
                      ("brain", ["ec", "-pkeyopt",
                                 "ec_paramgen_curve:brainpoolP256r1"])):
        subprocess.run(["openssl", "req", "-x509", "-newkey", *key, "-nodes",
                        "-subj", "/CN=server.example", "-days", "30",
                        "-keyout", lab.pki.key(name),
                        "-out", lab.pki.cert(name)], check=True,
                       capture_output=True)
        ring = lab.pki.ring(name, [name])
        text = server(port, ring=name)
        refused(lab, text, f'"{name}"', "FIPS140")
        shutil.rmtree(ring)


@test(fips="only")
def test_fips_clients_and_maps(lab):
    """Certificates of clients: checked, and looked up, in FIPS mode too."""
    port = lab.next_port()
    listener = listen(port)
    echo_server(listener)
    users = """TTLSCertificateMap
    {
      CertificateUser
      {
        Userid backup
        Fingerprint %s
      }
    }"""
    for leaf, good in (("client", True), ("staff", False)):
        fingerprint = lab.pki.load(leaf).fingerprint(hashes.SHA256()).hex()
        text = rule("in", "Inbound", port, "ServerWithClientAuth", "server",
                    adv="ClientAuthType SAFCheck",
                    action=users % fingerprint)
        lab.policy(text + client(port, ring="clientcert"))
        try:
            with socket.create_connection(("127.0.0.1", port)) as s:
                lab.echoes(s)
                equal(ttls.ask(s).fips140, 1, "TTLSi_FIPS140")
            equal(good, True, leaf)
        except (ConnectionResetError, BrokenPipeError):
            equal(good, False, leaf)
    listener.close()
