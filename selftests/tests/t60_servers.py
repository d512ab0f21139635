# SPDX-License-Identifier: GPL-2.0-only
"""Unmodified programs: proxies, databases, caches, their own load tools."""
import os
import re
import shutil

from ktap import check, equal, slow, test
from lab import TOP
from programs import (MB, curl, data_file, digest, load, nginx, secured,
                      serve, write)

HAPROXY = """
global
  stats socket {top}/haproxy.sock mode 600 level admin
  maxconn 200
defaults
  timeout connect 60s
  timeout client 120s
  timeout server 120s
  option splice-auto
  option splice-request
  option splice-response
frontend tcp
  bind 127.0.0.1:{tcp}
  mode tcp
  default_backend tcp
backend tcp
  mode tcp
  server nginx 127.0.0.1:{behind}
frontend http
  bind 127.0.0.1:{http}
  mode http
  default_backend http
backend http
  mode http
  http-reuse always
  server nginx 127.0.0.1:{behind}
"""


def haproxy_info(name):
    out = load(["socat", "-", f"UNIX-CONNECT:{TOP}/haproxy.sock"],
               input="show info\n")
    return int(re.search(rf"^{name}: (\d+)", out, re.M)[1])


@test(timeout=400)
def test_program_haproxy(lab):
    """HAProxy before nginx, TCP and HTTP; splice on both of its sides."""
    tcp, http, behind = (lab.next_port() for _ in range(3))
    small = data_file(lab, "small", 3000)
    large = data_file(lab, "large", 16 * MB)
    conf = write("haproxy.cfg", HAPROXY.format(top=TOP, tcp=tcp, http=http,
                                               behind=behind))
    with secured(lab, tcp, http, behind, least=44):
        nginx(lab, behind)
        serve(lab, ["haproxy", "-db", "-f", conf], tcp, http)
        for port in (tcp, http):
            url = f"http://127.0.0.1:{port}"
            equal(curl(f"{url}/large"), large, "large file")
            # 20 connections, five requests on each, ten at a time.
            load(["xargs", "-P", "10", "-I{}", "curl", "-sSf", "--max-time",
                  str(slow(100)), "-o", TOP + "/got-{}-#1",
                  f"{url}/small?[1-5]"],
                 input="".join(f"{i}\n" for i in range(20)))
            for i in range(20):
                for n in range(1, 6):
                    got = f"{TOP}/got-{i}-{n}"
                    equal(digest(got), small, f"file {i}-{n}")
                    os.unlink(got)
        check(haproxy_info("TotalSplicedBytesOut") > 16 * MB,
              "HAProxy did not splice")


def mariadb_start(lab, port):
    data = f"{TOP}/mariadb"
    shutil.rmtree(data, ignore_errors=True)
    options = ["--no-defaults", f"--datadir={data}", "--user=root"]
    load(["mariadb-install-db", *options, "--skip-test-db",
          "--auth-root-authentication-method=normal"])
    serve(lab, ["mariadbd", *options, f"--port={port}", "--skip-ssl",
                "--bind-address=127.0.0.1", f"--socket={data}/socket",
                "--innodb-flush-log-at-trx-commit=0",
                "--max-allowed-packet=32M"], port)


@test(timeout=400)
def test_program_mariadb(lab):
    """Rows and blobs through the client, then mysqlslap's mixed load."""
    port = lab.next_port()
    peer = ["--no-defaults", "--skip-ssl", "--host=127.0.0.1",
            f"--port={port}", "--user=root"]
    text = lab.marker.decode()
    sql = f"""create table t (i int primary key, b longblob);
insert into t values (1, repeat('{text}', 100000)), (2, '{text}');
select concat('md5 ', md5(b)) from t where i = 1;
select b from t where i = 1;
"""
    with secured(lab, port, least=14):
        mariadb_start(lab, port)
        client = ["mariadb", *peer, "--max-allowed-packet=32M", "-BN"]
        load([*client, "-e", "create database x"])
        out = load([*client, "x"], input=sql)
        equal(out.splitlines()[1] == text * 100000, True, "blob")
        out = load([*client, "x", "-e", "select b from t where i = 2"])
        equal(out, text + "\n", "row")
        out = load(["mariadb-slap", *peer, "--concurrency=6",
                    "--iterations=2", "--auto-generate-sql",
                    "--auto-generate-sql-load-type=mixed",
                    "--number-of-queries=600"])
        check("Number of clients running queries: 6" in out, out)


@test(timeout=300)
def test_program_memcached(lab):
    """libmemcached's protocol test, its load tool, and its file copy."""
    port = lab.next_port()
    servers = f"--servers=127.0.0.1:{port}"
    data_file(lab, "value", 900000)
    with secured(lab, port, least=10):
        serve(lab, ["memcached", "-u", "root", "-l", "127.0.0.1", "-p",
                    str(port), "-t", "2"], port)
        out = load(["memccapable", "-h", "127.0.0.1", "-p", str(port)])
        check("All tests passed" in out, out)
        load(["memccp", servers, f"{TOP}/www/value"])
        got = load(["memccat", servers, "value"], input=b"")
        with open(f"{TOP}/www/value", "rb") as f:
            equal(got.removesuffix(b"\n") == f.read(), True, "value")
        load(["memcslap", servers, "--concurrency=8",
              "--execute-number=500", "--test=set"])
        load(["memcslap", servers, "--concurrency=8",
              "--execute-number=500", "--test=get"])


