#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""pyftpdlib as a program that controls AT-TLS (RFC 4217), with its loop as it
is: while TLS begins or ends the socket is silent, so nothing has to wait.

ftpd.py [--session-reuse HOW] [--ccc-first WHO] PORT IMPLICIT-PORT DIRECTORY
[USER...]: on 127.0.0.1 and ::1; a USER needs no password if the client has his
certificate.

HOW is as in SECURE_SESSION_REUSE of z/OS: may the private data connections of
a client resume the session of its control connection, for which it gets
tickets in time (ALLOWED), must they (REQUIRED), or is it all the same (NONE)?

WHO sends the first close_notify after CCC: the server, or the client.
"""
import argparse
import errno

import attls
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import DTPHandler, FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.log import logger
from pyftpdlib.servers import FTPServer


def going_on(call, sock):
    """Starts or stops TLS; it will be done when the socket is heard of."""
    try:
        call(sock)
    except attls.Error as error:
        if error.errno != errno.EINPROGRESS:
            raise


def is_secure(sock):
    try:
        return attls.query(sock).secure
    except attls.Error:
        return False


class Data(DTPHandler):
    """A data connection: its rule is that of the control connection."""

    def __init__(self, sock, cmd_channel):
        super().__init__(sock, cmd_channel)
        if self.connected and cmd_channel.private:
            self.protect()

    def protect(self):
        if self.cmd_channel.reuse == "REQUIRED":
            attls.set_session(self.socket, self.cmd_channel.session, True)
        going_on(attls.start, self.socket)

    def handle_close(self):
        """An upload that has been reset is no file that has come."""
        if self.receive and self.cmd_channel.private and \
                not is_secure(self.socket):
            self._resp = ("426 Not under TLS to its end.", logger.warning)
            self.close()
        else:
            super().handle_close()


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
    reuse = "NONE"
    first = "server"
    ending = False
    session = None
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
        if not self.secure():
            self.respond("533 The command channel is clear.")
        elif self.first == "server":
            self.change("200 Clear from now on.", attls.stop)
        else:
            self.respond("200 Clear from your close_notify on.")
            self.ending = True

    def handle_close(self):
        """After CCC that is the client's close_notify.  If it is the end of
        the connection, STOP fails, and that ends the session too."""
        if self.ending:
            self.ending = False
            going_on(attls.stop, self.socket)
        else:
            super().handle_close()

    def ftp_PBSZ(self, _line):
        if self.secure():
            self.sized = True
            self.session = attls.session(self.socket)
            self.respond("200 PBSZ=0")
        else:
            self.respond("503 AUTH first.")

    def can_protect(self):
        return self.session or self.reuse != "REQUIRED"

    def send_ticket(self):
        """For the data connection behind the next, as it is sent while we go
        on.  TLS 1.2 resumes without, and after CCC there is no way for it."""
        if self.reuse == "NONE" or not self.private or not self.secure():
            return
        try:
            attls.send_ticket(self.socket)
        except attls.Error as error:
            if error.errno != errno.EOPNOTSUPP:
                raise

    def _make_epasv(self, extmode=False):
        self.send_ticket()
        super()._make_epasv(extmode)

    def _make_eport(self, ip, port):
        self.send_ticket()
        super()._make_eport(ip, port)

    def ftp_PROT(self, line):
        if not self.sized:
            self.respond("503 PBSZ first.")
        elif line.upper() == "P" and not self.can_protect():
            self.respond("536 The session cannot be resumed.")
        elif line.upper() in ("C", "P"):
            self.private = line.upper() == "P"
            self.send_ticket()
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
    parser = argparse.ArgumentParser()
    parser.add_argument("--session-reuse", default="NONE",
                        choices=("NONE", "ALLOWED", "REQUIRED"))
    parser.add_argument("--ccc-first", default="server",
                        choices=("server", "client"))
    parser.add_argument("port", type=int)
    parser.add_argument("implicit", type=int)
    parser.add_argument("directory")
    parser.add_argument("users", nargs="*")
    args = parser.parse_args()
    authorizer = DummyAuthorizer()
    for user in ["tester", *args.users]:
        authorizer.add_user(user, "secret" if user == "tester" else None,
                            args.directory, perm="elradfmwMT")
    Control.authorizer = authorizer
    Control.known = args.users
    Control.reuse = args.session_reuse
    Control.first = args.ccc_first
    for host in ("127.0.0.1", "::1"):
        FTPServer((host, args.port), Control)
        FTPServer((host, args.implicit), Implicit)
    IOLoop.instance().loop()


if __name__ == "__main__":
    main()
