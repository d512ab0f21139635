# SPDX-License-Identifier: GPL-2.0-only
"""SecondaryMap: data connections go by the connection that asked for them."""
import contextlib
import socket
import subprocess
import sys

from ktap import equal, slow, test
from lab import client, rule, server

# A session like FTP's: one connection to ask, others for data.  The server
# has a process for each session, which opens the data connections.
SERVER = """
import os, socket, sys
def serve(s):
    while words := s.recv(100).decode().split():
        if words[0] == "passive":
            with socket.create_server(("127.0.0.1", int(words[1]))) as l:
                s.sendall(b"%d" % l.getsockname()[1])
                data, _ = l.accept()
        else:
            s.sendall(b"coming")
            data = socket.create_connection(("127.0.0.1", int(words[1])))
        while d := data.recv(4096):
            data.sendall(d)
        data.close()
l = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
while True:
    s, _ = l.accept()
    if not os.fork():
        l.close()
        serve(s)
        os._exit(0)
    s.close()
"""

# Does what it is told: "passive PORT TEXT", "active PORT TEXT", "close".
CLIENT = """
import socket, sys
control = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def echo(data, text):
    data.sendall(text.encode())
    print(data.recv(100).decode(), flush=True)
    return data
for line in sys.stdin:
    word, port, text = line.split()
    if word == "passive":
        control.sendall(f"passive {port}".encode())
        port = int(control.recv(100))
        data = echo(socket.create_connection(("127.0.0.1", port)), text)
    elif word == "active":
        with socket.create_server(("127.0.0.1", int(port))) as l:
            port = l.getsockname()[1]
            control.sendall(f"active {port}".encode())
            control.recv(100)
            data = echo(l.accept()[0], text)
    elif word == "direct":
        data = echo(socket.create_connection(("127.0.0.1", int(port))), text)
    elif word == "alone":
        control.close()
        print("closed", flush=True)
    elif word == "done":
        data.close()
        print("done", flush=True)
"""


class Session:
    """A client that waits for what to do."""

    def __init__(self, port):
        self.popen = subprocess.Popen(  # pylint: disable=R1732
            [sys.executable, "-c", CLIENT, str(port)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def do(self, word, port=0, text="x"):
        print(word, port, text, file=self.popen.stdin, flush=True)
        return self.popen.stdout.readline().strip()

    def end(self):
        self.popen.communicate(timeout=slow(60))


@contextlib.contextmanager
def session(lab, *rules, priority=10):
    """A server under a rule with SecondaryMap, and a client of it."""
    port = lab.next_port()
    adv = "SecondaryMap On"
    cond = f"Priority {priority}"
    lab.policy(server(port, adv=adv, cond=cond) +
               client(port, adv=adv, cond=cond) + "".join(rules))
    listener = subprocess.Popen(  # pylint: disable=R1732
        [sys.executable, "-c", SERVER, str(port)], stdout=subprocess.PIPE)
    try:
        listener.stdout.readline()
        program = Session(port)
        yield program
        program.end()
    finally:
        listener.kill()
        listener.communicate()


def mapped(lab):
    """How many connections are up, by the way they were mapped."""
    found = [c["map_type"] for c in lab.conns() if c["state"] == "secure"]
    return found.count("Primary"), found.count("Secondary")


@test(timeout=300)
def test_secondary_map(lab):
    """Data connections both ways, without a rule of their own."""
    with session(lab) as program:
        for word in ("passive", "active"):
            text = lab.marker.decode()
            equal(program.do(word, 0, text), text, word)
            equal(mapped(lab), (2, 2), f"{word}: primary, secondary")
            rules = {c["rule"][:2] for c in lab.conns()}
            equal(rules, {"in", "ou"}, f"{word}: rules")
            program.do("done")


@test(timeout=300)
def test_secondary_and_priority(lab):
    """A rule for the data connection goes first if it has the priority."""
    for priority, expect in ((9, (2, 2)), (10, (2, 0)), (11, (2, 0))):
        port = lab.next_port()
        off = [rule(f"{side}-data", side, port, "", group="Off",
                    cond=f"Priority {priority}")
               for side in ("Inbound", "Outbound")]
        with session(lab, *off) as program:
            equal(program.do("passive", port, "data"), "data", "echo")
            equal(mapped(lab), expect, f"priority {priority}")
            program.do("done")


@test(timeout=300)
def test_secondary_is_of_one_process(lab):
    """Another process, and a session that is over, have no secondaries."""
    port = lab.next_port()
    with subprocess.Popen([sys.executable, "-c", SERVER, str(port)],
                          stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with session(lab) as program:
            equal(program.do("passive", 0, "data"), "data", "echo")
            program.do("done")
            asking = Session(port)
            equal(asking.do("passive", 0, "clear"), "clear", "other process")
            equal(mapped(lab), (2, 0), "other process")
            asking.end()
            equal(program.do("alone"), "closed", "the primary ends")
            data = lab.next_port()
            with socket.create_server(("127.0.0.1", data)) as listener:
                print("direct", data, "clear", file=program.popen.stdin,
                      flush=True)
                s, _ = listener.accept()
                s.settimeout(slow(60))
                equal(s.recv(100), b"clear", "after the primary")
                s.sendall(b"clear")
                equal(program.popen.stdout.readline(), "clear\n", "echo")
                s.close()
        other.kill()
