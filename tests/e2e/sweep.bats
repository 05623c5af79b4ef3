# SPDX-License-Identifier: Apache-2.0
# The fault sweep: every step of a checkpoint and of a restore fails once, and is killed once.
# build/cryopod-faults is cryopod with a hook before each step (tests/lib/faults.c).

load ../lib/helpers
setup_file() {
	engine_setup
	export FAULTS=$REPO/build/cryopod-faults
	if [ "$PROG" != podman ]; then
		# One full cycle tells which steps there are.
		looper steps
		CRYO_FAULTS_LIST=$BATS_FILE_TMPDIR/dump faulty "" container checkpoint steps
		CRYO_FAULTS_LIST=$BATS_FILE_TMPDIR/restore faulty "" container restore steps
		cryopod rm -ft 0 steps
	fi
}
setup() { needs_engine; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

# faulty FAULT ARGUMENTS...
faulty() {
	CRYOPOD_BIN=$FAULTS CRYO_FAULT=$1 "$CP" "${@:2}"
}

points() { sort -u "$BATS_FILE_TMPDIR/$1"; }

# A looper with company: a pipeline, a stopped process, a zombie, a deleted file, an exec session.
company() {
	cryopod run -d --name "$1" --network none $IMAGE sh -c "echo x >/tmp/f; exec 5</tmp/f; rm /tmp/f
		sleep 1000 | cat & sleep 1000 & kill -STOP \$!; (exit 3) & exec sh -c '$FAST_LOOP'" >/dev/null
	cryopod exec -d "$1" sh -c 'sleep 1000 | cat' >/dev/null
	wait_for 10 log_reaches "$1" 2
}

userdata() { cryopod inspect --format '{{.StaticDir}}' "$1"; }
pid_of() { cryopod inspect --format '{{.State.Pid}}' "$1"; }
status_of() { cryopod inspect --format '{{.State.Status}}' "$1"; }

# is_clean CTR: no process of the box, nothing half-made in its directory.
is_clean() {
	local id
	id=$(cryopod inspect --format '{{.Id}}' "$1")
	for d in $(find /sys/fs/cgroup -type d -name "*$id*"); do
		[ -z "$(cat "$d/cgroup.procs" 2>/dev/null)" ] || return 1
	done
	[ -z "$(find "$(userdata "$1")" -maxdepth 1 -name 'checkpoint?*')" ]
}

goes_on_now() {
	wait_for 10 log_reaches "$1" $(($(last_number "$1") + 1))
}

@test "a checkpoint that fails at any step leaves the container as it was" {
	company a
	pid=$(pid_of a)
	for p in $(points dump | tr ' ' +); do
		p=${p//+/ }
		case $p in checkpoint:kill | checkpoint:record | checkpoint:exit | checkpoint:settle) continue ;; esac
		refuses 125 "fault at step \"${p#*:}\"" faulty "$p:fail" container checkpoint a
		state_is a running
		[ "$(pid_of a)" = "$pid" ]
		[ ! -e "$(userdata a)/checkpoint" ]
		goes_on_now a
	done
	cycle a
	goes_on a
}

@test "a checkpoint that is killed at any step leaves the container as it was, or whole" {
	company a
	for p in $(points dump | tr ' ' +); do
		p=${p//+/ }
		run faulty "$p:kill" container checkpoint a
		echo "$p: $status $output"
		[ "$status" = 137 ]
		case $p in
		checkpoint:record | checkpoint:exit | checkpoint:settle)
			wait_for 10 state_is a exited
			expect 0 cryopod container restore a
			;;
		esac
		state_is a running
		goes_on_now a
	done
	cycle a
	goes_on a
}

@test "what fails once the checkpoint is there loses nothing" {
	company a
	for p in kill record exit settle; do
		run faulty "checkpoint:$p:fail" container checkpoint a
		echo "$p: $status $output"
		[ "$status" = 125 ]
		[ "$p" = kill ] || wait_for 10 state_is a exited
		[ "$(status_of a)" = running ] || expect 0 cryopod container restore a
		goes_on_now a
	done
	goes_on a
}

@test "a restore that fails at any step leaves the checkpoint whole and nothing else" {
	company a
	cryopod container checkpoint a
	for p in $(points restore | tr ' ' +); do
		p=${p//+/ }
		[ "$p" != box:consume ] && [ "$p" != box:recorded ] || continue
		refuses 125 "fault at step \"${p#*:}\"" faulty "$p:fail" container restore a
		state_is a exited
		is_clean a
	done
	expect 0 cryopod container restore a
	goes_on a
}

@test "a restore that is killed at any step leaves the checkpoint whole and nothing else" {
	company a
	cryopod container checkpoint a
	for p in $(points restore | tr ' ' +); do
		p=${p//+/ }
		run faulty "$p:kill" container restore a
		echo "$p: $status $output"
		[ "$status" = 137 ]
		if [ "$p" = box:consume ]; then
			state_is a running
			goes_on_now a
			cryopod container checkpoint a
		else
			wait_for 10 is_clean a
			expect 0 cryopod container restore a
			cryopod container checkpoint a
		fi
	done
	expect 0 cryopod container restore a
	goes_on a
}

@test "SIGKILL of checkpoint and restore at random instants, twenty times" {
	company a
	for i in $(seq 20); do
		verb=checkpoint
		[ "$(status_of a)" = running ] || verb=restore
		"$CP" container $verb a >/dev/null 2>&1 &
		sleep "0.$(printf %03d $((RANDOM % 150)))"
		kill -9 $! 2>/dev/null || true
		wait $! 2>/dev/null || true
		if [ "$(status_of a)" = running ] && [ "$(status_of a)" = running ]; then
			goes_on_now a
		fi
	done
	[ "$(status_of a)" = running ] || wait_for 10 "$CP" container restore a
	goes_on a
}
