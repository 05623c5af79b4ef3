# SPDX-License-Identifier: Apache-2.0
# Redis: data and counters, both ways of saving, a child that saves, clients that wait.

load ../lib/workload
setup_file() { workload_setup; }
teardown() { workload_clear; }
teardown_file() { workload_teardown; }

SERVER="redis-server --protected-mode no --enable-debug-command yes --dir /var/lib/redis"

cli() { outside redis-cli -h "$(ip_of w)" "$@"; }
info() { cli info "$1" | tr -d '\r' | sed -n "s/^$2://p"; }
info_is() { [ "$(info "$1" "$2")" = "$3" ]; }
digest() { cli debug digest; }

start() { ctr -- $SERVER --save ''; }
ready() { talk "$(ip_of w)" 6379 && say PING && [ "$(hear 1)" = +PONG ]; }

# Strings, hashes, lists, sorted sets, streams; some end by themselves in a day.
fill() {
	for i in $(seq 3000); do
		echo "SET s$i value-$i EX 86400
HSET h$i a $i b $((i * 2))
RPUSH l$((i % 10)) $i
ZADD z $i member-$i
XADD x $i-0 n $i"
	done | cli --pipe | grep -q 'errors: 0'
	cli debug populate 100000 >/dev/null
}
mark() {
	DIGEST=$(digest) RUN=$(info server run_id) SINCE=$(info server uptime_in_seconds)
	CONNECTIONS=$(info stats total_connections_received)
}
# It is the same server, which has forgotten nothing and counted on.
verify() {
	[ "$(digest)" = "$DIGEST" ]
	info_is server run_id "$RUN"
	[ "$(info stats total_connections_received)" -gt "$CONNECTIONS" ]
	[ "$(info server uptime_in_seconds)" -ge "$SINCE" ]
	[ "$(cli get s77)" = value-77 ]
	[ "$(cli ttl s77)" -gt 86000 ]
}

@test "every cycle" { every_cycle; }

# fresh: the server killed and started again has from its files what it had in memory.
fresh() {
	local digest
	digest=$(digest)
	cryopod kill w >/dev/null
	cryopod wait w >/dev/null
	cryopod start w >/dev/null
	answers
	wait_for 10 info_is persistence loading 0
	[ "$(digest)" = "$digest" ]
}

@test "the append-only file: written on after each restore, and complete" {
	start() { ctr -- $SERVER --save '' --appendonly yes --appendfsync everysec; }
	begin
	for i in $(seq "$CYCLES"); do
		cli set "before$i" "$i" >/dev/null
		cycle_w
		cli incr cycles >/dev/null
	done
	[ "$(cli get cycles)" = "$CYCLES" ]
	cli bgrewriteaof >/dev/null
	wait_for 30 info_is persistence aof_rewrite_in_progress 0
	cycle_w
	cli incr cycles >/dev/null
	cli config set appendfsync always >/dev/null
	info_is persistence aof_last_write_status ok
	fresh
}

@test "a child that saves at the moment of the checkpoint ends its work" {
	begin
	cli config set rdb-key-save-delay 80 >/dev/null # microseconds: 8 seconds in all
	# The child has inherited the connection of who was asking something, or for the saving, and has
	# closed it by now: CLOSE-WAIT.
	CHECKPOINT=(--tcp-established) RESTORE=(--tcp-established)
	for how in itself asked; do
		if [ $how = itself ]; then
			cli config set save "1 1" >/dev/null
			cli incr changes >/dev/null
		else
			cli config set save '' >/dev/null
			cli bgsave >/dev/null
		fi
		wait_for 5 info_is persistence rdb_bgsave_in_progress 1
		cycle_w
		info_is persistence rdb_bgsave_in_progress 1
		wait_for 60 info_is persistence rdb_bgsave_in_progress 0
		info_is persistence rdb_last_bgsave_status ok
	done
	verify
	cli config set rdb-key-save-delay 0 >/dev/null
	cli bgsave >/dev/null
	wait_for 60 info_is persistence rdb_bgsave_in_progress 0
	fresh
}

@test "clients that wait: BLPOP and SUBSCRIBE, outside and inside" {
	start() { ctr -- sh -c "$SERVER --save '' & until redis-cli ping; do sleep 0.1; done
		redis-cli subscribe news & while redis-cli blpop inside 0; do :; done"; }
	CHECKPOINT=(--tcp-established) RESTORE=(--tcp-established)
	start
	answers
	wait_for 10 info_is clients blocked_clients 1
	talk "$(ip_of w)" 6379
	SUBSCRIBER=$TALK
	say SUBSCRIBE news
	for _ in 1 2 3 4 5 6; do hear >/dev/null; done
	talk "$(ip_of w)" 6379
	say BLPOP outside 0
	wait_for 10 info_is clients blocked_clients 2
	for i in $(seq "$CYCLES"); do
		cycle_w
		info_is clients blocked_clients 2
		cli rpush inside "job$i" >/dev/null
		wait_for 10 log_has w "job$i"
		cli rpush outside "job$i" >/dev/null
		[ "$(hear)" = '*2' ] && hear && [ "$(hear)" = outside ] && hear && [ "$(hear)" = "job$i" ]
		say BLPOP outside 0
		[ "$(cli publish news "item$i")" = 2 ]
		wait_for 10 log_has w "item$i"
		TALK=$SUBSCRIBER heard "item$i"
		wait_for 10 info_is clients blocked_clients 2
	done
}
heard() { until [ "$(hear)" = "$1" ]; do :; done; }
