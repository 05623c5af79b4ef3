# SPDX-License-Identifier: Apache-2.0
# What exec has put into a container is part of its checkpoint.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }
setup() { needs_engine; }

sleeper() {
	local name=$1
	shift
	cryopod run -d --name "$name" --network none "$@" $IMAGE sleep 1000 >/dev/null
}

# tree CTR: numbers, parents, groups, sessions, terminals and commands of all processes.
tree() {
	cryopod top "$1" pid,ppid,pgid,tty,args
}

# inside CTR NUMBER: a process of the container, as we see it.
inside() {
	local p
	for p in /proc/[0-9]*; do
		if [ "$(readlink "$p/ns/pid")" = "$(readlink "/proc/$(pid_of "$1")/ns/pid")" ] &&
			[ "$(awk '/^NSpid:/ {print $NF}' "$p/status")" = "$2" ]; then
			echo "${p#/proc/}"
			return
		fi
	done
	return 1
}

# session_dir CTR ID
session_dir() {
	echo "$CP_RUN/containers/$(cryopod inspect --format '{{.Id}}' "$1")/exec/$2"
}

sessions() {
	cryopod inspect --format '{{.ExecIDs}}' "$1"
}

@test "a background job of a shell that has left: the same tree" {
	sleeper a
	run "$REPO/tests/lib/pty" -e '$ ' -s 'sleep 1001 &\n' -e '$ ' -s 'exit\n' -- "$CP" exec -it -e PS1='$ ' a sh
	[ "$status" -eq 0 ]
	wait_for 5 eval '[ "$(sessions a)" = "[]" ]'
	wait_for 5 eval 'cryopod top a args | grep -q "^sleep 1001"'
	tree a | tee "$BATS_TEST_TMPDIR/before"
	grep -q 'sleep 1001' "$BATS_TEST_TMPDIR/before"
	for _ in 1 2; do
		cycle a
		tree a | diff "$BATS_TEST_TMPDIR/before" -
	done
}

@test "exec -d: runs on, is the same session, is reaped, again and again" {
	sleeper a
	for s in 1001 1002; do cryopod exec -d a sh -c "sleep $s; exit" >/dev/null; done
	cryopod exec -d a sh -c 'i=0; while sleep 0.05; do i=$((i + 1)); echo $i >/tmp/n.new; mv /tmp/n.new /tmp/n; echo noise; done' >/dev/null
	wait_for 5 cryopod exec a test -s /tmp/n
	wait_for 5 eval '[ "$(cryopod top a args | grep -c "^sleep 100")" -eq 3 ]'
	tree a | grep -v -e 'sleep 0' -e 'mv /tmp' -e '\[' >"$BATS_TEST_TMPDIR/before"
	sessions a >"$BATS_TEST_TMPDIR/ids"
	[ "$(wc -w <"$BATS_TEST_TMPDIR/ids")" -eq 3 ]
	for _ in 1 2 3; do
		n=$(cryopod exec a cat /tmp/n)
		cycle a
		tree a | grep -v -e 'sleep 0' -e 'mv /tmp' -e '\[' | diff "$BATS_TEST_TMPDIR/before" -
		sessions a | diff "$BATS_TEST_TMPDIR/ids" -
		# it counts on, what it prints does not kill it
		wait_for 5 eval '[ "$(cryopod exec a cat /tmp/n)" -gt $((n + 3)) ]'
	done
	cryopod exec a killall sleep || true # the init, too, but that one ignores it
	wait_for 5 eval '[ "$(sessions a | wc -w)" -eq 1 ]'
	wait_for 5 eval '[ "$(cryopod top a state | grep -c Z)" -eq 0 ]' # one may be on its way
	cycle a
}

@test "all that proc shows of a session is as before" {
	cryopod run -d --name a --network none -u joe --cap-drop chown $IMAGE sleep 1000 >/dev/null
	cryopod exec -d -u root -w /var -e X=y a sh -c 'ulimit -n 77; umask 027; exec 5<>/tmp/f; echo five >&5; trap "" USR1; sleep 1001; :' >/dev/null
	cryopod exec -d a sleep 1002 >/dev/null
	wait_for 5 eval '[ "$(cryopod top a args | grep -c "^sleep 100")" -eq 3 ]'
	numbers=$(cryopod top a pid,ppid | awk 'NR > 1 && $1 > 1 && $2 == 0 {print $1}')
	[ "$(wc -w <<<"$numbers")" -eq 2 ]
	for n in $numbers; do "$REPO/tests/lib/identity" "$(inside a "$n")"; done >"$BATS_TEST_TMPDIR/before"
	cycle a
	for n in $numbers; do "$REPO/tests/lib/identity" "$(inside a "$n")"; done >"$BATS_TEST_TMPDIR/after"
	diff "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
	for n in $numbers; do
		p=$(inside a "$n")
		diff "/proc/$(pid_of a)/cgroup" "/proc/$p/cgroup"
		[ "$(cat "/proc/$(awk '/^PPid/ {print $2}' "/proc/$p/status")/comm")" = conmon ]
	done
}

