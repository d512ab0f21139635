# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own test of kTLS (see vm/judge) as a judge.

Unchanged, it must not notice the module.  Told that the kernel has no kTLS,
it tests plain TCP; it must not notice either that we put TLS under it.
"""
import os
import re
import subprocess

from ktap import DEBUG_KERNEL, FULL, Failed, check, slow, test
from lab import rule

TESTS = "/usr/lib/attls/tests"
# All ports that the test's sockets can get.
PORTS = "40000 49999"
# A run of all takes ten minutes in an emulated machine, most of it in these:
# selftests/run --full.  On plain TCP a cipher makes no difference.
OTHERS = ["12_chacha", "13_chacha", "13_sm4_gcm", "13_sm4_ccm", "12_aes_ccm",
          "13_aes_ccm", "12_aes_gcm_256", "13_aes_gcm_256", "13_nopad",
          "12_aria_gcm", "12_aria_gcm_256"]
SLOW = "mutliproc"
# This one runs into the test's own limit of 30 s on the debug kernel.
LONG = "multi_chunk_sendfile"
# These wait, 30 s each, for records of other types, which TCP has not.
RECORDS = "mutliproc|rekey|cmsg|control"
# What differs from plain TCP by design; see Documentation/testing.rst.
BY_DESIGN = re.compile(r"\.(oob_pressure|shutdown_reuse|nonblocking)$")
RESULT = re.compile(r"^(ok|not ok) \d+ (\S+)(.*)$")


def options(slow_ones):
    """What leaves out other ciphers, and the tests with such names."""
    if FULL:
        return []
    listed = subprocess.run([f"{TESTS}/tls", "-l"], text=True, check=False,
                            stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT).stdout
    names = {line.split()[-1] for line in listed.splitlines() if line.strip()}
    check(len(names) > 50, f"tls -l: {listed}")
    if DEBUG_KERNEL:
        slow_ones += "|" + LONG
    return ([word for name in OTHERS for word in ("-V", name)] +
            [word for name in sorted(names) if re.search(slow_ones, name)
             for word in ("-T", name)])


def judge(slow_ones, enter=(), **env):
    """Results of the test by name, and what it said before each."""
    out = subprocess.run(
        [*enter, "stdbuf", "-oL", f"{TESTS}/tls", *options(slow_ones)],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        check=False, timeout=slow(3000), env=dict(os.environ, **env))
    results, said, lines = {}, {}, []
    for line in out.stdout.splitlines():
        match = RESULT.match(line)
        if not match:
            lines.append(line)
            continue
        results[match[2]] = match[1] + (" SKIP" if "SKIP" in match[3] else "")
        said[match[2]] = [text for text in lines if "Expected" in text]
        lines = []
    check(len(results) > 50, f"tls ran {len(results)} tests: {lines}")
    return results, said


def compare(want, got, said):
    """Raises unless the results are equal; says how many there are."""
    wrong = []
    for name in sorted(want.keys() | got.keys()):
        # A busy machine lets some run into their own time limit.
        if (want.get(name), got.get(name)) == ("not ok", "ok"):
            continue
        if want.get(name) != got.get(name) and not BY_DESIGN.search(name):
            wrong.append(f"{name}: {want.get(name)}, ours {got.get(name)} "
                         f"{' '.join(said.get(name, []))}")
    if wrong:
        raise Failed("\n".join([f"{len(wrong)} of {len(want)} differ", *wrong]))
    good = list(want.values()).count("ok")
    return f"{len(want)} tests, {good} ok, all as without"


@test(timeout=3600)
def test_judge_of_kTLS(lab):
    """The test as it is, without the module and with it."""
    with lab.unloaded():
        subprocess.run(["modprobe", "tls"], check=True)
        want, _ = judge(SLOW)
    got, said = judge(SLOW)
    return compare(want, got, said)


@test(timeout=3600)
def test_judge_of_TCP(lab):
    """As a test of plain TCP: without a rule, and with one for each side."""
    lab.policy(rule("in", "Inbound", PORTS, "Server", "server") +
               rule("out", "Outbound", PORTS, "Client", "client",
                    "HostReferenceIdDNS server.example"))
    lab.netns("judge")
    enter = ["ip", "netns", "exec", "judge"]

    def sysctl(name, value):
        subprocess.run([*enter, "sysctl", "-q", f"{name}={value}"],
                       check=True)

    def ports(text):
        sysctl("net.ipv4.ip_local_port_range", text)
    # On plain TCP some of the tests end by a signal: no news for the log.
    sysctl("debug.exception-trace", 0)
    ports("20000 29999")
    shim = {"LD_PRELOAD": f"{TESTS}/notls.so"}
    want, _ = judge(RECORDS, enter, **shim)
    ports(PORTS)
    before = lab.stats()
    got, said = judge(RECORDS, enter, **shim)
    after = lab.stats()
    note = compare(want, got, said)
    secure = after["connections_secured"] - before["connections_secured"]
    check(secure > 50, f"only {secure} sockets were secure")
    return note
