#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cryo: the command line, check, --dry-run, what ends a dump early, images read by others.
load ../lib/cryo

@test "--version begins as CRIU's; --help lists actions and options" {
	[ "$("$CRYO" --version | head -n 1)" = "Version: 4.2" ]
	"$CRYO" -V | grep -q '^GitID: cryo-'
	"$CRYO" --help >"$DIR/help"
	for word in dump pre-dump restore check cpuinfo --tree --shell-job --images-dir; do
		grep -q -e "$word" "$DIR/help"
	done
	[ "$(wc -L <"$DIR/help")" -le 80 ]
	run -1 "$CRYO" page-server --port 65536
	[ "$output" = 'Error: option --port: "65536" is not a number that fits here' ]
}

@test "help, manual and completion have the same actions and options" {
	local shown
	shown=$("$CRYO" --help | sed -nE 's/^  (-.,|   ) (--[a-z0-9-]+).*/\2/p')
	[ "$(wc -l <<<"$shown")" -gt 80 ]
	[ "$("$CRYO" __complete --)" = "$shown" ]
	[ "$("$CRYO" __man | sed -n '/^# OPTIONS/,/^# STAGES/p' | sed -nE 's/^(\*-.\*, )?\*(--[a-z0-9-]+)\*.*/\2/p')" = "$shown" ]
	shown=$("$CRYO" --help | sed -n '/^Actions:/,/^Options:/p' | sed -nE 's/^  ([a-z-]+) +.*/\1/p')
	[ "$("$CRYO" __complete '')" = "$shown" ]
	[ "$("$CRYO" __man | sed -n '/^# ACTIONS/,/^# MEMORY/p' | sed -nE 's/^\*([a-z-]+)\*$/\1/p')" = "$shown" ]
	[ "$("$CRYO" __complete dump --tcp-e)" = --tcp-established ]
	[ "$("$CRYO" __complete -v restore --network-lock '' | tr '\n' ' ')" = "nftables iptables skip " ]
	[ "$("$CRYO" __complete -D dump r)" = restore ]
	[ "$("$CRYO" __complete cpuinfo '' | tr '\n' ' ')" = "dump check " ]
	[ -z "$("$CRYO" __complete dump -t '')" ]
	# The shell's side of it.
	# shellcheck source=/dev/null
	. "$REPO/completions/cryopod.bash"
	COMP_WORDS=("$CRYO" dump --leave-r) COMP_CWORD=2
	_cryopod
	[ "${COMPREPLY[*]}" = --leave-running ]
}

@test "wrong command lines: one line, status 1" {
	local args
	for args in "" "--frob" "frob" "dump" "dump -t" "dump -t x" "dump -t 0" "dump -t 1 --ghost-limit 1X" \
		"dump -t 1 -D /nonexistent" "restore -D /nonexistent" "restore --inherit-fd 3:x" \
		"restore --inherit-fd fd[99]:x" "dump -t 1 --external frob" "dump -t 1 --cpu-cap=frob" \
		"dump -t 1 --network-lock frob" "cpuinfo" "check --feature frob" "dump -t 1 -R -s" "dump -t 1 frob" "check -l 17" \
		"cpuinfo dump x" "check --close"; do
		# shellcheck disable=SC2086
		run -1 --separate-stderr "$CRYO" $args -o "$DIR/log"
		[[ $stderr = "Error: "* ]] && [ "${#stderr_lines[@]}" = 1 ] && [ -z "$output" ]
	done
}

@test "what is not there is refused by its name, with the reason" {
	local option
	for option in "lsm-mount-context x"; do
		# shellcheck disable=SC2086
		run -1 "$CRYO" dump -t 1 --$option
		[[ $output = "Error: option --${option%% *}: "* ]]
	done
	"$CRYO" check --no-lazy-pages >/dev/null
}

@test "thousands of images: each in its place, and nothing else is left" {
	launch python3 -c '
import threading, time
for _ in range(1100):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
open("'"$DIR"'/ready", "w").close()
time.sleep(1000)'
	wait_for 10 test -e "$DIR/ready"
	dump
	reap
	[ "$(find "$IMG" -mindepth 1 -type d | wc -l)" = 0 ]
	[ "$(find "$IMG" -name 'core-*.img' | wc -l)" = 1101 ]
	restore
	[ "$(find "/proc/$PID/task" -maxdepth 1 -mindepth 1 | wc -l)" = 1101 ]
}

