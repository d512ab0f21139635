# SPDX-License-Identifier: GPL-2.0-only
"""Key rings: files that go away, PKCS#12, passwords, how peers are signed."""
import json
import os
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import threading

from ktap import amount, check, equal, test
from lab import (TOP, both, client, echo_server, listen, rule, server,
                 wait_for)
from storm import attlsd_pids


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def shown_by(lab, port):
    """The serial number of what a server under a rule shows."""
    context = lab.tls_client_context()
    with socket.create_connection(("127.0.0.1", port)) as raw:
        with context.wrap_socket(raw, server_hostname="server.example") as s:
            return s.getpeercert()["serialNumber"]


@test
def test_ring_that_changes_before_load(lab):
    """check finds it good, load does not: the old policy stays in force."""
    port = lab.next_port()
    lab.policy(both(port))
    before = lab.generation()
    listener = listen(port)
    echo_server(listener)
    ring = lab.pki.ring("mine", ["server-ecdsa"])
    path = lab.write_policy(server(port, ring="mine") + client(port),
                            "mine.conf")
    lab.attls("check", path)
    os.rename(ring, ring + "-gone")
    out = lab.attls("load", path, ok=1)
    check(re.search(r"mine.conf:\d+:\d+: error: .*ring-mine: No such file",
                    out.stderr), out)
    equal(lab.generation(), before, "generation")
    lab.works(port)
    os.rename(ring + "-gone", ring)
    shutil.copy(lab.pki.key("client"), f"{ring}/server-ecdsa.key")
    out = lab.attls("load", path, ok=1)
    check("matches no certificate" in out.stderr, out)
    equal(lab.generation(), before, "generation")
    lab.works(port)
    listener.close()


@test
def test_ring_that_is_renewed(lab):
    """reload reads it again; without it, what was read goes on serving."""
    port = lab.next_port()
    ring = lab.pki.ring("renewed", ["server-ecdsa"])
    lab.policy(server(port, ring="renewed"))
    listener = listen(port)
    echo_server(listener)
    first = shown_by(lab, port)
    os.unlink(f"{ring}/server-ecdsa.key")
    lab.pki.ring("renewed", ["server-rsa"])
    out = lab.attls("reload", ok=1)
    check("no private key" in out.stderr, out)
    equal(shown_by(lab, port), first, "half of it is new")
    os.unlink(f"{ring}/server-ecdsa.crt")
    lab.attls("reload")
    second = shown_by(lab, port)
    check(second != first, f"still {first}")
    shutil.rmtree(ring)
    lab.attls("reload", ok=1)
    equal(shown_by(lab, port), second, "the ring is gone")
    listener.close()


class Administrator(threading.Thread):
    """Loads one policy again and again."""

    def __init__(self, lab, name, text, ok):
        super().__init__(daemon=True)
        self.lab = lab
        self.path = lab.write_policy(text, f"{name}.conf")
        self.rules = sorted(re.findall(r"TTLSRule (\S+)", text))
        self.ok = ok
        self.answers = []
        self.wrong = []

    def run(self):
        for _ in range(amount(5, 50)):
            out = self.lab.attls("load", "--json", self.path, ok=None)
            answer = json.loads(out.stdout)
            if out.returncode != self.ok or answer["ok"] != (not self.ok):
                self.wrong.append(out)
            elif not self.ok:
                self.answers.append(answer["generation"])


def in_force(lab):
    shown = json.loads(lab.attls("show", "--json").stdout)
    return shown["generation"], sorted(r["name"] for r in shown["rules"])


