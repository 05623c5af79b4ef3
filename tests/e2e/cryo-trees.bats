#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cryo: process trees outside of containers are dumped and restored.
load ../lib/cryo

COUNTER='import sys, time
n = 0
while True:
    print(n, flush=True)
    n += 1
    time.sleep(0.02)'

@test "a sleeping process: killed by the dump, the same number after the restore" {
	launch sleep 1000
	dump
	reap
	[ -s "$IMG/dump.log" ] && [ -s "$IMG/stats-dump" ]
	[ -z "$(ls -d "$IMG"/.cryo-* 2>/dev/null)" ]
	restore --pidfile pid
	[ "$(cat "$IMG/pid")" = "$PID" ]
	[ -s "$IMG/restore.log" ] && [ -s "$IMG/stats-restore" ]
	[ "$(tr '\0' ' ' <"/proc/$PID/cmdline")" = "sleep 1000 " ]
	sleeps "$PID"
	grep -q 'Dumping finished successfully' "$IMG/dump.log"
	grep -q 'Restore finished successfully' "$IMG/restore.log"
}

@test "a program that counts goes on where it was, time and again" {
	local last
	launch python3 -c "$COUNTER"
	wait_for 10 eval '[ "$(lines "$DIR/out")" -gt 3 ]'
	for _ in 1 2 3; do
		dump
		# it is our child the first time only; who reaps it later may take its time
		wait "$PID" || true
		wait_for 10 test ! -e "/proc/$PID"
		last=$(tail -n 1 "$DIR/out")
		sleep 0.1
		[ "$(tail -n 1 "$DIR/out")" = "$last" ]
		restore
		grows "$DIR/out"
	done
	kill -9 "$PID"
	wait_for 5 test ! -e "/proc/$PID"
	# nothing left out, nothing twice
	[ "$(cat "$DIR/out")" = "$(seq 0 "$(tail -n 1 "$DIR/out")")" ]
}

@test "a shell with a pipeline: all processes, parents, groups, the pipe" {
	launch sh -c 'while :; do echo x; sleep 0.02; done | cat >"$0"' "$DIR/piped"
	wait_for 5 grep -q x "$DIR/piped"
	pgrep -s "$PID" >/dev/null
	ps -o pid=,ppid=,pgid=,sid= -s "$PID" | grep -v sleep | sort -n >"$DIR/before"
	dump
	reap
	[ -z "$(pgrep -s "$PID")" ]
	restore
	ps -o pid= -s "$PID" >/dev/null
	grows "$DIR/piped"
	[ "$(ps -o ppid= -p "$PID" | tr -d ' ')" = 1 ]
	[ "$(pgrep -P "$PID" | wc -l)" = 2 ]
}

@test "threads" {
	launch python3 -c '
import threading, time
def work(i):
    while True:
        counts[i] += 1
        time.sleep(0.01)
counts = [0] * 20
for i in range(20):
    threading.Thread(target=work, args=(i,), daemon=True).start()
while True:
    before = list(counts)
    time.sleep(0.1)
    print("all" if all(a > b for a, b in zip(counts, before)) else "some", flush=True)'
	wait_for 10 grep -q all "$DIR/out"
	ls "/proc/$PID/task" >"$DIR/before"
	dump
	reap
	: >"$DIR/out"
	restore
	ls "/proc/$PID/task" | cmp - "$DIR/before"
	wait_for 5 grep -q all "$DIR/out"
}

@test "--leave-running: the tree goes on; --leave-stopped: it is stopped" {
	launch python3 -c "$COUNTER"
	wait_for 10 test -s "$DIR/out"
	dump --leave-running
	grows "$DIR/out"
	dump --leave-stopped
	[ "$(state_of "$PID")" = T ]
	kill -CONT "$PID"
	grows "$DIR/out"
	dump
	reap
	restore --leave-stopped
	[ "$(state_of "$PID")" = T ]
	kill -CONT "$PID"
	grows "$DIR/out"
}

@test "--leave-stopped: all threads of all processes stand still when it returns" {
	launch python3 -c 'import os, threading, time
def run():
    while True:
        time.sleep(0.0001)
for i in range(3):
    if os.fork() == 0:
        break
for i in range(7):
    threading.Thread(target=run).start()
os.write(1, b"ready\n")
run()'
	wait_for 20 eval '[ "$(grep -c ready "$DIR/out")" = 4 ]'
	local round
	stand_still() {
		local states
		states=$(cat $(printf '/proc/%s/task/[0-9]*/stat ' $(pgrep -s "$PID")) | sed 's/.*) \(.\).*/\1/')
		[ "$(wc -l <<<"$states")" = 32 ] && [ -z "$(tr -d 'T\n' <<<"$states")" ]
	}
	for round in 1 2 3 4 5; do
		dump --leave-stopped
		stand_still
		kill -CONT -- "-$PID"
		dump
		wait_for 5 eval '[ ! -e "/proc/$PID" ]' # whoever its parent is by now
		restore --leave-stopped
		stand_still
		kill -CONT -- "-$PID"
	done
}

