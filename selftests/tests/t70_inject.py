# SPDX-License-Identifier: GPL-2.0-only
"""Memory fails where it hurts: each allocation of ours, one after the other.

A connection works or is reset and counted; nothing hangs, attlsd lives, and
the oracle watches the wire.  What leaks kmemleak tells when the guest ends.
"""
import contextlib
import errno
import itertools
import os
import select
import socket
import ssl
import struct
import subprocess
import threading
import time

import agent
import ttls
from faults import Faults, arm, farewell, fired, function, module_text
from ktap import Failed, amount, check, equal, slow, test
from lab import (MODULE, TOP, both, client, echo_server, listen, recv_exact,
                 server, wait_for)
from rogue import ALERT, CLOSE_NOTIFY, DATA, HANDSHAKE, ticket
from storm import Books, Load, attlsd_pids, check_result
from t35_control import rogue_pair
from t89_keeper import device, is_writable, pair

# How a program hears of a connection that did not survive.
RESET = ("ECONNRESET", "EPIPE", "ENOTCONN")


def walk(step, stride=amount(3, 1), limit=1000):
    """step(n) with n = 1, ... until it says that nothing failed any more.

    Returns what was wrong with which step.
    """
    wrong = []
    for n in itertools.count(1, stride):
        check(n < limit, f"no end after {n} allocations")
        try:
            hit = step(n)
        except (Failed, AssertionError) as e:
            wrong.append(f"allocation {n}: {e}")
            hit = n < limit and len(wrong) < 20
        if not hit:
            break
    print(f"# {n - 1} allocations")
    return wrong


def walk_through_faults(lab, step):
    """walk() with allocations of ours that fail, and the books."""
    books = Books(lab)
    with Faults(module_text(), farewell()):
        wrong = walk(step)
    books.settle()
    return wrong


def name_of(e):
    return errno.errorcode.get(e.errno, repr(e))


def raises(call, *args):
    """The name of the errno that a call fails with; "" if it does not."""
    try:
        call(*args)
        return ""
    except OSError as e:
        return name_of(e)


def talk(s, marker):
    """A program and its connection; "", or the errno and where."""
    doing = "send"
    try:
        s.settimeout(None)
        s.sendall(marker)
        doing = "recv"
        got = recv_exact(s, len(marker))
        equal(got, marker, "data")
        doing = "shutdown"
        s.shutdown(socket.SHUT_WR)
        doing = "recv the end"
        equal(s.recv(1), b"", "end")
        return ""
    except OSError as e:
        return f"{name_of(e)} in {doing}"
    finally:
        s.close()


def connect_and_talk(s, port, marker):
    try:
        s.connect(("127.0.0.1", port))
    except OSError as e:
        return f"{name_of(e)} in connect"
    return talk(s, marker)


def count_failure(lab, before, outcome):
    """A failure is a reset, and has been counted."""
    if outcome:
        check(outcome.startswith(RESET), outcome)
        check(lab.stats()["failed"] > before, f"{outcome}: not counted")


# More than the init ladder makes.
LOAD_ALLOCATIONS = 400


@test(debug=True, timeout=amount(300, 900))
def test_inject_module_load(lab):
    """modprobe without memory: loaded or not, and never half."""
    lab.unload()

    def step(n):
        done = subprocess.run(["modprobe", "attls"], check=False,
                              capture_output=True, preexec_fn=lambda: arm(n))
        there = os.path.exists(MODULE)
        equal(os.path.exists("/dev/attls"), there, f"{done}: device")
        if there:
            subprocess.run(["rmmod", "attls"], check=True)
        equal(there, done.returncode == 0, f"{done}: loaded")
        # Its fail-nth has gone with modprobe.
        return n < LOAD_ALLOCATIONS

    # Linux itself loses the name of a cache when this fails.
    with Faults(function("do_one_initcall"), function("sysfs_slab_add")):
        equal(walk(step, amount(19, 1)), [], "wrong")
    lab.load()


@test(debug=True, timeout=300)
def test_inject_policy(lab):
    """Install without memory: the old policy stays, attlsd too."""
    port = lab.next_port()
    listener = listen(port)
    echo_server(listener)
    lab.policy(both(port))
    pid = lab.attlsd.popen.pid
    path = lab.write_policy(both(port, "HandshakeTimeout 20"), "new.conf")

    def step(n):
        generation = lab.generation()
        arm(n, pid)
        done = lab.attls("load", path, ok=None)
        hit = fired(pid)
        check(lab.attlsd.alive(), "attlsd is dead")
        equal(lab.generation() > generation, done.returncode == 0, f"{done}")
        check(hit or not done.returncode, f"{done}")
        lab.works(port)
        return hit

    equal(walk_through_faults(lab, step), [], "wrong")
    listener.close()


