# SPDX-License-Identifier: Apache-2.0
# exec: another process in a running container.

load ../lib/helpers
setup_file() {
	engine_setup
	cryopod run -d --name c --network none -e A=1 -w /tmp -u joe $IMAGE sleep 1000 >/dev/null
	cryopod run -d --name root --network none $IMAGE sleep 1000 >/dev/null
}
teardown_file() { engine_teardown; }

@test "its own exit status; environment, directory and user of the container" {
	expect 9 cryopod exec c sh -c 'echo $A; pwd; id; exit 9'
	is $'1\n/tmp\nuid=1000(joe) gid=1000(joe) groups=50(staff)' || is $'1\n/tmp\nuid=1000(joe) gid=1000(joe) groups=50(staff),1000(joe)'
}

@test "-e -w -u" {
	expect 0 cryopod exec -e A=2 -e B='x y' -w /var -u root c sh -c 'echo $A $B; pwd; id -u; echo $HOME'
	is $'2 x y\n/var\n0\n/root'
	expect 0 cryopod exec -u 5:6 c sh -c 'id -u; id -g'
	is $'5\n6'
	printf 'F=file\n' >"$BATS_TEST_TMPDIR/env"
	expect 0 cryopod exec --env-file "$BATS_TEST_TMPDIR/env" c sh -c 'echo $F'
	is file
}

@test "-i gives standard input, without it there is none; stderr stays apart" {
	run cryopod exec -i c cat <<<in
	[ "$output" = in ]
	run cryopod exec c cat <<<in
	[ "$status" -eq 0 ] && [ "$output" = "" ]
	run --separate-stderr cryopod exec c sh -c 'echo o; echo e >&2'
	[ "$output" = o ] && [ "$stderr" = e ]
	head -c 2000000 /dev/urandom >"$BATS_TEST_TMPDIR/in"
	cryopod exec -i c cat <"$BATS_TEST_TMPDIR/in" | cmp - "$BATS_TEST_TMPDIR/in"
}

@test "-t: a terminal of the caller's size" {
	expect 0 cryopod exec -t c sh -c 'test -t 0 && test -t 1 && test -t 2 && tty'
	[[ "$output" == /dev/pts/[0-9]* ]]
	run "$REPO/tests/lib/pty" -r 33x111 -e '$ ' -s 'stty size; echo a$((1+1))b\n' -e a2b -s 'exit 7\n' -- \
		"$CP" exec -it c sh
	echo "$output"
	[ "$status" -eq 7 ]
	has '33 111' a2b
}

@test "-d: prints a session ID and goes" {
	expect 0 cryopod exec -d root sh -c 'echo x >/tmp/x; exec sleep 300'
	[[ "$output" =~ $ID64 ]]
	wait_for 5 cryopod exec root test -s /tmp/x
	wait_for 5 eval '[ "$(cryopod exec root pidof sleep | wc -w)" -eq 2 ]' # it was written before
}

@test "the process has the container's capabilities, seccomp filter and limits" {
	# What differs by nature: the state, names, numbers and memory of the process.
	filter='^(Uid|Gid|Groups|Cap.*|NoNewPrivs|Seccomp.*|Cpus_allowed|Umask):'
	expect 0 cryopod exec root sh -c "grep -E '$filter' /proc/1/status >/tmp/a; grep -E '$filter' /proc/self/status >/tmp/b; diff /tmp/a /tmp/b"
	# the soft limit of files may be the hard one: helpers.bash, exec_has_limits
	wait_for 30 cryopod exec root diff /proc/1/limits /proc/self/limits
	expect 0 cryopod exec root diff /proc/1/cgroup /proc/self/cgroup
	for ns in cgroup ipc mnt net pid uts user; do
		[ "$(cryopod exec root readlink /proc/1/ns/$ns)" = "$(cryopod exec root readlink /proc/self/ns/$ns)" ]
	done
	expect 0 cryopod exec -u 0 c grep CapEff /proc/self/status
	[ "$output" = "$(cryopod exec root grep CapEff /proc/self/status)" ]
	expect 0 cryopod exec c grep CapEff /proc/self/status
	is $'CapEff:\t0000000000000000'
	expect 0 cryopod exec --privileged root grep -E '^(CapBnd|CapEff):' /proc/self/status
	[ "$(grep -c "$(sed -n 's/^CapBnd:\s*//p' /proc/self/status)" <<<"$output")" -eq 2 ]
}

@test "refused: no such program 127, not executable 126, the rest 125" {
	refuses 127 'exec: "nosuch": executable file not found in $PATH: OCI runtime attempted to invoke a command that was not found' cryopod exec c nosuch
	refuses 126 'exec: "/etc": ' cryopod exec c /etc
	refuses 125 'no container with name or ID "nosuch" found: no such container' cryopod exec nosuch true
	refuses 125 'exec requires the name or ID of a container or the --latest flag' cryopod exec
	refuses 125 'unknown flag: --bogus' cryopod exec --bogus c true
	only_main "it exits with 255 for the following"
	refuses 125 'unable to find user nosuch: no matching entries in passwd file' cryopod exec -u nosuch c true
	refuses 125 'must provide a non-empty command to start an exec session' cryopod exec c
	cryopod create --name stopped --network none $IMAGE true >/dev/null
	refuses 125 'can only create exec sessions on running containers: container state improper' cryopod exec stopped true
	cryopod rm stopped
}

@test "-l; many at once" {
	expect 0 cryopod exec -l pwd
	for i in 1 2 3 4 5 6; do
		cryopod exec root sh -c "echo $i; exit $i" >"$BATS_TEST_TMPDIR/$i" &
		pids[i]=$!
	done
	for i in 1 2 3 4 5 6; do
		code=0
		wait "${pids[i]}" || code=$?
		[ "$code" -eq "$i" ]
		[ "$(cat "$BATS_TEST_TMPDIR/$i")" = "$i" ]
	done
}

@test "a container that ends takes its exec'd processes along" {
	cryopod run -d --name short --network none $IMAGE sleep 1000 >/dev/null
	cryopod exec short sh -c 'echo in; sleep 1000' >"$BATS_TEST_TMPDIR/out" &
	wait_for 5 grep -q in "$BATS_TEST_TMPDIR/out"
	cryopod kill short >/dev/null
	code=0
	wait $! || code=$?
	[ "$code" -ne 0 ]
}
