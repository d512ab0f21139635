# SPDX-License-Identifier: GPL-2.0-only
"""Who is protected, who is not: roles, directions, families, ciphers."""
import os
import re
import socket
import ssl
import subprocess
import tempfile
import threading

from ktap import Failed, check, equal, slow, test
from lab import (both, client, echo_server, is_listening, listen, recv_exact,
                 rule, serve_one, server, wait_for)

FAMILIES = {
    "ipv4": (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
    "ipv6": (socket.AF_INET6, "::1", "::1"),
    "mapped": (socket.AF_INET6, "::", "127.0.0.1"),
}


def exchange(s, marker, rounds=3):
    """Sends data with the marker and wants it back."""
    for i in range(rounds):
        data = b"%s %d " % (marker, i) + os.urandom(200 + 9000 * i)
        s.sendall(data)
        equal(recv_exact(s, len(data)), data, f"echo {i}")


def unmodified_client(port, host="127.0.0.1"):
    s = socket.create_connection((host, port), timeout=60)
    s.settimeout(60)
    return s


@test(clear=True)
def test_no_rule_stays_plain(lab):
    """A port without a rule: plain TCP, and the oracle sees it."""
    lab.policy(both(7000))
    port = lab.next_port()
    listener = listen(port)
    echo_server(listener)
    with unmodified_client(port) as s:
        exchange(s, lab.marker)
    listener.close()
    check(not [c for c in lab.conns() if c["remote_port"] == port],
          "a conn without a rule")


@test(fips="also")
def test_both_sides_all_families(lab):
    """Unmodified client and server, both under policy, IPv4, IPv6, mapped."""
    for name, (family, bind, connect) in FAMILIES.items():
        port = lab.next_port()
        lab.policy(both(port))
        listener = listen(port, bind, family)
        echo_server(listener)
        with unmodified_client(port, connect) as s:
            exchange(s, lab.marker)
            conns = [c for c in lab.conns() if c["state"] == "secure"]
            equal(len(conns), 2, f"{name}: secure conns")
            equal({c["protocol"] for c in conns}, {"TLSv1.3"}, name)
        listener.close()


def run_server_side(lab, port, version, leaf_ring, ciphers=None):
    lab.policy(server(port, ring=leaf_ring))
    listener = listen(port)
    echo_server(listener)
    context = lab.tls_client_context(version)
    if ciphers:
        context.set_ciphers(ciphers)
    with socket.create_connection(("127.0.0.1", port)) as raw:
        with context.wrap_socket(raw, server_hostname="server.example") as s:
            s.settimeout(60)
            exchange(s, lab.marker)
            got = s.version(), s.cipher()[0]
    listener.close()
    return got


def run_client_side(lab, port, version, leaf, ciphers=None):
    lab.policy(client(port))
    context = lab.tls_server_context(leaf, version)
    if ciphers:
        context.set_ciphers(ciphers)
    listener = listen(port)
    echo_server(listener, wrap=context)
    with unmodified_client(port) as s:
        exchange(s, lab.marker)
        conn, = [c for c in lab.conns() if c["remote_port"] == port]
    listener.close()
    return conn["protocol"], conn["cipher"]


@test(timeout=300)
def test_server_role_certificates(lab):
    """Inbound, role Server: TLS 1.2 and 1.3, RSA, ECDSA, Ed25519."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for kind in ("rsa", "ecdsa", "ed25519"):
            got = run_server_side(lab, lab.next_port(), version, kind)
            check(got[0].endswith(version.name[-1]), f"{kind}: {got}")


@test(timeout=300)
def test_client_role_certificates(lab):
    """Outbound, role Client: TLS 1.2 and 1.3, RSA, ECDSA, Ed25519."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for kind in ("rsa", "ecdsa", "ed25519"):
            got = run_client_side(lab, lab.next_port(), version,
                                  f"server-{kind}")
            check(got[0].endswith(version.name[-1]), f"{kind}: {got}")


@test(timeout=300)
def test_ciphers_tls12(lab):
    """Each TLS 1.2 suite that kTLS carries, in both roles."""
    for kind in ("ecdsa", "rsa"):
        for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384",
                       "CHACHA20-POLY1305", "AES128-CCM"):
            suite = f"ECDHE-{kind.upper()}-{cipher}"
            if suite == "ECDHE-RSA-AES128-CCM":
                continue		# there is no such suite
            got = run_server_side(lab, lab.next_port(),
                                  ssl.TLSVersion.TLSv1_2, kind, suite)
            equal(got[1], suite, "server role")
            got = run_client_side(lab, lab.next_port(),
                                  ssl.TLSVersion.TLSv1_2, f"server-{kind}",
                                  suite)
            words = cipher.replace("-", "_").replace("AES", "AES_")
            check(words in got[1], f"client role: {got}")


