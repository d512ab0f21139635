# SPDX-License-Identifier: GPL-2.0-only
"""Unmodified programs: files moved by rsync, FTP, ssh; iperf3."""
import json
import os
import shutil

from ktap import check, equal, test
from lab import TOP
from programs import MB, data_file, digest, load, secured, serve, write


def tree(lab, name, files=12):
    """A directory of files from one byte to some megabytes."""
    top = f"{TOP}/{name}"
    shutil.rmtree(top, ignore_errors=True)
    os.makedirs(f"{top}/deep/er")
    for i in range(files):
        data_file(lab, "part", (i * i * i * 2000 * (i % 3)) + i + 1)
        where = ("", "deep/", "deep/er/")[i % 3]
        os.rename(f"{TOP}/www/part", f"{top}/{where}file-{i}")
    return top


def empty(name):
    top = f"{TOP}/{name}"
    shutil.rmtree(top, ignore_errors=True)
    os.makedirs(top)
    return top


def same(one, other):
    load(["diff", "-r", one, other])


@test(timeout=300)
def test_program_rsync(lab):
    """A daemon: a tree is fetched, changed, and sent back."""
    port = lab.next_port()
    source, target, back = tree(lab, "source"), empty("target"), empty("back")
    conf = write("rsyncd.conf", f"""
use chroot = no
uid = root
gid = root
[source]
path = {source}
[back]
path = {back}
read only = no
""")
    at = f"rsync://127.0.0.1:{port}"
    with secured(lab, port, least=3):
        serve(lab, ["rsync", "--daemon", "--no-detach", f"--port={port}",
                    "--address=127.0.0.1", f"--config={conf}",
                    "--log-file=/dev/stderr"], port)
        load(["rsync", "-a", f"{at}/source/", f"{target}/"])
        same(source, target)
        load(["rsync", "-a", f"{target}/", f"{at}/back/"])
        same(target, back)
        with open(f"{target}/deep/er/file-11", "r+b") as f:
            f.seek(MB)
            f.write(lab.marker)
        load(["rsync", "-a", "--checksum", f"{target}/", f"{at}/back/"])
        same(target, back)


def vsftpd(lab, port, data_ports, upload):
    os.makedirs("/run/vsftpd/empty", exist_ok=True)
    shutil.chown(upload, "ftp")
    conf = write("vsftpd.conf", f"""
listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root={os.path.dirname(upload)}
anon_umask=022
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
pasv_min_port={data_ports[0]}
pasv_max_port={data_ports[1]}
secure_chroot_dir=/run/vsftpd/empty
""")
    return serve(lab, ["vsftpd", conf], port)


def lftp(port, mode, *commands):
    settings = ["ftp:ssl-allow no", "net:timeout 60", "net:max-retries 1",
                "cmd:fail-exit yes", *mode]
    script = [f"set {s}" for s in settings]
    script += [f"open 127.0.0.1 -p {port}", *commands, "bye"]
    return load(["lftp", "-c", "; ".join(script)])


def ftp(lab, data_ports, mode, files=12):
    """A listing, a tree there and back, three files at a time."""
    port = lab.next_port()
    os.chmod(TOP, 0o755)
    root, got = empty("ftp"), empty("got")
    os.rename(tree(lab, "source", files), f"{root}/source")
    if not files:
        write("ftp/source/empty", "")
    os.mkdir(f"{root}/upload")
    with secured(lab, port, "%d-%d" % data_ports, least=6 + files):
        vsftpd(lab, port, data_ports, f"{root}/upload")
        check("source" in lftp(port, mode, "ls"), "no listing")
        lftp(port, mode, f"mirror --parallel=3 source {got}/source")
        same(f"{root}/source", f"{got}/source")
        lftp(port, mode,
             f"mirror -R --parallel=3 {got}/source upload/source")
        same(f"{root}/source", f"{root}/upload/source")


@test(timeout=300)
def test_program_vsftpd(lab):
    """vsftpd and lftp: passive data connections, a rule by port range."""
    ftp(lab, (20000, 20020), ["ftp:passive-mode yes"])


ACTIVE = ["ftp:passive-mode no", "ftp:port-range 20100-20120",
          "ftp:port-ipv4 127.0.0.1"]


