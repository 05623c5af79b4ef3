#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cryo.py [-n ROUNDS] [CASE...]: wall time of the whole commands `cryo dump` and `cryo restore -d`.

Cases: sleep, threads (100), processes (51), memory (256 MiB touched).  Prints the median of the
rounds, the frozen time of the dump, and what CRIU 4.2 took on a two-core machine for comparison.
Needs root; run it in pid and mount namespaces of its own, so that numbers are free:

    unshare -pf --mount-proc --kill-child bench/cryo.py
"""
import os, re, shutil, signal, statistics, subprocess, sys, tempfile, time

CRYO = os.environ.get("CRYO_BIN", os.path.join(os.path.dirname(__file__), "../build/cryo"))
PYTHON = sys.executable
READY = 'open(sys.argv[1], "w").close()\n'

# name -> program (argv), CRIU's dump and restore in ms
CASES = {
    "sleep": (["sleep", "1000"], 12.7, 8.5),
    "threads": ([PYTHON, "-c", "import sys, threading, time\n"
                 "for _ in range(99):\n"
                 "    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n"
                 + READY + "time.sleep(1000)"], 92, 43),
    "processes": (["sh", "-c", "for i in $(seq 50); do sleep 1000 & done; : >$1; wait", "sh"],
                  457, 165),
    "memory": ([PYTHON, "-c", "import os, sys, time\ndata = bytearray(os.urandom(1 << 20)) * 256\n"
                + READY + "time.sleep(1000)"], 176, 217),
}


def run(*args):
    start = time.monotonic()
    subprocess.run([CRYO, *args], check=True, stdout=subprocess.PIPE)
    return (time.monotonic() - start) * 1000


def stats(directory):
    out = subprocess.run(["crit", "decode", "-i", directory + "/stats-dump"], check=True,
                         capture_output=True, text=True).stdout
    return int(re.search(r'"frozen_time": (\d+)', out).group(1)) / 1000


def end(pid):
    """The tree is re-parented to us or to init; its session ends with it."""
    for line in subprocess.run(["ps", "-s", str(pid), "-o", "pid="], capture_output=True,
                               text=True).stdout.split():
        os.kill(int(line), signal.SIGKILL)
    while os.path.exists(f"/proc/{pid}"):
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            pass
        time.sleep(0.005)


def one_round(argv, directory):
    shutil.rmtree(directory, ignore_errors=True)
    os.mkdir(directory)
    ready = directory + "/ready"
    program = subprocess.Popen(argv if argv[0] == "sleep" else argv + [ready],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)
    while argv[0] != "sleep" and not os.path.exists(ready):
        time.sleep(0.01)
    time.sleep(0.2)
    dump = run("dump", "-D", directory, "-t", str(program.pid), "-v0")
    program.wait()
    frozen = stats(directory)
    restore = run("restore", "-D", directory, "-d", "-v0")
    end(program.pid)
    return dump, restore, frozen


def main():
    args, rounds = sys.argv[1:], 7
    if args[:1] == ["-n"]:
        rounds, args = int(args[1]), args[2:]
    room = tempfile.mkdtemp(prefix="cryo-bench-")
    print(f"{'case':<10} {'dump ms':>8} {'(CRIU)':>8} {'restore ms':>10} {'(CRIU)':>8} {'frozen ms':>9}")
    for name in args or CASES:
        argv, criu_dump, criu_restore = CASES[name]
        got = [one_round(argv, room + "/images") for _ in range(rounds)]
        dump, restore, frozen = (statistics.median(v) for v in zip(*got))
        print(f"{name:<10} {dump:8.1f} {criu_dump:8.1f} {restore:10.1f} {criu_restore:8.1f} {frozen:9.1f}")
    shutil.rmtree(room)


main()
