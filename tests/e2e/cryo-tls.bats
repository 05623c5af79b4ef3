#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cryo --tls: pages that go to a page server, or come from one, through TLS.
load ../lib/cryo

PORT=12397
SECRET=what-nobody-else-may-read
HOG='import sys, time
m = bytearray(b"'$SECRET'" + b"." * 999) * 4000
while True:
    print(m[:25].decode() + " " + str(len(m)), flush=True)
    time.sleep(0.02)'

# Passes bytes on from port AT to port TO, and keeps a copy of them: one connection.
LISTENER='import socket, sys, threading
at, to, copy = int(sys.argv[1]), int(sys.argv[2]), open(sys.argv[3], "wb")
s = socket.create_server(("127.0.0.1", at))
print("ready", flush=True)
a = s.accept()[0]
b = socket.create_connection(("127.0.0.1", to))
def go(x, y):
    while d := x.recv(65536):
        copy.write(d); y.sendall(d)
    y.shutdown(socket.SHUT_WR)
t = threading.Thread(target=go, args=(b, a)); t.start()
go(a, b); t.join(); copy.close()'

setup_file() {
	C=$BATS_FILE_TMPDIR
	for ca in ours other; do
		certtool --generate-privkey --outfile "$C/$ca.key"
		printf 'cn = "%s"\nca\ncert_signing_key\ncrl_signing_key\nexpiration_days = 9\n' $ca >"$C/t"
		certtool --generate-self-signed --template "$C/t" --load-privkey "$C/$ca.key" --outfile "$C/$ca.pem"
	done
	certificate server ours 'ip_address = "127.0.0.1"'
	certificate client ours
	certificate revoked ours 'ip_address = "127.0.0.1"'
	certificate stranger other 'ip_address = "127.0.0.1"'
	printf 'crl_next_update = 9\ncrl_number = 1\n' >"$C/t"
	certtool --generate-crl --template "$C/t" --load-ca-certificate "$C/ours.pem" \
		--load-ca-privkey "$C/ours.key" --load-certificate "$C/revoked.pem" --outfile "$C/crl.pem"
} 2>"$BATS_FILE_TMPDIR/certtool.log" >&2

# certificate NAME AUTHORITY LINES...
certificate() {
	local name=$1 ca=$2
	shift 2
	certtool --generate-privkey --outfile "$C/$name.key"
	printf '%s\n' "cn = \"$name\"" signing_key encryption_key tls_www_server tls_www_client 'expiration_days = 9' "$@" >"$C/t"
	certtool --generate-certificate --template "$C/t" --load-privkey "$C/$name.key" \
		--load-ca-certificate "$C/$ca.pem" --load-ca-privkey "$C/$ca.key" --outfile "$C/$name.pem"
}

# as NAME [AUTHORITY]: the options, in TLS.
as() {
	TLS=(--tls --tls-cert "$BATS_FILE_TMPDIR/$1.pem" --tls-key "$BATS_FILE_TMPDIR/$1.key"
		--tls-cacert "$BATS_FILE_TMPDIR/${2-ours}.pem")
}

# serve [OPTIONS]: one page server, in the background.
serve() {
	mkdir -p "$DIR/there"
	"$CRYO" page-server -D "$DIR/there" --address 127.0.0.1 --port $PORT --daemon --pidfile server.pid "$@"
	SERVER=$(cat "$DIR/there/server.pid")
}
served() { wait_for 5 test ! -e "/proc/$SERVER"; }

hog() {
	launch python3 -c "$HOG"
	wait_for 10 eval '[ "$(lines "$DIR/out")" -gt 3 ]'
}
TO=(--page-server --address 127.0.0.1)

whole() {
	wait_for 10 grows "$DIR/out"
	[ "$(sort -u "$DIR/out")" = "$SECRET 4096000" ]
}

# dump_overheard [OPTIONS]: with a listener between.
dump_overheard() {
	rm -f "$DIR/listener"
	python3 -c "$LISTENER" $((PORT + 1)) $PORT "$DIR/heard" >"$DIR/listener" 3>&- 8>&- &
	local listener=$!
	wait_for 10 grep -q ready "$DIR/listener"
	dump "${TO[@]}" --port $((PORT + 1)) "$@"
	wait $listener
	[ "$(stat -c %s "$DIR/heard")" -gt 4000000 ]
}

