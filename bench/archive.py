#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Archives of a container with incompressible memory: export and import against zstd and cp of the
same bytes, in the same run.  An export is on disk when it is done, so zstd and cp are timed until
what they wrote is there; an import leaves that to the kernel, so `zstd -d` may, too.

Run as root: bench/archive.py [MIB [ROUNDS]].  How to read it: docs/performance.md.
"""
import os, statistics, subprocess, sys, time
from common import HERE, Engine, enter_box, judge, run, summary


def shell(command):
    """Milliseconds."""
    start = time.monotonic()
    subprocess.run(["sh", "-c", command], check=True)
    return (time.monotonic() - start) * 1000


def rate(name, bytes_, values):
    m = statistics.median(values)
    print(f"{name:46s} {m:9.1f} ms  [{min(values):.1f} .. {max(values):.1f}]  {bytes_ / m / 1000:.0f} MB/s",
          flush=True)
    return m


def remove(*paths):
    for path in paths:
        if os.path.exists(path):
            os.unlink(path)


def measure(pod, mib, rounds):
    bytes_, t = mib * 2**20, pod.top
    raw, packed = t + "/bytes", t + "/bytes.zst"
    pod("run", "-d", "--name", "m", "--network", "none", "bench", "/bin/fill", "fill", str(mib), "random")
    end = time.monotonic() + 120
    while pod("logs", "m")[1].count("ready") < 1:
        if time.monotonic() > end:
            sys.exit("the memory is not filled within two minutes")
        time.sleep(0.1)
    # The same bytes as a file: what the memory image holds.
    pod("container", "checkpoint", "-R", "-c", "none", "-e", raw, "m")
    took = {}

    def note(what, value):
        took.setdefault(what, []).append(value)

    for _ in range(rounds):
        shell(f"cat {raw} >/dev/null")
        note("zstd", shell(f"zstd -q -1 -T0 <{raw} >{packed} && sync {packed}"))
        shell(f"cat {packed} >/dev/null")
        note("unzstd", shell(f"zstd -q -d <{packed} >{t}/out"))
        shell(f"sync {t}/out")
        remove(t + "/out", packed)
        note("cp", shell(f"cp --reflink=never {raw} {t}/out && sync {t}/out"))
        remove(t + "/out")
        for how in ("zstd", "none"):
            note("export " + how, pod("container", "checkpoint", "-c", how, "-e", f"{t}/{how}", "m")[0])
            pod("rm", "m")
            shell(f"cat {t}/{how} >/dev/null")
            note("import " + how, pod("container", "restore", "-i", f"{t}/{how}")[0])
            remove(f"{t}/{how}")
    m = {k: rate(k, bytes_, v) for k, v in took.items()}
    judge("export against zstd -1 -T0", m["zstd"] / m["export zstd"], 0.8, "x", least=True)
    judge("import against zstd -d", m["unzstd"] / m["import zstd"], 0.8, "x", least=True)
    judge("uncompressed export against cp", m["cp"] / m["export none"], 0.8, "x", least=True)


enter_box()
mib = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
program = "/run/fill"
run("cc", "-O2", "-static", "-o", program, os.path.join(HERE, "memory.c"))
with Engine() as pod:
    pod.make_image(program)
    measure(pod, mib, rounds)
    summary()
