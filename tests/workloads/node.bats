# SPDX-License-Identifier: Apache-2.0
# node: an HTTP server, worker threads, a child with a channel and one on pipes.

load ../lib/workload
setup_file() { workload_setup; }
teardown() { workload_clear; }
teardown_file() { workload_teardown; }

start() { ctr -v "$BATS_TEST_DIRNAME/server.js:/server.js:ro" -- node /server.js; }
page() { curl -sf -m 20 "http://$(ip_of w):8000/$1"; }
ready() { curl -sf -m 1 "http://$(ip_of w):8000/" >/dev/null; }
fill() { page check >/dev/null; }
mark() { read -r HASHED ROUNDS < <(page check); }
verify() {
	local h r
	read -r h r < <(page check)
	echo "$HASHED $ROUNDS, then $h $r"
	[ "$h" -gt "$HASHED" ] && [ "$r" -eq $((ROUNDS + 1)) ]
}

@test "every cycle" { every_cycle; }

@test "keep-alive: one connection, before and after" {
	CHECKPOINT=(--tcp-established) RESTORE=(--tcp-established)
	begin
	talk "$(ip_of w)" 8000
	request() {
		local line n
		printf 'GET / HTTP/1.1\r\nHost: x\r\n\r\n' >&"$TALK"
		while line=$(hear) && [ -n "$line" ]; do :; done
		hear # the length of a chunk or the body
	}
	n=$(request)
	[ -n "$n" ]
	for i in 1 2 3; do
		cycle_w
		[ "$(request)" -gt "$n" ]
	done
	hang_up
	verify
}
