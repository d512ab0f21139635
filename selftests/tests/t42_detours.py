# SPDX-License-Identifier: GPL-2.0-only
"""How calls about sockets come to the module: all of the ways, or none."""
import contextlib
import errno
import os
import re
import socket
import subprocess

import sockopt
import ttls
from ktap import check, equal, test
from lab import MODULE, both, echo_server, listen, read

DETOUR = os.path.join(os.path.dirname(__file__), "../../kmod/detour.c")


def functions():
    """Those that the module puts a probe on, as far as the kernel has them."""
    wanted = re.findall(r'^\tPROBE\("(\w+)"', read(DETOUR), re.M)
    known = read("/proc/kallsyms")
    return [name for name in wanted if re.search(rf" [tT] {name}$", known,
                                                 re.M)]


@contextlib.contextmanager
def patched(name):
    """Nobody else may send callers of this function elsewhere."""
    subprocess.run(["modprobe", "attls_patched_test", f"function={name}"],
                   check=True)
    try:
        yield
    finally:
        subprocess.run(["rmmod", "attls_patched_test"], check=True)


def has_no_detours(name):
    """The calls are the kernel's own, which know nothing of ours."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with socket.socket(family) as s:
            equal(ttls.call(s)[0], errno.ENOTTY, f"{name}: ioctl")
            equal(sockopt.put_raw(s, sockopt.ALPN, b"", 0),
                  errno.ENOPROTOOPT, f"{name}: setsockopt")
            err, _ = sockopt.get_raw(s, sockopt.ALPN, bytes(8), 8)
            check(err in (errno.EOPNOTSUPP, errno.ENOPROTOOPT),
                  f"{name}: getsockopt: {err}")


def fails_to_load(lab, name):
    done = subprocess.run(["modprobe", "attls"], capture_output=True,
                          text=True, check=False)
    check(done.returncode and "busy" in done.stderr, f"{name}: {done}")
    for path in (MODULE, "/dev/attls"):
        check(not os.path.exists(path), f"{name}: there is {path}")
    check(any(f"need a kprobe on {name}," in line and "live patch" in line
              for line in lab.klog()), f"{name}: nothing in the log")


@test(timeout=120)
def test_detour_of_a_patched_function(lab):
    """One probe that fails, whichever it is: the module does not load, takes
    the others away, and loads when it can."""
    names = functions()
    check(len(names) >= 5, f"{names}")
    with lab.unloaded():
        for name in names:
            with patched(name):
                fails_to_load(lab, name)
                has_no_detours(name)
    port = lab.next_port()
    lab.start_attlsd(both(port))
    with listen(port) as listener:
        echo_server(listener)
        lab.works(port)
