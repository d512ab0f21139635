#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What connections without a rule cost, in a guest: with the module absent,
loaded, and with rules of which none matches.

connect.py ROUNDS CONNECTIONS	prints a table and the same as JSON; what each
				round gave goes to /out

Each round goes through all states, and each state is compared with the means
of the absent module before and after it in that round.
"""
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(HERE, "..", "lib")]

# pylint: disable=wrong-import-position
from genl import Genl  # noqa: E402
from lab import MODULE, TOP, Lab, read, wait_for, write  # noqa: E402

MANY = 10000
PROGRAM = "/usr/lib/attls/tests/bench_connect"
STATES = ("absent", "no policy", "1 rule", f"{MANY} rules", "absent again")


def policy(n):
    """Rules for ports of ours, and for addresses of others, in turn."""
    text = f"""
TTLSGroupAction on
{{
  TTLSEnabled On
}}
TTLSEnvironmentAction server
{{
  HandshakeRole Server
  TTLSKeyringParms
  {{
    Keyring {TOP}/pki/ring-server
  }}
}}
"""
    for i in range(n):
        where = f"Direction Inbound\nLocalPortRange {1000 + i}" if i % 2 else \
            f"Direction Outbound\nRemoteAddr 10.9.{i // 250}.{i % 250}"
        text += f"TTLSRule r{i}\n{{\n{where}\nTTLSGroupActionRef on\n" \
                "TTLSEnvironmentActionRef server\n}\n"
    return text


def compiled(lab, text):
    """The rule set as attlsd makes it."""
    lab.policy(text)
    genl = Genl()
    blob = genl.policy()[1]
    genl.close()
    return blob


def unload():
    write(f"{MODULE}/parameters/hook", 0)
    wait_for("references", lambda: read(f"{MODULE}/refcnt") == "0\n", 60)
    subprocess.run(["rmmod", "attls"], check=True)


def measure(n):
    out = subprocess.run([PROGRAM, str(n)], capture_output=True, text=True,
                         check=True).stdout
    return json.loads(out)


def one_round(n, sets):
    """{state: what it took}; begins and ends without the module."""
    took = {"absent": measure(n)}
    subprocess.run(["modprobe", "attls"], check=True)
    took["no policy"] = measure(n)
    genl = Genl()
    genl.send_large()
    for generation, (state, blob) in enumerate(sets.items(), 1):
        if genl.install(generation, blob):
            sys.exit(f"the kernel does not take {state}")
        if state in STATES:
            took[state] = measure(n)
    genl.close()
    unload()
    took["absent again"] = measure(n)
    return took


def ratios(rounds, state, key):
    return [took[state][key] * 2 /
            (took["absent"][key] + took["absent again"][key])
            for took in rounds]


def report(rounds):
    """{state: medians over the rounds}, also as a table."""
    result = {}
    print(f"{'':14} {'per second':>10} {'time':>8} {'ticks':>9} {'of absent'}")
    for state in STATES:
        row = {
            "per_second": statistics.median(
                took[state]["connections"] / took[state]["seconds"]
                for took in rounds),
            "seconds_ratio": statistics.median(
                ratios(rounds, state, "seconds")),
            "ticks": statistics.median(took[state]["ticks"]
                                       for took in rounds),
            "ticks_ratio": statistics.median(ratios(rounds, state, "ticks")),
        }
        result[state] = row
        print(f"{state:14} {row['per_second']:10.0f} "
              f"{row['seconds_ratio']:8.4f} {row['ticks']:9.0f} "
              f"{row['ticks_ratio']:9.4f}")
    return result


def main():
    rounds, n = int(sys.argv[1]), int(sys.argv[2])
    subprocess.run(["modprobe", "attls"], check=True)
    lab = Lab()
    sets = {"1 rule": compiled(lab, policy(1)),
            f"{MANY} rules": compiled(lab, policy(MANY)),
            "none": compiled(lab, "# no rule\n")}
    lab.stop_attlsd()
    unload()
    # Those that are over wait a minute: all of them, in each state.
    write("/proc/sys/net/ipv4/tcp_max_tw_buckets", 1000000)
    all_rounds = [one_round(n, sets) for _ in range(rounds)]
    result = {"rounds": all_rounds, "median": report(all_rounds)}
    print(json.dumps(result["median"]))
    with open("/out/connect.json", "w", encoding="ascii") as f:
        json.dump(result, f, indent=1)


main()
