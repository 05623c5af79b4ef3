# SPDX-License-Identifier: Apache-2.0
# A command that is killed at any moment leaves nothing that blocks the next one.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

@test "SIGKILL of a command at any moment" {
	[ "$PROG" != podman ] || skip "Podman leaves conmon behind"
	for ms in 5 10 20 40 60 80 120 160; do
		"$CP" run -d --name "k$ms" --network none $IMAGE sleep 1000 >/dev/null 2>&1 &
		sleep "$(printf 0.%03d "$ms")"
		kill -9 $! 2>/dev/null || true
		wait $! 2>/dev/null || true
		expect 0 timeout 60 "$CP" ps -a
	done
	expect 0 timeout 60 "$CP" rm -fa -t 0
	[ "$(cryopod ps -aq)" = "" ]
	store_is_sound
}

@test "SIGKILL of checkpoint and restore at any moment loses nothing" {
	needs_engine
	looper a
	for ms in 5 10 15 20 30 40 60 80 120; do
		verb=checkpoint
		[ "$(cryopod inspect --format '{{.State.Status}}' a)" = running ] || verb=restore
		"$CP" container $verb a >/dev/null 2>&1 &
		sleep "$(printf 0.%03d "$ms")"
		kill -9 $! 2>/dev/null || true
		wait $! 2>/dev/null || true
		echo "$verb killed after $ms ms: $(cryopod ps -a --format '{{.Status}}')"
		if [ "$(cryopod inspect --format '{{.State.Status}}' a)" = running ]; then
			wait_for 10 log_reaches a $(($(last_number a) + 2))
		else
			expect 0 timeout 60 "$CP" container restore a
		fi
	done
	goes_on a
}