@test "without -d the restore waits and gives the root's status" {
	launch sh -c 'trap "exit 7" TERM; echo ready; while :; do sleep 0.05; done'
	wait_for 5 grep -q ready "$DIR/out"
	dump
	reap
	"$CRYO" restore -D "$IMG" --pidfile pid 3>&- &
	local cryo=$!
	wait_for 5 test -s "$IMG/pid"
	[ "$(ps -o ppid= -p "$PID" | tr -d ' ')" = "$cryo" ]
	kill -TERM "$PID"
	local status=0
	wait "$cryo" || status=$?
	[ "$status" = 7 ]
}

@test "--restore-sibling: a child of whoever called" {
	launch sleep 1000
	dump
	reap
	run -1 "$CRYO" restore -D "$IMG" --restore-sibling
	[[ $output = *"--restore-sibling only makes sense with --restore-detach"* ]]
	restore -S
	[ "$(ps -o ppid= -p "$PID" | tr -d ' ')" = $BASHPID ]
}

# What a user's program may hold: it says "fine" as long as all is as it was.
OWN_PROGRAM='
import mmap, os, select, socket, threading, time
m = mmap.mmap(-1, 1 << 20)
m[0:5], m[1 << 19] = b"hello", 7
f = open("file", "w+b")
f.truncate(8192)
named = mmap.mmap(f.fileno(), 8192)
named[10:13] = b"xyz"
a, b = socket.socketpair()
a.send(b"queued")
l = socket.create_server(("127.0.0.1", 0))
e = select.epoll()
e.register(b, select.EPOLLIN)
threading.Thread(target=lambda: time.sleep(1000), daemon=True).start()
if os.fork() == 0:
    while True:
        m[10] = (m[10] + 1) % 256
        time.sleep(0.01)
while True:
    was, end = m[10], time.time() + 30
    while m[10] == was and time.time() < end:
        time.sleep(0.01)
    good = (m[0:5], m[1 << 19], named[10:13], m[10] != was) == (b"hello", 7, b"xyz", True)
    print("fine" if good and e.poll(0) and b.recv(9, socket.MSG_PEEK) == b"queued" else "not", flush=True)'

# Runs it, saves and restores it twice, in the current directory, by ./cryo.
OWN_SCRIPT='
until_says() { local n=300; until [ -s out ] && [ "$(tail -n 1 out)" = "$1" ]; do sleep 0.1; [ $((n--)) -gt 0 ] || return 1; done; }
# the images claim what cryo has, and no program of ours
claim() {
	[ "$(id -u)" != 0 ] || return 0
	crit decode -i $1/core-$PID.img | sed "s/\"cap_\(prm\|eff\)\": \[0, 0\]/\"cap_\1\": [0, 256]/g" >json
	grep -q "\"cap_prm\": \[0, 256\]" json
	crit encode -i json -o $1/core-$PID.img
}
for f in /proc/self/fd/*; do f=${f##*/}; [ $f -lt 3 ] || [ $f = 255 ] || eval "exec $f>&-"; done
set -e
ulimit -c 0
./cryo check --unprivileged >check
setsid /usr/bin/python3 -c "$PROGRAM" </dev/null >>out 2>&1 &
PID=$!
until_says fine
for i in 1 2; do
	mkdir $i
	./cryo dump --unprivileged -D $i -t $PID
	claim $i
	while [ -e /proc/$PID ] && ! grep -q "^State:.Z" /proc/$PID/status; do sleep 0.02; done
	wait $PID 2>/dev/null || true
	: >out
	./cryo restore --unprivileged -D $i -d
	until_says fine
	[ "$(ps -o ppid= -C python3 | wc -l)" = 2 ]
	[ "$(grep CapEff /proc/$PID/status)" = "CapEff:	0000000000000000" ] || [ "$(id -u)" = 0 ]
done
rm file
! ./cryo dump --unprivileged -D 1 -t $PID 2>error
grep -q "what is mapped, and has no name any more" error || ! [ "$1" = deleted ]
! grep -q not out
echo done'

own() { # own DELETED COMMAND...: COMMAND runs it as somebody
	local home=/run/own$BATS_TEST_NUMBER
	mkdir -m 777 $home
	cp "$CRYO" $home/cryo
	# cap_checkpoint_restore+eip: include/uapi/linux/capability.h: vfs_cap_data
	python3 -c 'import os, struct, sys
os.setxattr(sys.argv[1], "security.capability", struct.pack("<5I", 0x2000001, 0, 0, 1 << 8, 1 << 8))' $home/cryo
	local deleted=$1
	shift
	cd $home
	PROGRAM=$OWN_PROGRAM run "$@" bash -c "$OWN_SCRIPT" bash $deleted 3>&-
	echo "$output"
	[ "${lines[-1]}" = done ]
	cd / && rm -rf $home
}

@test "without root, within a user namespace: a user's own tree, by CAP_CHECKPOINT_RESTORE" {
	unshare -c true || skip "unshare(1) has no -c"
	own deleted setpriv --reuid 65534 --regid 65534 --clear-groups unshare -Ucfpm --kill-child --mount-proc
}

