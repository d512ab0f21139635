# SPDX-License-Identifier: GPL-2.0-only
"""KTAP runner: collects test functions, runs each under the wire oracle.

A test is a function decorated with @test.  It gets a Lab (see lab.py) and
fails by raising.  While it runs, everything on the loopback device is
captured; afterwards the capture is searched for the test's marker, a string
that only ever exists in clear inside the applications.  A test that expects
clear text on the wire says so: @test(clear=True), and then fails if the
marker is NOT found, so the oracle itself is known to see.

What a test returns is printed behind its result, as is why it failed.
"""
import os
import signal
import sys
import time
import traceback

TESTS = []
DEBUG_KERNEL = os.environ.get("ATTLS_KERNEL") == "debug"
FIPS_KERNEL = bool(os.environ.get("ATTLS_FIPS"))
# How much longer everything may take there: each limit in seconds goes
# through slow().
FACTOR = 8 if DEBUG_KERNEL else 1
FULL = bool(os.environ.get("ATTLS_FULL"))


def known():
    """{test: why it falls short} of the file known."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        "..", "known")
    with open(path, encoding="utf-8") as f:
        return dict(line.rstrip("\n").split("\t") for line in f
                    if not line.startswith("#"))


def slow(seconds):
    return seconds * FACTOR


def amount(few, many):
    """How often to try what more often would try better."""
    return many if FULL else few


class Failed(Exception):
    """An expectation that did not hold; the text says which."""


def test(func=None, *, clear=False, timeout=120, debug=False, fips=None):
    """Registers a test; timeout in seconds.

    debug: it needs what only the debug kernel has, and belongs to its plan.
    fips: "also" on a kernel in FIPS mode, where rules get FIPS140 On, or
    "only" there.
    """
    def register(f):
        here = fips if FIPS_KERNEL else fips != "only"
        if here and (DEBUG_KERNEL or not debug):
            TESTS.append((f, clear, slow(timeout)))
        return f
    return register(func) if func else register


def check(condition, text):
    if not condition:
        raise Failed(text)


def equal(got, want, what):
    if got != want:
        raise Failed(f"{what}: got {got!r}, want {want!r}")


def _alarm(_signum, _frame):
    raise Failed("timed out")


def _run_one(lab, func, clear, timeout):
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(timeout)
    try:
        lab.begin()
        try:
            note = func(lab)
        finally:
            signal.alarm(timeout)
            lab.end()
        seen = lab.marker_on_wire()
        check(seen or not clear, "oracle: expected clear text, saw none")
        check(clear or not seen, "oracle: application data on the wire")
        lab.check_log()
    finally:
        signal.alarm(0)
    return note


def main(lab, only):
    """Runs the tests whose names contain one of only; returns failures."""
    chosen = [t for t in TESTS
              if not only or any(o in t[0].__name__ for o in only)]
    print("KTAP version 1")
    print(f"1..{len(chosen)}", flush=True)
    failures = 0
    short = known()
    for part in only:
        if not any(part in t[0].__name__ for t in TESTS):
            print(f"# no test has {part} in its name")
            failures += 1
    for number, (func, clear, timeout) in enumerate(chosen, 1):
        name = func.__name__.removeprefix("test_")
        start = time.monotonic()
        try:
            note = _run_one(lab, func, clear, timeout)
            verdict = "ok"
        except Exception as e:  # pylint: disable=broad-except
            verdict = "not ok"
            note = (str(e) or type(e).__name__).splitlines()[0]
            failures += name not in short
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            for line in lab.tails():
                print(f"# {line}")
        if name in short:
            print(f"# this time: {verdict}: {note}")
            verdict, note = "ok", "XFAIL " + short[name]
        took = time.monotonic() - start
        note = f"; {note}" if note else ""
        print(f"{verdict} {number} {name} # {took:.1f} s{note}", flush=True)
    print(f"# {len(chosen) - failures} passed, {failures} failed",
          flush=True)
    sys.stdout.flush()
    return failures
