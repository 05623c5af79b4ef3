# SPDX-License-Identifier: Apache-2.0
# What happened, and what happens.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() {
	engine_clear
	cryopod volume rm -fa >/dev/null
}
teardown_file() { engine_teardown; }

@test "a container's life, in order" {
	cryopod run -d --name w1 --label colour=blue busybox sleep 100 >/dev/null
	cryopod container checkpoint w1
	cryopod container restore w1
	cryopod rm -f -t 0 w1
	expect 0 cryopod events --stream=false --filter container=w1 --format '{{.Status}}'
	is "$(printf '%s\n' create init start checkpoint cleanup restore died cleanup remove)"
	expect 0 cryopod events --stream=false --filter event=restore
	[[ "$output" =~ ^[0-9-]+\ [0-9:.]+\ \+0000\ UTC\ container\ restore\ [0-9a-f]{64}\ \(image=[^\ ]*,\ name=w1,\ colour=blue\)$ ]]
	expect 0 cryopod events --stream=false --filter event=restore --no-trunc=false
	[[ "$output" =~ \ container\ restore\ [0-9a-f]{12}\ \( ]]
	expect 0 cryopod events --stream=false --filter label=colour=blue --filter event=died --format json
	[ "$(jq -r '"\(.Name) \(.Status) \(.ContainerExitCode) \(.Attributes.colour)"' <<<"$output")" = "w1 died 137 blue" ]
	[ "$(jq '.timeNano / 1000000000 | floor == $t' --argjson t "$(jq .time <<<"$output")" <<<"$output")" = true ]
}

@test "filters: one value of each kind is enough, every kind must match; times" {
	cryopod create --name x1 busybox true >/dev/null
	cryopod create --name y1 busybox true >/dev/null
	cryopod create --name z1 busybox true >/dev/null
	cryopod volume create v >/dev/null
	cryopod volume rm v >/dev/null
	cryopod network create n >/dev/null
	cryopod network rm n >/dev/null
	expect 0 cryopod events --stream=false --filter container=x1 --filter container=y1 --filter event=create --format '{{.Name}}'
	is $'x1\ny1'
	expect 0 cryopod events --stream=false --filter type=volume --filter type=network --format '{{.Type}} {{.Status}} {{.Name}}'
	is $'volume create v\nvolume remove v\nnetwork create n\nnetwork remove n'
	expect 0 cryopod events --since 1h --until 0s --filter image=busybox --filter type=container --filter event=create --filter container=x1 --filter container=y1 --filter container=z1 --format '{{.Name}}'
	is $'x1\ny1\nz1'
	expect 0 cryopod events --stream=false --until 1h
	is ""
	refuses 125 'failed to parse event filters: colour is an invalid filter' cryopod events --filter colour=blue
	refuses 125 'unable to interpret time value "soon"' cryopod events --until soon
}

@test "Docker's names of events" {
	cryopod run -d --name d1 busybox sleep 100 >/dev/null
	cryopod rm -f -t 0 d1
	cryopod volume create dv >/dev/null
	cryopod volume rm dv >/dev/null
	cryopod network create dn >/dev/null
	cryopod network rm dn >/dev/null
	cryopod create --name d2 busybox true >/dev/null
	cryopod commit -q d2 d:2 >/dev/null
	cryopod rm d2
	cryopod rmi d:2 >/dev/null
	expect 0 cryopod events --stream=false --filter event=die --filter container=d1 --format '{{.Status}}'
	is died
	expect 0 cryopod events --stream=false --filter event=destroy --format '{{.Type}} {{.Status}} {{.Name}}'
	has 'container remove d1'
	has 'volume remove dv'
	has 'network remove dn'
	[[ $output != *image* ]]
	expect 0 cryopod events --stream=false --filter event=delete --format '{{.Type}} {{.Status}}'
	is 'image remove'
}

@test "a stream shows what comes, nothing of before" {
	cryopod volume create old >/dev/null
	coproc stream { exec "$CP" events --filter type=volume --format '{{.Status}} {{.Name}}' 2>&1; }
	pid=$stream_PID
	# It watches before it asks for the newest event: with a watch it is ready for all that follows.
	until grep -qs inotify "/proc/$pid/fdinfo/"*; do kill -0 "$pid"; done
	for i in 1 2 3 4 5; do
		cryopod volume create "v$i" >/dev/null
		read -r -t 20 -u "${stream[0]}" line
		case $line in
		"create old") read -r -t 20 -u "${stream[0]}" line ;;
		esac
		[ "$line" = "create v$i" ]
		cryopod volume rm "v$i" >/dev/null
		read -r -t 20 -u "${stream[0]}" line
		[ "$line" = "remove v$i" ]
	done
	kill "$pid"
}
