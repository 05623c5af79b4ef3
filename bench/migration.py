#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Live migration of a memcached of 1 GiB that is written to at 50 MB/s, between two roots and network namespaces.

Aim: 200 ms from the freeze to the word that it runs.  A client sees it too: from the last answer here to the first one
there, where another client tries to connect all the time.

    bench/migration.py [RUNS [MIB [MB_PER_S]]]
"""
import ctypes, json, os, random, shutil, socket, subprocess, sys, threading, time
from common import CRYOPOD, Engine, enter_box, judge, median, run, summary

VALUE = 8192
PORT = 11211
libc = ctypes.CDLL(None, use_errno=True)


def copy_with_libraries(program, root):
    shutil.copy(program, root + "/bin/")
    for word in subprocess.check_output(["ldd", program], text=True).split():
        if word.startswith("/"):
            os.makedirs(root + os.path.dirname(word), exist_ok=True)
            shutil.copy(word, root + word)


def enter(path):
    """This thread alone."""
    fd = os.open(path, os.O_RDONLY)
    if libc.setns(fd, 0x40000000):
        raise OSError(ctypes.get_errno(), path)
    os.close(fd)


def value(key, version):
    return f"{key}:{version}:".encode().ljust(VALUE, b"x")


def set_command(key, version, answer=""):
    return f"set k{key} 0 0 {VALUE}{answer}\r\n".encode() + value(key, version) + b"\r\n"


def get(s, key):
    s.sendall(f"get k{key}\r\n".encode())
    data = b""
    while not data.endswith(b"END\r\n"):
        piece = s.recv(65536)
        if not piece:
            raise OSError("closed")
        data += piece
    return data.split(b"\r\n", 1)[1][:VALUE] if data.startswith(b"VALUE") else None


class Load:
    """What is written, at a rate; and what was the last for each key."""

    def __init__(self, mib, rate):
        self.keys = (mib << 20) // VALUE
        self.rate = rate * 1000000
        self.versions = [0] * self.keys
        self.stop = False

    def fill(self):
        s = socket.create_connection(("127.0.0.1", PORT))
        for k in range(self.keys):
            s.sendall(set_command(k, 0, " noreply"))
        get(s, 0)

    def write(self):
        s = socket.create_connection(("127.0.0.1", PORT))
        s.settimeout(0.5)
        begun, sent, n = time.monotonic(), 0, 1
        while not self.stop:
            ahead = sent / self.rate - (time.monotonic() - begun)
            if ahead > 0:
                time.sleep(min(ahead, 0.01))
                continue
            k = random.randrange(self.keys)
            try:
                s.sendall(set_command(k, n))
                while not s.recv(64).endswith(b"STORED\r\n"):
                    pass
            except OSError:  # it is not here any more; this one may have got there, or not
                self.versions[k] = None
                return
            self.versions[k] = n
            n += 1
            sent += VALUE


class Client:
    """The last answer here, the first one there."""

    def __init__(self):
        self.last = self.first = 0

    def here(self):
        s = socket.create_connection(("127.0.0.1", PORT))
        s.settimeout(0.5)
        try:
            while True:
                get(s, 0)
                self.last = time.monotonic()
                time.sleep(0.001)
        except OSError:
            pass

    def there(self, ns):
        enter(ns)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", PORT), timeout=5) as s:
                    get(s, 0)
                    self.first = time.monotonic()
                    return
            except OSError:
                time.sleep(0.001)


def verify(load, ns, wrong):
    enter(ns)
    s = socket.create_connection(("127.0.0.1", PORT))
    for k, version in enumerate(load.versions):
        if version is not None and get(s, k) != value(k, version):
            wrong.append(k)


def thread(target, *args):
    t = threading.Thread(target=target, args=args, daemon=True)
    t.start()
    return t


def migrate_once(engine, other, ssh, ns, mib, rate):
    engine("run", "-d", "--name", "m", "--network", "host", "bench", "memcached", "-u", "root", "-m", str(mib * 5 // 4),
           "-l", "127.0.0.1", "-I", "1m")
    time.sleep(0.5)
    load, client, wrong = Load(mib, rate), Client(), []
    load.fill()
    threads = [thread(load.write), thread(client.here), thread(client.there, ns)]
    time.sleep(1)
    _, out = engine("container", "migrate", "--tcp-established", "--ssh", ssh, "--remote-command", " ".join(other.base),
                    "--format", "json", "m", "there")
    report = json.loads(out)
    threads[2].join(60)
    load.stop = True
    for t in threads:
        t.join(5)
    t = thread(verify, load, ns, wrong)
    t.join()
    subprocess.run(["nsenter", f"--net={ns}", *other.base, "rm", "-fat", "0"], capture_output=True)
    for i, r in enumerate(report["round"]):
        print(f"    round {i + 1}: {r['bytes'] / 1e6:7.1f} MB in {r['microseconds'] / 1e3:6.0f} ms, dirty "
              f"{r['dirtyBytesPerSecond'] / 1e6:5.1f} MB/s, expected {r['expectedDowntimeMicroseconds'] / 1e3:6.1f} ms")
    print(f"    down {report['downtimeMicroseconds'] / 1e3:.1f} ms: dump {report['dumpMicroseconds'] / 1e3:.1f}, "
          f"thaw {report['thawMicroseconds'] / 1e3:.1f}, agreement {report['agreementMicroseconds'] / 1e3:.1f}; "
          f"{report['lastBytes'] / 1e6:.1f} MB", flush=True)
    if wrong:
        sys.exit(f"{len(wrong)} of {load.keys} values are not the last that was stored")
    return report["downtimeMicroseconds"] / 1e3, (client.first - client.last) * 1e3, report["totalMicroseconds"] / 1e3


def main():
    runs, mib, rate = [int(v) for v in sys.argv[1:]] + [3, 1024, 50][len(sys.argv) - 1:]
    enter_box()
    with Engine() as engine, Engine() as other:
        ns, ssh = engine.top + "/ns", engine.top + "/ssh"
        open(ns, "w").close()
        subprocess.check_call(["unshare", f"--net={ns}", "ip", "link", "set", "lo", "up"])
        with open(ssh, "w") as f:
            f.write(f'#!/bin/sh\nshift\nexec nsenter --net={ns} sh -c "$*"\n')
        os.chmod(ssh, 0o755)
        root = engine.top + "/extra"
        os.makedirs(root + "/bin")
        copy_with_libraries(shutil.which("memcached"), root)
        engine.make_image()
        for d in os.listdir(root):
            subprocess.check_call(["cp", "-a", f"{root}/{d}", engine.rootfs])
        run("tar", "-C", engine.rootfs, "-cf", engine.top + "/image.tar", ".")
        engine("import", "-q", engine.top + "/image.tar", "bench")
        print(f"memcached of {mib} MiB, written to at {rate} MB/s", flush=True)
        try:
            all_runs = [migrate_once(engine, other, ssh, ns, mib, rate) for _ in range(runs)]
        finally:
            subprocess.run(["umount", ns])
    median("down, from the freeze to \"running\"", [r[0] for r in all_runs], 200)
    median("down, as a client sees it", [r[1] for r in all_runs], 200)
    median("all of it", [r[2] for r in all_runs])
    summary()


main()
