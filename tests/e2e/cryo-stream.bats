#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cryo --stream: images go to a program that listens in the images directory, and come from there.
load ../lib/cryo

# streamer capture|serve [LIMIT]: listens in $IMG, the images are in $DIR/stream.
streamer() {
	rm -f "$DIR/streamer.out"
	"$REPO/tests/lib/streamer" "$IMG" "$1" "$DIR/stream" ${2:-} >"$DIR/streamer.out" 2>&1 3>&- &
	STREAMER=$!
	wait_for 10 grep -q listening "$DIR/streamer.out"
}

counter() {
	# numbers in memory, private and shared, and a file
	launch python3 -u -c 'import mmap, time
a, b = bytearray(1 << 20), mmap.mmap(-1, 1 << 20)
n = 0
while True:
    n += 1
    a[n % len(a)] = b[n % len(b)] = n % 251
    assert a[(n - 1) % len(a)] == b[(n - 1) % len(b)]
    print(n)
    time.sleep(0.01)'
	wait_for 10 grep -q 10 "$DIR/out"
}

@test "a tree through a streamer: nothing stays in the directory, and it goes on" {
	counter
	streamer capture
	dump_streamed() { "$CRYO" dump --stream -D "$IMG" -t "$PID" -v4 "$@"; }
	dump_streamed
	wait "$STREAMER"
	reap
	[ "$(ls -A "$IMG" | tr '\n' ' ')" = "dump.log stats-dump " ]
	grep -aq '^inventory.img ' "$DIR/stream" && grep -aq '^pages-1.img ' "$DIR/stream"
	# what statistics say is what has gone there
	local written bytes
	written=$(crit decode -i "$IMG/stats-dump" | jq '.entries[0].dump | .pages_written + .shpages_written')
	bytes=$(grep -ao '^pages-[0-9]*.img [0-9]*$' "$DIR/stream" | awk '{n += $2} END {print n}')
	[ $((written * 4096)) = "$bytes" ]
	streamer serve
	restore --stream
	wait "$STREAMER"
	[ "$(ls -A "$IMG" | tr '\n' ' ')" = "dump.log restore.log stats-dump stats-restore " ]
	grows "$DIR/out"
	# while it runs on
	streamer capture
	dump_streamed --leave-running
	wait "$STREAMER"
	grows "$DIR/out"
	end_group
	streamer serve
	restore --stream
	wait "$STREAMER"
	grows "$DIR/out"
	! grep -q Error "$DIR/out"
}

@test "without a streamer, or one that goes away: status 1, the tree runs on" {
	counter
	run -1 "$CRYO" dump --stream -D "$IMG" -t "$PID"
	[[ $output = *"--stream: connect to streamer-capture.sock in the images directory"* ]]
	grows "$DIR/out"
	for limit in 1 3; do
		streamer capture $limit
		run -1 "$CRYO" dump --stream -D "$IMG" -t "$PID"
		[[ $output = *"streamer: "* ]]
		wait "$STREAMER"
		grows "$DIR/out"
	done
		[ "$(ls -A "$IMG" | tr '\n' ' ')" = "dump.log " ]
}

@test "a stream that is not whole is not restored" {
	counter
	streamer capture
	"$CRYO" dump --stream -D "$IMG" -t "$PID"
	wait "$STREAMER"
	reap
	run -1 restore --stream
	[[ $output = *"--stream: connect to streamer-serve.sock in the images directory"* ]]
	streamer serve 3
	run -1 restore --stream
	[[ $output = *"streamer: "* ]]
	wait "$STREAMER"
	mv "$DIR/stream" "$DIR/whole"
	: >"$DIR/stream"
	streamer serve
	run -1 restore --stream
	[[ $output = *"only a stream that cryo has captured can be restored"* ]]
	wait "$STREAMER"
	[ ! -e "/proc/$PID" ]
	mv "$DIR/whole" "$DIR/stream"
	streamer serve
	restore --stream
	grows "$DIR/out"
}

@test "what excludes it" {
	run -1 "$CRYO" pre-dump --stream -D "$IMG" -t 1
	[[ $output = *"--stream cannot be used with pre-dump"* ]]
	run -1 "$CRYO" check --stream
	[[ $output = *"--stream cannot be used with check"* ]]
	launch sleep 1000
	run -1 "$CRYO" dump --stream --lazy-pages --port 1 -D "$IMG" -t "$PID"
	[[ $output = *"--stream excludes --lazy-pages, --page-server and --prev-images-dir"* ]]
	run -1 "$CRYO" restore --stream --lazy-pages -D "$IMG"
	[[ $output = *"--stream excludes --lazy-pages"* ]]
}
