# SPDX-License-Identifier: Apache-2.0
# inspect: JSON and Go templates.

load ../lib/helpers
setup_file() {
	engine_setup
	cryopod run -d --name c --network none --label role=web --label a=b -e A=1 $IMAGE sleep 1000 >/dev/null
	cryopod run --name gone --network none $IMAGE sh -c 'exit 3' || true
	cryopod create --name new --network none --label role=db $IMAGE true >/dev/null
}
teardown_file() { engine_teardown; }

@test "inspect: JSON as scripts expect it" {
	expect 0 cryopod inspect c
	json=$output
	[[ "${lines[1]}" == "     {" ]]
	q() { jq -r ".[0] | $1" <<<"$json"; }
	[ "$(q '[.Name, .Path, (.Args | join(" ")), .ImageName, .State.Status] | join(" ")')" = "c sleep 1000 localhost/busybox:latest running" ]
	[ "$(q '[.State.Running, .State.Paused, .State.ExitCode, .RestartCount, .Config.Tty] | map(tostring) | join(" ")')" = "true false 0 0 false" ]
	[ "$(q .Image)" = "$(cryopod image inspect --format '{{.Id}}' $IMAGE)" ]
	[ "$(q .HostConfig.NetworkMode)" = none ]
	[ -d "/proc/$(q .State.Pid)" ] && [ -d "/proc/$(q .State.ConmonPid)" ]
	[ -f "$(q .HostConfig.LogConfig.Path)" ] && [ -f "$(q .OCIConfigPath)" ] && [ -f "$(q .PidFile)" ] && [ -f "$(q .ConmonPidFile)" ]
	[[ "$(q .StaticDir)" == "$CP_ROOT/overlay-containers/$(q .Id)/userdata" ]]
	[[ "$(q .Created)" =~ ^20.*T.*(Z|\+|-) ]]
	[ "$(q .State.FinishedAt)" = "0001-01-01T00:00:00Z" ]
	[ "$(q '.Config.Labels | tojson')" = '{"a":"b","role":"web"}' ]
	[ "$(q '.Config.Env | map(select(startswith("A="))) | join("")')" = A=1 ]
	[ "$(q '.BoundingCaps | index("CAP_CHOWN") != null')" = true ]
	[ "$(q .GraphDriver.Name)" = overlay ]
	# Absent unless there is a checkpoint.
	[ "$(q '[.State.Checkpointed, .State.CheckpointPath, .State.Restored] | map(. // "absent") | join(" ")')" = "absent absent absent" ]
}

@test "inspect: several, unknown ones, --type" {
	expect 0 cryopod inspect c gone
	[ "$(jq -r 'map(.Name) | join(" ")' <<<"$output")" = "c gone" ]
	expect 125 cryopod inspect nosuch
	has '[]' 'Error:' 'no such object: "nosuch"'
	expect 125 cryopod container inspect nosuch
	has 'no such container'
	expect 125 cryopod inspect c nosuch
	has '"Name": "c"' 'nosuch'
	refuses 125 'no names or ids specified' cryopod inspect
	expect 0 cryopod inspect --type container --format '{{.Name}}' c
	expect 0 cryopod inspect --format '{{index .RepoTags 0}}' $IMAGE
	is $IMAGE
}

@test "inspect: Go templates" {
	while IFS=@ read -r template want; do
		expect 0 cryopod inspect --format "$template" c
		is "$want"
	done <<-'END'
	{{.Name}} {{.State.Status}} {{.State.ExitCode}}@c running 0
	{{.Config.Cmd}} {{json .Config.Cmd}}@[sleep 1000] ["sleep","1000"]
	{{range .Config.Cmd}}<{{.}}>{{end}}@<sleep><1000>
	{{range $i, $e := .Args}}{{$i}}={{$e}}{{end}}@0=1000
	{{if .State.Running}}yes{{else}}no{{end}} {{if eq .State.Status "exited"}}a{{else if .Config.Tty}}b{{else}}c{{end}}@yes c
	{{index .Config.Labels "role"}} {{.Config.Labels.role}} {{.Config.Labels}}@web web map[a:b role:web]
	{{len .Mounts}} {{.Mounts}} {{upper .Name}} {{printf "%s-%03d" .Name .State.ExitCode}}@0 [] C c-000
	{{with .State}}{{.Status}}{{end}}{{/* nothing */}} {{- "x" -}} y@runningxy
	{{.HostConfig.PortBindings}} {{.HostConfig.ReadonlyRootfs}} {{and .State.Running "t"}} {{not .State.Running}}@map[] false t false
	{{slice .Name 0 1}} {{join .Config.Cmd "+"}} {{ne 1 2}} {{lt 1 2}} {{.State.Paused | printf "%v"}}@c sleep+1000 true true false
	END
	[[ "$(cryopod inspect --format '{{.Created}}' c)" =~ ^20[0-9-]+\ [0-9:.]+\ [+-][0-9]{4}\ [A-Z+0-9-]+$ ]]
	expect 0 cryopod inspect --format 'a\tb' c
	is $'a\tb'
	expect 125 cryopod inspect --format '{{.XYZ}}' c
	has "template: inspect:1:" "executing \"inspect\" at <.XYZ>: can't evaluate field XYZ"
	expect 125 cryopod inspect --format '{{.Name' c
	has Error:
}
