# SPDX-License-Identifier: GPL-2.0-only
"""Rules that name the process, where it lives, and the time."""
import contextlib
import errno
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import time

from ktap import check, equal, slow, test
from lab import (TOP, both, client, echo_server, listen, read, rule, server,
                 wait_for, write)

# Says whether its connection is under a rule: the server speaks TLS only.
CLIENT = """
import os, socket, sys
if "unlink" in sys.argv:
    os.unlink(sys.executable)
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.settimeout(600)
try:
    s.sendall(b"who am I")
    print("under" if s.recv(8) == b"who am I" else "clear")
except OSError:
    print("clear")
"""

# Echoes one connection.
SERVER = """
import socket, sys
l = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
s, _ = l.accept()
while d := s.recv(4096):
    s.sendall(d)
"""


def run(port, *words, exe=sys.executable, **kw):
    """What a client says that is started so."""
    done = subprocess.run([exe, "-c", CLIENT, str(port), *words],
                          capture_output=True, text=True, check=True,
                          timeout=slow(120), **kw)
    return done.stdout.strip()


@contextlib.contextmanager
def tls_server(lab):
    """A TLS server that is under no rule."""
    listener = listen(lab.next_port())
    echo_server(listener, lab.tls_server_context())
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


@contextlib.contextmanager
def copies(*names):
    """Programs of other paths that do what this one does."""
    top = f"{TOP}/programs"
    for name in names:
        os.makedirs(os.path.dirname(f"{top}/{name}"), exist_ok=True)
        shutil.copy(os.path.realpath(sys.executable), f"{top}/{name}")
    try:
        yield top
    finally:
        shutil.rmtree(top)


@test(timeout=300)
def test_rule_by_program(lab):
    """Exe: the path of the program, with patterns, and of one deleted."""
    with tls_server(lab) as port, copies("a/one", "b/c/two") as top:
        lab.policy(client(port, cond=f"Exe {top}/a/*"))
        equal(run(port, exe=f"{top}/a/one"), "under", "a/*")
        equal(run(port, exe=f"{top}/b/c/two"), "clear", "b/c/two")
        equal(run(port), "clear", "another program")
        lab.policy(client(port, cond=f"Exe /no/such\nExe {top}/**"))
        equal(run(port, exe=f"{top}/b/c/two"), "under", "the second of two")
        equal(run(port, "unlink", exe=f"{top}/a/one"), "under", "deleted")


@test(timeout=300)
def test_rule_by_program_that_serves(lab):
    """Exe of an accepted connection: the program that uses it."""
    with copies("mine", "other") as top:
        for name, under in (("mine", True), ("other", False)):
            port = lab.next_port()
            lab.policy(server(port, cond=f"Exe {top}/mine"))
            with subprocess.Popen([f"{top}/{name}", "-c", SERVER, str(port)],
                                  stdout=subprocess.PIPE) as program:
                program.stdout.readline()
                with socket.create_connection(("127.0.0.1", port)) as s:
                    s.settimeout(slow(60))
                    if under:
                        s = lab.tls_client_context().wrap_socket(
                            s, server_hostname="server.example")
                    s.sendall(b"who")
                    equal(s.recv(3), b"who", name)
                    s.close()


@test(timeout=300)
def test_rule_by_cgroup(lab):
    """Cgroup: the group and what is below it, also one made later."""
    top = "/sys/fs/cgroup"

    def inside(path):
        return lambda: write(f"{top}{path}/cgroup.procs", os.getpid())

    with tls_server(lab) as port:
        lab.policy(client(port, cond="Cgroup /attls-a/b"))
        paths = ("/attls-a", "/attls-a/b", "/attls-a/b/c", "/attls-a/bc")
        for path in paths:
            os.makedirs(top + path)
        found = [run(port, preexec_fn=inside(path)) for path in paths]
        equal(found, ["clear", "under", "under", "clear"], f"{paths}")
        for path in reversed(sorted(paths)):
            wait_for("an empty group", lambda path=path: not read(
                f"{top}{path}/cgroup.procs"))
            os.rmdir(top + path)


@test(timeout=300)
def test_rule_by_gid(lab):
    """Gid: the effective group of the process."""
    with tls_server(lab) as port:
        lab.policy(client(port, cond="Gid 4000 4001\nGid nogroup"))
        equal(run(port, group=4001), "under", "of the range")
        equal(run(port, group=4002), "clear", "beside it")
        equal(run(port, group="nogroup"), "under", "by name")