@test "who is attached: told so, 137; with -R nothing happens to them" {
	sleeper a
	cryopod exec a sh -c 'echo begin; echo err >&2; while ! [ -e /tmp/go ]; do sleep 0.05; done; echo end; exit 7' \
		>"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	client=$!
	wait_for 5 grep -q err "$BATS_TEST_TMPDIR/out"
	expect 0 cryopod container checkpoint -R a
	kill -0 $client
	expect 0 cryopod container checkpoint a
	status=0
	wait $client || status=$?
	[ "$status" -eq 137 ]
	diff - "$BATS_TEST_TMPDIR/out" <<-END
	begin
	err
	Error: container a was checkpointed: exec session $(sed -n 's/.*session \([0-9a-f]*\) .*/\1/p' "$BATS_TEST_TMPDIR/out") goes on, with nobody attached, when it is restored
	END
	expect 0 cryopod container restore a
	[ "$(sessions a | wc -w)" -eq 1 ]
	cryopod exec a touch /tmp/go
	wait_for 5 eval '[ "$(sessions a)" = "[]" ]'
	expect 0 cryopod exec -i a sh -c 'read l; echo "got $l"' <<<line
	is 'got line'
}

@test "exec -i: what was typed is still read, then comes the end" {
	sleeper a
	mkfifo "$BATS_TEST_TMPDIR/in"
	cryopod exec -i a sh -c 'read l; echo "$l" >/tmp/first; while ! [ -e /tmp/go ]; do sleep 0.05; done; cat >/tmp/rest; echo $? >/tmp/done; sleep 1001' \
		<"$BATS_TEST_TMPDIR/in" 3>&- 2>/dev/null &
	exec 7>"$BATS_TEST_TMPDIR/in"
	printf 'one\n' >&7
	wait_for 5 cryopod exec a test -s /tmp/first
	printf 'two\nthree' >&7
	p=$(inside a "$(cryopod top a pid,args | awk '/read l/ {print $1; exit}')")
	wait_for 5 python3 -c 'import fcntl, os, struct, sys, termios
assert struct.unpack("i", fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK), termios.FIONREAD, b"0000"))[0] == 9' "/proc/$p/fd/0"
	cycle a
	exec 7>&-
	cryopod exec a touch /tmp/go
	wait_for 5 cryopod exec a test -s /tmp/done
	[ "$(cryopod exec a cat /tmp/rest)" = $'two\nthree' ]
	[ "$(cryopod exec a cat /tmp/done)" = 0 ]
}

@test "exec -it: its terminal lives, with its number, size, modes and jobs" {
	sleeper a -t
	# numbers 1 and 2 are taken meanwhile, so that the shell's is 3
	for n in 1 2; do
		"$REPO/tests/lib/pty" -e '$ ' -e never -- "$CP" exec -it -e PS1='$ ' a sh >/dev/null 3>&- &
		wait_for 5 cryopod exec a test -e /dev/pts/$n
	done
	"$REPO/tests/lib/pty" -r 33x111 -e '$ ' -s 'tty; sleep 1001 &\n' -e '$ ' -s 'stty ixany; >/tmp/ready\n' -e never -- \
		"$CP" exec -it -e PS1='$ ' a sh >"$BATS_TEST_TMPDIR/out" 3>&- &
	client=$!
	wait_for 5 cryopod exec a test -e /dev/pts/3
	wait_for 5 eval 'cryopod top a args | grep -q "^sleep 1001"'
	wait_for 5 cryopod exec a test -e /tmp/ready
	tree a >"$BATS_TEST_TMPDIR/before"
	ids=$(sessions a)
	expect 0 cryopod container checkpoint -R a
	expect 0 cryopod container checkpoint --keep a
	status=0
	wait $client || status=$?
	[ "$status" -eq 137 ]
	grep -q "/dev/pts/3" "$BATS_TEST_TMPDIR/out"
	grep -q "Error: container a was checkpointed: exec session" "$BATS_TEST_TMPDIR/out"
	for keep in --keep ""; do
		expect 0 cryopod container restore $keep a
		tree a | diff "$BATS_TEST_TMPDIR/before" -
		[ "$(sessions a)" = "$ids" ]
		id=$(tr -d '[]' <<<"$ids" | awk '{print $3}')
		run "$REPO/tests/lib/talk" "$(session_dir a "$id")/attach" 'tty; stty -a; jobs; echo e$((1 + 1))d\n' e2d
		echo "$output"
		[ "$status" -eq 0 ]
		has /dev/pts/3 'rows 33; columns 111' ' ixany' 'sleep 1001'
		[ -z "$keep" ] || cryopod kill a >/dev/null
		[ -z "$keep" ] || cryopod wait a >/dev/null
	done
	run "$REPO/tests/lib/talk" "$(session_dir a "$id")/attach" 'cat\n' cat
	wait_for 5 eval 'cryopod top a args | grep -qx "cat *"'
	cycle a
	"$REPO/tests/lib/talk" "$(session_dir a "$id")/attach" 'hello\n' $'hello\r\nhello'
	"$REPO/tests/lib/talk" "$(session_dir a "$id")/attach" '\x03' '$ '
	"$REPO/tests/lib/talk" "$(session_dir a "$id")/attach" 'exit\n' exit
	wait_for 5 eval '[ "$(sessions a | wc -w)" -eq 2 ]'
}

