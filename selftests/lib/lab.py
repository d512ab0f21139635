# SPDX-License-Identifier: GPL-2.0-only
"""What a test works with: policy, attlsd, peers, the wire oracle."""
import contextlib
import json
import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import threading
import time

from certs import NAME, Pki
from ktap import FIPS_KERNEL, Failed, check, equal, slow

TOP = "/tmp/attls-test"
ATTLSD = "/usr/sbin/attlsd"
ATTLS = "/usr/sbin/attls"
CONTROL = "/run/attls/control"
MODULE = "/sys/module/attls"
FIPS_CONFIG = "/etc/ssl/fipsmodule.cnf"
FIPS140 = "\n    FIPS140 On" if FIPS_KERNEL else ""

# The buffer of a capture has a place of this size for each packet: what lo
# carries at most, with its headers, so that there are many.
PACKET_MAX = 66000

# What the kernel may never say while a test runs.
SPLAT = re.compile(r"WARNING|BUG|Oops|Call Trace|KASAN|UBSAN|INFO: task|"
                   r"suspicious RCU|refcount_t|lockdep|leaked")


def read(path):
    with open(path, encoding="ascii", errors="replace") as f:
        return f.read()


def write(path, value):
    with open(path, "w", encoding="ascii") as f:
        f.write(str(value))


def wait_for(what, condition, timeout=20):
    """Polls condition() until it is true; its value."""
    timeout = slow(timeout)
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"waited {timeout} s for {what}")
        time.sleep(0.05)


def is_listening(port):
    out = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], text=True,
                         capture_output=True, check=True)
    return out.stdout.strip()


def rule(name, direction, port, role, ring=None, adv="", cond="", group="On",
         action=""):
    """Text of one rule with everything inline."""
    side = "LocalPortRange" if direction == "Inbound" else "RemotePortRange"
    if group == "Off":
        environment = ""
    else:
        environment = f"""
  TTLSEnvironmentAction
  {{
    HandshakeRole {role}
    TTLSKeyringParms
    {{
      Keyring {TOP}/pki/ring-{ring}
    }}
    TTLSEnvironmentAdvancedParms
    {{
{adv}
    }}
{action}
  }}"""
    return f"""
TTLSRule {name}
{{
  Direction {direction}
  {side} {port}
{cond}
  TTLSGroupAction
  {{
    TTLSEnabled {group}{FIPS140}
  }}{environment}
}}
"""


def server(port, ring="server", adv="", **kw):
    return rule(f"in{port}", "Inbound", port, "Server", ring, adv, **kw)


def client(port, ring="client", adv="", host=NAME, **kw):
    if host:
        adv += f"\nHostReferenceIdDNS {host}"
    return rule(f"out{port}", "Outbound", port, "Client", ring, adv, **kw)


def both(port, adv=""):
    return server(port, adv=adv) + client(port, adv=adv)


class Process:
    """A program of the test; its output goes to a file for diagnosis."""

    def __init__(self, lab, name, argv, **kw):
        self.name = name
        self.log = os.path.join(TOP, f"{name}.log")
        self.file = open(self.log, "ab")  # pylint: disable=R1732
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("stdout", self.file)
        self.popen = subprocess.Popen(  # pylint: disable=R1732
            argv, stderr=self.file, **kw)
        lab.processes.append(self)

    def alive(self):
        return self.popen.poll() is None

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def stop(self, sig=signal.SIGTERM, timeout=20):
        if self.alive():
            self.popen.send_signal(sig)
        try:
            self.popen.wait(slow(timeout))
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        self.file.close()
        return self.popen.returncode


def udp_socket(netns=None):
    """A socket of the network namespace, which one thread enters to make it."""
    made = []

    def make():
        if netns:
            with open(f"/run/netns/{netns}", encoding="ascii") as f:
                os.setns(f.fileno(), os.CLONE_NEWNET)
        made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


