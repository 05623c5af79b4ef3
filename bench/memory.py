#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Freeze and thaw of a container with much memory: the engine's own memory, and its rate against
what pwrite and pread past the page cache reach in the same run.

Run as root: bench/memory.py [MIB [ROUNDS]].  How to read it: docs/performance.md.
"""
import json, os, subprocess, sys, threading, time
from common import CRYOPOD, HERE, Engine, enter_box, judge, median, run, summary


def build():
    program = "/run/fill"
    run("cc", "-O2", "-static", "-o", program, os.path.join(HERE, "memory.c"))
    return program


class Peak(threading.Thread):
    """The largest resident memory of the cryopod command that runs: VmHWM, RssAnon in KiB."""

    def __init__(self, pid):
        super().__init__()
        self.pid, self.all, self.own = pid, 0, 0
        self.start()

    def run(self):
        try:
            while True:
                lines = open(f"/proc/{self.pid}/status").read()
                if "VmHWM" not in lines:  # it has ended
                    return
                value = {k: int(v.split()[0]) for k, v in
                         (l.split(":", 1) for l in lines.splitlines() if " kB" in l)}
                if os.readlink(f"/proc/{self.pid}/exe") == os.path.realpath(CRYOPOD):
                    self.all = max(self.all, value["VmHWM"])
                    self.own = max(self.own, value["RssAnon"])
                time.sleep(0.002)
        except (FileNotFoundError, ProcessLookupError):
            pass


def command(pod, *args):
    """Milliseconds, statistics, peak MB (all, without what is mapped from files)."""
    start = time.monotonic()
    p = subprocess.Popen([*pod.base, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    peak = Peak(p.pid)
    out, err = p.communicate()
    took = (time.monotonic() - start) * 1000
    peak.join()
    if p.returncode:
        sys.exit(f"{' '.join(args)}: {err.strip()}")
    stats = json.loads(out)["container_statistics"][0]["criu_statistics"]
    return took, stats, peak.all / 1024, peak.own / 1024


def raw(pod, program, mib, rounds):
    written, read = [], []
    for _ in range(rounds):
        w, r = run(program, "rate", pod.top + "/rate", str(mib))[1].split()
        written.append(float(w))
        read.append(float(r))
    return (median(f"pwrite of {mib} MiB past the page cache", written, unit="MB/s"),
            median(f"pread into fresh memory", read, unit="MB/s"))


def measure(pod, mib, rounds, processes, how, rates):
    name = f"{processes} x {mib // processes} MiB {how}"
    bytes_ = mib * 2**20 // (2 if how == "scattered" else 1)
    each = f"/bin/fill fill {mib // processes} {how} & " * processes
    pod("run", "-d", "--name", "m", "--network", "none", "bench", "sh", "-c", each + "wait")
    end = time.monotonic() + 60
    while pod("logs", "m")[1].count("ready") < processes:
        if time.monotonic() > end:
            sys.exit("the memory is not filled within a minute")
        time.sleep(0.1)
    frozen, freeze, thaw, part, everything, own = [], [], [], [], [], []
    for _ in range(rounds):
        took, stats, a, o = command(pod, "container", "checkpoint", "--print-stats", "m")
        freeze.append(took)
        frozen.append(stats["frozen_time"] / 1000)
        everything.append(a)
        own.append(o)
        took, stats, a, o = command(pod, "container", "restore", "--print-stats", "m")
        thaw.append(took)
        part.append(stats["restore_time"] / 1000)
        everything.append(a)
        own.append(o)
    pod("rm", "-f", "-t", "0", "m")
    print(f"-- {name}")
    m = median("processes frozen", frozen)
    w = bytes_ / m / 1000
    print(f"    {w:.0f} MB/s, {w / rates[0]:.2f} of pwrite's")
    median("checkpoint: whole command", freeze)
    m = median("restore: from the agent to running", part)
    w = bytes_ / m / 1000
    print(f"    {w:.0f} MB/s, {w / rates[1]:.2f} of pread's")
    median("restore: whole command", thaw)
    judge("the engine's memory, libraries included", max(everything), 30, "MB")
    print(f"    of that its own: {max(own):.1f} MB")


enter_box()
mib = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
program = build()
with Engine() as pod:
    pod.make_image(program)
    rates = raw(pod, program, mib, rounds)
    measure(pod, min(mib, 16), rounds, 1, "", rates)
    measure(pod, mib, rounds, 1, "", rates)
    measure(pod, mib, rounds, 1, "huge", rates)
    measure(pod, mib, rounds, 1, "scattered", rates)
    measure(pod, mib, rounds, 4, "", rates)
    summary()