@test "without root: a user's own tree, by CAP_CHECKPOINT_RESTORE" {
	own no unshare -pf --kill-child --mount-proc setpriv --reuid 65534 --regid 65534 --clear-groups
}

@test "the root of a user namespace: a tree in it" {
	own deleted unshare -Urpfm --kill-child --mount-proc
}

@test "a session led from outside needs --shell-job, at the restore, too" {
	sleep 1000 </dev/null >/dev/null 2>&1 3>&- &
	PID=$!
	asleep
	run -1 dump
	[[ $output = *"--shell-job"* ]]
	dump --shell-job
	run -1 restore
	[[ $output = *"--shell-job"* ]]
	[ ! -e "/proc/$PID" ] || reap
	restore --shell-job
	[ "$(ps -o sid= -p "$PID" | tr -d ' ')" = "$(ps -o sid= -p $BASHPID | tr -d ' ')" ]
	kill "$PID"
}

# job_program: $DIR/job.py FILE tells what it reads, and makes FILE.
job_program() {
	cat >"$DIR/job.py" <<-'END'
	import sys
	print("begun", flush=True)
	for line in sys.stdin:
	    print("read", line.strip(), flush=True)
	    open(sys.argv[1], "w").write("done")
	END
}

# job_goes_on COMMAND...: which runs it at a terminal, with its number in $DIR/job; it is dumped when it
# has read a line, and reads the next from the restorer's.
job_goes_on() {
	"$REPO/tests/lib/pty" -e begun -s 'one\n' -- "$@" >"$DIR/first" 3>&- &
	local first=$!
	wait_for 10 test -s "$DIR/seen"
	PID=$(cat "$DIR/job")
	"$CRYO" dump -D "$IMG" -t "$PID" --shell-job
	wait "$first" || true
	grep -q 'read one' "$DIR/first"
	run "$REPO/tests/lib/pty" -s 'two\n' -e 'read two' -s '\x04' -- \
		"$CRYO" restore -D "$IMG" --shell-job
	[ "$status" = 0 ]
	[[ $output = *"read two"* ]]
	PID=
}

@test "--shell-job: the terminal is that of the restorer" {
	job_program
	job_goes_on bash -mc "python3 $DIR/job.py $DIR/seen & echo \$! >$DIR/job; fg"
}

# groups PID: group and session of it and of its children, as their own namespace sees them.
groups() {
	local p
	for p in "$1" $(cat "/proc/$1/task/$1/children"); do
		awk '/^NSpid/ {pid = $NF} /^NSpgid|^NSsid/ {printf " %s", $NF == pid ? "own" : $NF} END {print ";"}' \
			"/proc/$p/status"
	done | tr -d '\n'
}

@test "a pid namespace that was entered from a session outside: its own, or with --shell-job that of the restorer" {
	unshare -pf --mount-proc python3 -c 'import os, sys
def child(own):
    if os.fork() == 0:
        own and os.setsid()
        os.execvp("sleep", ["sleep", "1000"])
child(False)
os.setpgid(0, 0)
child(False)
child(True)
open(sys.argv[1], "w")
os.execvp("sleep", ["sleep", "1000"])' "$DIR/ready" </dev/null >/dev/null 2>&1 3>&- &
	local entered=$!
	wait_for 10 test -e "$DIR/ready"
	PID=$(cat /proc/$entered/task/$entered/children)
	PID=${PID% }
	wait_for 10 eval '[ "$(cat "/proc/$PID/comm")" = sleep ]'
	for p in $(cat "/proc/$PID/task/$PID/children"); do wait_for 10 eval '[ "$(cat "/proc/'$p'/comm")" = sleep ]'; done
	[ "$(groups "$PID")" = " own 0; 0 0; 1 0; own own;" ]
	dump --shell-job
	wait "$entered" || true
	restore --pidfile "$DIR/pid"
	PID=$(cat "$DIR/pid")
	[ "$(groups "$PID")" = " own own; 1 1; 1 1; own own;" ]
	kill -9 "$PID"
	wait_for 10 test ! -e "/proc/$PID"
	restore --shell-job --pidfile "$DIR/pid"
	PID=$(cat "$DIR/pid")
	[ "$(groups "$PID")" = " own 0; 0 0; 1 0; own own;" ]
	[ "$(ps -o sid= -p "$PID" | tr -d ' ')" = "$(ps -o sid= -p $BASHPID | tr -d ' ')" ]
	kill -9 "$PID"
	PID=
}

@test "--shell-job: the terminal of a pid namespace's first process is that of the restorer" {
	job_program
	"$REPO/tests/lib/pty" -e begun -s 'one\n' -- bash -mc \
		"unshare -pf --mount-proc python3 $DIR/job.py $DIR/seen & echo \$! >$DIR/job; fg" >"$DIR/first" 3>&- &
	local first=$! entered
	wait_for 10 test -s "$DIR/seen"
	entered=$(cat "$DIR/job")
	PID=$(cat /proc/$entered/task/$entered/children)
	PID=${PID% }
	"$CRYO" dump -D "$IMG" -t "$PID" --shell-job
	wait "$first" || true
	grep -q 'read one' "$DIR/first"
	run "$REPO/tests/lib/pty" -s 'two\n' -e 'read two' -s '\x04' -- \
		"$CRYO" restore -D "$IMG" --shell-job
	echo "$output"
	[ "$status" = 0 ]
	[[ $output = *"read two"* ]]
	PID=
}

