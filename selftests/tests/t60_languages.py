# SPDX-License-Identifier: GPL-2.0-only
"""What runtimes make of sockets: Go, Java, Node.js, io_uring."""
import os
import socket
import subprocess
import threading

from ktap import check, equal, slow, test
from lab import both, recv_exact
from programs import BUILT, load, moved, secured, serve


def mptcp_listener(port):
    out = subprocess.run(["ss", "-HlnM", f"sport = :{port}"], text=True,
                         capture_output=True, check=True)
    return out.stdout.strip()


@test(timeout=300)
def test_program_go(lab):
    """net/http, static binary; Go listens on MPTCP when left alone."""
    port = lab.next_port()
    at = f"127.0.0.1:{port}"
    with secured(lab, port, least=8):
        serve(lab, [f"{BUILT}/go_http", "serve", at], port)
        check(mptcp_listener(port), "not an MPTCP listener")
        load([f"{BUILT}/go_http", "load", at, lab.marker.decode(), "32"],
             "^done 256\n$")


@test(timeout=300)
def test_program_go_mptcp(lab):
    """Go that also connects by MPTCP: refused with a reason; Go then takes
    TCP, as it does where the system has MPTCP switched off."""
    port = lab.next_port()
    at = f"127.0.0.1:{port}"
    argv = [f"{BUILT}/go_http", "load", at, lab.marker.decode(), "4"]
    env = dict(os.environ, GODEBUG="multipathtcp=1")
    lab.policy(both(port))
    before = lab.stats()
    server = serve(lab, [f"{BUILT}/go_http", "serve", at], port)
    load(argv, "^done 32\n$", env=env)
    now = moved(lab, before)
    check(now.get("failed_mptcp") and now["connections_secured"] >= 16,
          f"counted: {now}")
    said = [line for line in lab.klog() if "EZD1286I" in line]
    check(said and all("net.mptcp.enabled" in line for line in said),
          f"the log does not say what to do: {said}")
    server.stop()
    load(["sysctl", "-q", "net.mptcp.enabled=0"])
    try:
        with secured(lab, port, least=8):
            serve(lab, [f"{BUILT}/go_http", "serve", at], port, env=env)
            load(argv, "^done 32\n$", env=env)
    finally:
        load(["sysctl", "-q", "net.mptcp.enabled=1"])


@test(timeout=300)
def test_program_java(lab):
    """NIO selectors on both sides, non-blocking connects."""
    port = lab.next_port()
    java = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
            BUILT, "NioEcho"]
    with secured(lab, port, least=60):
        serve(lab, [*java, "serve", str(port)], port)
        load([*java, "load", str(port), lab.marker.decode(), "60",
              "300000"], "^done 60\n$")


@test(timeout=300)
def test_program_node(lab):
    """An HTTP server that pipes, and a client with a keep-alive agent."""
    port = lab.next_port()
    node = ["node", f"{BUILT}/node_http.js"]
    with secured(lab, port, least=8):
        serve(lab, [*node, "serve", str(port)], port)
        load([*node, "load", str(port), lab.marker.decode(), "16"],
             "^done 128\n$")


def uring_client(port, data, failures):
    """Small exchanges, then everything while the echo comes back."""
    try:
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.settimeout(slow(100))
            for n in range(1, 20):
                s.sendall(data[:n * 100])
                equal(recv_exact(s, n * 100), data[:n * 100], "echo")
            sender = threading.Thread(target=s.sendall, args=(data,))
            sender.start()
            equal(recv_exact(s, len(data)) == data, True, "bulk")
            sender.join()
            s.shutdown(socket.SHUT_WR)
            equal(s.recv(1), b"", "end")
    except Exception as failure:  # pylint: disable=broad-except
        failures.append(failure)


@test(timeout=300)
def test_program_io_uring(lab):
    """Multishot accept and receive with provided buffers, and send."""
    port = lab.next_port()
    data = lab.marker + os.urandom(400000)
    failures = []
    with secured(lab, port, least=40):
        server = serve(lab, [f"{BUILT}/uring_echo", str(port)], port)
        peers = [threading.Thread(target=uring_client,
                                  args=(port, data, failures))
                 for _ in range(40)]
        for peer in peers:
            peer.start()
        for peer in peers:
            peer.join()
        check(not failures, f"{len(failures)} clients: {str(failures)[:200]}")
        equal(server.text(), "", "the server's complaints")