class Wire:
    """A capture of the loopback device of one network namespace.

    Starting one takes as long as many a test, so one serves several, each
    from begin() to finish().
    """
    # Bytes; a file that is longer is not kept for another test.
    ENOUGH = 16 << 20

    def __init__(self, lab, netns=None):
        self.pcap = os.path.join(TOP, f"wire-{netns or 'init'}.pcap")
        if os.path.exists(self.pcap):
            os.unlink(self.pcap)
        enter = ["ip", "netns", "exec", netns] if netns else []
        self.process = Process(lab, "tcpdump", enter + [
            "tcpdump", "-i", "lo", "--immediate-mode", "-U", "-B", "131072",
            "-s", str(PACKET_MAX), "-w", self.pcap, "-Z", "root"])
        self.socket = udp_socket(netns)
        self.good = True
        self.begin()

    def begin(self):
        """What is found from now on is of this test."""
        self.start = 0
        self.canary()
        self.start = self.size()

    def size(self):
        return os.path.getsize(self.pcap) if os.path.exists(self.pcap) else 0

    def canary(self):
        """Waits until tcpdump sees what is sent now: it misses nothing."""
        token = secrets.token_hex(16).encode()
        start = self.size()

        def seen():
            self.socket.sendto(token, ("127.0.0.1", 9))
            return self.size() and self.found(token, start)
        wait_for("tcpdump", seen, 60)

    def found(self, token, start=None):
        """True when the capture holds token."""
        tail = b""
        with open(self.pcap, "rb") as f:
            f.seek(self.start if start is None else start)
            while chunk := f.read(1 << 20):
                if token in tail + chunk:
                    return True
                tail = chunk[-len(token):]
        return False

    def finish(self):
        """The end of a test: the capture must have missed nothing."""
        self.good = False
        self.canary()
        before = len(self.process.text())
        self.process.popen.send_signal(signal.SIGUSR1)
        dropped = wait_for("tcpdump's report", lambda: re.search(
            r"(\d+) packets? dropped by kernel", self.process.text()[before:]))
        check(dropped[1] == "0",
              f"oracle: {dropped[1]} packets were not captured")
        self.good = self.size() < self.ENOUGH

    def stop(self):
        self.socket.close()
        self.process.stop(signal.SIGINT)


class KernelLog:
    """The kernel log of a test; dmesg would read all of it each time."""

    def __init__(self):
        self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        self.lines = []

    def begin(self):
        os.lseek(self.fd, 0, os.SEEK_END)
        self.lines = []

    def read(self):
        """Its lines; one read gives one record: numbers;text, and more."""
        while True:
            try:
                record = os.read(self.fd, 8192).decode(errors="replace")
            except BlockingIOError:
                return self.lines
            except BrokenPipeError:     # what we had not read is overwritten
                continue
            self.lines.append(record.partition(";")[2].partition("\n")[0])


def install_fips():
    """What whoever wants FIPS140 does once, as policy.rst says."""
    found = subprocess.run(["openssl", "version", "-m"], check=True, text=True,
                           capture_output=True).stdout
    directory = re.search('"(.*)"', found)[1]
    subprocess.run(["openssl", "fipsinstall", "-quiet", "-module",
                    f"{directory}/fips.so", "-out", FIPS_CONFIG], check=True,
                   capture_output=True)


