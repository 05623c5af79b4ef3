# SPDX-License-Identifier: Apache-2.0
# container migrate between two "hosts": two roots in two network namespaces, with a command in the place of ssh.

load ../lib/helpers
load ../lib/migrate
setup_file() { migrate_setup; }
teardown() { migrate_clear; }
teardown_file() { migrate_teardown; }

@test "a container moves: image, log, files and memory; it goes on there and is gone here" {
	there rmi -a >/dev/null 2>&1 || true
	counter c
	id=$(cryopod inspect --format '{{.Id}}' c)
	ip=$(cryopod inspect --format '{{.NetworkSettings.MacAddress}}' c)
	run --separate-stderr migrate --format json c
	echo "$output $stderr"
	[ "$status" -eq 0 ]
	[ "$(jq -r '.id' <<<"$output")" = "$id" ]
	[ "$(jq -r '.imageBytes > 1000000 and .rounds >= 1 and .downtimeMicroseconds > 0' <<<"$output")" = true ]
	expect 0 cryopod ps -aq
	is ""
	n=$(there logs --tail 1 c)
	wait_for 10 there_at_least c $((n + 3))
	whole c
	wait_for 10 count_is_at_least c "$n"
	[ "$(there inspect --format '{{.NetworkSettings.MacAddress}}' c)" = "$ip" ]
	expect 0 there images -q
	[ -n "$output" ]
}

@test "without pre-copy, under another name, kept here: both can go on" {
	counter c
	expect 0 migrate --pre-copy 0 --keep --name moved c
	[ "$(cryopod inspect --format '{{.State.Status}} {{.State.Checkpointed}}' c)" = "exited true" ]
	n=$(there logs --tail 1 moved)
	wait_for 10 there_at_least moved $((n + 2))
	whole moved
	expect 0 cryopod container restore c
	n=$(cryopod logs --tail 1 c)
	wait_for 10 at_least c $((n + 2))
}

@test "three rounds of pre-copy" {
	# memory that does not change, beside what does: how much that is depends on who has just been forked
	counter c 'awk "BEGIN {x = sprintf(\"%4000000s\", \"\"); system(\"touch /held; exec sleep 1000\"); print x}" &'
	wait_for 10 cryopod exec c test -e /held
	run --separate-stderr migrate --pre-copy 3 --format json c
	[ "$status" -eq 0 ]
	[ "$(jq '.rounds, (.round | length)' <<<"$output")" = $'3\n3' ]
	# The first has all, the others what is new; the downtime is the sum of its parts.
	jq -e '.round[0].bytes > .round[2].bytes and .round[2].dirtyBytesPerSecond > 0 and .round[2].expectedDowntimeMicroseconds > 0' <<<"$output"
	jq -e '(.downtimeMicroseconds - .dumpMicroseconds - .thawMicroseconds - .agreementMicroseconds) | . > -1000 and . < 1000' <<<"$output"
	jq -e '.memoryBytes >= ([.round[].bytes] | add) and .totalMicroseconds > .downtimeMicroseconds' <<<"$output"
	n=$(there logs --tail 1 c)
	wait_for 10 there_at_least c $((n + 3))
	whole c
}

# turns CTR: the least that one of its processes has done; -1: one was wrong.
turns() { $1 logs "$2" | awk '/WRONG/ {bad = 1} {n[$1] = $2} END {m = 1e9; for (i in n) if (n[i] < m) m = n[i]; print bad ? -1 : m}'; }
turned() { [ "$(turns "$1" "$2")" -ge "$3" ]; }

@test "memory that changes in every way while it moves" {
	cc -O2 -static -o "$BATS_TEST_TMPDIR/churn" "$REPO/tests/lib/churn.c"
	for children in 0 3; do
		cryopod create --name m --network none $IMAGE /churn $children >/dev/null
		root=$(cryopod mount m)
		cp "$BATS_TEST_TMPDIR/churn" "$root/churn"
		cryopod umount m >/dev/null
		cryopod start m >/dev/null
		wait_for 30 turned cryopod m 8
		run --separate-stderr migrate --pre-copy 4 --format json m
		echo "$output $stderr"
		[ "$status" -eq 0 ]
		n=$(turns there m)
		[ "$n" -ge 8 ]
		wait_for 30 turned there m $((n + 16))
		# What waited for it is one mapping again, where it was.
		pid=$(there inspect --format '{{.State.Pid}}' m)
		there pause m >/dev/null # a heap that shrinks at the moment can be seen in two parts
		cat "/proc/$pid/maps"
		[ "$(awk '$NF == "[heap]"' "/proc/$pid/maps" | wc -l)" = 1 ]
		[ -z "$(awk '/^3[0-9a-f]{11}-/' "/proc/$pid/maps")" ]
		there unpause m >/dev/null
		there rm -ft 0 m >/dev/null
	done
}

