# SPDX-License-Identifier: Apache-2.0
# logs and attach.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

# ended NAME SCRIPT: a container that has run SCRIPT to its end.
ended() {
	cryopod run -d --name "$1" --network none $IMAGE sh -c "$2" >/dev/null
	cryopod wait "$1" >/dev/null
}
pty() { "$REPO/tests/lib/pty" "$@"; }

@test "logs: both streams, lines without an end" {
	ended l 'echo o1; echo e1 >&2; echo o2; printf part'
	run --separate-stderr cryopod logs l
	[ "$output" = $'o1\no2\npart' ]
	[ "$stderr" = e1 ]
	[ "$(cryopod logs l 2>/dev/null | tail -c 1)" = t ]
	refuses 125 'no container with name or ID "nosuch" found: no such container' cryopod logs nosuch
	refuses 125 'specify at least one container name or ID to log' cryopod logs
}

@test "logs --tail, -t, -l, several with --names" {
	ended a 'for i in 1 2 3 4 5; do echo $i; done'
	ended b 'echo x'
	expect 0 cryopod logs --tail 2 a
	is $'4\n5'
	expect 0 cryopod logs --tail 0 a
	is ""
	expect 0 cryopod logs --tail 50 a
	[ "${#lines[@]}" -eq 5 ]
	expect 0 cryopod logs -l
	is x
	expect 0 cryopod logs -t a
	[[ "${lines[0]}" =~ ^20[0-9-]+T[0-9:.]+(Z|[+-][0-9:]+)\ 1$ ]]
	expect 0 cryopod logs --names a b
	[ "$(sort <<<"$output")" = $'a 1\na 2\na 3\na 4\na 5\nb x' ]
	expect 0 cryopod logs a b
	[ "$(grep -cE '^[0-9a-f]{12} [1-5x]$' <<<"$output")" -eq 6 ]
}

@test "logs --since, --until" {
	cryopod run -d --name a --network none $IMAGE sh -c 'echo one; until [ -e /go ]; do sleep 0.05; done; echo two' >/dev/null
	wait_for 5 log_has a one
	# Between the two, on this clock: the one is in the log, and nobody has told it to print the other.
	t=$(date -u +%FT%T.%NZ)
	cryopod exec a touch /go
	cryopod wait a >/dev/null
	expect 0 cryopod logs --since "$t" a
	is two
	expect 0 cryopod logs --since 1h a
	is $'one\ntwo'
	expect 0 cryopod logs --since 2030-01-01T00:00:00 a
	is ""
	expect 0 cryopod logs --until 2020-01-01T00:00:00 a
	is ""
	expect 125 cryopod logs --since bogus a
	has 'Error: parsing --since "bogus": unable to interpret time value'
}

@test "logs -f: follows to the end of the container" {
	cryopod run -d --name f --network none $IMAGE sh -c 'for i in 1 2 3 4 5; do echo $i; sleep 0.1; done' >/dev/null
	expect 0 timeout 60 "$CP" logs -f f
	is $'1\n2\n3\n4\n5'
	# Of a container that has ended: what there is, then it returns.
	expect 0 timeout 60 "$CP" logs -f --tail 1 f
	is 5
}

@test "logs: 100000 lines and one of a megabyte are whole" {
	ended big 'seq 100000; head -c 1000000 /dev/zero | tr "\0" x; echo'
	cryopod logs big >"$BATS_TEST_TMPDIR/log"
	head -n 100000 "$BATS_TEST_TMPDIR/log" | cmp - <(seq 100000)
	[ "$(tail -n 1 "$BATS_TEST_TMPDIR/log" | wc -c)" -eq 1000001 ]
	only_main "--tail counts pieces of lines"
	[ "$(cryopod logs --tail 1 big | wc -c)" -eq 1000001 ]
}

@test "attach: output and input" {
	cryopod run -d -i --name a --network none $IMAGE sh -c 'read x; echo "got $x"; exit 8' >/dev/null
	run timeout 60 "$CP" attach a <<<hello
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$output" = "got hello" ]
	expect 0 cryopod wait a
	is 8
}

@test "attach on a terminal; ctrl-p ctrl-q leaves the container running" {
	cryopod run -dit --name t --network none $IMAGE sh >/dev/null
	run pty -r 30x100 -s '\n' -e '# ' -s 'echo a$((1+1))b\n' -e a2b -s '\x10\x11' -- "$CP" attach t
	echo "$output"
	[ "$status" -eq 0 ]
	state_is t running
	run pty -s '\n' -e '# ' -s 'exit 3\n' -- "$CP" attach t
	expect 0 cryopod wait t
	is 3
}

@test "run -it: keys and window size reach the program" {
	run pty -r 41x99 -e '# ' -s 'stty size\n' -e '41 99' -s 'sh -c "echo a\\$((1+1))b; exec sleep 100"\n' -e a2b -s '\x03' -e '# ' -s 'exit 4\n' -- "$CP" run --rm -it --network none $IMAGE sh
	echo "$output"
	[ "$status" -eq 4 ]
	has '41 99'
}

@test "run in the foreground passes signals on" {
	"$CP" run --name s --network none $IMAGE sh -c 'trap "echo caught; exit 5" USR1; echo up; while :; do sleep 0.05; done' >"$BATS_TEST_TMPDIR/out" &
	wait_for 5 grep -q up "$BATS_TEST_TMPDIR/out"
	kill -USR1 $!
	code=0
	wait $! || code=$?
	cat "$BATS_TEST_TMPDIR/out"
	[ "$code" -eq 5 ]
	grep -q caught "$BATS_TEST_TMPDIR/out"
}

@test "logs --tail of a log that grows: so many lines, whatever comes meanwhile" {
	cryopod run -d --name grows --network none $IMAGE sh -c 'i=0; while :; do echo $i; i=$((i + 1)); done' >/dev/null
	wait_for 10 log_reaches grows 100
	for _ in $(seq 40); do
		# The last one may be the part of a line that conmon has read so far: without an end.
		[ "$(cryopod logs --tail 1 grows | grep -c '')" -eq 1 ]
	done
	cryopod rm -f -t 0 grows
}
