# SPDX-License-Identifier: Apache-2.0
# Long steps on a terminal: how far they are, and Ctrl-C, which takes everything back.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

PTY=$REPO/tests/lib/pty

# filled CTR MB: a looper with so much in its root file system that nothing compresses.
filled() {
	cryopod run -d --name "$1" --network none $IMAGE sh -c "dd if=/dev/urandom of=/root/big bs=1M count=$2 2>/dev/null; $FAST_LOOP" >/dev/null
	wait_for 60 log_reaches "$1" 2
}

# held DIR: what stops a command (for pty) as soon as it has a file below DIR open for writing.
held() {
	cat <<-END
	while [ -e /proc/\$PID/exe ]; do
		for fd in /proc/\$PID/fd/*; do
			case \$(readlink \$fd) in $1/*)
				grep -q '^flags:.*[12]\$' /proc/\$PID/fdinfo/\${fd##*/} && kill -STOP \$PID && exit;;
			esac
		done
	done 2>/dev/null
	exit 1
	END
}

@test "bytes, rate and time left on a terminal; nothing elsewhere" {
	needs_engine
	filled a 60
	expect 0 "$PTY" -- "$CP" container checkpoint -R -c gzip -e "$BATS_TEST_TMPDIR/a.tar" a
	[[ "$output" =~ checkpoint\ a:\ [0-9.]+\ MB\ of\ [0-9.]+\ MB,\ [0-9.]+\ [kM]B/s,\ [0-9]+\ s\ left ]]
	[ "$(tail -1 <<<"$output" | tr -d '\r' | sed 's/.*\x1b\[K//')" = a ]
	run --separate-stderr cryopod container checkpoint -c gzip -e "$BATS_TEST_TMPDIR/a.tar" a
	[ "$status" -eq 0 ] && [ "$output" = a ] && [ -z "$stderr" ]
}

@test "Ctrl-C in an export: it goes on, and there is no file" {
	needs_engine
	filled a 200
	for how in "" -R; do
		expect 125 "$PTY" -e "MB" -s '\x03' -- "$CP" container checkpoint $how -c gzip -e "$BATS_TEST_TMPDIR/a.tar" a
		has "Error: checkpoint a: " interrupted
		[ -z "$(ls -A "$BATS_TEST_TMPDIR" | grep -vx log)" ]
		goes_on a
	done
	# It is quick: held while it writes, until Ctrl-C is there.
	expect 125 "$PTY" -x "$(held "$CP_ROOT/tmp")" -s '\x03' -x 'kill -CONT $PID' -- "$CP" container checkpoint --create-image x a
	goes_on a
	[ "$(cryopod images -q | wc -l)" -eq 1 ]
	cycle a
}

@test "Ctrl-C in an import: nothing half-made" {
	needs_engine
	filled a 40
	cryopod container checkpoint -c none -e "$BATS_TEST_TMPDIR/a.tar" a >/dev/null
	cryopod rm a >/dev/null
	bzip2 -1 "$BATS_TEST_TMPDIR/a.tar"
	expect 125 "$PTY" -e "MB" -s '\x03' -- "$CP" container restore -i "$BATS_TEST_TMPDIR/a.tar.bz2"
	has "Error: " interrupted
	[ -z "$(cryopod ps -aq)" ] && [ -z "$(ls -A "$CP_ROOT/tmp")" ]
	expect 0 cryopod container restore -i "$BATS_TEST_TMPDIR/a.tar.bz2"
	goes_on a
}

@test "SIGTERM at any moment of checkpoint and restore" {
	needs_engine
	looper a
	for ms in 2 5 10 20 30 45 60 80; do
		"$CP" container checkpoint -e "$BATS_TEST_TMPDIR/a.tar" a >/dev/null 2>&1 3>&- &
		pid=$!
		sleep 0.0$(printf %02d $ms)
		kill "$pid" 2>/dev/null || true
		wait $pid || true
		if [ "$(cryopod inspect --format '{{.State.Status}}' a)" = exited ]; then
			expect 0 cryopod container restore a
		else
			[ ! -e "$BATS_TEST_TMPDIR/a.tar" ]
		fi
		goes_on a
		rm -f "$BATS_TEST_TMPDIR"/*
	done
}

# What the store holds, and nothing_new: it is what it was at as_it_was; a difference is shown.
holds() {
	cryopod images -aq
	find "$CP_ROOT/tmp" "$CP_ROOT/blobs" "$CP_ROOT/overlay" -mindepth 1 -maxdepth 2 | sort
}
as_it_was() { holds >"$BATS_FILE_TMPDIR/holds"; }
nothing_new() { holds | diff "$BATS_FILE_TMPDIR/holds" -; }

@test "import: how far it is, and Ctrl-C, also while a pipe keeps it waiting" {
	needs_engine
	as_it_was
	T=$BATS_TEST_TMPDIR
	head -c 16M /dev/urandom >"$T/big"
	tar -C "$T" -cjf "$T/big.tar.bz2" big
	expect 125 "$PTY" -e "unpack: " -e "MB of" -s '\x03' -- "$CP" import -q "$T/big.tar.bz2" big
	has interrupted
	nothing_new
	mkfifo "$T/fifo"
	sleep 1000 >"$T/fifo" 3>&- &
	pid=$!
	expect 125 "$PTY" -x 'until ls -l /proc/$PID/fd 2>/dev/null | grep -q /fifo; do sleep 0.05; done' -s '\x03' -- "$CP" import -q "$T/fifo" big
	has interrupted
	nothing_new
	kill $pid
	wait $pid || true
}

@test "load: Ctrl-C while a pipe keeps it waiting, from a file and from the input" {
	needs_engine
	as_it_was
	T=$BATS_TEST_TMPDIR
	mkfifo "$T/fifo"
	sleep 1000 >"$T/fifo" 3>&- &
	pid=$!
	# By then it has the copy open as well, and looks after Ctrl-C.
	for how in "-i $T/fifo" "<$T/fifo"; do
		expect 125 "$PTY" -x 'until ls -l /proc/$PID/fd 2>/dev/null | grep -q "/in\$"; do sleep 0.05; done' -s '\x03' -- sh -c "exec \"$CP\" load -q $how"
		has interrupted
		nothing_new
	done
	kill $pid
	wait $pid || true
}

@test "pull and push: Ctrl-C or SIGTERM while a registry does not answer" {
	needs_engine
	as_it_was
	python3 -c '
import socket, time
s = socket.create_server(("127.0.0.1", 5998))
held = []
while True: held.append(s.accept())' 3>&- &
	server=$!
	wait_for 10 bash -c 'echo >/dev/tcp/127.0.0.1/5998'
	asked='until c=$(pgrep -P $PID skopeo) && ls -l /proc/$c/fd | grep -q socket; do sleep 0.05; done'
	for what in "pull docker://127.0.0.1:5998/x" "push $IMAGE docker://127.0.0.1:5998/x"; do
		expect 125 "$PTY" -x "$asked" -s '\x03' -- "$CP" $what
		has interrupted
		nothing_new
		expect 125 "$PTY" -x "$asked; kill \$PID" -- "$CP" $what
		has "told to end"
		nothing_new
	done
	kill $server
	wait $server || true
}

@test "pre-checkpoint: Ctrl-C in its export" {
	needs_engine
	filled a 100
	expect 125 "$PTY" -e "MB" -s '\x03' -- "$CP" container checkpoint -P -c gzip -e "$BATS_TEST_TMPDIR/a.tar" a
	has "Error: pre-checkpoint a: " interrupted
	[ ! -e "$BATS_TEST_TMPDIR/a.tar" ]
	goes_on a
	cycle a
}