@test "files that change on the way: new, other, gone, links, attributes, on the root and on volumes" {
	cryopod volume create kept >/dev/null
	cryopod run -d --name f --network none -v kept:/kept -v /own $IMAGE sh -c '
		mkdir -p /old/sub /kept/old; echo 1 >/old/sub/a; echo 1 >/old/same; ln /old/same /old/link; echo 1 >/kept/old/a; rm /etc/group
		echo ready
		while [ ! -e /go ]; do sleep 0.02; done
		rm -r /old/sub /kept/old /go; echo 2 >/old/sub; echo 2 >>/old/same; chmod 4711 /old/same; ln -s /etc/passwd /old/lnk
		mkdir -p /new/deep; echo 2 >/new/deep/f; chown 7:8 /new; mkfifo /new/fifo; rm /etc/passwd; rm /home/joe -r
		mkdir /home/joe; echo 2 >/home/joe/new; echo 2 >/kept/b; mkdir /own/d; echo 2 >/own/d/c
		truncate -s 1M /new/sparse; echo changed
		while sleep 0.1; do :; done' >/dev/null
	wait_for 10 eval 'cryopod logs f | grep -q ready'
	# Between the first copy and the last part: ssh waits with the rounds until the files have changed.
	cat >"$BATS_TEST_TMPDIR/ssh" <<-END
	#!/usr/bin/python3
	import os, subprocess, sys, time
	p = subprocess.Popen(["nsenter", "--net=$NS", "sh", "-c", sys.argv[2]], stdin=subprocess.PIPE)
	begun = False
	while True:
	    data = os.read(0, 65536)
	    if not data:
	        break
	    if not begun and b'"next":"round"' in data:
	        begun = True
	        open("$BATS_TEST_TMPDIR/begun", "w").close()
	        while not os.path.exists("$BATS_TEST_TMPDIR/changed"):
	            time.sleep(0.01)
	    p.stdin.write(data)
	    p.stdin.flush()
	p.stdin.close()
	p.wait()
	END
	chmod +x "$BATS_TEST_TMPDIR/ssh"
	cryopod container migrate --pre-copy 2 --ssh "$BATS_TEST_TMPDIR/ssh" --remote-command "$OTHER" f other &
	wait_for 10 test -e "$BATS_TEST_TMPDIR/begun"
	touch "/proc/$(cryopod inspect --format '{{.State.Pid}}' f)/root/go"
	wait_for 10 eval 'cryopod logs f | grep -q changed'
	touch "$BATS_TEST_TMPDIR/changed"
	wait $!
	expect 0 there exec f sh -c 'cd /; find old new kept own home etc | sort; cat old/sub old/same old/link new/deep/f home/joe/new kept/b own/d/c; stat -c "%a %h %u %g %F %s" old/same new/fifo new/sparse; stat -c "%a %u %g" new; readlink old/lnk; test ! -e go'
	is "$(cat <<-END
	etc
	etc/hostname
	etc/hosts
	etc/resolv.conf
	home
	home/joe
	home/joe/new
	kept
	kept/b
	new
	new/deep
	new/deep/f
	new/fifo
	new/sparse
	old
	old/link
	old/lnk
	old/same
	old/sub
	own
	own/d
	own/d/c
	2
	1
	2
	1
	2
	2
	2
	2
	2
	4711 2 0 0 regular file 4
	644 1 0 0 fifo 0
	644 1 0 0 regular file 1048576
	755 7 8
	/etc/passwd
	END
	)"
}

@test "what fails there leaves it running here, and nothing there" {
	counter c
	expect 125 migrate --remote-command /nosuch/cryopod c
	has "/nosuch/cryopod could not be started on other" "; c goes on running here"
	there create --name c --network none "$(cryopod save -q busybox | there load -q | sed 's/Loaded image: //')" true >/dev/null
	refuses 125 'there: the name c is in use: choose another with --name; c goes on running here' migrate c
	there rm c >/dev/null
	# The runtime over there fails when it is to make the box.
	mkdir -p "$BATS_TEST_TMPDIR/bin"
	printf '#!/bin/sh\nexit 1\n' >"$BATS_TEST_TMPDIR/bin/runc"
	chmod +x "$BATS_TEST_TMPDIR/bin/runc"
	expect 125 migrate --remote-command "env PATH=$BATS_TEST_TMPDIR/bin:$PATH $OTHER" c
	has "c goes on running here"
	expect 0 there ps -aq
	is ""
	n=$(cryopod logs --tail 1 c)
	wait_for 10 at_least c $((n + 3))
	expect 0 bash -c "ls $(cryopod inspect --format '{{.StaticDir}}' c)"
	[[ "$output" != *checkpoint* ]]
}

