# SPDX-License-Identifier: Apache-2.0
# PostgreSQL: transactions that are open, locks, queries that run, connections with TLS; it never
# notices, so that there is no crash recovery.

load ../lib/workload
setup_file() {
	workload_setup
	printf '%s all all %strust\n' local '' host 'all ' >"$BATS_FILE_TMPDIR/hba"
	printf '#!/bin/sh\nexec /usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main "$@"\n' >"$BATS_FILE_TMPDIR/server"
	chmod 755 "$BATS_FILE_TMPDIR" "$BATS_FILE_TMPDIR/server"
}
teardown() { workload_clear; }
teardown_file() { workload_teardown; }

OPTIONS=(-c config_file=/etc/postgresql/15/main/postgresql.conf -c hba_file=/hba -c 'listen_addresses=*'
	-c unix_socket_directories=/tmp -c external_pid_file=/tmp/pid -c log_checkpoints=off)

# server COMMAND...: instead of the server alone, which is "$@" for it.
server() {
	ctr --user postgres --shm-size 256m -v "$BATS_FILE_TMPDIR/hba:/hba:ro" -v "$BATS_FILE_TMPDIR/server:/server:ro" -- "$@" /server "${OPTIONS[@]}"
}
start() { server; }
psql() { PGCONNECT_TIMEOUT=5 outside psql -qAtX -h "$(ip_of w)" -U postgres "$@"; }
query() { psql -v ON_ERROR_STOP=1 -c "$1"; }
ready() { [ "$(query 'select 6*7')" = 42 ]; }

fill() {
	query 'create table t as select g as id, md5(g::text) as text from generate_series(1, 200000) g;
		alter table t add primary key (id); create table notes (text text); analyze t'
	START=$(query 'select pg_postmaster_start_time()')
}
# The same server has the same rows; nobody has had to recover anything.
verify() {
	[ "$(query 'select count(*), sum(id), md5(string_agg(text, null order by id)) from t')" = \
		"200000|20000100000|$(SUM=${SUM:-$(seq 200000 | python3 -c 'import hashlib, sys
md5 = lambda t: hashlib.md5(t.encode()).hexdigest()
print(md5("".join(md5(l.strip()) for l in sys.stdin)))')} && echo "$SUM")" ]
	[ "$(query 'select pg_postmaster_start_time()')" = "$START" ]
	unharmed
}
unharmed() {
	if cryopod logs w 2>&1 | grep -iE 'recover|interrupted|terminat|panic|crash|corrupt|could not'; then return 1; fi
}

@test "every cycle" { every_cycle; }

# open_session NAME: a psql of its own; sql NAME STATEMENT waits for its answer.
open_session() { session "$1" psql -qAtX -h "$(ip_of w)" -U postgres; }
sql() {
	tell "$1" "$2;"
	answer "$1"
}
answer() {
	local line
	tell "$1" '\echo = end'
	while line=$(told "$1" 60) && [ "$line" != "= end" ]; do echo "$line"; done
	[ "$line" = "= end" ]
}
locks() { query "select count(*) from pg_locks where locktype = 'advisory' and granted = $1"; }
waits() { [ "$(locks false)" -eq "$1" ]; }
# It may have ended by now: how long that takes is the machine's business.
began() { [ "$(query "select count(*) from pg_stat_activity where query like '$1%'")" -ge 1 ]; }

@test "sessions in the middle of their work" {
	CHECKPOINT=(--tcp-established) RESTORE=(--tcp-established)
	begin
	for s in writer holder waiter sorter sleeper cursor listener; do open_session $s; done
	sql writer "begin; insert into notes values ('written'); savepoint s"
	sql holder "select pg_advisory_lock(42)"
	tell waiter "select 'mine', pg_advisory_lock(42);"
	wait_for 10 waits 1
	sql cursor "create temp table own as select generate_series(1, 100) as n; prepare p as select max(n) from own; begin; declare c cursor for select n from own order by n"
	sql listener "listen news"
	[ "$(sql writer 'show server_version_num; select ssl from pg_stat_ssl where pid = pg_backend_pid()' | tail -1)" = t ]
	for i in $(seq "$CYCLES"); do
		phase "cycle $i"
		tell sleeper "select 'slept $i', pg_sleep(1.5);"
		# Sorted by several processes, in temporary files.
		tell sorter "set work_mem = 64; set min_parallel_table_scan_size = 0; set parallel_setup_cost = 0; set parallel_tuple_cost = 0;"
		tell sorter "select count(*), max(text) /* $i */ from (select distinct a.text, b.id % 10 from t a, generate_series(1, 10) b(id)) x;"
		wait_for 20 began "select ''slept $i"
		wait_for 20 began "select count(*), max(text) /* $i */"
		cycle_w
		[ "$(sql cursor 'fetch next from c')" = "$i" ]
		sql writer "insert into notes values ('cycle $i')"
		[ "$(query "select count(*) from notes")" -eq 0 ]
		[ "$(answer sleeper)" = "slept $i|" ]
		[ "$(answer sorter)" = "2000000|fffff$(query "select substr(max(text), 6) from t")" ]
		query "notify news, 'item $i'"
		sql listener "select 1" | grep -q "item $i"
		waits 1
	done
	[ "$(sql cursor 'execute p')" = 100 ]
	sql holder "select pg_advisory_unlock(42)"
	[ "$(answer waiter)" = "mine|" ]
	sql writer commit
	[ "$(query 'select count(*) from notes')" -eq $((CYCLES + 1)) ]
	verify
}

@test "a session inside, over the unix socket, and work without end" {
	start() { server sh -c '"$@" & until psql -qAtXc "select 1" -h /tmp; do sleep 0.1; done
		exec psql -qAtX -h /tmp -c "create table n (n int)" -c "begin; insert into n values (0)" -c "do \$\$ begin for i in 0..1000000 loop
			update n set n = i; raise notice '"'%'"', i; perform pg_sleep(0.02); end loop; end \$\$" 2>&1' sh; }
	start
	answers
	counted() { cryopod logs w 2>&1 | sed -n 's/^NOTICE:  //p'; }
	reached() { [ "$(counted | tail -1)" -ge "$1" ]; }
	wait_for 20 reached 3
	for _ in $(seq "$CYCLES"); do
		cycle_w
		wait_for 20 reached $(($(counted | tail -1) + 3))
	done
	counted >"$BATS_TEST_TMPDIR/counted"
	seq 0 $(($(wc -l <"$BATS_TEST_TMPDIR/counted") - 1)) | diff - "$BATS_TEST_TMPDIR/counted"
	unharmed
}

@test "connections are refused by name; the transaction goes on" {
	begin
	open_session writer
	sql writer "begin; insert into notes values ('written')"
	expect 125 cryopod container checkpoint w
	has postgres "$(ip_of w):5432" '--tcp-established'
	sql writer commit
	[ "$(query 'select text from notes')" = written ]
	# Closed ones: the server takes the transaction back, and serves new ones.
	sql writer "begin; insert into notes values ('lost')"
	freeze --tcp-established
	thaw --tcp-close
	[ "$(query 'select text from notes')" = written ]
}