@test "spellings: options before the action, =, glued, negated, abbreviated, after --" {
	launch sleep 1000
	"$CRYO" -v4 --tree="$PID" -R "-D$IMG" --no-shell-job dump
	"$CRYO" dump --leave-run -t"$PID" --images-dir "$IMG" -vvvv --
	grep -q 'dump: memory' "$IMG/dump.log"
	"$CRYO" dump -R -t "$PID" -D "$IMG" -verbosity=0
	! grep -q 'dump: memory' "$IMG/dump.log"
	run -1 "$CRYO" dump -R --no-leave-running --dry-run -D "$IMG" -t 999999
	[[ $output = "Error: "* ]]
	"$CRYO" dump -R -t "$PID" -D "$IMG" -x --ext-unix-sk --ghost-limit 1M --manage-cgroups \
		--manage-cgroups=ignore --cpu-cap=fpu,no-ins --timeout 60 --evasive-devices \
		--pre-dump-mode read --network-lock skip -L /lib
	# descriptors that are in the way
	exec 8>"$DIR/held"
	"$CRYO" check --close 8 --status-fd 8 >/dev/null
	exec 8>&-
}

@test "configuration files" {
	launch sleep 1000
	printf '# comment\ntree %s\nleave-running\nimages-dir "%s"  # where\n' "$PID" "$IMG" >"$DIR/conf"
	"$CRYO" dump --config "$DIR/conf"
	[ -s "$IMG/inventory.img" ]
	CRIU_CONFIG_FILE=$DIR/conf "$CRYO" dump -v4
	mkdir -p "$DIR/.criu"
	echo "log-file mine.log" >>"$DIR/conf" && cp "$DIR/conf" "$DIR/.criu/default.conf"
	HOME=$DIR "$CRYO" dump
	[ -s "$IMG/mine.log" ]
	HOME=$DIR run -1 "$CRYO" dump --no-default-config -D "$IMG"
	# a file that is named is meant instead of these
	HOME=$DIR run -1 "$CRYO" dump --config /dev/null -D "$IMG"
	printf 'tree %s\nleave-running\nimages-dir %s\nlog-file "a \\"b\\" c"\n' "$PID" "$IMG" >"$DIR/quoted"
	"$CRYO" dump --config "$DIR/quoted"
	[ -e "$IMG/a \"b\" c" ]
	echo "frob" >"$DIR/conf"
	run -1 "$CRYO" dump --config "$DIR/conf" -t 1
	[[ $output = *"$DIR/conf"*"--frob"* ]]
	run -1 "$CRYO" dump --config "$DIR/none" -t 1
}

@test "work directory, log, status descriptor, statistics" {
	mkdir "$DIR/work"
	launch sleep 1000
	"$CRYO" dump -D "$IMG" -W "$DIR/work" -o my.log -t "$PID" --status-fd 9 --display-stats \
		9>"$DIR/status" >"$DIR/stats"
	[ -e "$DIR/work/my.log" ] && [ -s "$DIR/work/stats-dump" ] && [ ! -e "$IMG/stats-dump" ]
	[ "$(stat -c %s "$DIR/status")" = 1 ]
	grep -q 'Frozen time: [0-9]* us' "$DIR/stats"
	reap
	"$CRYO" restore -D "$IMG" -W "$DIR/work" -o - -d --pidfile pid -v4 >"$DIR/log"
	[ "$(cat "$DIR/work/pid")" = "$PID" ] && [ -s "$DIR/work/stats-restore" ]
	grep -q 'restore: memory' "$DIR/log"
	local written bytes
	written=$(crit decode -i "$DIR/work/stats-dump" | jq '.entries[0].dump.pages_written')
	bytes=$(cat "$IMG"/pages-*.img | wc -c)
	[ $((written * 4096)) = "$bytes" ]
}

@test "statistics: shared memory is counted apart; together they are the pages files" {
	launch python3 -c 'import mmap, time
m = mmap.mmap(-1, 1 << 20)
m.write(bytes([7]) * (1 << 20))
print("ready", flush=True)
time.sleep(1000)'
	wait_for 10 grep -q ready "$DIR/out"
	dump
	crit decode -i "$IMG/stats-dump" | jq -e '.entries[0].dump | .shpages_written == 256 and .shpages_scanned >= 256
		and .shpages_skipped_parent == 0'
	local written bytes
	written=$(crit decode -i "$IMG/stats-dump" | jq '.entries[0].dump | .pages_written + .shpages_written')
	bytes=$(cat "$IMG"/pages-*.img | wc -c)
	[ $((written * 4096)) = "$bytes" ]
}

@test "the log is there after failures, too" {
	run -1 "$CRYO" dump -D "$IMG" -t 999999
	grep -q 'Error (cryo): ' "$IMG/dump.log" && grep -q 'Dumping FAILED' "$IMG/dump.log"
	run -1 "$CRYO" restore -D "$IMG" -d
	grep -q 'Error (cryo): ' "$IMG/restore.log"
}

