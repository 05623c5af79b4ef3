# SPDX-License-Identifier: Apache-2.0
# The first tutorial of the field, as its users type it.

load ../lib/helpers
setup_file() { engine_setup; }
teardown_file() { engine_teardown; }

@test "run: a loop that counts" {
	run cryopod run -d --name looper $IMAGE /bin/sh -c "$LOOP"
	[ "$status" -eq 0 ]
	[[ "$output" =~ ^[0-9a-f]{64}$ ]]
	wait_for 10 log_reaches looper 2
	run cryopod logs -l
	[[ "$output" == $'0\n1\n2'* ]]
}

@test "checkpoint -l prints the ID; the processes are gone" {
	pid=$(cryopod inspect --format '{{.State.Pid}}' looper)
	id=$(cryopod inspect --format '{{.Id}}' looper)
	[ -d /proc/$pid ]
	run cryopod container checkpoint -l
	[ "$status" -eq 0 ]
	[ "$output" = "$id" ]
	[ ! -d /proc/$pid ]
	run cryopod inspect --format '{{.State.Status}}:{{.State.Running}}:{{.State.Paused}}:{{.State.Checkpointed}}' looper
	[ "$output" = "exited:false:false:true" ]
	run cryopod ps -a
	[[ "$output" == *"Exited"* ]]
	run cryopod ps -q
	[ "$output" = "" ]
}

@test "the log no longer grows" {
	cryopod logs -l >"$BATS_TEST_TMPDIR/one"
	sleep 1.3
	cryopod logs -l | diff "$BATS_TEST_TMPDIR/one" -
}

@test "restore -l goes on from where it was, no number lost or repeated" {
	n=$(last_number looper)
	run cryopod container restore -l
	[ "$status" -eq 0 ]
	[[ "$output" =~ ^[0-9a-f]{64}$ ]]
	wait_for 10 log_reaches looper $((n + 2))
	log_is_gapless looper
	run cryopod inspect --format '{{.State.Status}}:{{.State.Running}}:{{.State.Paused}}:{{.State.Checkpointed}}' looper
	[ "$output" = "running:true:false:false" ]
}

@test "checkpoint --keep, everything under the run root gone, restore --keep" {
	run cryopod container checkpoint --keep looper
	[ "$status" -eq 0 ]
	[ "$output" = looper ]
	n=$(last_number looper)
	umount -l "$CP_RUN"/netns/* 2>/dev/null || true
	rm -rf "$CP_RUN"
	run cryopod container restore --keep looper
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$output" = looper ]
	wait_for 10 log_reaches looper $((n + 2))
	log_is_gapless looper
}

@test "the same kept checkpoint once more" {
	cryopod kill looper
	cryopod wait looper
	run cryopod container restore --keep looper
	echo "$output"
	[ "$status" -eq 0 ]
	run cryopod ps --format '{{.Names}} {{.State}}'
	[ "$output" = "looper running" ]
}

@test "kill -a, rm -a, rmi" {
	run cryopod kill -a
	[ "$status" -eq 0 ]
	run cryopod rm -a
	[ "$status" -eq 0 ]
	[ "$(cryopod ps -aq)" = "" ]
	run cryopod rmi $IMAGE
	[ "$status" -eq 0 ]
	[[ "$output" == *"Deleted: "* ]]
	[ "$(cryopod images -q)" = "" ]
}
