# SPDX-License-Identifier: Apache-2.0
# sshd with somebody logged in over the bridge: the shell, its terminal and its jobs go on.

load ../lib/workload
setup_file() {
	workload_setup
	mkdir "$BATS_FILE_TMPDIR/ssh"
	ssh-keygen -q -t ed25519 -N "" -f "$BATS_FILE_TMPDIR/ssh/key"
	ssh-keygen -q -t ed25519 -N "" -f "$BATS_FILE_TMPDIR/ssh/host"
	cp "$BATS_FILE_TMPDIR/ssh/key.pub" "$BATS_FILE_TMPDIR/ssh/authorized"
	chmod 755 "$BATS_FILE_TMPDIR" "$BATS_FILE_TMPDIR/ssh"
	chmod 600 "$BATS_FILE_TMPDIR"/ssh/*
}
teardown() { workload_clear; }
teardown_file() { workload_teardown; }

CHECKPOINT=(--tcp-established) RESTORE=(--tcp-established)
start() {
	ctr --tmpfs /run/sshd:mode=755 -v "$BATS_FILE_TMPDIR/ssh:/ssh:ro" -- /usr/sbin/sshd -D -e -h /ssh/host \
		-o AuthorizedKeysFile=/ssh/authorized -o StrictModes=no -o UsePAM=no -o PidFile=none -o PermitRootLogin=yes
}
login() {
	ssh -q -F none -i "$BATS_FILE_TMPDIR/ssh/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
		-o ConnectTimeout=5 "$@"
}
ready() { [ "$(login root@"$(ip_of w)" echo in)" = in ]; }

# Somebody types at a terminal of sshd's; what comes back goes to $OUT.
fill() {
	OUT=$BATS_TEST_TMPDIR/out
	mkfifo "$BATS_TEST_TMPDIR/in"
	login -tt root@"$(ip_of w)" <"$BATS_TEST_TMPDIR/in" >"$OUT" 2>&1 3>&- &
	CLIENT=$!
	exec 7>"$BATS_TEST_TMPDIR/in"
	type 'stty -echo; PS1=; HERE=kept; sleep 1000 & echo job:$!:'
	wait_for 10 grep -q 'job:[0-9]*:' "$OUT"
	JOB=$(sed -n 's/.*job:\([0-9]*\):.*/\1/p' "$OUT")
}
type() { printf '%s\n' "$*" >&7; }
verify() {
	local n=$((RANDOM * 32768 + RANDOM))
	type "echo \"<$n:\$HERE:\$(tty):\$(jobs -p)>\" | tr a-z A-Z"
	wait_for 10 grep -q "<$n:KEPT:/DEV/PTS/0:$JOB>" "$OUT"
	kill -0 $CLIENT
}

@test "a login goes on through every cycle, a new one is possible" {
	every_cycle_of_a_login
	type 'kill %1; exit 7'
	status=0
	wait $CLIENT || status=$?
	[ "$status" -eq 7 ]
}

# A second restore of the same checkpoint would find that the connection has gone on without it.
every_cycle_of_a_login() {
	local i
	begin
	freeze -R
	verify
	for i in $(seq "$CYCLES"); do
		cycle_w
		verify
	done
	note "cold start $COLD ms; checkpoint $FROZE ms; restore to the next login $THAWED ms"
}

@test "without a login: every cycle" {
	fill() { :; }
	verify() { ready; }
	CHECKPOINT=() RESTORE=()
	every_cycle
}

@test "a login is refused without the option that keeps it, before anything is frozen" {
	begin
	refuses 125 --tcp-established cryopod container checkpoint w
	has "$(ip_of w):22"
	verify
	type 'kill %1; exit'
	wait $CLIENT
}

@test "a long copy under way arrives whole" {
	fill() { :; }
	verify() { :; }
	begin
	login root@"$(ip_of w)" 'seq 3000000' >"$BATS_TEST_TMPDIR/copy" 3>&- &
	client=$!
	wait_for 10 test -s "$BATS_TEST_TMPDIR/copy"
	for i in 1 2 3; do cycle_w; done
	wait $client
	seq 3000000 | cmp - "$BATS_TEST_TMPDIR/copy"
}
