# SPDX-License-Identifier: GPL-2.0-only
"""startup=closed: nothing is in clear before the first policy is in force."""
import contextlib
import errno
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading

from certs import NAME
from ktap import check, equal, slow, test
from lab import (ATTLSD, MODULE, TOP, Process, both, echo, echo_server,
                 in_thread, listen, read, recv_exact, serve_one, server,
                 wait_for, write)
from t20_hold import mptcp_socket
from t25_calls import CALLS

STARTUP = f"{MODULE}/parameters/startup"
OPTIONS = "/etc/modprobe.d/attls-startup.conf"
FASTOPEN = "/proc/sys/net/ipv4/tcp_fastopen"
USER, GROUP, STRANGER = 4711, 815, 4712

# Connects, and hands the connection to the test.
CONNECT = """
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
socket.send_fds(socket.socket(fileno=0), [b"x"], [s.fileno()])
"""

# A server, and a client of it, or the errno of the connect.
PAIR = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
c = socket.socket()
error = c.connect_ex(listener.getsockname())
if error:
    sys.exit(error)
s, _ = listener.accept()
c.sendall(sys.argv[2].encode())
s.sendall(s.recv(100))
print(c.recv(100).decode())
"""


def load(*parameters):
    subprocess.run(["modprobe", "attls", *parameters], check=True)


@contextlib.contextmanager
def closed(lab, *parameters):
    """The module loaded anew, its window closed, without a policy."""
    lab.unload()
    load("startup=closed", *parameters)
    try:
        yield
    finally:
        if os.path.exists(STARTUP):
            write(STARTUP, "open")


def is_closed():
    return read(STARTUP) == "closed\n"


def shown(lab):
    """What attls show says of it, and attls show --json."""
    return ("start-up window closed" in lab.attls("show").stdout,
            json.loads(lab.attls("show", "--json").stdout)["startup_closed"])


def log_count(lab, text):
    """In the kernel log since the module was loaded."""
    log = "\n".join(lab.klog())
    return log[log.rindex("EZZ4248E"):].count(text)


def errno_of(call, *args):
    try:
        call(*args)
        return 0
    except OSError as e:
        return e.errno


def connect_as(user, port):
    """A connection that another user has opened."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        subprocess.run([sys.executable, "-I", "-c", CONNECT, str(port)],
                       stdin=theirs, user=user, group=user, extra_groups=[],
                       check=True)
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    return socket.socket(fileno=fds[0])


def passive_opens():
    """How many SYNs have made a connection, in this namespace."""
    names, values = [line.split() for line in
                     read("/proc/net/snmp").splitlines()
                     if line.startswith("Tcp:")]
    return int(values[names.index("PassiveOpens")])


def refused_sockets(port):
    """[(socket, address)] that were all told EAGAIN."""
    v4, v6, mapped = ("127.0.0.1", port), ("::1", port), \
        ("::ffff:127.0.0.1", port)
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    nonblocking = socket.socket()
    nonblocking.setblocking(False)
    deferred = socket.socket()
    deferred.setsockopt(socket.SOL_TCP, 30, 1)	# TCP_FASTOPEN_CONNECT
    sockets = [(socket.socket(), v4), (socket.socket(socket.AF_INET6), v6),
               (socket.socket(socket.AF_INET6), mapped), (bound, v4),
               (nonblocking, v4), (deferred, v4)]
    for number, (s, address) in enumerate(sockets):
        equal(s.connect_ex(address), errno.EAGAIN, f"connect {number}")
    return sockets


@test
def test_window_refuses_connect(lab):
    """EAGAIN, no SYN; the same sockets connect once there is a policy."""
    port = lab.next_port()
    fastopen = read(FASTOPEN)
    write(FASTOPEN, 519)		# without a cookie
    with closed(lab):
        listener = socket.create_server(("::", port), family=socket.AF_INET6,
                                        dualstack_ipv6=True)
        before = passive_opens()
        sockets = refused_sockets(port)
        sender = socket.socket()
        where = ("127.0.0.1", port)
        equal(errno_of(sender.sendto, lab.marker, socket.MSG_FASTOPEN, where),
              errno.EHOSTUNREACH, "MSG_FASTOPEN")
        ring = subprocess.run([CALLS, "uring_connect_refused", "plain",
                               str(port), "x"], capture_output=True,
                              text=True, check=True).stdout
        check("EHOSTUNREACH" in ring, f"io_uring: {ring}")
        equal(passive_opens(), before, "connections")
        equal(lab.stats()["startup_connects_refused"], len(sockets) + 2,
              "counter")
        check(is_closed(), "parameter")
        equal(log_count(lab, "EZZ4248E"), 1, "EZZ4248E")
        equal(log_count(lab, "EZZ4250I"), 0, "EZZ4250I before a policy")

        lab.policy(both(port))
        echo_server(listener)
        for s, address in sockets + [(sender, where)]:
            s.setblocking(True)
            s.connect(address)
            lab.echoes(s)
            s.close()
    listener.close()
    write(FASTOPEN, fastopen)