@test "--manage-cgroups: into the control groups of the root" {
	local group=/sys/fs/cgroup/pids/$GROUP_NAME
	[ -d /sys/fs/cgroup/pids ] || group=/sys/fs/cgroup/$GROUP_NAME
	mkdir "$group" 2>/dev/null || skip "control groups cannot be made here"
	launch sleep 1000
	echo "$PID" >"$group/cgroup.procs"
	dump
	reap
	rmdir "$group"
	run -1 restore --manage-cgroups=none
	[[ $output = *"control group $group"* ]]
	restore --manage-cgroups=ignore
	! grep -q cryo-test "/proc/$PID/cgroup"
	kill -9 "$PID" && wait_for 5 test ! -e "/proc/$PID"
	restore --manage-cgroups
	grep -q "$GROUP_NAME" "/proc/$PID/cgroup"
	kill -9 "$PID" && wait_for 5 test ! -e "/proc/$PID"
	wait_for 5 rmdir "$group"
}

@test "--manage-cgroups: each task in its own, settings, groups below, another root" {
	local top=/sys/fs/cgroup/pids controller=pids
	[ -d $top ] || top=/sys/fs/cgroup controller=
	local group=$top/$GROUP_NAME
	mkdir "$group" 2>/dev/null || skip "control groups cannot be made here"
	mkdir "$group/one" "$group/two" && echo 77 >"$group/two/pids.max"
	launch sh -c 'sleep 1000 & sleep 1001 & wait'
	wait_for 5 eval '[ "$(pgrep -P "$PID" | wc -l)" = 2 ]'
	local first second
	first=$(pgrep -P "$PID" | head -n 1) second=$(pgrep -P "$PID" | tail -n 1)
	# version 2 has no processes between others
	[ -n "$controller" ] && echo "$PID" >"$group/cgroup.procs"
	echo "$first" >"$group/one/cgroup.procs"
	if [ -n "$controller" ]; then
		dump -R --manage-cgroups --cgroup-dump-controller pids
		crit decode -i "$IMG/cgroup.img" | jq -e '[.entries[0].controllers[].cnames[0]] |
			any(. == "pids") and (any(. == "memory") | not)'
	fi
	dump --manage-cgroups
	reap
	crit decode -i "$IMG/cgroup.img" | jq -e '.entries[0].sets | length >= 2'
	if [ -n "$controller" ]; then
		jq -e '.entries[0].controllers | length > 1' <(crit decode -i "$IMG/cgroup.img")
	fi
	rmdir "$group/one" "$group/two" "$group"
	run -1 restore --manage-cgroups=none
	[[ $output = *"control group /$GROUP_NAME"* ]]
	restore --manage-cgroups
	grep -q "/$GROUP_NAME/one\$" "/proc/$first/cgroup"
	! grep -q "/$GROUP_NAME/one\$" "/proc/$second/cgroup"
	[ "$(cat "$group/two/pids.max")" = 77 ]
	end_group
	run -1 restore --manage-cgroups=strict
	[[ $output = *"is there already (strict)"* ]]
	echo 5 >"$group/two/pids.max"
	restore --manage-cgroups=soft && [ "$(cat "$group/two/pids.max")" = 5 ]
	end_group
	restore --manage-cgroups=full && [ "$(cat "$group/two/pids.max")" = 77 ]
	end_group
	if [ -n "$controller" ]; then
		restore --manage-cgroups --cgroup-root "$controller:/$GROUP_NAME-other/deep"
		grep -q "/$GROUP_NAME-other/deep/one\$" "/proc/$first/cgroup"
		end_group
		wait_for 5 rmdir "$top/$GROUP_NAME-other/deep/one" "$top/$GROUP_NAME-other/deep/two" \
			"$top/$GROUP_NAME-other/deep" "$top/$GROUP_NAME-other"
	fi
	wait_for 5 rmdir "$group/one" "$group/two" "$group"
	PID=
}

