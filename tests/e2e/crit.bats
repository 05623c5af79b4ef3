# SPDX-License-Identifier: Apache-2.0
# CRIU's own tool reads what a container's checkpoint consists of: every image, and its explorers.

load ../lib/helpers
setup_file() {
	engine_setup
	[ "$PROG" != podman ] || return 0
	cryopod run -d --name c --network none --tmpfs /x -v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro $IMAGE sh -c "
		echo tmpfs >/x/f; exec 5</x/f 6<>/tmp/gone; rm /tmp/gone
		sleep 1000 | cat & sleep 1000 & kill -STOP \$!
		/usr/bin/python3 -c '
import mmap, os, select, signal, threading, time
z = os.fork() or os._exit(3)
os.waitid(os.P_PID, z, os.WEXITED | os.WNOWAIT)  # a zombie
m = mmap.mmap(-1, 8192); m[:1] = b\"x\"
threading.Thread(target=time.sleep, args=(1000,)).start()
signal.setitimer(signal.ITIMER_REAL, 1000)
print(\"ready\", flush=True)
time.sleep(1000)' & exec sleep 1000" >/dev/null
	wait_for 20 log_has c ready
	cryopod container checkpoint -k c >/dev/null
	export IMAGES=$(cryopod inspect --format '{{.StaticDir}}' c)/checkpoint
}
setup() { needs_engine; }
teardown_file() { engine_teardown; }

# What this crit does not know yet it leaves out: compared is what it does.
@test "crit decodes every image, and what it encodes is the same" {
	for f in "$IMAGES"/*.img; do
		case $f in */pages-*.img | */tmpfs-*.tar.gz.img) continue ;; esac
		crit decode -i "$f" -o "$BATS_TEST_TMPDIR/json"
		crit encode -i "$BATS_TEST_TMPDIR/json" -o "$BATS_TEST_TMPDIR/img"
		crit decode -i "$BATS_TEST_TMPDIR/img" -o "$BATS_TEST_TMPDIR/again"
		cmp "$BATS_TEST_TMPDIR/json" "$BATS_TEST_TMPDIR/again"
	done
	[ "$(find "$IMAGES" -name '*.img' | wc -l)" -gt 20 ]
	gzip -t <"$(echo "$IMAGES"/tmpfs-dev-*.tar.gz.img)"
}

@test "crit x ps: the tree" {
	expect 0 crit x "$IMAGES" ps
	has sleep cat python3
	[ "$(grep -c '^ *[0-9]' <<<"$output")" = 6 ]
}

@test "crit x fds: descriptors of every process" {
	expect 0 crit x "$IMAGES" fds
	has '/x/f' '/tmp/gone' '/dev/null' 'cwd: /' 'root: /' 'pipe'
}

@test "crit x mems, rss: memory" {
	expect 0 crit x "$IMAGES" mems
	has '/usr/bin/python3' '[vdso]'
	expect 0 crit x "$IMAGES" rss
	has '/usr/bin/python3'
}

# Of a core without them it makes no core file: KeyError 'ymmh_space'.
@test "criu-coredump: every thread has all registers that it takes for granted" {
	grep -qw avx /proc/cpuinfo || skip "this CPU has no upper halves of YMM"
	expect 0 /usr/bin/python3 - "$IMAGES" <<'END'
import glob, sys
from pycriu import images
threads = 0
for name in glob.glob(sys.argv[1] + "/core-*.img"):
    with open(name, "rb") as f:
        info = images.load(f)["entries"][0].get("thread_info")
    if info:  # a zombie has none
        f = info["fpregs"]
        sizes = [len(f[k]) for k in ("st_space", "xmm_space")] + [len(f["xsave"]["ymmh_space"])]
        assert sizes == [32, 64, 64], (name, sizes)
        threads += 1
print("threads", threads)
END
	has 'threads 6'
}
