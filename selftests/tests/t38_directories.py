# SPDX-License-Identifier: GPL-2.0-only
"""CRLs of an LDAP directory, which is slapd."""
import base64
import os
import secrets
import shutil
import subprocess

from ktap import check, equal, test
from lab import TOP, client, listen, serve_one, server, wait_for
from programs import nginx, serve, write
from t30_faults import connect_errno, log_lines
from t38_revocation import (CDP_ON, Peer, both_answers, cdp, gsk, leaves,
                            publish)

CA = "CN=attls test ca"
READER = f"cn=reader,{CA}"
ENTRY = """dn: {dn}
objectClass: cRLDistributionPoint
cn: {cn}
"""


def entry(dn, **crls):
    """An entry as LDIF, with CRLs: c for certificates, a for CAs."""
    text = ENTRY.format(dn=dn, cn=dn.split(",")[0].split("=")[1])
    for key, name in (("c", "certificate"), ("a", "authority")):
        if key in crls:
            value = base64.b64encode(crls[key]).decode()
            text += f"{name}RevocationList;binary:: {value}\n"
    return text + "\n"


class Directory:
    """slapd with a tree for each top; its log has what it is asked."""

    def __init__(self, lab, port, trees, password="", access="read"):
        self.home = f"{TOP}/slapd-{port}"
        os.makedirs(self.home)
        text = ["include /etc/ldap/schema/core.schema",
                f"pidfile {self.home}/pid", "modulepath /usr/lib/ldap",
                "moduleload back_mdb"]
        for i, top in enumerate(trees):
            os.mkdir(f"{self.home}/{i}")
            text += ["database mdb", f'suffix "{top}"', "maxsize 10485760",
                     f"directory {self.home}/{i}",
                     f"access to * by * {access}"]
            if password and top == CA:
                text += [f'rootdn "{READER}"', f"rootpw {password}"]
        conf = write(f"slapd-{port}/conf", "\n".join(text) + "\n")
        for top, ldif in trees.items():
            subprocess.run(["slapadd", "-q", "-f", conf, "-b", top],
                           input=ldif, text=True, check=True)
        self.process = serve(lab, [
            "slapd", "-f", conf, "-d", "stats",
            "-h", f"ldap://127.0.0.1:{port}/ ldap://[::1]:{port}/"], port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.home)

    def stop(self):
        self.process.stop()

    def heard(self, *words):
        return [line for line in self.process.text().splitlines()
                if all(word in line for word in words)]


def ldap(port, *lines):
    more = "\n".join(lines)
    return f"""
    TTLSGskLdapParms
    {{
      GSK_LDAP_SERVER 127.0.0.1
      GSK_LDAP_SERVER_PORT {port}
{more}
    }}"""


def load(lab, text):
    """A policy with a password: not for everybody to read."""
    lab.policy("# no rule\n")
    path = lab.write_policy(text, "secret.conf")
    os.chmod(path, 0o600)
    return lab.attls("check", path).stderr, lab.attls("load", path)


def on_wire(lab, word):
    return any(wire.found(word.encode()) for wire in lab.wires)


@test
def test_crl_of_a_directory(lab):
    """The issuer's entry has it, and it is kept."""
    port = lab.next_port()
    leaves(lab)
    with Directory(lab, port, {CA: entry(CA, c=lab.pki.crl(["bad"]))}) as d:
        both_answers(lab, gsk(ldap(port)))
        check(d.heard("SRCH", f'base="{CA.lower()}"'), d.process.text())
        with Peer(lab, "good") as peer:
            lab.policy(peer.rule(gsk("RevocationSecurityLevel High" + ldap(
                port, "GSK_CRL_SECURITY_LEVEL High"))))
            lab.works(peer.port)
            d.stop()
            # Two workers: one of them may have to ask.
            wait_for("the answer that was kept",
                     lambda: connect_errno(peer.port) == 0 or None)


