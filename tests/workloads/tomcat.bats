# SPDX-License-Identifier: Apache-2.0
# Tomcat: a counter that lives in memory, and one per session, go on from where they were.

load ../lib/workload
setup_file() {
	workload_setup
	mkdir -p "$BATS_FILE_TMPDIR/app"
	cat >"$BATS_FILE_TMPDIR/app/count.jsp" <<-'END'
	<%@ page session="false" %><%! static final java.util.concurrent.atomic.AtomicInteger n = new java.util.concurrent.atomic.AtomicInteger(); %><%= n.incrementAndGet() %>
	END
	cat >"$BATS_FILE_TMPDIR/app/session.jsp" <<-'END'
	<%@ page session="true" %><% Integer n = (Integer) session.getAttribute("n"); n = n == null ? 1 : n + 1; session.setAttribute("n", n); %><%= n %>
	END
	# Answers when it is told to: the client has said long ago that it has nothing more to say.
	cat >"$BATS_FILE_TMPDIR/app/slow.jsp" <<-'END'
	<%@ page session="false" %><% while (!new java.io.File("/tmp/go").exists()) Thread.sleep(20); %>slow
	END
	echo ok >"$BATS_FILE_TMPDIR/app/ready.txt"
}
teardown() { workload_clear; }
teardown_file() { workload_teardown; }

OPTIONS=()
start() {
	ctr --tmpfs /tmp "${OPTIONS[@]}" -e CATALINA_HOME=/usr/share/tomcat10 -e CATALINA_BASE=/var/lib/tomcat10 \
		-v "$BATS_FILE_TMPDIR/app:/var/lib/tomcat10/webapps/ROOT" -- /usr/share/tomcat10/bin/catalina.sh run
}
page() { curl -sf -m 20 "${@:2}" "http://$(ip_of w):8080/$1" | tr -d '[:space:]'; }
ready() { [ "$(curl -sf -m 1 "http://$(ip_of w):8080/ready.txt")" = ok ]; }
counts() {
	local n
	for n; do [ "$(page count.jsp)" = "$n" ] || return 1; done
}
jar() { echo -b "$BATS_TEST_TMPDIR/jar" -c "$BATS_TEST_TMPDIR/jar"; }

# 1 2 | 3 4 5, and from the same checkpoint 3 4 5 again; more often on a machine that has much else to do.
one_to_five() {
	begin
	counts 1 2
	# shellcheck disable=SC2046
	[ "$(page session.jsp $(jar))" = 1 ] && [ "$(page session.jsp $(jar))" = 2 ]
	freeze --keep
	BEST=$COLD
	for again in 1 2 3 4 5 6; do
		[ "$again" -le 2 ] || [ $((BEST * 3)) -gt "$COLD" ] || break
		thaw --keep
		[ "$THAWED" -ge "$BEST" ] || BEST=$THAWED
		counts 3 4 5
		cp "$BATS_TEST_TMPDIR/jar" "$BATS_TEST_TMPDIR/jar.$again"
		# shellcheck disable=SC2046
		[ "$(page session.jsp $(jar))" = 3 ]
		cryopod kill w >/dev/null && cryopod wait w >/dev/null
	done
	note "cold start $COLD ms; checkpoint $FROZE ms; restore to the first answer $BEST ms, 1/$((COLD / BEST))"
	[ $((BEST * 3)) -le "$COLD" ] # a tenth, on a machine that does nothing else
}

fill() { :; }
verify() { :; }

@test "1 2, checkpoint, 3 4 5 and 3 4 5 again" { one_to_five; }

@test "the same without seccomp" {
	OPTIONS=(--security-opt seccomp=unconfined)
	one_to_five
}

@test "connections that clients have half closed" {
	CHECKPOINT=(--tcp-established) RESTORE=(--tcp-established)
	begin
	counts 1
	python3 - "$(ip_of w)" >"$BATS_TEST_TMPDIR/slow" 3>&- <<-'END' &
	import socket, sys
	s = socket.create_connection((sys.argv[1], 8080))
	s.sendall(b"GET /slow.jsp HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	s.shutdown(socket.SHUT_WR)
	print(s.makefile().read())
	END
	client=$!
	wait_for 10 eval 'nsenter -t "$(pid_of w)" -n ss -tn state close-wait | grep -q :8080'
	cycle_w
	counts 2
	inside touch /tmp/go
	wait $client
	grep -q '^slow' "$BATS_TEST_TMPDIR/slow"
}

# What every cycle asks for: as many as before, and one more.
@test "every cycle" {
	fill() { counts 1 && N=1; }
	mark() { M=$N; }
	verify() { N=$((M + 1)) && counts $N; }
	every_cycle
}
