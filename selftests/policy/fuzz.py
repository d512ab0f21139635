#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Damaged policies: attls check takes them or says why, and nothing else.

fuzz.py ATTLS [TIMES [SEED]]	prints what went wrong, with the policy
"""
import glob
import os
import random
import subprocess
import sys
import tempfile

PIECES = b"0123456789:-,/*{}#\"\\\n .\x00\xff"


def policies(which):
    here = os.path.dirname(os.path.abspath(__file__))
    for path in sorted(glob.glob(f"{here}/{which}/*.conf")):
        with open(path, "rb") as f:
            yield f.read()


def damage(data, all_of_them):
    """A byte, a few less, a few more, or something of another policy."""
    at = random.randrange(len(data) + 1)
    how = random.randrange(4)
    if how == 0 and at < len(data):
        data[at] = random.randrange(256)
    elif how == 1:
        del data[at:at + random.randint(1, 20)]
    elif how == 2:
        data[at:at] = bytes(random.choices(PIECES, k=random.randint(1, 8)))
    else:
        other = random.choice(all_of_them)
        start = random.randrange(len(other) + 1)
        data[at:at] = other[start:start + random.randint(1, 80)]


def wrong_with(attls, data):
    """What is wrong with how it took the policy, or None; and if it did."""
    try:
        with tempfile.NamedTemporaryFile(suffix=".conf") as f:
            f.write(data)
            f.flush()
            done = subprocess.run([attls, "check", "--no-rings", f.name],
                                  check=False, capture_output=True,
                                  timeout=300)
    except subprocess.TimeoutExpired:
        return "no end", False
    wrong = None
    if done.returncode not in (0, 1):
        wrong = f"exit status {done.returncode}"
    elif b"please report" in done.stderr:
        wrong = done.stderr.decode(errors="replace")
    elif done.returncode == 1 and b".conf:" not in done.stderr:
        wrong = "refused, and does not say where"
    return wrong, done.returncode == 0


def main():
    attls = sys.argv[1]
    times = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    random.seed(seed)
    good_ones = list(policies("good"))
    all_of_them = good_ones + list(policies("bad"))
    failures = taken = 0
    for n in range(times):
        data = bytearray(random.choice(good_ones))
        for _ in range(random.choice((1, 1, 1, 2, 4, 12))):
            damage(data, all_of_them)
        wrong, good = wrong_with(attls, bytes(data))
        taken += good
        if wrong:
            failures += 1
            print(f"# {n} of seed {seed}: {wrong}: {bytes(data)!r}")
    print(f"# {times} policies, {taken} of them still right")
    return failures != 0 or not taken


sys.exit(main())