@test "--manage-cgroups: a process whose first thread has ended" {
	local top=/sys/fs/cgroup/pids
	[ -d $top ] || top=/sys/fs/cgroup
	local group=$top/$GROUP_NAME
	mkdir "$group" 2>/dev/null || skip "control groups cannot be made here"
	launch python3 -c 'import ctypes, threading, time
threading.Thread(target=time.sleep, args=(1000,)).start()
ctypes.CDLL(None).syscall(60, 0)  # exit(2): of this thread'
	wait_for 10 eval '[ "$(state_of "$PID")" = Z ]'
	echo "$PID" >"$group/cgroup.procs"
	dump --manage-cgroups
	reap
	restore --manage-cgroups
	wait_for 5 eval '[ "$(state_of "$PID")" = Z ]'
	[ "$(cat "$group/cgroup.procs")" = "$PID" ]
	grep -q "/$GROUP_NAME\$" /proc/$PID/task/*/cgroup
	kill -9 "$PID"
	wait_for 5 rmdir "$group"
	PID=
}

@test "--manage-cgroups: threads in groups of their own" {
	local top=/sys/fs/cgroup/pids list=tasks
	[ -d $top ] || top=/sys/fs/cgroup list=cgroup.threads
	local group=$top/$GROUP_NAME tid
	mkdir "$group" 2>/dev/null || skip "control groups cannot be made here"
	mkdir "$group/one" "$group/two"
	launch python3 -c 'import threading, time
threading.Thread(target=time.sleep, args=(1000,)).start()
time.sleep(1000)'
	wait_for 10 eval '[ "$(ls "/proc/$PID/task" | wc -l)" = 2 ]'
	tid=$(ls "/proc/$PID/task" | grep -v "^$PID\$")
	echo "$PID" >"$group/cgroup.procs"
	if [ $list = cgroup.threads ]; then
		echo threaded >"$group/one/cgroup.type"
		echo threaded >"$group/two/cgroup.type"
	fi
	echo "$PID" >"$group/one/$list"
	echo "$tid" >"$group/two/$list"
	dump --manage-cgroups
	reap
	wait_for 5 rmdir "$group/one" "$group/two" "$group"
	restore --manage-cgroups
	grep -q "/$GROUP_NAME/one\$" "/proc/$PID/cgroup"
	grep -q "/$GROUP_NAME/two\$" "/proc/$PID/task/$tid/cgroup"
	! grep -q "/$GROUP_NAME/one\$" "/proc/$PID/task/$tid/cgroup"
	kill -9 "$PID" && wait_for 5 test ! -e "/proc/$PID"
	wait_for 5 rmdir "$group/one" "$group/two" "$group"
	PID=
}

@test "--cgroup-root: a place that is new in all hierarchies" {
	mkdir "/sys/fs/cgroup/$GROUP_NAME" 2>/dev/null && rmdir "/sys/fs/cgroup/$GROUP_NAME" ||
		skip "control groups cannot be made here"
	local with
	for with in --manage-cgroups ""; do
		launch sleep 1000
		dump $with
		reap
		restore --manage-cgroups --cgroup-root "/$GROUP_NAME/deep"
		[ "$(grep -c "/$GROUP_NAME/deep/*\$" "/proc/$PID/cgroup")" -ge 1 ]
		if [ -d /sys/fs/cgroup/cpuset ]; then # without CPUs nobody could enter
			grep -q "cpuset:/$GROUP_NAME/deep/*\$" "/proc/$PID/cgroup"
		fi
		kill -9 "$PID" && wait_for 5 test ! -e "/proc/$PID"
		wait_for 5 eval '! find /sys/fs/cgroup -depth -type d -path "*/$GROUP_NAME*" -exec rmdir {} + 2>&1 | grep -q .'
	done
	PID=
}

@test "--freeze-cgroup: a frozen tree, some of which was stopped before" {
	local group=/sys/fs/cgroup/freezer/$GROUP_NAME file=freezer.state on=FROZEN
	[ -d /sys/fs/cgroup/freezer ] || {
		group=/sys/fs/cgroup/$GROUP_NAME file=cgroup.freeze on=1
	}
	mkdir "$group" 2>/dev/null || skip "control groups cannot be made here"
	launch sh -c 'sleep 1000 & sleep 1001 & wait'
	wait_for 5 eval '[ "$(pgrep -P "$PID" | wc -l)" = 2 ]'
	local one stopped all
	stopped=$(pgrep -P "$PID" | head -n 1) all="$PID $(pgrep -P "$PID" | tr '\n' ' ')"
	kill -STOP "$stopped"
	wait_for 5 eval "[ \"\$(state_of $stopped)\" = T ]"
	for one in $all; do echo "$one" >"$group/cgroup.procs"; done
	echo "$on" >"$group/$file"
	wait_for 5 grep -q "$on" "$group/$file"
	dump --freeze-cgroup "$group" -R --timeout 60
	grep -q "$on" "$group/$file"
	dump --freeze-cgroup "$group" --timeout 60
	wait_for 5 test ! -s "$group/cgroup.procs"
	restore
	wait_for 5 eval "[ \"\$(state_of $stopped)\" = T ]"
	kill -9 -- "-$PID"
	wait_for 5 eval '! kill -0 -- "-$PID"'
	wait_for 5 rmdir "$group"
	PID=
}

@test "--freeze-cgroup: frozen processes that share their memory wait for no vfork(2)" {
	local group=/sys/fs/cgroup/freezer/$GROUP_NAME file=freezer.state on=FROZEN
	[ -d /sys/fs/cgroup/freezer ] || {
		group=/sys/fs/cgroup/$GROUP_NAME file=cgroup.freeze on=1
	}
	mkdir "$group" 2>/dev/null || skip "control groups cannot be made here"
	mkfifo "$DIR/in"
	exec 5<>"$DIR/in"
	setsid "$REPO/build/tests/cr/cr-shared" <"$DIR/in" >"$DIR/out" 2>&1 3>&- 5>&- &
	PID=$!
	wait_for 10 grep -q ready "$DIR/out"
	local one
	for one in $(pgrep -s "$PID"); do echo "$one" >"$group/cgroup.procs"; done
	echo "$on" >"$group/$file"
	wait_for 5 grep -q "$on" "$group/$file"
	dump --freeze-cgroup "$group"
	wait_for 5 test ! -s "$group/cgroup.procs"
	restore
	echo >&5 # it looks at itself
	wait_for 10 grep -q '^ok' "$DIR/out"
	exec 5>&-
	wait_for 5 rmdir "$group"
	PID=
}