class Lab:
    """One guest, one attlsd, a fresh marker and capture for each test."""

    def __init__(self):
        os.makedirs(TOP, exist_ok=True)
        self.pki = Pki(os.path.join(TOP, "pki"))
        if FIPS_KERNEL:
            install_fips()
        self.processes = []
        self.attlsd = None
        self.marker = b""
        self.home = None        # the wire of the namespace that we are in
        self.wires = []
        self.spaces = []
        self.port = 7000
        self.kernel_log = KernelLog()

    # The life of a test

    def begin(self):
        self.marker = b"ATTLS-MARKER-" + secrets.token_hex(12).encode()
        self.kernel_log.begin()
        self.spaces = []
        self.watch_home()

    def watch_home(self):
        if self.home and self.home.good and self.home.process.alive():
            self.home.begin()
        else:
            self.close_home()
            self.home = Wire(self)
        self.wires = [self.home]

    def close_home(self):
        if self.home:
            self.home.stop()
            self.home = None

    def netns(self, name):
        """Makes a network namespace for this test, its wire watched."""
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.spaces.append(name)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"],
                       check=True)
        self.wires.append(Wire(self, name))

    def end(self):
        spared = [self.attlsd] + [wire.process for wire in self.wires]
        for process in self.processes[::-1]:
            if process not in spared:
                process.stop()
        try:
            for wire in self.wires:
                wire.finish()
        finally:
            for wire in self.wires[1:]:
                wire.stop()
            for space in self.spaces:
                subprocess.run(["ip", "netns", "del", space], check=True)
            self.processes = [self.attlsd] if self.attlsd else []

    def close(self):
        """After the last test."""
        if self.attlsd:
            self.stop_attlsd()
        self.close_home()

    def marker_on_wire(self):
        """True when a capture holds the marker of this test."""
        return any(wire.found(self.marker) for wire in self.wires)

    def klog(self):
        """Kernel log lines of this test."""
        return self.kernel_log.read()

    def check_log(self):
        for line in self.klog():
            check(not SPLAT.search(line), f"kernel log: {line}")

    def tails(self):
        """Ends of the logs, for a failed test."""
        lines = []
        for name in ("attlsd",):
            path = os.path.join(TOP, f"{name}.log")
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    lines += [f"{name}: {line}"
                              for line in f.read().splitlines()[-8:]]
        return lines + [f"kernel: {line}" for line in self.klog()[-8:]]

    def next_port(self):
        self.port += 1
        return self.port

    # attlsd and policy

    def write_policy(self, text, name="policy.conf"):
        path = os.path.join(TOP, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def start_attlsd(self, text=None):
        if text is not None:
            self.write_policy(text)
        before = self.generation()
        self.attlsd = Process(self, "attlsd", [
            ATTLSD, "-c", os.path.join(TOP, "policy.conf"), "-w", "2"])
        wait_for("attlsd", lambda: self.status_ok(before) or
                 self._dead(), 60)

    def _dead(self):
        if not self.attlsd.alive():
            raise Failed("attlsd ended: " + self.attlsd.text()[-400:])
        return False

    def generation(self):
        out = self.attls("show", "--json", ok=None)
        try:
            return json.loads(out.stdout)["generation"]
        except (ValueError, KeyError):
            return 0

    def status_ok(self, before):
        return os.path.exists(CONTROL) and self.generation() > before

    def stop_attlsd(self, sig=signal.SIGTERM):
        self.attlsd.stop(sig)
        self.processes.remove(self.attlsd)
        self.attlsd = None

    def policy(self, text):
        """Puts the policy in force, starting attlsd if need be."""
        if self.attlsd and self.attlsd.alive():
            self.attls("load", self.write_policy(text))
        else:
            self.start_attlsd(text)

    def unload(self):
        """The way out of Documentation/architecture.rst, "Unloading"."""
        self.policy("# no rule\n")
        self.stop_attlsd()
        write(f"{MODULE}/parameters/hook", 0)
        wait_for("references", lambda: read(f"{MODULE}/refcnt") == "0\n", 60)
        subprocess.run(["rmmod", "attls"], check=True)

    def load(self):
        subprocess.run(["modprobe", "attls"], check=True)

    @contextlib.contextmanager
    def unloaded(self):
        """Without the module; with it afterwards, but without attlsd."""
        self.unload()
        try:
            yield
        finally:
            self.load()

    def attls(self, *args, ok=0):
        out = subprocess.run([ATTLS, *args], capture_output=True, text=True,
                             check=False)
        if ok is not None and out.returncode != ok:
            raise Failed(f"attls {args}: exit {out.returncode}: "
                         f"{out.stdout} {out.stderr}")
        return out

    def conns(self):
        return json.loads(self.attls("netstat", "--json").stdout)

    def stats(self):
        return json.loads(self.attls("stats", "--json").stdout)

    def process(self, name, argv, **kw):
        return Process(self, name, argv, **kw)

    # Programs and peers

    def echoes(self, s):
        """The other side of the connection sends back what it gets."""
        s.settimeout(slow(60))
        s.sendall(self.marker)
        equal(recv_exact(s, len(self.marker)), self.marker, "echo")

    def works(self, port):
        """A new connection to an echo server."""
        with socket.create_connection(("127.0.0.1", port)) as s:
            self.echoes(s)

    def tls_server_context(self, leaf="server-ecdsa", version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pki.cert(leaf), self.pki.key(leaf))
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    def tls_client_context(self, version=None):
        context = ssl.create_default_context(cafile=self.pki.cert("ca"))
        if version:
            context.minimum_version = context.maximum_version = version
        return context


def listen(port, host="127.0.0.1", family=socket.AF_INET, backlog=128):
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((host, port))
    s.listen(backlog)
    s.settimeout(60)
    return s


def recv_exact(s, n):
    data = b""
    while len(data) < n:
        chunk = s.recv(n - len(data))
        if not chunk:
            break
        data += chunk
    return data


def in_thread(call):
    """call() in a thread: the thread, and a list for what call returns.

    Or for an errno.
    """
    result = []

    def run():
        try:
            result.append(call())
        except OSError as e:
            result.append(e.errno)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, result


def serve_one(listener, use):
    """use(s) with the next connection, in a thread; see in_thread."""
    def serve():
        s, _ = listener.accept()
        with s:
            return use(s)
    return in_thread(serve)


def echo(s, wrap=None):
    """Echoes one connection until its end."""
    s.settimeout(60)
    try:
        if wrap:
            s = wrap.wrap_socket(s, server_side=True)
        while data := s.recv(65536):
            s.sendall(data)
    except OSError:
        pass
    finally:
        s.close()


def echo_server(listener, wrap=None):
    """Echoes connections, each in a thread, until the listener closes."""
    # A poll keeps a closed socket alive until it returns: not for long.
    listener.settimeout(0.5)

    def serve():
        try:
            while True:
                try:
                    s, _ = listener.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=echo, args=(s, wrap),
                                 daemon=True).start()
        except OSError:
            pass
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread
