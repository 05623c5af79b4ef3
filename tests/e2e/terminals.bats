# SPDX-License-Identifier: Apache-2.0
# Containers on a terminal: what an interactive user has in front of him is there again.

load ../lib/helpers
setup_file() { engine_setup; }
setup() { needs_engine; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

HOST="-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro"
DETACH='\x10\x11'

# at CTR STEPS...: at the container's terminal.
at() {
	local ctr=$1
	shift
	run timeout 100 "$REPO/tests/lib/pty" -w raw "$@" -s "$DETACH" -- "$CP" attach "$ctr"
	echo "$output"
	[ "$status" -eq 0 ]
}

# jobs_again CTR PROMPT: job control before and after: a stopped job, a running one, one in the
# foreground; a variable, the size, the modes.
jobs_again() {
	local p=$2 until="'$CP' top $1 state,args | grep -qE"
	# Keys are for who is in the foreground: it is there, and at work.
	sleeps() { echo "until $until '^[SD] +sleep $1\$'; do sleep 0.05; done"; }
	at "$1" -r 33x111 -s '\n' -e "$p" -s 'sleep 300\n' -x "$(sleeps 300)" -s '\x1a' -e Stopped -e "$p" \
		-s 'sleep 400 &\n' -e "$p" -s 'A=$((40+2))\n' -e "$p" -s 'stty -echoctl; sleep 500\n' -x "$(sleeps 500)"
	cycle "$1"
	at "$1" -r 40x120 -s '\x03' -e "$p" -s 'stty size\n' -e '40 120' -e "$p" -s 'echo =$A=\n' -e '=42=' -e "$p" \
		-s 'jobs\n' -e Stopped -e 'sleep 300' -e 'sleep 400' -e "$p" -s 'fg %1\n' -x "$(sleeps 300)" -s '\x03' -e "$p" \
		-s 'jobs\n' -e 'sleep 400' -e "$p" -s 'stty -a\n' -e '-echoctl' -e "$p"
}

@test "job control of busybox's shell" {
	cryopod run -dit --name a --network none $IMAGE sh >/dev/null
	jobs_again a '# '
	jobs_again a '# '
}

@test "job control of bash with readline" {
	cryopod run -dit --name a --network none $HOST $IMAGE /usr/bin/bash --norc -i >/dev/null
	jobs_again a '# '
}

@test "size and modes stay when nobody is attached" {
	cryopod run -dit --name a --network none $IMAGE sh >/dev/null
	at a -r 51x123 -s '\n' -e '# ' -s 'stty -icanon -ixon erase x; while :; do sleep 0.1; done\n' -e done
	modes() { cryopod exec a sh -c 'stty -a </dev/pts/0; stty size </dev/pts/0'; }
	wait_for 5 eval 'modes | grep -q -- -icanon' # what was typed was there before it was done
	modes >"$BATS_TEST_TMPDIR/before"
	grep -q '^51 123' "$BATS_TEST_TMPDIR/before" && grep -q -- -icanon "$BATS_TEST_TMPDIR/before"
	cycle a
	modes | diff "$BATS_TEST_TMPDIR/before" -
	at a -s '\x03' -e '# ' -s 'echo a$((1+1))b\n' -e a2b
}

@test "a program's own opening of the terminal; exec -t beside it; without a terminal later" {
	cryopod run -dit --name a --network none $IMAGE sh -c 'exec 7</dev/tty 8<>/dev/console; while read x <&7; do echo got $x >&8; done' >/dev/null
	cycle a
	at a -s 'hello\n' -e 'got hello'
	run "$REPO/tests/lib/pty" -r 20x70 -s 'stty size; tty; exit 3\n' -e '20 70' -e '/dev/pts/1' -- "$CP" exec -it a sh
	[ "$status" -eq 3 ]
	cycle a
	at a -s 'again\n' -e 'got again'
}

@test "Ctrl-C reaches a program that handles it" {
	cryopod run -dit --name a --network none $IMAGE sh -c "trap 'echo interrupted' INT; $FAST_LOOP" >/dev/null
	wait_for 10 log_has a 3
	cycle a
	at a -s '\x03' -e interrupted
}

@test "a session of its own within the container has another terminal" {
	cryopod run -d --name a --network none $HOST $IMAGE /usr/bin/python3 -c '
import os, pty, time
pid, fd = pty.fork()
if pid == 0: os.execv("/bin/sh", ["sh"])
n = 0
while True:
    os.write(fd, b"echo n=$((%d+1))\n" % n); n += 1
    got = b""
    while b"n=%d" % n not in got: got += os.read(fd, 1000)
    print("pty", n, flush=True); time.sleep(0.05)' >/dev/null
	wait_for 20 log_has a 'pty 3'
	cycle a
	n=$(cryopod logs --tail 1 a | cut -d' ' -f2)
	wait_for 20 log_has a "pty $((n + 3))"
}
