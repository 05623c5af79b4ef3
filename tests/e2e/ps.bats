# SPDX-License-Identifier: Apache-2.0
# ps, top, info, version, help: tables, filters, formats.

load ../lib/helpers
setup_file() {
	engine_setup
	cryopod run -d --name c --network none --label role=web --label a=b -e A=1 $IMAGE sleep 1000 >/dev/null
	cryopod run --name gone --network none $IMAGE sh -c 'exit 3' || true
	cryopod create --name new --network none --label role=db $IMAGE true >/dev/null
}
teardown_file() { engine_teardown; }

@test "ps: the default table" {
	id=$(cryopod inspect --format '{{.Id}}' c)
	expect 0 cryopod ps
	[[ "${lines[0]}" =~ ^CONTAINER\ ID\ \ IMAGE\ +COMMAND\ +CREATED\ +STATUS\ +PORTS\ +NAMES$ ]]
	[[ "${lines[1]}" =~ ^${id:0:12}\ \ localhost/busybox:latest\ \ sleep\ 1000\ +[A-Z0-9].*ago\ +Up\ .*c$ ]]
	[ "${#lines[@]}" -eq 2 ]
	# Columns begin below their headers.
	for column in IMAGE COMMAND CREATED STATUS NAMES; do
		at=${lines[0]%%"$column"*}
		[[ "${lines[1]:$((${#at} - 2)):2}" == "  " && "${lines[1]:${#at}:1}" != " " ]]
	done
	expect 0 cryopod ps -a --noheading
	[ "${#lines[@]}" -eq 3 ]
	has 'Exited (3) ' 'Created ' 'sh -c exit 3'
	refuses 125 "\`$PROG ps\` takes no arguments" cryopod ps foo
}

@test "ps: -q, --no-trunc, -l, --last, --sort" {
	id=$(cryopod inspect --format '{{.Id}}' c)
	expect 0 cryopod ps -q
	is "${id:0:12}"
	expect 0 cryopod ps -q --no-trunc
	is "$id"
	expect 0 cryopod ps -aq
	[ "${#lines[@]}" -eq 3 ]
	expect 0 cryopod ps -l --format '{{.Names}}'
	is new
	expect 0 cryopod ps -a --last 2 --format '{{.Names}}'
	[ "$(sort <<<"$output" | xargs)" = "gone new" ]
	expect 0 cryopod ps -a --sort names --format '{{.Names}}'
	is $'c\ngone\nnew'
	expect 0 cryopod ps -a --no-trunc --format 'table {{.ID}} {{.Names}}'
	[[ "${lines[0]}" =~ ^CONTAINER\ ID\ +NAMES$ && "${lines[1]}" == "$id  c" ]]
	expect 125 cryopod ps --sort bogus
	has 'is not a valid value'
}

@test "ps: filters" {
	for f in "status=running c" "status=exited gone" "status=created new" "name=^c$ c" "name=go gone" "label=role=db new" \
		"label=a c" "exited=3 gone"; do
		expect 0 cryopod ps -a --filter "${f% *}" --format '{{.Names}}'
		is "${f##* }"
	done
	expect 0 cryopod ps -a --filter "id=$(cryopod ps -lq)" --format '{{.Names}}'
	is new
	expect 0 cryopod ps -a --filter since=c --format '{{.Names}}'
	is $'gone\nnew'
	expect 0 cryopod ps -a --filter before=gone --format '{{.Names}}'
	is c
	expect 0 cryopod ps -a --filter ancestor=$IMAGE --filter status=running --filter status=exited --format '{{.Names}}'
	is $'c\ngone'
	refuses 125 'bogus is an invalid filter' cryopod ps --filter bogus=1
	refuses 125 'bogus: invalid argument' cryopod ps --filter status=bogus
}