@test(timeout=300)
def test_ciphers_tls13(lab):
    """Each TLS 1.3 suite, chosen by openssl s_client and s_server."""
    for suite in ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                  "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256"):
        port = lab.next_port()
        lab.policy(server(port))
        listener = listen(port)
        echo_server(listener)
        out = s_client(lab, port, "-ciphersuites", suite)
        check(suite in out, f"server role: {suite} not in {out}")
        listener.close()

        port = lab.next_port()
        lab.policy(client(port))
        peer = s_server(lab, port, "-ciphersuites", suite, "-rev")
        with unmodified_client(port) as s:
            reverse(s, lab.marker)
            conn, = [c for c in lab.conns() if c["remote_port"] == port]
            equal(conn["cipher"], suite, "client role")
        peer.stop()


@test(timeout=300)
def test_ciphers_of_the_policy(lab):
    """What TTLSCipherParms list is offered, in their order, and no more."""
    for suites, peer, want in (
            ("V3CipherSuites4Char C030", ["-tls1_2"],
             "ECDHE-RSA-AES256-GCM-SHA384"),
            ("V3CipherSuites4Char CCA9C02B1301", ["-tls1_2"],
             "ECDHE-ECDSA-CHACHA20-POLY1305"),
            ("V3CipherSuites 359C", [], "AES128-GCM-SHA256"),
            ("V3CipherSuites4Char TLS_AES_256_GCM_SHA384 1301", [],
             "TLS_AES_256_GCM_SHA384")):
        port = lab.next_port()
        lab.policy(server(port, action=f"TTLSCipherParms {{ {suites} }}"))
        with listen(port) as listener:
            echo_server(listener)
            out = s_client(lab, port, *peer)
            check(f"Cipher is {want}\n" in out, f"{suites}: {out}")


@test(timeout=300)
def test_groups_of_the_policy(lab):
    """A server takes one list in TLS 1.3, the other in TLS 1.2."""
    port = lab.next_port()
    lab.policy(server(port, action="""TTLSSignatureParms {
        ServerKeyShareGroups 0030
        ServerKexECurves 0025
        }"""))
    with listen(port) as listener:
        echo_server(listener)
        groups = "X448:P-521:P-256"
        for version, want in (("-tls1_3", "X448"), ("-tls1_2", "521r1")):
            out = s_client(lab, port, version, "-groups", groups)
            check(re.search(f"(Peer|Server) Temp Key: .*{want}", out),
                  f"{version}: {out}")


@test(timeout=300)
def test_profiles_of_the_policy(lab):
    """Suite B, several certificates, RFC 7627: what is taken, what not."""
    labels = "ServerCertificateLabel server-rsa server-ecdsa"
    for action, adv, peer, want in (
            ("SuiteBProfile 128", "", [], "ECDHE-ECDSA-AES128-GCM-SHA256"),
            ("SuiteBProfile 192", "", ["-groups", "P-256"], None),
            ("", labels, ["-tls1_2", "-sigalgs", "RSA-PSS+SHA256"],
             "ECDHE-RSA-"),
            ("", labels, ["-tls1_2", "-sigalgs", "ECDSA+SHA256"],
             "ECDHE-ECDSA-"),
            ("", "ServerExtendedMasterSecret Required", ["-tls1_2"],
             "TLSv1.2"),
            ("", "ServerExtendedMasterSecret Required",
             ["-tls1_2", "-no_ems"], None),
            ("", "MiddleBoxCompatMode On", ["-tls1_3"], "TLSv1.3")):
        port = lab.next_port()
        lab.policy(server(port, adv=adv, action=action))
        with listen(port) as listener:
            echo_server(listener)
            try:
                out = s_client(lab, port, *peer)
            except Failed as e:
                out = f"refused: {e}"
            check(want in out if want else out.startswith("refused"),
                  f"{action} {adv} {peer}: {out}")