@test
def test_window_does_not_close_again(lab):
    """Neither by the death of attlsd nor by an empty policy."""
    port = lab.next_port()
    with closed(lab):
        before = os.path.getsize(f"{TOP}/attlsd.log")
        lab.policy(both(port))
        lab.attls("reload")
        equal(lab.attlsd.text()[before:].count("EZZ8771I"), 1, "EZZ8771I")
        lab.stop_attlsd(9)
        with listen(lab.next_port()) as other:
            socket.create_connection(other.getsockname()).close()
            check(not is_closed(), "closed again")
            lab.policy("# no rule\n")
            socket.create_connection(other.getsockname()).close()
        equal(errno_of(write, STARTUP, "closed"), errno.EBUSY, "by hand")
        check(not is_closed(), "closed by hand")
        for text, times in (("EZZ4248E", 1), ("EZZ4250I", 1),
                            ("EZZ4249I", 0)):
            equal(log_count(lab, text), times, text)


def tls_echo(lab, raw):
    """The peer of a server under a rule."""
    raw.settimeout(slow(60))
    with lab.tls_client_context().wrap_socket(
            raw, server_hostname=NAME) as tls:
        tls.sendall(lab.marker)
        return recv_exact(tls, len(lab.marker))


@test
def test_window_holds_accept(lab):
    """A server hears of no connection before it can be protected."""
    port, quiet = lab.next_port(), lab.next_port()
    with closed(lab, f"startup_uids={USER}"):
        listener, poller = listen(port), listen(quiet)
        listener.settimeout(None)
        poller.setblocking(False)
        poll = select.epoll()
        poll.register(poller, select.EPOLLIN)
        peers = [in_thread(lambda s=connect_as(USER, p): tls_echo(lab, s))
                 for p in (port, quiet)]
        thread, served = serve_one(listener, echo)
        wait_for("accept", lambda: lab.stats()["startup_accepts_held"] == 1)
        equal(poll.poll(0), [], "poll")
        equal(errno_of(poller.accept), errno.EAGAIN, "accept")
        equal(served, [], "accept that waits")

        lab.policy(server(port) + server(quiet))
        check(poll.poll(slow(60)), "nobody woke who polls")
        s, _ = poller.accept()
        s.setblocking(True)
        in_thread(lambda: echo(s))
        for peer, answer in peers:
            peer.join(slow(60))
            equal(answer, [lab.marker], "echo")
        thread.join(slow(60))
        check(not thread.is_alive(), "the server hangs")
        poll.close()
    listener.close()
    poller.close()


@test(clear=True)
def test_window_and_the_permitted(lab):
    """By user, group, and one group of several; nobody else."""
    port = lab.next_port()
    with closed(lab, f"startup_uids=1,{USER}", f"startup_gids={GROUP}"):
        for user, group, others, error in (
                (USER, STRANGER, [], 0), (STRANGER, GROUP, [], 0),
                (STRANGER, STRANGER, [1, GROUP], 0),
                (STRANGER, STRANGER, [1], errno.EAGAIN)):
            done = subprocess.run(
                [sys.executable, "-I", "-c", PAIR, "0",
                 lab.marker.decode()], user=user, group=group,
                extra_groups=others, stdout=subprocess.PIPE, check=False)
            equal(done.returncode, error, f"user {user}, group {group}")
            equal(done.stdout.strip(), b"" if error else lab.marker, "echo")
        lab.policy(server(port))


