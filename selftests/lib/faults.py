# SPDX-License-Identifier: GPL-2.0-only
"""Allocations that fail, in our module only: failslab and fail_page_alloc.

An allocation is ours when a function of the module is on the stack: what TCP
and kTLS allocate for us counts.  Either each n-th of all fails, or the n-th
of one task (fail-nth of its /proc directory).
"""
import re

from ktap import check
from lab import MODULE, read, write

DEBUGFS = "/sys/kernel/debug"
# Both draw on the same fail-nth.  Their defaults spare nearly everything.
KINDS = {
    "failslab": {"ignore-gfp-wait": "N", "cache-filter": "N"},
    "fail_page_alloc": {"ignore-gfp-wait": "N", "ignore-gfp-highmem": "N",
                        "min-order": "0"},
}


def symbols():
    """[address, name] of kernel text in order."""
    found = []
    for line in read("/proc/kallsyms").splitlines():
        address, kind, name = line.split(maxsplit=2)
        if kind in "tT":
            found.append((int(address, 16), name))
    return sorted(found)


def module_text():
    """First address and end of the module's code."""
    start = int(read(f"{MODULE}/sections/.text"), 16)
    size = int(re.search(r"^attls (\d+)", read("/proc/modules"), re.M)[1])
    return start, start + size


def function(*names):
    """First address and end of functions of the kernel, neighbours if two."""
    found = symbols()
    at = sorted([name for _, name in found].index(name) for name in names)
    check(at[-1] - at[0] < 4, f"{names} are far apart")
    return found[at[0]][0], found[at[-1] + 1][0]


def farewell():
    """What TCP does once and without memory not at all: a RST, a FIN.

    A peer that hears of neither waits for ever, with plain TCP as well.
    """
    return function("tcp_send_fin", "tcp_send_active_reset")


class Faults:
    """Faults below the code in a range, but not below that of another."""

    def __init__(self, text, spared=(0, 0)):
        for kind, own in KINDS.items():
            self.set(kind, "probability", 0)
            self.set(kind, "interval", 1)
            self.set(kind, "times", -1)
            self.set(kind, "space", 0)
            self.set(kind, "verbose", 0)
            self.set(kind, "task-filter", "N")
            self.set(kind, "stacktrace-depth", 32)
            self.set(kind, "require-start", hex(text[0]))
            self.set(kind, "require-end", hex(text[1]))
            self.set(kind, "reject-start", hex(spared[0]))
            self.set(kind, "reject-end", hex(spared[1]))
            for name, value in own.items():
                self.set(kind, name, value)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.every(0)

    @staticmethod
    def set(kind, name, value):
        write(f"{DEBUGFS}/{kind}/{name}", value)

    def every(self, n):
        """Each n-th allocation fails, whoever makes it; 0: none."""
        for kind in KINDS:
            self.set(kind, "interval", max(n, 1))
            self.set(kind, "probability", 100 if n else 0)


def arm(n, task="thread-self"):
    """The n-th allocation of the task fails; 0: none."""
    write(f"/proc/{task}/fail-nth", n)


def fired(task="thread-self"):
    """True when it failed.  Disarms."""
    left = int(read(f"/proc/{task}/fail-nth"))
    arm(0, task)
    return left == 0

