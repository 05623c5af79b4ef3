#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scale.py [-n ROUNDS] [KIND[=MAX]...]: cryo's dump and restore against the number of things.

Kinds: threads (10000), descriptors (100000), mappings (50000), processes (2000).  Of each an eighth,
a quarter, a half and all of MAX; medians; then what one more costs (us), and how much more it costs
in the upper half than in the lower one: 1 is linear, 2 is quadratic.  How to read it:
docs/performance.md.
"""
import os, re, shutil, signal, statistics, subprocess, sys, tempfile, time
from common import HERE, judge, run, summary

CRYO = os.environ.get("CRYO_BIN", os.path.join(HERE, "../build/cryo"))
KINDS = {"threads": 10000, "descriptors": 100000, "mappings": 50000, "processes": 2000}
NONLINEAR = 1.6  # noise allowed for


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
    start = time.monotonic()
    child = subprocess.Popen([CRYO, *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
    errors = child.communicate()[1]
    took = (time.monotonic() - start) * 1000
    if errors.strip():
        sys.exit(f"cryo {' '.join(args)}: {errors.strip()}")
    return took


def end(group):
    os.killpg(group, signal.SIGKILL)
    while any(os.path.exists(f"/proc/{group}/{f}") for f in ("stat",)):
        time.sleep(0.005)


def one_round(program, kind, n, room):
    # a new directory each time: ext4 does not like to use inodes again that were just deleted
    directory = tempfile.mkdtemp(dir=room)
    images = directory + "/images"
    os.mkdir(images)
    child = subprocess.Popen([program, kind, str(n), directory + "/ready"], start_new_session=True,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not os.path.exists(directory + "/ready"):
        if not os.path.exists(f"/proc/{child.pid}/stat"):
            sys.exit(f"many {kind} {n} has ended")
        time.sleep(0.01)
    time.sleep(0.2)
    dump = timed("dump", "-D", images, "-t", str(child.pid), "-v0")
    frozen = frozen_time(images)
    restore = timed("restore", "-D", images, "-d", "-v0")
    end(child.pid)
    return dump, restore, frozen


def measure(program, kind, most, rounds, room):
    print(f"{kind:<12} {'dump ms':>9} {'restore ms':>10} {'frozen ms':>10}")
    sizes, results = [most // 8, most // 4, most // 2, most], []
    for n in sizes:
        got = [one_round(program, kind, n, room) for _ in range(rounds)]
        results.append([statistics.median(v) for v in zip(*got)])
        print(f"{n:<12} {results[-1][0]:9.1f} {results[-1][1]:10.1f} {results[-1][2]:10.1f}",
              flush=True)
    for i, what in enumerate(("dump", "restore", "frozen")):
        t = [r[i] for r in results]
        lower = (t[2] - t[0]) / (sizes[2] - sizes[0])
        upper = (t[3] - t[2]) / (sizes[3] - sizes[2])
        slope = (t[3] - t[0]) / (sizes[3] - sizes[0])
        print(f"    {what}: {slope * 1000:.1f} us for each")
        judge(f"{what}: upper half against lower", upper / max(lower, 1e-6), NONLINEAR, "times")
    return results[-1]


enter_namespaces()
args, rounds = sys.argv[1:], 3
if args[:1] == ["-n"]:
    rounds, args = int(args[1]), args[2:]
kinds = {k: KINDS[k] for k in KINDS}
if args:
    kinds = {a.partition("=")[0]: int(a.partition("=")[2] or KINDS[a.partition("=")[0]]) for a in args}
room = tempfile.mkdtemp(prefix="cryo-scale-", dir="/var/lib")
try:
    program = room + "/many"
    cc = subprocess.Popen(["cc", "-O2", "-pthread", "-o", program, HERE + "/many.c"])
    cc.communicate()
    for kind, most in kinds.items():
        got = measure(program, kind, most, rounds, room)
        if kind == "threads" and most == 10000:
            judge("10,000 threads: dump and restore", got[0] + got[1], 3000)
    summary()
finally:
    shutil.rmtree(room)
