#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cryo: options that change what a dump or a restore leaves behind.
load ../lib/cryo

LINKED='
import os, sys, time
one, two = sys.argv[1] + "/in/one", sys.argv[1] + "/else/two"
f = open(one, "w+"); f.write("kept"); f.flush()
os.link(one, two); os.unlink(one)
again = open("/proc/self/fd/%d" % f.fileno())
while True:
    same = [os.readlink("/proc/self/fd/%d" % x.fileno()) for x in (f, again)] == [one + " (deleted)"] * 2
    again.seek(0)
    print(same, again.read(), os.fstat(f.fileno()).st_nlink, flush=True)
    time.sleep(0.02)'

@test "--link-remap: a name beside, as long as the images need it" {
	mkdir "$DIR/in" "$DIR/else"
	launch python3 -c "$LINKED" "$DIR"
	wait_for 10 grep -q True "$DIR/out"
	dump --link-remap -R
	[ -z "$(ls "$DIR/in")" ]
	dump --link-remap
	reap
	[ "$(ls "$DIR/in")" = "$(basename "$DIR"/in/link_remap.*)" ]
	run -1 restore --inherit-fd "fd[99]:x"
	[ -n "$(ls "$DIR/in")" ]
	rm "$DIR/else/two" # the name is what holds the file
	: >"$DIR/out"
	restore
	wait_for 5 grep -q '^True kept 0$' "$DIR/out"
	! grep -qv 'kept' "$DIR/out"
	[ -z "$(ls "$DIR/in")" ]
}

@test "restore --auto-dedup: the memory is in the tree, and in the images no more" {
	launch python3 -c '
import time
data = bytearray(b"x" * (16 << 20))
while True:
    print(data.count(b"x") == len(data), flush=True)
    time.sleep(0.02)'
	wait_for 10 grep -q True "$DIR/out"
	mkdir "$DIR/1"
	"$CRYO" pre-dump -D "$DIR/1" -t "$PID"
	dump --prev-images-dir ../1
	reap
	local size
	size=$(cat "$DIR/1"/pages-*.img | wc -c)
	[ "$(du -k -c "$DIR/1"/pages-*.img | tail -n 1 | cut -f 1)" -gt 16000 ]
	: >"$DIR/out"
	restore --auto-dedup
	wait_for 5 grep -q True "$DIR/out"
	! grep -q False "$DIR/out"
	[ "$(du -k -c "$DIR/1"/pages-*.img "$IMG"/pages-*.img | tail -n 1 | cut -f 1)" -lt 1000 ]
	[ "$(cat "$DIR/1"/pages-*.img | wc -c)" = "$size" ]
}

# A hierarchy of control groups, mounted where only we know.
yard() {
	mkdir "$DIR/yard"
	mount -t cgroup -o pids none "$DIR/yard" 2>/dev/null || skip "version 1 has no hierarchy for pids here"
	GROUP=$DIR/yard/$GROUP_NAME
	mkdir "$GROUP" && echo 77 >"$GROUP/pids.max"
	launch sleep 1000
	echo "$PID" >"$GROUP/cgroup.procs"
}

unyard() {
	kill -9 "$PID" && wait_for 5 test ! -e "/proc/$PID"
	rmdir "$GROUP" && umount "$DIR/yard"
	PID=
}

settings_of() {
	crit decode -i "$IMG/cgroup.img" | jq -c --arg of "$1" \
		'[.entries[0].controllers[] | select(.cnames == [$of]) | .dirs[].properties[]?.name] | sort'
}

@test "--cgroup-yard, --cgroup-props: where groups are, and what is saved of them" {
	yard
	dump -R --manage-cgroups --cgroup-yard ../yard --cgroup-props-ignore-default
	[ "$(settings_of pids)" = "[]" ]
	printf '"pids":\n - "strategy": "replace"\n - "properties": ["pids.current", "cgroup.procs"]\n' >"$DIR/props"
	dump -R --manage-cgroups --cgroup-yard "$DIR/yard" --cgroup-props-file "$DIR/props"
	[ "$(settings_of pids)" = '["cgroup.procs","pids.current"]' ]
	dump --manage-cgroups --cgroup-yard "$DIR/yard" --cgroup-props "$(sed s/replace/merge/ "$DIR/props")"
	[ "$(settings_of pids)" = '["cgroup.procs","notify_on_release","pids.current","pids.max"]' ]
	reap
	wait_for 5 rmdir "$GROUP"
	run -1 restore --manage-cgroups --cgroup-yard ../nowhere
	[[ $output = *"--cgroup-yard ../nowhere"* ]]
	restore --manage-cgroups --cgroup-yard ../yard
	[ "$(cat "$GROUP/pids.max")" = 77 ] && [ "$(cat "$GROUP/cgroup.procs")" = "$PID" ]
	unyard
}

