# SPDX-License-Identifier: Apache-2.0
# run: exit statuses and what each option does, seen from inside.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

# box OPTIONS... IMAGE COMMAND...
box() { cryopod run --rm --network none "$@"; }

@test "exit statuses: the container's own, 125, 126, 127" {
	expect 0 box $IMAGE true
	expect 17 box $IMAGE sh -c 'exit 17'
	expect 137 box $IMAGE sh -c 'sh -c "kill -9 \$\$"; exit $?'
	refuses 127 'exec: "nosuch": executable file not found in $PATH: OCI runtime attempted to invoke a command that was not found' box $IMAGE nosuch
	refuses 126 'exec: "/etc": ' box $IMAGE /etc
	has 'OCI permission denied'
	refuses 125 'unknown flag: --bogus' box --bogus $IMAGE true
	has "See '$PROG run --help'"
	refuses 125 'requires at least 1 arg(s), only received 0' cryopod run
	refuses 125 'nosuchimage' box localhost/nosuchimage:x true
	# None of the failures has left a container behind.
	[ "$(cryopod ps -aq)" = "" ]
}

@test "run -d prints the ID; without --rm the container stays" {
	expect 0 cryopod run -d --name d1 --network none $IMAGE sh -c 'echo out; exit 3'
	[[ "$output" =~ $ID64 ]]
	expect 0 cryopod wait d1
	is 3
	expect 0 cryopod logs d1
	is out
	expect 0 cryopod inspect --format '{{.State.Status}} {{.State.ExitCode}} {{.Name}}' d1
	is "exited 3 d1"
}

@test "stdout and stderr stay apart; -i gives standard input, without it there is none" {
	run --separate-stderr box $IMAGE sh -c 'echo one; echo two >&2'
	[ "$output" = one ]
	[ "$stderr" = two ]
	run box -i $IMAGE sh -c 'read x; echo "got $x"; cat' <<<$'hello\nmore'
	[ "$output" = $'got hello\nmore' ]
	run box $IMAGE cat <<<hello
	[ "$status" -eq 0 ] && [ "$output" = "" ]
	# More than any pipe or socket buffer, byte for byte.
	head -c 3000000 /dev/urandom >"$BATS_TEST_TMPDIR/in"
	box -i $IMAGE cat <"$BATS_TEST_TMPDIR/in" | cmp - "$BATS_TEST_TMPDIR/in"
}

@test "-t: a terminal" {
	expect 0 box -t $IMAGE sh -c 'tty; test -t 0 && test -t 1 && test -t 2 && echo all'
	is $'/dev/pts/0\r\nall\r'
}

@test "-e, --env-file, -w, --entrypoint, --hostname" {
	printf 'FROMFILE=yes\n# comment\n' >"$BATS_TEST_TMPDIR/env"
	expect 0 env OUTER=passed "$CP" run --rm --network none \
		-e A='x y' -e OUTER --env-file "$BATS_TEST_TMPDIR/env" $IMAGE sh -c 'echo "$A|$OUTER|$FROMFILE|$HOME|$container"'
	[[ "$output" == "x y|passed|yes|/root|"?* ]]
	expect 0 box -w /var/tmp $IMAGE pwd
	is /var/tmp
	cannot_start 'workdir "/nosuch" does not exist on container' box -w /nosuch $IMAGE pwd
	expect 0 box --entrypoint /bin/echo $IMAGE a b
	is "a b"
	expect 0 box --entrypoint '["/bin/echo","x"]' $IMAGE a
	is "x a"
	expect 0 box --hostname boxy $IMAGE sh -c 'hostname; cat /etc/hostname; grep -c boxy /etc/hosts; echo $HOSTNAME'
	[ "$(xargs <<<"$output" | tr -d ' ')" = "boxyboxy1boxy" ]
}

