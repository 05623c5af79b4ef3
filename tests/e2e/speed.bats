# SPDX-License-Identifier: Apache-2.0
# Orders of magnitude: three times the aims of bench/, and the best of many, as machines that run
# tests do other work, too.  What counts exactly: docs/performance.md.

load ../lib/helpers
setup_file() { engine_setup; }
teardown_file() { engine_teardown; }

# A clock in milliseconds that stands still while somebody waits for a processor, or while the host of a
# virtual machine has taken it: on a machine with nothing else to do it is like any other.
clock_ms() {
	local waited=0 stolen
	[ ! -e /proc/pressure/cpu ] || waited=$(sed -n 's/^some .*total=//p' /proc/pressure/cpu)
	stolen=$(awk '/^cpu / {print $9 * 10}' /proc/stat)
	echo $(($(date +%s%N) / 1000000 - waited / 1000 - stolen))
}

# best_of N LIMIT COMMAND...: the fewest milliseconds that it took; when that is within the limit no
# more are needed, and N is for a machine that has much else to do.
best_of() {
	local n=$1 limit=$2 best= i start took
	shift 2
	for ((i = 0; i < n; i++)); do
		start=$(clock_ms)
		"$@" >/dev/null || return 1
		took=$(($(clock_ms) - start))
		[ -n "$best" ] && [ "$best" -le "$took" ] || best=$took
		[ "$best" -gt "$limit" ] || break
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
	for i in $(seq 60); do
		start=$(clock_ms)
		out=$(cryopod container checkpoint --print-stats looper)
		took=$(($(clock_ms) - start))
		[ $took -ge $freeze ] || freeze=$took
		us=$(grep -o '"frozen_time": [0-9]*' <<<"$out" | grep -o '[0-9]*$')
		[ $((us / 1000)) -ge $frozen ] || frozen=$((us / 1000))
		start=$(clock_ms)
		out=$(cryopod container restore --print-stats looper)
		took=$(($(clock_ms) - start))
		[ $took -ge $thaw ] || thaw=$took
		us=$(grep -o '"restore_time": [0-9]*' <<<"$out" | grep -o '[0-9]*$')
		[ $((us / 1000)) -ge $part ] || part=$((us / 1000))
		[ $frozen -gt 15 ] || [ $freeze -gt 120 ] || [ $part -gt 45 ] || [ $thaw -gt 300 ] || break
	done
	at_most $frozen 15 "processes frozen"
	at_most $freeze 120 "checkpoint"
	at_most $part 45 "restore, from the agent to running"
	at_most $thaw 300 "restore" # runc's create and start: 60 ms; conmon; 30 ms
}

@test "run -d without network" {
	run_and_remove() {
		cryopod run -d --name quick --network none $IMAGE sleep 1000 &&
			cryopod rm -f -t 0 quick
	}
	at_most "$(best_of 40 600 run_and_remove)" 600 "run -d, rm -f"
}

@test "ps -a with 50 containers" {
	local i
	for i in $(seq 50); do
		cryopod create --network none $IMAGE true >/dev/null
	done
	at_most "$(best_of 200 30 cryopod ps -a)" 30 "ps -a"
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