@test
def test_shares_of_the_policy(lab):
    """A client's key share spares a HelloRetryRequest, or costs one."""
    for shares, want in (("0025", 25), ("0024", 25), ("0030 0025", 25)):
        port = lab.next_port()
        lab.policy(client(port, action=f"""TTLSSignatureParms {{
            ClientKeyShareGroups {shares}
            }}"""))
        peer = s_server(lab, port, "-groups", "P-521", "-rev")
        with unmodified_client(port) as s:
            reverse(s, lab.marker)
            conn, = [c for c in lab.conns() if c["remote_port"] == port]
            equal(conn["kex_group"], want, shares)
        peer.stop()


def takes_server(lab, leaf, text, port):
    """True when a client under the policy works with a server of @leaf."""
    lab.policy(text)
    peer = s_server(lab, port, "-rev", leaf=leaf)
    try:
        with unmodified_client(port) as s:
            reverse(s, lab.marker)
        return True
    except ConnectionResetError:
        return False
    finally:
        peer.stop()


@test(timeout=300)
def test_server_without_a_name(lab):
    """No name in the policy: its address must be in the certificate."""
    for leaf, compat, good in (("cn", "", True), ("elsewhere", "", False),
                               ("elsewhere", "Compat zOS\n", True)):
        port = lab.next_port()
        text = compat + client(port, adv="TLSv1.3 On", host=None)
        equal(takes_server(lab, leaf, text, port), good, f"{leaf} {compat}")


@test(timeout=300)
def test_certificate_of_the_peer(lab):
    """Names in it, wildcards, the size of its key: as the policy wants."""
    for leaf, adv, good in (
            ("server-ecdsa", "HostReferenceIdDNS other.example\n"
                             "HostReferenceIdDNS server.example", True),
            ("server-ecdsa", "HostReferenceIdDNS other.example", False),
            ("server-ecdsa", "HostReferenceIdCN server.example", False),
            ("cn", 'HostReferenceIdCN "The Server"', True),
            ("cn", "HostReferenceIdCN server", False),
            ("cn", "HostReferenceIdDNS 127.0.0.1x", False),
            ("wildcard", "HostReferenceIdDNS www.tls.example", False),
            ("wildcard", "HostReferenceIdDNS www.tls.example\n"
                         "HostRefWildcardValidation On", True),
            ("server-rsa", "PeerMinRsaKeySize 2048\n"
                           "PeerMinECCKeySize 521", True),
            ("server-rsa", "PeerMinRsaKeySize 3072", False),
            ("server-ecdsa", "PeerMinECCKeySize 384", False),
            ("server-ecdsa", "PeerMinCertVersion 3", True)):
        port = lab.next_port()
        text = client(port, adv=adv, host=None)
        equal(takes_server(lab, leaf, text, port), good, f"{leaf}: {adv}")


def reverse(s, marker):
    """A line to openssl s_server -rev comes back reversed."""
    s.sendall(marker + b"\n")
    equal(recv_exact(s, len(marker) + 1), marker[::-1] + b"\n", "-rev")


def s_client(lab, port, *args):
    """One line to an echo server through openssl s_client; its output."""
    peer = subprocess.Popen(  # pylint: disable=R1732
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}",
         "-CAfile", lab.pki.cert("ca"), "-verify_return_error",
         "-servername", "server.example", *args],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    peer.stdin.write(lab.marker + b"\n")
    peer.stdin.flush()
    text = b""
    while lab.marker not in text:
        line = peer.stdout.readline()
        check(line, f"s_client {args}: {text[-500:]}")
        text += line
    peer.communicate(b"Q\n", timeout=60)
    return text.decode(errors="replace")


