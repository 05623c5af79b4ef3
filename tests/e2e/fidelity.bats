# SPDX-License-Identifier: Apache-2.0
# What comes back is what was frozen: the processes, what exec gives beside them, mounts, memory,
# addresses, limits; each compared field by field with before.

load ../lib/helpers
setup_file() {
	[ "$PROG" != podman ] || skip "Podman's CRIU does not work with this kernel"
	engine_setup
}
teardown() { [ "$PROG" = podman ] || engine_clear; }
teardown_file() { [ "$PROG" = podman ] || engine_teardown; }

pid_of() { cryopod inspect --format '{{.State.Pid}}' "$1"; }

# status_of FILE: /proc/PID/status without what differs by nature: memory sizes, counters, and the
# numbers that outer PID namespaces give.
status_of() {
	awk '/^(Vm|Rss|Hugetlb|.*ctxt_switches|SigQ|State|FDSize|Pid|Tgid|Ngid|PPid|THP|untag)/ {next} /^NS/ {print $1, $NF; next} {print}' "$1"
}

# mounts_of FILE: /proc/PID/mountinfo without IDs.
mounts_of() { awk '{s = ""; for (i = 4; i <= NF; i++) if ($i !~ /^(shared|master|propagate_from):/) s = s " " $i; print s}' "$1" | sort; }

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
	for f in limits cgroup oom_score_adj; do
		cryopod exec "$1" cat /proc/self/$f >"$2/exec.$f"
	done
	cryopod exec "$1" sh -c 'env | sort; pwd; id; ulimit -a; umask; hostname; ls /proc/self/fd | wc -l; cat /etc/hosts /etc/resolv.conf' >"$2/exec.sees"
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
	snapshot s "$BATS_TEST_TMPDIR/before"
	cycle s
	snapshot s "$BATS_TEST_TMPDIR/after"
	diff -ur "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
	run ! grep -v same$ "$BATS_TEST_TMPDIR/after/exec.ns"
	wait_for 10 log_reaches s $(($(last_number s) + 2))
	cryopod logs s | tr -d '\r' >"$BATS_TEST_TMPDIR/log"
	seq 0 $(($(wc -l <"$BATS_TEST_TMPDIR/log") - 1)) | diff - "$BATS_TEST_TMPDIR/log"
}

