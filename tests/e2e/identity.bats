# SPDX-License-Identifier: Apache-2.0
# What /proc shows of every process of a container is the same, line by line, before it is frozen and
# after it is thawed (tests/lib/identity says what may differ and why); so is what exec starts in it.

load ../lib/helpers
setup_file() { engine_setup; }
setup() { needs_engine; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

identity() { "$REPO/tests/lib/identity" "$@"; }
pid_of() { cryopod inspect --format '{{.State.Pid}}' "$1"; }

# The process that exec has started, as the host sees it: not a child of the container's.
exec_pid() {
	pgrep -o -f "^sleep 77.5$"
}

# exec_begins CTR: with the container's soft limit of files; the other ones are ended (see
# exec_has_limits).
exec_begins() {
	cryopod exec -d "$1" sleep 77.5 >/dev/null
	wait_for 5 exec_pid
	exec_has_limits "$(pid_of "$1")" "/proc/$(exec_pid)/limits" && return
	kill -9 "$(exec_pid)"
	wait_for 5 no_exec "$1"
	return 1
}

# exec_identity CTR: of a program beside the container's.  Its number and, without a terminal, its
# descriptors are conmon's affair.
exec_identity() {
	wait_for 30 exec_begins "$1"
	identity "$(exec_pid)" | sed -E 's/^[0-9]+ //; s/^thread [0-9]+/thread/' |
		grep -vE '^(thread )?(status NS|status SigQ|stat (9|26|27|28|4[5-9]|5[01]) |fd|fdinfo|maps|vmflags|auxv)'
	kill -9 "$(exec_pid)"
	wait_for 5 no_exec "$1"
}

no_exec() { ! exec_pid && [ "$(cryopod inspect "$1" | jq '.[0].ExecIDs | length')" = 0 ]; }

# is_same NAME OPTIONS... -- COMMAND...: settled once it has printed "ready" and all its processes wait.
is_same() {
	local name=$1 options=()
	shift
	while [ "$1" != -- ]; do options+=("$1") && shift; done
	shift
	cryopod run -d --name "$name" --network none "${options[@]}" $IMAGE "$@" >/dev/null
	wait_for 20 log_has "$name" ready
	wait_for 10 identity --still "$(pid_of "$name")"
	identity "$(pid_of "$name")" >"$BATS_TEST_TMPDIR/before"
	exec_identity "$name" >"$BATS_TEST_TMPDIR/exec-before"
	cycle "$name"
	wait_for 10 identity --still "$(pid_of "$name")"
	identity "$(pid_of "$name")" >"$BATS_TEST_TMPDIR/after"
	exec_identity "$name" >"$BATS_TEST_TMPDIR/exec-after"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/before")" -gt 100 ]
	[ "$(wc -l <"$BATS_TEST_TMPDIR/exec-before")" -gt 50 ]
	diff -u "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
	diff -u "$BATS_TEST_TMPDIR/exec-before" "$BATS_TEST_TMPDIR/exec-after"
	# And once more: what is thawed is as good as what was started.
	cycle "$name"
	wait_for 10 identity --still "$(pid_of "$name")"
	identity "$(pid_of "$name")" >"$BATS_TEST_TMPDIR/after"
	diff -u "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
}

FAMILY='cd /tmp; umask 027; exec 5</etc/passwd 6>>/tmp/log; read x <&5
	sleep 1000 & sleep 1001 | cat & sleep 1002 & kill -STOP $!; (trap "" USR1; exec sleep 1003) &
	setsid sleep 1004 & (exit 3) & sleep 0.2; echo ready; exec sleep 1005'

@test "a family of processes" { is_same a -- sh -c "$FAMILY"; }
@test "on a terminal" { is_same a -t -- sh -c "$FAMILY"; }
@test "another user, groups, directory, environment" {
	is_same a -u joe --group-add 77 -w /home/joe -e "A=x y" --hostname frozen -- sh -c "$FAMILY"
}
@test "confined: no capabilities, no new privileges, read-only, limits" {
	is_same a -u joe --cap-drop all --security-opt no-new-privileges --read-only --tmpfs /tmp:mode=1777 \
		--ulimit nofile=64:100 --ulimit stack=4194304 -m 64m --pids-limit 50 -- sh -c "$FAMILY"
}
@test "privileged, unconfined; priority, CPUs, oom_score_adj, coredump_filter" {
	is_same a --privileged --oom-score-adj 200 -- sh -c "nice -n 5 sleep 900 & chrt -b 0 sleep 901 &
		taskset 1 sleep 902 & ionice -c 3 sleep 903 & setpriv --no-new-privs sleep 904 &
		echo 0x7f >/proc/self/coredump_filter; $FAMILY"
}
@test "shared namespaces: ipc and uts of the host" {
	is_same a --ipc host --uts host --security-opt seccomp=unconfined -- sh -c "$FAMILY"
}
@test "threads, and children with pipes (python3)" {
	is_same a -v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -- /usr/bin/python3 -c '
import mmap, os, signal, subprocess, threading, time
os.sched_setaffinity(0, {0})
signal.signal(signal.SIGUSR1, lambda *a: None)
for i in range(8): threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
p = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
m = mmap.mmap(-1, 1 << 20); m[:4] = b"anon"
a = bytearray(20 << 20)
print("ready", flush=True)
time.sleep(1000)'
}
