# SPDX-License-Identifier: GPL-2.0-only
"""The attls command and the policy that it loads."""
import json
import os
import re
import socket
import subprocess

from ktap import amount, check, equal, test
from lab import (TOP, both, client, echo_server, listen, read, recv_exact,
                 rule, server, wait_for, write)


@test
def test_bad_policy_leaves_the_old_one(lab):
    """Errors are reported with place and suggestion; nothing changes."""
    port = lab.next_port()
    lab.policy(both(port))
    before = lab.generation()
    path = lab.write_policy(both(port).replace("Direction", "Directoin", 1),
                            "bad.conf")
    for command in ("check", "load"):
        out = lab.attls(command, path, ok=1)
        text = out.stdout + out.stderr
        check("bad.conf:" in text and "Directoin" in text and
              "Direction" in text, f"{command}: {text}")
        out = json.loads(lab.attls("--json", command, path, ok=None).stdout)
        check(any("Directoin" in d["message"] for d in out["diags"]), out)
    equal(lab.generation(), before, "generation")
    listener = listen(port)
    echo_server(listener)
    lab.works(port)
    listener.close()


@test
def test_bad_key_ring_leaves_the_old_one(lab):
    """A missing, an empty and a garbled key ring are policy errors."""
    port = lab.next_port()
    lab.policy(both(port))
    before = lab.generation()
    os.makedirs(f"{TOP}/pki/ring-empty", exist_ok=True)
    os.makedirs(f"{TOP}/pki/ring-garbled", exist_ok=True)
    with open(f"{TOP}/pki/ring-garbled/x.pem", "wb") as f:
        f.write(b"-----BEGIN CERTIFICATE-----\nnonsense\n")
    for ring in ("missing", "empty", "garbled"):
        path = lab.write_policy(server(port, ring=ring), "ring.conf")
        out = lab.attls("load", path, ok=1)
        check(f"ring-{ring}" in out.stdout + out.stderr, out)
    equal(lab.generation(), before, "generation")


@test
def test_show_and_netstat(lab):
    """What is in force, and who is under it."""
    port = lab.next_port()
    lab.policy(both(port))
    out = lab.attls("show").stdout
    check(f"in{port}" in out and f"out{port}" in out, out)
    rules = json.loads(lab.attls("show", "--json").stdout)["rules"]
    equal({r["name"] for r in rules}, {f"in{port}", f"out{port}"}, "show")
    listener = listen(port)
    echo_server(listener)
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.settimeout(60)
        s.sendall(lab.marker)
        recv_exact(s, len(lab.marker))
        text = lab.attls("netstat").stdout
        check(f"in{port}" in text and f"out{port}" in text, text)
        check("TLSv1.3" in text and "python3" in text, text)
        conn = [c for c in lab.conns() if c["remote_port"] == port][0]
        equal(conn["rule"], f"out{port}", "rule")
        equal(conn["pid"], os.getpid(), "pid")
        out = subprocess.run(["ss", "-Htine", f"dport = :{port}"], text=True,
                             capture_output=True, check=True).stdout
        check("tcp-ulp-tls" in out, out)
        check(f"sk:{conn['cookie']:x}" in out, f"{conn} {out}")
    listener.close()


def is_resumed(lab, port):
    """What netstat says of the client's side of one more connection."""
    with socket.create_connection(("127.0.0.1", port)) as s:
        lab.echoes(s)
        row = re.search(rf"^.*  out{port}  .*$",
                        lab.attls("netstat", "-v").stdout, re.M)[0].split("  ")
        resumed = [c["resumed"] for c in lab.conns()
                   if c["rule"] == f"out{port}"]
    equal([word in row for word in ("Full", "Resumed")],
          [not resumed[0], resumed[0]], f"{row}")
    return resumed == [True]


@test
def test_netstat_session(lab):
    """A full handshake, then one that resumes its session."""
    port = lab.next_port()
    lab.policy(both(port))
    with listen(port) as listener:
        echo_server(listener)
        equal(is_resumed(lab, port), False, "the first")
        # attlsd has the ticket soon.
        wait_for("a resumed session", lambda: is_resumed(lab, port))


@test
def test_exit_codes(lab):
    """0 done, 1 refused, 2 usage, 3 not reachable."""
    lab.policy(both(lab.next_port()))
    lab.attls("netstat")
    lab.attls("check", "/nonexistent", ok=1)
    lab.attls("nonsense", ok=2)
    lab.attls(ok=2)
    lab.stop_attlsd()
    lab.attls("reload", ok=3)
    lab.attls("netstat")