@test "check" {
	"$CRYO" check
	"$CRYO" check --feature clone3_set_tid
	run -1 "$CRYO" check --feature compat_cr
	run -1 "$CRYO" check --feature autofs # whatever the kernel has: such mounts are refused
	"$CRYO" check --json | jq -e '.usable and (.features | length > 40) and
		(.features | all(has("name") and has("present") and has("needed_for") and has("without")))'
	local name
	for name in mnt_id mem_dirty_track aio_remap timerfd tun tun_ns userns fdinfo_lock seccomp_suspend \
		seccomp_filters loginuid cgroupns autofs tcp_half_closed compat_cr uffd uffd-noncoop \
		can_map_vdso sk_ns sk_unix_file net_diag_raw nsid link_nsid kcmp_epoll timens \
		external_net_ns clone3_set_tid newifindex nftables has_ipt_legacy pidfd_store ns_pid \
		apparmor_stacking network_lock_nftables sockopt_buf_lock memfd_hugetlb \
		move_mount_set_group openat2 get_rseq_conf ipv6_freebind pagemap_scan timer_cr_ids \
		overlayfs_maps breakpoints pagemap_scan_guard_pages; do
		"$CRYO" check --feature list | grep -qw -e "$name"
	done
}

@test "check: its names are those of docs/kernel.md" {
	"$CRYO" check --feature list | tr ' ' '\n' | sort >"$DIR/known"
	sed -n 's/^| \(`[^|]*\) |.*/\1/p; /^`cryo check` looks/,/^$/p' "$REPO/docs/kernel.md" |
		grep -o '`[a-z0-9_-]*`' | tr -d '`' | sort >"$DIR/told"
	diff "$DIR/known" "$DIR/told"
}

@test "personality is that of the thread's record; that of the process may be digits read wrong, by CRIU" {
	launch setarch --addr-no-randomize sleep 1000
	wait_for 5 eval '[ "$(cat "/proc/$PID/comm")" = sleep ]'
	[ "$(cat "/proc/$PID/personality")" = 00040000 ]
	dump
	reap
	restore
	[ "$(cat "/proc/$PID/personality")" = 00040000 ]
	kill -9 "$PID"
	wait_for 5 test ! -e "/proc/$PID"
	crit decode -i "$IMG/core-$PID.img" | python3 -c 'import json, sys
core = json.load(sys.stdin)
core["entries"][0]["tc"]["personality"] = 40000
core["entries"][0]["thread_core"].pop("personality", None)
json.dump(core, sys.stdout)' >"$DIR/json"
	crit encode -i "$DIR/json" -o "$IMG/core-$PID.img"
	restore
	[ "$(cat "/proc/$PID/personality")" = 00000000 ]
}

@test "names of images are not the terminal's: an error is one line" {
	launch sleep 1000
	dump
	reap
	crit decode -i "$IMG/files.img" | jq '(.entries[] | select(.reg) | .reg.name) = "/no\n\u001b[31msuch"' >"$DIR/json"
	crit encode -i "$DIR/json" -o "$IMG/files.img"
	run -1 restore
	[ "${#lines[@]}" = 1 ]
	[[ $output = "Error: "*"/no??[31msuch"* ]]
}

@test "cpuinfo" {
	"$CRYO" cpuinfo dump -D "$IMG"
	"$CRYO" cpuinfo check -D "$IMG"
	crit decode -i "$IMG/cpuinfo.img" >"$DIR/cpu.json"
	jq -e '.entries[0].x86_entry[0].capability_ver == 2' "$DIR/cpu.json"
	jq '.entries[0].x86_entry[0].xfeatures_mask = "0xffffffff"' "$DIR/cpu.json" |
		sed 's/"0xffffffff"/4294967295/' >"$DIR/more.json"
	crit encode -i "$DIR/more.json" -o "$IMG/cpuinfo.img"
	run -1 "$CRYO" cpuinfo check -D "$IMG"
	[[ $output = *"extended states"* ]]
	"$CRYO" cpuinfo check -D "$IMG" --cpu-cap=ins
	rm "$IMG/cpuinfo.img"
	run -1 "$CRYO" cpuinfo check -D "$IMG"
}

@test "--dry-run: everything at once, nothing is disturbed" {
	cat >"$DIR/bad.py" <<-'END'
	import fcntl, sys, time
	files = [open(sys.argv[1] + str(i), "w") for i in range(2)]
	for f in files: fcntl.flock(f, fcntl.LOCK_EX)
	print("ready", flush=True)
	while True: time.sleep(0.05)
	END
	launch python3 "$DIR/bad.py" "$DIR/locked"
	wait_for 10 grep -q ready "$DIR/out"
	run -1 "$CRYO" dump --dry-run -t "$PID" -D "$IMG"
	[ "${#lines[@]}" = 2 ]
	[[ ${lines[0]} = *locked0*--file-locks* && ${lines[1]} = *locked1*--file-locks* ]]
	"$CRYO" dump --dry-run --json -t "$PID" -D "$IMG" >"$DIR/json" || true
	jq -e '(.possible | not) and (.refused | length) == 2' "$DIR/json"
	sleeps "$PID" && [ ! -e "$IMG/inventory.img" ]
	kill -9 -- "-$PID" && reap
	launch sleep 1000
	run -0 "$CRYO" dump --dry-run -t "$PID" -D "$IMG"
	[ ! -e "$IMG/inventory.img" ] && [ -z "$(ls -d "$IMG"/.cryo-* 2>/dev/null)" ]
}

