# SPDX-License-Identifier: Apache-2.0
# container checkpoint and restore: arguments, messages, files, states, statistics.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

checkpoint() { cryopod container checkpoint "$@"; }
restore() { cryopod container restore "$@"; }
dir_of() { cryopod inspect --format '{{.StaticDir}}' "$1"; }

@test "checkpoint: what is refused, in order" {
	cryopod create --name new --network none $IMAGE true >/dev/null
	refuses 125 '--all and --latest cannot be used together' checkpoint -a -l x
	refuses 125 'no arguments are needed with --all' checkpoint -a x
	refuses 125 '--latest and containers cannot be used together' checkpoint -l x
	refuses 125 'you must provide at least one name or id' checkpoint
	refuses 125 'no container with name or ID "foobar" found: no such container' checkpoint new foobar
	refuses 125 'unknown flag: --bogus' checkpoint --bogus
	has "See '$PROG container checkpoint --help'"
	refuses 125 '"created" is not running, cannot checkpoint: container state improper' checkpoint new
	expect 0 checkpoint -a
	is ""
	refuses 125 "unrecognized command \`$PROG checkpoint" cryopod checkpoint new
	if checkpoint --help | grep -q -- --export; then
		refuses 125 '--compress can only be used with --export' checkpoint --compress gzip foobar
		refuses 125 'selected compression algorithm ("bogus") not supported' checkpoint -e x --compress bogus foobar
		refuses 125 '--ignore-rootfs can only be used with --export' checkpoint --ignore-rootfs foobar
	fi
	cryopod rm new
	expect 125 checkpoint -l
	has 'no such container'
}

@test "restore: what is refused, in order" {
	cryopod create --name new --network none $IMAGE true >/dev/null
	refuses 125 '--all and --latest cannot be used together' restore -a -l x
	refuses 125 'no arguments are needed with --all' restore -a x
	refuses 125 '--all or --latest and containers cannot be used together' restore -l x
	refuses 125 'you must provide at least one name or id' restore
	refuses 125 'no such container or image: foobar' restore foobar
	refuses 125 "a complete checkpoint for this container cannot be found, cannot restore: stat $(dir_of new)/checkpoint/inventory.img: no such file or directory" restore new
	cryopod init new
	refuses 125 "is running or paused, cannot restore: container state improper" restore new
	expect 0 restore -a
	is ""
}

@test "states that cannot be checkpointed; --rm" {
	looper p
	cryopod pause p
	refuses 125 '"paused" is not running, cannot checkpoint: container state improper' checkpoint p
	cryopod unpause p
	cryopod kill p && cryopod wait p
	refuses 125 '"exited" is not running, cannot checkpoint: container state improper' checkpoint p
	looper r --rm
	refuses 125 "cannot checkpoint containers that have been started with '--rm' unless '--export' is used" checkpoint r
	state_is r running
}

@test "printed: names as typed, IDs for -a and -l; quiet success" {
	needs_engine
	looper a && looper b
	ida=$(cryopod inspect --format '{{.Id}}' a) idb=$(cryopod inspect --format '{{.Id}}' b)
	expect 0 checkpoint a "${idb:0:12}"
	is "a"$'\n'"${idb:0:12}"
	expect 0 restore "${ida:0:12}" b
	is "${ida:0:12}"$'\n'b
	expect 0 checkpoint -l
	is "$idb"
	expect 0 checkpoint --all
	is "$ida"
	expect 0 restore -l
	is "$idb"
	expect 0 restore -a
	is "$ida"
	goes_on a && goes_on b
}

@test "one that fails does not keep the others" {
	needs_engine
	looper a
	cryopod run --name done --network none $IMAGE true
	expect 125 checkpoint done a
	has 'Error: "exited" is not running, cannot checkpoint' $'\na'
	expect 125 restore done a
	has 'a complete checkpoint for this container cannot be found' $'\na'
	goes_on a
	# --all means those that have a checkpoint.
	expect 0 checkpoint a
	expect 0 restore -a
	is "$(cryopod inspect --format '{{.Id}}' a)"
	goes_on a
	# A name that is not known: nothing at all.
	expect 125 checkpoint a nosuch
	state_is a running
}

@test "a checkpointed container: exec, kill, pause refuse; rm needs no force" {
	needs_engine
	looper a
	checkpoint a
	refuses 125 'can only create exec sessions on running containers' cryopod exec a true
	refuses 125 "\"exited\" is not running, can't pause" cryopod pause a
	refuses 125 'is in state exited' cryopod kill a
	expect 0 cryopod ps -a --format '{{.Status}}'
	[[ "$output" == "Exited ("* ]]
	expect 0 cryopod rm a
	looper b
	checkpoint b && restore b
	refuses 2 'as it is running' cryopod rm b
}
