# SPDX-License-Identifier: GPL-2.0-only
"""Control records in the data phase, from a peer that sends what it likes."""
import contextlib
import os
import select
import socket
import ssl
import threading
import time

from ktap import check, equal, test
from lab import (MODULE, NAME, both, client, echo_server, listen, read,
                 recv_exact, server, wait_for, write)
from rogue import (ALERT, BAD_RECORD_MAC, CLOSE_NOTIFY, DATA, HANDSHAKE,
                   SUITES, TICKET, UNEXPECTED_MESSAGE, Rogue, choose_suite,
                   key_update, message, ticket)

ROLES = ("client", "server")


def rogue_pair(lab, role, suite=None, adv=""):
    """A socket under a rule as @role, and the rogue at its other end."""
    port = lab.next_port()
    lab.policy((client if role == "client" else server)(port, adv=adv))
    listener = listen(port)
    far = []

    def far_end():
        if role == "client":
            raw, _ = listener.accept()
            context = lab.tls_server_context()
            context.num_tickets = 0
            names = {"server_side": True}
        else:
            raw = socket.create_connection(("127.0.0.1", port))
            context = lab.tls_client_context()
            names = {"server_hostname": NAME}
        raw.settimeout(60)
        raw.setsockopt(socket.SOL_TCP, socket.TCP_NODELAY, 1)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if suite:
            choose_suite(context, suite)
        far.append(Rogue(raw, context, **names))
    thread = threading.Thread(target=far_end, daemon=True)
    thread.start()
    if role == "client":
        app = socket.create_connection(("127.0.0.1", port))
    else:
        app, _ = listener.accept()
        poll = select.poll()
        poll.register(app, select.POLLOUT)
        check(poll.poll(60000), "not writable")
    app.settimeout(60)
    thread.join(60)
    check(far, "no handshake")
    listener.close()
    return app, far[0]


def to_app(lab, app, far, text=b""):
    """Data goes from the rogue to the application."""
    data = lab.marker + text
    far.send(DATA, data)
    equal(recv_exact(app, len(data)), data, "application received")


def from_app(lab, app, far, text=b""):
    """Data goes from the application to the rogue."""
    data = lab.marker + text
    app.sendall(data)
    equal(far.receive_data(len(data)), data, "peer received")


def is_readable(app, ms=1500):
    poll = select.poll()
    poll.register(app, select.POLLIN)
    return bool(poll.poll(ms))


def gets_reset(app):
    """The application's next receive says ECONNRESET."""
    try:
        data = app.recv(1000)
    except ConnectionResetError:
        return
    raise AssertionError(f"no reset but {data!r}")


def alert_of(far):
    """The alert that the rogue gets."""
    kind, content = far.receive()
    equal(kind, ALERT, "record type")
    return content[1]


def stat(lab, name):
    return lab.stats()[name]


@test(fips="also")
def test_key_update_of_the_peer(lab):
    """Not requested, requested, many; each way goes on each time."""
    for role in ROLES:
        app, far = rogue_pair(lab, role)
        sent = stat(lab, "key_updates_sent")
        received = stat(lab, "key_updates_received")
        to_app(lab, app, far)
        for i in range(5):
            far.send_key_update(i & 1)
            to_app(lab, app, far, b"%d" % i)
            from_app(lab, app, far, b"%d" % i)
        equal(stat(lab, "key_updates_received") - received, 5, "received")
        equal(stat(lab, "key_updates_sent") - sent, 2, "sent")
        far.send(ALERT, bytes([1, CLOSE_NOTIFY]))
        equal(app.recv(100), b"", "end")
        app.close()


@test
def test_key_update_with_each_suite(lab):
    """The secrets of both hashes, keys of both lengths."""
    for suite in SUITES:
        for role in ROLES:
            app, far = rogue_pair(lab, role, suite)
            equal(far.suite, suite, "suite")
            for i in range(3):
                far.send_key_update(1)
                to_app(lab, app, far, b"%d" % i)
                from_app(lab, app, far, b"%d" % i)
            app.close()


@test
def test_key_update_is_not_readable(lab):
    """poll says nothing of it, and the reply leaves without a reader."""
    for role in ROLES:
        app, far = rogue_pair(lab, role)
        far.send_key_update(1)
        check(not is_readable(app), "readable by a key update alone")
        kind, content = far.receive()
        equal((kind, content), (HANDSHAKE, key_update()), "reply")
        far.rx.update()
        from_app(lab, app, far)
        to_app(lab, app, far)
        app.close()


@test
def test_key_update_while_a_reader_waits(lab):
    """recv is asleep in the kernel when the key changes."""
    for role in ROLES:
        app, far = rogue_pair(lab, role)
        got = []
        reader = threading.Thread(
            target=lambda: got.append(recv_exact(app, 3000)))
        reader.start()
        for i in range(3):
            time.sleep(0.3)
            far.send_key_update(1)
            far.send(DATA, bytes([i]) * 1000)
        reader.join(60)
        equal(got, [b"".join(bytes([i]) * 1000 for i in range(3))], "data")
        from_app(lab, app, far)
        app.close()