@test
def test_administrators_at_once(lab):
    """Each load gets its answer, and what is in force is one of them."""
    lab.policy("# nothing\n")
    ports = [lab.next_port() for _ in range(5)]
    admins = [
        Administrator(lab, "alice", "".join(map(server, ports[:2])), 0),
        Administrator(lab, "bob", "".join(map(server, ports[2:])), 0),
        Administrator(lab, "mallory", server(ports[0], ring="nowhere"), 1),
    ]
    seen = [in_force(lab)]
    for admin in admins:
        admin.start()
    while any(admin.is_alive() for admin in admins):
        seen.append(in_force(lab))
    seen.append(in_force(lab))
    owner = {seen[0][0]: seen[0][1]}
    for admin in admins:
        equal(admin.wrong, [], "answers")
        for generation in admin.answers:
            check(generation not in owner, f"generation {generation} twice")
            owner[generation] = admin.rules
    for generation, rules in seen:
        equal(rules, owner[generation], f"rules of generation {generation}")
    equal(seen[-1][0], max(owner), "the last generation")


def pkcs12(lab, name, leaf, label, password, *how):
    path = lab.pki.path(name)
    openssl("pkcs12", "-export", *how, "-name", label,
            "-in", lab.pki.cert(leaf),
            "-inkey", lab.pki.key(leaf), "-certfile", lab.pki.cert("ca"),
            "-passout", f"pass:{password}", "-out", path)
    os.chmod(path, 0o600)
    return path