@test "--freeze-cgroup: a tree that was frozen already" {
	local group=/sys/fs/cgroup/freezer/$GROUP_NAME file=freezer.state on=FROZEN off=THAWED
	[ -d /sys/fs/cgroup/freezer ] || {
		group=/sys/fs/cgroup/$GROUP_NAME file=cgroup.freeze on=1 off=0
	}
	mkdir "$group" 2>/dev/null || skip "control groups cannot be made here"
	launch sh -c 'sleep 1000 & sleep 1001 & wait'
	wait_for 5 eval '[ "$(pgrep -P "$PID" | wc -l)" = 2 ]'
	local one
	for one in "$PID" $(pgrep -P "$PID"); do echo "$one" >"$group/cgroup.procs"; done
	echo "$on" >"$group/$file"
	wait_for 5 grep -q "$on" "$group/$file"
	dump --freeze-cgroup "$group" -R
	grep -q "$on" "$group/$file"
	dump --freeze-cgroup "$group"
	wait_for 5 test ! -s "$group/cgroup.procs"
	grep -q "$off" "$group/$file"
	restore --manage-cgroups
	[ "$(wc -l <"$group/cgroup.procs")" = 3 ]
	kill -9 -- "-$PID"
	wait_for 5 rmdir "$group"
	PID=
}

@test "a number that is taken is named with who has it" {
	launch sleep 1000
	dump --leave-running
	run -1 restore
	[[ $output = *"number $PID is taken by process $PID (sleep)"* ]]
	sleeps "$PID"
}

@test "a number whose owner has ended is waited for, and named if it stays" {
	local script='
import os, subprocess, sys
cryo, images = sys.argv[1:]
pid = os.fork()
if pid == 0:
    os.setsid()
    os.execvp("sleep", ["sleep", "1000"])
while open(f"/proc/{pid}/syscall").read().split()[0] != "230":
    pass
subprocess.run([cryo, "dump", "-D", images, "-t", str(pid)], check=True)
call = [cryo, "restore", "-D", images, "-d", "-v4"]
r = subprocess.run(call, stderr=subprocess.PIPE, text=True)  # it is a zombie of ours
assert r.returncode == 1 and f"number {pid} is taken by process {pid} (sleep), which has ended" in r.stderr, r
assert f"number {pid} is not free yet" in open(images + "/restore.log").read()
os.waitpid(pid, 0)
subprocess.run(call, check=True)
os.kill(pid, 9)
'
	python3 -c "$script" "$CRYO" "$IMG" </dev/null
}

@test "pid and mount namespace of its own" {
	setsid unshare -pf --mount-proc sleep 1000 </dev/null >/dev/null 2>&1 3>&- &
	local parent=$! root
	wait_for 5 eval "[ -n \"\$(pgrep -P $parent)\" ]"
	root=$(pgrep -P $parent)
	wait_for 5 eval "[ \"\$(cat /proc/$root/comm)\" = sleep ]"
	"$CRYO" dump -D "$IMG" -t "$root"
	wait $parent || true
	restore --pidfile pid
	PID=$(cat "$IMG/pid")
	[ "$(awk '/^NSpid:/ {print $3}' "/proc/$PID/status")" = 1 ]
	[ "$(nsenter -t "$PID" -p -m ps -o comm= -p 1)" = sleep ]
	kill -9 "$PID"
	PID=
}

@test "clocks since boot: not touched within one, going on after another" {
	launch python3 -c "import time
while True:
    print(time.monotonic(), flush=True)
    time.sleep(0.02)"
	wait_for 10 test -s "$DIR/out"
	dump
	reap
	restore
	cmp <(readlink "/proc/$PID/ns/time") <(readlink /proc/self/ns/time)
	wait_for 5 dump
	wait_for 5 test ! -e "/proc/$PID"
	jq -c '.box.boot = "another"' "$IMG/cryo.json" >"$DIR/json" && mv "$DIR/json" "$IMG/cryo.json"
	# ten minutes later, by the clock of a time namespace
	unshare --time --monotonic 600 --boottime 600 --fork "$CRYO" restore -D "$IMG" -d
	! cmp -s <(readlink "/proc/$PID/ns/time") <(readlink /proc/self/ns/time)
	grows "$DIR/out"
	# they are not there
	awk 'NR > 1 && $1 - last > worst {worst = $1 - last} {last = $1} END {exit worst > 300}' "$DIR/out"
}

