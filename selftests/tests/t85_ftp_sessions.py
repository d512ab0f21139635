# SPDX-License-Identifier: GPL-2.0-only
"""An FTP server whose data connections must resume the session of their
control connection, as SECURE_SESSION_REUSE of z/OS says; curl and lftp have
their own TLS and do, ftplib does not."""
import contextlib
import ftplib
import hashlib
import io

from ktap import Failed, check, equal, slow, test
from lab import wait_for
from programs import digest, moved
from t85_ftp import ACTIVE, PASSIVE, Ftp, handshakes, lftp_tree

NO_TICKETS = """
TTLSGskAdvancedParms
{
  GSK_SESSION_TICKET_SERVER_COUNT 0
}
"""
VERSIONS = {"TLSv1.2": "TLSv1.3 Off\n", "TLSv1.3": "TLSv1.2 Off\n"}


class Resuming(ftplib.FTP_TLS):
    """ftplib as it would be if it resumed the session that session() says."""

    def session(self):
        return self.sock.session

    def ntransfercmd(self, cmd, rest=None):
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        return self.context.wrap_socket(conn, server_hostname=self.host,
                                        session=self.session()), size


def logged_in(ftp, kind=ftplib.FTP_TLS, context=None):
    session = kind(context=context or ftp.lab.tls_client_context(),
                   timeout=slow(60))
    session.connect("127.0.0.1", ftp.port)
    session.login("tester", "secret")
    session.prot_p()
    return session


def got(session, name):
    parts = []
    session.retrbinary(f"RETR {name}", parts.append)
    return hashlib.sha256(b"".join(parts)).hexdigest()


def said(session):
    """The reply.  Python leaves the reset of the data connection in OpenSSL's
    queue of errors, where each read of the control connection finds it that
    has to wait."""
    def reply():
        try:
            return session.voidresp()
        except ConnectionResetError:
            return None
    wait_for("a reply", reply)


def refused(lab, session, transfer):
    """Its handshake fails, and the server says that nothing came of it."""
    before = lab.stats()
    try:
        with contextlib.suppress(OSError):
            transfer()
            raise Failed("a transfer")
        said(session)
        raise Failed("all is well")
    except ftplib.error_temp as reply:
        equal(str(reply)[:4], "426 ", "reply")
    check(moved(lab, before).get("failed"), "not counted")


def refused_file(lab, session):
    parts = []
    refused(lab, session, lambda: session.retrbinary("RETR file",
                                                     parts.append))
    equal(parts, [], "what came")


@test(timeout=600)
def test_program_ftp_session_curl(lab):
    """Each data connection resumes, both ways, in both versions."""
    for version in VERSIONS.values():
        ftp = Ftp(lab, adv=version, reuse="REQUIRED")
        with handshakes(lab, 16, resumed=8):
            for options in (*PASSIVE, *ACTIVE):
                ftp.there_and_back(*options)


@test(timeout=600)
def test_program_ftp_session_curl_many(lab):
    """One control connection, and more data connections than a handshake has
    tickets; uploads read none that come with them."""
    n = 6
    for version in VERSIONS.values():
        ftp = Ftp(lab, adv=version, reuse="REQUIRED")
        sha = ftp.file()
        names = ",".join(f"up{i}" for i in range(n))
        with handshakes(lab, n + 1, resumed=n):
            ftp.curl(f"{{{names}}}", "-T", f"{ftp.root}/file")
        for name in names.split(","):
            equal(digest(f"{ftp.root}/{name}"), sha, name)
        with handshakes(lab, n + 1, resumed=n):
            whole = ftp.curl(f"{{{names}}}")
        with open(f"{ftp.root}/file", "rb") as f:
            equal(hashlib.sha256(f.read() * n).hexdigest(), whole, "all")


@test(timeout=300)
def test_program_ftp_session_lftp(lab):
    """A tree there and back with GnuTLS."""
    for version in VERSIONS.values():
        lftp_tree(Ftp(lab, adv=version, reuse="REQUIRED"))


@test(timeout=300)
def test_program_ftp_session_refused(lab):
    """Who does not resume gets no data, and who resumes another session."""
    for version, adv in VERSIONS.items():
        ftp = Ftp(lab, adv=adv, reuse="REQUIRED")
        sha = ftp.file()
        with logged_in(ftp) as session:
            refused_file(lab, session)
        with logged_in(ftp, Resuming) as one, \
                logged_in(ftp, Resuming, one.context) as two:
            equal(got(one, "file"), sha, f"{version}: its own")
            one.session = two.session
            refused_file(lab, one)
            del one.session
            equal(got(one, "file"), sha, f"{version}: its own again")


@test(timeout=300)
def test_program_ftp_session_upload_refused(lab):
    """The server does not say that it has a file."""
    ftp = Ftp(lab, reuse="REQUIRED")
    with logged_in(ftp) as session:
        refused(lab, session, lambda: session.storbinary(
            "STOR there", io.BytesIO(b"x" * 1000)))


@test(timeout=300)
def test_program_ftp_session_allowed(lab):
    """Full handshakes and resumed ones; and where it is all the same."""
    for reuse in ("ALLOWED", "NONE"):
        ftp = Ftp(lab, reuse=reuse)
        sha = ftp.file()
        with handshakes(lab, 4, resumed=1):
            for kind in (ftplib.FTP_TLS, Resuming):
                with logged_in(ftp, kind) as session:
                    equal(got(session, "file"), sha, reuse)


@test(timeout=300)
def test_program_ftp_session_tickets(lab):
    """A handshake that leaves no ticket; the server asks for each."""
    n = 4
    ftp = Ftp(lab, adv=VERSIONS["TLSv1.3"], action=NO_TICKETS,
              reuse="REQUIRED")
    names = [f"f{i}" for i in range(n)]
    shas = [ftp.file(name, 1000) for name in names]
    before = lab.stats()
    with logged_in(ftp, Resuming) as session:
        wait_for("a ticket", lambda: session.voidcmd("NOOP") and
                 session.session().has_ticket)
        for name, sha in zip(names, shas):
            equal(got(session, name), sha, name)
        wait_for("the tickets", lambda: moved(lab, before).get(
            "tickets_sent") == n + 1)
