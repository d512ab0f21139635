# SPDX-License-Identifier: GPL-2.0-only
"""Policies as z/OS has them, unchanged, with programs under them."""
import contextlib
import os
import shutil
import socket
import ssl
import subprocess

from ktap import check, equal, slow, test
from lab import echo_server, listen, read, recv_exact
from t45_conditions import SERVER, copies

RINGS = "/etc/attls/rings"
POLICIES = os.path.join(os.path.dirname(__file__), "../policy/good")


@contextlib.contextmanager
def under(lab, name, ring, label):
    """A policy in force, with its key ring."""
    path = f"{RINGS}/{ring}"
    os.makedirs(path)
    shutil.copy(lab.pki.cert("ca"), f"{path}/ca.pem")
    shutil.copy(lab.pki.cert("server-ecdsa"), f"{path}/{label}.crt")
    shutil.copy(lab.pki.key("server-ecdsa"), f"{path}/{label}.key")
    try:
        lab.policy(read(f"{POLICIES}/{name}.conf"))
        yield
    finally:
        shutil.rmtree(f"{RINGS}/{ring.split('/', maxsplit=1)[0]}")


def rule_of(lab, port, source="127.0.0.1", leaf=None):
    """The rule that a TLS client finds itself under, by an echo."""
    context = lab.tls_client_context()
    if leaf:
        context.load_cert_chain(lab.pki.cert(leaf), lab.pki.key(leaf))
    raw = socket.create_connection(("127.0.0.1", port),
                                   source_address=(source, 0))
    raw.settimeout(slow(60))
    with context.wrap_socket(raw, server_hostname="server.example") as s:
        s.sendall(lab.marker)
        equal(recv_exact(s, len(lab.marker)), lab.marker, "echo")
        found = [c["rule"] for c in lab.conns() if c["state"] == "secure"]
    equal(len(found), 1, f"{found}")
    return found[0]


@test(timeout=300)
def test_zos_policy_of_tn3270(lab):
    """One port for all, and one for branches with certificates."""
    listeners = [listen(port) for port in (992, 2992)]
    for listener in listeners:
        echo_server(listener)
    branch = "10.20.0.1"
    subprocess.run(["ip", "addr", "add", f"{branch}/32", "dev", "lo"],
                   check=True)
    try:
        with under(lab, "zos-tn3270", "TN3270/TELRING", "TNSERVER"):
            equal(rule_of(lab, 992), "telnet_secure", "992")
            equal(rule_of(lab, 2992, branch, "client"),
                  "telnet_certificates", "2992")
            try:
                rule_of(lab, 2992, branch)
                check(False, "2992 takes a client without a certificate")
            except (ssl.SSLError, ConnectionResetError):
                pass
    finally:
        subprocess.run(["ip", "addr", "del", f"{branch}/32", "dev", "lo"],
                       check=True)
        for listener in listeners:
            listener.close()


@test(timeout=300)
def test_zos_policy_of_db2(lab):
    """A job name and a user: the same port of another program is clear."""
    with under(lab, "zos-db2", "DB2RING", "DB2"), \
            copies("DB2ADIST", "OTHER") as top:
        with subprocess.Popen([f"{top}/DB2ADIST", "-c", SERVER, "448"],
                              stdout=subprocess.PIPE) as program:
            program.stdout.readline()
            equal(rule_of(lab, 448), "DB2_Server", "DB2ADIST")
        with subprocess.Popen([f"{top}/OTHER", "-c", SERVER, "448"],
                              stdout=subprocess.PIPE) as program:
            program.stdout.readline()
            with socket.create_connection(("127.0.0.1", 448)) as s:
                s.settimeout(slow(60))
                s.sendall(b"clear")
                equal(s.recv(5), b"clear", "another program")


@test(timeout=300)
def test_zos_policy_of_ftp(lab):
    """The port with TLS from the first byte, of addresses by reference."""
    listener = listen(990)
    echo_server(listener)
    with under(lab, "zos-ftp", "FTPD/FTPRING", "FTPD"):
        equal(rule_of(lab, 990), "Default_FTP-Implicit~2", "990")
    listener.close()
