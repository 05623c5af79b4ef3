#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cryo page-server: pages over a connection; cryo dedup.
load ../lib/cryo

PORT=12391
HOG='import sys, time, hashlib
n = int(sys.argv[1]) << 20
m = bytearray(n)
for i in range(0, n, 4096): m[i:i + 8] = i.to_bytes(8, "little")
k = 0
while True:
    m[(k * 4096) % n] = k & 255
    k += 1
    print(k, flush=True)
    if k % 20 == 0: print(hashlib.md5(m).hexdigest(), flush=True)
    time.sleep(0.01)'

# serve DIR [OPTIONS]: one page server, in the background.
serve() {
	local dir=$1
	shift
	mkdir -p "$dir"
	"$CRYO" page-server -D "$dir" --address 127.0.0.1 --port $PORT --daemon --pidfile server.pid "$@"
	SERVER=$(cat "$dir/server.pid")
}
served() { wait_for 5 test ! -e "/proc/$SERVER"; }
TO=(--page-server --address 127.0.0.1 --port $PORT)
pages() { cat "$1"/pages-*.img | wc -c; }
blocks() { du -k -c "$1"/pages-*.img | tail -n 1 | cut -f 1; }

hog() {
	launch python3 -c "$HOG" "$1"
	wait_for 10 eval '[ "$(lines "$DIR/out")" -gt 3 ]'
}

# whole: what it has printed since the restore is right.
whole() {
	wait_for 10 eval '[ "$(lines "$DIR/out")" -gt 65 ]'
	kill -9 "$PID"
	wait_for 5 test ! -e "/proc/$PID"
	timeout -s KILL 60 python3 -c "$HOG" "$1" | head -n "$(lines "$DIR/out")" >"$DIR/want" || true
	cmp "$DIR/out" "$DIR/want"
}

@test "a dump whose pages go to a page server beside it" {
	hog 8
	serve "$IMG"
	dump "${TO[@]}"
	served
	reap
	[ "$(pages "$IMG")" -gt $((8 << 20)) ]
	crit decode -i "$IMG/pagemap-$PID.img" >/dev/null
	restore
	whole 8
}

@test "rounds into a page server elsewhere; what is there is brought together" {
	hog 8
	local there=$DIR/there here=$DIR/here
	mkdir "$here" "$here/1" "$here/2" "$here/3" "$there"
	serve "$there/1"
	"$CRYO" pre-dump -D "$here/1" -t "$PID" "${TO[@]}"
	served
	for i in 2 3; do
		grows "$DIR/out"
		ln -s ../$((i - 1)) "$DIR/parent.$i"
		serve "$there/$i" --prev-images-dir ../$((i - 1)) --auto-dedup
		if [ $i = 2 ]; then
			"$CRYO" pre-dump -D "$here/$i" -t "$PID" --prev-images-dir ../1 "${TO[@]}"
		else
			"$CRYO" dump -D "$here/$i" -t "$PID" --prev-images-dir ../2 "${TO[@]}"
		fi
		served
		[ "$(pages "$there/$i")" -lt $((4 << 20)) ]
		[ -z "$(ls "$here/$i"/pages-*.img 2>/dev/null)" ]
	done
	reap
	# auto-dedup has taken from the first what the others have
	[ $(($(blocks "$there/1") * 1024)) -lt "$(pages "$there/1")" ]
	cp -a "$there/3/." "$there/2/." "$DIR" # the newest first
	rm -rf "$here/3/parent"
	for f in "$there/3"/page*.img; do cp "$f" "$here/3/"; done
	ln -s "$there/2" "$here/3/parent"
	"$CRYO" restore -D "$here/3" -d
	whole 8
}

