# SPDX-License-Identifier: Apache-2.0
# What could not be restored is refused before anything is touched: by name, all of it at once.

load ../lib/helpers
setup_file() { engine_setup; }
setup() { needs_engine; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

HOST="-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro"
pid_of() { cryopod inspect --format '{{.State.Pid}}' "$1"; }
userdata() { ls -A "$(cryopod inspect --format '{{.StaticDir}}' "$1")"; }
mailboxes() { grep -c '/dev/zero (deleted)' "/proc/$1/maps" || true; }

# untouched CTR TEXT...: a checkpoint is refused with all these texts; nothing has changed.
untouched() {
	local ctr=$1 pid files
	pid=$(pid_of "$ctr") files=$(userdata "$ctr")
	refuses 125 "checkpoint $ctr: " cryopod container checkpoint "$ctr"
	has "${@:2}"
	state_is "$ctr" running
	[ "$(pid_of "$ctr")" = "$pid" ]
	[ "$(userdata "$ctr")" = "$files" ]
	[ "$(mailboxes "$pid")" = 0 ]
	[ "$(awk '/^TracerPid/ {print $2}' "/proc/$pid/status")" = 0 ]
	goes_on "$ctr"
}

# beside CTR OPTIONS... -- SCRIPT: counts; a python3 has run SCRIPT and waits.
beside() {
	local name=$1 options=()
	shift
	while [ "$1" != -- ]; do options+=("$1") && shift; done
	printf '%s\nimport time\nopen("/tmp/ready", "w")\ntime.sleep(1000)\n' "$2" >"$BATS_TEST_TMPDIR/script.py"
	cryopod run -d --name "$name" --network none "${options[@]}" $HOST -v "$BATS_TEST_TMPDIR:/t:ro" $IMAGE \
		sh -c "/usr/bin/python3 /t/script.py & $FAST_LOOP" >/dev/null
	wait_for 20 "$CP" exec "$name" test -e /tmp/ready
}

@test "time namespaces of processes of their own, all named at once" {
	beside a --privileged -- 'import ctypes, os
if ctypes.CDLL(None).unshare(0x80): raise SystemExit("no time namespace")
if os.fork() == 0: os.execv("/bin/sleep", ["sleep", "1000"])'
	wait_for 10 eval '"$CP" top a args | grep -q "^sleep 1000"'
	untouched a "(sleep)" "(python3)" "time namespace" "end it"
	cryopod exec a killall python3 sleep
	cycle a
	goes_on a
}

@test "a mount made after the start" {
	cryopod run -d --name a --network none --privileged $IMAGE sh -c "mkdir /m; mount -t tmpfs x /m; $FAST_LOOP" >/dev/null
	wait_for 10 log_reaches a 2
	untouched a '/m (tmpfs)' 'unmount it'
	cryopod exec a umount /m
	cycle a
	goes_on a
}

@test "a traced process that is stopped by a signal" {
	# the child: PTRACE_TRACEME; its parent lets it take the SIGSTOP (PTRACE_CONT)
	beside a --cap-add sys_ptrace -- 'import ctypes, os, signal, time
libc = ctypes.CDLL(None)
child = os.fork()
if child == 0:
    libc.ptrace(0, 0, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(1000)
os.waitpid(child, 0)
libc.ptrace(7, child, 0, signal.SIGSTOP)
os.waitid(os.P_PID, child, os.WSTOPPED | os.WNOWAIT)'
	untouched a 'python3' 'traces it' 'end that one' 'stopped by a signal, too'
}

@test "an exec session with more privileges than the container" {
	looper a
	cryopod exec -d --privileged a sleep 1000
	refuses 125 'has capabilities that the container has not, as by --privileged' cryopod container checkpoint a
	has 'exec session' 'end it first (exec a kill '
	state_is a running
	cure=$(sed -n 's/.*(\(exec a kill [0-9]*\)).*/\1/p' <<<"$output")
	goes_on a
	cryopod $cure
	cycle a
	goes_on a
}

@test "a process that was brought in, but not by exec" {
	looper a
	p=$(pid_of a)
	nsenter -t "$p" -a sleep 1000 3>&- &
	guest=$!
	wait_for 5 sh -c "grep -q sleep /proc/$guest/task/$guest/children /proc/$guest/comm || [ -n \"\$(cat /proc/$guest/task/$guest/children)\" ]"
	inner=$(cat /proc/$guest/task/$guest/children)
	for c in $(sed -n 's/^[0-9]*:\(.*\):.*/\1/p' "/proc/$p/cgroup" | tr , ' '); do
		dir=/sys/fs/cgroup/$c$(awk -F: -v c="$c" '$2 ~ "(^|,)" c "(,|$)" {print $3}' "/proc/$p/cgroup")
		[ ! -w "$dir/cgroup.procs" ] || echo $inner >"$dir/cgroup.procs" || true
	done
	refuses 125 'was brought in from outside' cryopod container checkpoint a
	has "process $((inner)) (sleep)" 'end it first'
	goes_on a
	kill $inner
	wait $guest || true
	cycle a
}

@test "the PID namespace of another" {
	looper a --pid host
	refuses 125 'run it without --pid' cryopod container checkpoint a
	goes_on a
}

@test "sockets to the outside: each with its descriptor" {
	beside a --cap-add net_raw -- 'import socket
s = [socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) for i in range(2)]'
	untouched a 'python3' 'fd 3: ' 'fd 4: ' 'socket:['
}
