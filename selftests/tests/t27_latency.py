# SPDX-License-Identifier: GPL-2.0-only
"""No stall of 40 ms: nobody waits for a delayed acknowledgment.

A small write that Nagle holds back leaves when what was sent before is
acknowledged; a receiver that has nothing to say acknowledges after 40 ms.
What TLS sends of its own (the last flight, tickets, key updates) can bring
that about where the application alone would not.  Seconds cannot be measured
in an emulated machine, but these acknowledgments are counted by the kernel
(TCPDelayedACKs), in the network namespace of the test: in an exchange of
request and response that does not stall, each carries the other's.
"""
import contextlib
import os
import socket
import ssl
import threading

from ktap import DEBUG_KERNEL, check, test
from lab import client, listen, recv_exact, server

CONNECTIONS = 100
EXCHANGES = 10
# Of 1000: a guest that gets no processor for 40 ms looks like a stall, and
# the debug kernel needs as long for a record at times.  One stall for each
# connection would be 100.
ALLOWED = 60 if DEBUG_KERNEL else 20
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


@contextlib.contextmanager
def inside(netns):
    """What this thread opens belongs to the network namespace."""
    with open("/proc/thread-self/ns/net", "rb") as own, \
            open(f"/run/netns/{netns}", "rb") as other:
        os.setns(other.fileno(), os.CLONE_NEWNET)
        try:
            yield
        finally:
            os.setns(own.fileno(), os.CLONE_NEWNET)


def delayed_acks():
    with open("/proc/thread-self/net/netstat", encoding="ascii") as f:
        names, values = [line.split() for line in f
                         if line.startswith("TcpExt:")]
    return int(values[names.index("DelayedACKs")])


def answer(listener, wrap):
    for _ in range(CONNECTIONS):
        s, _ = listener.accept()
        s.settimeout(60)
        if wrap:
            s = wrap.wrap_socket(s, server_side=True)
        while request := recv_exact(s, 100):
            s.sendall(request * 2)
        if wrap:
            s = s.unwrap()
        s.close()


def stalls(marker, port, server_wrap=None, client_wrap=None):
    """Delayed acknowledgments while requests are answered."""
    listener = listen(port)
    thread = threading.Thread(target=answer, args=(listener, server_wrap),
                              daemon=True)
    thread.start()
    request = (marker * 3)[:100]
    count = 0
    for _ in range(CONNECTIONS):
        s = socket.create_connection(("127.0.0.1", port), timeout=60)
        if client_wrap:
            s = client_wrap.wrap_socket(s, server_hostname="server.example")
        before = delayed_acks()
        for _ in range(EXCHANGES):
            s.sendall(request)
            check(recv_exact(s, 200) == request * 2, "the response")
        count += delayed_acks() - before
        if client_wrap:
            s = s.unwrap()
        s.close()
    thread.join()
    listener.close()
    return count


def latency(lab, role, version):
    """Stalls where only role, or both, are under rules."""
    port = lab.next_port()
    only = "TLSv1.2" if version is ssl.TLSVersion.TLSv1_3 else "TLSv1.3"
    text, wraps = "", {}
    if role in ("server", "both"):
        text += server(port, adv=f"{only} Off")
    else:
        wraps["server_wrap"] = lab.tls_server_context(version=version)
    if role in ("client", "both"):
        text += client(port, adv=f"{only} Off")
    else:
        wraps["client_wrap"] = lab.tls_client_context(version)
    lab.policy(text)
    space = f"latency-{role}-{version.name[-1]}"
    lab.netns(space)
    with inside(space):
        count = stalls(lab.marker, port, **wraps)
        # No rule, another marker: what the machine alone brings about.
        plain = stalls(lab.marker[::-1], port + 1000)
        native = stalls(lab.marker, port + 2000,
                        lab.tls_server_context(version=version),
                        lab.tls_client_context(version))
    check(count <= plain + ALLOWED,
          f"{count} stalls in {CONNECTIONS * EXCHANGES}, "
          f"plain TCP {plain}, OpenSSL on both sides {native}")


def add_case(role, version):
    def run(lab):
        latency(lab, role, version)
    run.__name__ = f"test_latency_{role}_{version.name}"
    test(run, timeout=400)


for _role in ("server", "client", "both"):
    for _version in VERSIONS:
        add_case(_role, _version)
