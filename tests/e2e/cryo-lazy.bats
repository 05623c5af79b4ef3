#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cryo lazy-pages: memory that comes when it is wanted.
load ../lib/cryo

PORT=12392
# Touches its memory in an order of its own, forks, gives memory back, moves it.
HOG='import sys, time, hashlib, mmap, os
n = int(sys.argv[1]) << 20
m = mmap.mmap(-1, n, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for i in range(0, n, 4096): m[i:i + 8] = i.to_bytes(8, "little")
k = 0
while True:
    m[(k * 7919 * 4096) % n] = k & 255
    k += 1
    if k % 10 == 0:
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            m[0:4] = b"mine"
            os.write(w, hashlib.md5(m).hexdigest().encode())
            os._exit(0)
        print(k, os.read(r, 32).decode(), os.waitpid(pid, 0)[1], flush=True)
        os.close(r); os.close(w)
    if k % 17 == 0: m.madvise(mmap.MADV_DONTNEED, 4096 * (k % 64), 8192)
    if k % 20 == 0: print(k, hashlib.md5(m).hexdigest(), flush=True)
    time.sleep(0.005)'

hog() {
	launch python3 -c "$HOG" "$1"
	wait_for 10 eval '[ "$(lines "$DIR/out")" -gt 3 ]'
}

whole() {
	wait_for 20 eval '[ "$(lines "$DIR/out")" -gt '$2' ]'
	kill -9 "$PID"
	wait_for 5 test ! -e "/proc/$PID"
	timeout -s KILL 60 python3 -c "$HOG" "$1" | head -n "$(lines "$DIR/out")" >"$DIR/want" || true
	cmp "$DIR/out" "$DIR/want"
}

lazy_pages() {
	"$CRYO" lazy-pages -D "$IMG" --daemon --pidfile lazy.pid -v4 "$@"
	SERVER=$(cat "$IMG/lazy.pid")
	[ -S "$IMG/lazy-pages.socket" ]
}

@test "a tree runs before it has its memory, and gets all of it" {
	hog 64
	dump
	reap
	lazy_pages
	restore --lazy-pages --display-stats >"$DIR/stats"
	# far less than 64 MiB was read by the restore itself
	[ "$(sed -n 's/^Pages restored: \([0-9]*\) .*/\1/p' "$DIR/stats")" -lt 8000 ]
	grows "$DIR/out"
	wait_for 20 test ! -e "/proc/$SERVER"
	grep -q 'All pages are where they belong' "$IMG/lazy-pages.log"
	[ ! -e "$IMG/lazy-pages.socket" ]
	! ls -l "/proc/$PID/fd" | grep -q userfaultfd
	whole 64 30
}

@test "a server that is killed takes the tree along: it never goes on with memory that is not its own" {
	hog 256
	dump
	reap
	lazy_pages
	restore --lazy-pages
	child=$(pgrep -P "$SERVER")
	kill -9 "$child"
	wait_for 5 test ! -e "/proc/$PID"
	wait_for 5 test ! -e "/proc/$SERVER"
	grep -q 'the server of pages has died' "$IMG/lazy-pages.log"
}

@test "rounds, then a restore whose memory comes from all of them" {
	hog 16
	mkdir "$DIR/1"
	"$CRYO" pre-dump -D "$DIR/1" -t "$PID"
	grows "$DIR/out"
	dump --prev-images-dir ../1
	reap
	lazy_pages
	restore --lazy-pages
	whole 16 30
	wait_for 20 test ! -e "/proc/$SERVER"
}

@test "without a server: one line, nothing is left" {
	launch sleep 1000
	dump
	reap
	run ! "$CRYO" restore -D "$IMG" -d --lazy-pages
	[ "$output" = "Error: connect to lazy-pages.socket in the work directory (start cryo lazy-pages with the same one): no such file or directory" ]
	[ ! -e "/proc/$PID" ]
	restore
}

@test "a dump that keeps the memory back gives it to where the tree runs by then" {
	hog 32
	timeout 60 "$CRYO" dump -D "$IMG" -t "$PID" --lazy-pages --address 127.0.0.1 --port $PORT --status-fd 9 9>"$DIR/ready" 3>&- &
	DUMP=$!
	wait_for 5 test -s "$DIR/ready"
	[ "$(cat "$IMG"/pages-*.img | wc -c)" -lt $((16 << 20)) ]
	crit decode -i "$IMG/pagemap-$PID.img" | jq -e 'any(.entries[]; .flags == "PE_LAZY" or .flags == 2)' >/dev/null
	cp -a "$IMG" "$DIR/there"
	# the same number is taken by the tree that stands still: into a namespace of its own
	mkdir "$DIR/work"
	timeout 60 unshare -pf --mount-proc sh -c "
		# one that does not ask for the rest is told so
		'$CRYO' restore -D '$DIR/there' -d 2>'$DIR/err'
		'$CRYO' lazy-pages -D '$DIR/there' -W '$DIR/work' --page-server --address 127.0.0.1 --port $PORT &
		until [ -S '$DIR/work/lazy-pages.socket' ]; do :; done # no numbers are to be used here
		'$CRYO' restore -D '$DIR/there' -W '$DIR/work' -d --lazy-pages --pidfile pid || exit 1
		wait
		until [ \$(wc -l <'$DIR/out') -gt $(($(lines "$DIR/out") + 3)) ]; do sleep 0.02; done" 3>&- &
	wait $! || true
	grep -q 'its memory has stayed where it was dumped with --lazy-pages; use --lazy-pages, and cryo lazy-pages$' "$DIR/err"
	wait $DUMP
	reap
	[ ! -e "/proc/$PID" ]
	n=$(lines "$DIR/out")
	[ "$n" -gt 4 ]
	timeout -s KILL 60 python3 -c "$HOG" 32 | head -n "$n" >"$DIR/want" || true
	cmp "$DIR/out" "$DIR/want"
}

@test "memory with guard pages does not stay: whoever asks for nothing gets a whole dump" {
	launch python3 -c 'import mmap, time
m = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
m[0:4] = b"here"
try: m.madvise(102, 1 << 16, 4096)
except OSError: print("none", flush=True)
while True:
    print(m[0:4], flush=True)
    time.sleep(0.02)'
	wait_for 5 grep -q . "$DIR/out"
	! grep -q none "$DIR/out" || skip "this kernel has no guard pages (Linux 6.13)"
	timeout 60 "$CRYO" dump -D "$IMG" -t "$PID" --lazy-pages --address 127.0.0.1 --port $PORT --status-fd 9 9>"$DIR/ready" 3>&- &
	DUMP=$!
	wait_for 5 test -s "$DIR/ready"
	python3 -c "import socket, struct
s = socket.create_connection(('127.0.0.1', $PORT))
s.sendall(struct.pack('<IxxxxQQQ', 0x1023, 0, 0, 0))
assert s.recv(4) == bytes(4)"
	wait $DUMP
	reap
	restore
	grows "$DIR/out"
	[ "$(tail -n 1 "$DIR/out")" = "b'here'" ]
}

@test "when whoever takes the memory goes too early the tree goes on" {
	hog 8
	timeout 60 "$CRYO" dump -D "$IMG" -t "$PID" --lazy-pages --address 127.0.0.1 --port $PORT --status-fd 9 9>"$DIR/ready" 2>"$DIR/err" 3>&- &
	DUMP=$!
	wait_for 5 test -s "$DIR/ready"
	n=$(lines "$DIR/out")
	sleep 0.2
	[ "$(lines "$DIR/out")" = "$n" ]
	python3 -c "import socket; socket.create_connection(('127.0.0.1', $PORT)).close()"
	! wait $DUMP
	grep -qx 'Error: whoever took the memory has gone before he had all of it' "$DIR/err"
	grows "$DIR/out"
	whole 8 10
}

@test "memory of a tree with mapped users comes later, too" {
	launch unshare -U --map-root-user python3 -c 'import hashlib, time
m = bytearray(8 << 20)
m[::4096] = bytes(range(256)) * 8
while True:
    print(hashlib.md5(m).hexdigest(), flush=True)
    time.sleep(0.05)'
	wait_for 10 eval '[ "$(lines "$DIR/out")" -gt 3 ]'
	dump
	reap
	lazy_pages
	restore --lazy-pages
	wait_for 20 test ! -e "/proc/$SERVER"
	grep -q 'All pages are where they belong' "$IMG/lazy-pages.log"
	grows "$DIR/out"
	[ "$(sort -u "$DIR/out" | wc -l)" = 1 ]
	kill -9 "$PID"
}
