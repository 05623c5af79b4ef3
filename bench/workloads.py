#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Freeze and thaw of real servers in the image of tests/workloads: for each, milliseconds frozen, of
the checkpoint, of the restore and to the first answer, against a cold start; MiB of images.

Run as root on a built tree: bench/workloads.py [-r ROUNDS] [NAME...].  The image is made at the first
run (two minutes).  "memcached1g" has 1 GiB of memory, against what pwrite and pread past the page cache reach in
the same run and directory; half a minute.  How to read it: docs/performance.md.
"""
import argparse, json, os, socket, statistics, subprocess, sys, time, urllib.request
from common import HERE, Engine, enter_box, judge, run, summary

TESTS = os.path.join(HERE, "../tests/workloads")


class Workloads(Engine):
    """An engine whose store has the image's layer from the cache, read-only."""

    def __enter__(self):
        cache = os.environ["CRYOPOD_WORKLOADS"] + "/store"
        root = self.top + "/root"
        os.makedirs(root + "/overlay")
        subprocess.run(f"cp -a {cache}/db.sqlite* {root}", shell=True, check=True)
        self.mounts = []
        for part in ["blobs", *("overlay/" + l for l in os.listdir(cache + "/overlay") if l[0] != ".")]:
            os.makedirs(f"{root}/{part}")
            run("mount", "--bind", f"{cache}/{part}", f"{root}/{part}")
            run("mount", "-o", "remount,bind,ro", f"{root}/{part}")
            self.mounts.append(f"{root}/{part}")
        return self

    def __exit__(self, *unused):
        subprocess.run([*self.base, "rm", "-f", "-a", "-t", "0"], capture_output=True)
        for m in self.mounts:
            run("umount", "-l", m)
        super().__exit__()


def talk(port, question, answer):
    """Is the answer to a line what it should begin with?"""
    def ask(ip):
        with socket.create_connection((ip, port), 1) as s:
            s.settimeout(1)
            s.sendall(question)
            return s.recv(100).startswith(answer)
    return ask


def http(port, path):
    return lambda ip: urllib.request.urlopen(f"http://{ip}:{port}/{path}", timeout=1).status == 200


def fill_memcached(size):
    """Values of 8 KB, each its own."""
    def fill(ip):
        value = lambda i: (b"%d " % i * 4000)[:8000]
        s = socket.create_connection((ip, 11211))
        f = s.makefile("rb")
        n = size // 8192
        for base in range(0, n, 32):
            s.sendall(b"".join(b"set k%d 0 0 8000\r\n%s\r\n" % (i, value(i)) for i in range(base, base + 32)))
            assert all(f.readline() == b"STORED\r\n" for i in range(32))

        def check():
            s = socket.create_connection((ip, 11211))
            f = s.makefile("rb")
            for i in range(n):
                s.sendall(b"get k%d\r\n" % i)
                assert f.readline() == b"VALUE k%d 0 8000\r\n" % i, i
                assert f.read(8007) == value(i) + b"\r\nEND\r\n", i
        return check
    return fill


MEMCACHED = talk(11211, b"version\r\n", b"VERSION")
APACHE = "a2dismod -q mpm_event; a2enmod -q mpm_{}; exec apachectl -D FOREGROUND >/dev/null 2>&1"
PG = ["/usr/lib/postgresql/15/bin/postgres", "-D", "/var/lib/postgresql/15/main", "-c", "listen_addresses=*",
      "-c", "config_file=/etc/postgresql/15/main/postgresql.conf", "-c", "external_pid_file=/tmp/pid",
      "-c", "unix_socket_directories=/tmp"]
TOMCAT = ["--tmpfs", "/tmp", "-e", "CATALINA_HOME=/usr/share/tomcat10", "-e", "CATALINA_BASE=/var/lib/tomcat10"]
# name: options, command, is it ready?, what it holds
SERVERS = {
    "memcached": ([], ["memcached", "-u", "memcache", "-m", "200"], MEMCACHED, fill_memcached(64 << 20)),
    "redis": ([], ["redis-server", "--protected-mode", "no", "--save", "", "--enable-debug-command", "yes"],
              talk(6379, b"PING\r\n", b"+PONG"),
              lambda ip: talk(6379, b"DEBUG POPULATE 200000\r\n", b"+OK")(ip) and None),
    "postgresql": (["--user", "postgres"], PG, talk(5432, b"\0\0\0\x08\x04\xd2\x16\x2f", b"S"), None),
    "apache-prefork": ([], ["sh", "-c", APACHE.format("prefork")], http(80, ""), None),
    "apache-event": ([], ["sh", "-c", APACHE.format("event")], http(80, ""), None),
    "nginx": ([], ["nginx", "-g", "daemon off;"], http(80, ""), None),
    "tomcat": (TOMCAT, ["/usr/share/tomcat10/bin/catalina.sh", "run"], http(8080, ""), None),
    "node": (["-v", TESTS + "/server.js:/server.js:ro"], ["node", "/server.js"], http(8000, ""), None),
    "python": (["-v", TESTS + "/server.py:/server.py:ro"], ["python3", "/server.py"],
               talk(8000, b"ping\r\n", b""), None),
    "memcached1g": ([], ["memcached", "-u", "memcache", "-m", "1200"], MEMCACHED, fill_memcached(920 << 20)),
}
MORE = {"python": ["--file-locks"]}  # its database is locked
FIRST_ANSWER = {"tomcat": 0.1}  # of its cold start