@test
def test_window_and_ready(lab):
    """attlsd is ready when its policy is in force, not if it has none."""
    port = lab.next_port()
    path = f"{TOP}/notify"
    with closed(lab), socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(path)
        notified.settimeout(slow(60))
        os.environ["NOTIFY_SOCKET"] = path
        try:
            bad = Process(lab, "bad", [ATTLSD, "-c", lab.write_policy(
                "TTLSRule\n", "bad.conf")])
            check(bad.popen.wait(slow(60)), "attlsd took it")
            check(is_closed(), "open without a policy")
            lab.start_attlsd(both(port))
        finally:
            del os.environ["NOTIFY_SOCKET"]
        said = b""
        while b"READY=1" not in said:
            message = notified.recv(4096)
            check(b"READY=1" not in message or b"generation 1" in message,
                  f"{message}")
            said += message
        check(said.count(b"STATUS=reading") == 2, f"{said}")
        check(not is_closed(), "closed with a policy")
    os.unlink(path)


@test
def test_window_over_MPTCP(lab):
    """Connect, Fast Open and accept are the same."""
    port, mptcp = lab.next_port(), lab.next_port()
    fastopen = read(FASTOPEN)
    write(FASTOPEN, 519)		# without a cookie
    where = ("127.0.0.1", port)
    with closed(lab, f"startup_uids={USER}"):
        listener, mlistener = listen(port), mptcp_socket()
        mlistener.bind(("127.0.0.1", mptcp))
        mlistener.listen()
        mlistener.settimeout(None)
        sockets = [mptcp_socket() for _ in range(3)]
        for s, blocking in zip(sockets, (True, False, True)):
            s.setblocking(blocking)
        for s in sockets[:2]:
            equal(s.connect_ex(where), errno.EAGAIN, "connect")
        equal(errno_of(sockets[2].sendto, lab.marker, socket.MSG_FASTOPEN,
                       where), errno.EHOSTUNREACH, "MSG_FASTOPEN")
        peer = connect_as(USER, mptcp)
        thread, served = serve_one(mlistener, lambda s: s.recv(1))
        wait_for("accept", lambda: lab.stats()["startup_accepts_held"])
        equal(served, [], "accept that waits")

        write(STARTUP, "open")
        peer.sendall(b"x")
        thread.join(slow(60))
        equal(served, [b"x"], "accept")
        for s in sockets:
            s.setblocking(True)
            s.connect(where)
            s.close()
        peer.close()
        mlistener.close()
    listener.close()
    write(FASTOPEN, fastopen)


@test
def test_window_accept_times_out(lab):
    """SO_RCVTIMEO ends an accept() that the window holds, and a signal."""
    def interrupt(_signum, _frame):
        raise InterruptedError
    before = signal.signal(signal.SIGUSR1, interrupt)
    with closed(lab), listen(lab.next_port()) as listener:
        listener.settimeout(None)
        held = lab.stats()["startup_accepts_held"]
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO,
                            struct.pack("ll", 1, 0))
        equal(errno_of(listener.accept), errno.EAGAIN, "SO_RCVTIMEO")
        equal(lab.stats()["startup_accepts_held"], held + 1, "held")
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO,
                            struct.pack("ll", 0, 0))
        main = threading.main_thread().ident

        def send():
            wait_for("accept", lambda: lab.stats()["startup_accepts_held"] >
                     held + 1)
            signal.pthread_kill(main, signal.SIGUSR1)
        threading.Thread(target=send, daemon=True).start()
        try:
            listener.accept()
            raise AssertionError("accept() gave a connection")
        except InterruptedError:
            pass
    signal.signal(signal.SIGUSR1, before)


@test
def test_window_opened_by_hand(lab):
    """A policy that does not come must not lock anybody out."""
    port = lab.next_port()
    with closed(lab):
        with listen(port) as listener:
            listener.settimeout(None)
            thread, served = serve_one(listener, lambda s: s.recv(1))
            wait_for("accept", lambda: lab.stats()["startup_accepts_held"])
            equal(errno_of(write, STARTUP, "ajar"), errno.EINVAL, "ajar")
            equal(errno_of(write, f"{MODULE}/parameters/hook", 0),
                  errno.EBUSY, "hook")
            check(is_closed(), "open by that")
            equal(shown(lab), (True, True), "attls show")
            write(STARTUP, "open")
            equal(shown(lab), (False, False), "attls show")
            with socket.create_connection(("127.0.0.1", port)) as s:
                s.sendall(b"x")
                thread.join(slow(60))
            equal(served, [b"x"], "accept")
        equal(log_count(lab, "opened by hand"), 1, "log line")
        lab.policy("# no rule\n")
        for text in ("EZZ4249I", "EZZ4250I"):
            equal(log_count(lab, text), 1, text)


