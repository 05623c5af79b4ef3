#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scale.py [-n ROUNDS] [KIND[=MAX]...]: cryo's dump and restore against the number of things.

Kinds: threads (10000), descriptors (100000), mappings (50000), processes (2000).  Of each an eighth,
a quarter, a half and all of MAX; medians; then what one more costs (us, and bytes of cryo's own memory),
and how much more it costs in the upper half than in the lower one: 1 is linear, 2 is quadratic.
"hundred": how long 100 threads are frozen, of a C program and of Python.  How to read it:
docs/performance.md.
"""
import os, re, shutil, signal, statistics, subprocess, sys, tempfile, time
from common import HERE, judge, median, run, summary

CRYO = os.environ.get("CRYO_BIN", os.path.join(HERE, "../build/cryo"))
KINDS = {"threads": 10000, "descriptors": 100000, "mappings": 50000, "processes": 2000}
NONLINEAR = 1.6  # noise allowed for
MEMORY = 256  # MiB of cryo itself, at most
PYTHON = """
import sys, threading, time
for _ in range(99):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
open(sys.argv[1], "w").close()
time.sleep(1000)
"""


def enter_namespaces():
    """Numbers are free, and nothing is left behind."""
    if os.getpid() != 1:
        os.execvp("unshare", ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                              sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # this is init: orphans are reaped by the kernel


def frozen_time(directory):
    out = subprocess.Popen(["crit", "decode", "-i", directory + "/stats-dump"],
                           stdout=subprocess.PIPE, text=True).communicate()[0]
    return int(re.search(r'"frozen_time": (\d+)', out).group(1)) / 1000


def timed(*args):
    """Milliseconds, and MiB of memory at most."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # the kernel keeps the account for us
    start = time.monotonic()
    child = subprocess.Popen([CRYO, *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
    errors = child.stderr.read()
    _, child.returncode, usage = os.wait4(child.pid, 0)
    took = (time.monotonic() - start) * 1000
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass  # those of the tree that ended meanwhile
    except ChildProcessError:
        pass
    if errors.strip():
        sys.exit(f"cryo {' '.join(args)}: {errors.strip()}")
    return took, usage.ru_maxrss / 1024


def end(group):
    os.killpg(group, signal.SIGKILL)
    while any(os.path.exists(f"/proc/{group}/{f}") for f in ("stat",)):
        time.sleep(0.005)


def begin(room, *command):
    """A program that makes the file READY, its last argument, and what was made for it."""
    # a new directory each time: ext4 does not like to use inodes again that were just deleted
    directory = tempfile.mkdtemp(dir=room)
    images = directory + "/images"
    os.mkdir(images)
    child = subprocess.Popen([*command, directory + "/ready"], start_new_session=True,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not os.path.exists(directory + "/ready"):
        if not os.path.exists(f"/proc/{child.pid}/stat"):
            sys.exit(f"{' '.join(command)} has ended")
        time.sleep(0.01)
    time.sleep(0.2)
    return child.pid, images


def one_round(program, kind, n, room):
    pid, images = begin(room, program, kind, str(n))
    dump, dump_memory = timed("dump", "-D", images, "-t", str(pid), "-v0")
    frozen = frozen_time(images)
    restore, restore_memory = timed("restore", "-D", images, "-d", "-v0")
    end(pid)
    return dump, restore, frozen, dump_memory, restore_memory


def hundred(program, rounds, room):
    for name, command in (("C", [program, "threads", "100"]), ("Python", [sys.executable, "-c", PYTHON])):
        times = []
        for _ in range(2 * rounds + 1):
            pid, images = begin(room, *command)
            timed("dump", "-D", images, "-t", str(pid), "-v0")
            times.append(frozen_time(images))
        median(f"100 threads of {name}: frozen", times, 10)


def measure(program, kind, most, rounds, room):
    print(f"{kind:<12} {'dump ms':>9} {'restore ms':>10} {'frozen ms':>10} {'dump MiB':>9} {'restore MiB':>12}")
    sizes, results = [most // 8, most // 4, most // 2, most], []
    for n in sizes:
        got = [one_round(program, kind, n, room) for _ in range(rounds)]
        results.append([statistics.median(v) for v in zip(*got)])
        print("{:<12} {:9.1f} {:10.1f} {:10.1f} {:9.1f} {:12.1f}".format(n, *results[-1]), flush=True)
    for i, what in enumerate(("dump", "restore", "frozen")):
        t = [r[i] for r in results]
        lower = (t[2] - t[0]) / (sizes[2] - sizes[0])
        upper = (t[3] - t[2]) / (sizes[3] - sizes[2])
        slope = (t[3] - t[0]) / (sizes[3] - sizes[0])
        print(f"    {what}: {slope * 1000:.1f} us for each")
        judge(f"{what}: upper half against lower", upper / max(lower, 1e-6), NONLINEAR, "times")
    for i, what in ((3, "dump"), (4, "restore")):
        each = (results[3][i] - results[0][i]) / (sizes[3] - sizes[0]) * 1024 * 1024
        print(f"    {what}: {each:.0f} bytes of memory for each")
        judge(f"{what}: memory", results[3][i], MEMORY, "MiB")
    return results[-1]


enter_namespaces()
args, rounds = sys.argv[1:], 3
if args[:1] == ["-n"]:
    rounds, args = int(args[1]), args[2:]
kinds = {k: KINDS[k] for k in KINDS}
want_hundred = not args or "hundred" in args
args = [a for a in args if a != "hundred"]
if want_hundred and len(sys.argv) > 1 and not args and "hundred" in sys.argv:
    kinds = {}
if args:
    kinds = {a.partition("=")[0]: int(a.partition("=")[2] or KINDS[a.partition("=")[0]]) for a in args}
room = tempfile.mkdtemp(prefix="cryo-scale-", dir="/var/lib")
try:
    program = room + "/many"
    cc = subprocess.Popen(["cc", "-O2", "-pthread", "-o", program, HERE + "/many.c"])
    cc.communicate()
    if want_hundred:
        hundred(program, rounds, room)
    for kind, most in kinds.items():
        got = measure(program, kind, most, rounds, room)
        if kind == "threads" and most == 10000:
            judge("10,000 threads: dump and restore", got[0] + got[1], 3000)
    summary()
finally:
    shutil.rmtree(room)
