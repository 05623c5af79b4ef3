# SPDX-License-Identifier: Apache-2.0
# container migrate: each of its steps fails once, and is killed once, on either side.

load ../lib/helpers
load ../lib/migrate
setup_file() {
	migrate_setup
	export FAULTS=$REPO/build/cryopod-faults
	cryopod volume create kept >/dev/null
	cryopod run -d --name c -v kept:/kept -v /own $IMAGE sh -c 'i=0
		while true; do echo $i; echo $i >/count; echo $i >/kept/count; echo $i >/own/count; i=$(expr $i + 1); sleep 0.05; done' >/dev/null
	wait_for 10 at_least c 3
}
teardown_file() {
	there rm -fa -t 0 >/dev/null
	cryopod rm -fat 0 >/dev/null
	migrate_teardown
}

pid_of() { cryopod inspect --format '{{.State.Pid}}' "$1"; }
status_of() { cryopod inspect --format '{{.State.Status}}' "$1"; }
here() { CRYOPOD_BIN=$FAULTS CRYO_FAULT=$1 "$CP" container migrate --pre-copy 1 --ssh "$SSH" --remote-command "$OTHER" c other; }
fault_there() { migrate --pre-copy 1 --remote-command "env CRYO_FAULT=$1 $FAULTS $THERE_ARGS" c; }

# In the root file system and both volumes; each is empty for a moment when it is written.
counts_are_at_least() {
	there exec c sh -c 'cat /count /kept/count /own/count' | awk -v n="$1" '$1 < n {low = 1} END {exit low || NR != 3}'
}

# It is the same one, it runs on here without a gap, and there is nothing of it there.
stays() {
	[ "$(pid_of c)" = "$1" ]
	[ "$(status_of c)" = running ]
	n=$(cryopod logs --tail 1 c)
	wait_for 10 at_least c $((n + 1))
	whole_here c
	wait_for 10 nothing_there
}

@test "a step that fails here" {
	pid=$(pid_of c)
	for p in migrate:round migrate:images migrate:hold migrate:go dump:tree; do
		run -125 here "$p:fail"
		echo "$p: $output"
		has "c goes on running here"
		stays "$pid"
	done
}

@test "killed here" {
	pid=$(pid_of c)
	for p in migrate:round migrate:images migrate:hold dump:tree; do
		run -137 here "$p:kill"
		echo "$p: $output"
		stays "$pid"
	done
}

@test "killed here when it is held: it is paused, runs nowhere, and goes on when it is told to" {
	pid=$(pid_of c)
	run -137 here migrate:go:kill
	[ "$(status_of c)" = paused ]
	wait_for 10 nothing_there
	expect 0 cryopod unpause c
	stays "$pid"
}

@test "a step that fails there" {
	pid=$(pid_of c)
	for p in arrival:announced arrival:rest arrival:go box:create box:record box:recorded restore:mappings restore:end; do
		run -125 fault_there "$p:fail"
		echo "$p: $output"
		has "there: "
		has "fault at step"
		has "c goes on running here"
		stays "$pid"
	done
}

@test "killed there" {
	pid=$(pid_of c)
	for p in arrival:announced arrival:round arrival:rest restore:mappings restore:end; do
		run -125 fault_there "$p:kill"
		echo "$p: $output"
		has "the other side has closed the connection; c goes on running here"
		stays "$pid"
	done
}

@test "killed there after the go: it is paused here until somebody knows" {
	pid=$(pid_of c)
	for p in arrival:go box:recorded; do
		run -125 fault_there "$p:kill"
		echo "$p: $output"
		has 'the other side has closed the connection; c is paused here, and it is not known whether it runs on other: if not, `container unpause c` lets it go on'
		[ "$(status_of c)" = paused ]
		wait_for 10 nothing_there
		expect 0 cryopod unpause c
		stays "$pid"
	done
}

@test "killed here when it runs there: it runs once" {
	run -137 here migrate:running:kill
	[ "$(status_of c)" = paused ]
	n=$(there logs --tail 1 c)
	wait_for 10 there_at_least c $((n + 3))
	whole c
	expect 0 cryopod rm -ft 0 c
	n=$(there logs --tail 1 c)
	wait_for 10 there_at_least c $((n + 3))
	wait_for 10 counts_are_at_least "$n"
}
