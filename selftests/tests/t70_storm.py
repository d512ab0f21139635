# SPDX-License-Identifier: GPL-2.0-only
"""Everything at once: load while attlsd dies, policy reloads, modules go."""
import os
import random
import signal
import time

from dice import new_dice
from ktap import amount, check, equal, test
from lab import both, echo_server, listen, server, wait_for
from storm import Books, Load, attlsd_pids, check_result


def kill_somebody(lab, dice):
    """attlsd, all of it, or one of its workers."""
    who = dice.choice(("parent", "everybody", "worker"))
    pids = attlsd_pids()
    if who == "worker":
        os.kill(dice.choice([p for p in pids if p != lab.attlsd.popen.pid]),
                signal.SIGKILL)
        return
    if who == "everybody":
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    lab.stop_attlsd(signal.SIGKILL)
    time.sleep(dice.random())
    lab.start_attlsd()


class Progress:
    """Says how far a load is, each minute, by what both its ends secured."""

    def __init__(self, lab, n):
        self.lab, self.n = lab, n
        self.begun = lab.stats()["connections_secured"]
        self.due = time.monotonic() + 60

    def show(self):
        if time.monotonic() < self.due:
            return
        self.due += 60
        done = (self.lab.stats()["connections_secured"] - self.begun) // 2
        print(f"# {done} of {self.n}", flush=True)


@test(timeout=amount(600, 14400))
def test_storm_agent_and_policy(lab):
    """Short connections; a reload each second, attlsd killed at random."""
    dice = new_dice()
    port = lab.next_port()
    lab.policy(both(port, "HandshakeTimeout 30"))
    books = Books(lab)
    n = amount(2000, 100000)
    progress = Progress(lab, n)
    load = Load(lab, port, n, live=4)
    kills = 0
    while load.running():
        progress.show()
        time.sleep(1)
        if dice.random() < 0.3:
            kill_somebody(lab, dice)
            kills += 1
        else:
            lab.attls("reload")
    result = load.end()
    print(f"# {kills} kills, {result}")
    check(kills, "nobody was killed")
    check_result(result)
    books.settle()


@test(timeout=amount(600, 7200))
def test_storm_reload_loses_nothing(lab):
    """The same with reloads alone: not one connection fails."""
    port = lab.next_port()
    lab.policy(both(port, "HandshakeTimeout 60"))
    books = Books(lab)
    failed = lab.stats()["failed"]
    load = Load(lab, port, amount(800, 20000), live=4)
    while load.running():
        time.sleep(1)
        # Rules come and go, that of the load stays.
        text = both(port, "HandshakeTimeout 60")
        lab.attls("load", lab.write_policy(
            random.choice((text, server(9) + text, text + server(9)))))
    result = load.end()
    print(f"# {result}")
    check_result(result, least=1)
    equal(lab.stats()["failed"], failed, "failed")
    books.settle()


@test(timeout=amount(600, 3600))
def test_storm_module_comes_and_goes(lab):
    """rmmod and modprobe under the load of a port without a rule."""
    plain, secure = lab.next_port(), lab.next_port()
    load = Load(lab, plain, 10**9, clients=3, live=4, marker="no-secret")
    for _ in range(amount(4, 60)):
        with lab.unloaded():
            time.sleep(random.random())
        lab.start_attlsd(both(secure, "HandshakeTimeout 60"))
        result = Load(lab, secure, 30).end()
        check_result(result, least=1)
        wait_for("conns to go", lambda: not lab.conns())
    result = load.stop()
    print(f"# {result}")
    check_result(result, least=1)


@test(timeout=amount(300, 1200))
def test_storm_listener_is_covered_from_the_first_moment(lab):
    """A listener that is older than the module, and its next connection."""
    for _ in range(amount(3, 30)):
        port = lab.next_port()
        with lab.unloaded():
            listener = listen(port)
        lab.start_attlsd(both(port, "HandshakeTimeout 60"))
        echo_server(listener)
        lab.works(port)
        listener.close()
