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
	sleeps "$PID"
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

# ask TYPE [OPTION=VALUE]...: a request of one's own to the service at $DIR/sock; prints the answer.
ask() {
	setsid -w /usr/bin/python3 - "$DIR/sock" "$IMG" "$@" <<-'END'
	import errno, os, socket, sys
	sys.path.insert(0, "/usr/lib/python3/dist-packages/pycriu")
	import rpc_pb2
	s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
	s.connect(sys.argv[1])
	req, resp = rpc_pb2.criu_req(), rpc_pb2.criu_resp()
	req.type = getattr(rpc_pb2, sys.argv[3])
	req.opts.images_dir_fd, req.opts.log_level = os.open(sys.argv[2], os.O_DIRECTORY), 4
	for word in sys.argv[4:]:
	    name, _, value = word.partition("=")
	    *path, name = name.split(".")
	    at = req.opts
	    for part in path:
	        at = getattr(at, part)
	    setattr(at, name, int(value) if value.isdigit() else value == "yes" or value)
	s.send(req.SerializeToString())
	resp.ParseFromString(s.recv(4096))
	print(rpc_pb2.criu_req_type.Name(resp.type), "yes" if resp.success else
	      errno.errorcode[resp.cr_errno], "restored" if resp.dump.restored else "",
	      resp.ps.port or "", resp.cr_errmsg, flush=True)
	END
}

serve() {
	"$CRYO" service --address "$DIR/sock" --daemon --pidfile "$DIR/service" 3>&- 4>&-
	wait_for 5 test -s "$DIR/service"
}

@test "RPC: a process asks for its own dump; restored, it hears of that" {
	serve
	# its output is a file, its input is read already
	ask DUMP leave_running=yes >>"$DIR/out" 2>&1 3>&-
	[ "$(cat "$DIR/out")" = "DUMP yes   " ]
	"$CRYO" restore -D "$IMG" >>"$DIR/out"
	[ "$(cat "$DIR/out")" = $'DUMP yes   \nDUMP yes restored  ' ]
	kill "$(cat "$DIR/service")"
}

@test "RPC: what is wrong, in CRIU's numbers and words" {
	serve
	[[ $(ask DUMP "pid=$(cat /proc/sys/kernel/pid_max)") = "DUMP ESRCH "* ]]
	[[ $(ask DUMP log_file=../x) = "DUMP EBADRQC "*"../x"* ]]
	[[ $(ask NOTIFY) = "EMPTY EBADRQC "* ]]
	launch sleep 1000
	[[ $(ask DUMP "pid=$PID" leave_running=yes) = "DUMP yes"* ]]
	[[ $(ask RESTORE) = "RESTORE EEXIST "* ]]
	kill "$(cat "$DIR/service")"
	# our caller is what is to be saved
	run -1 bash -c 'dump=$1; shift; setsid -w sh -c "\"$dump\" dump -t \$\$ $*; exit \$?"' - "$CRYO" -D "$IMG"
	[[ $output = *"The criu itself is within dumped tree"* ]]
}

@test "RPC: a page server at any port; -j where there is no job" {
	serve
	local answer port
	answer=$(ask PAGE_SERVER) && port=$(echo "$answer" | cut -d' ' -f4)
	[[ $answer = "PAGE_SERVER yes"* && $port -gt 0 ]]
	launch sleep 1000
	[[ $(ask DUMP "pid=$PID" "ps.port=$port" ps.address=127.0.0.1) = "DUMP yes"* ]]
	reap
	[[ $(ask RESTORE shell_job=yes) = "RESTORE yes"* ]]
	[ "$(ps -o sid= -p "$PID" | tr -d ' ')" = "$PID" ]
	kill "$(cat "$DIR/service")"
}

@test "RPC: a service of a user, set-user-ID: paths are those of the work directory" {
	# where everybody may look: tests' own directories are not for others
	local home=/run/service
	mkdir -m 777 $home $home/work $home/img
	cp "$CRYO" $home/criu && chmod 4755 $home/criu
	as_user() { setpriv --reuid 1000 --regid 1000 --clear-groups "$@"; }
	as_user sh -c "cd $home && exec ./criu service -v4 -W work --address sock -d --pidfile pid -o service.log \
		--status-fd 9" 9>$home/status 3>&- 4>&-
	wait_for 5 test -s $home/work/pid
	[ "$(stat -c %u:%a $home/work/sock)" = 1000:600 ] && [ -e $home/work/service.log ] && [ -s $home/status ]
	DIR=$home/work IMG=$home/img
	export -f ask
	[ "$(as_user bash -c "DIR=$DIR IMG=$IMG ask DUMP leave_running=yes" 3>&-)" = "DUMP yes   " ]
	[ -s $IMG/inventory.img ] && grep -q finished $IMG/criu.log
	[[ $(ask PAGE_SERVER_CHLD lazy_pages=yes ps.address=127.0.0.1) = "PAGE_SERVER yes"* ]]
	kill "$(cat $home/work/pid)"
	wait_for 5 eval '! kill -0 "$(cat /run/service/work/pid)"'
	rm -rf $home
}