# in_the_middle SIGNAL: a dump that has it while it writes; $status is the dump's.  One that was done
# before it had it has left the tree running, and is no answer.
in_the_middle() {
	local cryo
	for _ in $(seq 100); do
		"$CRYO" dump -R -t "$PID" -D "$IMG" 2>"$DIR/error" 3>&- &
		cryo=$! status=0
		until ls "$IMG"/.cryo-*/pages-1.img >/dev/null 2>&1 || [ -e "$IMG/inventory.img" ]; do kill -0 "$cryo" || break; done
		kill "$1" "$cryo" 2>/dev/null || true
		wait "$cryo" || status=$?
		[ "$status" = 0 ] || return 0
		rm -f "$IMG"/*.img
	done
	return 1
}

@test "interrupted or out of time: status 1, the tree goes on, nothing is left" {
	launch python3 -c '
import time
data = bytearray(256 << 20)
for i in range(0, len(data), 4096): data[i] = 1
n = 0
while True:
    print(n, flush=True); n += 1; time.sleep(0.01)'
	wait_for 20 test -s "$DIR/out"
	in_the_middle -TERM
	[ "$status" = 1 ] && grep -q 'Error: interrupted by signal 15' "$DIR/error"
	[ ! -e "$IMG/inventory.img" ] && [ -z "$(ls -d "$IMG"/.cryo-* 2>/dev/null)" ]
	grows "$DIR/out"
	dump
}

@test "killed in the middle: the tree goes on, the next dump clears up" {
	launch python3 -c '
import time
data = bytearray(256 << 20)
for i in range(0, len(data), 4096): data[i] = 1
n = 0
while True:
    print(n, flush=True); n += 1; time.sleep(0.01)'
	wait_for 20 test -s "$DIR/out"
	in_the_middle -KILL
	[ "$status" = 137 ]
	grows "$DIR/out"
	dump
	[ -z "$(ls -d "$IMG"/.cryo-* 2>/dev/null)" ]
}

@test "an earlier dump in the same directory is replaced, other files stay" {
	launch sh -c 'while :; do sleep 0.05; done'
	echo mine >"$IMG/notes"
	dump --leave-running
	kill -9 -- "-$PID" && reap
	touch "$IMG/core-999999.img"
	launch sleep 1000
	dump
	[ "$(cat "$IMG/notes")" = mine ] && [ ! -e "$IMG/core-999999.img" ]
	[ "$(ls "$IMG"/core-*.img)" = "$IMG/core-$PID.img" ]
}

@test "images that are missing or cut short: status 1, nothing is left running" {
	local f
	launch sh -c 'while :; do sleep 0.05; done | cat'
	dump
	reap
	for f in inventory pstree files core-$PID mm-$PID pagemap-$PID fdinfo-1 fs-$PID; do
		cp "$IMG/$f.img" "$DIR/whole"
		rm "$IMG/$f.img"
		run -1 restore
		[[ $output = "Error: "* ]]
		head -c $(($(stat -c %s "$DIR/whole") / 2)) "$DIR/whole" >"$IMG/$f.img"
		run -1 restore
		cp "$DIR/whole" "$IMG/$f.img"
		wait_for 5 eval '[ -z "$(pgrep -s "$PID")" ]'
	done
	restore
}

@test "crit reads every image; a checkpoint that crit has written again is restored" {
	launch sh -c 'while :; do echo x; sleep 0.02; done | cat >"$0"' "$DIR/piped"
	wait_for 5 grep -q x "$DIR/piped"
	dump
	reap
	crit x "$IMG" ps | grep -q "$PID"
	crit x "$IMG" fds | grep -q piped
	crit x "$IMG" mems | grep -q vdso
	crit x "$IMG" rss | grep -q .
	mkdir "$DIR/again"
	local f
	for f in "$IMG"/*.img; do
		case $f in
		*/pages-*) cp "$f" "$DIR/again" ;;
		*)
			crit show "$f" >/dev/null
			crit decode -i "$f" -o "$DIR/x.json"
			crit encode -i "$DIR/x.json" -o "$DIR/again/$(basename "$f")"
			;;
		esac
	done
	# without what is ours alone: as if another CRIU had written it
	IMG=$DIR/again restore
	grows "$DIR/piped"
}
