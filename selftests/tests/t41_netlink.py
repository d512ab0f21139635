# SPDX-License-Identifier: GPL-2.0-only
"""Generic netlink: wrong messages are errors, and change nothing.

ATTLS_SEED=N repeats a run.
"""
import errno
import json
import subprocess
import threading

import genl
from dice import new_dice
from genl import (CHUNK, CHUNK_MAX, CONN_GET, DUMP, GENERATION, POLICY_GET,
                  POLICY_SET, REQUEST, STATS_GET, Genl, attr, set_attrs, u32)
from ktap import amount, check, equal, test
from lab import MODULE, both, echo_server, listen, read, server, wait_for

SET_MAX = 32 << 20
# Sets of these differ in all parts, and each is more than a dump's message.
MANY = 60


def many_rules(lab, base):
    """A policy of many rules with one environment."""
    rules = [server(lab.next_port())]
    for n in range(MANY):
        rules.append(f"""
TTLSRule r{base + n}
{{
  Direction Inbound
  LocalPortRange {base + n}
  TTLSGroupAction
  {{
    TTLSEnabled Off
  }}
}}""")
    return "".join(rules)


class Undisturbed:
    """What is in force stays in force, and works."""

    def __init__(self, lab):
        self.lab = lab
        self.port = lab.next_port()
        lab.policy(both(self.port))
        self.genl = Genl()
        self.before = self.genl.policy()
        check(self.before[1], "no rule set in force")
        self.users = int(read(f"{MODULE}/refcnt"))

    def __enter__(self):
        return self.genl, *self.before

    def __exit__(self, *failed):
        if any(failed):
            return
        equal(self.genl.policy(), self.before, "policy in force")
        self.genl.close()
        wait_for("the module's users",
                 lambda: int(read(f"{MODULE}/refcnt")) <= self.users)
        listener = listen(self.port)
        echo_server(listener)
        self.lab.works(self.port)
        listener.close()


@test
def test_netlink_wrong_sets(lab):
    """Sets that are refused, each for its reason."""
    with Undisturbed(lab) as (genl_, now, blob):
        later = u32(GENERATION, now + 1)
        chunk = attr(CHUNK, blob)
        for what, attrs, want in (
                ("no attribute", b"", errno.EINVAL),
                ("no generation", chunk, errno.EINVAL),
                ("no set", later, errno.EINVAL),
                ("an empty set", later + attr(CHUNK, b""), errno.EINVAL),
                ("generation 0", set_attrs(0, blob), errno.ERANGE),
                ("the same generation", set_attrs(now, blob), errno.ESTALE),
                ("a short generation",
                 attr(GENERATION, b"\xff\xff") + chunk, errno.EINVAL),
                ("half a set", set_attrs(now + 1, blob[:-1]), errno.EINVAL),
                ("half a set, twice", later + attr(CHUNK, blob[:-1]) * 2,
                 errno.EINVAL),
                ("a set twice", later + chunk * 2, errno.EINVAL),
                ("a chunk over the bound",
                 later + attr(CHUNK, bytes(CHUNK_MAX + 1)), errno.ERANGE),
                ("an unknown attribute", later + chunk + u32(100, 1),
                 errno.EINVAL),
                ("one of replies", later + chunk + u32(4, 1), errno.EINVAL),
                ("a nest", later + attr(CHUNK | 0x8000, blob), errno.EINVAL),
                ("an attribute over the end",
                 later + attr(CHUNK, blob, len(blob) + 100), errno.EINVAL),
                ("an attribute of no length", later + chunk +
                 attr(CHUNK, b"", 0), errno.EINVAL),
                ("bytes behind the last", later + chunk + b"abcd",
                 errno.EINVAL)):
            equal(genl_.errno(POLICY_SET, attrs), want, what)
        genl_.send_large()
        equal(genl_.install(now + 1, bytes(SET_MAX + 1)), errno.E2BIG,
              "more than the kernel takes")


@test
def test_netlink_wrong_commands(lab):
    """Commands that are none, or not to be used like that."""
    with Undisturbed(lab) as (genl_, now, blob):
        good = set_attrs(now + 1, blob)
        for command in (0, 5, 6, 255):
            equal(genl_.errno(command, good), errno.EOPNOTSUPP,
                  f"command {command}")
        for command in (POLICY_GET, CONN_GET):
            equal(genl_.errno(command), errno.EOPNOTSUPP,
                  f"command {command} without a dump")
        for command in (POLICY_SET, STATS_GET):
            equal(genl_.errno(command, good, flags=REQUEST | DUMP),
                  errno.EOPNOTSUPP, f"command {command} as a dump")
        equal(genl_.errno(POLICY_SET, good, flags=0), None, "no request")
        equal(genl_.errno(POLICY_SET, good, length=15), None, "short length")
        equal(genl_.errno(POLICY_SET, good, length=1 << 20), None,
              "long length")
        equal(genl_.errno(POLICY_SET, good, length=18), errno.EINVAL,
              "half a header")
        # Readers who leave: what a dump holds is given back.
        for _ in range(20):
            leaver = Genl()
            leaver.sock.sendall(leaver.message(POLICY_GET,
                                               flags=REQUEST | DUMP))
            leaver.close()