# call WORD...: requests with fields that an old client does not know; see the words.
call() {
	/usr/bin/python3 - "$CRYO" "$IMG" "$@" <<-'END'
	import os, socket, subprocess, sys
	sys.path.insert(0, "/usr/lib/python3/dist-packages/pycriu")
	import rpc_pb2
	def text(number, value):
	    return bytes([number << 3 & 0x7f | 0x82, number >> 4]) + bytes([len(value)]) + value.encode()
	cryo, images, kind = sys.argv[1:4]
	ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
	os.set_inheritable(theirs.fileno(), True)
	swrk = subprocess.Popen([cryo, "swrk", str(theirs.fileno())], close_fds=False)
	theirs.close()
	opts, more, external = rpc_pb2.criu_opts(), b"", None
	opts.images_dir_fd, opts.log_level = -1, 4
	for word in sys.argv[4:]:
	    name, _, value = word.partition("=")
	    if name == "dir":
	        more += text(68, value)
	    elif name == "stderr":
	        more += b"\xb8\x04\x01"
	    elif name == "external":
	        external, opts.notify_scripts = value, True
	    elif name == "exec_cmd":
	        opts.exec_cmd.extend(value.split(" "))
	    elif name == "status":
	        opts.status_fd = os.open(value, os.O_WRONLY | os.O_CREAT)
	    else:
	        setattr(opts, name, int(value) if value.isdigit() else value == "yes" or value)
	req = rpc_pb2.criu_req(type=getattr(rpc_pb2, kind))
	body = opts.SerializePartialToString() + more
	ours.send(req.SerializeToString() + b"\x12" + bytes([len(body) & 0x7f | 0x80, len(body) >> 7]) + body)
	while True:
	    resp = rpc_pb2.criu_resp()
	    resp.ParseFromString(ours.recv(4096))
	    if resp.type != rpc_pb2.NOTIFY:
	        break
	    print(resp.notify.script)
	    go = rpc_pb2.criu_req(type=rpc_pb2.NOTIFY, notify_success=True)
	    go.opts.images_dir_fd = -1
	    if resp.notify.script == "query-ext-files" and external:
	        go.opts.external.append(external)
	    ours.send(go.SerializeToString())
	ours.close()
	v = resp.version
	about = f" {v.major_number}.{v.minor_number} {v.gitid}" if resp.HasField("version") else ""
	print("yes" + about if resp.success else "no " + resp.cr_errmsg, flush=True)
	sys.exit(swrk.wait())
	END
}

@test "RPC: directories and logs" {
	run ! call DUMP pid=1
	[[ $output = *"RPC: neither images_dir_fd nor images_dir"* ]]
	run ! call CHECK log_file=check.log
	[[ $output = *"in which directory is log_file to be?" ]]
	run call CHECK log_file=check.log "dir=$IMG"
	echo "$status: $output"
	grep -qx yes <<<"$output"
	[ -s "$IMG/check.log" ]
	launch sleep 1000
	[ "$(call DUMP "dir=$IMG" pid="$PID" leave_running=yes "status=$DIR/status" 2>&1)" = yes ]
	grep -q finished "$IMG/criu.log" && [ "$(stat -c %s "$DIR/status")" = 1 ]
	# a version of a commit is the next one for callers
	run -0 call VERSION
	[ "$output" = "yes 4.2 " ]
	rm "$IMG/criu.log"
	run -0 call DUMP "dir=$IMG" pid="$PID" leave_running=yes stderr=yes
	grep -q 'Dumping finished' <<<"$output"
	[ ! -e "$IMG/criu.log" ]
}

