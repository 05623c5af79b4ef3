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