def s_server(lab, port, *args, leaf="server-ecdsa"):
    peer = lab.process("s_server", [
        "openssl", "s_server", "-accept", f"127.0.0.1:{port}",
        "-cert", lab.pki.cert(leaf), "-key", lab.pki.key(leaf),
        "-quiet", *args])
    wait_for("s_server", lambda: is_listening(port))
    return peer


def send_each_way(s, data):
    """All of data: by send, with MSG_MORE, and from a file."""
    third = len(data) // 3
    s.sendall(data[:third])
    s.sendall(data[third:third + 700], socket.MSG_MORE)
    s.sendall(data[third + 700:2 * third])
    with tempfile.TemporaryFile() as f:
        f.write(data[2 * third:])
        f.seek(0)
        s.sendfile(f)


@test
def test_peer_that_wants_small_records(lab):
    """max_fragment_length of RFC 6066, which small TLS libraries ask for."""
    data = (lab.marker + b"x" * 40 + b"\n") * 1000
    for version in ("-tls1_2", "-tls1_3"):
        for length in (512, 4096):
            port = lab.next_port()
            lab.policy(server(port))
            with listen(port) as listener:
                serve_one(listener, lambda s: send_each_way(s, data))
                out = subprocess.run(
                    ["openssl", "s_client", "-quiet", version,
                     "-maxfraglen", str(length),
                     "-connect", f"127.0.0.1:{port}",
                     "-CAfile", lab.pki.cert("ca"), "-verify_return_error"],
                    stdin=subprocess.DEVNULL, capture_output=True,
                    timeout=slow(60), check=False)
            equal(out.returncode, 0, f"{version} {length}: {out.stderr}")
            check(out.stdout == data, f"{version} {length}: other data")


@test
def test_gnutls_peers(lab):
    """gnutls-cli against a server, a client against gnutls-serv."""
    port = lab.next_port()
    lab.policy(server(port))
    listener = listen(port)
    echo_server(listener)
    out = subprocess.run(
        ["gnutls-cli", "--x509cafile", lab.pki.cert("ca"), "-p", str(port),
         "--verify-hostname", "server.example", "127.0.0.1"],
        input=lab.marker + b"\n", capture_output=True, timeout=60,
        check=False)
    check(lab.marker in out.stdout, f"gnutls-cli: {out}")
    listener.close()

    port = lab.next_port()
    lab.policy(client(port))
    lab.process("gnutls-serv", [
        "gnutls-serv", "--echo", "-p", str(port), "--disable-client-cert",
        "--x509certfile", lab.pki.cert("server-ecdsa"),
        "--x509keyfile", lab.pki.key("server-ecdsa")])
    wait_for("gnutls-serv", lambda: is_listening(port))
    with unmodified_client(port) as s:
        s.sendall(lab.marker + b"\n")
        equal(recv_exact(s, len(lab.marker) + 1), lab.marker + b"\n",
              "gnutls-serv")


@test
def test_roles_are_independent_of_direction(lab):
    """Inbound with role Client against outbound with role Server."""
    for family, bind, connect in FAMILIES.values():
        port = lab.next_port()
        lab.policy(rule("in", "Inbound", port, "Client", "client",
                        adv="HostReferenceIdDNS server.example") +
                   rule("out", "Outbound", port, "Server", "server"))
        listener = listen(port, bind, family)
        echo_server(listener)
        with unmodified_client(port, connect) as s:
            exchange(s, lab.marker)
        listener.close()


def client_by_local_port(lab, port, ports):
    """Echoes under a client rule for local ports; conns meanwhile."""
    covered = ports != "1 100"
    lab.policy((server(port) if covered else "") +
               client(port, cond=f"  LocalPortRange {ports}"))
    listener = listen(port)
    echo_server(listener)
    with unmodified_client(port) as s:
        exchange(s, lab.marker)
        found = [c for c in lab.conns() if c["remote_port"] == port]
    listener.close()
    return found


