# SPDX-License-Identifier: Apache-2.0
# container checkpoint and restore: files, states, statistics.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }
setup() { needs_engine; }

dir_of() { cryopod inspect --format '{{.StaticDir}}' "$1"; }
checkpoint() { cryopod container checkpoint "$@"; }
restore() { cryopod container restore "$@"; }

# checkpoint_state NAME: Status, Checkpointed, Restored, whether the times are set, and the files.
checkpoint_state() {
	cryopod inspect --format '{{.State.Status}} {{.State.Checkpointed}} {{.State.Restored}} {{.State.CheckpointedAt}} {{.State.RestoredAt}} [{{.State.CheckpointPath}}] [{{.State.CheckpointLog}}] [{{.State.RestoreLog}}]' "$1" |
		sed -E "s|$(dir_of "$1")/||g; s/0001-01-01 00:00:00 \+0000 UTC/never/g; s/20[0-9]+-[0-9:. +-]+ [A-Z+0-9-]+/then/g"
}

@test "inspect shows what happened" {
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
	looper a
	expect 0 checkpoint --print-stats a
	jq -e '.podman_checkpoint_duration == .cryopod_checkpoint_duration and .podman_checkpoint_duration > .container_statistics[0].runtime_checkpoint_duration and
		(.container_statistics[0] | .runtime_checkpoint_duration > .criu_statistics.frozen_time and .criu_statistics.pages_written > 0
			and (.criu_statistics | keys - ["freezing_time", "frozen_time", "memdump_time", "memwrite_time", "pages_scanned", "pages_written"] == [])
			and (keys - ["Id", "criu_statistics", "runtime_checkpoint_duration"] == []))' <<<"$output"
	expect 0 restore --print-stats a
	jq -e '.podman_restore_duration > .container_statistics[0].runtime_restore_duration and
		(.container_statistics[0] | .runtime_restore_duration > .criu_statistics.restore_time and .criu_statistics.pages_restored > 0
			and (.Id | length == 64))' <<<"$output"
	grep -q '^    "' <<<"$output"
}

@test "the run root gone, as after a reboot" {
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
