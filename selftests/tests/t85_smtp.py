# SPDX-License-Identifier: GPL-2.0-only
"""The STARTTLS programs of Documentation/api.rst, Postfix and OpenSSL."""
import contextlib
import os
import shutil
import subprocess

from ktap import check, equal, slow, test
from lab import TOP, client, server, wait_for
from programs import BUILT, explain, load, serve, write
from t84_api import ON, inetd

SERVICES = """
{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
relay unix - - n - - smtp
postlog unix-dgram n - n - 1 postlogd
"""

# What postfix(1) would make, in ten times the time.
QUEUES = ["data", *(f"queue/{name}" for name in (
    "active", "bounce", "corrupt", "defer", "deferred", "hold", "incoming",
    "maildrop", "private", "public"))]


@contextlib.contextmanager
def postfix(lab, port, relay):
    """Takes mail on a port, by TLS alone, and sends it on to another."""
    top = f"{TOP}/postfix"
    shutil.rmtree(top, ignore_errors=True)
    os.makedirs(f"{top}/queue/pid")
    for name in QUEUES:
        os.mkdir(f"{top}/{name}", 0o700)
        shutil.chown(f"{top}/{name}", "postfix", "postdrop")
    write("postfix/master.cf", SERVICES.format(port=f"127.0.0.1:{port}"))
    write("postfix/main.cf", f"""
compatibility_level = 3.6
maillog_file = /dev/stdout
queue_directory = {top}/queue
data_directory = {top}/data
myhostname = postfix.example
mydestination =
alias_maps =
relay_domains = example
fast_flush_domains =
relayhost = [127.0.0.1]:{relay}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = {lab.pki.key("server-ecdsa")},
    {lab.pki.cert("server-ecdsa")}
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = server.example
smtp_tls_CAfile = {lab.pki.cert("ca")}
smtp_tls_loglevel = 1
smtpd_tls_loglevel = 1
""")
    os.chmod(TOP, 0o755)
    process = serve(lab, ["/usr/lib/postfix/sbin/master", "-c", top, "-s"],
                    port)
    try:
        yield process
    except Exception:
        explain(process)
        raise
    finally:
        process.stop()


@test(timeout=300)
def test_program_postfix(lab):
    """A mail from the page's client to Postfix, which sends it on to the
    page's server."""
    first, second = lab.next_port(), lab.next_port()
    lab.policy(client(first, adv=ON) + server(second, adv=ON))
    text = lab.marker.decode()
    with inetd(lab, "starttls_server", second) as said, \
            postfix(lab, first, second) as program:
        load([f"{BUILT}/api_starttls_client", "127.0.0.1", str(first),
              "a@example", "b@example"], input=f"\n{text}\n.{text}\n")
        wait_for("the mail", lambda: f"\n.{text}\n" in said(), 60)
        check("TLS with cipher" in said(), said())
        log = wait_for("status=sent", lambda: "status=sent" in
                       program.text() and program.text(), 60)
        check("Verified TLS connection established to" in log, log)


@test
def test_program_s_client(lab):
    """openssl s_client -starttls smtp sends a mail."""
    port = lab.next_port()
    lab.policy(server(port, adv=ON))
    mail = ["EHLO client.example", "MAIL FROM:<a@example>",
            "RCPT TO:<b@example>", "DATA", lab.marker.decode(), ".", "QUIT"]
    with inetd(lab, "starttls_server", port) as said:
        out = subprocess.run(
            ["openssl", "s_client", "-starttls", "smtp", "-quiet",
             "-nocommands", "-crlf", "-connect", f"127.0.0.1:{port}",
             "-CAfile", lab.pki.cert("ca"), "-verify_return_error",
             "-verify_hostname", "server.example"],
            input="\n".join(mail) + "\n", capture_output=True, text=True,
            timeout=slow(60), check=False)
        equal(out.stdout.splitlines()[-2:], ["250 taken", "221 bye"],
              f"s_client: {out.stderr}")
        check(lab.marker.decode() in said(), "no mail")
