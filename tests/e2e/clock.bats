# SPDX-License-Identifier: Apache-2.0
# The clocks that start at boot, after a checkpoint on a machine that has run for longer.

load ../lib/helpers
setup_file() { engine_setup; }
teardown_file() { engine_teardown; }

# A machine that was started DAYS earlier is one of another time namespace.
earlier() {
	local seconds=$(($1 * 86400))
	shift
	unshare --time --monotonic "$seconds" --boottime "$seconds" --fork "$REPO/tests/lib/here" "$@"
}

# When a process was started is told in the reader's clock (proc(5)), so each machine's containers
# are looked at from that machine.

@test "uptime goes on where it was, for what is restored and for exec" {
	earlier 30 run -d --name clock --network none $IMAGE \
		sh -c 'while :; do cut -d. -f1 /proc/uptime; sleep 0.1; done'
	wait_for 10 sh -c "[ \"\$('$REPO/tests/lib/here' logs clock | wc -l)\" -gt 2 ]"
	[ "$(cryopod logs clock | head -n 1)" -ge $((30 * 86400)) ]
	earlier 30 container checkpoint clock
	last=$(cryopod logs --tail 1 clock)
	cryopod container restore clock
	lines=$(cryopod logs clock | wc -l)
	wait_for 10 sh -c "[ \"\$('$REPO/tests/lib/here' logs clock | wc -l)\" -gt $((lines + 3)) ]"
	# Never back, and no jump of days.
	cryopod logs clock | awk 'NR > 1 && ($1 < before || $1 > before + 60) { print "from", before, "to", $1; bad = 1 } { before = $1 } END { exit bad }'
	now=$(cryopod exec clock cut -d. -f1 /proc/uptime)
	[ "$now" -ge "$last" ] && [ "$now" -lt $((last + 60)) ]
	# And once more, from a machine where the clock is ahead.
	cryopod container checkpoint clock
	last=$(cryopod logs --tail 1 clock)
	earlier 90 container restore clock
	now=$(earlier 90 exec clock cut -d. -f1 /proc/uptime)
	[ "$now" -ge "$last" ] && [ "$now" -lt $((last + 60)) ]
	earlier 90 rm -f -t 0 clock
}
