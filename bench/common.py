# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: a box of namespaces, a private engine, a small image, verdicts.

A benchmark is run as root on a built tree.  Everything happens in one run: medians and ratios count,
not absolute times.  On a machine that does other work, CRYOPOD_BENCH_CGROUP=/NAME puts the
containers below a cgroup of that name; join it yourself and give it a large cpu weight.
"""
import os, shutil, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
CRYOPOD = os.path.join(HERE, "..", "build", "cryopod")
PARENT = os.environ.get("CRYOPOD_BENCH_CGROUP")
verdicts = []


def enter_box():
    """Namespaces of our own: nothing of it is left behind, whatever happens."""
    if os.environ.get("CRYOPOD_BENCH_BOX") == "1":
        return
    os.environ["CRYOPOD_BENCH_BOX"] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", "--ipc", "--pid", "--fork", "--kill-child",
                          "--mount-proc", os.path.join(HERE, "../tests/lib/box"),
                          sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]])


def run(*args, **more):
    """Milliseconds and what it printed; an error ends the benchmark."""
    start = time.monotonic()
    done = subprocess.run([*args], stdin=more.get("stdin", subprocess.DEVNULL),
                          capture_output=True, text=True)
    took = (time.monotonic() - start) * 1000
    if done.returncode:
        sys.exit(f"{' '.join(args)}: {done.stderr.strip()}")
    return took, done.stdout


class Engine:
    """A store on disk, and a run root in a tmpfs, as /run is on any host."""

    def __init__(self):
        self.top = tempfile.mkdtemp(prefix="cryopod-bench.", dir="/var/lib")
        self.run_root = tempfile.mkdtemp(prefix="cryopod-bench.", dir="/run")
        self.base = [CRYOPOD, "--root", self.top + "/root", "--runroot", self.run_root]

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        subprocess.run([*self.base, "rm", "-f", "-a", "-t", "0"], capture_output=True)
        netns = self.run_root + "/netns"
        for ns in os.listdir(netns) if os.path.isdir(netns) else []:
            subprocess.run(["umount", "-l", f"{netns}/{ns}"])
        shutil.rmtree(self.top, ignore_errors=True)
        shutil.rmtree(self.run_root, ignore_errors=True)

    def __call__(self, *args):
        if PARENT and args[0] in ("run", "create"):
            args = (args[0], "--cgroup-parent", PARENT, *args[1:])
        return run(*self.base, *args)

    def make_image(self, *programs):
        """busybox and PROGRAMS as image "bench"; its root file system is self.rootfs."""
        root = self.rootfs = self.top + "/rootfs"
        for d in "bin etc proc sys dev tmp root".split():
            os.makedirs(f"{root}/{d}")
        for program in ("/bin/busybox", *programs):
            shutil.copy(program, root + "/bin/")
        for applet in subprocess.check_output(["/bin/busybox", "--list"], text=True).split():
            if applet != "busybox":
                os.symlink("busybox", f"{root}/bin/{applet}")
        open(root + "/etc/passwd", "w").write("root:x:0:0:root:/root:/bin/sh\n")
        open(root + "/etc/group", "w").write("root:x:0:\n")
        run("tar", "-C", root, "-cf", self.top + "/image.tar", ".")
        self("import", "-q", self.top + "/image.tar", "bench")


def judge(name, value, limit, unit="ms", least=False):
    good = value >= limit if least else value <= limit
    verdicts.append(good)
    print(f"    aim: {name} {'>=' if least else '<='} {limit:.1f} {unit}: "
          f"{value:.1f}, {'yes' if good else 'NO'}", flush=True)


def median(name, values, limit=None, unit="ms"):
    m = statistics.median(values)
    print(f"{name:42s} {m:9.2f} {unit}  [{min(values):.2f} .. {max(values):.2f}]", flush=True)
    if limit is not None:
        judge("median", m, limit, unit)
    return m


def summary():
    print(f"{sum(verdicts)} of {len(verdicts)} aims met")