@test "the connection breaks while it is frozen" {
	counter c
	# Only the first 2.25 MB arrive: most of the image, or some of what comes then.
	cat >"$BATS_TEST_TMPDIR/ssh" <<-END
	#!/usr/bin/python3
	import os, subprocess, sys
	p = subprocess.Popen(["nsenter", "--net=$NS", "sh", "-c", sys.argv[2]], stdin=subprocess.PIPE)
	left = int(os.environ["LIMIT"])
	while left > 0:
	    data = os.read(0, min(left, 65536))
	    if not data:
	        break
	    left -= len(data)
	    p.stdin.write(data)
	    p.stdin.flush()
	os.close(0)
	p.stdin.close()
	p.wait()
	END
	chmod +x "$BATS_TEST_TMPDIR/ssh"
	there rmi -a >/dev/null 2>&1 || true
	# In the greeting, the image, the rounds, the rest.
	for limit in 100 1000000 2200000 2330000; do
		expect 125 env LIMIT=$limit "$CP" container migrate --pre-copy 1 --ssh "$BATS_TEST_TMPDIR/ssh" --remote-command "$OTHER" c other
		has "c goes on running here"
		expect 0 there ps -aq
		is ""
		there rmi -a >/dev/null 2>&1 || true
		n=$(cryopod logs --tail 1 c)
		wait_for 10 at_least c $((n + 3))
	done
	cryopod logs c | awk '$1 != NR - 1 {exit 1}'
}

@test "another image than the one that was named; a disk there that is full; Ctrl-C" {
	counter c
	there rmi -a >/dev/null 2>&1 || true
	cat >"$BATS_TEST_TMPDIR/ssh" <<-END
	#!/usr/bin/python3
	import re, subprocess, sys, os
	p = subprocess.Popen(["nsenter", "--net=$NS", "sh", "-c", sys.argv[2]], stdin=subprocess.PIPE)
	data = os.read(0, 65536)
	while data:
	    p.stdin.write(re.sub(b'sha256:........', b'sha256:00000000', data) if b"imageDigest" in data else data)
	    p.stdin.flush()
	    data = os.read(0, 65536)
	p.stdin.close()
	p.wait()
	END
	chmod +x "$BATS_TEST_TMPDIR/ssh"
	expect 125 cryopod container migrate --ssh "$BATS_TEST_TMPDIR/ssh" --remote-command "$OTHER" c other
	has "there: "
	has "c goes on running here"
	nothing_there
	expect 0 there images -q
	is ""
	mkdir "$BATS_TEST_TMPDIR/small" "$BATS_TEST_TMPDIR/run"
	mount -t tmpfs -o size=3m none "$BATS_TEST_TMPDIR/small"
	expect 125 migrate --remote-command "$CRYOPOD_BIN --root $BATS_TEST_TMPDIR/small --runroot $BATS_TEST_TMPDIR/run" c
	umount "$BATS_TEST_TMPDIR/small"
	has "there: "
	has "free on the disk"
	has "c goes on running here"
	# It is interrupted when the other side has been told of the last part.
	cat >"$BATS_TEST_TMPDIR/ssh" <<-END
	#!/usr/bin/python3
	import subprocess, sys, os, signal
	signal.signal(signal.SIGINT, signal.SIG_IGN)
	p = subprocess.Popen(["nsenter", "--net=$NS", "sh", "-c", sys.argv[2]], stdin=subprocess.PIPE)
	data = os.read(0, 65536)
	while data:
	    if b'"next":"rest"' in data:
	        os.kill(os.getppid(), signal.SIGINT)
	        break
	    p.stdin.write(data)
	    p.stdin.flush()
	    data = os.read(0, 65536)
	os.set_blocking(0, True)
	while data:
	    data = os.read(0, 65536)
	p.stdin.close()
	p.wait()
	END
	expect 125 cryopod container migrate --ssh "$BATS_TEST_TMPDIR/ssh" --remote-command "$OTHER" c other
	has "interrupted; c goes on running here"
	wait_for 10 nothing_there
	n=$(cryopod logs --tail 1 c)
	wait_for 10 at_least c $((n + 3))
	whole_here c
}

@test "an established connection goes on at the other host, which has the same address" {
	moving_begin
	refuses 125 '--tcp-established' migrate t
	moving_turn
	expect 0 migrate --tcp-established t
	moving_end
}

@test "what was asked for wrongly" {
	refuses 125 '--pre-copy x: use auto or a number' cryopod container migrate --pre-copy x c other
	refuses 125 'accepts 2 arg(s), received 1' cryopod container migrate c
	refuses 125 'no container with name or ID "nosuch" found' migrate nosuch
	cryopod create --name c --network none $IMAGE true >/dev/null
	refuses 125 '"created" is not running' migrate c
}
