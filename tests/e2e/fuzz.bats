# SPDX-License-Identifier: Apache-2.0
# Images with damage of any kind are read or refused, and never crash, hang or fill the memory of
# who reads them (tests/fuzz/images.c) or restores them (tests/fuzz/restore).  The damage is the same each time.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

# inside COMMAND: another process of the container, to be recorded.
inside() { cryopod exec -d a sh -c "$1"; }

@test "images of a container with a bit of everything" {
	needs_engine
	[ -x "$REPO/build/tests/fuzz/fuzz-images" ] || skip "needs build/tests/fuzz"
	cryopod run -d -t --name a --network none $IMAGE sh -c 'mkfifo /root/p; sleep 1000 >/root/gone & rm /root/gone
		exec 5<>/root/p 6</etc/passwd; (echo x; sleep 1000) | (sleep 1000; cat) & exec sleep 1000' >/dev/null
	inside 'exec nc -l -p 80'
	inside 'exec flock /root/lock sleep 1000'
	wait_for 20 cryopod exec a sh -c 'netstat -ltn | grep -q :80 && ! flock -n /root/lock true'
	expect 0 cryopod container checkpoint -R --keep --file-locks a
	expect 0 timeout 120 "$REPO/build/tests/fuzz/fuzz-images" "$(cryopod inspect --format '{{.State.CheckpointPath}}' a)" 800 20
	has "800 rounds"
}

@test "images of processes with sockets, namespaces, terminals and shared memory" {
	[ -x "$REPO/build/tests/fuzz/fuzz-images" ] || skip "needs build/tests/fuzz"
	for program in unixqueued unixpairs spaces sockopts ttysession sysv; do
		images=$BATS_TEST_TMPDIR/$program
		mkdir "$images"
		"$REPO/build/tests/cr/cr-run" --keep "$images" plain "$REPO/build/tests/cr/cr-$program"
		expect 0 timeout 120 "$REPO/build/tests/fuzz/fuzz-images" "$images/0" 150 20
		has "150 rounds"
	done
}

@test "restores of damaged images make a tree, or end with one line and leave nothing" {
	needs_engine
	[ -x "$REPO/build/tests/cr/cr-hello" ] || skip "needs build/tests/cr"
	for run in "ttysession" "ghost 70" "unixqueued 70" "ptimers 70"; do
		# shellcheck disable=SC2086
		expect 0 timeout 300 unshare -pmniuf --kill-child --mount-proc "$REPO/tests/fuzz/restore" \
			"$REPO/build/cryo" "$REPO/build/tests/cr/cr-"$run
		has ", 0 wrong"
	done
}
