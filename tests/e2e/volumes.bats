# SPDX-License-Identifier: Apache-2.0
# Volumes: create, ls, inspect, exists, rm, prune, and the containers that use them.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() {
	engine_clear
	cryopod volume rm -fa >/dev/null
}
teardown_file() { engine_teardown; }

@test "a volume is created once, and known by name" {
	expect 0 cryopod volume create --label use=test data
	is data
	refuses 125 'volume with name data already exists: volume already exists' cryopod volume create data
	refuses 125 'running volume create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument' cryopod volume create a/b
	expect 0 cryopod volume create
	[[ "$output" =~ $ID64 ]]
	id=$output
	expect 0 cryopod volume ls
	has "DRIVER      VOLUME NAME"
	has "local       data"
	expect 0 cryopod volume ls -q --filter label=use=test
	is data
	expect 0 cryopod volume ls -q --filter name=^dat
	is data
	expect 0 cryopod volume inspect data --format '{{.Name}} {{.Driver}} {{.Labels.use}} {{.NeedsCopyUp}}'
	is "data local test true"
	expect 0 cryopod volume exists data
	expect 1 cryopod volume exists dat
	expect 0 cryopod volume rm data "$id"
	expect 1 cryopod volume exists data
	expect 0 cryopod volume ls
	is ""
}

@test "the image's content goes into a fresh volume, and only once" {
	cryopod volume create etc
	expect 0 cryopod run --rm --network none -v etc:/etc busybox ls /etc
	has passwd
	expect 0 cryopod volume inspect etc --format '{{.NeedsCopyUp}}'
	is false
	cryopod run --rm --network none -v etc:/etc busybox rm /etc/group
	expect 0 cryopod run --rm --network none -v etc:/etc busybox ls /etc
	is passwd
}

@test "what somebody has put into a fresh volume is left alone" {
	cryopod volume create mine
	at=$(cryopod volume inspect mine --format '{{.Mountpoint}}')
	echo hello >"$at/mine"
	expect 0 cryopod run --rm --network none -v mine:/etc busybox ls /etc
	is mine
}

@test "a volume in use stays, with --force its containers go first" {
	cryopod run -d --name user --network none -v data:/data -v /scratch busybox sleep 1000
	id=$(cryopod inspect user --format '{{.Id}}')
	anonymous=$(cryopod inspect user --format '{{range .Mounts}}{{.Name}} {{end}}')
	anonymous=${anonymous/data /}
	refuses 2 "volume data is being used by the following container(s): $id: volume is being used" cryopod volume rm data
	expect 0 cryopod volume ls -q --filter dangling=true
	is ""
	expect 0 cryopod volume prune --force
	is ""
	expect 0 cryopod volume rm -f -t 0 data
	is data
	expect 1 cryopod container exists user
	refuses 1 'no volume with name "data" found: no such volume' cryopod volume rm data
	expect 0 cryopod volume rm -f data
	expect 0 cryopod volume prune -f
	is "${anonymous% }"
}

@test "a container's own volumes go with rm -v and --rm" {
	cryopod run --rm --network none -v /scratch busybox true
	cryopod create --name made --network none -v /scratch -v kept:/kept busybox true
	cryopod rm -v made
	expect 0 cryopod volume ls -q
	is kept
}

@test "what was asked for wrongly" {
	refuses 125 'choose either one or more volumes or all' cryopod volume rm
	refuses 125 'provide one or more volume names or use --all' cryopod volume inspect
	refuses 125 '"bogus" is an invalid volume filter' cryopod volume ls --filter bogus=1
	refuses 125 'volume driver nfs: the only driver is local' cryopod volume create -d nfs x
	run cryopod volume inspect nosuch
	[ "$status" -eq 125 ]
	has "Error: inspecting object: no such volume nosuch"
}

@test "a volume's content outlives checkpoint and restore" {
	cryopod run -d --name w --network none -v data:/data busybox sh -c "$(printf 'while true; do date >>/data/log; sleep 0.05; done')"
	at=$(cryopod volume inspect data --format '{{.Mountpoint}}')
	wait_for 10 test -s "$at/log"
	cryopod container checkpoint w
	n=$(wc -l <"$at/log")
	refuses 2 "$(printf 'volume data is being used by the following container(s): %s: volume is being used' "$(cryopod inspect w --format '{{.Id}}')")" cryopod volume rm data
	cryopod container restore w
	wait_for 10 sh -c "[ \$(wc -l <'$at/log') -gt $n ]"
}
