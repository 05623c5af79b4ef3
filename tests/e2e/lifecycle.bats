# SPDX-License-Identifier: Apache-2.0
# The granular life cycle, and what each state refuses.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

new() { cryopod create --network none --name "$@"; }
status_of() { cryopod ps -a --filter "name=^$1\$" --format '{{.Status}}'; }

@test "create, mount, init, start, kill, rm, step by step" {
	expect 0 new c --label a=b $IMAGE sleep 100
	[[ "$output" =~ $ID64 ]]
	id=$output
	expect 0 status_of c
	[[ "${output,,}" == created ]]
	expect 0 cryopod mount c
	root=$output
	[ -x "$root/bin/busybox" ]
	expect 0 cryopod mount
	is "${id:0:12}  $root"
	echo written >"$root/from-outside"
	expect 0 cryopod umount c
	is c
	dir=$(cryopod inspect --format '{{.StaticDir}}' c)
	[ ! -e "$dir/config.json" ]
	expect 0 cryopod init c
	is c
	# Everything that the OCI runtime will do is in a file, before anything runs.
	[ "$(jq -r '.process.args | join(" ")' "$dir/config.json")" = "sleep 100" ]
	[ "$(cryopod inspect --format '{{.OCIConfigPath}}' c)" = "$dir/config.json" ]
	expect 0 status_of c
	[[ "${output,,}" == initialized ]]
	refuses 125 "container $id has already been created in runtime: container state improper" cryopod init c
	expect 0 cryopod start c
	is c
	expect 0 status_of c
	[[ "${output,,}" == "up "* ]]
	expect 0 cryopod exec c cat /from-outside
	is written
	expect 0 cryopod kill c
	is c
	expect 0 cryopod wait c
	is 137
	expect 0 status_of c
	[[ "${output,,}" == "exited (137) "*" ago" ]]
	# What was written stays until the container goes.
	expect 0 cryopod start c
	expect 0 cryopod exec c cat /from-outside
	expect 0 cryopod rm -f -t 0 c
	is c
	[ ! -e "$dir" ]
}

@test "init twice over a stop: start makes the runtime's part anew" {
	new c $IMAGE sh -c 'echo up; exec sleep 100' >/dev/null
	for _ in 1 2; do
		expect 0 cryopod start c
		wait_for 5 log_has c up
		expect 0 cryopod stop -t 0 c
		is c
	done
	[ "$(cryopod logs c)" = $'up\nup' ]
}

@test "pause and unpause" {
	id=$(cryopod run -d --name c --network none $IMAGE sh -c "$FAST_LOOP")
	wait_for 5 log_reaches c 1
	expect 0 cryopod pause c
	is c
	n=$(last_number c)
	switches() { grep ctxt_switches "/proc/$(pid_of c)/status"; }
	before=$(switches)
	refuses 125 "\"$id\" is already paused: container state improper" cryopod pause c
	state_is c paused
	[ "$(cryopod ps -q)" = "" ]
	# Nothing has run; what it had printed may have come to the log only now.
	[ "$(switches)" = "$before" ]
	expect 0 cryopod unpause c
	wait_for 5 log_reaches c $((n + 2))
	log_is_gapless c
}

@test "stop: the stop signal, then SIGKILL; restart" {
	cryopod run -d --name polite --network none $IMAGE sh -c 'trap "exit 5" TERM; echo up; while :; do sleep 0.05; done' >/dev/null
	wait_for 5 log_has polite up
	first=$(cryopod inspect --format '{{.State.Pid}}' polite)
	expect 0 cryopod restart polite
	is polite
	[ "$(cryopod inspect --format '{{.State.Pid}}' polite)" != "$first" ]
	wait_for 5 times polite up 2
	expect 0 cryopod stop polite
	is polite
	[ "$(cryopod inspect --format '{{.State.ExitCode}}' polite)" = 5 ]
	cryopod run -d --name stubborn --network none --stop-signal USR1 --init=false $IMAGE sh -c 'trap "" USR1; sleep 100; sleep 100' >/dev/null
	expect 0 cryopod stop -t 1 stubborn
	has stubborn
	[ "$(cryopod inspect --format '{{.State.ExitCode}}' stubborn)" = 137 ]
}

@test "kill: whoever was killed has ended, however long that takes" {
	# To die with so much memory takes longer than the next command to begin.
	cryopod run -d --name a --network none --tmpfs /big:size=300m $IMAGE sh -c 'head -c 200000000 /dev/zero >/big/x; echo filled; exec sleep 1000' >/dev/null
	wait_for 20 log_has a filled
	expect 0 cryopod kill a
	expect 0 cryopod rm a
	# A paused one, too.
	cryopod run -d --name a --network none $IMAGE sleep 1000 >/dev/null
	cryopod pause a
	expect 0 cryopod kill a
	expect 0 cryopod rm a
}

@test "wait: exit codes, --condition" {
	cryopod run -d --name a --network none $IMAGE sh -c 'exit 4' >/dev/null
	cryopod run -d --name b --network none $IMAGE sleep 100 >/dev/null
	expect 0 cryopod wait a
	is 4
	expect 0 cryopod wait --condition running b
	is -1
	cryopod wait b >"$BATS_TEST_TMPDIR/code" &
	cryopod kill -s TERM b >/dev/null || true
	cryopod kill -s KILL b >/dev/null
	wait $!
	[ "$(cat "$BATS_TEST_TMPDIR/code")" = 137 ]
}

@test "start: several, --attach, a program that is not there" {
	new x1 $IMAGE true >/dev/null
	new x2 $IMAGE sh -c 'echo hi; exit 6' >/dev/null
	new x3 $IMAGE nosuch >/dev/null
	expect 0 cryopod start x1 x2
	is $'x1\nx2'
	cryopod wait x2
	expect 6 cryopod start -a x2
	is hi
	expect 125 cryopod start x3
	has 'Error: unable to start container' 'exec: "nosuch": executable file not found in $PATH'
	[[ "$(cryopod ps -a --filter name=x3 --format '{{.Status}}')" == Created ]]
	expect 0 cryopod rm x1 x2 x3
	[ "$(sort <<<"$output" | xargs)" = "x1 x2 x3" ]
}

@test "container prune: what has ended or was never started; not what runs, is paused or frozen" {
	needs_engine
	cryopod run -d --name runs --network none $IMAGE sleep 1000 >/dev/null
	cryopod run -d --name held --network none $IMAGE sleep 1000 >/dev/null
	cryopod run -d --name frozen --network none $IMAGE sleep 1000 >/dev/null
	cryopod pause held >/dev/null
	cryopod container checkpoint frozen >/dev/null
	new=$(cryopod create --name new --network none $IMAGE true)
	cryopod run --name done --network none --label job=1 $IMAGE true
	done_id=$(cryopod inspect --format '{{.Id}}' done)
	expect 0 sh -c "echo n | $CP container prune"
	has "WARNING! This will remove all non running containers."
	expect 0 cryopod container prune -f --filter label=job
	is "$done_id"
	expect 0 cryopod container prune --force
	is "$new"
	[ "$(cryopod ps -a --format '{{.Names}}' | sort | tr '\n' ' ')" = "frozen held runs " ]
	expect 0 cryopod container restore frozen
	refuses 125 'accepts 0 arg(s), received 1' cryopod container prune x
}
