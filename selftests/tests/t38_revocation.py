# SPDX-License-Identifier: GPL-2.0-only
"""Revoked certificates: CRLs of the ring, over HTTP, and OCSP."""
import errno
import os
import shutil
import signal
import socket
import ssl
import subprocess

from cryptography.hazmat.primitives import serialization

from certs import pkcs12_of_authority
from ktap import check, equal, slow, test
from lab import (TOP, client, echo_server, is_listening, listen, recv_exact,
                 rule, wait_for)
from programs import nginx, serve, write
from t30_faults import connect_errno, log_lines

CDP_ON = """
    TTLSGskHttpCdpParms
    {
      HttpCdpEnable On
    }"""


def gsk(text):
    return f"""
    TTLSGskAdvancedParms
    {{
{text}
    }}"""


def ocsp(text):
    return f"""
    TTLSGskOcspParms
    {{
{text}
    }}"""


def publish(name, der):
    os.makedirs(f"{TOP}/www", exist_ok=True)
    os.chmod(TOP, 0o755)
    with open(f"{TOP}/www/{name}", "wb") as f:
        f.write(der)


def responder(lab, port, signer="ca", more=()):
    """openssl's own, which knows the authority ca."""
    process = lab.process("ocsp", [
        "openssl", "ocsp", "-port", str(port), "-nmin", "60",
        "-index", lab.pki.path("index.txt"), "-CA", lab.pki.cert("ca"),
        "-rsigner", lab.pki.cert(signer), "-rkey", lab.pki.key(signer),
        *more])
    wait_for("the responder", lambda: is_listening(port), 60)
    return process


def answering(lab, port, how):
    """nginx that answers to every path in one way."""
    conf = write(f"answering-{port}.conf", f"""
daemon off;
user root;
pid {TOP}/answering-{port}.pid;
error_log stderr info;
events {{ }}
http {{
  access_log off;
  server {{
    listen 127.0.0.1:{port};
    location / {{ {how} }}
  }}
}}
""")
    serve(lab, ["nginx", "-c", conf], port)


def fetchers():
    out = subprocess.run(["pgrep", "-x", "attls-fetch"], text=True,
                         capture_output=True, check=False)
    return {int(pid) for pid in out.stdout.split()}


def without_fetchers(lab):
    """The policy before the one in force is served as well."""
    for _ in range(2):
        lab.policy("# no rule\n")
    wait_for("no fetcher", lambda: not fetchers(), 60)


def leaves(lab, *extensions):
    """A good certificate and a bad one, of the same kind."""
    for name in ("good", "bad"):
        lab.pki.leaf(name, *extensions)


def cdp(port, name="ca.crl", host="127.0.0.1"):
    return f"crlDistributionPoints=URI:http://{host}:{port}/{name}"


def aia(port):
    return f"authorityInfoAccess=OCSP;URI:http://127.0.0.1:{port}/"


class Peer:
    """A TLS server with a certificate, and a rule for who connects to it."""

    def __init__(self, lab, leaf):
        self.lab = lab
        self.port = lab.next_port()
        self.listener = listen(self.port)
        echo_server(self.listener, wrap=lab.tls_server_context(leaf))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def rule(self, action, ring="client"):
        return client(self.port, ring, action=action)

    def refused(self, *words):
        """A reset, a line in the log, and a count."""
        before = self.lab.stats()["failed"]
        equal(connect_errno(self.port), errno.ECONNRESET, f"{words}")
        name = f"out{self.port}"
        wait_for(f"{words}", lambda: log_lines(self.lab, name, *words))
        equal(self.lab.stats()["failed"] - before, 1, f"{words}: counter")


def both_answers(lab, action, ring="client"):
    """The good one works, the bad one is refused."""
    with Peer(lab, "good") as good, Peer(lab, "bad") as bad:
        lab.policy(good.rule(action, ring) + bad.rule(action, ring))
        lab.works(good.port)
        bad.refused("RC: 431", "revoked")