@test
def test_directory_that_is_not_kept(lab):
    """GSK_CRL_CACHE_TIMEOUT 0: each handshake asks."""
    port = lab.next_port()
    leaves(lab)
    with Directory(lab, port, {CA: entry(CA, c=lab.pki.crl(["bad"]))}) as d, \
            Peer(lab, "good") as peer:
        lab.policy(peer.rule(gsk(ldap(port, "GSK_CRL_CACHE_TIMEOUT 0"))))
        for n in (1, 2, 3):
            lab.works(peer.port)
            equal(len(d.heard("SRCH", "base=")), n, "searches")


@test
def test_directory_security_level(lab):
    """Nobody listens; nobody has a CRL; who has one has not the right one."""
    port, nobody = lab.next_port(), lab.next_port()
    leaves(lab)

    def look(where, level, rc="", word="", more=""):
        with Peer(lab, "good") as peer:
            lab.policy(peer.rule(gsk(more + ldap(
                where, f"GSK_CRL_SECURITY_LEVEL {level}"))))
            if rc:
                peer.refused(rc, "no revocation status", word)
            else:
                lab.works(peer.port)

    look(nobody, "Low")
    look(nobody, "Medium", "RC: 427", "refused")
    look(nobody, "High", "RC: 427", "refused")
    with Directory(lab, port, {CA: entry(CA)}):
        look(port, "Low")
        look(port, "Medium")
        look(port, "High", "RC: 436", "no CRL there")
        look(port, "Medium", "RC: 436", "no CRL there",
             "RevocationSecurityLevel High")
    # A list of CAs says nothing of others.
    forged = lab.pki.crl(["bad"], signer="otherca")
    with Directory(lab, port, {CA: entry(CA, a=lab.pki.crl())}):
        look(port, "High", "RC: 436", "no CRL there")
    with Directory(lab, port, {CA: entry(CA, c=forged)}):
        look(port, "Low", "RC: 436", "signature")


@test
def test_password_of_a_directory(lab):
    """Who has it sees the CRL; a wrong one is refused at each level."""
    port = lab.next_port()
    password, wrong = secrets.token_hex(16), secrets.token_hex(16)
    leaves(lab)
    user = f'GSK_LDAP_USER "{READER}"\nGSK_LDAP_USER_PW '
    tree = {CA: entry(CA, c=lab.pki.crl(["bad"]))}
    with Directory(lab, port, tree, password, "none") as d, \
            Peer(lab, "good") as good, Peer(lab, "bad") as bad:
        high = "GSK_CRL_SECURITY_LEVEL High"
        action = gsk(ldap(port, high, user + password))
        said, _ = load(lab, good.rule(action) + bad.rule(action))
        check("in clear" in said, f"no warning: {said}")
        lab.works(good.port)
        bad.refused("RC: 431", "revoked")
        check(d.heard("BIND", READER.lower()), d.process.text())
        check(on_wire(lab, password), "the wire has no password")
        low = "GSK_CRL_SECURITY_LEVEL Low"
        load(lab, good.rule(gsk(ldap(port, low, user + wrong))))
        good.refused("RC: 436", "Invalid credentials")
        load(lab, good.rule(gsk(ldap(port, high))))
        good.refused("RC: 436", "no CRL there")
        for word in (password, wrong):
            check(word not in lab.attlsd.text(), "the log has a password")


@test
def test_directory_under_a_rule(lab):
    """The fetcher's own connection is TLS: its password is not to be seen."""
    port = lab.next_port()
    password = secrets.token_hex(16)
    leaves(lab)
    action = gsk(ldap(port, f'GSK_LDAP_USER "{READER}"',
                      f"GSK_LDAP_USER_PW {password}"))
    tree = {CA: entry(CA, c=lab.pki.crl(["bad"]))}
    with Directory(lab, port, tree, password, "none") as d, \
            Peer(lab, "good") as good, Peer(lab, "bad") as bad:
        said, _ = load(lab, good.rule(action) + bad.rule(action) +
                       server(port) +
                       client(port, cond="  Jobname attls-fetch"))
        check("in clear" not in said, f"a warning: {said}")
        lab.works(good.port)
        bad.refused("RC: 431", "revoked")
        check(d.heard("BIND", READER.lower()), d.process.text())
        check(not on_wire(lab, password), "the wire has the password")