@test "restore --exec-cmd: the command is the parent of the tree" {
	launch sleep 1000
	dump
	reap
	run -1 restore --exec-cmd -- true
	run -1 "$CRYO" restore -D "$IMG" --exec-cmd
	"$CRYO" restore -D "$IMG" --exec-cmd -- sh -c 'cat /proc/$$/task/$$/children; echo' >"$DIR/children"
	[ "$(head -n 1 "$DIR/children" | cut -d" " -f 1)" = "$PID" ]
}

@test "security profiles: only where there are some" {
	launch sleep 1000
	dump
	reap
	run -1 restore --lsm-profile frob:x
	[[ $output = "Error: option --lsm-profile: "* ]]
	[ -e /sys/kernel/security/apparmor ] || {
		run -1 restore --lsm-profile apparmor:x
		[[ $output = *"this kernel has no apparmor"* ]]
	}
	restore --unprivileged --namespaces x
}

@test "System V shared memory stays sparse, also from images that have lost their holes" {
	launch unshare -i /usr/bin/python3 -c '
import ctypes, time
c = ctypes.CDLL(None, use_errno=True)
c.shmat.restype = ctypes.c_void_p
size = 4 << 20
at = c.shmat(c.shmget(0, size, 0o1600), None, 0)
for page in (1, 700):
    ctypes.memset(at + page * 4096 + 99, page % 251, 1)
there = ctypes.create_string_buffer(size // 4096)
while True:
    c.mincore(ctypes.c_void_p(at), size, there)
    print(sum(b & 1 for b in there.raw), ctypes.string_at(at + 4195, 1), ctypes.string_at(at + 2867299, 1), flush=True)
    time.sleep(0.02)'
	wait_for 10 grep -q "^2 b'.x01' b'.xc6'" "$DIR/out"
	dump
	reap
	local f
	for f in "$IMG"/ipcns-shm-*.img; do
		[ "$(stat -c %s "$f")" -gt 4000000 ]
		cp --sparse=never "$f" "$DIR/whole" && mv "$DIR/whole" "$f"
		[ "$(du -k "$f" | cut -f1)" -gt 4000 ]
	done
	: >"$DIR/out"
	restore
	wait_for 10 test -s "$DIR/out"
	grows "$DIR/out"
	[ "$(sort -u "$DIR/out")" = "2 b'\\x01' b'\\xc6'" ]
}

# breakpoint FILE FUNCTION: an uprobe, at $DIR/tracing.
breakpoint() {
	local at
	mkdir "$DIR/tracing"
	mount -t tracefs none "$DIR/tracing" 2>/dev/null && [ -e "$DIR/tracing/uprobe_events" ] ||
		skip "no uprobe_events here"
	at=$(nm "$1" | awk -v f="$2" '$3 == f {print $1}')
	EVENT=cryo_$BASHPID$RANDOM
	echo "p:$EVENT/met $1:0x$at" >>"$DIR/tracing/uprobe_events" || skip "no uprobes here"
	echo 1 >"$DIR/tracing/events/$EVENT/enable"
}

no_breakpoint() {
	echo 0 >"$DIR/tracing/events/$EVENT/enable"
	echo "-:$EVENT/met" >>"$DIR/tracing/uprobe_events"
	EVENT=
}

# The host's table of breakpoints has nothing of ours left.
teardown() {
	[ -z "${EVENT-}" ] || no_breakpoint
	[ -z "$PID" ] || kill -9 -- "-$PID" 2>/dev/null || true
	! mountpoint -q "$DIR/tracing" || umount "$DIR/tracing"
}

@test "--allow-uprobes: a program with a breakpoint goes on where the same one is" {
	command -v cc nm >/dev/null || skip "no compiler here"
	cat >"$DIR/p.c" <<-'END'
	#include <stdio.h>
	#include <unistd.h>
	__attribute__((noinline)) int met(int n) { __asm__ volatile(""); return n + 1; }
	int main(void) { for (int n = 0;; usleep(20000)) { printf("%d\n", n = met(n)); fflush(stdout); } }
	END
	# code is in the file where it is in memory, but for the beginning
	cc -O1 -fpie -pie -o "$DIR/p" "$DIR/p.c"
	launch "$DIR/p"
	breakpoint "$DIR/p" met
	wait_for 10 grep -q uprobes "/proc/$PID/maps"
	run -1 dump
	[[ $output = *"uprobes"*"--allow-uprobes"* ]]
	dump --allow-uprobes
	reap
	crit decode -i "$IMG/mm-$PID.img" >/dev/null
	run -1 restore
	[[ $output = *"--allow-uprobes"* ]]
	local before
	before=$(tail -n 1 "$DIR/out")
	restore --allow-uprobes
	grows "$DIR/out"
	wait_for 10 grep -q uprobes "/proc/$PID/maps"
	dump --allow-uprobes -R
	grows "$DIR/out"
	[ "$(awk '$1 != ++n' "$DIR/out" | wc -l)" = 0 ] && [ "$before" -lt "$(tail -n 1 "$DIR/out")" ]
	end_group
	PID=
	no_breakpoint
}