@test(fips="also")
def test_crl_in_the_ring(lab):
    """What is in the ring counts without a word in the policy."""
    leaves(lab)
    ring = lab.pki.ring("crl", [])
    for days, good in ((1, True), (-1, False)):
        der = lab.pki.crl(["bad"], days=days)
        subprocess.run(["openssl", "crl", "-inform", "DER", "-out",
                        f"{ring}/ca.crl"], input=der, check=True)
        if good:
            both_answers(lab, "", "crl")
            continue
        with Peer(lab, "good") as peer:
            lab.policy(peer.rule("", "crl"))
            peer.refused("RC: 436", "expired")
    shutil.rmtree(ring)


@test
def test_crl_in_a_pkcs12_ring(lab):
    """The same when the ring is a file."""
    leaves(lab)
    cert = lab.pki.load("ca").public_bytes(serialization.Encoding.DER)
    path = lab.pki.path("ring-p12")
    with open(path, "wb", opener=lambda p, f: os.open(p, f, 0o600)) as f:
        f.write(pkcs12_of_authority(cert, lab.pki.crl(["bad"])))
    try:
        both_answers(lab, "", "p12")
    finally:
        os.unlink(path)


@test(fips="also")
def test_crl_over_http(lab):
    """nginx has the CRL that the certificates name; it is kept."""
    port = lab.next_port()
    leaves(lab, cdp(port))
    publish("ca.crl", lab.pki.crl(["bad"]))
    web = nginx(lab, port)
    both_answers(lab, gsk(CDP_ON))
    lab.pki.leaf("good", cdp(port, host="[::1]"))
    with Peer(lab, "good") as peer:
        lab.policy(peer.rule(gsk("RevocationSecurityLevel High" + CDP_ON)))
        lab.works(peer.port)
        web.stop()
        # Two workers: one of them may have to ask.
        wait_for("the answer that was kept", lambda: connect_errno(
            peer.port) == 0 or None)


@test
def test_crl_that_is_wrong(lab):
    """Not of the CA, over, too large, not one: refused at every level."""
    port = lab.next_port()
    leaves(lab, cdp(port))
    nginx(lab, port)
    for der, word in ((lab.pki.crl(["bad"], signer="otherca"), "signature"),
                      (lab.pki.crl(["bad"], days=-1), "expired"),
                      (b"\x30\x03\x02\x01\x01", "not what was asked")):
        publish("ca.crl", der)
        with Peer(lab, "good") as peer:
            lab.policy(peer.rule(gsk("RevocationSecurityLevel Low" +
                                     CDP_ON)))
            peer.refused("RC: 436", word)
    publish("ca.crl", lab.pki.crl(["bad"]))
    with Peer(lab, "good") as peer:
        lab.policy(peer.rule(gsk(CDP_ON.replace(
            "On", "On\nHttpCdpMaxResponseSize 100"))))
        peer.refused("RC: 436", "max resp len")


@test
def test_revocation_security_level(lab):
    """Nobody listens where the certificate says; another names nobody."""
    port = lab.next_port()
    leaves(lab, cdp(port))
    for level, leaf, works in (
            ("Low", "good", True), ("Medium", "good", False),
            ("High", "good", False), ("Medium", "server-ecdsa", True),
            ("High", "server-ecdsa", False)):
        with Peer(lab, leaf) as peer:
            lab.policy(peer.rule(gsk(f"RevocationSecurityLevel {level}" +
                                     CDP_ON)))
            if works:
                lab.works(peer.port)
            else:
                peer.refused("RC: 436", "no revocation status")


@test
def test_ocsp_responder_of_the_certificate(lab):
    port = lab.next_port()
    leaves(lab, aia(port))
    lab.pki.index(["good"], ["bad"])
    process = responder(lab, port)
    both_answers(lab, gsk(ocsp("OcspAiaEnable On")))
    # What it does not know is not good.
    lab.pki.leaf("unknown", aia(port))
    with Peer(lab, "unknown") as peer:
        lab.policy(peer.rule(gsk("RevocationSecurityLevel Low" +
                                 ocsp("OcspAiaEnable On"))))
        peer.refused("RC: 436", "does not know")
    process.stop()