def answered(pod, ready, ip=None):
    """Waits for the first answer; the container's address, which a restore does not change."""
    ip = ip or pod("inspect", "--format", "{{.NetworkSettings.IPAddress}}", "w")[1].strip()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if ready(ip):
                return ip
        except OSError:
            pass
        time.sleep(0.002)
    sys.exit(pod("logs", "--tail", "20", "w")[1] + "no answer within a minute")


def quiet(pod):
    """Until who asked has gone: a connection would be refused."""
    pid = pod("inspect", "--format", "{{.State.Pid}}", "w")[1].strip()
    for _ in range(1000):
        if not any(l.split()[3] in ("01", "08") for f in ("tcp", "tcp6")
                   for l in open(f"/proc/{pid}/net/{f}").readlines()[1:]):
            return
        time.sleep(0.01)


def stats(out):
    return json.loads(out)["container_statistics"][0]["criu_statistics"]


def measure(pod, name, rounds):
    options, command, ready, fill = SERVERS[name]
    colds = []
    for _ in range(rounds if name in FIRST_ANSWER else 1):  # the first one may wait for the disk
        if colds:
            pod("rm", "-f", "-t", "0", "w")
        start = time.monotonic()
        pod("run", "-d", "--name", "w", *options, "localhost/debian:latest", *command)
        ip = answered(pod, ready)
        colds.append((time.monotonic() - start) * 1000)
    cold = statistics.median(colds)
    check = fill(ip) if fill else None
    directory = pod("inspect", "--format", "{{.StaticDir}}", "w")[1].strip() + "/checkpoint"
    v = {k: [] for k in ("frozen", "freeze", "thaw", "part", "first", "size")}
    for _ in range(rounds):
        quiet(pod)
        took, out = pod("container", "checkpoint", "--print-stats", *MORE.get(name, []), "w")
        v["freeze"].append(took)
        v["frozen"].append(stats(out)["frozen_time"] / 1000)
        v["size"].append(sum(os.stat(e).st_blocks for e in os.scandir(directory)) / 2048)
        start = time.monotonic()
        took, out = pod("container", "restore", "--print-stats", *MORE.get(name, []), "w")
        v["thaw"].append(took)
        v["part"].append(stats(out)["restore_time"] / 1000)
        answered(pod, ready, ip)
        v["first"].append((time.monotonic() - start) * 1000)
    if check:
        check()
    pod("rm", "-f", "-t", "0", "w")
    m = {k: statistics.median(x) for k, x in v.items()}
    print(f"{name:15s}{m['frozen']:9.1f}{m['freeze']:11.0f}{m['thaw']:9.0f}{m['first']:13.0f}"
          f"{cold:12.0f}{m['size']:9.1f}", flush=True)
    if name in FIRST_ANSWER:
        judge("first answer", m["first"], cold * FIRST_ANSWER[name])
    return m


def measure_gigabyte(pod, name, rounds):
    program = "/run/fill"
    run("cc", "-O2", "-static", "-o", program, os.path.join(HERE, "memory.c"))
    rates = [run(program, "rate", pod.top + "/root/rate", "1024")[1].split() for _ in range(rounds)]
    m = measure(pod, name, rounds)
    rates += [run(program, "rate", pod.top + "/root/rate", "1024")[1].split() for _ in range(rounds)]
    write, read = (statistics.median(float(r[i]) for r in rates) for i in (0, 1))
    print(f"    pwrite {write:.0f} MB/s, pread {read:.0f} MB/s; restore from the agent to running {m['part']:.0f} ms")
    size = m["size"] * (1 << 20)
    judge("frozen", m["frozen"], 1.2 * size / write / 1000)
    judge("restore", m["part"], 1.2 * size / read / 1000)


parser = argparse.ArgumentParser()
parser.add_argument("-r", "--rounds", type=int, default=3)
parser.add_argument("names", nargs="*", metavar="NAME", default=list(SERVERS))
args = parser.parse_args()
for n in args.names:
    if n not in SERVERS:
        sys.exit(f"{n}: one of {', '.join(SERVERS)}")
if "CRYOPOD_WORKLOADS" not in os.environ:  # where there is a network
    os.environ["CRYOPOD_WORKLOADS"] = subprocess.check_output([TESTS + "/image"], text=True).strip()
enter_box()
with Workloads() as pod:
    print(f"{'ms, medians':15s}{'frozen':>9s}{'checkpoint':>11s}{'restore':>9s}{'first answer':>13s}"
          f"{'cold start':>12s}{'MiB':>9s}")
    for n in args.names:
        (measure_gigabyte if n.endswith("1g") else measure)(pod, n, args.rounds)
    summary()
