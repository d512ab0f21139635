# SPDX-License-Identifier: GPL-2.0-only
"""Each call as on TCP: the cases of sockets/, one test each.

A case writes down what an application sees.  It runs over plain TCP, where
the kernel says what is right, and then on connections that are protected:
both sides under rules, and, where control records could show through, the
client against OpenSSL that sends a session ticket before each piece of data.
In between both sides are under rules, but in clear: ApplicationControlled On.
And both ask for TLS there, which makes it a connection that STOP can end.
"""
import difflib
import os
import subprocess

from ktap import Failed, check, slow, test
from lab import rule

CALLS = "/usr/lib/attls/tests/calls"
# Where rules begin and end; each run has a port of its own.
PORTS = {"plain": 10000, "both": 15000, "foreign": 20000, "clear": 25000,
         "asked": 30000}
SPAN = 4999


def policy():
    """One policy for all cases: a reload would cost each a second."""
    def ports(mode):
        return f"{PORTS[mode]} {PORTS[mode] + SPAN}"
    name = "HostReferenceIdDNS server.example"
    control = "ApplicationControlled On"
    return (rule("both-in", "Inbound", ports("both"), "Server", "server") +
            rule("both-out", "Outbound", ports("both"), "Client", "client",
                 name) +
            rule("foreign-out", "Outbound", ports("foreign"), "Client",
                 "client", name) +
            rule("clear-in", "Inbound", ports("clear"), "Server", "server",
                 control) +
            rule("clear-out", "Outbound", ports("clear"), "Client", "client",
                 control) +
            rule("asked-in", "Inbound", ports("asked"), "Server", "server",
                 control) +
            rule("asked-out", "Outbound", ports("asked"), "Client", "client",
                 control + "\n" + name))


def transcript(lab, name, mode, number, netns):
    """What the case saw, and what it says is by design."""
    enter = []
    if netns:
        space = f"calls-{mode}"
        lab.netns(space)
        enter = ["ip", "netns", "exec", space]
    # Clear text on the wire is what these runs are for: another marker.
    in_clear = mode in ("plain", "clear")
    marker = lab.marker[::-1] if in_clear else lab.marker
    env = dict(os.environ, CALLS_CERT=lab.pki.cert("server-ecdsa"),
               CALLS_KEY=lab.pki.key("server-ecdsa"))
    out = subprocess.Popen(  # pylint: disable=R1732
        enter + [CALLS, name, mode, str(PORTS[mode] + number), marker.decode()],
        env=env, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        text, _ = out.communicate(timeout=slow(60))
        status = out.returncode
    except subprocess.TimeoutExpired:
        status = "the case hangs"
        os.killpg(out.pid, 9)
        text, _ = out.communicate()
    lines = text.splitlines()
    if status:
        lines.append(f"exit status: {status}")
    design = [line for line in lines if line.startswith("design: ")]
    return [line for line in lines if line not in design], design


def first_difference(want, got):
    for i, line in enumerate(want):
        if i >= len(got):
            return f"'{line}', ours nothing"
        if line != got[i]:
            return f"'{line}', ours '{got[i]}'"
    return f"nothing more, ours '{got[len(want)]}'"


def run_case(lab, name, modes, number, netns):
    if not getattr(lab, "calls_policy", None) == lab.generation():
        lab.policy(policy())
        lab.calls_policy = lab.generation()
    want, _ = transcript(lab, name, "plain", number, netns)
    check(want[-1:] == ["end of the case"], f"on plain TCP: {want}")
    wrong, notes, diffs = [], [], []
    for mode in modes:
        got, design = transcript(lab, name, mode, number, netns)
        notes += [line for line in design if line not in notes]
        if got != want:
            wrong.append(f"{mode}: TCP {first_difference(want, got)}")
            diffs += difflib.unified_diff(want, got, "plain", mode,
                                          lineterm="")
    if wrong:
        raise Failed("\n".join(["; ".join(wrong)] + diffs))
    return ", ".join(notes)


def add_case(number, name, *flags):
    modes = ["clear", "both"]
    if "foreign" in flags:
        modes += ["foreign", "asked"]

    def run(lab):
        return run_case(lab, name, modes, number, "netns" in flags)
    run.__name__ = f"test_call_{name}"
    test(run)


def add_cases():
    out = subprocess.run([CALLS, "--list"], capture_output=True, text=True,
                         check=True)
    for number, line in enumerate(out.stdout.splitlines()):
        add_case(number, *line.split())


add_cases()
