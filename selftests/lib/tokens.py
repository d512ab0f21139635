# SPDX-License-Identifier: GPL-2.0-only
"""Tokens of PKCS#11, in SoftHSM."""
import contextlib
import fcntl
import glob
import os
import subprocess
import urllib.parse

TOKENS = "/var/lib/softhsm/tokens"
AWAY = "/var/lib/softhsm/away"


def softhsm(*args):
    return subprocess.run(["softhsm2-util", *args], check=True, text=True,
                          capture_output=True).stdout


class Token:
    """A token with a label; gone when the block is left."""

    def __init__(self, label, pin):
        self.label = label
        self.pin = pin

    def __enter__(self):
        softhsm("--init-token", "--free", "--label", self.label,
                "--so-pin", "so-" + self.pin, "--pin", self.pin)
        return self

    def __exit__(self, *_):
        softhsm("--delete-token", "--token", self.label)

    def key(self, path, number, label="a key"):
        """A private key out of a file of PKCS#8; number: its CKA_ID."""
        softhsm("--import", path, "--token", self.label, "--pin", self.pin,
                "--id", f"{number:02x}", "--label", label)

    def cert(self, path, number, label):
        url = "pkcs11:token=" + urllib.parse.quote(self.label)
        subprocess.run(["p11tool", "--batch", "--login", "--write",
                        "--load-certificate", path, "--id", f"{number:02x}",
                        "--label", label, url],
                       env={**os.environ, "GNUTLS_PIN": self.pin},
                       check=True, capture_output=True)

    def pair(self, cert, key, number, label):
        self.key(key, number, label)
        self.cert(cert, number, label)


def move(source, target):
    for name in os.listdir(source):
        os.rename(os.path.join(source, name), os.path.join(target, name))


@contextlib.contextmanager
def away():
    """All tokens are pulled out, and put back at the end."""
    os.mkdir(AWAY)
    try:
        move(TOKENS, AWAY)
        yield
    finally:
        move(AWAY, TOKENS)
        os.rmdir(AWAY)


@contextlib.contextmanager
def silent():
    """SoftHSM waits for locks that we have."""
    with contextlib.ExitStack() as stack:
        for path in glob.glob(f"{TOKENS}/*/*"):
            # pylint: disable-next=R1732
            f = stack.enter_context(open(path, "r+b"))
            fcntl.lockf(f, fcntl.LOCK_EX)
        yield


def signers():
    out = subprocess.run(["pgrep", "-x", "attls-sign"], text=True,
                         capture_output=True, check=False).stdout
    return {int(pid) for pid in out.split()}