# cycle CTR: checkpoint and restore, both quiet.
cycle() {
	expect 0 cryopod container checkpoint "$1"
	is "$1"
	expect 0 cryopod container restore "$1"
	is "$1"
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

@test "limits of the cgroup are those of before" {
	cryopod run -d --name m --network none -m 99m --pids-limit 77 $IMAGE sleep 1000 >/dev/null
	for _ in before after; do
		[ "$(container_limit m memory memory.limit_in_bytes memory.max)" = $((99 << 20)) ]
		[ "$(container_limit m pids pids.max pids.max)" = 77 ]
		cycle m
	done
}

@test "tmpfs, /dev/shm, written files, deleted files that are open" {
	cryopod run -d --name f --network none --tmpfs /scratch:size=4m $IMAGE sh -c 'exec 3<>/tmp/gone; rm /tmp/gone; echo held >&3; exec sleep 1000' >/dev/null
	cryopod exec f sh -c 'echo one >/scratch/a; mkdir -m 750 /scratch/d; echo two >/scratch/d/b; chown 5:6 /scratch/d/b; ln -s a /scratch/l; ln /scratch/a /scratch/hard
		echo three >/dev/shm/c; chmod 600 /dev/shm/c; echo four >/written; rm /etc/group'
	show='cd /; ls -lnR scratch dev/shm | sed "s/ [A-Z][a-z][a-z] .*[0-9] / /"; cat scratch/a scratch/d/b dev/shm/c written; ls /etc/group 2>&1; grep scratch /proc/mounts'
	cryopod exec f sh -c "$show" >"$BATS_TEST_TMPDIR/before"
	cycle f
	cryopod exec f sh -c "$show" | diff "$BATS_TEST_TMPDIR/before" -
	p=$(pid_of f)
	[[ "$(readlink "/proc/$p/fd/3")" == *"/tmp/gone (deleted)" ]]
	[ "$(cat "/proc/$p/fd/3")" = held ]
	[ "$(awk '/^pos/ {print $2}' "/proc/$p/fdinfo/3")" = 5 ]
}

@test "the same address and hardware address; published ports closed and open again" {
	cryopod run -d --name n -p 8088:80 $IMAGE sleep 1000 >/dev/null
	show='cat /sys/class/net/eth0/address; ip -4 -o addr show eth0; ip route; cat /etc/resolv.conf /etc/hosts'
	cryopod exec n sh -c "$show" >"$BATS_TEST_TMPDIR/before"
	cryopod inspect --format '{{.NetworkSettings.IPAddress}} {{.NetworkSettings.MacAddress}} {{.HostConfig.PortBindings}}' n >>"$BATS_TEST_TMPDIR/before"
	expect 0 cryopod container checkpoint n
	run ! curl -s -m 1 http://127.0.0.1:8088/
	expect 0 cryopod container restore n
	cryopod exec n sh -c "$show" >"$BATS_TEST_TMPDIR/after"
	cryopod inspect --format '{{.NetworkSettings.IPAddress}} {{.NetworkSettings.MacAddress}} {{.HostConfig.PortBindings}}' n >>"$BATS_TEST_TMPDIR/after"
	diff "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
	cryopod exec -d n httpd -f -p 80 -h /etc
	wait_for 5 curl -sf -m 2 http://127.0.0.1:8088/passwd
	busybox ping -c 1 -W 2 "$(cryopod inspect --format '{{.NetworkSettings.IPAddress}}' n)"
}

@test "time goes on from where it was" {
	cryopod run -d --name t --network none $IMAGE sleep 1000 >/dev/null
	uptime='cut -d. -f1 /proc/uptime'
	cryopod container checkpoint -R t
	before=$(cryopod exec t $uptime)
	cryopod container checkpoint t
	sleep 2.5
	cryopod container restore t
	after=$(cryopod exec t $uptime)
	echo "$before $after"
	[ "$after" -ge "$before" ] && [ $((after - before)) -lt 2 ]
}

@test "ten cycles of the counting loop lose and repeat nothing" {
	cryopod run -d --name c --network none $IMAGE sh -c "${FAST_LOOP/0.05/0.01}" >/dev/null
	for i in 1 2 3 4 5 6 7 8 9 10; do
		wait_for 10 log_reaches c $((i * 3))
		cycle c
	done
	wait_for 10 log_reaches c $(($(last_number c) + 5))
	log_is_gapless c
	expect 0 cryopod stop -t 0 c
}

@test "attach works on after a restore" {
	cryopod run -dit --name a --network none $IMAGE sh >/dev/null
	cryopod run -d -i --name p --network none $IMAGE cat >/dev/null
	cycle a && cycle p
	run "$REPO/tests/lib/pty" -s '\n' -e '# ' -s 'x=$((20+22)); echo a${x}b\n' -e a42b -s '\x10\x11' -- "$CRYOPOD_BIN" --root "$CP_ROOT" --runroot "$CP_RUN" attach a
	echo "$output"
	[ "$status" -eq 0 ]
	run timeout 10 "$CRYOPOD_BIN" --root "$CP_ROOT" --runroot "$CP_RUN" attach p <<<hello
	[ "$output" = hello ]
}

@test "what is refused has not been touched; what is accepted works afterwards" {
	cryopod run -d --name w $IMAGE httpd -f -p 80 -h /etc >/dev/null
	url="http://$(cryopod inspect --format '{{.NetworkSettings.IPAddress}}' w)/passwd"
	wait_for 5 curl -sf "$url"
	run cryopod container checkpoint w
	echo "$output"
	if [ "$status" -eq 0 ]; then
		expect 0 cryopod container restore w
	else
		[ "$status" -eq 125 ] && [ "$(grep -c ^Error: <<<"$output")" -eq 1 ]
	fi
	expect 0 curl -sf -m 5 "$url"
}