@test "files: a log that is appended to, a deleted file, a named pipe's reader" {
	launch python3 -c '
import os, sys, time
f = open(sys.argv[1], "w+"); f.write("kept"); f.flush(); os.unlink(sys.argv[1])
g = open(sys.argv[1], "wb"); g.write(b"big" * 500000); g.flush(); os.fsync(g.fileno()); os.unlink(sys.argv[1])
print("ready", flush=True)
while True:
    f.seek(0); print(f.read(), flush=True); time.sleep(0.02)' "$DIR/ghost"
	wait_for 10 grep -q kept "$DIR/out"
	run -1 dump --ghost-limit 1
	[[ $output = *"--ghost-limit"* ]]
	run -1 dump # 1M, as CRIU has it
	[[ $output = *"--ghost-limit"* ]]
	dump --ghost-limit 2M
	reap
	: >"$DIR/out"
	restore
	wait_for 5 grep -q kept "$DIR/out"
	[ ! -e "$DIR/ghost" ]
}

@test "--inherit-fd: another pipe in the place of one that leads outside" {
	mkfifo "$DIR/b"
	setsid python3 -c "$COUNTER" </dev/null 2>"$DIR/errors" 3>&- | cat >"$DIR/first" 3>&- &
	wait_for 10 test -s "$DIR/first"
	PID=$(pgrep -n -f 'print.n, flush' -s 0 || pgrep -n -f 'print.n, flush')
	local key
	key=$(readlink "/proc/$PID/fd/1")
	dump
	cat "$DIR/b" >"$DIR/second" 3>&- &
	restore --inherit-fd "fd[7]:$key" 7>"$DIR/b"
	wait_for 5 test -s "$DIR/second"
	kill -9 "$PID"
	wait_for 5 test ! -e "/proc/$PID"
	[ "$(cat "$DIR/first" "$DIR/second")" = "$(seq 0 "$(tail -n 1 "$DIR/second")")" ]
	PID=
}

@test "--inherit-fd: another unix socket in the place of one that leads outside" {
	/usr/bin/python3 - "$CRYO" "$IMG" 3>&- <<-'END'
	import os, socket, subprocess, sys
	cryo, images = sys.argv[1:]
	inside, outside = socket.socketpair()
	pid = os.fork()
	if pid == 0:
	    os.setsid()
	    outside.close()
	    null = os.open("/dev/null", os.O_RDWR)
	    for fd in range(3):
	        os.dup2(null, fd)
	    inside.send(b"ready")
	    inside.send(b"got " + inside.recv(16))
	    os._exit(0)
	key = os.fstat(inside.fileno()).st_ino
	inside.close()
	assert outside.recv(16) == b"ready"
	run = lambda *words, fds=(): subprocess.check_call([cryo, *words, "-D", images], pass_fds=fds)
	run("dump", "-t", str(pid), "--external", f"unix[{key}]")
	os.waitpid(pid, 0)
	inside, outside = socket.socketpair()
	run("restore", "-d", "-S", "--inherit-fd", f"fd[{inside.fileno()}]:socket:[{key}]",
	    fds=[inside.fileno()])
	inside.close()
	outside.send(b"word")
	assert outside.recv(16) == b"got word"
	assert os.waitpid(pid, 0)[1] == 0
	END
}

@test "a file with other permissions than before is refused, or --skip-file-rwx-check" {
	touch "$DIR/file"
	chmod 644 "$DIR/file"
	launch sh -c "exec sleep 1000 5<$DIR/file"
	wait_for 5 eval '[ "$(cat /proc/$PID/comm)" = sleep ]'
	dump
	reap
	chmod 640 "$DIR/file"
	run -1 restore
	[[ $output = *"$DIR/file has mode 0640"*"--skip-file-rwx-check"* ]]
	[ ! -e "/proc/$PID" ]
	restore --skip-file-rwx-check
	kill -9 "$PID" && wait_for 5 test ! -e "/proc/$PID"
	chmod 644 "$DIR/file"
	restore
	kill -9 "$PID" && wait_for 5 test ! -e "/proc/$PID"
	PID=
}

@test "--file-validation: files that have changed since are refused, mapped ones, too" {
	# without what bats itself writes to
	local how alone='exec 3>&- 4>&- 6>&- 7>&- 8>&- 9>&-; exec'
	for how in filesize buildid; do
		echo before >"$DIR/file"
		launch sh -c "$alone sleep 1000 5<$DIR/file"
		wait_for 5 eval '[ "$(cat /proc/$PID/comm)" = sleep ]'
		dump
		reap
		echo more >>"$DIR/file"
		run -1 restore --file-validation $how
		[[ $output = *"$DIR/file has 12 bytes, but had 7"*"--file-validation"* ]]
		[ ! -e "/proc/$PID" ]
		restore
		kill -9 "$PID" && wait_for 5 test ! -e "/proc/$PID"
		echo before >"$DIR/file"
		restore --file-validation $how
		kill -9 "$PID" && wait_for 5 test ! -e "/proc/$PID"
	done
	cp /bin/sleep "$DIR/sleep"
	launch sh -c "$alone $DIR/sleep 1000"
	wait_for 5 eval '[ "$(readlink /proc/$PID/exe)" = "$DIR/sleep" ]'
	dump
	reap
	cp "$DIR/sleep" "$DIR/old" && echo >>"$DIR/sleep"
	run -1 restore --file-validation filesize
	[[ $output = *"$DIR/sleep has "*" bytes, but had "* ]]
	cp "$DIR/old" "$DIR/sleep"
	restore --file-validation filesize
	kill -9 "$PID" && wait_for 5 test ! -e "/proc/$PID"
	PID=
}