@test(fips="also")
def test_ocsp_responder_of_the_policy(lab):
    """OcspUrl: by GET, by POST with a nonce, by a proxy."""
    port, proxy = lab.next_port(), lab.next_port()
    leaves(lab)
    lab.pki.index(["good"], ["bad"])
    process = responder(lab, port)
    url = f"OcspUrl http://127.0.0.1:{port}"
    both_answers(lab, gsk(ocsp(f"{url}\nOcspRetrieveViaGet On")))
    check("GET /M" in process.text(), "GET")
    both_answers(lab, gsk(ocsp(f"""{url}/status
OcspNonceGenEnable On
OcspNonceCheckEnable On
OcspNonceSize 32""")))
    check("POST /status" in process.text(), "POST")
    answering(lab, proxy, f"proxy_pass http://127.0.0.1:{port};")
    both_answers(lab, gsk(ocsp(f"""OcspUrl http://ocsp.invalid/by-proxy
OcspProxyServerName 127.0.0.1
OcspProxyServerPort {proxy}""")))
    check("POST /by-proxy" in process.text(), "proxy")


@test
def test_ocsp_response_from_before(lab):
    """It was right once, and somebody sends it again: a nonce tells."""
    port, web = lab.next_port(), lab.next_port()
    leaves(lab, aia(web))
    lab.pki.index(["good"], ["bad"])
    process = responder(lab, port)
    publish("before", b"")
    subprocess.run(["openssl", "ocsp", "-issuer", lab.pki.cert("ca"),
                    "-cert", lab.pki.cert("good"), "-no_nonce", "-noverify",
                    "-url", f"http://127.0.0.1:{port}", "-respout",
                    f"{TOP}/www/before"], check=True, capture_output=True)
    process.stop()
    answering(lab, web, f"root {TOP}/www; try_files /before =404; "
              "default_type application/ocsp-response;")
    nonce = "OcspAiaEnable On\nOcspRetrieveViaGet On\nOcspNonceGenEnable On"
    with Peer(lab, "good") as peer:
        lab.policy(peer.rule(gsk(ocsp(nonce))))
        lab.works(peer.port)
        lab.policy(peer.rule(gsk("RevocationSecurityLevel Low" + ocsp(
            nonce + "\nOcspNonceCheckEnable On"))))
        peer.refused("RC: 436", "nonce")


@test
def test_ocsp_of_a_stranger(lab):
    """Only the CA and whom it made a responder may say good."""
    port = lab.next_port()
    leaves(lab, aia(port))
    lab.pki.index(["good"], ["bad"])
    for ca, usage, works in (("ca", "OCSPSigning", True),
                             ("otherca", "OCSPSigning", False),
                             ("ca", "serverAuth", False)):
        lab.pki.leaf("responder", f"extendedKeyUsage={usage}", ca=ca)
        process = responder(lab, port, "responder")
        with Peer(lab, "good") as peer:
            lab.policy(peer.rule(gsk("RevocationSecurityLevel Low" +
                                     ocsp("OcspAiaEnable On"))))
            if works:
                lab.works(peer.port)
            else:
                peer.refused("RC: 436", "did not sign")
        process.stop()


@test
def test_next_source_when_one_is_gone(lab):
    """No responder listens, the CRL decides; its order is the policy's."""
    web, nobody = lab.next_port(), lab.next_port()
    leaves(lab, cdp(web), aia(nobody))
    publish("ca.crl", lab.pki.crl(["bad"]))
    nginx(lab, web)
    both_answers(lab, gsk(CDP_ON + ocsp("OcspAiaEnable On")))
    with Peer(lab, "good") as peer:
        lab.policy(peer.rule(gsk("MaxValidRevExtLocValues 1" + CDP_ON +
                                 ocsp("OcspAiaEnable On"))))
        peer.refused("RC: 436", "MaxValidRevExtLocValues")
        lab.policy(peer.rule(gsk("MaxValidRevExtLocValues 1\n"
                                 "AIACDPPriority Off" + CDP_ON +
                                 ocsp("OcspAiaEnable On"))))
        lab.works(peer.port)


