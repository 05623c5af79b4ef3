#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Freeze and thaw of the tutorial's container, against what the OCI runtime alone takes.

Run as root: bench/looper.py [ROUNDS].  Everything happens in one run, in namespaces of its own, with
a store under a temporary directory; medians and ratios count, not absolute times.
"""
import json, os, shutil, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
CRYOPOD = os.path.join(HERE, "..", "build", "cryopod")
LOOP = "i=0; while true; do echo $i; i=$(expr $i + 1); sleep 1; done"

if os.environ.get("CRYOPOD_BENCH_BOX") != "1":
    os.environ["CRYOPOD_BENCH_BOX"] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", "--ipc", "--pid", "--fork", "--kill-child",
                          "--mount-proc", os.path.join(HERE, "../tests/lib/box"),
                          sys.executable, os.path.abspath(__file__), *sys.argv[1:]])

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
top = tempfile.mkdtemp(prefix="cryopod-bench.", dir="/var/lib")
parent = os.environ.get("CRYOPOD_BENCH_CGROUP")
runtop = tempfile.mkdtemp(prefix="cryopod-bench.", dir="/run")  # a tmpfs, as on any host
base = [CRYOPOD, "--root", top + "/root", "--runroot", runtop]


def run(*args):
    start = time.monotonic()
    done = subprocess.run([*args], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    took = (time.monotonic() - start) * 1000
    if done.returncode:
        sys.exit(f"{' '.join(args)}: {done.stderr.strip()}")
    return took, done.stdout


def pod(*args):
    if parent and args[0] in ("run", "create"):
        args = (args[0], "--cgroup-parent", parent, *args[1:])
    return run(*base, *args)


def median(name, values, limit=None):
    m = statistics.median(values)
    verdict = "" if limit is None else f"  aim: <= {limit:.1f} ms: {'yes' if m <= limit else 'NO'}"
    print(f"{name:44s} {m:8.2f} ms  [{min(values):.2f} .. {max(values):.2f}]{verdict}", flush=True)
    return m


def make_image():
    root = top + "/rootfs"
    for d in "bin etc proc sys dev tmp root".split():
        os.makedirs(f"{root}/{d}")
    shutil.copy("/bin/busybox", root + "/bin/busybox")
    for applet in subprocess.check_output(["/bin/busybox", "--list"], text=True).split():
        if applet != "busybox":
            os.symlink("busybox", f"{root}/bin/{applet}")
    open(root + "/etc/passwd", "w").write("root:x:0:0:root:/root:/bin/sh\n")
    open(root + "/etc/group", "w").write("root:x:0:\n")
    run("tar", "-C", root, "-cf", top + "/image.tar", ".")
    pod("import", "-q", top + "/image.tar", "bench")


def runtime_alone():
    """runc create + start of a container's own config.json, without monitor and network."""
    pod("create", "--name", "spec", "--network", "none", "bench", "sleep", "1000")
    pod("init", "spec")
    static = json.loads(pod("inspect", "spec")[1])[0]["StaticDir"]
    bundle = top + "/bundle"
    os.makedirs(bundle)
    spec = json.load(open(static + "/config.json"))
    spec["root"]["path"] = top + "/rootfs"
    spec["mounts"] = [m for m in spec["mounts"] if "bind" not in m.get("options", [])]
    spec["linux"]["namespaces"] = [{"type": n["type"]} for n in spec["linux"]["namespaces"]]
    spec["linux"].pop("cgroupsPath", None)
    if parent:
        spec["linux"]["cgroupsPath"] = f"{parent}/cryopod-bench-{os.getpid()}"
    spec["process"]["args"] = ["/bin/sleep", "1000"]
    json.dump(spec, open(bundle + "/config.json", "w"))
    pod("rm", "-f", "-t", "0", "spec")
    times = []
    for i in range(rounds + 1):
        name = f"cryopod-bench-{os.getpid()}-{i}"
        start = time.monotonic()
        with open(os.devnull, "r+") as null:  # no pipes: the container would inherit them
            for verb in (["create", "--bundle", bundle], ["start"]):
                subprocess.run(["runc", "--root", runtop + "/runc-alone", *verb, name],
                               stdin=null, stdout=null, stderr=null, check=True)
        times.append((time.monotonic() - start) * 1000)
        run("runc", "--root", runtop + "/runc-alone", "delete", "-f", name)
    return times[1:]


def looper(runc):
    pod("run", "-d", "--name", "looper", "bench", "/bin/sh", "-c", LOOP)
    frozen, freeze, thaw, part = [], [], [], []
    for i in range(rounds + 1):
        took, out = pod("container", "checkpoint", "--print-stats", "looper")
        stats = json.loads(out)["container_statistics"][0]["criu_statistics"]
        took2, out = pod("container", "restore", "--print-stats", "looper")
        back = json.loads(out)["container_statistics"][0]["criu_statistics"]
        if i == 0:
            continue  # warm-up
        freeze.append(took)
        frozen.append(stats["frozen_time"] / 1000)
        thaw.append(took2)
        part.append(back["restore_time"] / 1000)
    pod("rm", "-f", "-t", "0", "looper")
    median("checkpoint: processes frozen", frozen, 5)
    median("checkpoint: whole command", freeze, 40)
    median("restore: from the agent to running", part, 15)
    m = median("restore: whole command", thaw)
    print(f"{'':44s} = runc create+start + {m - runc:.1f} ms; aim: conmon + 30 ms")


def starts(runc):
    bridge, none = [], []
    for i in range(rounds + 1):
        for net, into in (("bridge", bridge), ("none", none)):
            took, _ = pod("run", "-d", "--name", "s", "--network", net, "bench", "sleep", "1000")
            pod("rm", "-f", "-t", "0", "s")
            if i:
                into.append(took)
    a = median("run -d, no network", none)
    print(f"{'':44s} = runc create+start + {a - runc:.1f} ms; aim: 30 ms")
    b = median("run -d, bridge", bridge)
    print(f"{'':44s} network: {b - a:.1f} ms")


def listing():
    for i in range(50):
        pod("create", "--name", f"l{i}", "--network", "none", "bench", "true")
    median("ps -a with 50 containers", [pod("ps", "-a")[0] for _ in range(rounds)], 10)
    pod("rm", "-a")


try:
    make_image()
    alone = median("runc create + start", runtime_alone())
    looper(alone)
    starts(alone)
    listing()
finally:
    subprocess.run([*base, "rm", "-f", "-a", "-t", "0"], capture_output=True)
    netns = runtop + "/netns"
    for ns in os.listdir(netns) if os.path.isdir(netns) else []:
        subprocess.run(["umount", "-l", f"{netns}/{ns}"])
    shutil.rmtree(top, ignore_errors=True)
    shutil.rmtree(runtop, ignore_errors=True)
