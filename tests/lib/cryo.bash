# SPDX-License-Identifier: Apache-2.0
# Shared by tests/e2e/cryo-*.bats: trees outside of containers, driven as a harness of CRIU would.

bats_require_minimum_version 1.5.0
REPO=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
CRYO=${CRYO_BIN:-$REPO/build/cryo}

setup() {
	DIR=$BATS_TEST_TMPDIR IMG=$BATS_TEST_TMPDIR/img PID=
	mkdir "$IMG"
}

teardown() {
	if [ -n "$PID" ]; then
		kill -9 -- "-$PID" 2>/dev/null || kill -9 "$PID" 2>/dev/null || true
	fi
}

# wait_for SECONDS COMMAND...: until it succeeds.  SECONDS are those of a machine that does nothing
# else; on others whoever waits for what will come has more patience.
wait_for() {
	local end=$((SECONDS + $1 * 4))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || { echo "timed out: $*"; return 1; }
		sleep 0.02
	done
}

# launch COMMAND...: in a session of its own, output in $DIR/out; its number in PID.
launch() {
	setsid "$@" </dev/null >>"$DIR/out" 2>&1 3>&- &
	PID=$!
	wait_for 5 eval '[ "$(cut -d" " -f6 /proc/$PID/stat)" = "$PID" ] && [ "$(cat /proc/$PID/comm)" != setsid ]'
	[ "$1" != sleep ] || asleep
}

# asleep: a "sleep" as PID has done all that it does before.
asleep() { wait_for 5 eval '[ "$(cut -d" " -f1 /proc/$PID/syscall)" = 230 ]'; } # clock_nanosleep(2)

# dump [OPTIONS]: expects it to succeed; the root is gone afterwards unless it is left.
dump() {
	"$CRYO" dump -D "$IMG" -t "$PID" "$@" || return 1
	[ -s "$IMG/inventory.img" ]
}

reap() {
	wait "$PID" || [ $? = 137 ]
	[ ! -e "/proc/$PID" ]
}

# end_group: the tree, which leads a process group; its number is free afterwards.
end_group() {
	kill -9 -- "-$PID"
	wait_for 30 eval '! kill -0 -- "-$PID" 2>/dev/null'
}

restore() {
	"$CRYO" restore -D "$IMG" -d "$@"
}

lines() {
	wc -l <"$1"
}

# grows FILE: it gets one more line than it has now.
grows() {
	local n
	n=$(lines "$1")
	wait_for 5 eval "[ \$(lines '$1') -gt $n ]"
}

state_of() {
	awk '/^State:/ {print $2}' "/proc/$1/status"
}

# sleeps PID: it has been let go, and is back in the call that it was in.
sleeps() { wait_for 5 eval '[ "$(state_of '"$1"')" = S ]'; }

# The name of a control group that nobody else has: they are the host's, our numbers are not.
GROUP_NAME=cryo-test-${BATS_RUN_TMPDIR##*[-/]}-$$
