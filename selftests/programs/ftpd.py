#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""pyftpdlib as a program that controls AT-TLS (RFC 4217), with its loop as it
is: while TLS begins or ends the socket is silent, so nothing has to wait.

ftpd.py PORT IMPLICIT-PORT DIRECTORY [USER...]: on 127.0.0.1 and ::1; a USER
needs no password if the client has his certificate.
"""
import errno
import sys

import attls
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import DTPHandler, FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer


def going_on(call, sock):
    """Starts or stops TLS; it will be done when the socket is heard of."""
    try:
        call(sock)
    except attls.Error as error:
        if error.errno != errno.EINPROGRESS:
            raise


class Data(DTPHandler):
    """A data connection: its rule is that of the control connection."""

    def __init__(self, sock, cmd_channel):
        super().__init__(sock, cmd_channel)
        if self.connected and cmd_channel.private:
            going_on(attls.start, sock)


def command(syntax, argument):
    return {"perm": None, "auth": False, "arg": argument, "help": syntax}


class Control(FTPHandler):
    """A session: in clear until AUTH, and again after CCC."""

    dtp_handler = Data
    proto_cmds = FTPHandler.proto_cmds | {
        "AUTH": command("Syntax: AUTH TLS", True),
        "PBSZ": command("Syntax: PBSZ 0", True),
        "PROT": command("Syntax: PROT C|P", True),
        "CCC": command("Syntax: CCC", False),
    }
    known = ()
    private = False
    sized = False

    def __init__(self, conn, server, ioloop=None):
        super().__init__(conn, server, ioloop)
        self._extra_feats = ["AUTH TLS", "PBSZ", "PROT", "CCC"]

    def secure(self):
        return attls.query(self.socket).secure

    def change(self, reply, call):
        """What came behind the command, before the client knew our answer,
        was clear and must not be taken for what comes under TLS."""
        if self.ac_in_buffer:
            self.close()
            return
        self.respond(reply)
        going_on(call, self.socket)

    def ftp_AUTH(self, line):
        if self.secure():
            self.respond("503 TLS is on.")
        elif line.upper() in ("TLS", "TLS-C"):
            self.change("234 Go ahead.", attls.start)
        else:
            self.respond("504 AUTH TLS only.")

    def ftp_CCC(self, _line):
        if self.secure():
            self.change("200 Clear from now on.", attls.stop)
        else:
            self.respond("533 The command channel is clear.")

    def ftp_PBSZ(self, _line):
        if self.secure():
            self.sized = True
            self.respond("200 PBSZ=0")
        else:
            self.respond("503 AUTH first.")

    def ftp_PROT(self, line):
        if not self.sized:
            self.respond("503 PBSZ first.")
        elif line.upper() in ("C", "P"):
            self.private = line.upper() == "P"
            self.respond("200 PROT now " + line.upper())
        else:
            self.respond("504 PROT C or P.")

    def ftp_USER(self, line):
        if not self.secure():
            self.respond("530 AUTH first.")
        elif line in self.known and line == attls.names(self.socket).user:
            self.username = line
            self.handle_auth_success(self.authorizer.get_home_dir(line), "",
                                     "Known by certificate.")
        else:
            super().ftp_USER(line)


class Implicit(Control):
    """TLS from the first byte on."""

    def handle(self):
        going_on(attls.start, self.socket)
        super().handle()


def main():
    port, implicit, directory, *users = sys.argv[1:]
    authorizer = DummyAuthorizer()
    for user in ["tester", *users]:
        authorizer.add_user(user, "secret" if user == "tester" else None,
                            directory, perm="elradfmwMT")
    Control.authorizer = authorizer
    Control.known = users
    for host in ("127.0.0.1", "::1"):
        FTPServer((host, int(port)), Control)
        FTPServer((host, int(implicit)), Implicit)
    IOLoop.instance().loop()


if __name__ == "__main__":
    main()
