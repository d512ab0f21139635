# SPDX-License-Identifier: GPL-2.0-only
"""STOP with a peer of GnuTLS, which goes on in clear as we do."""
import contextlib

import ttls
from ktap import check, equal, slow, test
from lab import NAME, client, in_thread, recv_exact, server
from programs import BUILT, explain
from t80_ioctl import CONTROLLED, pair

VERSIONS = ("1.2", "1.3")


@contextlib.contextmanager
def gnutls(lab, role, version):
    """Our socket, under a rule; the other end is GnuTLS in that role."""
    port = lab.next_port()
    lab.policy(client(port, adv=CONTROLLED) if role == "server" else
               server(port, adv=CONTROLLED))
    files = ((lab.pki.cert("server-ecdsa"), lab.pki.key("server-ecdsa"))
             if role == "server" else (lab.pki.cert("ca"), NAME))
    with pair(port) as (s, c):
        ours, theirs = (c, s) if role == "server" else (s, c)
        theirs.settimeout(None)		# the file is one with the peer's
        peer = lab.process(f"gnutls-{port}", [
            f"{BUILT}/gnutls_peer", role,
            f"NORMAL:-VERS-ALL:+VERS-TLS{version}", *files], stdin=theirs)
        ours.settimeout(slow(60))
        try:
            yield ours
            theirs.close()
            ours.close()
            equal(peer.popen.wait(slow(60)), 0, "exit of the peer")
        except BaseException:
            explain(peer)
            raise
        finally:
            peer.stop()


def line_back(s, line):
    s.sendall(line)
    equal(recv_exact(s, len(line)), line, "echo")


def under_tls(lab, s):
    """Begins TLS as the peer does, and has something echoed."""
    s.sendall(b"tls\n")
    s.settimeout(None)
    equal(ttls.ask(s, ttls.INIT).conn, ttls.SECURE, "INIT")
    s.settimeout(slow(60))
    line_back(s, lab.marker + b"\n")


def stop(s):
    """STOP, as the program's socket waits for it."""
    s.settimeout(None)
    thread, result = in_thread(lambda: ttls.call(s, ttls.STOP))
    thread.join(slow(60))
    check(not thread.is_alive(), "STOP hangs")
    err, io = result[0]
    equal((err, io.conn), (0, ttls.NOTSECURE), "STOP")
    s.settimeout(slow(60))


def rounds(lab, one):
    """one(s), which ends TLS, again and again, in all roles and versions."""
    for role in ("client", "server"):
        for version in VERSIONS:
            with gnutls(lab, role, version) as s:
                for n in range(3):
                    line_back(s, b"in clear %d\n" % n)
                    under_tls(lab, s)
                    one(s)
                line_back(s, b"in clear again\n")


@test(timeout=300)
def test_stop_gnutls(lab):
    """We stop, and gnutls_bye() answers."""
    rounds(lab, stop)


@test(timeout=300)
def test_stop_gnutls_first(lab):
    """gnutls_bye() both ways: an end, and STOP is the answer to it."""
    def one(s):
        s.sendall(b"bye\n")
        equal(s.recv(100), b"", "its end")
        stop(s)
    rounds(lab, one)


@test(timeout=300)
def test_stop_gnutls_first_and_goes_on(lab):
    """Its first clear bytes come with its close_notify."""
    def one(s):
        s.sendall(b"bye hello\n")
        equal(s.recv(100), b"", "its end")
        equal(s.recv(100), b"", "again")
        stop(s)
        equal(recv_exact(s, 6), b"hello\n", "what was behind it")
    rounds(lab, one)


@test(timeout=300)
def test_stop_gnutls_and_both(lab):
    """Both at the same time: close_notify crosses close_notify."""
    def one(s):
        s.sendall(b"bye\n")
        stop(s)
    rounds(lab, one)