@test "--inherit-fd: another memfd in the place of one" {
	/usr/bin/python3 - "$CRYO" "$IMG" 3>&- <<-'END'
	import os, subprocess, sys
	cryo, images = sys.argv[1:]
	told, tell = os.pipe()
	go, goes = os.pipe()
	pid = os.fork()
	if pid == 0:
	    os.setsid()
	    fd = os.memfd_create("of-the-tree", 0)
	    null = os.open("/dev/null", os.O_RDWR)
	    for other in (0, 1, 2, told, goes):
	        os.dup2(null, other)
	    os.write(tell, b"x")
	    os.close(tell)
	    os.read(go, 1)
	    os.write(fd, b"written")
	    os._exit(0)
	os.close(tell)
	while os.read(told, 1): # until it has closed its end
	    pass
	key = os.readlink(f"/proc/self/fd/{go}")
	os.close(go)
	run = lambda *words, fds=(): subprocess.check_call([cryo, *words, "-D", images], pass_fds=fds)
	run("dump", "-t", str(pid))
	os.waitpid(pid, 0)
	fd, (go, goes) = os.memfd_create("another", 0), os.pipe()
	run("restore", "-d", "-S", "--inherit-fd", f"fd[{fd}]:/memfd:of-the-tree",
	    "--inherit-fd", f"fd[{go}]:{key}", fds=[fd, go])
	os.write(goes, b"x")
	assert os.waitpid(pid, 0)[1] == 0
	assert os.pread(fd, 16, 0) == b"written"
	END
}

@test "--shell-job: a session's leader with a terminal gets that of the restorer, too" {
	job_program
	job_goes_on sh -c "echo \$\$ >$DIR/job; exec python3 $DIR/job.py $DIR/seen"
}

@test "a runtime's process that has not executed its program yet is waited for" {
	mkfifo "$DIR/start"
	launch bash -c 'printf "runc:[2:INIT]" >/proc/self/comm; read -r x <"$0"; exec sleep 1000' "$DIR/start"
	wait_for 5 grep -q INIT "/proc/$PID/comm"
	"$CRYO" dump -D "$IMG" -t "$PID" 3>&- &
	local dumping=$!
	sleep 1 # it waits by now, or finds the program: all the same
	echo >"$DIR/start"
	wait "$dumping"
	reap
	restore --pidfile pid
	[ "$(cat "/proc/$PID/comm")" = sleep ]
}

@test "a terminal inside of a root directory of the tree's own, controlling terminal of a session" {
	local root=$DIR/root
	mkdir -p "$root/dev/pts"
	ln -s pts/ptmx "$root/dev/ptmx"
	mount --bind /dev/pts "$root/dev/pts"
	cc -static -x c -o "$root/talk" - <<-'END'
	#define _XOPEN_SOURCE 600
	#include <fcntl.h>
	#include <stdio.h>
	#include <stdlib.h>
	#include <string.h>
	#include <termios.h>
	#include <unistd.h>
	int main(void)
	{
		int m = posix_openpt(O_RDWR | O_NOCTTY), n = 0, c;
		char buf[64], *name = m < 0 || grantpt(m) || unlockpt(m) ? NULL : ptsname(m);
		if (!name)
			return 1;
		if (fork() == 0) {
			close(m);
			setsid();
			for (int fd = 0; fd < 3; fd++) {
				close(fd);
				open(name, O_RDWR);
			}
			while ((n = read(0, buf, sizeof(buf))) > 0 && write(1, buf, n) == n) ;
			return 2;
		}
		while (write(m, "x\n", 2) == 2) {
			for (c = 0; c < 6; c++) /* x CR LF, by the terminal and by its reader */
				if (read(m, buf, 1) != 1)
					return 3;
			printf("%d\n", ++n);
			fflush(stdout);
			usleep(20000);
		}
		return 4;
	}
	END
	launch chroot "$root" /talk
	wait_for 10 eval '[ "$(lines "$DIR/out")" -gt 3 ]'
	CHILD=$(cat "/proc/$PID/task/$PID/children") && CHILD=${CHILD% }
	local before after
	before=$(cut -d' ' -f6-8 "/proc/$CHILD/stat")
	for _ in 1 2; do
		dump
		wait "$PID" || true
		wait_for 10 test ! -e "/proc/$PID"
		restore
		grows "$DIR/out"
		after=$(cut -d' ' -f6-8 "/proc/$CHILD/stat")
		[ "$after" = "$before" ]
	done
	[ "${before#* }" != "0 -1" ] # it has one
	kill -9 "$PID" "$CHILD"
	umount "$root/dev/pts"
}
