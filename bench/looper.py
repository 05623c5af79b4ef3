#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Freeze and thaw of the tutorial's container, against what the ready-made parts take alone.

Run as root: bench/looper.py [ROUNDS].  How to read it: docs/performance.md.
"""
import json, os, subprocess, sys, time
from common import PARENT, Engine, enter_box, judge, median, run, summary

LOOP = "i=0; while true; do echo $i; i=$(expr $i + 1); sleep 1; done"
NETAVARK = next((d + "/netavark" for d in ("/usr/lib/podman", "/usr/libexec/podman", "/usr/bin")
                 if os.access(d + "/netavark", os.X_OK)), None)


def runtime_alone(pod, rounds):
    """runc create + start of a container's own config.json, without monitor and network."""
    pod("create", "--name", "spec", "--network", "none", "bench", "sleep", "1000")
    pod("init", "spec")
    static = json.loads(pod("inspect", "spec")[1])[0]["StaticDir"]
    bundle = pod.top + "/bundle"
    os.makedirs(bundle)
    spec = json.load(open(static + "/config.json"))
    spec["root"]["path"] = pod.rootfs
    spec["mounts"] = [m for m in spec["mounts"] if "bind" not in m.get("options", [])]
    spec["linux"]["namespaces"] = [{"type": n["type"]} for n in spec["linux"]["namespaces"]]
    spec["linux"].pop("cgroupsPath", None)
    if PARENT:
        spec["linux"]["cgroupsPath"] = f"{PARENT}/cryopod-bench-{os.getpid()}"
    spec["process"]["args"] = ["/bin/sleep", "1000"]
    json.dump(spec, open(bundle + "/config.json", "w"))
    pod("rm", "-f", "-t", "0", "spec")
    times = []
    for i in range(rounds + 1):
        name = f"cryopod-bench-{os.getpid()}-{i}"
        start = time.monotonic()
        with open(os.devnull, "r+") as null:  # no pipes: the container would inherit them
            for verb in (["create", "--bundle", bundle], ["start"]):
                subprocess.run(["runc", "--root", pod.run_root + "/runc-alone", *verb, name],
                               stdin=null, stdout=null, stderr=null, check=True)
        times.append((time.monotonic() - start) * 1000)
        run("runc", "--root", pod.run_root + "/runc-alone", "delete", "-f", name)
    return times[1:]


def conmon_alone(pod, rounds):
    """conmon until it has left its daemon behind; `true` is its runtime."""
    d = pod.run_root + "/conmon-alone"
    os.makedirs(d)
    args = ["conmon", "--api-version", "1", "-c", "x", "-u", "x", "-n", "x", "-b", d,
            "-p", d + "/pid", "-r", "/bin/true", "-l", "none", "--exit-dir", d,
            "--log-level", "error"]
    return [run(*args)[0] for _ in range(rounds + 1)][1:]


def netavark_alone(rounds):
    """`netavark setup` of one container at a bridge."""
    times = []
    for i in range(rounds + 1):
        ns = f"bench{i}"
        run("ip", "netns", "add", ns)
        request = {
            "container_id": f"{i:064x}", "container_name": ns,
            "networks": {"bench": {"static_ips": [f"10.89.77.{i + 2}"], "interface_name": "eth0"}},
            "network_info": {"bench": {
                "name": "bench", "id": "b" * 64, "driver": "bridge", "network_interface": "bench0",
                "created": "2024-01-01T00:00:00Z", "ipv6_enabled": False, "internal": False,
                "subnets": [{"subnet": "10.89.77.0/24", "gateway": "10.89.77.1"}],
                "dns_enabled": False, "ipam_options": {"driver": "host-local"}}}}
        start = time.monotonic()
        done = subprocess.run([NETAVARK, "setup", "/run/netns/" + ns], input=json.dumps(request),
                              capture_output=True, text=True)
        times.append((time.monotonic() - start) * 1000)
        if done.returncode:
            sys.exit(f"netavark setup: {done.stdout}{done.stderr}")
        subprocess.run([NETAVARK, "teardown", "/run/netns/" + ns], input=json.dumps(request),
                       capture_output=True, text=True)
        run("ip", "netns", "del", ns)
    return times[1:]


def looper(pod, rounds, runc, conmon):
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
    judge("beyond runc create+start and conmon", m - runc - conmon, 30)


def starts(pod, rounds, runc, netavark):
    bridge, none = [], []
    for i in range(rounds + 1):
        for net, into in (("bridge", bridge), ("none", none)):
            took, _ = pod("run", "-d", "--name", "s", "--network", net, "bench", "sleep", "1000")
            pod("rm", "-f", "-t", "0", "s")
            if i:
                into.append(took)
    m = median("run -d, no network", none)
    judge("beyond runc create+start", m - runc, 30)
    m = median("run -d, bridge", bridge)
    judge("beyond runc create+start and netavark", m - runc - netavark, 30)


def listing(pod, rounds):
    for i in range(50):
        pod("create", "--name", f"l{i}", "--network", "none", "bench", "true")
    median("ps -a with 50 containers", [pod("ps", "-a")[0] for _ in range(rounds)], 10)
    pod("rm", "-a")


enter_box()
rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
with Engine() as pod:
    pod.make_image()
    runc = median("runc create + start alone", runtime_alone(pod, rounds))
    conmon = median("conmon alone", conmon_alone(pod, rounds))
    netavark = median("netavark setup alone", netavark_alone(rounds)) if NETAVARK else 0
    looper(pod, rounds, runc, conmon)
    if NETAVARK:
        starts(pod, rounds, runc, netavark)
    listing(pod, rounds)
    summary()