def remembers(pid, secret):
    """True when a process has secret in its memory."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, \
            open(f"/proc/{pid}/mem", "rb") as mem:
        for line in maps:
            start, end, mode = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if "rw" not in mode or "[vv" in line:
                continue
            mem.seek(int(start, 16))
            if secret in mem.read(int(end, 16) - int(start, 16)):
                return True
    return False


@test(fips="also")
def test_pkcs12(lab):
    """Both sides with a PKCS#12 file; the passwords stay in the files.

    The client's is encrypted as it was done once, with 40-bit RC2.
    """
    port = lab.next_port()
    lab.policy("# nothing\n")
    words = [secrets.token_hex(16) for _ in range(2)]
    stash = lab.pki.path("client.sth")
    with open(stash, "wb", opener=lambda p, f: os.open(p, f, 0o600)) as f:
        f.write(bytes(b ^ 0xf5 for b in words[1].encode().ljust(129, b"\0")))
    ring = pkcs12(lab, "server.p12", "server-ecdsa", "The Server", words[0])
    text = server(port, ring="server", adv='CertificateLabel "The Server"')
    text += rule("out", "Outbound", port, "Client", "client",
                 adv="HostReferenceIdDNS server.example")
    text = text.replace(f"{TOP}/pki/ring-server",
                        f"{ring}\n      KeyringPw {words[0]}")
    ring = pkcs12(lab, "client.p12", "client", "me", words[1], "-legacy")
    text = text.replace(f"{TOP}/pki/ring-client",
                        f"{ring}\n      KeyringStashFile {stash}")
    path = lab.write_policy(text, "pkcs12.conf")
    os.chmod(path, 0o644)
    out = lab.attls("load", path, ok=1)
    check("everybody can read this file" in out.stderr, out)
    check(words[0] not in out.stderr, "the password is shown")
    os.chmod(path, 0o600)
    lab.attls("load", path)
    listener = listen(port)
    echo_server(listener)
    lab.works(port)
    pids = attlsd_pids()
    check(len(pids) > 2, pids)
    check("client.p12: is encrypted weakly" in lab.attlsd.text(), "no warning")
    for word in words:
        check(word not in lab.attlsd.text(), "a password is in the log")
        for pid in pids:
            check(not remembers(pid, word.encode()),
                  f"process {pid} remembers a password")
    check(remembers(os.getpid(), words[0].encode()), "nothing is ever found")
    listener.close()


def make_chain(lab):
    """A leaf signed with SHA-256 by a CA that is signed with SHA-384."""
    key = ["req", "-x509", "-newkey", "ec", "-pkeyopt",
           "ec_paramgen_curve:P-256", "-nodes", "-days", "90"]
    openssl(*key, "-sha384", "-subj", "/CN=attls test intermediate",
            "-CA", lab.pki.cert("ca"), "-CAkey", lab.pki.key("ca"),
            "-addext", "basicConstraints=critical,CA:TRUE",
            "-keyout", lab.pki.key("inter"), "-out", lab.pki.cert("inter"))
    openssl(*key, "-sha256", "-subj", "/CN=server.example",
            "-CA", lab.pki.cert("inter"), "-CAkey", lab.pki.key("inter"),
            "-addext", "subjectAltName=DNS:server.example",
            "-addext", "basicConstraints=critical,CA:FALSE",
            "-keyout", lab.pki.key("chained"), "-out", lab.pki.cert("chained"))
    with open(lab.pki.cert("chained"), "ab") as chain, \
            open(lab.pki.cert("inter"), "rb") as inter:
        chain.write(inter.read())


def signed(pairs, parameter="SignaturePairsCert"):
    return f"TTLSSignatureParms\n{{\n{parameter} {pairs}\n}}"


def works(lab, text, port):
    lab.policy(text)
    try:
        lab.works(port)
        return True
    except (ConnectionResetError, BrokenPipeError):
        return False


@test
def test_signatures_on_certificates(lab):
    """SignaturePairsCert: each certificate of the chain, not the root."""
    port = lab.next_port()
    make_chain(lab)
    listener = listen(port)
    echo_server(listener, lab.tls_server_context("chained"))
    for adv in ("TLSv1.3 On", "TLSv1.3 Off"):
        for pairs, good in (("0403 0503", True), ("0403", False),
                            ("0503", False), ("0804 0401", False)):
            text = client(port, adv=adv, action=signed(pairs))
            equal(works(lab, text, port), good, f"{adv}, {pairs}")
    check("SignaturePairsCert" in lab.attlsd.text(), "no reason in the log")
    listener.close()


@test(fips="also")
def test_signatures_on_client_certificates(lab):
    """The same for what a client shows."""
    port = lab.next_port()
    listener = listen(port)
    echo_server(listener)
    for pairs, good in (("ecdsa_secp256r1_sha256", True), ("0503", False)):
        text = rule("in", "Inbound", port, "ServerWithClientAuth", "server",
                    action=signed(pairs)) + client(port, ring="clientcert")
        equal(works(lab, text, port), good, pairs)
    listener.close()


def refused_for_it(lab, text, port):
    """True when works() fails, and the log says that the chain is why."""
    def refusals():
        return lab.attlsd.text().count("signed in a way that SignaturePairs")
    before = refusals()
    if works(lab, text, port):
        return False
    wait_for("the reason", lambda: refusals() > before)
    return True


@test
def test_signatures_of_handshakes_and_certificates(lab):
    """SignaturePairs alone is for certificates too, of either side."""
    port = lab.next_port()
    lab.policy("# nothing\n")
    make_chain(lab)
    listener = listen(port)
    echo_server(listener, lab.tls_server_context("chained"))
    both_lists = signed("0403\nSignaturePairsCert 0403 0503",
                        "SignaturePairs")
    for adv in ("TLSv1.3 On", "TLSv1.3 Off"):
        for lists, good in ((signed("0403", "SignaturePairs"), False),
                            (signed("0403 0503", "SignaturePairs"), True),
                            (both_lists, True)):
            text = client(port, adv=adv, action=lists)
            equal(refused_for_it(lab, text, port), not good,
                  f"{adv}, {lists}")
    listener.close()
    port = lab.next_port()
    listener = listen(port)
    echo_server(listener)
    # A key of RSA, in a certificate that is signed with ECDSA.
    for pairs, good in (("0804", False), ("0804 0403", True),
                        ("0804\nSignaturePairsCert 0403", True)):
        text = rule("in", "Inbound", port, "ServerWithClientAuth", "server",
                    action=signed(pairs, "SignaturePairs"))
        equal(works(lab, text + client(port, ring="rsa"), port), good, pairs)
    listener.close()
