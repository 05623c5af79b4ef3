# SPDX-License-Identifier: Apache-2.0
# Apache httpd in the foreground, with processes (prefork) and with threads (event).

load ../lib/workload
setup_file() { workload_setup; }
teardown() { workload_clear; }
teardown_file() { workload_teardown; }

# httpd MPM: the server with status pages.  Of prefork there are six children, whatever they do.
httpd() {
	ctr -- sh -c "a2dismod -q mpm_event; a2enmod -q mpm_$1 status; echo ServerName w >>/etc/apache2/apache2.conf
		sed -Ei 's/^(\s*StartServers\s).*/\\1 6/; s/^(\s*MinSpareServers\s).*/\\1 1/; s/^(\s*MaxSpareServers\s).*/\\1 10/' \\
			/etc/apache2/mods-available/mpm_prefork.conf
		echo 'ExtendedStatus On
		<Location /server-status>
			Require all granted
		</Location>' >/etc/apache2/conf-enabled/w.conf
		seq 1000000 >/var/www/html/numbers; exec apachectl -D FOREGROUND" >/dev/null
}
url() { echo "http://$(ip_of w)/$1"; }
get() { curl -sf -m 20 "$(url "$1")"; }
ready() { get index.html | grep -q 'Apache2 Debian Default Page'; }
status() { get 'server-status?auto' | tr -d '\r' | sed -n "s/^$1: //p"; }
fill() { SUM=$(seq 1000000 | md5sum); }
mark() { ACCESSES=$(status 'Total Accesses') STARTED=$(status ServerUptimeSeconds); }
# The same server has counted on.
verify() {
	[ "$(get numbers | md5sum)" = "$SUM" ]
	[ "$(status 'Total Accesses')" -ge "$ACCESSES" ]
	[ "$(status ServerUptimeSeconds)" -ge "$STARTED" ]
}

@test "prefork: every cycle" {
	start() { httpd prefork; }
	every_cycle
	[ "$(status ServerMPM)" = prefork ]
}

@test "event: every cycle" {
	start() { httpd event; }
	every_cycle
	[ "$(status ServerMPM)" = event ]
}

# Four at a time, until the test has seen enough; each ab keeps its connections for 50000 requests.
clients() {
	while [ ! -e "$BATS_TEST_TMPDIR/enough" ]; do
		outside ab -q -k -c 4 -n 50000 -s 60 "$(url index.html)" || return 1
	done
}

@test "many clients at once, kept alive, through cycles" {
	CHECKPOINT=(--tcp-established) RESTORE=(--tcp-established)
	for mpm in prefork event; do
		httpd $mpm
		answers
		rm -f "$BATS_TEST_TMPDIR/enough"
		clients >"$BATS_TEST_TMPDIR/ab" 2>&1 &
		served() { [ "$(status 'Total Accesses')" -gt "$1" ]; }
		wait_for 20 served 1000
		for _ in $(seq "$CYCLES"); do
			cycle_w
			wait_for 20 served $(($(status 'Total Accesses') + 500))
		done
		touch "$BATS_TEST_TMPDIR/enough"
		wait $!
		grep -E '^(Complete|Failed) requests' "$BATS_TEST_TMPDIR/ab"
		grep -qE '^Failed requests: +0$' "$BATS_TEST_TMPDIR/ab"
		run ! grep -E '^Failed requests: +[1-9]' "$BATS_TEST_TMPDIR/ab"
		workload_clear
	done
}

ask_again() { say "GET /index.html HTTP/1.1"$'\r\n'"Host: w"$'\r\n' && hear 3; }

@test "graceful restart after the restore; refused by name with connections" {
	httpd event
	answers
	fill
	cycle_w
	inside apachectl graceful
	wait_for 10 ready
	cycle_w
	talk "$(ip_of w)" 80
	[ "$(ask_again)" = "HTTP/1.1 200 OK" ]
	expect 125 cryopod container checkpoint w
	has apache2 "$(ip_of w):80" '--tcp-established'
	while [ "$(hear)" != '</html>' ]; do :; done
	freeze --tcp-established
	thaw --tcp-close
	run ! ask_again
}

# tree: the processes as top shows them, without what changes.
tree() { cryopod top w pid ppid tty args | sort -n; }
all_children() { [ "$(cryopod top w args | grep -c 'apache2 -D FOREGROUND$')" -eq 7 ]; }

@test "an exec session that ends and leaves a job: the same tree, with the job" {
	httpd prefork
	answers
	wait_for 10 all_children
	expect 0 "$REPO/tests/lib/pty" -s 'sleep 1000 &\n' -e '[1]' -s 'exit\n' -- "$CP" exec -it w bash
	tree >"$BATS_TEST_TMPDIR/before"
	grep -q 'sleep 1000' "$BATS_TEST_TMPDIR/before"
	for _ in $(seq "$CYCLES"); do
		cycle_w
		tree | diff "$BATS_TEST_TMPDIR/before" -
	done
	freeze
	reboot
	thaw
	tree | diff "$BATS_TEST_TMPDIR/before" -
	inside pkill sleep
	get index.html >/dev/null
}

@test "an exec session that goes on" {
	httpd event
	answers
	cryopod exec -d w sh -c 'i=0; while :; do echo $i >/tmp/n; i=$((i + 1)); sleep 0.02; done'
	counts() { [ "$(inside cat /tmp/n)" -gt "$1" ]; }
	wait_for 10 counts 2
	for _ in $(seq "$CYCLES"); do
		cycle_w
		wait_for 10 counts $(($(inside cat /tmp/n) + 2))
	done
}
