# SPDX-License-Identifier: GPL-2.0-only
"""Keys on a token of PKCS#11, which attlsd's signer has and nobody else."""
import contextlib
import os
import pwd
import secrets
import signal
import socket
import ssl
import subprocess

from ktap import check, equal, slow, test
from lab import (TOP, client, echo_server, in_thread, listen, recv_exact,
                 rule, server, wait_for)
from storm import attlsd_pids
from t38_revocation import gsk
from t49_rings import remembers, works
from tokens import TOKENS, Token, away, signers, silent

LABEL = "attls test"
LEAVES = {"server-rsa": 1, "server-ecdsa": 2, "client": 3}


class Ours(Token):
    """All that the tests need, with a stash file for its PIN."""

    def __init__(self, lab):
        super().__init__(LABEL, secrets.token_hex(8))
        self.pki = lab.pki
        self.stash = lab.pki.path("token.sth")

    def __enter__(self):
        with open(self.stash, "w", encoding="ascii",
                  opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(self.pin)
        super().__enter__()
        try:
            for leaf, number in LEAVES.items():
                self.pair(self.pki.cert(leaf), self.pki.key(leaf), number,
                          leaf)
            self.cert(self.pki.cert("ca"), 9, "the CA")
        except BaseException:
            self.__exit__()
            raise
        return self

    def on(self, text):
        """The policy with the token in the place of the ring "token"."""
        return text.replace(f"Keyring {TOP}/pki/ring-token",
                            f'Keyring "*TOKEN*/{LABEL}"\n'
                            f"      KeyringStashFile {self.stash}")

    def server(self, port, leaf="server-ecdsa", **kw):
        return self.on(server(port, ring="token",
                              adv=f"CertificateLabel {leaf}", **kw))


def shown(lab, port, version):
    """The serial number of what a server shows, which then echoes."""
    context = lab.tls_client_context(version)
    with socket.create_connection(("127.0.0.1", port)) as raw:
        with context.wrap_socket(raw, server_hostname="server.example") as s:
            s.settimeout(slow(60))
            s.sendall(b"hello")
            equal(recv_exact(s, 5), b"hello", "echo")
            return int(s.getpeercert()["serialNumber"], 16)


def answers(lab, port):
    """True when a handshake from outside comes through."""
    try:
        return bool(shown(lab, port, ssl.TLSVersion.TLSv1_3))
    except (ConnectionError, ssl.SSLError):
        return False


def serves(lab, port):
    """True when a connection of ours to an echo server comes up."""
    try:
        lab.works(port)
        return True
    except ConnectionError:
        return False


@contextlib.contextmanager
def user_of_signers():
    subprocess.run(["useradd", "--system", "--groups", "softhsm",
                    "attls-sign"], check=True)
    try:
        subprocess.run(["chown", "-R", "attls-sign", TOKENS], check=True)
        yield pwd.getpwnam("attls-sign").pw_uid
    finally:
        subprocess.run(["chown", "-R", "root", TOKENS], check=True)
        subprocess.run(["userdel", "--force", "attls-sign"], check=True)


def the_signer():
    wait_for("one signer", lambda: len(signers()) == 1)
    return signers().pop()


@test
def test_token_of_a_server(lab):
    """RSA and EC, in TLS 1.2 and 1.3; who knows the PIN."""
    port = lab.next_port()
    lab.policy("# nothing\n")
    with Ours(lab) as token, listen(port) as listener:
        echo_server(listener)
        for leaf in ("server-rsa", "server-ecdsa"):
            lab.policy(token.server(port, leaf))
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                equal(shown(lab, port, version),
                      lab.pki.load(leaf).serial_number, f"{leaf} {version}")
        pid = the_signer()
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            status = f.read()
        check("\nSeccomp:\t2\n" in status, "the signer has no filter")
        check("\nCapEff:\t0000000000000000\n" in status, "capabilities")
        check("\nNoNewPrivs:\t1\n" in status, "new privileges")
        pin = token.pin.encode()
        check(remembers(pid, pin), "the signer has no PIN")
        check(pin.decode() not in lab.attlsd.text(), "the PIN is in the log")
        workers = [pid for pid in attlsd_pids() if pid != lab.attlsd.popen.pid]
        check(len(workers) >= 2, workers)
        for worker in workers:
            check(not remembers(worker, pin), f"worker {worker} has the PIN")
        lab.policy("# nothing\n")
        lab.policy("# nothing\n")
        wait_for("no signer", lambda: not signers(), 60)


@test
def test_token_of_a_user(lab):
    """The signer is attls-sign, if there is such a user."""
    port = lab.next_port()
    lab.policy("# nothing\n")
    with Ours(lab) as token, listen(port) as listener, \
            user_of_signers() as uid:
        echo_server(listener)
        lab.policy(token.server(port) + client(port))
        lab.works(port)
        equal(os.stat(f"/proc/{the_signer()}/mem").st_uid, 0, "dumpable")
        with open(f"/proc/{the_signer()}/status", encoding="ascii") as f:
            check(f"\nUid:\t{uid}\t{uid}\t{uid}\t" in f.read(), "its user")
        lab.policy("# nothing\n")
        lab.policy("# nothing\n")
        wait_for("no signer", lambda: not signers(), 60)


@test
def test_token_of_both_sides(lab):
    """A client shows what is on the token, and trusts the CA there."""
    port = lab.next_port()
    lab.policy("# nothing\n")
    with Ours(lab) as token, listen(port) as listener:
        echo_server(listener)
        text = token.on(
            rule("in", "Inbound", port, "ServerWithClientAuth", "token",
                 "CertificateLabel server-rsa") +
            client(port, ring="token", adv="CertificateLabel client"))
        for version in ("TLSv1.2 Off", "TLSv1.3 Off"):
            check(works(lab, text.replace("CertificateLabel",
                                          f"{version}\nCertificateLabel"),
                        port), version)
        lab.policy("# nothing\n")


@test
def test_token_with_a_wrong_pin(lab):
    """The old policy stays in force; the PIN is tried once a load."""
    port = lab.next_port()
    lab.policy("# nothing\n")
    with Ours(lab) as token, listen(port) as listener:
        echo_server(listener)
        text = token.server(port) + client(port)
        lab.policy(text)
        lab.works(port)
        before = lab.generation()
        with open(token.stash, "w", encoding="ascii") as f:
            f.write("wrong")
        path = lab.write_policy(text + token.server(lab.next_port()),
                                "wrong.conf")
        out = lab.attls("load", path, ok=1)
        check(f"*TOKEN*/{LABEL}: the PIN is wrong" in out.stderr, out)
        out = lab.attls("check", path, ok=1)
        check(f"*TOKEN*/{LABEL}: the PIN is wrong" in out.stderr, out)
        equal(lab.generation(), before, "generation")
        lab.works(port)
        lab.policy("# nothing\n")


@test
def test_token_that_vanishes(lab):
    """What is up goes on, what needs the token fails until it is back."""
    port, other = lab.next_port(), lab.next_port()
    lab.policy("# nothing\n")
    with Ours(lab) as token, listen(port) as listener, \
            listen(other) as second:
        echo_server(listener)
        echo_server(second)
        # A session that is resumed needs no key.
        full = gsk("GSK_SESSION_TICKET_CLIENT_ENABLE Off")
        lab.policy(token.server(port) + client(port, action=full) +
                   server(other) + client(other))
        with socket.create_connection(("127.0.0.1", port)) as s:
            lab.echoes(s)
            with away():
                wait_for("a failure", lambda: not serves(lab, port))
                check("no such token" in lab.attlsd.text(), "no reason")
                lab.works(other)
                lab.echoes(s)
                before = lab.generation()
                out = lab.attls("reload", ok=1)
                check("no such token" in out.stderr, out)
                equal(lab.generation(), before, "generation")
            wait_for("the token", lambda: serves(lab, port))
            lab.echoes(s)
        lab.policy("# nothing\n")


@test
def test_signer_is_killed(lab):
    """There is another soon, with other workers; nobody else notices."""
    port, other = lab.next_port(), lab.next_port()
    lab.policy("# nothing\n")
    with Ours(lab) as token, listen(port) as listener, \
            listen(other) as second:
        echo_server(listener)
        echo_server(second)
        lab.policy(token.server(port) + client(port) + server(other) +
                   client(other))
        lab.works(port)
        with socket.create_connection(("127.0.0.1", port)) as s:
            lab.echoes(s)
            pid = the_signer()
            os.kill(pid, signal.SIGKILL)
            wait_for("its end", lambda: pid not in signers())
            lab.works(other)
            wait_for("another signer", lambda: serves(lab, port))
            check(the_signer() != pid, "the same signer")
            check("signer" in lab.attlsd.text(), "not in the log")
            lab.echoes(s)
            lab.works(other)
        lab.policy("# nothing\n")


@test
def test_token_that_hangs(lab):
    """The signer gives up, and with it who waits for it."""
    port, other = lab.next_port(), lab.next_port()
    lab.policy("# nothing\n")
    with Ours(lab) as token, listen(port) as listener, \
            listen(other) as second:
        echo_server(listener)
        echo_server(second)
        lab.policy(token.server(port) + server(other) + client(other))
        pid = the_signer()
        with silent():
            thread, result = in_thread(lambda: answers(lab, port))
            lab.works(other)
            thread.join(slow(30))
            equal(result, [False], "what waits for the token")
            wait_for("its end", lambda: pid not in signers())
            check("does not answer" in lab.attlsd.text(), "no reason")
        wait_for("the token", lambda: answers(lab, port), 60)
        lab.policy("# nothing\n")
