# SPDX-License-Identifier: Apache-2.0
# What comes back is what was frozen: the processes, what exec gives beside them, mounts, memory,
# addresses, limits; each compared field by field with before.

load ../lib/helpers
setup_file() { engine_setup; }
setup() { needs_engine; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

# status_of FILE: /proc/PID/status without what differs by nature: memory sizes, counters, and the
# numbers that outer PID namespaces give.
status_of() {
	awk '/^(Vm|Rss|Hugetlb|.*ctxt_switches|SigQ|State|FDSize|Pid|Tgid|Ngid|PPid|THP|untag)/ {next} /^NS/ {print $1, $NF; next} {print}' "$1"
}

# mounts_of FILE: /proc/PID/mountinfo without IDs, and without what overlayfs says only of an upper
# directory that it has never seen before.
mounts_of() { sed 's/,uuid=on//' "$1" | awk '{s = ""; for (i = 4; i <= NF; i++) if ($i !~ /^(shared|master|propagate_from):/) s = s " " $i; print s}' | sort; }

# exec_limits CTR PID FILE: what exec gives.
exec_limits() {
	cryopod exec "$1" cat /proc/self/limits >"$3"
	exec_has_limits "$2" "$3"
}

# snapshot CTR DIR: everything that must be the same afterwards.
snapshot() {
	local p
	mkdir -p "$2"
	p=$(pid_of "$1")
	status_of "/proc/$p/status" >"$2/init.status"
	mounts_of "/proc/$p/mountinfo" >"$2/init.mounts"
	for f in limits cgroup cmdline oom_score_adj loginuid coredump_filter personality environ timerslack_ns; do
		cat "/proc/$p/$f" >"$2/init.$f" 2>/dev/null || true
	done
	stat -c '%N' "/proc/$p/"{cwd,exe,root} | sed "s|/proc/$p/||" >"$2/init.links"
	ls "/proc/$p/fd" >"$2/init.fds"
	cat "/proc/$p/maps" | awk '{print $2, $6}' | sort -u >"$2/init.maps"
	cryopod exec "$1" cat /proc/self/status >"$2/status"
	status_of "$2/status" | grep -v ^NS >"$2/exec.status" && rm "$2/status"
	for f in cgroup oom_score_adj; do
		cryopod exec "$1" cat /proc/self/$f >"$2/exec.$f"
	done
	wait_for 30 exec_limits "$1" "$p" "$2/exec.limits"
	# without the limit of descriptors: runc may give each exec another one of the two (exec_limits)
	cryopod exec "$1" sh -c 'env | sort; pwd; id; ulimit -a | grep -v "(-n)"; umask; hostname; ls /proc/self/fd | wc -l; cat /etc/hosts /etc/resolv.conf' >"$2/exec.sees"
	cryopod exec "$1" sh -c 'cat /proc/self/mountinfo' >"$2/mounts"
	mounts_of "$2/mounts" >"$2/exec.mounts" && rm "$2/mounts"
	# exec is in the namespaces of the container's init, each of them.
	for ns in cgroup ipc mnt net pid uts user time; do
		echo "$ns $([ "$(readlink "/proc/$p/ns/$ns")" = "$(cryopod exec "$1" readlink /proc/self/ns/$ns)" ] && echo same)"
	done >"$2/exec.ns"
	cryopod inspect "$1" | jq '.[0] | del(.State, .ExecIDs, .PidFile, .ConmonPidFile, .NetworkSettings.SandboxKey, .NetworkSettings.SandboxID)' >"$2/inspect"
}

# survives OPTIONS...: a counting container with these options is the same after a cycle.  Its init
# is still, for the comparison; a child counts.
survives() {
	cryopod run -d --name s --network none "$@" $IMAGE sh -c "($FAST_LOOP) & exec sleep 1000" >/dev/null
	wait_for 10 log_reaches s 2
	wait_for 10 eval '[ "$(tr "\0" " " <"/proc/$(pid_of s)/cmdline")" = "sleep 1000 " ]'
	snapshot s "$BATS_TEST_TMPDIR/before"
	cycle s
	snapshot s "$BATS_TEST_TMPDIR/after"
	diff -ur "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
	run ! grep -v same$ "$BATS_TEST_TMPDIR/after/exec.ns"
	wait_for 10 log_reaches s $(($(last_number s) + 2))
	log_is_gapless s
}

@test "plain" { survives; }
@test "-t: a terminal" { survives -t; }
@test "-i" { survives -i; }
@test "--read-only" { survives --read-only; }
@test "-u joe, groups" { survives -u joe --group-add 77; }
@test "-m --cpus --pids-limit" { survives -m 128m --cpus 0.7 --pids-limit 100; }
@test "--cap-drop all" { survives --cap-drop all --cap-add chown; }
@test "--privileged" { survives --privileged; }
@test "seccomp=unconfined" { survives --security-opt seccomp=unconfined; }
@test "no-new-privileges" { survives --security-opt no-new-privileges; }
@test "--ulimit" { survives --ulimit nofile=200:300 --ulimit core=0:0 --ulimit stack=4194304; }
@test "-v, -w, -e, --hostname, --label" {
	mkdir "$BATS_TEST_TMPDIR/share"
	survives -v "$BATS_TEST_TMPDIR/share:/share" -v "$BATS_TEST_TMPDIR:/ro:ro" -w /share -e 'A=x y' --hostname frozen --label a=b
}
@test "joe with no capabilities, read-only, on a terminal, seccomp and limits" {
	survives -u joe -t --read-only --cap-drop all --security-opt no-new-privileges --ulimit nofile=64:64 -m 64m
}
