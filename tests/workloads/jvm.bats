# SPDX-License-Identifier: Apache-2.0
# A JVM whose compiler and collectors are at work: all sums come out as before.

load ../lib/workload
setup_file() {
	workload_setup
	command -v javac >/dev/null || skip "no javac"
	mkdir -p "$BATS_FILE_TMPDIR/app"
	javac --release 17 -d "$BATS_FILE_TMPDIR/app" "$BATS_TEST_DIRNAME/Churn.java"
}
teardown() { workload_clear; }
teardown_file() { workload_teardown; }

GC=-XX:+UseG1GC
start() { ctr -v "$BATS_FILE_TMPDIR/app:/app:ro" -- java $GC -Xmx160m -XX:+UseStringDeduplication -XX:TieredStopAtLevel=4 -cp /app Churn; }
# rounds done, mismatches, collections
ask() { (talk "$(ip_of w)" 7777 && say check && hear) }
ready() { ask >/dev/null; }
fill() { wait_for 20 eval '[ "$(ask | cut -d" " -f3)" -gt 3 ]'; }
mark() { read -r ROUNDS _ COLLECTED < <(ask); }
verify() {
	local r w c
	wait_for 20 eval 'read -r r w c < <(ask) && [ "$r" -gt $((ROUNDS + 50)) ] && [ "$c" -gt $COLLECTED ]'
	[ "$w" = 0 ]
}

@test "G1: every cycle" { every_cycle; }
@test "another collector: parallel" { GC=-XX:+UseParallelGC && begin && cycle_w && verify; }
@test "another collector: Z" { GC=-XX:+UseZGC && begin && cycle_w && verify; }
@test "another collector: Shenandoah" { GC=-XX:+UseShenandoahGC && begin && cycle_w && verify; }
@test "large pages of the kernel's own" { GC="-XX:+UseG1GC -XX:+UseTransparentHugePages" && begin && cycle_w && verify; }
