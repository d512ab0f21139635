# SPDX-License-Identifier: GPL-2.0-only
"""Unmodified programs: nginx, curl, PostgreSQL, Redis, asyncio."""
import hashlib
import os
import re
import shutil
import subprocess

from ktap import check, equal, test
from lab import TOP, both, client, server, wait_for
from t10_basic import is_listening

MB = 1 << 20


def data_file(lab, name, size):
    """A file full of the marker; its SHA-256."""
    os.makedirs(f"{TOP}/www", exist_ok=True)
    os.chmod(TOP, 0o755)
    unit = lab.marker + b" " + os.urandom(4096)
    data = (unit * (size // len(unit) + 1))[:size]
    with open(f"{TOP}/www/{name}", "wb") as f:
        f.write(data)
    return hashlib.sha256(data).hexdigest()


def nginx(lab, port, tls=False):
    ssl = f"""ssl_certificate {lab.pki.cert("server-ecdsa")};
    ssl_certificate_key {lab.pki.key("server-ecdsa")};""" if tls else ""
    conf = os.path.join(TOP, f"nginx-{port}.conf")
    with open(conf, "w", encoding="ascii") as f:
        f.write(f"""
daemon off;
user root;
worker_processes 2;
pid {TOP}/nginx-{port}.pid;
error_log stderr info;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 65;
  server {{
    listen 127.0.0.1:{port} {"ssl" if tls else ""};
    listen [::1]:{port} {"ssl" if tls else ""};
    {ssl}
    root {TOP}/www;
  }}
}}
""")
    process = lab.process(f"nginx-{port}", ["nginx", "-c", conf])
    wait_for("nginx", lambda: is_listening(port))
    return process


def curl(*args):
    out = subprocess.run(["curl", "-sS", "--max-time", "100", *args],
                         capture_output=True, check=False)
    check(out.returncode == 0, f"curl {args}: {out.stderr}")
    return hashlib.sha256(out.stdout).hexdigest()


@test(timeout=400)
def test_nginx_and_curl(lab):
    """Both unmodified and under policy: static, keep-alive, 64 MB."""
    port = lab.next_port()
    lab.policy(both(port))
    small = data_file(lab, "small", 1000)
    large = data_file(lab, "large", 64 * MB)
    nginx(lab, port)
    for host in ("127.0.0.1", "[::1]"):
        equal(curl(f"http://{host}:{port}/small"), small, "small")
    # One connection, many requests.
    out = subprocess.run(
        ["curl", "-sS", "-w", "%{num_connects} ", "-o", "/dev/null",
         f"http://127.0.0.1:{port}/small?[1-20]"],
        capture_output=True, text=True, check=True)
    equal(sum(map(int, out.stdout.split())), 1, "connections")
    equal(curl(f"http://127.0.0.1:{port}/large"), large, "64 MB")


@test(timeout=300)
def test_nginx_under_policy_foreign_clients(lab):
    """Only the server is under policy: curl https, both versions."""
    port = lab.next_port()
    lab.policy(server(port))
    digest = data_file(lab, "file", 3 * MB)
    nginx(lab, port)
    for version in ("--tls-max 1.2", "--tlsv1.3"):
        got = curl(*version.split(), "--cacert", lab.pki.cert("ca"),
                   "--resolve", f"server.example:{port}:127.0.0.1",
                   f"https://server.example:{port}/file")
        equal(got, digest, version)


@test(timeout=300)
def test_curl_under_policy_foreign_server(lab):
    """Only the client is under policy: nginx with its own TLS."""
    port = lab.next_port()
    lab.policy(client(port))
    digest = data_file(lab, "file", 3 * MB)
    nginx(lab, port, tls=True)
    equal(curl(f"http://127.0.0.1:{port}/file"), digest, "http to https")


@test(timeout=400)
def test_postgresql(lab):
    """pgbench for 10 s, sslmode=disable, both sides under policy."""
    port = lab.next_port()
    lab.policy(both(port))
    data = f"{TOP}/pgdata"
    shutil.rmtree(data, ignore_errors=True)
    os.chmod(TOP, 0o777)
    bindir = subprocess.run("ls -d /usr/lib/postgresql/*/bin", shell=True,
                            capture_output=True, text=True,
                            check=True).stdout.strip()
    subprocess.run(["runuser", "-u", "postgres", "--", f"{bindir}/initdb",
                    "-D", data, "-A", "trust", "--no-sync"],
                   check=True, capture_output=True)
    lab.process("postgres", [
        "runuser", "-u", "postgres", "--", f"{bindir}/postgres", "-D", data,
        "-p", str(port), "-k", "/tmp", "-c", "fsync=off",
        "-c", "listen_addresses=127.0.0.1"])
    env = dict(os.environ, PGSSLMODE="disable", PGHOST="127.0.0.1",
               PGPORT=str(port), PGUSER="postgres",
               PGCONNECT_TIMEOUT="60")
    wait_for("postgres", lambda: subprocess.run(
        [f"{bindir}/pg_isready", "-q"], env=env, check=False).returncode == 0,
        90)
    text = lab.marker.decode()
    out = subprocess.run(
        ["psql", "-Atc", f"select '{text}' || version()"], env=env,
        capture_output=True, text=True, check=True, timeout=60)
    check(text in out.stdout, out.stdout)
    subprocess.run([f"{bindir}/pgbench", "-q", "-i", "postgres"], env=env,
                   capture_output=True, check=True, timeout=150)
    out = subprocess.run(
        [f"{bindir}/pgbench", "-c", "4", "-j", "2", "-T", "10", "postgres"],
        env=env, capture_output=True, text=True, check=False, timeout=150)
    done = re.search(r"transactions actually processed: (\d+)", out.stdout)
    check(out.returncode == 0 and done and int(done[1]) > 0 and
          "failed transactions: 0 " in out.stdout,
          f"{out.stdout} {out.stderr}")


@test(timeout=300)
def test_redis(lab):
    """redis-benchmark with pipelining, both sides under policy."""
    port = lab.next_port()
    lab.policy(both(port))
    lab.process("redis", ["redis-server", "--port", str(port), "--save", "",
                          "--dir", "/tmp", "--bind", "127.0.0.1"])
    wait_for("redis", lambda: is_listening(port))
    key = lab.marker.decode()
    cli = ["redis-cli", "-p", str(port)]
    subprocess.run([*cli, "set", key, key * 100], check=True,
                   capture_output=True, timeout=60)
    out = subprocess.run([*cli, "get", key], check=True, capture_output=True,
                         text=True, timeout=60)
    equal(out.stdout.strip(), key * 100, "get")
    out = subprocess.run(
        ["redis-benchmark", "-p", str(port), "-n", "20000", "-P", "16",
         "-c", "20", "-t", "set,get,lrange_100", "-q"],
        capture_output=True, text=True, check=False, timeout=200)
    check(out.returncode == 0 and out.stdout.count("requests per second") >= 3
          and "rror" not in out.stdout + out.stderr, f"{out}")


ASYNC_SERVER = """
import asyncio, sys
async def echo(r, w):
    while data := await r.read(4096):
        w.write(data); await w.drain()
    w.close()
async def main():
    s = await asyncio.start_server(echo, "127.0.0.1", int(sys.argv[1]),
                                   backlog=2048)
    await s.serve_forever()
asyncio.run(main())
"""

ASYNC_CLIENT = """
import asyncio, sys
port, count, marker = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode()
async def one(i, ready, go):
    r, w = await asyncio.open_connection("127.0.0.1", port)
    ready.release()
    await go.wait()
    for n in range(3):
        data = marker + b" %d %d" % (i, n)
        w.write(data); await w.drain()
        assert await r.readexactly(len(data)) == data
    w.close()
    await w.wait_closed()
async def main():
    ready, go = asyncio.Semaphore(0), asyncio.Event()
    tasks = [asyncio.create_task(one(i, ready, go)) for i in range(count)]
    for _ in range(count):
        await ready.acquire()
    go.set()
    await asyncio.gather(*tasks)
    print("done", count)
asyncio.run(main())
"""


@test(timeout=400)
def test_asyncio_thousand_connections(lab):
    """A Python asyncio echo server and client, 1 000 at once."""
    port = lab.next_port()
    lab.policy(both(port, "HandshakeTimeout 60"))
    for name, text in (("server", ASYNC_SERVER), ("client", ASYNC_CLIENT)):
        with open(f"{TOP}/async-{name}.py", "w", encoding="ascii") as f:
            f.write(text)
    limit = "ulimit -n 8192; exec python3 "
    lab.process("asyncio", ["sh", "-c",
                            limit + f"{TOP}/async-server.py {port}"])
    wait_for("asyncio server", lambda: is_listening(port))
    out = subprocess.run(
        ["sh", "-c", limit + f"{TOP}/async-client.py {port} 1000 "
         + lab.marker.decode()],
        capture_output=True, text=True, check=False, timeout=350)
    check(out.stdout == "done 1000\n", f"{out.stdout} {out.stderr[-800:]}")