@test "ps: json and templates" {
	expect 0 cryopod ps -a --format json
	[ "$(jq -r 'map(.Names[0] + ":" + .State) | sort | join(" ")' <<<"$output")" = "c:running gone:exited new:created" ]
	[ "$(jq -r '.[] | select(.Names[0] == "c") | .Command | join(" ")' <<<"$output")" = "sleep 1000" ]
	[ "$(jq -r '.[] | select(.Names[0] == "gone") | [.ExitCode, .Exited, .Pid, .Ports] | map(tostring) | join(" ")' <<<"$output")" = "3 true 0 null" ]
	[ "$(jq -r '.[] | select(.Names[0] == "c") | .Labels.role' <<<"$output")" = web ]
	expect 0 cryopod ps --format '{{.ID}}|{{.Image}}|{{.Command}}|{{.Names}}|{{.Ports}}|{{.Pid}}|{{.IsInfra}}|{{.ExitCode}}|{{.AutoRemove}}'
	[[ "$output" =~ ^[0-9a-f]{12}\|localhost/busybox:latest\|sleep\ 1000\|c\|\|[1-9][0-9]*\|false\|0\|false$ ]]
	expect 0 cryopod ps --ns
	[[ "${lines[0]}" =~ ^CONTAINER\ ID\ \ NAMES\ +PID\ +CGROUPNS\ +IPC\ +MNT\ +NET\ +PIDNS\ +USERNS\ +UTS$ ]]
	refuses 125 'template: ps:1:' cryopod ps --format '{{.XYZ}}'
	has "can't evaluate field XYZ"
	[ "$PROG" = podman ] || expect 0 cryopod ps --format '{{.Label "role"}} {{.Label "none"}}|' # main only
	[ "$PROG" = podman ] || is "web |"
}

@test "ps -s: sizes" {
	expect 0 cryopod ps -as --format '{{.Names}} {{.Size}}'
	[[ "${lines[0]}" =~ ^c\ [0-9.]+k?B\ \(virtual\ [0-9.]+MB\)$ ]]
}

@test "top" {
	expect 0 cryopod top c
	[[ "${lines[0]}" =~ ^USER\ +PID\ +PPID\ +%CPU\ +ELAPSED\ +TTY\ +TIME\ +COMMAND$ ]]
	[[ "${lines[1]}" =~ ^root\ +1\ +0\ +.*sleep\ 1000\ *$ ]]
	refuses 125 'you must provide the name or id of a running container' cryopod top
	refuses 125 'top can only be used on running containers' cryopod top gone
}

@test "info and version" {
	expect 0 cryopod info --format '{{.Host.OCIRuntime.Name}} {{.Store.GraphDriverName}} {{.Store.GraphRoot}} {{.Store.RunRoot}}'
	[[ "$output" =~ ^(runc|crun)\ overlay\ $CP_ROOT\ $CP_RUN$ ]]
	expect 0 cryopod info
	has 'host:' 'store:' 'version:' "graphRoot: $CP_ROOT"
	expect 0 cryopod --version
	[[ "$output" =~ ^$PROG\ version\ [0-9]+\.[0-9]+ ]]
	expect 0 cryopod version
	has 'Version:' 'OS/Arch:'
}

@test "help names every command; unknown ones are refused" {
	expect 0 cryopod --help
	for c in run create start stop kill rm ps exec attach logs inspect images pull import load tag rmi top port wait \
		restart rename mount 'un?mount' init info version container image; do
		grep -qE "^ +$c +[A-Z]" <<<"$output" || { echo "no $c"; false; }
		expect_help "${c/\?/}"
	done
	refuses 125 "unrecognized command \`$PROG frobnicate\`" cryopod frobnicate
	has "Try '$PROG --help' for more information"
	refuses 125 "unrecognized command \`$PROG container frobnicate\`" cryopod container frobnicate
	refuses 125 "missing command" cryopod checkpoint
}

expect_help() {
	run cryopod "$1" --help
	[ "$status" -eq 0 ] && [[ "$output" == *"$PROG $1"* ]]
	output=$(cryopod --help)
}
