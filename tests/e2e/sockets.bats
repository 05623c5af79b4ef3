# SPDX-License-Identifier: Apache-2.0
# Servers in containers: they listen again after a restore; connections go on if asked for.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() {
	rm -f "$BATS_TEST_TMPDIR/hold"
	engine_clear
}
teardown_file() { engine_teardown; }

ip_of() { cryopod inspect --format '{{.NetworkSettings.IPAddress}}' "$1"; }
serves() { curl -sf -m 30 "http://$(ip_of "$1")/passwd" | grep -q ^joe:; }

RUNTIME=()
# An echo server and a connection to it as descriptor 9.
talk_to() {
	cryopod "${RUNTIME[@]}" run -d --name "$1" $IMAGE nc -ll -p 7000 -e cat >/dev/null
	wait_for 5 cryopod exec "$1" grep -q ":1B58 " /proc/net/tcp /proc/net/tcp6
	exec 9<>"/dev/tcp/$(ip_of "$1")/7000"
	says one
}
says() {
	local line
	echo "$1" >&9
	read -r -t 40 line <&9
	[ "$line" = "$1" ]
}

@test "a web server serves again after a restore, also with a published port" {
	cryopod run -d --name web -p 18080:80 $IMAGE httpd -f -p 80 -h /etc >/dev/null
	wait_for 5 serves web
	for _ in 1 2; do
		expect 0 cryopod container checkpoint web
		expect 0 cryopod container restore web
		serves web
		curl -sf -m 30 http://127.0.0.1:18080/passwd | grep -q ^joe:
	done
}

@test "a connection is refused by name, goes on undisturbed, and is kept when asked for" {
	talk_to echo
	expect 125 cryopod container checkpoint echo
	has "$(ip_of echo):7000" '--tcp-established'
	says two
	expect 0 cryopod container checkpoint --tcp-established --leave-running echo
	says three
	expect 0 cryopod container checkpoint --tcp-established echo
	echo meanwhile >&9
	expect 125 cryopod container restore echo
	has '--tcp-established' '--tcp-close'
	expect 0 cryopod container restore --tcp-established echo
	read -r -t 40 line <&9
	[ "$line" = meanwhile ]
	says four
	exec 9>&-
}

@test "--tcp-close restores without the connections" {
	talk_to echo
	expect 0 cryopod container checkpoint --tcp-established echo
	expect 0 cryopod container restore --tcp-close echo
	exec 9>&-
	exec 9<>"/dev/tcp/$(ip_of echo)/7000"
	says again
	exec 9>&-
}

# A server that holds a connection for ever, and a client that has gone.
half_gone() {
	cryopod run -d --name "$1" $IMAGE nc -ll -p 7000 -e sleep 1000 >/dev/null
	wait_for 5 cryopod exec "$1" grep -q ":1B58 " /proc/net/tcp /proc/net/tcp6
	exec 8<>"/dev/tcp/$(ip_of "$1")/7000"
	exec 8>&-
	wait_for 5 in_state "$1" 08
}
in_state() { cryopod exec "$1" cat /proc/net/tcp /proc/net/tcp6 | grep -q ":1B58 [0-9A-F:]* $2 "; }

@test "a connection whose client has gone is refused, kept or closed" {
	half_gone gone
	expect 125 cryopod container checkpoint gone
	has CLOSE-WAIT "$(ip_of gone):7000" '--tcp-established'
	in_state gone 08
	for _ in 1 2; do
		expect 0 cryopod container checkpoint --tcp-established gone
		expect 0 cryopod container restore --tcp-established gone
		in_state gone 08
	done
	expect 0 cryopod container checkpoint --tcp-established gone
	expect 0 cryopod container restore --tcp-close gone
	run in_state gone 08
	[ "$status" -ne 0 ]
	exec 8<>"/dev/tcp/$(ip_of gone)/7000"
	exec 8>&-
}

@test "a container that starts afresh answers the peers of its checkpoint by a reset" {
	talk_to fresh
	expect 0 cryopod container checkpoint --tcp-established fresh
	expect 0 cryopod start fresh
	echo anybody >&9
	run read -r -t 60 <&9
	[ "$status" -eq 1 ] # a reset; more than 128 when nobody says anything
	exec 9>&-
}

# What was sent by the peer is still on its way, and nobody has answered.
waits() { ss -tnH state established dport = :7000 | awk '$2 > 0 {n++} END {exit !n}'; }