@test
def test_revoked_client(lab):
    """A server looks at the certificates of its clients."""
    web, port = lab.next_port(), lab.next_port()
    leaves(lab, cdp(web))
    publish("ca.crl", lab.pki.crl(["bad"]))
    nginx(lab, web)
    lab.policy(rule(f"in{port}", "Inbound", port, "ServerWithClientAuth",
                    "server", action=gsk(CDP_ON)))
    listener = listen(port)
    echo_server(listener)
    for leaf, works in (("good", True), ("bad", False)):
        context = lab.tls_client_context()
        context.load_cert_chain(lab.pki.cert(leaf), lab.pki.key(leaf))
        got = b""
        try:
            with socket.create_connection(("127.0.0.1", port)) as raw, \
                    context.wrap_socket(raw, server_hostname="server.example"
                                        ) as s:
                s.settimeout(slow(60))
                s.sendall(lab.marker)
                got = recv_exact(s, len(lab.marker))
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
            pass
        equal(got, lab.marker if works else b"", leaf)
    wait_for("log", lambda: log_lines(lab, f"in{port}", "RC: 431"))
    listener.close()


@test
def test_signature_algorithms(lab):
    """The authority signs with ECDSA and SHA-256: listed or not."""
    web, port = lab.next_port(), lab.next_port()
    leaves(lab, cdp(web), aia(port))
    publish("ca.crl", lab.pki.crl(["bad"]))
    lab.pki.index(["good"], ["bad"])
    nginx(lab, web)
    responder(lab, port)
    for action, name in (
            (f"CrlSigAlgPairs CODES{CDP_ON}", "CrlSigAlgPairs"),
            (ocsp("OcspAiaEnable On\nOcspResponseSigAlgPairs CODES"),
             "OcspResponseSigAlgPairs")):
        both_answers(lab, gsk(action.replace("CODES", "0804 0403")))
        with Peer(lab, "good") as peer:
            lab.policy(peer.rule(gsk(
                "RevocationSecurityLevel Low\n" +
                action.replace("CODES", "0804 0503"))))
            peer.refused("RC: 436", name)


@test(fips="also")
def test_signed_requests(lab):
    """Who asks is to be seen; a key of the wrong kind is an error."""
    port = lab.next_port()
    leaves(lab, aia(port))
    lab.pki.index(["good"], ["bad"])
    process = responder(lab, port, more=["-text"])
    signed = gsk(ocsp("""OcspAiaEnable On
OcspRequestSigkeylabel client
OcspRequestSigalg 0503"""))
    both_answers(lab, signed, "clientcert")
    check("ecdsa-with-SHA384" in process.text(), "signature")
    check("client.example" in process.text(), "certificate of who signs")
    with Peer(lab, "good") as peer:
        for text, wrong, why in (
                ("0503", "0501", "wants an RSA key"),
                ("label client", "label nobody", 'named "nobody"')):
            out = lab.attls("load", lab.write_policy(
                peer.rule(signed.replace(text, wrong), "clientcert")), ok=1)
            check(why in out.stdout + out.stderr,
                  f"{why}: {out.stdout} {out.stderr}")


@test(fips="also")
def test_stapled_response(lab):
    """What a server shows of itself, in both versions of TLS."""
    port, web = lab.next_port(), lab.next_port()
    leaves(lab, aia(port))
    lab.pki.leaf("other", aia(port), cn="other.example")
    lab.pki.index(["good", "other"], ["bad"])
    ring = lab.pki.ring("staple", ["good", "other"])
    lab.policy(rule(f"in{web}", "Inbound", web, "Server", "staple",
                    action=gsk(ocsp("OcspAiaEnable On\n"
                                    "OcspServerStapling Any"))))
    listener = listen(web)
    echo_server(listener)

    def shown(version, name="server.example"):
        out = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{web}", version,
             "-status", "-CAfile", lab.pki.cert("ca"), "-servername", name,
             "-verify_hostname", name], text=True,
            stdin=subprocess.DEVNULL, capture_output=True, check=False)
        check("Verification: OK" in out.stdout, f"{version}: {out.stdout}")
        return "Cert Status: good" in out.stdout

    check(not shown("-tls1_3"), "a response before there is a responder")
    # `openssl ocsp` spins when who asks goes in the middle of it, as a
    # fetcher does whose policy goes.
    without_fetchers(lab)
    responder(lab, port)
    lab.policy(rule(f"in{web}", "Inbound", web, "Server", "staple",
                    adv="ServerHandshakeSNI Optional\n"
                        "ServerHandshakeSNIMatch Optional\n"
                        "ServerHandshakeSNIList other.example other",
                    action=gsk(ocsp("OcspAiaEnable On\n"
                                    "OcspServerStapling EndEntity"))))
    for version in ("-tls1_2", "-tls1_3"):
        # Each worker gets its own.
        for name in ("server.example", "other.example"):
            wait_for(f"{version}, {name}: a response",
                     lambda v=version, n=name: shown(v, n))
    listener.close()
    shutil.rmtree(ring)


