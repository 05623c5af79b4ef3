# SPDX-License-Identifier: Apache-2.0
# Two "hosts": two roots in two network namespaces, with a command in the place of ssh.

migrate_setup() {
	engine_setup
	export THERE="$BATS_FILE_TMPDIR/there" NS="$BATS_FILE_TMPDIR/ns" SSH="$BATS_FILE_TMPDIR/ssh"
	export THERE_ARGS="--root $THERE/root --runroot $THERE/run"
	export OTHER="$CRYOPOD_BIN $THERE_ARGS"
	mkdir "$THERE"
	touch "$NS"
	unshare --net="$NS" ip link set lo up
	printf '#!/bin/sh\nshift\nexec nsenter --net=%s sh -c "$*"\n' "$NS" >"$SSH"
	chmod +x "$SSH"
}

migrate_clear() {
	there rm -fa -t 0 >/dev/null
	there volume rm -fa >/dev/null
	engine_clear
	cryopod volume rm -fa >/dev/null
}

migrate_teardown() {
	umount "$THERE"/run/netns/* 2>/dev/null || true
	umount "$NS"
	engine_teardown
}

there() { nsenter --net="$NS" $OTHER "$@"; }
migrate() { cryopod container migrate --ssh "$SSH" --remote-command "$OTHER" "$@" other; }

# counter NAME [COMMAND]: prints 0, 1, 2 ... and has the last one in /count; COMMAND comes before.
counter() {
	cryopod run -d --name "$1" $IMAGE sh -c "${2-}"'
		i=0; while true; do echo $i; echo $i >/count; i=$(expr $i + 1); sleep 0.05; done' >/dev/null
	wait_for 10 at_least "$1" 3
}
at_least() { [ "$(cryopod logs --tail 1 "$1")" -ge "$2" ]; }
there_at_least() { [ "$(there logs --tail 1 "$1")" -ge "$2" ]; }
# count_is_at_least CTR N: /count, which is empty for a moment when it is written.
count_is_at_least() { [ "$(there exec "$1" cat /count)" -ge "$2" ]; }
# Nothing was lost or printed twice.
whole() { there logs "$1" | awk '$1 != NR - 1 {exit 1}'; }
whole_here() { cryopod logs "$1" | awk '$1 != NR - 1 {exit 1}'; }
nothing_there() { [ -z "$(there ps -aq)$(ls "$THERE/root/arrivals" 2>/dev/null)$(there volume ls -q)" ]; }

# A container whose address moves: t echoes at 10.99.0.2:7000 and runs where the link "net" leads, ns1 or ns2, which
# both have that address on a port of one bridge.
#
#	moving_begin		connected, by descriptor 7
#	moving_turn		what is made from now on is in ns2
#	migrate --tcp-established t
#	moving_end		packets go there, and are answered; all is taken away
moving_begin() {
	local n
	ip link add br0 type bridge
	ip addr add 10.99.0.1/24 dev br0
	ip link set br0 up
	for n in 1 2; do
		touch "$BATS_TEST_TMPDIR/ns$n"
		unshare --net="$BATS_TEST_TMPDIR/ns$n" ip link set lo up
		nsenter --net="$BATS_TEST_TMPDIR/ns$n" ip link add eth0 type veth peer name "v$n" netns $$
		ip link set "v$n" master br0
		nsenter --net="$BATS_TEST_TMPDIR/ns$n" sh -c 'ip link set eth0 address 02:00:00:00:00:02; ip addr add 10.99.0.2/24 dev eth0; ip link set eth0 up'
	done
	ip link set v1 up
	ln -s ns1 "$BATS_TEST_TMPDIR/net"
	cryopod run -d --name t --network "ns:$BATS_TEST_TMPDIR/net" $IMAGE nc -ll -p 7000 -e cat >/dev/null
	wait_for 10 nsenter --net="$BATS_TEST_TMPDIR/ns1" sh -c 'ss -Hltn | grep -q :7000'
	exec 7<>/dev/tcp/10.99.0.2/7000
	moving_echo one
}
moving_echo() {
	local line
	echo "$1" >&7
	read -r -t 60 line <&7
	[ "$line" = "$1" ]
}
moving_turn() { ln -sfn ns2 "$BATS_TEST_TMPDIR/net"; }
moving_end() {
	ip link set v1 down
	ip link set v2 up
	moving_echo two
	exec 7>&-
	there rm -fat 0 >/dev/null
	umount "$BATS_TEST_TMPDIR/ns1" "$BATS_TEST_TMPDIR/ns2"
	ip link del br0
	ip link del v1 2>/dev/null || true
	ip link del v2 2>/dev/null || true
}
