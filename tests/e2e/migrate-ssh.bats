# SPDX-License-Identifier: Apache-2.0
# container migrate over OpenSSH: a server of its own in the other host's network namespace, with keys made here.

load ../lib/helpers
load ../lib/migrate

# What ssh and sshd look at is ours, in this file's own mount namespace: root's keys and configuration, the accounts.
setup_file() {
	export S="$BATS_FILE_TMPDIR/ssh.d" FAULTS=$REPO/build/cryopod-faults FAR=10.77.0.2
	mkdir "$S" "$S/sudoers.d" /run/sshd
	mount -t tmpfs none /root
	mkdir -m 700 /root/.ssh
	for f in passwd group shadow; do cp -p "/etc/$f" "$S/$f"; done
	echo 'mover:x:12345:12345::/tmp:/bin/sh' >>"$S/passwd"
	echo 'mover:x:12345:' >>"$S/group"
	echo 'mover:*:19000:0:99999:7:::' >>"$S/shadow"
	for f in passwd group shadow; do mount --bind "$S/$f" "/etc/$f"; done
	mount --bind "$S/sudoers.d" /etc/sudoers.d
	chmod 755 "$S/sudoers.d"
	migrate_setup
	ip link add a0 type veth peer name b0
	ip link set b0 netns "$NS"
	ip addr add 10.77.0.1/24 dev a0
	ip link set a0 up
	nsenter --net="$NS" sh -c "ip addr add $FAR/24 dev b0; ip link set b0 up"
	ssh-keygen -q -t ed25519 -N '' -f "$S/host"
	ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
	# Where another user can read.
	export OPEN=/run/far
	mkdir -m 755 "$OPEN"
	cp /root/.ssh/id_ed25519.pub "$OPEN/keys"
	echo "$FAR $(cut -d' ' -f1,2 "$S/host.pub")" >/root/.ssh/known_hosts
	printf 'Host other\n\tHostName %s\n' "$FAR" >/root/.ssh/config
	cat >"$S/config" <<-END
	ListenAddress $FAR
	HostKey $S/host
	AuthorizedKeysFile $OPEN/keys
	PidFile $S/pid
	UsePAM no
	StrictModes no
	PasswordAuthentication no
	KbdInteractiveAuthentication no
	PermitRootLogin yes
	AllowUsers root mover
	END
	# cryopod is in nobody's PATH
	cp "$CRYOPOD_BIN" "$OPEN/program"
	printf '#!/bin/sh\nexec %s "$@"\n' "$OPEN/program $THERE_ARGS" >"$OPEN/cryopod"
	chmod 755 "$OPEN/cryopod"
	export THERE_CMD="$OPEN/cryopod"
	serve
}
teardown() { migrate_clear; }
teardown_file() {
	serve_no_more
	ip link del a0
	migrate_teardown
}

serve() {
	nsenter --net="$NS" /usr/sbin/sshd -f "$S/config" -E "$S/log" 3>&-
	wait_for 10 test -s "$S/pid"
}
serve_no_more() {
	kill "$(cat "$S/pid")"
	wait_for 10 test ! -e "$S/pid"
}

move() { cryopod container migrate --remote-command "$THERE_CMD" "$@"; }
stays() { # it runs on without a gap, and nothing of it is there
	n=$(cryopod logs --tail 1 c)
	wait_for 10 at_least c $((n + 2))
	whole_here c
	wait_for 10 nothing_there
}
moved() {
	expect 0 cryopod ps -aq
	is ""
	n=$(there logs --tail 1 c)
	wait_for 10 there_at_least c $((n + 2))
	whole c
}

@test "to HOST, a name of ssh's configuration, and to root@ADDRESS" {
	for host in other root@$FAR; do
		counter c
		expect 0 move --format json c "$host"
		jq -e --arg host "$host" '.host == $host and .container == "c" and .downtimeMicroseconds > 0 and .totalMicroseconds >= .downtimeMicroseconds' <<<"$output"
		moved
		there rm -ft 0 c >/dev/null
	done
}

@test "with a fixed number of rounds, kept here, under another name" {
	counter c
	expect 0 move --pre-copy 2 --keep --name away --format json c root@$FAR
	jq -e '.rounds == 2' <<<"$output"
	[ "$(cryopod inspect --format '{{.State.Status}} {{.State.Checkpointed}}' c)" = "exited true" ]
	n=$(there logs --tail 1 away)
	wait_for 10 there_at_least away $((n + 2))
	whole away
	expect 0 cryopod container restore c
	n=$(cryopod logs --tail 1 c)
	wait_for 10 at_least c $((n + 2))
}

@test "another user than root is refused by name, and can use sudo" {
	counter c
	refuses 125 'there: only root can take a container: log in as root, or use --remote-command "sudo cryopod"; c goes on running here' move c mover@$FAR
	stays
	expect 125 move --remote-command "sudo -n $THERE_CMD" c mover@$FAR
	has "sudo: a password is required" "c goes on running here"
	stays
	echo "mover ALL=(root) NOPASSWD: $THERE_CMD" >"$S/sudoers.d/mover"
	chmod 440 "$S/sudoers.d/mover"
	expect 0 move --remote-command "sudo -n $THERE_CMD" c mover@$FAR
	moved
}

