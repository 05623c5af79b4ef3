# SPDX-License-Identifier: Apache-2.0
# python3: asyncio, threads, multiprocessing, a child on pipes, SQLite in the middle of a transaction.

load ../lib/workload
setup_file() { workload_setup; }
teardown() { workload_clear; }
teardown_file() { workload_teardown; }

# SQLite locks its files.
CHECKPOINT=(--file-locks) RESTORE=(--file-locks)
start() { ctr -v "$BATS_TEST_DIRNAME/server.py:/server.py:ro" -- python3 /server.py; }
ask() { (talk "$(ip_of w)" 8000 && say "$1" && hear 30) }
ready() { ask ping >/dev/null; }
fill() { ask check >/dev/null; }
mark() { read -r HASHED ROUNDS < <(ask check); }
verify() {
	local h r p c
	read -r h r < <(ask check)
	echo "$HASHED/$ROUNDS, then $h/$r"
	[ "$h" -gt "$HASHED" ]
	# the others one more, all together; the file of the database does not go back
	for p in $ROUNDS; do
		c=${r%% *} r=${r#* }
		[ "$c" -eq $((p + 1)) ]
	done
}

@test "every cycle" { every_cycle; }

@test "a connection goes on" {
	CHECKPOINT+=(--tcp-established) RESTORE+=(--tcp-established)
	begin
	talk "$(ip_of w)" 8000
	say ping && n=$(hear)
	for i in 1 2 3; do
		cycle_w
		say ping
		[ "$(hear)" -gt "$n" ]
	done
	hang_up
	verify
}
