# SPDX-License-Identifier: GPL-2.0-only
"""Unmodified programs: nginx, curl, PostgreSQL, Redis, asyncio."""
import os
import re
import shutil
import subprocess

from ktap import DEBUG_KERNEL, FULL, check, equal, test
from lab import TOP, client, server, wait_for
from programs import (MB, curl, data_file, load, nginx, secured, serve,
                      write)


@test(timeout=400)
def test_program_nginx(lab):
    """nginx and curl: static, keep-alive, many MB with sendfile."""
    port = lab.next_port()
    small = data_file(lab, "small", 1000)
    large = data_file(lab, "large", (8 if DEBUG_KERNEL else 64) * MB)
    with secured(lab, port, least=4):
        nginx(lab, port)
        for host in ("127.0.0.1", "[::1]"):
            equal(curl(f"http://{host}:{port}/small"), small, "small")
        # One connection, many requests.
        out = load(["curl", "-sS", "-w", "%{num_connects} ", "-o",
                    "/dev/null", f"http://127.0.0.1:{port}/small?[1-20]"])
        equal(sum(map(int, out.split())), 1, "connections")
        equal(curl(f"http://127.0.0.1:{port}/large"), large, "large")


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
def test_program_postgresql(lab):
    """pgbench for 10 s with four clients; sslmode=disable."""
    port = lab.next_port()
    data = f"{TOP}/pgdata"
    shutil.rmtree(data, ignore_errors=True)
    os.chmod(TOP, 0o777)
    bindir = subprocess.run("ls -d /usr/lib/postgresql/*/bin", shell=True,
                            capture_output=True, text=True,
                            check=True).stdout.strip()
    user = ["runuser", "-u", "postgres", "--"]
    load([*user, f"{bindir}/initdb", "-D", data, "-A", "trust", "--no-sync"])
    env = dict(os.environ, PGSSLMODE="disable", PGHOST="127.0.0.1",
               PGPORT=str(port), PGUSER="postgres", PGCONNECT_TIMEOUT="60")
    text = lab.marker.decode()
    with secured(lab, port, least=6):
        serve(lab, [*user, f"{bindir}/postgres", "-D", data, "-p", str(port),
                    "-k", "/tmp", "-c", "fsync=off",
                    "-c", "listen_addresses=127.0.0.1"], port)
        wait_for("postgres", lambda: subprocess.run(
            [f"{bindir}/pg_isready", "-q"], env=env,
            check=False).returncode == 0, 90)
        load(["psql", "-Atc", f"select '{text}' || version()"], text, env=env)
        load([f"{bindir}/pgbench", "-q", "-i", "postgres"], env=env)
        out = load([f"{bindir}/pgbench", "-c", "4", "-j", "2", "-T", "10",
                    "postgres"], "failed transactions: 0 ", env=env)
        done = re.search(r"transactions actually processed: (\d+)", out)
        check(done and int(done[1]) > 0, out)


@test(timeout=300)
def test_program_redis(lab):
    """redis-cli, and redis-benchmark with pipelining."""
    port = lab.next_port()
    key = lab.marker.decode()
    cli = ["redis-cli", "-p", str(port)]
    with secured(lab, port, least=60):
        serve(lab, ["redis-server", "--port", str(port), "--save", "",
                    "--dir", "/tmp", "--bind", "127.0.0.1"], port)
        load([*cli, "set", key, key * 100], "OK")
        equal(load([*cli, "get", key]).strip(), key * 100, "get")
        out = load(["redis-benchmark", "-p", str(port), "-n", "20000",
                    "-P", "16", "-c", "20", "-t", "set,get,lrange_100",
                    "-q"])
        check(out.count("requests per second") >= 3 and "rror" not in out,
              out)


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
def test_program_asyncio(lab):
    """A Python asyncio echo server and client, 300 (or 1 000) at once."""
    port = lab.next_port()
    count = 1000 if FULL else 300
    limit = "ulimit -n 8192; exec python3 "
    echo = write("async-server.py", ASYNC_SERVER)
    peer = write("async-client.py", ASYNC_CLIENT)
    with secured(lab, port, least=count, adv="HandshakeTimeout 60"):
        serve(lab, ["sh", "-c", f"{limit} {echo} {port}"], port)
        load(["sh", "-c",
              f"{limit} {peer} {port} {count} {lab.marker.decode()}"],
             f"^done {count}\n$", timeout=350)