@test(timeout=300)
def test_rule_by_netns(lab):
    """Netns: that of the socket; both sides are in it."""
    port = lab.next_port()
    for space in ("n1", "n2"):
        lab.netns(space)
    lab.policy(server(port, cond="Netns n1") + client(port, cond="Netns n1"))
    for space, expect in (("n1", 2), ("n2", 0)):
        enter = ["ip", "netns", "exec", space, sys.executable, "-c"]
        with subprocess.Popen(enter + [SERVER, str(port)],
                              stdout=subprocess.PIPE) as program:
            program.stdout.readline()
            before = lab.stats()["connections_secured"]
            done = subprocess.run(enter + [CLIENT, str(port)], text=True,
                                  capture_output=True, check=True,
                                  timeout=slow(120))
            equal(done.stdout.strip(), "under", "echo")
            equal(lab.stats()["connections_secured"] - before, expect, space)


@contextlib.contextmanager
def clock_that_changes():
    """Gives the time back as if nobody had touched it."""
    real, mono = time.time(), time.monotonic()
    try:
        yield
    finally:
        time.clock_settime(time.CLOCK_REALTIME,
                           real + time.monotonic() - mono)


def stamp(when):
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(when))


@test(timeout=300)
def test_rule_by_time(lab):
    """IpTimeCondition: at its second; attlsd follows a clock that is set."""
    begin, year = int(time.time()) + 3600, 366 * 86400
    with tls_server(lab) as port, clock_that_changes():
        lab.policy(client(port, cond=f"""
  IpTimeCondition
  {{
    ConditionTimeRange {stamp(begin)}:{stamp(begin + 600)}
    ConditionTimeRange {stamp(begin + 3 * year)}:{stamp(begin + 4 * year)}
    TimeZone UTC
  }}"""))
        equal(run(port), "clear", "before")
        for when, expect in ((begin - 30, "clear"), (begin + 1, "under"),
                             (begin + 601, "clear")):
            time.clock_settime(time.CLOCK_REALTIME, when)
            equal(run(port), expect, f"{when - begin} s after the begin")
        # Farther than the times that the kernel has: attlsd is told.
        far = begin + 3 * year + 9
        time.clock_settime(time.CLOCK_REALTIME, far)
        renewed = stamp(far)[:4] + r"-.* time conditions renewed"
        wait_for("new times", lambda: re.search(renewed, lab.attlsd.text()))
        time.clock_settime(time.CLOCK_REALTIME, begin + 700)
        wait_for("back again", lambda: run(port) == "clear")
    check(lab.attlsd.alive(), "attlsd is dead")


def fate(port):
    """What comes of a connection that is used at once."""
    try:
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.settimeout(slow(60))
            s.sendall(b"who")
            return s.recv(3)
    except ConnectionResetError:
        return "reset"


@test(timeout=300)
def test_default_action_deny(lab):
    """What no rule is for is reset, and counted; an Off rule lets pass."""
    ports = [lab.next_port() for _ in range(4)]
    under, clear, none, inbound = ports
    listeners = [listen(port) for port in ports]
    for listener in listeners:
        echo_server(listener)
    lab.policy("DefaultAction Deny\n" + both(under) +
               rule("clear-out", "Outbound", clear, "", group="Off") +
               rule("clear-in", "Inbound", clear, "", group="Off") +
               rule("half", "Outbound", inbound, "", group="Off"))
    lab.works(under)
    equal(fate(clear), b"who", "TTLSEnabled Off")
    before = lab.stats()["failed_denied"]
    equal(fate(none), "reset", "no rule, connecting")
    equal(fate(inbound), "reset", "no rule, accepting")
    s = socket.socket()
    s.setblocking(False)
    check(s.connect_ex(("127.0.0.1", none)) == errno.EINPROGRESS, "EINPROGRESS")
    poll = select.poll()
    poll.register(s, select.POLLOUT)
    check(poll.poll(slow(60) * 1000), "non-blocking: not told")
    equal(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), errno.ECONNRESET,
          "non-blocking")
    s.close()
    # Of none, the other end may have been there too.
    check(lab.stats()["failed_denied"] - before >= 3, "not counted")
    found = [x for x in lab.klog() if "DefaultAction is Deny" in x]
    check(len(found) >= 3, f"log: {found}")
    lab.policy("DefaultAction Clear\n" + both(under))
    equal(fate(none), b"who", "DefaultAction Clear")
    for listener in listeners:
        listener.close()