@test "a page server takes pages of CRIU 4.2 and of older ones" {
	for bits in old new; do
		serve "$DIR/$bits"
		python3 - $PORT $bits <<-'EOF'
			import socket, struct, sys
			s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
			def put(cmd, nr=0, vaddr=0, dst=0):
			    f = "<IIQQ" if sys.argv[2] == "old" else "<IxxxxQQQ"
			    s.sendall(struct.pack(f, cmd, nr, vaddr, dst))
			dst = 42 << 8 | 1
			put(4, dst=dst)
			assert s.recv(1) == b"\0"
			put(4 << 16 | 6, 2, 0x10000, dst)
			s.sendall(b"a" * 8192)
			put(4 << 16 | 6, 1, 0x20000, dst)
			s.sendall(b"b" * 4096)
			put(0x1023)
			assert s.recv(4) == b"\0\0\0\0"
		EOF
		served
		crit decode -i "$DIR/$bits/pagemap-42.img" |
			jq -e '.entries[1].nr_pages == 2 and .entries[2].vaddr == 131072'
		[ "$(tr -d '\0' <"$DIR/$bits/pages-1.img" | fold -w 4096 | cut -c 1 | tr -d '\n')" = aab ]
	done
}

@test "a page server gives pages of its images" {
	hog 8
	dump
	reap
	serve "$IMG" --lazy-pages
	vaddr=$(crit decode -i "$IMG/pagemap-$PID.img" | jq '[.entries[1:][] | select(.nr_pages > 100)][0].vaddr')
	python3 - $PORT $PID $vaddr <<-'EOF'
		import socket, struct, sys
		s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
		pid, vaddr = int(sys.argv[2]), int(sys.argv[3], 0)
		def get(n, at):
		    s.sendall(struct.pack("<IxxxxQQQ", 7, n, at, pid))
		    cmd, n, at2, dst = struct.unpack("<IxxxxQQQ", s.recv(32, socket.MSG_WAITALL))
		    assert cmd == 4 << 16 | 6 and at2 == at and dst == pid
		    return s.recv(n * 4096, socket.MSG_WAITALL)
		assert len(get(1, vaddr + 4096)) == 4096
		assert get(10, vaddr)[4096:8192] == get(1, vaddr + 4096)
		s.sendall(struct.pack("<IxxxxQQQ", 0x1023, 0, 0, 0))
		assert s.recv(4) == b"\0\0\0\0"
	EOF
	served
	restore
	whole 8
}

@test "a dump that ends too early leaves no pages; the tree goes on" {
	hog 32
	# In the middle of the pages; one that was done before it was killed has left the tree running, and
	# is no answer.
	for _ in $(seq 100); do
		serve "$DIR/there"
		"$CRYO" dump -R -D "$IMG" -t "$PID" "${TO[@]}" 3>&- &
		dump=$! status=0
		until [ -n "$(find "$DIR/there" -name 'pages-*.img' -size +0)" ]; do kill -0 "$dump" || break; done
		kill -9 "$dump" "$SERVER" 2>/dev/null || true
		wait "$dump" || status=$?
		served
		[ "$status" = 0 ] || break
		rm -rf "$DIR/there"
	done
	[ "$status" = 137 ]
	run ! "$CRYO" dump -D "$IMG" -t "$PID" "${TO[@]}"
	[ "$output" = "Error: connect to the page server 127.0.0.1 port $PORT: connection refused" ]
	[ -z "$(ls "$DIR/there"/pages-*.img 2>/dev/null)" ]
	[ -d "/proc/$PID" ] && grows "$DIR/out"
}

@test "dedup frees what newer images have; they still restore" {
	hog 8
	mkdir "$DIR/1"
	"$CRYO" pre-dump -D "$DIR/1" -t "$PID"
	wait_for 10 eval '[ "$(lines "$DIR/out")" -gt 40 ]'
	dump --prev-images-dir ../1
	reap
	before=$(blocks "$DIR/1")
	"$CRYO" dedup -D "$IMG"
	[ "$(blocks "$DIR/1")" -lt "$before" ]
	restore
	whole 8
}