@test "peers wait for a restore, also in a new namespace that has no sockets yet" {
	local hold=$BATS_TEST_TMPDIR/hold runtime=$BATS_TEST_TMPDIR/runtime restore
	# A runtime that makes no container as long as there is this file: the network is up by then.
	cat >"$runtime" <<-END
	#!/bin/sh
	case "\$*" in *create*) while [ -e "$hold" ]; do sleep 0.02; touch "$hold.met"; done ;; esac
	exec $(cryopod info --format '{{.Host.OCIRuntime.Path}}') "\$@"
	END
	chmod +x "$runtime"
	RUNTIME=(--runtime "$runtime")
	talk_to later
	expect 0 cryopod container checkpoint --tcp-established later
	# Somebody who connects waits, too, and is not refused.
	curl -s -m 2 "telnet://$(ip_of later):7000" </dev/null && status=0 || status=$?
	[ "$status" -eq 28 ]
	umount -l "$CP_RUN"/netns/*
	rm -rf "$CP_RUN"
	touch "$hold"
	cryopod container restore --tcp-established later >/dev/null &
	restore=$!
	wait_for 10 test -e "$hold.met"
	echo meanwhile >&9
	run ! timeout 1 cat <&9
	waits
	rm "$hold"
	wait $restore
	read -r -t 40 line <&9
	[ "$line" = meanwhile ]
	says again
	exec 9>&-
}

@test "ports are open after a fresh start, whatever has become of the checkpoint" {
	cryopod run -d --name web $IMAGE httpd -f -p 80 -h /etc >/dev/null
	wait_for 5 serves web
	expect 0 cryopod container checkpoint --tcp-established --export "$BATS_TEST_TMPDIR/web.tar" web
	rm "$BATS_TEST_TMPDIR/web.tar"
	expect 0 cryopod start web
	wait_for 5 serves web
	expect 0 cryopod checkpoint create --leave-running web base
	expect 0 cryopod container checkpoint --tcp-established web
	expect 0 cryopod container restore --checkpoint base web
	wait_for 5 serves web
}

@test "a peer that dies meanwhile is seen to have died" {
	cryopod run -d --name dies $IMAGE nc -ll -p 7000 -e sh -c 'cat; echo over >/tmp/over' >/dev/null
	wait_for 5 cryopod exec dies grep -q ":1B58 " /proc/net/tcp /proc/net/tcp6
	exec 9<>"/dev/tcp/$(ip_of dies)/7000"
	says one
	expect 0 cryopod container checkpoint --tcp-established dies
	exec 9>&-
	expect 0 cryopod container restore --tcp-established dies
	wait_for 10 cryopod exec dies test -e /tmp/over
}

# A server that accepts for the first time after SECONDS, and a connection to it as descriptor 7.
unaccepted() {
	cryopod run -d --name "$1" -v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro $IMAGE /usr/bin/python3 -c "
import os, socket, time
s = socket.create_server(('', 7000))
while not os.path.exists('/tmp/begin'): time.sleep(0.01)
time.sleep($2)
c = [s.accept()[0] for i in range(2)]
while True: c[-1].sendall(c[-1].recv(100))" >/dev/null
	wait_for 10 cryopod exec "$1" grep -q ":1B58 " /proc/net/tcp
	exec 7<>"/dev/tcp/$(ip_of "$1")/7000"
}

@test "connections that wait to be accepted go on, are refused by name, or are dropped" {
	unaccepted soon 0
	exec 9<>"/dev/tcp/$(ip_of soon)/7000"
	expect 0 cryopod container checkpoint --tcp-established --leave-running soon
	expect 0 cryopod container checkpoint --tcp-established soon
	expect 125 cryopod container restore soon
	has '--tcp-established' '--tcp-close'
	umount -l "$CP_RUN"/netns/* # as after a reboot
	rm -rf "$CP_RUN"
	expect 0 cryopod container restore --tcp-established soon
	cryopod exec soon touch /tmp/begin
	says accepted
	unaccepted never 1000
	expect 125 cryopod container checkpoint never
	has 'wait' "$(ip_of never):7000" '--tcp-established' '--skip-in-flight'
	state_is never running
	expect 0 cryopod container checkpoint --tcp-established --skip-in-flight never
	expect 0 cryopod container restore --tcp-established never
	run read -r -t 60 <&7
	[ "$status" -eq 1 ]
	exec 7>&- 9>&-
}