@test
def test_netlink_without_privilege(lab):
    """Only who administers the host may read and set."""
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup",
              "--clear-groups"]
    with Undisturbed(lab):
        for who in (nobody, nobody + ["unshare", "--user", "--net",
                                      "--map-root-user"]):
            out = subprocess.run(who + ["python3", genl.__file__], text=True,
                                 capture_output=True, check=False)
            equal(out.returncode, 0, out.stderr)
            equal(json.loads(out.stdout), {
                "POLICY_SET": errno.EPERM, "POLICY_GET": errno.EPERM,
                "CONN_GET": errno.EPERM, "STATS_GET": 0,
                "EPERM": errno.EPERM}, f"{who}")


@test
def test_netlink_from_another_namespace(lab):
    """Root there reads, and does not set what counts for all."""
    with Undisturbed(lab):
        out = subprocess.run(["unshare", "--net", "python3", genl.__file__],
                             text=True, capture_output=True, check=False)
        equal(out.returncode, 0, out.stderr)
        equal(json.loads(out.stdout), {
            "POLICY_SET": errno.EPERM, "POLICY_GET": 0, "CONN_GET": 0,
            "STATS_GET": 0, "EPERM": errno.EPERM}, "answers")


def random_attrs(dice, now):
    """Attributes of any type and length; none is a rule set."""
    attrs = b""
    for _ in range(dice.choice((0, 1, 2, 3, 3, 3, 5, 40))):
        kind = dice.choice((GENERATION, CHUNK, dice.randrange(40),
                            dice.getrandbits(16)))
        data = dice.randbytes(dice.choice((0, 1, 3, 4, 4, 8, 64, 300)))
        if kind == GENERATION and dice.random() < 0.8:
            data = (now + dice.randrange(3)).to_bytes(4, "little")
        length = dice.choice((None, None, None, None, dice.randrange(5),
                              len(data) + dice.randrange(9), 0xffff))
        attrs += attr(kind, data, length)
    return attrs


@test
def test_netlink_random_messages(lab):
    """Messages as dice fall: nothing but errors."""
    dice = new_dice()
    with Undisturbed(lab) as (genl_, now, _):
        for n in range(amount(1500, 100000)):
            wrong = {}
            if dice.random() < 0.3:
                wrong["flags"] = REQUEST | dice.getrandbits(16)
            if dice.random() < 0.1:
                wrong["length"] = dice.randrange(80)
            if dice.random() < 0.1:
                wrong.update(version=dice.getrandbits(8),
                             reserved=dice.getrandbits(16))
            command = dice.choice((POLICY_SET, POLICY_SET, POLICY_GET,
                                   CONN_GET, STATS_GET, dice.getrandbits(8)))
            replies = genl_.talk(genl_.message(
                command, random_attrs(dice, now), **wrong))
            # Behind a wrong length there may be another, of any kind.
            check(command != POLICY_SET or
                  all(number for number, _ in replies[:1]),
                  f"message {n} was taken: {replies}")


@test
def test_netlink_damaged_sets(lab):
    """Rule sets with bytes changed: refused, or right and then stale."""
    dice = new_dice()
    lab.policy(many_rules(lab, 20000))
    source = Genl()
    _, large = source.policy()
    source.close()
    with Undisturbed(lab) as (genl_, now, small):
        stale = 0
        for _ in range(amount(600, 50000)):
            blob = bytearray(dice.choice((small, large)))
            for _ in range(dice.choice((1, 1, 2, 8))):
                at = dice.randrange(len(blob) // 4) * 4
                word = dice.choice((0, 1, 0x7fffffff, 0xffffffff,
                                    dice.getrandbits(32)))
                blob[at:at + 4] = word.to_bytes(4, "little")
            number = genl_.install(now, bytes(blob))
            check(number in (errno.EINVAL, errno.ESTALE), f"errno {number}")
            stale += number == errno.ESTALE
        return f"{stale} still right"


@test
def test_netlink_installs_race(lab):
    """Two who install at once: each reader sees one set, never half of it."""
    sets = []
    for base in (20000, 30000):
        lab.policy(many_rules(lab, base))
        reader = Genl()
        first, blob = reader.policy()
        reader.close()
        sets.append(blob)
    lock = threading.Lock()
    state = {"next": first + 1, "taken": [first], "wrong": []}

    def install():
        mine = Genl()
        for _ in range(amount(100, 5000)):
            with lock:
                generation = state["next"]
                state["next"] += 1
            number = mine.install(generation, sets[generation % 2])
            with lock:
                if not number:
                    state["taken"].append(generation)
                elif number != errno.ESTALE:
                    state["wrong"].append(number)
        mine.close()

    writers = [threading.Thread(target=install) for _ in range(2)]
    for writer in writers:
        writer.start()
    reader, seen, last = Genl(), set(), first
    # The set of the first generation is the second, whatever its number.
    sets_of = {first: sets[1]}
    while any(writer.is_alive() for writer in writers):
        generation, blob = reader.policy()
        check(blob == sets_of.get(generation, sets[generation % 2]),
              f"generation {generation}: not the set that it has")
        check(generation >= last, f"{generation} after {last}")
        last = generation
        seen.add(generation)
    for writer in writers:
        writer.join()
    equal(state["wrong"], [], "errors")
    equal(reader.policy()[0], max(state["taken"]), "the last one")
    reader.close()
    with Undisturbed(lab):
        pass
    return f"{len(state['taken'])} taken, {len(seen)} seen"
