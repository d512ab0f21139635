# SPDX-License-Identifier: GPL-2.0-only
"""libattls."""
import os
import re
import subprocess

from ktap import check, equal, test
from lab import read

LIB = f"{os.path.dirname(__file__)}/../../lib"


@test
def test_api_library_and_its_page(_lab):
    """One list of functions in header, manual page and library, which needs
    no other library."""
    def names(text, pattern):
        return sorted(set(re.findall(pattern, text, re.M)))
    path = "/usr/lib/libattls.so.0"
    exported = subprocess.run(["nm", "-D", "--defined-only", path],
                              capture_output=True, text=True, check=True)
    has = names(exported.stdout, r" T (attls_\w+)")
    check(len(has) >= 10, f"{has}")
    header = read(f"{LIB}/attls/attls.h")
    equal(names(header, r"^[a-z].*\b\*?(attls_\w+)\("), has, "header")
    page = read("/usr/share/man/man3/libattls.3")
    equal(names(page, r"^\.Nm (attls_\w+)"), has, "NAME of the page")
    equal(names(page, r'^\.Fn (attls_\w+) (?:"|void)'), has, "its SYNOPSIS")
    needed = subprocess.run(["readelf", "-d", path], capture_output=True,
                            text=True, check=True).stdout
    wrong = [lib for lib in re.findall(r"NEEDED.*\[(.*)\]", needed)
             if not re.match(r"libc\.so|ld-linux", lib)]
    equal(wrong, [], "libraries it needs")
