# SPDX-License-Identifier: Apache-2.0
# container migrate between two "hosts": two roots in two network namespaces, with a command in the place of ssh.

load ../lib/helpers
setup_file() {
	engine_setup
	export THERE="$BATS_FILE_TMPDIR/there" NS="$BATS_FILE_TMPDIR/ns" SSH="$BATS_FILE_TMPDIR/ssh"
	export OTHER="$CRYOPOD_BIN --root $THERE/root --runroot $THERE/run"
	mkdir "$THERE"
	touch "$NS"
	unshare --net="$NS" ip link set lo up
	printf '#!/bin/sh\nshift\nexec nsenter --net=%s sh -c "$*"\n' "$NS" >"$SSH"
	chmod +x "$SSH"
}
teardown() {
	there rm -fa -t 0 >/dev/null
	engine_clear
}
teardown_file() {
	umount "$THERE"/run/netns/* 2>/dev/null || true
	umount "$NS"
	engine_teardown
}

there() { nsenter --net="$NS" $OTHER "$@"; }
migrate() { cryopod container migrate --ssh "$SSH" --remote-command "$OTHER" "$@" other; }
counter() {
	cryopod run -d --name "$1" $IMAGE sh -c 'i=0; while true; do echo $i; echo $i >/count; i=$(expr $i + 1); sleep 0.05; done' >/dev/null
	wait_for 10 at_least "$1" 3
}
at_least() { [ "$(cryopod logs --tail 1 "$1")" -ge "$2" ]; }
there_at_least() { [ "$(there logs --tail 1 "$1")" -ge "$2" ]; }
whole() { there logs "$1" | awk '$1 != NR - 1 {exit 1}'; }

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
	expect 0 there exec c cat /count
	[ "$output" -ge "$n" ]
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
	counter c
	run --separate-stderr migrate --pre-copy 3 --format json c
	[ "$status" -eq 0 ]
	[ "$(jq .rounds <<<"$output")" -eq 3 ]
	n=$(there logs --tail 1 c)
	wait_for 10 there_at_least c $((n + 3))
	whole c
}

@test "what fails there leaves it running here, and nothing there" {
	counter c
	expect 125 migrate --remote-command /nosuch/cryopod c
	has "the other side has closed the connection; c goes on running here"
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

@test "what was asked for wrongly" {
	refuses 125 '--pre-copy x: use auto or a number' cryopod container migrate --pre-copy x c other
	refuses 125 'accepts 2 arg(s), received 1' cryopod container migrate c
	refuses 125 'no container with name or ID "nosuch" found' migrate nosuch
	cryopod create --name c --network none $IMAGE true >/dev/null
	refuses 125 '"created" is not running' migrate c
}