@test
def test_rules_by_user_and_job(lab):
    """Userid and Jobname pick the connections of one program."""
    port = lab.next_port()
    lab.policy(server(port) +
               client(port, cond="  Userid nobody\n  Jobname bash"))
    listener = listen(port)
    echo_server(listener)
    # The program's name is its first thread's: bash, not the test's python3.
    out = subprocess.run(
        ["setpriv", "--reuid=nobody", "--clear-groups", "bash", "-c",
         f"exec 3<>/dev/tcp/127.0.0.1/{port}; "
         f"echo {lab.marker.decode()} >&3; head -c 10 <&3"],
        capture_output=True, timeout=60, check=False)
    equal(out.stdout, lab.marker[:10], "answer")
    listener.close()


@test(clear=True)
def test_rule_of_another_user_does_not_match(lab):
    """The same connection by root: no rule, plain TCP."""
    port = lab.next_port()
    lab.policy(client(port, cond="  Userid nobody"))
    listener = listen(port)
    echo_server(listener)
    lab.works(port)
    listener.close()


@test(clear=True)
def test_disabled_rule_of_higher_priority(lab):
    """TTLSEnabled Off keeps a port clear in front of a wider rule."""
    port = lab.next_port()
    off = rule("off", "Outbound", port, "Server", group="Off",
               cond="  Priority 100")
    wide = client(port).replace(f"RemotePortRange {port}",
                                "RemotePortRange 1024 65535\n  Priority 10")
    lab.policy(off + wide)
    listener = listen(port)
    echo_server(listener)
    lab.works(port)
    listener.close()


def enable_at_levels(lab):
    """The rule names the actions of the level; a wrong one changes nothing."""
    line = "/etc/attls/policy.d/redis-server.conf"
    lab.attls("enable", "redis-client", "--level", "intermediate")
    for level in ("zos", "fips"):
        lab.attls("enable", "--level", level, "redis-server")
        equal(read(line), f"Preset 2026-11/redis-server {level}\n", "line")
        presets = json.loads(lab.attls("presets", "--json").stdout)
        equal({p["name"]: p["level"] for p in presets if p["enabled"]},
              {"redis-server": level, "redis-client": "intermediate"},
              "presets")
        with socket.create_connection(("127.0.0.1", 6379)) as s:
            lab.echoes(s)
            found = {c["environment"] for c in lab.conns()}
        equal(found, {f"{level}-server-2026-11",
                      "intermediate-client-2026-11"}, level)
        lab.attls("disable", "redis-server")
    out = lab.attls("enable", "redis-server", "--level", "none", ok=1)
    check("is none of modern, intermediate" in out.stderr, out)
    check(not os.path.exists(line), "it stays")
    lab.attls("disable", "redis-client")


@test
def test_presets(lab):
    """enable: a rule of attls in the policy of /etc; disable: none again."""
    top, rules = "/etc/attls", "/etc/attls/policy.d"
    os.makedirs(f"{top}/rings", exist_ok=True)
    for role in ("server", "client"):
        os.symlink(f"{TOP}/pki/ring-{role}", f"{top}/rings/{role}")
    listener = listen(6379)
    echo_server(listener)
    lab.policy("# nothing\n")
    lab.attls("load", f"{top}/policy.conf")
    for name in ("redis-server", "2026-11/redis-client"):
        lab.attls("enable", name)
    lab.attls("enable", "redis-server", ok=1)
    with socket.create_connection(("127.0.0.1", 6379)) as s:
        lab.echoes(s)
        found = {(c["rule"], c["protocol"]) for c in lab.conns()}
    equal(found, {("Default_Redis-Server", "TLSv1.3"),
                  ("Default_Redis-Client", "TLSv1.3")}, "connections")
    write(f"{rules}/broken.conf", "x")
    out = lab.attls("enable", "http-server", ok=1)
    check("broken.conf:1:1" in out.stderr, out)
    check(not os.path.exists(f"{rules}/http-server.conf"), "it stays")
    os.unlink(f"{rules}/broken.conf")
    for name in ("redis-server", "redis-client"):
        lab.attls("disable", name)
    enable_at_levels(lab)
    lab.attls("disable", "redis-client", ok=1)
    equal(json.loads(lab.attls("show", "--json").stdout)["rules"], [], "rules")
    for role in ("server", "client"):
        os.unlink(f"{top}/rings/{role}")
    listener.close()


@test(timeout=amount(600, 3600))
def test_matcher_in_the_kernel(lab):
    """The kernel finds the rules that attls explain does."""
    subprocess.run(["modprobe", "attls_match_test"], check=True)
    try:
        done = subprocess.run(
            ["/usr/lib/attls/tests/kernel_match", str(amount(200, 2000))],
            capture_output=True, text=True, check=False)
    finally:
        subprocess.run(["rmmod", "attls_match_test"], check=True)
    print(f"# {done.stdout.strip()}")
    equal(done.returncode, 0, f"{done}")