@test
def test_key_update_while_a_writer_is_blocked(lab):
    """The answer waits for the writer, and nothing is lost."""
    size = 8 << 20
    for role in ROLES:
        app, far = rogue_pair(lab, role)
        app.settimeout(None)
        data = (lab.marker * (size // len(lab.marker) + 1))[:size]
        writer = threading.Thread(target=app.sendall, args=(data,))
        writer.start()
        time.sleep(1)		# it has filled the buffers
        far.send_key_update(1)
        check(not is_readable(app), "readable")
        equal(far.receive_data(size), data, "data")
        writer.join(60)
        from_app(lab, app, far)
        app.close()


@contextlib.contextmanager
def parameter(name, value):
    """Another value of a parameter of the module."""
    path = f"{MODULE}/parameters/{name}"
    usual = read(path)
    write(path, value)
    try:
        yield
    finally:
        write(path, usual)


@test(fips="also")
def test_own_key_update_before_the_limit(lab):
    """After so many records under a key the next one is used."""
    with parameter("rekey_records", 10):
        for role in ROLES:
            app, far = rogue_pair(lab, role)
            before = stat(lab, "key_updates_sent")
            for i in range(100):
                from_app(lab, app, far, b"%d" % i)
            updates = stat(lab, "key_updates_sent") - before
            check(9 <= updates <= 10, f"{updates} key updates")
            equal(far.requests, 0, "requests for one of the peer")
            to_app(lab, app, far)
            app.close()


@test
def test_own_key_update_for_many_writers(lab):
    """Who waited for the one that changed the key does not change it too."""
    size, writers = 8 << 20, 40
    with parameter("rekey_records", 100):
        app, far = rogue_pair(lab, "client")
        app.settimeout(None)
        threads = [threading.Thread(target=app.sendall, args=(bytes(size),))]
        threads += [threading.Thread(target=app.sendall, args=(lab.marker,))
                    for _ in range(writers)]
        threads[0].start()
        time.sleep(1)		# it has filled the buffers
        for thread in threads[1:]:
            thread.start()
        time.sleep(1)		# they wait behind it
        data = far.receive_data(size + writers * len(lab.marker))
        equal(data.count(lab.marker), writers, "writers")
        check(1 <= far.updates <= 12, f"{far.updates} key updates")
        for thread in threads:
            thread.join(60)
    to_app(lab, app, far)
    app.close()


@test
def test_key_update_when_ResetCipherTimer_is_over(lab):
    """By a writer and by a reader; the peer is asked for one as well."""
    for role in ROLES:
        with parameter("reset_timer_minute", 0):
            app, far = rogue_pair(lab, role, adv="ResetCipherTimer 1")
        sent = stat(lab, "key_updates_sent")
        received = stat(lab, "key_updates_received")
        wait_for("a key update of a writer",
                 lambda: from_app(lab, app, far) or far.requests)
        before = stat(lab, "key_updates_sent")
        wait_for("a key update of a reader",
                 lambda: to_app(lab, app, far) or
                 stat(lab, "key_updates_sent") > before)
        from_app(lab, app, far)
        to_app(lab, app, far)
        from_app(lab, app, far)
        equal(far.requests, far.updates, "each asks for one of the peer")
        equal(stat(lab, "key_updates_sent") - sent, far.updates, "sent")
        check(stat(lab, "key_updates_received") > received, "received none")
        app.shutdown(socket.SHUT_WR)
        to_app(lab, app, far)		# nothing of ours may leave any more
        app.close()


@test
def test_ResetCipherTimer_with_OpenSSL(lab):
    """It answers; and without a new key in TLS 1.2, or in time, all goes on."""
    for adv, updates in (("ResetCipherTimer 1", True),
                         ("ResetCipherTimer 1\nTLSv1.3 Off", False),
                         ("ResetCipherTimer 0", False)):
        port = lab.next_port()
        lab.policy(client(port, adv=adv))
        listener = listen(port)
        echo_server(listener, lab.tls_server_context())
        received = stat(lab, "key_updates_received")
        with parameter("reset_timer_minute", 0), \
                socket.create_connection(("127.0.0.1", port)) as app:
            lab.echoes(app)
            if updates:
                wait_for("a key update of OpenSSL", lambda: lab.echoes(app) or
                         stat(lab, "key_updates_received") > received)
            lab.echoes(app)
            lab.echoes(app)
        if not updates:
            equal(stat(lab, "key_updates_received"), received, adv)
        listener.close()


@test
def test_ResetCipherTimer_on_both_sides(lab):
    """Each asks the other for new keys; an answer is not answered."""
    port = lab.next_port()
    lab.policy(both(port, "ResetCipherTimer 1"))
    listener = listen(port)
    echo_server(listener)
    sent = stat(lab, "key_updates_sent")
    with parameter("reset_timer_minute", 0), \
            socket.create_connection(("127.0.0.1", port)) as app:
        wait_for("key updates", lambda: lab.echoes(app) or
                 stat(lab, "key_updates_sent") - sent >= 20)
    listener.close()


@test
def test_records_in_any_shape(lab):
    """Split over segments, many at once, empty, padded, in pieces."""
    for role in ROLES:
        app, far = rogue_pair(lab, role)
        for byte in far.seal(HANDSHAKE, ticket()):
            far.sock.send(bytes([byte]))
        to_app(lab, app, far)
        # Many records in one segment, the last of them data.
        burst = b"".join(far.seal(HANDSHAKE, ticket()) for _ in range(9))
        far.sock.sendall(burst + far.seal(DATA, lab.marker))
        equal(recv_exact(app, len(lab.marker)), lab.marker, "after a burst")
        # Several messages in one record, one in several records.
        far.send(HANDSHAKE, ticket() * 3)
        whole = ticket()
        far.send(HANDSHAKE, whole[:2])
        far.send(HANDSHAKE, whole[2:50])
        far.send(HANDSHAKE, whole[50:])
        to_app(lab, app, far)
        # A fragment that starts with the number of a KeyUpdate.
        whole = message(TICKET, bytes([24] * 60))
        far.send(HANDSHAKE, whole[:30])
        far.send(HANDSHAKE, whole[30:])
        to_app(lab, app, far)
        far.send(DATA, b"")
        check(not is_readable(app), "readable by an empty record")
        far.send(DATA, lab.marker, pad=5000)
        far.send(HANDSHAKE, ticket(), pad=1000)
        far.send(DATA, b"", pad=100)
        far.send(DATA, b"end", pad=1)
        equal(recv_exact(app, len(lab.marker) + 3), lab.marker + b"end",
              "padded")
        app.close()


@test
def test_key_update_in_odd_records(lab):
    """In two pieces, and behind a ticket: good.  Before one: refused."""
    for role in ROLES:
        app, far = rogue_pair(lab, role)
        far.send(HANDSHAKE, key_update()[:3])
        check(not is_readable(app, 500), "readable")
        far.send(HANDSHAKE, key_update()[3:])
        far.tx.update()
        to_app(lab, app, far)
        far.send(HANDSHAKE, ticket() + key_update())
        far.tx.update()
        to_app(lab, app, far)
        far.send(HANDSHAKE, key_update() + ticket())
        gets_reset(app)
        equal(alert_of(far), UNEXPECTED_MESSAGE, "alert")
        app.close()


@test
def test_control_records_that_are_refused(lab):
    """Each resets the connection, with an alert; nothing hangs."""
    for role in ROLES:
        for record in ((HANDSHAKE, b""), (ALERT, b""), (ALERT, b"\1"),
                       (HANDSHAKE, message(1, bytes(40))),
                       (HANDSHAKE, message(24, b"\2")),
                       (HANDSHAKE, message(24, b"\0\0")),
                       (HANDSHAKE, message(20, bytes(32))), (20, b"\1"),
                       (99, b"x")):
            app, far = rogue_pair(lab, role)
            failed = stat(lab, "failed_protocol")
            far.send(*record)
            gets_reset(app)
            equal(alert_of(far), UNEXPECTED_MESSAGE, f"alert for {record}")
            equal(stat(lab, "failed_protocol") - failed, 1, f"{record}")
            app.close()


@test
def test_flood_of_control_records(lab):
    """More key updates than anybody needs end the connection."""
    for role in ROLES:
        app, far = rogue_pair(lab, role)
        failed = stat(lab, "failed_flood")
        try:
            for _ in range(200):
                far.send_key_update()
        except OSError:
            pass
        gets_reset(app)
        equal(stat(lab, "failed_flood") - failed, 1, "failed_flood")
        app.close()


@test
def test_alerts(lab):
    """user_canceled is nothing, a fatal one a reset, close_notify the end."""
    for role in ROLES:
        app, far = rogue_pair(lab, role)
        far.send(ALERT, b"\1\x5a")
        check(not is_readable(app), "readable by user_canceled")
        to_app(lab, app, far)
        far.send(ALERT, b"\2\x50")
        gets_reset(app)
        app.close()
        app, far = rogue_pair(lab, role)
        far.send(DATA, lab.marker)
        far.send(ALERT, bytes([1, CLOSE_NOTIFY]))
        equal(recv_exact(app, 1000), lab.marker, "data, then the end")
        from_app(lab, app, far)		# half closed
        app.shutdown(socket.SHUT_WR)
        equal(alert_of(far), CLOSE_NOTIFY, "ours")
        app.close()


@test
def test_bad_record(lab):
    """One flipped bit: an alert, ECONNRESET, never a byte of it."""
    for role in ROLES:
        app, far = rogue_pair(lab, role)
        to_app(lab, app, far)
        failed = stat(lab, "failed_record")
        record = bytearray(far.seal(DATA, lab.marker))
        record[9] ^= 1
        far.sock.sendall(record)
        check(is_readable(app, 60000), "the error can be had")
        gets_reset(app)
        equal(alert_of(far), BAD_RECORD_MAC, "alert")
        equal(stat(lab, "failed_record") - failed, 1, "failed_record")
        app.close()


@test
def test_control_records_hide_from_splice_and_peek(lab):
    """splice, MSG_PEEK and FIONREAD see data only."""
    for role in ROLES:
        app, far = rogue_pair(lab, role)
        far.send(HANDSHAKE, ticket())
        far.send_key_update()
        far.send(DATA, lab.marker)
        equal(app.recv(1000, socket.MSG_PEEK), lab.marker, "peek")
        equal(recv_exact(app, len(lab.marker)), lab.marker, "recv")
        far.send(HANDSHAKE, ticket())
        far.send_key_update()
        far.send(DATA, lab.marker)
        splice_and_compare(app, lab.marker)
        app.close()


def splice_and_compare(app, data):
    out, into = os.pipe()
    left = len(data)
    while left:
        left -= os.splice(app.fileno(), into, left)
    equal(os.read(out, 1000), data, "splice")
    os.close(out)
    os.close(into)


@test
def test_waitall_across_control_records(lab):
    """MSG_WAITALL comes back with all of it."""
    for role in ROLES:
        app, far = rogue_pair(lab, role)
        app.settimeout(None)
        want = b""
        got = []
        reader = threading.Thread(
            target=lambda: got.append(app.recv(4000, socket.MSG_WAITALL)))
        reader.start()
        for i in range(4):
            far.send(DATA, bytes([65 + i]) * 1000)
            want += bytes([65 + i]) * 1000
            far.send(HANDSHAKE, ticket())
            far.send_key_update()
            time.sleep(0.2)
        reader.join(60)
        equal(got, [want], "MSG_WAITALL")
        app.close()


@test
def test_data_and_key_update_in_one_receive(lab):
    """kTLS of 7.2 tells no poll of what waits behind a key update."""
    for role in ROLES:
        app, far = rogue_pair(lab, role)
        for way in ("poll", "recv", "splice"):
            burst = far.seal(DATA, lab.marker)
            burst += far.seal(HANDSHAKE, key_update())
            far.tx.update()
            burst += far.seal(DATA, lab.marker[::-1])
            far.sock.sendall(burst)
            time.sleep(0.3)
            equal(app.recv(len(lab.marker)), lab.marker, "before")
            if way == "poll":
                check(is_readable(app, 20000), "deaf behind a key update")
            if way == "splice":
                splice_and_compare(app, lab.marker[::-1])
            else:
                equal(recv_exact(app, len(lab.marker)), lab.marker[::-1], way)
        app.close()


@test
def test_empty_records_are_no_end(lab):
    """Neither to recv nor splice nor poll, with control records behind."""
    for role in ROLES:
        app, far = rogue_pair(lab, role)
        for way in ("recv", "splice"):
            burst = far.seal(DATA, b"") + far.seal(HANDSHAKE, ticket())
            burst += far.seal(DATA, b"") + far.seal(HANDSHAKE, key_update())
            far.tx.update()
            far.sock.sendall(burst + far.seal(DATA, b""))
            check(not is_readable(app, 500), "readable by nothing")
            far.sock.sendall(burst_of_nothing(far) +
                             far.seal(DATA, lab.marker))
            if way == "splice":
                splice_and_compare(app, lab.marker)
            else:
                equal(recv_exact(app, len(lab.marker)), lab.marker, way)
        far.send(DATA, b"")
        far.send(ALERT, bytes([1, CLOSE_NOTIFY]))
        equal(app.recv(100), b"", "end")
        app.close()


def burst_of_nothing(far):
    return b"".join(far.seal(DATA, b"") for _ in range(5))


@test
def test_flood_of_empty_records(lab):
    """They do not pile up behind a program that only polls."""
    for role in ROLES:
        app, far = rogue_pair(lab, role)
        failed = stat(lab, "failed_flood")
        far.sock.settimeout(5)
        try:
            for _ in range(50):
                far.sock.sendall(b"".join(far.seal(DATA, b"")
                                          for _ in range(20)))
                is_readable(app, 1)
        except OSError:
            pass
        gets_reset(app)
        equal(stat(lab, "failed_flood") - failed, 1, "failed_flood")
        app.close()
