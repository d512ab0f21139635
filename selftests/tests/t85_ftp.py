# SPDX-License-Identifier: GPL-2.0-only
"""An FTP server that controls TLS; curl, lftp and ftplib have their own."""
import contextlib
import ftplib
import hashlib
import os
import subprocess
import sys

from ktap import check, equal, slow, test
from lab import TOP, rule
from programs import MB, digest, data_file, load, moved, serve, write
from t39_certmap import entry
from t60_transfer import empty, same, tree

FTPD = os.path.join(os.path.dirname(__file__), "../programs/ftpd.py")
CONTROLLED = "ApplicationControlled On\nSecondaryMap On\n"
PASSIVE = ([], ["--disable-epsv"])
ACTIVE = (["-P", "-"], ["-P", "-", "--disable-eprt"])


class Ftp:
    """A server under its rule, and how to use it by curl."""

    def __init__(self, lab, role="Server", adv="", action="", users=(),
                 reuse="NONE", first="server"):
        self.lab = lab
        self.port, self.implicit = lab.next_port(), lab.next_port()
        lab.policy("".join(
            rule(f"ftp{port}", "Inbound", port, role, "server",
                 CONTROLLED + adv, action=action)
            for port in (self.port, self.implicit)))
        self.root = empty("ftp")
        serve(lab, [sys.executable, FTPD, "--session-reuse", reuse,
                    "--ccc-first", first, str(self.port), str(self.implicit),
                    self.root, *users], self.port, self.implicit)

    def file(self, name="file", size=MB // 4):
        """A file of markers in the server's directory; its SHA-256."""
        sha = data_file(self.lab, name, size)
        os.rename(f"{TOP}/www/{name}", f"{self.root}/{name}")
        return sha

    def argv(self, path, *options, scheme="ftp", host="127.0.0.1",
             user="tester:secret", tls="--ssl-reqd"):
        port = self.implicit if scheme == "ftps" else self.port
        return ["curl", "-sS", tls, "--max-time", str(slow(60)),
                "--cacert", self.lab.pki.cert("ca"), "-u", user, *options,
                f"{scheme}://{host}:{port}/{path}"]

    def curl(self, *args, **kw):
        """The SHA-256 of what curl got."""
        out = load(self.argv(*args, **kw), input=b"")
        return hashlib.sha256(out).hexdigest()

    def refuses(self, *args, status=67, **kw):
        """curl gets nothing, and ends with the status; 67: no login."""
        out = subprocess.run(self.argv(*args, **kw), capture_output=True,
                             text=True, check=False, timeout=slow(100))
        equal((out.returncode, out.stdout), (status, ""),
              f"curl {out.stderr}")

    def there_and_back(self, *options, **kw):
        sha = self.file()
        equal(self.curl("file", *options, **kw), sha, f"get {options} {kw}")
        self.curl("there", "-T", f"{self.root}/file", *options, **kw)
        equal(digest(f"{self.root}/there"), sha, f"put {options} {kw}")


@contextlib.contextmanager
def handshakes(lab, n, resumed=None):
    """Exactly so many, none of which failed; so many resumed a session."""
    before = lab.stats()
    yield
    now = moved(lab, before)
    print(f"# counters: {now}")
    equal(now.get("connections_secured"), n, "handshakes")
    if resumed is not None:
        equal(now.get("sessions_resumed", 0), resumed, "resumed")
    failed = {name for name in now if name.startswith("failed")}
    check(not failed, f"counted: {failed}")


@test(timeout=300)
def test_program_ftp_passive(lab):
    """AUTH TLS, PROT P: the client connects, by EPSV and PASV."""
    ftp = Ftp(lab)
    with handshakes(lab, 8):
        for options in PASSIVE:
            ftp.there_and_back(*options)


@test(timeout=300)
def test_program_ftp_active(lab):
    """The server connects, by EPRT and PORT, and is the server of TLS."""
    ftp = Ftp(lab)
    with handshakes(lab, 8):
        for options in ACTIVE:
            ftp.there_and_back(*options)


@test(timeout=300)
def test_program_ftp_ipv6(lab):
    """Both ways over IPv6."""
    ftp = Ftp(lab)
    with handshakes(lab, 8):
        ftp.there_and_back(host="[::1]")
        ftp.there_and_back("-P", "-", host="[::1]")


@test(timeout=300)
def test_program_ftp_implicit(lab):
    """The port with TLS from the first byte on."""
    ftp = Ftp(lab)
    with handshakes(lab, 4):
        ftp.there_and_back(scheme="ftps")


@test(timeout=300)
def test_program_ftp_ccc(lab):
    """CCC, by ftplib: after it commands are clear, data is not.  (curl 8.14
    sends its close_notify and then fails to go on in clear, with a server of
    OpenSSL too.)"""
    ftp = Ftp(lab)
    names = [f"{what}-{os.urandom(8).hex()}" for what in ("before", "after")]
    shas = [ftp.file(name, 10000) for name in names]
    parts = []
    with handshakes(lab, 3), ftplib.FTP_TLS(
            context=lab.tls_client_context(), timeout=slow(60)) as session:
        session.connect("127.0.0.1", ftp.port)
        session.login("tester", "secret")
        session.prot_p()
        for name, sha in zip(names, shas):
            parts.clear()
            session.retrbinary(f"RETR {name}", parts.append)
            equal(hashlib.sha256(b"".join(parts)).hexdigest(), sha, name)
            if name == names[0]:
                session.ccc()
    seen = [lab.wires[0].found(name.encode()) for name in names]
    equal(seen, [False, True], "commands in clear")


@test(timeout=300)
def test_program_ftp_ccc_unanswered(lab):
    """curl's passive mode sends no close_notify, so its commands could be
    anybody's: reset when the timer of the handshake ends."""
    ftp = Ftp(lab, adv=f"HandshakeTimeout {slow(4)}\n")
    ftp.file()
    before = lab.stats()
    ftp.refuses("file", "--ftp-ssl-ccc", "--ftp-ssl-ccc-mode", "passive",
                status=56)
    equal(moved(lab, before).get("failed_stop"), 1, "counted")


@test(clear=True, timeout=300)
def test_program_ftp_clear_data(lab):
    """PROT C: data is clear, commands are not."""
    ftp = Ftp(lab)
    hidden = f"hidden-{os.urandom(8).hex()}"
    sha = ftp.file(hidden)
    with handshakes(lab, 1):
        equal(ftp.curl(hidden, tls="--ftp-ssl-control"), sha, "get")
    check(not lab.wires[0].found(hidden.encode()), "a command in clear")


@test(timeout=300)
def test_program_ftp_certificate(lab):
    """A user whose certificate the client has needs no password; another
    needs it."""
    user_map = f'TTLSCertificateMap\n{{\n' \
        f'{entry("mail", "SubjectAltNameDNS bob.example")}}}'
    ftp = Ftp(lab, "ServerWithClientAuth", "ClientAuthType Full\n", user_map,
              ["mail"])
    sha = ftp.file()
    staff = ["--cert", lab.pki.cert("staff"), "--key", lab.pki.key("staff")]
    equal(ftp.curl("file", *staff, user="mail:none"), sha, "by certificate")
    equal(ftp.curl("file"), sha, "by password")
    client = ["--cert", lab.pki.cert("client"), "--key", lab.pki.key("client")]
    for options in ([], client):
        ftp.refuses("file", *options, user="mail:none")


def lftp(ftp, *commands):
    script = write("lftp.script", f"""
set ssl:ca-file {ftp.lab.pki.cert("ca")}
set ftp:ssl-force yes
set ftp:ssl-protect-data yes
set net:timeout {slow(60)}
set net:max-retries 1
set cmd:fail-exit yes
""" + "\n".join(commands) + "\nbye\n")
    load(["lftp", "-f", script])


def lftp_tree(ftp, *settings):
    """A tree there and back, three files at a time."""
    got = empty("got")
    os.rename(tree(ftp.lab, "source", 6), f"{ftp.root}/source")
    lftp(ftp, *settings, f"open -u tester,secret -p {ftp.port} 127.0.0.1",
         f"mirror --parallel=3 source {got}/source",
         f"mirror -R --parallel=3 {got}/source back")
    same(f"{ftp.root}/source", f"{got}/source")
    same(f"{ftp.root}/source", f"{ftp.root}/back")


@test(timeout=300)
def test_program_ftp_lftp(lab):
    lftp_tree(Ftp(lab))


@test(timeout=300)
def test_program_ftp_ccc_lftp(lab):
    """CCC by GnuTLS, whose close_notify comes first: lftp 4.9 takes one that
    comes with the reply to CCC for the end of the connection.  A second later
    it takes one for clear text, and begins again with a new session."""
    ftp = Ftp(lab, first="client")
    names = [f"{what}-{os.urandom(8).hex()}" for what in ("one", "two")]
    shas = [ftp.file(name, 10000) for name in names]
    got = empty("got")
    before = lab.stats()
    lftp(ftp, "set ftp:ssl-use-ccc yes", "set net:max-retries 3",
         "set net:reconnect-interval-base 1",
         f"open -u tester,secret -p {ftp.port} 127.0.0.1",
         *(f"get {name} -o {got}/{name}" for name in names))
    now = moved(lab, before)
    print(f"# counters: {now}")
    equal(now["connections_secured"], now["connections_stopped"] + len(names),
          "sessions that ended TLS, and transfers")
    failed = {name for name in now if name.startswith("failed")}
    check(not failed, f"counted: {failed}")
    for name, sha in zip(names, shas):
        equal(digest(f"{got}/{name}"), sha, name)
        check(lab.wires[0].found(f"RETR {name}".encode()), "not in clear")
