# SPDX-License-Identifier: Apache-2.0
# container checkpoint and restore: arguments, messages, files, states, statistics.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

# looper NAME OPTIONS...: counts; has counted to 2.
looper() {
	local name=$1
	shift
	cryopod run -d --name "$name" --network none "$@" $IMAGE sh -c "$FAST_LOOP" >/dev/null
	wait_for 10 log_reaches "$name" 2
}
# goes_on NAME: counts on from where it was.
goes_on() {
	wait_for 10 log_reaches "$1" $(($(last_number "$1") + 2))
	log_is_gapless "$1"
}
checkpoint() { cryopod container checkpoint "$@"; }
restore() { cryopod container restore "$@"; }
dir_of() { cryopod inspect --format '{{.StaticDir}}' "$1"; }

# checkpoint_state NAME: Status, Checkpointed, Restored, whether the times are set, and the files.
checkpoint_state() {
	cryopod inspect --format '{{.State.Status}} {{.State.Checkpointed}} {{.State.Restored}} {{.State.CheckpointedAt}} {{.State.RestoredAt}} [{{.State.CheckpointPath}}] [{{.State.CheckpointLog}}] [{{.State.RestoreLog}}]' "$1" |
		sed -E "s|$(dir_of "$1")/||g; s/0001-01-01 00:00:00 \+0000 UTC/never/g; s/20[0-9]+-[0-9:. +-]+ [A-Z+0-9-]+/then/g"
}

# times NAME LINE N: the log has that line so many times.
times() { [ "$(cryopod logs "$1" | grep -cx -- "$2")" -eq "$3" ]; }

# This distribution's CRIU does not know this kernel's vDSO: Podman can be asked for messages only.
needs_engine() { [ "$PROG" != podman ] || skip "Podman's CRIU does not work with this kernel"; }

@test "checkpoint: what is refused, in order" {
	cryopod create --name new --network none $IMAGE true >/dev/null
	refuses 125 '--all and --latest cannot be used together' checkpoint -a -l x
	refuses 125 'no arguments are needed with --all' checkpoint -a x
	refuses 125 '--latest and containers cannot be used together' checkpoint -l x
	refuses 125 'you must provide at least one name or id' checkpoint
	refuses 125 'no container with name or ID "foobar" found: no such container' checkpoint new foobar
	refuses 125 'unknown flag: --bogus' checkpoint --bogus
	has "See '$PROG container checkpoint --help'"
	refuses 125 '"created" is not running, cannot checkpoint: container state improper' checkpoint new
	expect 0 checkpoint -a
	is ""
	refuses 125 "unrecognized command \`$PROG checkpoint\`" cryopod checkpoint new
	if checkpoint --help | grep -q -- --export; then
		refuses 125 '--compress can only be used with --export' checkpoint --compress gzip foobar
		refuses 125 'selected compression algorithm ("bogus") not supported' checkpoint -e x --compress bogus foobar
		refuses 125 '--ignore-rootfs can only be used with --export' checkpoint --ignore-rootfs foobar
	fi
	cryopod rm new
	expect 125 checkpoint -l
	has 'no such container'
}

@test "restore: what is refused, in order" {
	cryopod create --name new --network none $IMAGE true >/dev/null
	refuses 125 '--all and --latest cannot be used together' restore -a -l x
	refuses 125 'no arguments are needed with --all' restore -a x
	refuses 125 '--all or --latest and containers cannot be used together' restore -l x
	refuses 125 'you must provide at least one name or id' restore
	refuses 125 'no such container or image: foobar' restore foobar
	refuses 125 "a complete checkpoint for this container cannot be found, cannot restore: stat $(dir_of new)/checkpoint/inventory.img: no such file or directory" restore new
	cryopod init new
	refuses 125 "is running or paused, cannot restore: container state improper" restore new
	expect 0 restore -a
	is ""
}

@test "states that cannot be checkpointed; --rm" {
	looper p
	cryopod pause p
	refuses 125 '"paused" is not running, cannot checkpoint: container state improper' checkpoint p
	cryopod unpause p
	cryopod kill p && cryopod wait p
	refuses 125 '"exited" is not running, cannot checkpoint: container state improper' checkpoint p
	looper r --rm
	refuses 125 "cannot checkpoint containers that have been started with '--rm' unless '--export' is used" checkpoint r
	state_is r running
}

@test "printed: names as typed, IDs for -a and -l; quiet success" {
	needs_engine
	looper a && looper b
	ida=$(cryopod inspect --format '{{.Id}}' a) idb=$(cryopod inspect --format '{{.Id}}' b)
	expect 0 checkpoint a "${idb:0:12}"
	is "a"$'\n'"${idb:0:12}"
	expect 0 restore "${ida:0:12}" b
	is "${ida:0:12}"$'\n'b
	expect 0 checkpoint -l
	is "$idb"
	expect 0 checkpoint --all
	is "$ida"
	expect 0 restore -l
	is "$idb"
	expect 0 restore -a
	is "$ida"
	goes_on a && goes_on b
}

@test "one that fails does not keep the others" {
	needs_engine
	looper a
	cryopod run --name done --network none $IMAGE true
	expect 125 checkpoint done a
	has 'Error: "exited" is not running, cannot checkpoint' $'\na'
	expect 125 restore -a
	has 'a complete checkpoint for this container cannot be found' "$(cryopod inspect --format '{{.Id}}' a)"
	goes_on a
	# A name that is not known: nothing at all.
	expect 125 checkpoint a nosuch
	state_is a running
}