@test "-u by name, number and group; --group-add" {
	expect 0 box -u joe $IMAGE id
	is "uid=1000(joe) gid=1000(joe) groups=50(staff),1000(joe)"
	expect 0 box -u joe:staff $IMAGE id
	is "uid=1000(joe) gid=50(staff) groups=50(staff)"
	expect 0 box -u 1234:56 $IMAGE sh -c 'id -u; id -g; cd; pwd'
	is $'1234\n56\n/'
	expect 0 box -u joe $IMAGE sh -c 'echo $HOME'
	is /home/joe
	expect 0 box --group-add 77 $IMAGE id -G
	has 77
	cannot_start 'unable to find user nobody9: no matching entries in passwd file' box -u nobody9 $IMAGE true
}

@test "-v bind mounts and --tmpfs" {
	mkdir "$BATS_TEST_TMPDIR/share" && echo outside >"$BATS_TEST_TMPDIR/share/f"
	expect 0 box -v "$BATS_TEST_TMPDIR/share:/mnt/share" $IMAGE sh -c 'cat /mnt/share/f; echo inside >/mnt/share/g'
	is outside
	[ "$(cat "$BATS_TEST_TMPDIR/share/g")" = inside ]
	expect 1 box -v "$BATS_TEST_TMPDIR/share:/ro:ro" $IMAGE touch /ro/x
	has 'Read-only file system'
	expect 0 box --tmpfs /tt:size=1m,mode=1770 $IMAGE sh -c 'grep " /tt " /proc/mounts; stat -c %a /tt'
	has 'tmpfs /tt tmpfs' 'nosuid' 'size=1024k' 1770
	refuses 125 '/nosuchdir: no such file or directory' box -v /nosuchdir:/x $IMAGE true
	refuses 125 'invalid container path "rel", must be an absolute path' box -v /tmp:rel $IMAGE true
}

@test "--name, --replace, --rm, --label, --stop-signal" {
	expect 0 cryopod run -d --name a --network none --label kind=test --label flag --stop-signal USR1 $IMAGE sleep 100
	id=$output
	refuses 125 "the container name \"a\" is already in use by $id" cryopod run -d --name a --network none $IMAGE sleep 100
	refuses 125 'names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*' box --name 'a b' $IMAGE true
	expect 0 cryopod inspect --format '{{.Config.StopSignal}} {{index .Config.Labels "kind"}} {{len .Config.Labels}}' a
	[[ "$output" == 10\ test\ 2 || "$output" == SIGUSR1\ test\ 2 ]]
	expect 0 cryopod kill a
	cryopod wait a
	expect 0 cryopod run -d --name a --replace --network none $IMAGE true
	[ "${lines[-1]}" != "$id" ]
	expect 1 cryopod container exists "$id"
	expect 0 cryopod run -d --rm --name gone --network none $IMAGE true
	wait_for 5 bash -c "! $CP container exists gone"
	refuses 125 'invalid signal: BOGUS' box --stop-signal BOGUS $IMAGE true
	refuses 125 'the --rm option conflicts with --restart' box --restart always $IMAGE true
}

@test "files with the numbers of the container and its conmon; a driver of logs that is not there" {
	cd "$BATS_TEST_TMPDIR"
	expect 0 cryopod run -d --name pids --network none --pidfile pid --conmon-pidfile "$PWD/conmon" $IMAGE sleep 1000
	pids() { cryopod inspect --format '{{.State.Pid}} {{.State.ConmonPid}} {{.PidFile}} {{.ConmonPidFile}}' pids; }
	[ "$(pids)" = "$(cat pid) $(cat conmon) $PWD/pid $PWD/conmon" ]
	[ "$(cat "/proc/$(cat conmon)/comm")" = conmon ]
	cryopod restart -t 0 pids >/dev/null
	[ "$(pids)" = "$(cat pid) $(cat conmon) $PWD/pid $PWD/conmon" ]
	cryopod container checkpoint pids >/dev/null
	cryopod container restore pids >/dev/null
	[ "$(pids)" = "$(cat pid) $(cat conmon) $PWD/pid $PWD/conmon" ]
	cryopod rm -f -t 0 pids >/dev/null
	refuses 125 'write /nosuch/pid: no such file or directory' cryopod run --conmon-pidfile /nosuch/pid $IMAGE true
	refuses 125 'log driver "journald" is not supported: use k8s-file, json-file or none' cryopod create --log-driver journald $IMAGE true
	[ -z "$(cryopod ps -aq --filter name=pids)" ]
}