@test
def test_rule_by_local_port_of_a_client(lab):
    """The local port is chosen after the rule is first looked up."""
    found = client_by_local_port(lab, lab.next_port(), "1024 65535")
    equal([c["state"] for c in found], ["secure"], "conns")


@test(clear=True)
def test_rule_by_another_local_port(lab):
    """No rule once the port is known: TCP's own functions again."""
    found = client_by_local_port(lab, lab.next_port(), "1 100")
    equal(found, [], "conns")


@test
def test_client_certificate(lab):
    """ServerWithClientAuth: with a certificate, and without one."""
    port = lab.next_port()
    lab.policy(rule("in", "Inbound", port, "ServerWithClientAuth", "server",
                    adv="ClientAuthType Required") +
               client(port, ring="clientcert"))
    listener = listen(port)
    echo_server(listener)
    with unmodified_client(port) as s:
        exchange(s, lab.marker)
    context = lab.tls_client_context(ssl.TLSVersion.TLSv1_2)
    lab.policy(rule("in", "Inbound", port, "ServerWithClientAuth", "server",
                    adv="ClientAuthType Required"))
    with socket.create_connection(("127.0.0.1", port)) as raw:
        try:
            context.wrap_socket(raw, server_hostname="server.example")
            raise AssertionError("no certificate, and accepted")
        except (ssl.SSLError, ConnectionResetError):
            pass
    listener.close()


@test
def test_listener_older_than_policy_and_module(lab):
    """A server that listened before attlsd, rules and module existed."""
    port, mport = lab.next_port(), lab.next_port()
    with lab.unloaded():
        old = listen(port, "::", socket.AF_INET6)
        mptcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
        mptcp.bind(("127.0.0.1", mport))
        mptcp.listen()
    lab.policy(both(port) + both(mport))
    for listener, where in ((old, port), (mptcp, mport)):
        echo_server(listener)
        with unmodified_client(where) as s:
            exchange(s, lab.marker)
        listener.close()


NETNS_PROGRAM = """
import socket, sys, threading
port, marker = int(sys.argv[1]), sys.argv[2].encode()
l = socket.create_server(("127.0.0.1", port))
def serve():
    s, _ = l.accept()
    while d := s.recv(4096): s.sendall(d)
threading.Thread(target=serve, daemon=True).start()
c = socket.create_connection(("127.0.0.1", port))
c.sendall(marker)
print(c.recv(100).decode(), flush=True)
input()
"""


@test
def test_network_namespaces(lab):
    """One policy covers every network namespace."""
    port = lab.next_port()
    lab.policy(both(port))
    spaces = ("t1", "t2")
    for space in spaces:
        lab.netns(space)
    programs = [subprocess.Popen(  # pylint: disable=R1732
        ["ip", "netns", "exec", space, "python3", "-c", NETNS_PROGRAM,
         str(port), lab.marker.decode()],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE) for space in spaces]
    for program in programs:
        equal(program.stdout.readline().strip(), lab.marker, "echo")
    found = [c["netns"] for c in lab.conns() if c["state"] == "secure"]
    equal(len(found), 4, "secure conns")
    equal(len(set(found)), 2, "namespaces")
    for program in programs:
        program.communicate(b"\n", timeout=30)


@test(timeout=300)
def test_thousand_bytes_to_megabytes(lab):
    """Sizes around the record size, both directions, with checksums."""
    port = lab.next_port()
    lab.policy(both(port))
    listener = listen(port)
    echo_server(listener)
    with unmodified_client(port) as s:
        for size in (1, 2, 1000, 16383, 16384, 16385, 100000, 4 << 20):
            unit = lab.marker + os.urandom(16)
            data = (unit * (size // len(unit) + 1))[:size]
            sender = threading.Thread(target=s.sendall, args=(data,))
            sender.start()
            check(recv_exact(s, size) == data, f"{size} bytes")
            sender.join()
    listener.close()