@test "RPC: the caller is asked what is external, and its command is the parent" {
	/usr/bin/python3 -c '
import socket, subprocess
ours, theirs = socket.socketpair()
p = subprocess.Popen(["setsid", "sleep", "1000"], stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
theirs.close()
print(p.pid, flush=True)
p.wait()' >"$DIR/said" 3>&- &
	wait_for 10 test -s "$DIR/said"
	PID=$(cat "$DIR/said")
	asleep
	local key
	key=$(readlink "/proc/$PID/fd/0")
	run ! call DUMP "dir=$IMG" pid="$PID"
	[[ $output = *"$key"* ]]
	key=unix${key#*:}
	run -0 call DUMP "dir=$IMG" pid="$PID" external="$key" leave_running=yes
	[ "${lines[0]} ${lines[1]} ${lines[-1]}" = "pre-dump query-ext-files yes" ]
	kill -9 "$PID"
	launch sleep 1000
	dump
	reap
	run call RESTORE "dir=$IMG" "exec_cmd=cat /proc/self/stat /proc/$PID/stat"
	echo "$status: $output"
	grep -qx yes <<<"$output"
	# its number, and who the parent is
	local number parent
	number=$(tail -n 2 "$IMG/criu.log" | head -n 1 | cut -d' ' -f1)
	parent=$(tail -n 1 "$IMG/criu.log" | cut -d' ' -f4)
	[ "$number" = "$parent" ]
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
		# words that others look for
		[ $stage = post-dump ] || grep -q 'Pre dump script failed' "$IMG/dump.log"
		sleeps "$PID"
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
	local runc="runc --root $DIR/state" name=$GROUP_NAME PATH=$DIR/bin:$PATH last
	exec 8> >(exec cat >"$DIR/out" 3>&-)
	local reader=$!
	$runc run -d -b b "$name" </dev/null 3>&- >&8 2>&1 8>&-
	exec 8>&-
	wait_for 5 eval '[ "$(lines "$DIR/out")" -gt 3 ]'
	$runc checkpoint --image-path "$DIR/ck" --work-path "$DIR/ck" "$name" || { cat ck/dump.log; false; }
	! $runc state "$name"
	wait "$reader" # it has read all
	last=$(tail -n 1 "$DIR/out")
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

# bundle COMMAND: of runc, in $DIR/b, whose first process is sh -c COMMAND; cryo is its criu.
bundle() {
	command -v runc >/dev/null || skip "runc is not installed"
	mkdir -p "$DIR/b/rootfs/bin" "$DIR/bin" && cd "$DIR"
	cp "$(command -v busybox)" b/rootfs/bin/busybox
	ln -s busybox b/rootfs/bin/sh && ln -s busybox b/rootfs/bin/sleep
	ln -s "$CRYO" bin/criu
	(cd b && runc spec && jq --arg c "$1" '.process.args = ["/bin/sh", "-c", $c]' config.json >new &&
		mv new config.json)
	RUNC="runc --root $DIR/state" NAME=$GROUP_NAME PATH=$DIR/bin:$PATH
}

# ended NAME: killed and deleted.
ended() {
	$RUNC kill "$1" KILL
	wait_for 5 eval '[ "$($RUNC state "'"$1"'" | jq -r .status)" = stopped ]'
	$RUNC delete "$1"
}

@test "runc: a container's console gets a new master" {
	bundle 'while read -r x; do echo "got $x"; done'
	mkfifo typed
	"$REPO/tests/lib/consoles" "$DIR/cs" "$DIR/out" <>typed 3>&- &
	local consoles=$! i
	exec 8>typed
	wait_for 5 test -S cs
	$RUNC run -d -b b --console-socket "$DIR/cs" "$NAME" 3>&- 8>&-
	for i in 1 2; do
		echo "before $i" >&8
		wait_for 5 grep -q "got before $i" out
		$RUNC checkpoint --image-path "$DIR/ck" --work-path "$DIR/w" "$NAME" || { cat w/dump.log; false; }
		$RUNC restore -d -b b --image-path "$DIR/ck" --work-path "$DIR/w" --console-socket "$DIR/cs" \
			"$NAME" 3>&- 8>&- || { cat w/restore.log; false; }
		run ! grep Error w/dump.log w/restore.log
		echo "after $i" >&8
		wait_for 5 grep -q "got after $i" out
	done
	ended "$NAME"
	exec 8>&-
	kill "$consoles"
	# images whose terminal has no master need somebody who takes the new one
	run -1 "$CRYO" restore -d -D "$DIR/ck" -r "$DIR/b/rootfs"
}

@test "runc checkpoint --lazy-pages: ready is told, the memory goes where the container runs" {
	bundle 'echo begun; read -r x; echo "got $x"; sleep 1000'
	jq '.process.terminal = false | .root.readonly = false' b/config.json >new && mv new b/config.json
	mkfifo ready
	exec 8<> <(:) # a pipe without a name, both ways
	$RUNC run -d -b b "$NAME" <&8 3>&- 8>&- > >(exec cat >>"$DIR/out") 2>&1
	wait_for 5 grep -q begun out
	$RUNC checkpoint --lazy-pages --page-server 127.0.0.1:27291 --status-fd 9 --image-path "$DIR/ck" \
		--work-path "$DIR/w" "$NAME" 9>ready 3>&- 8>&- || { cat "$DIR/w/dump.log" >ready; false; } &
	local checkpoint=$!
	run timeout 60 od -An -c -N1 ready
	[[ $output = *' \0' ]]
	run ! grep Error w/dump.log
	"$CRYO" lazy-pages --page-server --address 127.0.0.1 --port 27291 -D "$DIR/ck" 3>&- 8>&- &
	local lazy=$!
	$RUNC restore -d -b b --image-path "$DIR/ck" --work-path "$DIR/ck" --lazy-pages "$NAME-2" <&8 3>&- 8>&- \
		> >(exec cat >>"$DIR/out") 2>&1 || { cat "$DIR/ck/restore.log"; false; }
	echo word >&8
	wait_for 5 grep -q 'got word' out
	wait "$lazy"
	wait "$checkpoint"
	exec 8>&-
	ended "$NAME-2"
}

@test "restore --join-ns: namespaces of another process, time too; a user namespace only if it is ours" {
	launch unshare -u -i -T --fork setsid sleep 1000
	local outer=$PID other ns
	wait_for 5 eval 'PID=$(pgrep -P "$outer") && [ "$(cat /proc/$PID/comm)" = sleep ]'
	dump
	wait_for 5 test ! -e "/proc/$outer"
	launch unshare -u -i sleep 1000
	other=$PID
	wait_for 5 eval '[ "$(cat /proc/$other/comm)" = sleep ]'
	run -1 restore --join-ns user:/proc/self/ns/user,x,0
	[[ $output = *'"x" is not a number'* ]]
	restore --join-ns "uts:$other" --join-ns "ipc:$other" --join-ns time:/proc/self/ns/time \
		--join-ns user:/proc/self/ns/user --pidfile "$DIR/pid"
	PID=$(cat "$DIR/pid")
	for ns in uts ipc time; do
		[ "$(readlink "/proc/$PID/ns/$ns")" = "$(readlink "/proc/$other/ns/$ns")" ]
	done
	kill -9 "$other"
}

@test "RPC: rounds and the dump over one connection; a caller that has ended is restored at once" {
	launch sleep 1000
	mkdir "$DIR/1" "$DIR/2"
	/usr/bin/python3 - "$CRYO" "$DIR" "$PID" 3>&- <<-'END'
	import os, socket, sys
	sys.path.insert(0, "/usr/lib/python3/dist-packages/pycriu")
	import rpc_pb2
	cryo, images, pid = sys.argv[1], sys.argv[2], int(sys.argv[3])

	def swrk(): # nobody's child, as libcriu has it for a dump of its caller
	    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
	    first = os.fork()
	    if first == 0:
	        if os.fork() == 0:
	            os.set_inheritable(its.fileno(), True)
	            os.execv(cryo, [cryo, "swrk", str(its.fileno())])
	        os._exit(0)
	    os.waitpid(first, 0)
	    its.close()
	    return ours

	def ask(sock, kind, name, **more):
	    req, resp = rpc_pb2.criu_req(), rpc_pb2.criu_resp()
	    req.type = kind
	    req.opts.images_dir_fd = os.open(f"{images}/{name}", os.O_DIRECTORY)
	    for option, value in more.items():
	        setattr(req.opts, option, value)
	    sock.send(req.SerializeToString())
	    resp.ParseFromString(sock.recv(4096))
	    assert resp.success, resp.cr_errmsg
	    return resp

	one = swrk()
	ask(one, rpc_pb2.PRE_DUMP, "1", pid=pid, track_mem=True)
	ask(one, rpc_pb2.DUMP, "2", pid=pid, track_mem=True, parent_img="../1")
	child = os.fork()
	if child == 0:
	    os.setsid()
	    null = os.open("/dev/null", os.O_RDWR)
	    for fd in range(3):
	        os.dup2(null, fd)
	    one.close()
	    again = ask(swrk(), rpc_pb2.DUMP, "img", leave_running=True).dump.restored
	    os._exit(43 if again else 41)
	assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 41
	assert os.waitstatus_to_exitcode(os.system(f"{cryo} restore -D {images}/img")) == 43
	END
	reap
	"$CRYO" restore -d -D "$DIR/2"
	sleeps "$PID"
}

@test "runc: a container with a cgroup namespace" {
	bundle 'exec sleep 1000'
	jq '.process.terminal = false | .linux.namespaces += [{"type": "cgroup"}]' b/config.json >new &&
		mv new b/config.json
	$RUNC run -d -b b "$NAME" </dev/null >/dev/null 2>&1 3>&-
	wait_for 5 eval '[ "$(cat "/proc/$($RUNC state "$NAME" | jq .pid)/comm")" = sleep ]'
	$RUNC checkpoint --image-path "$DIR/ck" --work-path "$DIR/w" "$NAME" || { cat w/dump.log; false; }
	$RUNC restore -d -b b --image-path "$DIR/ck" --work-path "$DIR/w" "$NAME" </dev/null >/dev/null 2>&1 \
		3>&- || { cat w/restore.log; false; }
	[ "$($RUNC state "$NAME" | jq -r .status)" = running ]
	ended "$NAME"
}
