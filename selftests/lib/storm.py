# SPDX-License-Identifier: GPL-2.0-only
"""Load for a storm, and the books that say what it left behind."""
import json
import os
import re
import signal
import subprocess

from ktap import check, equal, slow
from lab import MODULE, read, wait_for

PROGRAMS = "/usr/lib/attls/tests"


def attlsd_pids():
    out = subprocess.run(["pgrep", "-x", "attlsd"], text=True,
                         capture_output=True, check=False).stdout
    return [int(pid) for pid in out.split()]


def files_of(pid, what):
    """How many open files of a process are what."""
    n = 0
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                n += what in os.readlink(f"/proc/{pid}/fd/{fd}")
            except OSError:
                pass
    except OSError:
        pass
    return n


class Load:
    """The program load; see selftests/programs/load.c."""

    def __init__(self, lab, port, n, clients=6, live=2, marker=None):
        self.process = lab.process(f"load{port}", [
            f"{PROGRAMS}/load", "-n", str(n), "-c", str(clients), "-l",
            str(live), "-w", str(slow(60)), str(port),
            marker or lab.marker.decode()],
            stdout=subprocess.PIPE, text=True)
        line = self.process.popen.stdout.readline()
        equal(line, "ready\n", f"load: {self.process.text()}")
        self.live = live

    def running(self):
        return self.process.alive()

    def end(self):
        """Its results, when it has done all or was told to stop."""
        line = self.process.popen.stdout.readline()
        self.process.popen.wait()
        check(line, f"load ended: {self.process.text()}")
        return json.loads(line)

    def stop(self):
        if self.running():
            self.process.popen.send_signal(signal.SIGTERM)
        return self.end()


def check_result(result, least=0.5, cut=True):
    """Only what a storm explains; at least so many came through."""
    total = sum(result[k] for k in ("ok", "reset", "cut", "hang", "odd"))
    text = f"{result}"
    equal(result["hang"], 0, f"hanging connections of {text}")
    equal(result["odd"], 0, f"odd results of {text}")
    equal(result["live_lost"], 0, f"living connections lost of {text}")
    equal(result["files_left"], 0, f"file descriptors left of {text}")
    check(cut or not result["cut"], f"ends without data: {text}")
    check(total and result["ok"] >= least * total, f"too few came up: {text}")


class Books:
    """What is held now, and must be held again when all is over."""

    def __init__(self, lab):
        self.lab = lab
        self.before = self.count()

    @staticmethod
    def count():
        sockets = re.search(r"TCP: inuse (\d+) orphan (\d+) tw \d+ "
                            r"alloc (\d+)", read("/proc/net/sockstat"))
        return {
            "module references": int(read(f"{MODULE}/refcnt")),
            "TCP sockets": int(sockets[1]),
            "orphans": int(sockets[2]),
            "TCP allocated": int(sockets[3]),
            "handshake files": sum(files_of(pid, "[attls]")
                                   for pid in attlsd_pids()),
        }

    def settle(self):
        """Waits until all that the test took is given back.

        What others gave back meanwhile, a worker of the policy before or a
        socket of the test before, is no leak.
        """
        now = {}

        def same():
            now.update(self.count())
            return not self.lab.conns() and \
                all(now[k] <= self.before[k] for k in now)
        try:
            wait_for("what the test took", same, 60)
        except Exception as e:
            raise AssertionError(
                f"left behind: {now}, before {self.before}, "
                f"conns {self.lab.conns()[:3]}") from e
