# SPDX-License-Identifier: GPL-2.0-only
"""Sockets that one program accepts and another one uses, or nobody."""
import concurrent.futures
import os
import socket
import sys
import threading

from ktap import check, equal, slow, test
from lab import TOP, both, listen, recv_exact
from programs import load, secured, serve, write

CONNECTIONS = 20

XINETD = """
service hand-over
{{
	type = UNLISTED
	socket_type = stream
	protocol = tcp
	bind = 127.0.0.1
	port = {port}
	wait = no
	user = root
	server = /usr/bin/cat
	instances = UNLIMITED
	cps = 1000 1
	log_type = FILE {top}/xinetd-services.log
}}
service listener-and-all
{{
	type = UNLISTED
	socket_type = stream
	protocol = tcp
	bind = 127.0.0.1
	port = {waiting}
	wait = yes
	user = root
	server = {python}
	server_args = {script}
	log_type = FILE {top}/xinetd-services.log
}}
"""

# A service that gets the listening socket as its standard input.
WAITING = """
import socket, threading
def echo(s):
    with s:
        while data := s.recv(65536):
            s.sendall(data)
listener = socket.socket(fileno=0)
while True:
    s, _ = listener.accept()
    threading.Thread(target=echo, args=(s,)).start()
"""


def talk(port, data, failures):
    """An exchange, the rest of the data, and its end."""
    try:
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.settimeout(slow(100))
            s.sendall(data[:100])
            equal(recv_exact(s, 100), data[:100], "first bytes")
            sender = threading.Thread(target=s.sendall, args=(data[100:],))
            sender.start()
            got = recv_exact(s, len(data) - 100)
            equal(got == data[100:], True, "the rest")
            sender.join()
            s.shutdown(socket.SHUT_WR)
            equal(s.recv(1), b"", "end")
    except Exception as failure:  # pylint: disable=broad-except
        failures.append(failure)


def talk_all(lab, port):
    """CONNECTIONS at once."""
    data, failures = lab.marker + os.urandom(200000), []
    peers = [threading.Thread(target=talk, args=(port, data, failures))
             for _ in range(CONNECTIONS)]
    for peer in peers:
        peer.start()
    for peer in peers:
        peer.join()
    check(not failures, f"{len(failures)} clients: {str(failures)[:200]}")


@test(timeout=300)
def test_program_xinetd(lab):
    """Hands accepted sockets to cat, and a listener to a server."""
    port, waiting = lab.next_port(), lab.next_port()
    script = write("waiting.py", WAITING)
    conf = write("xinetd.conf", XINETD.format(
        port=port, waiting=waiting, python=sys.executable, script=script,
        top=TOP))
    with secured(lab, port, waiting, least=2 * CONNECTIONS):
        serve(lab, ["xinetd", "-dontfork", "-f", conf], port, waiting)
        talk_all(lab, port)
        talk_all(lab, waiting)


@test(timeout=300)
def test_program_socat(lab):
    """socat to socat: a child of it copies, or has the socket itself."""
    port, direct = lab.next_port(), lab.next_port()
    data = (lab.marker.decode() + " data\n") * 20000
    options = "bind=127.0.0.1,reuseaddr,fork"
    # -t: how long the other direction may take after the end of one.
    socat = ["socat", "-t", "100"]
    with secured(lab, port, direct, least=20):
        serve(lab, [*socat, f"TCP-LISTEN:{port},{options}", "EXEC:cat"],
              port)
        serve(lab, [*socat, f"TCP-LISTEN:{direct},{options}",
                    "EXEC:cat,nofork"], direct)
        for _ in range(10):
            for to in (port, direct):
                equal(load([*socat, "-", f"TCP:127.0.0.1:{to}"], input=data),
                      data, "echo")


@test(timeout=300)
def test_closed_unused(lab):
    """Who accepts a connection and closes it unused gives its peer, whose
    connect is done, an end of file: FTP sends empty files like that."""
    port = lab.next_port()
    lab.policy(both(port))
    ends = []
    with concurrent.futures.ThreadPoolExecutor(1) as thread, \
            listen(port) as listener:
        for _ in range(200):
            accepted = thread.submit(listener.accept)
            with socket.create_connection(("127.0.0.1", port)) as s:
                accepted.result()[0].close()
                s.settimeout(slow(30))
                try:
                    ends.append(s.recv(1))
                except OSError as failure:
                    ends.append(failure.errno)
    check(ends == [b""] * 200,
          f"{ {end: ends.count(end) for end in ends} }")
