# SPDX-License-Identifier: Apache-2.0
# Orders of magnitude: three times the aims of bench/, and the best of several, as machines that run
# tests do other work, too.  What counts exactly: docs/performance.md.

load ../lib/helpers
setup_file() { engine_setup; }
teardown_file() { engine_teardown; }

# best_of N COMMAND...: the fewest milliseconds that it took.
best_of() {
	local n=$1 best= i start took
	shift
	for ((i = 0; i < n; i++)); do
		start=$(date +%s%N)
		"$@" >/dev/null || return 1
		took=$((($(date +%s%N) - start) / 1000000))
		[ -n "$best" ] && [ "$best" -le "$took" ] || best=$took
	done
	echo "$best"
}

# at_most N LIMIT WHAT
at_most() {
	echo "# $3: $1, at most $2" >&3
	[ "$1" -le "$2" ]
}


# peak_of COMMAND...: the most memory in KiB that it was seen to have, mapped libraries included.
peak_of() {
	local p peak=0 now
	"$CP" "$@" >/dev/null 3>&- &
	p=$!
	while now=$(awk '/^VmHWM/ {print $2}' /proc/$p/status 2>/dev/null) && [ -n "$now" ]; do
		[ "$now" -le $peak ] || peak=$now
	done
	wait $p && echo $peak
}

@test "freeze and thaw" {
	cryopod run -d --name looper $IMAGE /bin/sh -c "$LOOP" >/dev/null
	local frozen=999999 freeze=999999 part=999999 thaw=999999 start took us out i
	for i in 1 2 3 4 5 6 7 8; do
		start=$(date +%s%N)
		out=$(cryopod container checkpoint --print-stats looper)
		took=$((($(date +%s%N) - start) / 1000000))
		[ $took -ge $freeze ] || freeze=$took
		us=$(grep -o '"frozen_time": [0-9]*' <<<"$out" | grep -o '[0-9]*$')
		[ $((us / 1000)) -ge $frozen ] || frozen=$((us / 1000))
		start=$(date +%s%N)
		out=$(cryopod container restore --print-stats looper)
		took=$((($(date +%s%N) - start) / 1000000))
		[ $took -ge $thaw ] || thaw=$took
		us=$(grep -o '"restore_time": [0-9]*' <<<"$out" | grep -o '[0-9]*$')
		[ $((us / 1000)) -ge $part ] || part=$((us / 1000))
	done
	at_most $frozen 15 "processes frozen"
	at_most $freeze 120 "checkpoint"
	at_most $part 45 "restore, from the agent to running"
	at_most $thaw $((3 * 100)) "restore" # runc's create and start: 60 ms; conmon; 30 ms
}

@test "run -d without network" {
	run_and_remove() {
		cryopod run -d --name quick --network none $IMAGE sleep 1000 &&
			cryopod rm -f -t 0 quick
	}
	at_most "$(best_of 5 run_and_remove)" 600 "run -d, rm -f"
}

@test "ps -a with 50 containers" {
	local i
	for i in $(seq 50); do
		cryopod create --network none $IMAGE true >/dev/null
	done
	at_most "$(best_of 20 cryopod ps -a)" 30 "ps -a"
}

@test "memory of the engine: a container of 256 MiB costs it nothing" {
	cryopod run -d --name big --network none $IMAGE sh -c \
		'dd if=/dev/urandom bs=256M count=1 iflag=fullblock | sleep 1000' >/dev/null
	filled() {
		local p pid
		pid=$(cryopod inspect --format '{{.State.Pid}}' big)
		for p in $(cat /proc/$pid/task/$pid/children); do
			[ "$(awk '/RssAnon/ {print $2}' /proc/$p/status)" -gt 260000 ] && return 0
		done
		return 1
	}
	wait_for 30 filled
	at_most "$(peak_of container checkpoint big)" 30720 "peak memory of the checkpoint in KiB"
	at_most "$(peak_of container restore big)" 30720 "peak memory of the restore in KiB"
	filled
}
