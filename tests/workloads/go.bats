# SPDX-License-Identifier: Apache-2.0
# A Go server, statically linked, alone in its container with a cat.

load ../lib/workload
setup_file() {
	workload_setup
	command -v go >/dev/null || skip "no Go compiler"
	mkdir "$BATS_FILE_TMPDIR/app"
	HOME=$BATS_FILE_TMPDIR CGO_ENABLED=0 GOFLAGS=-mod=mod GOCACHE=$BATS_FILE_TMPDIR/gocache \
		go build -o "$BATS_FILE_TMPDIR/app/hello" "$BATS_TEST_DIRNAME/hello.go"
	chmod -R u+w "$BATS_FILE_TMPDIR/gocache" && rm -rf "$BATS_FILE_TMPDIR/gocache"
}
teardown() { workload_clear; }
teardown_file() { workload_teardown; }

start() { ctr -v "$BATS_FILE_TMPDIR/app:/app:ro" -- /app/hello; }
ask() { (talk "$(ip_of w)" 8000 && echo "$1" >&"$TALK" && hear 20) }
ready() { [ "$(ask ping)" = pong ]; }
fill() { ask check >/dev/null; }
mark() { read -r HASHED ROUNDS < <(ask check); }
verify() {
	local h r
	read -r h r < <(ask check)
	echo "$HASHED $ROUNDS, then $h $r"
	[ "$h" -gt "$HASHED" ] && [ "$r" -eq $((ROUNDS + 1)) ]
}

@test "every cycle" { every_cycle; }

@test "a connection goes on" {
	CHECKPOINT=(--tcp-established) RESTORE=(--tcp-established)
	begin
	talk "$(ip_of w)" 8000
	for i in 1 2 3; do
		say check; read -r _ n < <(hear)
		cycle_w
		say check; read -r _ m < <(hear)
		[ "$m" -gt "$n" ]
	done
	hang_up
	mark
	verify
}
