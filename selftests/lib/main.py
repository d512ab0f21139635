#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Runs the tests inside a guest: main.py [PART-OF-A-NAME...]"""
import importlib
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tests")]

# pylint: disable=wrong-import-position
import ktap  # noqa: E402
import lab as labs  # noqa: E402


def main():
    subprocess.run(["modprobe", "attls"], check=True)
    tests = os.path.join(HERE, "..", "tests")
    for name in sorted(os.listdir(tests)):
        if name.endswith(".py"):
            importlib.import_module(name[:-3])
    lab = labs.Lab()
    failures = ktap.main(lab, sys.argv[1:])
    lab.close()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