@test "nobody can read what goes to a page server, and all of it arrives" {
	hog
	serve
	dump_overheard
	served
	reap
	grep -q $SECRET "$DIR/heard"
	mv "$DIR/there"/page*.img "$IMG"
	restore
	whole
	as server
	serve "${TLS[@]}"
	as client
	rm -rf "$IMG" && mkdir "$IMG"
	dump_overheard "${TLS[@]}"
	served
	run ! grep -q $SECRET "$DIR/heard"
	mv "$DIR/there"/page*.img "$IMG"
	restore
	whole
}

@test "a server's name is looked for in its certificate; --tls-no-cn-verify" {
	hog
	as server
	serve "${TLS[@]}" --address 0.0.0.0
	as client
	run "$CRYO" dump -D "$IMG" -t "$PID" "${TLS[@]}" --page-server --address 127.0.0.2 --port $PORT
	served
	[ "$status" -eq 1 ]
	[[ "$output" == *"certificate: "*"name"*"does not match"* ]]
	wait_for 10 grows "$DIR/out"
	as server
	serve "${TLS[@]}" --address 0.0.0.0
	as client
	dump "${TLS[@]}" --page-server --address 127.0.0.2 --port $PORT --tls-no-cn-verify
	served
}

@test "who is not believed gets nothing, and the tree runs on" {
	hog
	refused() {
		run "$CRYO" dump -D "$IMG" -t "$PID" "${TO[@]}" --port $PORT "$@"
		served
		[ "$status" -eq 1 ]
		[ "$(grep -c ^Error <<<"$output")" -eq 1 ]
		wait_for 10 grows "$DIR/out"
		[ -z "$(ls "$DIR/there" | grep pages)" ]
	}
	# the server is a stranger
	as stranger
	serve "${TLS[@]}"
	as client
	refused "${TLS[@]}"
	[[ "$output" == *"the other side's certificate: "*"NOT trusted"* ]]
	# the client is one
	as server
	serve "${TLS[@]}"
	as stranger
	refused "${TLS[@]}"
	grep -q "Error (cryo): --tls: .*ertificate" "$DIR/there/page-server.log"
	# revoked
	as revoked
	serve "${TLS[@]}"
	as client
	refused "${TLS[@]}" --tls-cacrl "$BATS_FILE_TMPDIR/crl.pem"
	[[ "$output" == *"the other side's certificate: "*revoked* ]]
	# one of both does without
	as server
	serve "${TLS[@]}"
	refused
	serve
	as client
	refused "${TLS[@]}"
	[[ "$output" == *"does the other side have --tls"* ]]
}

@test "a certificate or a key that is not there" {
	hog
	as client
	run "$CRYO" dump -D "$IMG" -t "$PID" "${TLS[@]}" --tls-key /nowhere "${TO[@]}" --port $PORT
	[ "$status" -eq 1 ]
	kill -0 "$PID"
}

@test "memory that comes when it is wanted, through TLS" {
	hog
	as server
	timeout 60 "$CRYO" dump -D "$IMG" -t "$PID" --lazy-pages --address 127.0.0.1 --port $PORT "${TLS[@]}" \
		--status-fd 9 9>"$DIR/ready" 3>&- &
	local dump=$!
	wait_for 10 test -s "$DIR/ready"
	cp -a "$IMG" "$DIR/there"
	mkdir "$DIR/work"
	as client
	# the same number is taken by the tree that stands still: into a namespace of its own
	timeout 60 unshare -pf --mount-proc sh -c "
		'$CRYO' lazy-pages -D '$DIR/there' -W '$DIR/work' --page-server --address 127.0.0.1 --port $PORT ${TLS[*]} &
		until [ -S '$DIR/work/lazy-pages.socket' ]; do :; done # no numbers are to be used here
		'$CRYO' restore -D '$DIR/there' -W '$DIR/work' -d --lazy-pages || exit 1
		wait
		until [ \$(wc -l <'$DIR/out') -gt $(($(lines "$DIR/out") + 3)) ]; do sleep 0.02; done" 3>&- &
	wait $! || true
	wait $dump
	reap
	[ "$(lines "$DIR/out")" -gt 6 ]
	[ "$(sort -u "$DIR/out")" = "$SECRET 4096000" ]
}
