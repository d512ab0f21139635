# SPDX-License-Identifier: GPL-2.0-only
"""Dice that fall as they did before: ATTLS_SEED=N repeats a run."""
import os
import random
import time

SEED = int(os.environ.get("ATTLS_SEED", time.time()))


def new_dice():
    print(f"# ATTLS_SEED={SEED}")
    return random.Random(SEED)