@test(timeout=300)
def test_program_vsftpd_active(lab):
    """Active ones: the server connects, and is the client of TLS."""
    ftp(lab, (20100, 20120), ACTIVE)


@test(timeout=300)
def test_program_vsftpd_empty_file(lab):
    """Who accepts a connection for an empty file closes it unused."""
    ftp(lab, (20100, 20120), ACTIVE, files=0)


def sshd(lab, port):
    os.makedirs("/run/sshd", exist_ok=True)
    for key in ("host", "user"):
        path = f"{TOP}/ssh-{key}"
        if not os.path.exists(path):
            load(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path])
    conf = write("sshd_config", f"""
ListenAddress 127.0.0.1:{port}
HostKey {TOP}/ssh-host
AuthorizedKeysFile {TOP}/ssh-user.pub
PermitRootLogin yes
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
""")
    serve(lab, ["/usr/sbin/sshd", "-D", "-e", "-f", conf], port)


@test(timeout=300)
def test_program_openssh(lab):
    """ssh with data through a remote cat, scp both ways."""
    port = lab.next_port()
    sha = data_file(lab, "file", 6 * MB)
    options = ["-o", "StrictHostKeyChecking=no", "-o",
               "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
               "-o", "BatchMode=yes", "-i", f"{TOP}/ssh-user"]
    ssh = ["ssh", *options, "-p", str(port), "root@127.0.0.1"]
    scp = ["scp", *options, "-P", str(port)]
    there, back = f"{TOP}/scp-there", f"{TOP}/scp-back"
    with secured(lab, port, least=4):
        sshd(lab, port)
        equal(load([*ssh, "cat"], input=lab.marker.decode() * 10000),
              lab.marker.decode() * 10000, "cat")
        check(sha in load([*ssh, f"sha256sum {TOP}/www/file"]), "sha256sum")
        load([*scp, f"{TOP}/www/file", f"root@127.0.0.1:{there}"])
        equal(digest(there), sha, "scp there")
        load([*scp, f"root@127.0.0.1:{there}", back])
        equal(digest(back), sha, "scp back")


IPERF3_SIZE = 16 * MB
IPERF3_BLOCK = 128 * 1024
IPERF3 = [
    [],
    ["--zerocopy"],
    ["--zerocopy", "--reverse"],
    ["--parallel", "4"],
    ["--bidir"],
]


def iperf3(port, marker, *options):
    """Bytes that its streams sent and received, each at least one.  The
    receiver stops when the sender says over the control connection that all
    is sent: on TCP, too, some of that is still on its way then.  It ends its
    sender in the middle of a write, whose block it does not count."""
    out = load(["iperf3", "-c", "127.0.0.1", "-p", str(port), "-J",
                "--extra-data", marker.decode(), "-n", str(IPERF3_SIZE),
                *options])
    end = json.loads(out)["end"]
    ways = [way for way in ("", "_bidir_reverse") if f"sum_sent{way}" in end]
    sent = [end[f"sum_sent{way}"]["bytes"] for way in ways]
    got = [end[f"sum_received{way}"]["bytes"] for way in ways]
    check(max(sent) >= IPERF3_SIZE and
          all(0 < g <= s + IPERF3_BLOCK for g, s in zip(got, sent)),
          f"{options}: sent {sent}, received {got}")
    return got[0]


@test(timeout=400)
def test_program_iperf3(lab):
    """Streams each way, sendfile; a file through it."""
    port = lab.next_port()
    data_file(lab, "file", IPERF3_SIZE)
    with secured(lab, port, least=2 * len(IPERF3) + 5):
        server = serve(lab, ["iperf3", "-s", "-p", str(port)], port)
        for options in IPERF3:
            iperf3(port, lab.marker, *options)
        server.stop()
        serve(lab, ["iperf3", "-s", "-p", str(port), "-F", f"{TOP}/iperf3"],
              port)
        got = iperf3(port, lab.marker, "-F", f"{TOP}/www/file")
        # What comes when the end was announced is written and not counted.
        with open(f"{TOP}/iperf3", "rb") as f, \
                open(f"{TOP}/www/file", "rb") as want:
            data = f.read()
            check(len(data) >= got, f"{len(data)} bytes written of {got}")
            equal(want.read().startswith(data), True, "file")