@test "--timeout: killed when its time is over, also after a restore" {
	# conmon counts from before the start: on a machine with much else to do that comes too late.
	for n in 1 5 20; do
		run cryopod run --name t --network none --timeout $n $IMAGE sleep 1000
		echo "[$status] $output"
		[ "$status" -eq 126 ] || break
		has "cannot start a container that has stopped"
		cryopod rm t >/dev/null
	done
	[ "$status" -eq 255 ]
	[ "$(cryopod inspect --format '{{.Config.Timeout}} {{.State.ExitCode}}' t)" = "$n -1" ]
	expect 0 cryopod run -d --name u --network none --timeout 20 $IMAGE sleep 1000
	expect 0 cryopod container checkpoint u
	expect 0 cryopod container restore u
	# The conmon that it has now knows of it, too.
	tr '\0' ' ' <"/proc/$(cryopod inspect --format '{{.State.ConmonPid}}' u)/cmdline" | grep -q -- '--timeout 20 '
	refuses 125 'invalid --timeout' box --timeout -1 $IMAGE true
}

@test "--tz: a zone of this host, also after a restore; nothing else of it" {
	local zones=/usr/share/zoneinfo
	mkdir -p $zones && mount -t tmpfs zones $zones && mkdir $zones/Test
	{ printf 'TZif\0' && head -c 15 /dev/zero && printf '%b' '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\01\0\0\0\04' '\0\0\016\020\0\0' 'XYZ\0'; } >$zones/Test/Zone
	run -0 box --tz Test/Zone $IMAGE date +%Z%z
	local plain=$output
	run -0 cryopod run -d --name z --network none --tz Test/Zone $IMAGE sleep 1000
	run -0 cryopod container checkpoint z
	run -0 cryopod container restore z
	run -0 cryopod exec z date +%Z%z
	local restored=$output
	run cryopod run --rm --network none --tz Test $IMAGE true
	local directory=$output
	umount $zones
	[ "$plain $restored" = "XYZ+0100 XYZ+0100" ]
	[[ "$directory" == *'--tz Test: '*'is a directory' ]]
	[ "$(cryopod inspect --format '{{.Config.Timezone}}' z)" = Test/Zone ]
	refuses 125 '--tz ../../../etc/passwd: not the name of a time zone' box --tz ../../../etc/passwd $IMAGE true
	refuses 125 '--tz No/Such: ' box --tz No/Such $IMAGE true
	[ -z "$(cryopod ps -aq --filter status=created)" ]
}

@test "--preserve-fds: descriptors from 3 on, and none of ours" {
	run -0 box --preserve-fds 2 $IMAGE sh -c 'cat <&3; cat <&4' 3<<<three 4<<<four
	[ "$output" = $'three\nfour' ]
	local closed='is not available - the preserve-fds option requires that file descriptors must be passed'
	for n in 1 2; do
		run -125 bash -c "exec 4<&- 3</dev/null; [ $n = 2 ] || exec 3<&-; $CP run --rm --network none --preserve-fds $n $IMAGE true"
		[[ "$output" == *"file descriptor $((n + 2)) $closed" ]]
	done
	refuses 125 'at most 32 descriptors' box --preserve-fds 33 $IMAGE true
	expect 0 cryopod run -d --name p --network none $IMAGE sleep 1000
	run -0 cryopod exec --preserve-fds 1 p cat /proc/self/fd/3 3<<<three
	[ "$output" = three ]
	run -125 bash -c "exec 3<&-; $CP exec --preserve-fds 1 p true"
	[[ "$output" == *"file descriptor 3 $closed" ]]
}
