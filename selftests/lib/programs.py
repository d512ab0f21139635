# SPDX-License-Identifier: GPL-2.0-only
"""Runs unmodified programs under policy, and checks what became of them.

A program's test is: with secured(...), serve(...) what listens, load(...)
what connects, look at the data.  Nothing here knows a program, but for
nginx, which several tests put behind others.
"""
import contextlib
import hashlib
import os
import re
import subprocess

from ktap import Failed, check, equal, slow
from lab import TOP, both, is_listening, wait_for

BUILT = "/usr/lib/attls/tests"
MB = 1 << 20

# Counters that move when a connection was not what a rule asks for.
TROUBLE = re.compile("failed|canceled_by_application|close_notify_lost|"
                     "unhookable|mapped_no_rule")


def moved(lab, before):
    """The counters that are not what they were, by how much."""
    return {name: value - before[name] for name, value in lab.stats().items()
            if value != before[name]}


def explain(process):
    """What a program said, for a test that failed."""
    for line in process.text().splitlines()[-10:]:
        print(f"# {process.name}: {line}")


@contextlib.contextmanager
def secured(lab, *ports, least=1, adv=""):
    """Both sides of ports are under policy; in the end every connection of
    the test, at least so many, was SECURE on both sides and nothing else
    happened."""
    lab.policy("".join(both(port, adv) for port in ports))
    before = lab.stats()
    others = list(lab.processes)
    try:
        yield
    except Exception:
        for process in lab.processes:
            if process not in others:
                explain(process)
        print(f"# counters: {moved(lab, before)}")
        raise
    for process in lab.processes[::-1]:
        if process not in others:
            process.stop()
    now = moved(lab, before)
    print(f"# counters: {now}")
    ends = now.get("connections_secured", 0)
    equal(now.get("mapped_tls", 0), ends, "secure ends of all under a rule")
    check(ends >= 2 * least, f"{ends} secure ends of {least} connections")
    trouble = {name: n for name, n in now.items() if TROUBLE.match(name)}
    check(not trouble, f"counted: {trouble}")


def serve(lab, argv, *ports, timeout=90, **kw):
    """Starts a server and waits until it listens; it ends with the test."""
    name = os.path.basename(argv[0])
    process = lab.process(f"{name}-{ports[0]}", argv, **kw)

    def up():
        check(process.alive(), f"{name} ended: {process.text()[-800:]}")
        return all(is_listening(port) for port in ports)
    wait_for(name, up, timeout)
    return process


def load(argv, want="", *, timeout=150, **kw):
    """Runs what connects.  It must end well, and its output must match."""
    text = isinstance(kw.get("input", ""), str)
    try:
        out = subprocess.run(argv, capture_output=True, text=text,
                             check=False, timeout=slow(timeout), **kw)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{argv} hangs: {late.stdout} {late.stderr}") from late
    said = f"{argv}: exit {out.returncode}: {out.stdout[-1500:]}" \
           f" {out.stderr[-1500:]}"
    check(out.returncode == 0, said)
    check(not want or re.search(want, out.stdout), said)
    return out.stdout


def write(name, text):
    """A configuration or a script of this test; its path."""
    path = os.path.join(TOP, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def data_file(lab, name, size):
    """A file full of the marker; its SHA-256."""
    os.makedirs(f"{TOP}/www", exist_ok=True)
    os.chmod(TOP, 0o755)
    unit = lab.marker + b" " + os.urandom(4096)
    with open(f"{TOP}/www/{name}", "wb") as f:
        f.write((unit * (size // len(unit) + 1))[:size])
    return digest(f"{TOP}/www/{name}")


def nginx(lab, port, tls=False):
    ssl = f"""ssl_certificate {lab.pki.cert("server-ecdsa")};
    ssl_certificate_key {lab.pki.key("server-ecdsa")};""" if tls else ""
    conf = write(f"nginx-{port}.conf", f"""
daemon off;
user root;
worker_processes 2;
pid {TOP}/nginx-{port}.pid;
error_log stderr info;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 65;
  client_max_body_size 64m;
  server {{
    listen 127.0.0.1:{port} {"ssl" if tls else ""};
    listen [::1]:{port} {"ssl" if tls else ""};
    {ssl}
    root {TOP}/www;
  }}
}}
""")
    return serve(lab, ["nginx", "-c", conf], port)


def curl(*args):
    """The SHA-256 of what curl got."""
    out = load(["curl", "-sS", "--max-time", str(slow(100)), *args], input=b"")
    return hashlib.sha256(out).hexdigest()