@test(debug=True, timeout=300)
def test_inject_first_listener(lab):
    """A listener is covered although memory is short when it begins."""
    for n in range(1, 4):
        lab.unload()
        lab.load()
        port = lab.next_port()
        lab.start_attlsd(both(port))
        with Faults(module_text(), farewell()):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", port))
            arm(n)
            s.listen()
            hit = fired()
        echo_server(s)
        lab.works(port)
        s.close()
        if not hit:
            break


def accept_one(lab, listener):
    """A program that serves one connection; as talk()."""
    doing = "accept"
    s = None
    try:
        s, _ = listener.accept()
        s.settimeout(None)
        doing = "recv"
        got = recv_exact(s, len(lab.marker))
        equal(got, lab.marker, "data")
        doing = "send"
        s.sendall(got)
        doing = "recv the end"
        equal(s.recv(1), b"", "end")
        return ""
    except OSError as e:
        return f"{name_of(e)} in {doing}"
    finally:
        if s:
            s.close()


def polite_echo(raw, context):
    """A TLS server that is no part of the policy."""
    raw.settimeout(slow(60))
    try:
        tls = context.wrap_socket(raw, server_side=True)
        while data := tls.recv(4096):
            tls.sendall(data)
        tls.unwrap().close()
    except OSError:
        pass
    finally:
        raw.close()


def serve_tls(lab, listener, version):
    context = lab.tls_server_context(version=version)

    def serve():
        try:
            while True:
                raw, _ = listener.accept()
                threading.Thread(target=polite_echo, args=(raw, context),
                                 daemon=True).start()
        except OSError:
            pass
    listener.settimeout(None)
    threading.Thread(target=serve, daemon=True).start()


def tls_peer(lab, port, version):
    """A TLS client that is no part of the policy."""
    context = lab.tls_client_context(version)
    try:
        raw = socket.create_connection(("127.0.0.1", port))
        raw.settimeout(slow(60))
        tls = context.wrap_socket(raw, server_hostname="server.example")
        tls.sendall(lab.marker)
        recv_exact(tls, len(lab.marker))
        tls.unwrap().close()
    except OSError:
        pass


VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


@test(debug=True, timeout=600)
def test_inject_accept(lab):
    """The server's program: accept, first use, receive, send, close."""
    wrong = []
    for version in VERSIONS:
        port = lab.next_port()
        lab.policy(server(port, adv="HandshakeTimeout 20"))
        listener = listen(port)

        def step(n, port=port, version=version, listener=listener):
            failed = lab.stats()["failed"]
            peer = threading.Thread(target=tls_peer,
                                    args=(lab, port, version), daemon=True)
            peer.start()
            arm(n)
            outcome = accept_one(lab, listener)
            hit = fired()
            peer.join(slow(60))
            check(not peer.is_alive(), "the peer hangs")
            count_failure(lab, failed, outcome)
            return hit

        wrong += walk_through_faults(lab, step)
        listener.close()
    equal(wrong, [], "wrong")


@test(debug=True, timeout=600)
def test_inject_connect(lab):
    """The client's program: connect, send, receive, tickets, close."""
    wrong = []
    for version in VERSIONS:
        port = lab.next_port()
        lab.policy(client(port, adv="HandshakeTimeout 20"))
        listener = listen(port)
        serve_tls(lab, listener, version)

        def step(n, port=port):
            failed = lab.stats()["failed"]
            s = socket.socket()
            arm(n)
            outcome = connect_and_talk(s, port, lab.marker)
            s.close()
            hit = fired()
            count_failure(lab, failed, outcome)
            return hit

        wrong += walk_through_faults(lab, step)
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    equal(wrong, [], "wrong")


def answer(app, far, marker):
    """A program whose peer sends all that is no data; as talk()."""
    doing = "recv"
    try:
        far.send(HANDSHAKE, ticket())
        far.send_key_update(1)
        far.send(DATA, marker)
        equal(recv_exact(app, len(marker)), marker, "data")
        doing = "send"
        app.sendall(marker)
        equal(far.receive_data(len(marker)), marker, "data for the peer")
        doing = "recv the end"
        far.send(ALERT, bytes([1, CLOSE_NOTIFY]))
        equal(app.recv(1), b"", "end")
        return ""
    except OSError as e:
        return f"{name_of(e)} in {doing}"
    except EOFError:
        return "ECONNRESET, as the peer says"


def send_without_memory(lab, s):
    """A writer waits no longer than its timeout says, and not in vain."""
    seconds = struct.pack("ll", 2, 0)
    with Faults(module_text(), farewell()) as faults:
        faults.every(1)
        s.setblocking(False)
        equal(raises(s.send, lab.marker), "EAGAIN", "non-blocking")
        s.setblocking(True)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
        equal(raises(s.send, lab.marker), "EAGAIN", "with SO_SNDTIMEO")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, bytes(16))
        back = threading.Timer(slow(2), faults.every, (0,))
        back.start()
        equal(s.send(lab.marker), len(lab.marker), "memory is back")
        check(back.finished.is_set(), "sent without memory")
        back.join()


@test(debug=True)
def test_inject_send_waits_for_memory(lab):
    """kTLS has no memory for a record: the writer waits as with TCP."""
    port = lab.next_port()
    lab.policy(both(port))
    with listen(port) as listener:
        echo_server(listener)
        with socket.create_connection(("127.0.0.1", port)) as s:
            lab.echoes(s)
            s.settimeout(None)
            send_without_memory(lab, s)
            equal(recv_exact(s, len(lab.marker)), lab.marker, "echo")


@test(debug=True)
def test_inject_query(lab):
    """A connect without memory for a conn: EIO, and it is no good."""
    port = lab.next_port()
    lab.policy(client(port))
    told = set()
    with listen(port), Faults(module_text(), farewell()):
        for n in range(1, 30):
            with socket.socket() as s:
                arm(n)
                raises(s.connect, ("127.0.0.1", port))
                hit = fired()
                s.setblocking(False)
                err, io = ttls.call(s)
                told.add((err, io.reason))
                if err == errno.EIO:
                    check(raises(s.send, b"x") in RESET, "it sends")
            if not hit:
                break
    check((errno.EIO, ttls.JR_UNEXPECTED) in told, f"{told}")


@test(debug=True, timeout=600)
def test_inject_control(lab):
    """A ticket, a key update that wants another back, close_notify."""
    def step(n):
        app, far = rogue_pair(lab, "client")
        app.settimeout(None)
        failed = lab.stats()["failed"]
        arm(n)
        outcome = answer(app, far, lab.marker)
        app.close()
        hit = fired()
        count_failure(lab, failed, outcome)
        return hit

    lab.policy("# no rule\n")
    equal(walk_through_faults(lab, step), [], "wrong")


@test(debug=True, timeout=600)
def test_inject_keeper(lab):
    """A ticket on demand: it is sent, or not, or the connection is reset."""
    port = lab.next_port()
    lab.policy(both(port))
    lab.stop_attlsd()

    def step(n):
        with contextlib.ExitStack() as stack:
            s, c = stack.enter_context(pair(port))
            keepers = [stack.enter_context(end) for end in agent.secure(dev)]
            wait_for("both ends", lambda: is_writable(s) and is_writable(c))
            arm(n)
            err = keepers[0].send(agent.ticket(500))
            hit = fired()
            check(err in (0, errno.ENOMEM, errno.EAGAIN, errno.ECONNRESET),
                  f"errno {err}")
            if err == errno.ECONNRESET:
                check(raises(s.send, lab.marker) in RESET, "it sends")
                return hit
            s.send(lab.marker)
            wait_for("data", lambda: select.select([c], [], [], 0)[0])
            equal(c.recv(len(lab.marker)), lab.marker, "data")
            equal(keepers[1].event()[0], err and errno.EAGAIN, "ticket")
            return hit

    with device() as dev:
        equal(walk_through_faults(lab, step), [], "wrong")


@test(debug=True, timeout=600)
def test_inject_agent(lab):
    """attlsd's worker: ACCEPT, the handshake's bytes, INSTALL, FAIL."""
    wrong = []
    for version in ("", "TLSv1.3 Off"):
        port = lab.next_port()
        lab.policy(both(port, "HandshakeTimeout 20\n" + version))
        listener = listen(port)
        echo_server(listener)
        # Those of the policy before go when they have nothing to do.
        wait_for("two workers", lambda: len(attlsd_pids()) == 3)
        workers = [p for p in attlsd_pids() if p != lab.attlsd.popen.pid]

        def step(n, port=port, workers=workers):
            failed = lab.stats()["failed"]
            for pid in workers:
                arm(n, pid)
            with socket.socket() as s:
                outcome = connect_and_talk(s, port, lab.marker)
            count_failure(lab, failed, outcome)
            # Raises for a worker that died of it.
            return any([fired(pid) for pid in workers])

        wrong += walk_through_faults(lab, step)
        listener.close()
    equal(wrong, [], "wrong")


@test(debug=True, timeout=600)
def test_inject_storm(lab):
    """One allocation in so many fails, whoever makes it."""
    n, path = amount(200, 5000), os.path.join(TOP, "policy.conf")
    port = lab.next_port()
    lab.policy(both(port, "HandshakeTimeout 30"))
    books = Books(lab)
    with Faults(module_text(), farewell()) as faults:
        load = Load(lab, port, n, live=0)
        faults.every(101)
        while load.running():
            lab.attls("load", path, ok=None)
            time.sleep(2)
        faults.every(0)
        result = load.end()
    print(f"# {result}")
    check_result(result, least=0.05)
    check(result["ok"] < n, "nothing failed")
    check_result(Load(lab, port, 20).end(), least=1)
    books.settle()
