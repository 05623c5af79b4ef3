#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cryo: CRIU's RPC, stages and their scripts, runc.
load ../lib/cryo

# rpc ACTION [PID]: a request through the client that comes with crit.
rpc() {
	/usr/bin/python3 - "$CRYO" "$IMG" "$@" <<-'END'
	import os, sys, pycriu
	cryo, images, action = sys.argv[1:4]
	c = pycriu.criu()
	c.use_binary(cryo)
	c.opts.images_dir_fd = os.open(images, os.O_DIRECTORY)
	c.opts.log_level, c.opts.log_file = 4, action + ".log"
	try:
	    if action == "dump":
	        c.opts.pid = int(sys.argv[4])
	        c.dump()
	    elif action == "restore":
	        print(c.restore().pid)
	    elif action == "check":
	        c.check()
	except pycriu.CRIUExceptionExternal as e:
	    print(e)
	    sys.exit(1)
	END
}

@test "RPC: dump, restore, check, errors" {
	launch sleep 1000
	rpc check
	rpc dump "$PID"
	reap
	[ -s "$IMG/inventory.img" ] && grep -q 'Dumping finished successfully' "$IMG/dump.log"
	[ "$(rpc restore)" = "$PID" ]
	[ "$(state_of "$PID")" = S ]
	run -1 rpc restore
	run -1 rpc dump 999999
	kill -9 "$PID" && PID=
}

@test "RPC: the service at a socket" {
	"$CRYO" service --address "$DIR/sock" --daemon --pidfile "$DIR/service" 3>&- 4>&-
	wait_for 5 test -s "$DIR/service"
	[ "$(stat -c %a "$DIR/sock")" = 600 ]
	launch sleep 1000
	/usr/bin/python3 - "$DIR/sock" "$IMG" "$PID" <<-'END'
	import os, sys, pycriu
	c = pycriu.criu()
	c.use_sk(sys.argv[1])
	c.opts.images_dir_fd = os.open(sys.argv[2], os.O_DIRECTORY)
	c.opts.pid = int(sys.argv[3])
	c.dump()
	END
	reap
	[ -s "$IMG/inventory.img" ]
	kill "$(cat "$DIR/service")"
	PID=
}

@test "--action-script: all stages in their order, with what they are told; a failure ends it" {
	cat >"$DIR/script" <<-END
	#!/bin/sh
	echo "\$CRTOOLS_SCRIPT_ACTION \$CRTOOLS_IMAGE_DIR \$CRTOOLS_INIT_PID" >>$DIR/stages
	[ "\$CRTOOLS_SCRIPT_ACTION" != "\$FAIL_AT" ]
	END
	chmod +x "$DIR/script"
	launch sleep 1000
	local stage
	for stage in pre-dump post-dump; do
		FAIL_AT=$stage run -1 dump --action-script "$DIR/script"
		[[ $output = *"--action-script $DIR/script at $stage: it left with status 1"* ]]
		[ "$(state_of "$PID")" = S ]
	done
	rm "$DIR/stages"
	dump --action-script "$DIR/script"
	reap
	for stage in pre-restore setup-namespaces post-setup-namespaces post-restore pre-resume; do
		FAIL_AT=$stage run -1 restore --action-script "$DIR/script"
		[ ! -e "/proc/$PID" ]
	done
	[ "$(cat "$DIR/stages" | head -n 2)" = "pre-dump $IMG $PID
post-dump $IMG $PID" ]
	rm "$DIR/stages"
	restore --action-script "$DIR/script"
	[ "$(cat "$DIR/stages")" = "pre-restore $IMG 
setup-namespaces $IMG $PID
post-setup-namespaces $IMG $PID
post-restore $IMG $PID
pre-resume $IMG $PID
post-resume $IMG $PID" ]
	kill -9 "$PID" && PID=
}

@test "network namespaces: locked and unlocked by scripts, empty, joined, external" {
	setsid unshare -n sh -c 'ip link set lo up; exec sleep 1000' </dev/null >/dev/null 2>&1 3>&- &
	PID=$!
	wait_for 5 eval '[ "$(cat /proc/$PID/comm)" = sleep ]'
	dump -R --action-script "echo \$CRTOOLS_SCRIPT_ACTION >>$DIR/stages"
	[ "$(cat "$DIR/stages" | tr '\n' ' ')" = "pre-dump network-lock post-dump network-unlock " ]
	dump
	wait "$PID" || true
	restore --empty-ns net --action-script \
		"[ \$CRTOOLS_SCRIPT_ACTION != setup-namespaces ] || nsenter -t \$CRTOOLS_INIT_PID -n ip link add t0 type bridge"
	nsenter -t "$PID" -n ip link show lo | grep -q 'state DOWN'
	nsenter -t "$PID" -n ip link show t0
	kill -9 "$PID" && wait_for 5 test ! -e "/proc/$PID"
	ip netns add joined
	restore --join-ns net:/run/netns/joined
	[ "$(stat -Lc %i "/proc/$PID/ns/net")" = "$(stat -Lc %i /run/netns/joined)" ]
	run -1 restore --join-ns frob:x
	dump --external "net[$(stat -Lc %i /run/netns/joined)]:that"
	wait_for 5 test ! -e "/proc/$PID"
	run -1 restore
	[[ $output = *"use --inherit-fd fd[N]:that"* ]]
	restore --inherit-fd 'fd[9]:that' 9</run/netns/joined
	[ "$(stat -Lc %i "/proc/$PID/ns/net")" = "$(stat -Lc %i /run/netns/joined)" ]
	kill -9 "$PID" && PID=
	ip netns del joined
}

@test "runc checkpoint and restore, with cryo as its criu" {
	command -v runc >/dev/null || skip "runc is not installed"
	mkdir -p "$DIR/b/rootfs/bin" "$DIR/bin" && cd "$DIR"
	cp "$(command -v busybox)" b/rootfs/bin/busybox
	ln -s busybox b/rootfs/bin/sh && ln -s busybox b/rootfs/bin/sleep
	ln -s "$CRYO" bin/criu
	(cd b && runc spec && jq '.process.terminal = false | .process.args =
		["/bin/sh", "-c", "n=0; while :; do echo $n; n=$((n+1)); sleep 0.05; done"]' \
		config.json >new && mv new config.json)
	local runc="runc --root $DIR/state" name=cryo-test-$$ PATH=$DIR/bin:$PATH last
	$runc run -d -b b "$name" </dev/null 3>&- > >(exec cat >"$DIR/out") 2>&1
	wait_for 5 eval '[ "$(lines "$DIR/out")" -gt 3 ]'
	$runc checkpoint --image-path "$DIR/ck" --work-path "$DIR/ck" "$name" || { cat ck/dump.log; false; }
	! $runc state "$name"
	sleep 0.2 && last=$(tail -n 1 "$DIR/out")
	$runc restore -d -b b --image-path "$DIR/ck" --work-path "$DIR/ck" "$name" </dev/null 3>&- \
		> >(exec cat >>"$DIR/out") 2>&1 || { cat "$DIR/out"; false; }
	[ "$($runc state "$name" | jq -r .status)" = running ]
	grows "$DIR/out"
	[ "$(sed -n "$((last + 2))p" "$DIR/out")" = $((last + 1)) ]
	$runc exec "$name" /bin/busybox ps | grep -q 'sleep'
	grep -q "$name" "/proc/$($runc state "$name" | jq .pid)/cgroup"
	$runc kill "$name" KILL
	wait_for 5 eval '[ "$($runc state "$name" | jq -r .status)" = stopped ]'
	$runc delete "$name"
}
