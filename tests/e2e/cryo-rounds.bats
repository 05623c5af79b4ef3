#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cryo: memory in rounds.
load ../lib/cryo

HOG='import sys, time, hashlib
n = int(sys.argv[1]) << 20
m = bytearray(n)
for i in range(0, n, 4096): m[i:i + 8] = i.to_bytes(8, "little")
k = 0
while True:
    m[(k * 4096) % n] = k & 255
    k += 1
    h = hashlib.md5(m).hexdigest() if k % 20 == 0 else ""
    print(k, h, flush=True)
    time.sleep(0.01)'

# round DIR [OPTIONS]
round() {
	local dir=$DIR/$1
	shift
	mkdir -p "$dir"
	"$CRYO" pre-dump -D "$dir" -t "$PID" "$@"
}
bytes() { cat "$DIR/$1"/pages-*.img | wc -c; }

@test "rounds: each has what has changed, and a restore puts them together" {
	local all
	launch python3 -c "$HOG" 32
	wait_for 10 eval '[ "$(lines "$DIR/out")" -gt 3 ]'
	round 1
	[ -s "$DIR/1/inventory.img" ] && [ -s "$DIR/1/stats-dump" ] && [ -s "$DIR/1/pre-dump.log" ]
	[ ! -e "$DIR/1/parent" ] && [ ! -e "$DIR/1/pstree.img" ]
	all=$(bytes 1)
	for i in 2 3 4 5; do
		grows "$DIR/out"
		round $i --prev-images-dir ../$((i - 1))
		[ "$(readlink "$DIR/$i/parent")" = ../$((i - 1)) ]
		[ "$(bytes $i)" -lt $((all / 4)) ]
	done
	dump --prev-images-dir ../5
	reap
	[ "$(cat "$IMG"/pages-*.img | wc -c)" -lt $((all / 4)) ]
	crit decode -i "$IMG/pagemap-$PID.img" | jq -e 'any(.entries[]; .in_parent)' >/dev/null
	restore
	grows "$DIR/out"
	wait_for 10 eval '[ "$(lines "$DIR/out")" -gt 60 ]'
	kill -9 "$PID"
	wait_for 5 test ! -e "/proc/$PID"
	# as if nothing had happened
	timeout -s KILL 60 python3 -c "$HOG" 32 | head -n "$(lines "$DIR/out")" | sed 's/0\.01/0/' >"$DIR/want" || true
	[ "$(cat "$DIR/out")" = "$(cat "$DIR/want")" ]
}

@test "dump -R --track-mem: rounds that are whole dumps, any of which can be restored" {
	launch python3 -c "$HOG" 8
	wait_for 10 eval '[ "$(lines "$DIR/out")" -gt 3 ]'
	mkdir "$DIR/1" "$DIR/2" "$DIR/3"
	"$CRYO" dump -D "$DIR/1" -t "$PID" -R --track-mem
	grows "$DIR/out"
	"$CRYO" dump -D "$DIR/2" -t "$PID" -R --track-mem --prev-images-dir ../1
	[ "$(bytes 2)" -lt $(($(bytes 1) / 2)) ]
	grows "$DIR/out"
	"$CRYO" dump -D "$DIR/3" -t "$PID" --prev-images-dir ../2
	reap
	for i in 1 2 3; do
		"$CRYO" restore -D "$DIR/$i" -d
		grows "$DIR/out"
		kill -9 "$PID"
		wait_for 5 test ! -e "/proc/$PID"
	done
}

@test "a dump without tracking ends it; nothing is left in the process" {
	launch sleep 1000
	ls "/proc/$PID/fd" >"$DIR/before"
	round 1
	ls -l "/proc/$PID/fd" | grep -q userfaultfd
	dump -R --prev-images-dir ../1
	ls "/proc/$PID/fd" | cmp "$DIR/before" -
	! grep -q ' uw' "/proc/$PID/smaps"
	# a new beginning
	round 2 --prev-images-dir ../1
	ls -l "/proc/$PID/fd" | grep -q userfaultfd
	dump --prev-images-dir ../2
	reap
	restore
	ls "/proc/$PID/fd" | cmp "$DIR/before" -
}

@test "a child that has left the tree holds nothing up" {
	launch python3 -c 'import os, sys, time
m = bytearray(1 << 20)
while not os.path.exists(sys.argv[1]): time.sleep(0.01)
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        time.sleep(1000)
    os._exit(0)
os.wait()
print("left", flush=True)
while True:
    time.sleep(0.02)
    print(len(m), flush=True)' "$DIR/leave"
	wait_for 5 eval '[ "$(cat /proc/$PID/comm)" = python3 ]'
	sleep 0.2
	round 1
	touch "$DIR/leave"
	wait_for 5 grep -q left "$DIR/out"
	left=$(pgrep -f "$DIR/leave" | grep -vx "$PID" | head -n 1)
	ls -l "/proc/$left/fd" | grep -q userfaultfd
	dump -R
	! grep -q ' uw' "/proc/$PID/smaps"
	dump
	reap
	restore
	grows "$DIR/out"
	kill -9 "$left"
}

@test "images that are not those of the last round are not gone on from" {
	launch python3 -c "$HOG" 8
	wait_for 10 eval '[ "$(lines "$DIR/out")" -gt 3 ]'
	round 1
	round 2 --prev-images-dir ../1
	grows "$DIR/out"
	round 3 --prev-images-dir ../2
	# what has changed between 1 and 3 is not known any more
	round 4 --prev-images-dir ../1
	[ "$(bytes 4)" -gt $((8 << 20)) ]
	round 5 --prev-images-dir ../4
	[ "$(bytes 5)" -lt $((4 << 20)) ]
}

@test "a directory without images is refused, before the tree is touched" {
	launch sleep 1000
	mkdir "$DIR/1" "$DIR/empty"
	run ! "$CRYO" pre-dump -D "$DIR/1" -t "$PID" --prev-images-dir ../nothing
	[ "$output" = "Error: --prev-images-dir ../nothing (relative to the images directory): no such file or directory" ]
	run ! "$CRYO" pre-dump -D "$DIR/1" -t "$PID" --prev-images-dir ../empty
	[ "$output" = "Error: images before this dump (../empty): inventory.img: no such file or directory" ]
	! ls -l "/proc/$PID/fd" | grep -q userfaultfd
	sleeps "$PID"
}

@test "the images before by a link that is there already, as callers of CRIU make it; never those that are replaced" {
	launch python3 -c "$HOG" 8
	wait_for 10 eval '[ "$(lines "$DIR/out")" -gt 3 ]'
	round 1
	mkdir "$DIR/2"
	ln -s ../1 "$DIR/2/parent"
	round 2 --prev-images-dir parent
	[ "$(readlink "$DIR/2/parent")" = ../1 ]
	run ! "$CRYO" dump -D "$DIR/2" -t "$PID" --prev-images-dir .
	[[ $output == "Error: --prev-images-dir .: new images take the place of those in their directory"* ]]
	[ -s "$DIR/2/inventory.img" ]
	ln -s ../2 "$IMG/parent"
	dump --prev-images-dir parent/
	reap
	[ "$(cat "$IMG"/pages-*.img | wc -c)" -lt $((4 << 20)) ]
	restore
	grows "$DIR/out"
}