@test
def test_window_and_rmmod(lab):
    """Unloaded under connects that are refused: then they are not."""
    port = lab.next_port()
    results, stop = set(), threading.Event()

    def storm():
        while not stop.is_set():
            with socket.socket() as s:
                results.add(s.connect_ex(("127.0.0.1", port)))
    with closed(lab):
        threads = [threading.Thread(target=storm, daemon=True)
                   for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            wait_for("connects", lambda: results)
            equal(results, {errno.EAGAIN}, "before")
            subprocess.run(["rmmod", "attls"], check=True)
            wait_for("connects", lambda: errno.ECONNREFUSED in results)
        finally:
            stop.set()
            for thread in threads:
                thread.join(slow(60))
        equal(results, {errno.EAGAIN, errno.ECONNREFUSED}, "all")
    load()


def renew(lab):
    """The module loaded anew under a policy without rules, no attlsd."""
    lab.stop_attlsd()
    write(f"{MODULE}/parameters/hook", 0)
    wait_for("references", lambda: read(f"{MODULE}/refcnt") == "0\n", 60)
    subprocess.run(["rmmod", "attls"], check=True)
    load()


def closes_again(lab):
    return json.loads(lab.attls("show", "--json").stdout)[
        "startup_closes_again"]


@test(clear=True)
def test_window_of_the_policy(lab):
    """StartupWindow is for the next time that the module is loaded."""
    port = lab.next_port()
    lab.policy(f"StartupWindow Closed\nStartupUserid {USER}\n"
               f"StartupGroupid {GROUP} {GROUP + 1}\n")
    try:
        lines = read(OPTIONS).splitlines()
        check(lines[0].startswith("# Written by attlsd"), lines)
        equal(lines[1:], [f"options attls startup=closed startup_uids={USER} "
                          f"startup_gids={GROUP},{GROUP + 1}"], OPTIONS)
        equal(os.stat(OPTIONS).st_mode & 0o7777, 0o644, "mode")
        check(closes_again(lab) and not is_closed(), "attls show")
        # What does not get into force changes nothing.
        wrong = lab.write_policy(server(port, ring="nowhere"), "wrong.conf")
        lab.attls("load", wrong, ok=1)
        equal(read(OPTIONS).splitlines(), lines, "after an error")
        renew(lab)
        check(is_closed(), "open")
        with socket.socket() as s:
            equal(s.connect_ex(("127.0.0.1", port)), errno.EAGAIN, "root")
        out = subprocess.run(
            [sys.executable, "-I", "-c", PAIR, str(port),
             lab.marker.decode()], user=USER, group=USER, extra_groups=[],
            text=True, capture_output=True, check=True)
        equal(out.stdout.strip(), lab.marker.decode(), "the permitted")
        lab.policy("# nothing\n")
        check(not os.path.exists(OPTIONS), "the file is left")
        check(not closes_again(lab), "attls show")
        renew(lab)
        check(not is_closed(), "closed")
    finally:
        if os.path.exists(OPTIONS):
            os.unlink(OPTIONS)
        if os.path.exists(STARTUP):
            write(STARTUP, "open")
    lab.policy("# nothing\n")


@test
def test_window_that_cannot_be_kept(lab):
    """A file that attlsd has not written: the policy is not in force."""
    lab.policy("# nothing\n")
    before = lab.generation()
    path = lab.write_policy("StartupWindow Closed\nStartupUserid 0\n",
                            "closed.conf")
    text = "# Mine.\noptions attls startup=open\n"
    write(OPTIONS, text)
    try:
        out = lab.attls("load", path, ok=1)
        check(f"{OPTIONS}: attlsd has not written that" in out.stderr, out)
        equal(lab.generation(), before, "generation")
        equal(read(OPTIONS), text, OPTIONS)
        check(not os.path.exists(OPTIONS + ".new"), "something is left")
    finally:
        os.unlink(OPTIONS)
