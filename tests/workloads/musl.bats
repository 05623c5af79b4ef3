# SPDX-License-Identifier: Apache-2.0
# A static musl binary, the only file of its container that matters.

load ../lib/workload
setup_file() {
	workload_setup
	mkdir "$BATS_FILE_TMPDIR/app"
	musl-gcc -static -O2 -o "$BATS_FILE_TMPDIR/app/musl" "$BATS_TEST_DIRNAME/musl.c" -lpthread
}
teardown() { workload_clear; }
teardown_file() { workload_teardown; }

start() { ctr -v "$BATS_FILE_TMPDIR/app:/app:ro" -- /app/musl; }
ask() { (talk "$(ip_of w)" 8000 && echo "$1" >&"$TALK" && hear 20) }
ready() { [ "$(ask ping)" = pong ]; }
fill() { ask check >/dev/null; }
mark() { read -r STEPS ROUNDS < <(ask check); }
verify() {
	local h r
	read -r h r < <(ask check)
	echo "$STEPS $ROUNDS, then $h $r"
	[ "$h" -gt "$STEPS" ] && [ "$r" -eq $((ROUNDS + 1)) ]
}

@test "every cycle" { every_cycle; }