@test "what ssh fails at" {
	counter c
	refuses 125 'ssh could not reach 10.77.0.3, or has lost it; c goes on running here' move --ssh "ssh -o ConnectTimeout=2" c 10.77.0.3
	refuses 125 'ssh could not reach nobody@10.77.0.2, or has lost it; c goes on running here' move c nobody@$FAR
	has "Permission denied (publickey)"
	refuses 125 'ssh could not reach 10.77.0.2, or has lost it; c goes on running here' move --ssh "ssh -o UserKnownHostsFile=/dev/null -o BatchMode=yes" c $FAR
	has "Host key verification failed"
	refuses 125 '/no/cryopod could not be started on other: is it installed, and in PATH there?' move --remote-command /no/cryopod c other
	refuses 125 'the other side talks another protocol' move --remote-command "echo hello, this is another program;" c other
	refuses 125 'nossh is not installed or not in PATH; c goes on running here' move --ssh nossh c other
	serve_no_more
	refuses 125 'ssh could not reach other, or has lost it; c goes on running here' move c other
	has "Connection refused"
	serve
	stays
}

# The session that is served, not the server, ends without a word.
cut_off() {
	# shellcheck disable=SC2016
	echo 'for p in $(cat /proc/'"$(cat "$S/pid")"'/task/*/children); do kill -9 $p; done'
}
cut_here() { CRYO_FAULT=$1:run CRYO_FAULT_RUN=$(cut_off) CRYOPOD_BIN=$FAULTS move --pre-copy 1 c other; }
cut_there() {
	printf '#!/bin/sh\nexport CRYO_FAULT=%s:run CRYO_FAULT_RUN='\''%s'\''\nexec %s %s "$@"\n' "$1" "$(cut_off)" "$FAULTS" "$THERE_ARGS" >"$S/cut"
	chmod 755 "$S/cut"
	move --pre-copy 1 --remote-command "$S/cut" c other
}

@test "the connection is cut before the other side may run it: it goes on here, and there is nothing there" {
	counter c
	for p in migrate:round dump:tree migrate:images; do
		refuses 125 "ssh could not reach other, or has lost it; c goes on running here" cut_here "$p"
		stays
	done
	for p in arrival:announced arrival:box arrival:round arrival:rest restore:end; do
		refuses 125 "ssh could not reach other, or has lost it; c goes on running here" cut_there "$p"
		stays
	done
}

# A network that loses everything without a word, until it is whole again.
lost() { printf 'nsenter --net=%s iptables -w -%s INPUT -i b0 -j DROP' "$NS" "$1"; }

@test "the network is gone while the container is frozen: after 20 seconds it goes on here" {
	counter c
	CRYO_FAULT=migrate:images:run CRYO_FAULT_RUN=$(lost I) CRYOPOD_BIN=$FAULTS refuses 125 \
		'the other side does not answer; c goes on running here' move --pre-copy 1 c other
	$(lost D)
	n=$(cryopod logs --tail 1 c)
	wait_for 10 at_least c $((n + 2))
	whole_here c
	# There one side of the connection is left, and ends when it hears that nobody is here any more.
	eval "$(cut_off)"
	wait_for 30 nothing_there
	expect 0 move c other
	moved
}

@test "the connection is cut in the moment of the go: it runs in one place, and never in two" {
	counter c
	# It has not arrived.
	refuses 125 'c is paused here, and it is not known whether it runs on other' cut_here migrate:go
	[ "$(cryopod inspect --format '{{.State.Status}}' c)" = paused ]
	wait_for 10 nothing_there
	expect 0 cryopod unpause c
	stays
	# It has, and nobody hears the answer.
	refuses 125 'c is paused here, and it is not known whether it runs on other' cut_there arrival:go
	[ "$(cryopod inspect --format '{{.State.Status}}' c)" = paused ]
	n=$(there logs --tail 1 c)
	wait_for 10 there_at_least c $((n + 2))
	whole c
	expect 0 cryopod rm -ft 0 c
	moved
}

@test "the connection is cut when it runs there: it has moved" {
	counter c
	expect 0 cut_here migrate:running
	moved
}

# On a terminal all of its programs get what Ctrl-C sends: ssh, too.
typed_at() {
	CRYOPOD_BIN=$FAULTS CRYO_FAULT=$1:run CRYO_FAULT_RUN='echo "now at the step"; exec sleep 60' run "$REPO/tests/lib/pty" -e "now at the step" -s '\x03' -- \
		"$CP" container migrate --pre-copy 1 --remote-command "$THERE_CMD" c other
	echo "$1: $status $output"
}

@test "Ctrl-C on a terminal: it goes on here until the other side may run it, and has moved afterwards" {
	counter c
	for p in migrate:round dump:tree migrate:images migrate:hold; do
		typed_at "$p"
		[ "$status" -eq 125 ]
		has "Error: interrupted; c goes on running here"
		stays
	done
	typed_at migrate:go
	[ "$status" -eq 0 ]
	moved
}

@test "Ctrl-C while nobody answers yet" {
	counter c
	printf '#!/bin/sh\necho connecting >&2\nexec sleep 60\n' >"$S/slow"
	chmod 755 "$S/slow"
	run "$REPO/tests/lib/pty" -e connecting -s '\x03' -- "$CP" container migrate --ssh "$S/slow" c other
	echo "$output"
	[ "$status" -eq 125 ]
	has "Error: interrupted; c goes on running here"
	stays
}

@test "a connection that is kept: the client goes on with the container, whose address has moved" {
	moving_begin
	moving_turn
	expect 0 move --tcp-established t other
	moving_end
}
