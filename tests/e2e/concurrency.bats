# SPDX-License-Identifier: Apache-2.0
# Many commands on one store at once: each either does its work or says why not.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

# all_at_once COMMAND...: 20 times with the number appended; fails when one fails.
all_at_once() {
	local i pids=() failed=0
	for i in $(seq 20); do
		"$@" "$i" >"$BATS_TEST_TMPDIR/out-$i" 2>&1 &
		pids+=($!)
	done
	for i in $(seq 20); do
		wait "${pids[i - 1]}" || { failed=1 && echo "$i: $(cat "$BATS_TEST_TMPDIR/out-$i")"; }
	done
	return $failed
}
create() { cryopod create --name "c$1" --network none $IMAGE sleep 1000; }
both() { cryopod ps -a && cryopod create --name "d$1" --network none $IMAGE true && cryopod rm "d$1"; }
remove() { cryopod rm "c$1"; }
same_name() { cryopod create --name same --network none $IMAGE true; }

@test "20 creates, 20 lists with create and rm, 20 removals" {
	all_at_once create
	[ "$(cryopod ps -aq | sort -u | wc -l)" -eq 20 ]
	all_at_once both
	[ "$(cryopod ps -aq | wc -l)" -eq 20 ]
	all_at_once remove
	[ "$(cryopod ps -aq)" = "" ]
}

@test "20 times the same name: one gets it" {
	run all_at_once same_name
	[ "$(cryopod ps -a --format '{{.Names}}')" = same ]
	[ "$(cat "$BATS_TEST_TMPDIR"/out-* | grep -c '^Error: .*already in use')" -eq 19 ]
}

@test "several run and end at once; addresses are different" {
	one() { cryopod run -d --name "n$1" $IMAGE sleep 1000; }
	pids=()
	for i in 1 2 3 4 5; do
		one $i >"$BATS_TEST_TMPDIR/$i" 2>&1 &
		pids+=($!)
	done
	for i in 1 2 3 4 5; do
		wait "${pids[i - 1]}" || { cat "$BATS_TEST_TMPDIR/$i" && false; }
	done
	[ "$(for i in 1 2 3 4 5; do cryopod inspect --format '{{.NetworkSettings.IPAddress}}' n$i; done | sort -u | grep -c '^10\.')" -eq 5 ]
	expect 0 cryopod rm -fa -t 0
}

@test "one container: kill, stop, rm -f and exec at once leave nothing half done" {
	for _ in 1 2 3; do
		cryopod run -d --name a --network none $IMAGE sleep 1000 >/dev/null
		cryopod kill a >/dev/null 2>&1 &
		cryopod stop -t 0 a >/dev/null 2>&1 &
		cryopod exec a true >/dev/null 2>&1 &
		cryopod rm -f -t 0 a >/dev/null 2>&1 &
		wait
		cryopod rm -f -t 0 a >/dev/null
		[ "$(cryopod ps -aq)" = "" ]
	done
}

@test "two checkpoints of one container at once: one is done, the other refused" {
	needs_engine
	cryopod run -d --name a --network none $IMAGE sh -c "$FAST_LOOP" >/dev/null
	wait_for 10 log_reaches a 2
	for verb in checkpoint restore; do
		pids=() codes=()
		for i in 1 2; do
			cryopod container $verb a >"$BATS_TEST_TMPDIR/$i" 2>&1 &
			pids+=($!)
		done
		for i in 0 1; do
			wait "${pids[i]}" && codes+=(0) || codes+=($?)
		done
		cat "$BATS_TEST_TMPDIR"/[12]
		[ "$(printf '%s\n' "${codes[@]}" | sort -n | xargs)" = "0 125" ]
		[ "$(cat "$BATS_TEST_TMPDIR"/[12] | grep -c '^Error: .*container state improper')" -eq 1 ]
	done
	wait_for 10 log_reaches a $(($(last_number a) + 2))
	log_is_gapless a
}

@test "checkpoint of several while others come and go" {
	needs_engine
	for i in 1 2 3; do
		cryopod run -d --name "l$i" --network none $IMAGE sh -c "$FAST_LOOP" >/dev/null
	done
	for i in 1 2 3; do wait_for 10 log_reaches l$i 2; done
	all_at_once both >"$BATS_TEST_TMPDIR/churn" 2>&1 &
	for i in 1 2 3; do cryopod container checkpoint l$i >/dev/null; done
	for i in 1 2 3; do cryopod container restore l$i >/dev/null; done
	wait $! || { cat "$BATS_TEST_TMPDIR/churn" && false; }
	for i in 1 2 3; do
		wait_for 10 log_reaches l$i $(($(last_number l$i) + 2))
		log_is_gapless l$i
	done
}
