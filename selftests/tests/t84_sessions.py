# SPDX-License-Identifier: GPL-2.0-only
"""Sessions that programs name and demand: libattls, its Python module, the
programs of Documentation/api.rst."""
import contextlib
import errno
import re
import socket
import ssl
import subprocess

from ktap import check, equal, slow, test
from lab import client, in_thread, listen, recv_exact, server, wait_for
from t84_api import (ON, Lines, accepted, attls, error_of, failure, inetd,
                     is_invalid, python_of, started, text_of)

DATA = f"{ON}\nSecondaryMap On"
VERSIONS = ("TLSv1.2", "TLSv1.3")
OLD = "\nTLSv1.3 Off"


@contextlib.contextmanager
def another(lab, port, **wishes):
    """One more connection whose sides have TLS, begun with these wishes of
    the server.  The client has read, so that it has its tickets."""
    with started(port, wishes) as (one, two):
        two.sendall(lab.marker)
        equal(recv_exact(one, len(lab.marker)), lab.marker, "data")
        yield one, two


def is_resumed(lab, port, token):
    """Whether the session with that token is, on one more connection."""
    with another(lab, port) as (_, two):
        same = attls().session(two) == token
        check(attls().query(two).resumed or not same, "not resumed")
        return same


def until_resumed(lab, port, token):
    """The tickets of a connection are with attlsd soon after it has data."""
    wait_for("a resumed session", lambda: is_resumed(lab, port, token))


@contextlib.contextmanager
def resumable(lab, port):
    """(server's socket, token) of a connection whose session is resumed."""
    lab.policy(server(port, adv=ON) + client(port, adv=ON))
    with another(lab, port) as (_, two):
        token = attls().session(two)
        until_resumed(lab, port, token)
        yield two, token


def refused(port, **wishes):
    """A server with such wishes takes nobody, and sends him nothing."""
    with accepted(port) as (one, two):
        thread, _ = in_thread(lambda: attls().start(one))
        equal(error_of(lambda: attls().start(two, **wishes)),
              errno.ECONNRESET, "start")
        thread.join(slow(60))
        data = b""
        with contextlib.suppress(OSError):
            data = one.recv(1)
        equal(data, b"", "received")


@test(timeout=200)
def test_api_python_session(lab):
    """A token names a session on all its connections, at both ends."""
    port = lab.next_port()
    mine = attls()
    for adv in (ON, ON + OLD):
        lab.policy(server(port, adv=adv) + client(port, adv=adv))
        with another(lab, port) as (one, two):
            token = mine.session(two)
            equal([mine.query(s).resumed for s in (one, two)], [False] * 2,
                  "a full handshake")
            equal((len(token), any(token)), (16, True), "token")
            until_resumed(lab, port, token)


@test(timeout=200)
def test_api_python_session_demanded(lab):
    """A server takes nobody without the session that it demands, and who has
    it on its port."""
    port = lab.next_port()
    mine = attls()
    with resumable(lab, port) as (_, token):
        with another(lab, port, session=token, required=True) as (_, two):
            equal(mine.session(two), token, "its token")
        before = lab.stats()["failed"]
        refused(port, session=bytes(15) + b"x", required=True)
        check(lab.stats()["failed"] > before, "not counted")


@test
def test_api_python_session_reset(lab):
    """After RESET_SESSION it is not resumed by anybody."""
    port = lab.next_port()
    mine = attls()
    with resumable(lab, port) as (two, token):
        mine.reset(two, mine.RESET_SESSION)
        for _ in range(3):
            equal(is_resumed(lab, port, token), False, "resumed")


@test
def test_api_python_session_wishes(lab):
    """What can be wished for, and when; tickets of who has none."""
    port = lab.next_port()
    mine = attls()
    token = bytes(range(16))
    lab.policy(server(port, adv=ON) + client(port, adv=ON))
    with socket.socket() as s:
        mine.set_session(s, token)
        mine.set_session(s, token, required=True)
        mine.set_session(s, None)
        is_invalid(0x105, mine.set_session, s, None, True)
        equal(text_of(mine.session, s), "Transport endpoint is not connected",
              "not connected")
    with listen(lab.next_port()) as s:
        equal(text_of(mine.set_session, s, token), "a session is demanded "
              "and none named, or a listening socket", "listening")
    with accepted(port) as (one, two):
        equal(text_of(mine.session, two), "the connection is in clear",
              "clear")
        equal(error_of(mine.send_ticket, two), errno.EPROTO, "before TLS")
    with started(port) as (one, two):
        equal(error_of(mine.set_session, one, token), errno.EISCONN, "late")
        equal(text_of(mine.send_ticket, one), "no server of TLS 1.3 with "
              "tickets, or of a policy of before", "a client")
        mine.send_ticket(two)
    lab.policy(server(port, adv=ON + OLD) + client(port, adv=ON))
    with started(port) as (one, two):
        equal(failure(mine.send_ticket, two).reason, 66, "TLS 1.2")


class Ftp(Lines):
    """A client of data_channel.c, in the words of OpenSSL."""

    def begin(self):
        equal(self.line(), "220 ftp.example", "greeting")
        equal(self.ask("AUTH TLS"), "234 go ahead", "AUTH")
        self.start()

    def file(self, name, resume=True):
        """Its text and the reply behind it.  The session is as new as what
        has been read: the tickets come with it."""
        at = re.search(r"\|(\d+)\|", self.ask("EPSV"))[1]
        raw = socket.create_connection(("127.0.0.1", int(at)))
        raw.settimeout(slow(60))
        self.s.sendall(f"RETR {name}\r\n".encode())
        text = b""
        with raw, contextlib.suppress(OSError), self.context.wrap_socket(
                raw, server_hostname="server.example",
                session=self.s.session if resume else None) as data:
            text = data.recv(1000)
        return text, self.line()


def versioned(peer, version):
    peer.context.minimum_version = peer.context.maximum_version = {
        "TLSv1.2": ssl.TLSVersion.TLSv1_2,
        "TLSv1.3": ssl.TLSVersion.TLSv1_3}[version]


@test(timeout=200)
def test_api_data_channel(lab):
    """The page's server gives its files to who resumes the session of the
    control connection, again and again, and to nobody else."""
    port = lab.next_port()
    lab.policy(server(port, adv=DATA))
    with inetd(lab, "data_channel", port) as said:
        for version in VERSIONS:
            with Ftp(lab, port) as peer:
                versioned(peer, version)
                peer.begin()
                for n in range(5):
                    equal(peer.file(f"file {n}"),
                          (f"this is file {n}\n".encode(), "226 sent"),
                          version)
                equal(peer.file("secret", resume=False),
                      (b"", "425 no data connection"), "without a session")
                check("data connection: the handshake failed" in said(), said())


@test(timeout=200)
def test_api_data_channel_client(lab):
    """Both programs of the page."""
    port = lab.next_port()
    lab.policy(server(port, adv=DATA) + client(port, adv=DATA))
    argv = [*python_of("data_channel.py"), "127.0.0.1", str(port), "one",
            "two"]

    def run():
        # The first ticket may be on its way to attlsd yet.
        return subprocess.run(argv, capture_output=True, text=True,
                              timeout=slow(60), check=False)
    with inetd(lab, "data_channel", port):
        out = wait_for("all files", lambda: not (out := run()).returncode and
                       out, timeout=60)
    equal(out.stdout.splitlines(),
          ["220 ftp.example", "234 go ahead", "True this is one", "226 sent",
           "True this is two", "226 sent"], "output")
