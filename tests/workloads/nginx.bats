# SPDX-License-Identifier: Apache-2.0
# nginx: connections that are kept alive, a download under way, another configuration afterwards.

load ../lib/workload
setup_file() {
	workload_setup
	cat >"$BATS_FILE_TMPDIR/nginx.conf" <<-'END'
	user www-data;
	worker_processes 2;
	daemon off;
	error_log stderr;
	pid /run/nginx.pid;
	events { worker_connections 256; }
	http {
	  access_log /dev/stdout;
	  sendfile on;
	  keepalive_timeout 600;
	  keepalive_requests 100000;
	  server {
	    listen 80;
	    root /srv;
	    location /connection { return 200 "$connection $connection_requests\n"; }
	    location /generation { return 200 "first\n"; }
	    location /slow/ { alias /srv/; limit_rate 2m; }
	  }
	}
	END
}
teardown() { workload_clear; }
teardown_file() { workload_teardown; }

start() {
	ctr -v "$BATS_FILE_TMPDIR/nginx.conf:/conf:ro" -- sh -c 'seq 2000000 >/srv/numbers; cp /conf /etc/nginx/nginx.conf; exec nginx'
}
url() { echo "http://$(ip_of w)/$1"; }
get() { curl -sf -m 20 "$(url "$1")"; }
ready() { [[ "$(get generation)" =~ ^(first|second)$ ]]; }
fill() { SUM=$(seq 2000000 | md5sum); }
verify() { [ "$(get numbers | md5sum)" = "$SUM" ]; }

@test "every cycle" { every_cycle; }

# download PATH [CURL-OPTIONS...]: in the background, and it has begun; downloaded: it came whole.
download() {
	rm -f "$BATS_TEST_TMPDIR/download"
	curl -sf -m 60 "${@:2}" -o "$BATS_TEST_TMPDIR/download" "$(url "$1")" &
	wait_for 10 test -s "$BATS_TEST_TMPDIR/download"
}
downloaded() {
	wait $!
	[ "$(md5sum <"$BATS_TEST_TMPDIR/download")" = "$(seq 2000000 | md5sum)" ]
}

# ask PATH: over the connection TALK; the body's first line.
ask() {
	say "GET /$1 HTTP/1.1"$'\r\n'"Host: w"$'\r\n'
	[ "$(hear)" = "HTTP/1.1 200 OK" ]
	while [ -n "$(hear)" ]; do :; done
	hear
}

@test "connections kept alive, and a download under way" {
	start
	answers
	CHECKPOINT=(--tcp-established) RESTORE=(--tcp-established)
	talk "$(ip_of w)" 80
	CONNECTION=$(ask connection)
	for i in $(seq "$CYCLES"); do
		download slow/numbers
		cycle_w
		[ "$(ask connection)" = "${CONNECTION% *} $((i + 1))" ]
		downloaded
	done
	# Frozen at full speed: both queues are full.
	for _ in 1 2; do
		download numbers --limit-rate 5M
		cycle_w
		downloaded
	done
}

# Each request connects anew: whoever meets a frozen server, or one that is not there yet, waits.
connecting() {
	while [ ! -e "$BATS_TEST_TMPDIR/enough" ]; do
		outside ab -q -c 4 -n 2000 -s 60 "$(url generation)" || return 1
	done
}

@test "clients that connect again and again, through cycles" {
	start
	answers
	CHECKPOINT=(--tcp-established) RESTORE=(--tcp-established)
	connecting >"$BATS_TEST_TMPDIR/ab" 2>&1 &
	served() { [ "$(get connection | cut -d' ' -f1)" -gt "$1" ]; }
	wait_for 20 served 500
	for _ in $(seq "$CYCLES"); do
		cycle_w
		wait_for 20 served $(($(get connection | cut -d' ' -f1) + 200))
	done
	freeze -R
	touch "$BATS_TEST_TMPDIR/enough"
	wait $! || { cat "$BATS_TEST_TMPDIR/ab"; return 1; }
	grep -qE '^Failed requests: +0$' "$BATS_TEST_TMPDIR/ab"
	run ! grep -E '^Failed requests: +[1-9]' "$BATS_TEST_TMPDIR/ab"
}

@test "another configuration after the restore: old workers end when their clients do" {
	start
	answers
	cycle_w
	talk "$(ip_of w)" 80
	ask generation
	CHECKPOINT=(--tcp-established) RESTORE=(--tcp-established)
	cycle_w
	inside sed -i 's/first/second/' /etc/nginx/nginx.conf
	inside nginx -s reload
	wait_for 10 sh -c "curl -sf '$(url generation)' | grep -q second"
	verify_workers() { [ "$(cryopod top w comm args | grep -c 'worker process$')" -eq 2 ]; }
	hang_up
	wait_for 10 verify_workers
	CHECKPOINT=() RESTORE=()
	cycle_w
	[ "$(get generation)" = second ]
	# And log files opened anew.
	inside nginx -s reopen
	[ "$(get generation)" = second ]
}

@test "refused by name; the clients notice nothing" {
	start
	answers
	talk "$(ip_of w)" 80
	CONNECTION=$(ask connection)
	download slow/numbers
	expect 125 cryopod container checkpoint w
	has nginx "$(ip_of w):80" '--tcp-established'
	[ "$(ask connection)" = "${CONNECTION% *} 2" ]
	downloaded
	freeze --tcp-established
	thaw --tcp-close
	run ! ask connection
}