@test
def test_fetcher_under_rules(lab):
    """Its own connections: refused by a checking rule, free by Jobname."""
    web, port = lab.next_port(), lab.next_port()
    leaves(lab, cdp(web))
    publish("ca.crl", lab.pki.crl(["bad"]))
    nginx(lab, port)
    nginx(lab, web, tls=True)
    with Peer(lab, "good") as peer:
        lab.policy(peer.rule(gsk(CDP_ON)) +
                   client(web, action=gsk(CDP_ON)))
        equal(connect_errno(peer.port), errno.ECONNRESET, "connect")
        wait_for("the line", lambda: log_lines(
            lab, f"out{peer.port}", "no revocation status"))
        wait_for("the fetcher's line", lambda: log_lines(
            lab, f"out{web}", "exempt it by Jobname"))
    leaves(lab, cdp(port))
    with Peer(lab, "good") as peer:
        clear = [rule("fetch", "Outbound", 0, "", group="Off",
                      cond="  Jobname attls-fetch")]
        clear += [rule(f"in{p}", "Inbound", p, "", group="Off")
                  for p in (port, peer.port)]
        lab.policy("DefaultAction Deny\n" + peer.rule(gsk(CDP_ON)) +
                   "".join(clear))
        lab.works(peer.port)
    lab.policy("# no rule\n")


@test
def test_silent_responder_holds_nobody_else(lab):
    """It accepts and says nothing: who does not ask it does not wait."""
    port = lab.next_port()
    leaves(lab, cdp(port))
    silent = listen(port)
    with Peer(lab, "good") as slow_one, Peer(lab, "server-ecdsa") as other:
        lab.policy(slow_one.rule(gsk(CDP_ON.replace(
            "On", "On\nHttpCdpResponseTimeout 600"))) +
            other.rule(gsk(CDP_ON)))
        waiting = [socket.socket() for _ in range(20)]
        for s in waiting:
            s.setblocking(False)
            equal(s.connect_ex(("127.0.0.1", slow_one.port)),
                  errno.EINPROGRESS, "connect")
        # Both workers have asked, each once, for all of theirs.
        asked = [silent.accept()[0]]
        wait_for("handshakes", lambda: sum(
            c["state"] == "handshake" for c in lab.conns()) >= 20)
        for _ in range(4):
            lab.works(other.port)
        for s in waiting:
            s.setblocking(False)
            try:
                s.send(b"x")
                check(False, "sent without an answer")
            except BlockingIOError:
                pass
            s.close()
        # Who waits for an answer notices that its program is gone.
        wait_for("no connections", lambda: not [
            c for c in lab.conns() if c["state"] == "handshake"])
        for s in asked:
            s.close()
    silent.close()


@test
def test_fetcher_dies(lab):
    """Its worker goes with it, and both come back."""
    port = lab.next_port()
    leaves(lab, cdp(port))
    publish("ca.crl", lab.pki.crl(["bad"]))
    nginx(lab, port)

    with Peer(lab, "good") as peer:
        lab.policy(peer.rule(gsk(CDP_ON)))
        old = wait_for("two fetchers",
                       lambda: len(fetchers()) == 2 and fetchers())
        for pid in old:
            with open(f"/proc/{pid}/status", encoding="ascii") as f:
                status = f.read()
            check("\nUid:\t0\t" not in status, "a fetcher is root")
            check("\nSeccomp:\t2\n" in status, "a fetcher has no filter")
            check("\nCapEff:\t0000000000000000\n" in status, "capabilities")
            os.kill(pid, signal.SIGKILL)
        wait_for("two others", lambda: len(fetchers() - old) == 2, 60)
        lab.works(peer.port)
    without_fetchers(lab)