@test
def test_next_directory(lab):
    """The first server is gone; one that says nothing costs its time."""
    port, nobody = lab.next_port(), lab.next_port()
    leaves(lab)
    two = ldap(nobody, f"GSK_LDAP_SERVER [::1]:{port}")
    with Directory(lab, port, {CA: entry(CA, c=lab.pki.crl(["bad"]))}):
        both_answers(lab, gsk(two))
    silent = listen(port)
    try:
        with Peer(lab, "good") as peer:
            lab.policy(peer.rule(gsk(ldap(port, "LDAPResponseTimeout 1"))))
            peer.refused("RC: 427", "no revocation status")
    finally:
        silent.close()


@test
def test_crl_of_a_lying_directory(lab):
    """Half a message, one of 2 GB, one entry after the other, the end."""
    port = lab.next_port()
    leaves(lab)
    # The answer to the first request: entry CN=x, with attribute a of xxx.
    found = bytes.fromhex("3019020101" "6414" "0404434e3d78" "300c" "300a"
                          "040161" "3105" "0403787878")
    listener = listen(port)
    action = gsk(ldap(port, "LDAPResponseTimeout 1"))
    try:
        with Peer(lab, "good") as peer:
            lab.policy(peer.rule(action))
            for words, again in ((b"\x30\x84\0", False),
                                 (b"\x30\x84\x7f\xff\xff\xff\0", True),
                                 (found, True), (b"", False)):
                def lie(s, words=words, again=again):
                    s.recv(4096)
                    s.sendall(words)
                    while again:
                        s.sendall(words * 100)
                    return words and s.recv(1)
                thread, _ = serve_one(listener, lie)
                peer.refused("RC: 427", "no revocation status")
                thread.join()
    finally:
        listener.close()


@test
def test_entry_of_the_certificate(lab):
    """Its distribution point is a name, or one of several sources."""
    port, web = lab.next_port(), lab.next_port()
    conf = write("point.cnf", """[req]
distinguished_name = nothing
[nothing]
[leaf]
crlDistributionPoints = point
[point]
fullname = dirName:entry
[entry]
O = Example
CN = crl 1
""")
    for name in ("good", "bad"):
        lab.pki.leaf(name, options=("-config", conf, "-extensions", "leaf"))
    top = "O=Example"
    org = f"dn: {top}\nobjectClass: organization\no: Example\n\n"
    trees = {CA: entry(CA, c=lab.pki.crl()),
             top: org + entry(f"CN=crl 1,{top}", c=lab.pki.crl(["bad"]))}
    with Directory(lab, port, trees) as d:
        both_answers(lab, gsk(ldap(port)))
        check(not d.heard("SRCH", CA.lower()), d.process.text())
    # HTTP comes first, and who answers decides.
    leaves(lab, cdp(web))
    publish("ca.crl", lab.pki.crl(["bad"]))
    nginx(lab, web)
    both_answers(lab, gsk(CDP_ON + ldap(port)))


@test
def test_revoked_authority(lab):
    """A CA between is on the list of CAs that its own CA has."""
    port = lab.next_port()
    lab.pki.leaf("sub", "basicConstraints=critical,CA:TRUE",
                 "keyUsage=critical,keyCertSign,cRLSign", cn="sub.example")
    lab.pki.leaf("good", ca="sub")
    with open(lab.pki.cert("good"), "a", encoding="ascii") as chain, \
            open(lab.pki.cert("sub"), encoding="ascii") as sub:
        chain.write(sub.read())
    name = "CN=sub.example"
    for revoked in ([], ["sub"]):
        trees = {CA: entry(CA, a=lab.pki.crl(revoked)),
                 name: entry(name, c=lab.pki.crl(ca="sub"))}
        with Directory(lab, port, trees), Peer(lab, "good") as peer:
            lab.policy(peer.rule(gsk(ldap(
                port, "GSK_CRL_SECURITY_LEVEL High"))))
            if revoked:
                peer.refused("RC: 431", "sub.example", "revoked")
            else:
                lab.works(peer.port)