@test "a session that was detached from; one that began in a restored container" {
	sleeper a
	cycle a
	run "$REPO/tests/lib/pty" -e '$ ' -s 'X=kept\n' -e '$ ' -s '\x10\x11' -- "$CP" exec -it -e PS1='$ ' a sh
	[ "$status" -eq 0 ]
	id=$(sessions a | tr -d '[]')
	cycle a
	[ "$(sessions a)" = "[$id]" ]
	run "$REPO/tests/lib/talk" "$(session_dir a "$id")/attach" 'echo "<$X>"\n' '<kept>'
	[ "$status" -eq 0 ]
	run "$REPO/tests/lib/talk" "$(session_dir a "$id")/attach" 'exit\n' exit
	wait_for 5 eval '[ "$(sessions a)" = "[]" ]'
	cycle a
}

@test "after a reboot; a session that has ended meanwhile is none" {
	sleeper a
	cryopod exec -d a sleep 1001 >/dev/null
	cryopod exec -d a sh -c 'sleep 1002 & exec sleep 0.2' >/dev/null
	wait_for 5 eval '[ "$(sessions a | wc -w)" -eq 1 ]'
	tree a >"$BATS_TEST_TMPDIR/before"
	ids=$(sessions a)
	expect 0 cryopod container checkpoint a
	umount -l "$CP_RUN"/netns/* 2>/dev/null || true
	rm -rf "$CP_RUN"
	expect 0 cryopod container restore a
	tree a | diff "$BATS_TEST_TMPDIR/before" -
	[ "$(sessions a)" = "$ids" ]
	expect 0 cryopod stop -t 0 a
	[ "$(sessions a)" = "[]" ]
}

@test "memory in rounds" {
	sleeper a
	cryopod exec -d a sh -c 'x=$(head -c 300000 /dev/zero | tr "\0" y); while ! [ -e /tmp/go ]; do sleep 0.05; done; echo ${#x} >/tmp/len.new; mv /tmp/len.new /tmp/len; sleep 1001' >/dev/null
	wait_for 5 eval 'cryopod top a args | grep -q "^sleep 0.05"'
	expect 0 cryopod container checkpoint -P a
	cryopod exec -d a sleep 1002 >/dev/null
	expect 0 cryopod container checkpoint --with-previous a
	expect 0 cryopod container restore a
	[ "$(sessions a | wc -w)" -eq 2 ]
	cryopod exec a touch /tmp/go
	wait_for 5 cryopod exec a test -s /tmp/len
	[ "$(cryopod exec a cat /tmp/len)" -eq 300000 ]
}

@test "a pidfd of a session's process is the container's own" {
	cryopod run -d --name a --network none -v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro $IMAGE \
		/usr/bin/python3 -uc '
import os, select, time
while not os.path.exists("/tmp/number"):
    time.sleep(0.05)
fd = os.pidfd_open(int(open("/tmp/number").read()))
print("open")
select.select([fd], [], [])
print("gone")
time.sleep(1000)' >/dev/null
	cryopod exec -d a sh -c 'echo $$ >/tmp/n; mv /tmp/n /tmp/number; exec sleep 1000' >/dev/null
	wait_for 20 log_has a open
	expect 0 cryopod container checkpoint a
	expect 0 cryopod container restore a
	run cryopod logs a
	[[ $output != *gone* ]]
	cryopod exec a sh -c 'kill -9 $(cat /tmp/number)'
	wait_for 20 log_has a gone
}