@test "inspect shows what happened" {
	needs_engine
	looper a
	[ "$(checkpoint_state a)" = "running false false never never [] [] []" ]
	checkpoint a
	[ "$(checkpoint_state a)" = "exited true false then never [checkpoint] [] []" ]
	restore a
	[ "$(checkpoint_state a)" = "running false true never then [] [] []" ]
	checkpoint --keep a
	[ "$(checkpoint_state a)" = "exited true false then never [checkpoint] [dump.log] []" ]
	restore --keep a
	[ "$(checkpoint_state a)" = "running false true never then [checkpoint] [dump.log] [restore.log]" ]
	cryopod restart -t 0 a
	[ "$(checkpoint_state a)" = "running false false never never [] [] []" ]
	checkpoint --leave-running a
	[ "$(checkpoint_state a)" = "running false false never never [checkpoint] [] []" ]
}

@test "files: kept with --keep, consumed without; crit reads them" {
	needs_engine
	looper a
	d=$(dir_of a)
	checkpoint a
	[ -s "$d/checkpoint/inventory.img" ] && [ ! -e "$d/dump.log" ] && [ ! -e "$d/stats-dump" ]
	[ "$(stat -c %a "$d/checkpoint")" = 700 ]
	restore a
	[ ! -e "$d/checkpoint" ] && [ ! -e "$d/restore.log" ] && [ ! -e "$d/stats-restore" ]
	checkpoint -k a
	[ -e "$d/dump.log" ] && [ -s "$d/stats-dump" ]
	crit decode -i "$d/checkpoint/pstree.img" | jq -e '.entries[0].pid == 1'
	crit decode -i "$d/checkpoint/core-1.img" | jq -e '.entries[0].tc.comm == "sh"'
	restore -k a
	[ -s "$d/checkpoint/inventory.img" ] && [ -e "$d/restore.log" ]
	checkpoint a
	refuses 125 'is not running, cannot checkpoint' checkpoint a
	expect 0 restore a
	goes_on a
}

@test "a kept checkpoint is restored twice, also after the container has run on and was stopped" {
	needs_engine
	looper a
	checkpoint -k a
	next=$(($(last_number a) + 1))
	for i in 1 2; do
		restore -k a
		wait_for 10 times a $next $i
		cryopod stop -t 0 a
	done
}

@test "--leave-running; start ignores the checkpoint, which stays" {
	needs_engine
	looper a
	pid=$(cryopod inspect --format '{{.State.Pid}}' a)
	expect 0 checkpoint -R a
	[ "$(cryopod inspect --format '{{.State.Pid}}' a)" = "$pid" ]
	goes_on a
	cryopod stop -t 0 a
	expect 0 cryopod start a
	wait_for 10 times a 0 2
	cryopod stop -t 0 a
	expect 0 restore a
	state_is a running
}

@test "--print-stats" {
	needs_engine
	looper a
	expect 0 checkpoint --print-stats a
	jq -e '.'"$PROG"'_checkpoint_duration > .container_statistics[0].runtime_checkpoint_duration and
		(.container_statistics[0] | .runtime_checkpoint_duration > .criu_statistics.frozen_time and .criu_statistics.pages_written > 0
			and (.criu_statistics | keys - ["freezing_time", "frozen_time", "memdump_time", "memwrite_time", "pages_scanned", "pages_written"] == [])
			and (keys - ["Id", "criu_statistics", "runtime_checkpoint_duration"] == []))' <<<"$output"
	expect 0 restore --print-stats a
	jq -e '.'"$PROG"'_restore_duration > .container_statistics[0].runtime_restore_duration and
		(.container_statistics[0] | .runtime_restore_duration > .criu_statistics.restore_time and .criu_statistics.pages_restored > 0
			and (.Id | length == 64))' <<<"$output"
	grep -q '^    "' <<<"$output"
}

@test "the run root gone, as after a reboot" {
	needs_engine
	looper a
	cryopod run -d --name net $IMAGE sleep 1000 >/dev/null
	ip=$(cryopod inspect --format '{{.NetworkSettings.IPAddress}}' net)
	checkpoint a net
	umount -l "$CP_RUN"/netns/* 2>/dev/null || true
	rm -rf "$CP_RUN"
	expect 0 cryopod ps -a --format '{{.Names}} {{.Status}}'
	has 'a Exited' 'net Exited'
	expect 0 restore a net
	is $'a\nnet'
	goes_on a
	[ "$(cryopod exec net ip -4 -o addr show eth0 | grep -c "$ip/")" -eq 1 ]
}

@test "a checkpointed container: exec, kill, pause refuse; rm needs no force" {
	needs_engine
	looper a
	checkpoint a
	refuses 125 'can only create exec sessions on running containers' cryopod exec a true
	refuses 125 "\"exited\" is not running, can't pause" cryopod pause a
	refuses 125 'is in state exited' cryopod kill a
	expect 0 cryopod ps -a --format '{{.Status}}'
	[[ "$output" == "Exited ("* ]]
	expect 0 cryopod rm a
	looper b
	checkpoint b && restore b
	refuses 2 'as it is running' cryopod rm b
}
