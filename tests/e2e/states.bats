# SPDX-License-Identifier: Apache-2.0
# What each state of a container refuses; names and IDs.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

new() { cryopod create --network none --name "$@"; }

@test "created: what is refused" {
	id=$(new c $IMAGE sleep 100)
	refuses 125 "can only kill running containers. $id is in state created: container state improper" cryopod kill c
	refuses 125 'you can only attach to running containers' cryopod attach c
	refuses 125 'top can only be used on running containers' cryopod top c
	refuses 125 "\"created\" is not running, can't pause: container state improper" cryopod pause c
	refuses 125 '"created" is not running, cannot checkpoint: container state improper' cryopod container checkpoint c
	expect 0 cryopod stop c
	expect 0 cryopod logs c
	is ""
}

@test "running: what is refused" {
	id=$(cryopod run -d --name c --network none $IMAGE sleep 100)
	refuses 2 "cannot remove container $id as it is running - running or paused containers cannot be removed without force: container state improper" cryopod rm c
	refuses 125 "container $id is running or paused, cannot restore: container state improper" cryopod container restore c
	refuses 125 "\"$id\" is not paused, can't unpause: container state improper" cryopod unpause c
	refuses 125 'invalid signal: BOGUS' cryopod kill -s BOGUS c
	refuses 125 'valid signals are 1 through 64' cryopod kill -s 99 c
	expect 0 cryopod start c
	[ "$(cryopod inspect --format '{{.State.Running}}' "$id")" = true ]
}

@test "exited: what is refused" {
	id=$(cryopod run -d --name c --network none $IMAGE true)
	cryopod wait c
	refuses 125 "can only kill running containers. $id is in state exited: container state improper" cryopod kill c
	refuses 125 "\"exited\" is not running, can't pause: container state improper" cryopod pause c
	refuses 125 'top can only be used on running containers' cryopod top c
	expect 0 cryopod stop c
	is c
	expect 0 cryopod rm c
}

@test "rename" {
	new x1 $IMAGE true >/dev/null
	id2=$(new x2 $IMAGE true)
	expect 0 cryopod rename x1 x3
	[ "$(cryopod inspect --format '{{.Name}}' x3)" = x3 ]
	expect 1 cryopod container exists x1
	refuses 125 'name x2 already in use' cryopod rename x3 x2
	[ "$(cryopod inspect --format '{{.Id}}' x2)" = "$id2" ]
	refuses 125 'accepts 2 arg(s), received 1' cryopod rename x3
}

@test "-l, -a, IDs and unique prefixes" {
	id=$(cryopod run -d --name a --network none $IMAGE sleep 100)
	id2=$(cryopod run -d --name b --network none $IMAGE sleep 100)
	[ "$(cryopod inspect --format '{{.Name}}' -l)" = b ]
	[ "$(cryopod inspect --format '{{.Name}}' "${id:0:12}")" = a ]
	[ "$(cryopod inspect --format '{{.Name}}' "${id:0:20}")" = a ]
	expect 0 cryopod kill -l
	is "$id2"
	cryopod wait b
	expect 0 cryopod kill -a
	is "$id"
	cryopod wait a
	expect 0 cryopod rm -a
	[ "$(sort <<<"$output")" = "$(printf '%s\n' "$id" "$id2" | sort)" ]
}
