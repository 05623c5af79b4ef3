# SPDX-License-Identifier: Apache-2.0
# Checkpoints as images: checkpoint --create-image, restore IMAGE, run IMAGE, push and pull.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() {
	engine_clear
	cryopod volume rm -fa >/dev/null 2>&1 || true
	cryopod images --format '{{.ID}} {{.Repository}}' | awk '$2 != "localhost/busybox" {print $1}' | sort -u |
		while read -r id; do cryopod rmi -f "$id" >/dev/null; done
}
teardown_file() { engine_teardown; }

checkpoint() { cryopod container checkpoint "$@"; }
restore() { cryopod container restore "$@"; }

@test "--create-image, rm, restore: annotations of Podman and CRI-O" {
	needs_engine
	looper a -v data:/data
	id=$(cryopod inspect --format '{{.Id}}' a)
	cryopod exec a sh -c 'echo x >/root/f; echo v >/data/f'
	expect 0 checkpoint --create-image warm a
	is a
	expect 0 cryopod images --format '{{.Repository}} {{.Tag}}'
	has "localhost/warm latest"
	for k in io.podman.annotations.checkpoint.name io.kubernetes.cri-o.annotations.checkpoint.name; do
		expect 0 cryopod image inspect --format "{{index .Annotations \"$k\"}}" warm
		is a
	done
	expect 0 cryopod image inspect --format '{{index .Annotations "io.podman.annotations.checkpoint.runtime.name"}}' warm
	is runc
	expect 0 cryopod image inspect --format '{{index .Annotations "io.podman.annotations.checkpoint.rootfsImageName"}} {{index .Annotations "io.podman.annotations.checkpoint.host.arch"}}' warm
	is "$IMAGE amd64"
	cryopod rm a >/dev/null
	cryopod volume rm data >/dev/null
	expect 0 restore warm
	is "$id"
	expect 0 cryopod exec a cat /root/f /data/f
	is $'x\nv'
	# Not its log: that is the old container's.
	n=$(last_number a)
	[ "$(cryopod logs a | head -1)" -ge 2 ]
	wait_for 10 log_reaches a $((n + 2))
}

@test "several copies of one image, two images at once, run" {
	needs_engine
	looper a && looper b
	expect 0 checkpoint -R --create-image one a
	expect 0 checkpoint -R --create-image two b
	state_is a running
	for n in c d e f; do
		expect 0 restore --name $n one
		is "$(cryopod inspect --format '{{.Id}}' $n)"
	done
	[ "$(cryopod ps -q | wc -l)" -eq 6 ]
	refuses 125 '--name can only be used with one checkpoint image' restore --name g one two
	refuses 125 'unable to import checkpoint from image: "one": creating container storage: that ID is already in use' restore one
	cryopod rm -fa -t 0 >/dev/null
	expect 0 restore one two
	[ "$(grep -cE "$ID64" <<<"$output")" -eq 2 ]
	[ "$(cryopod ps --format '{{.Names}}' | sort | tr '\n' ' ')" = "a b " ]
	expect 0 cryopod run --name again one
	is ""
	state_is again running
	expect 0 cryopod run -d --name more two
	[[ "$output" =~ $ID64 ]]
	expect 126 cryopod run --name more two
	has "Failed to restore checkpoint image two"
	# The image may go while they run.
	expect 0 cryopod rmi one
	n=$(last_number again)
	wait_for 10 log_reaches again $((n + 2))
}

@test "arguments, names, ordinary images" {
	needs_engine
	looper a
	refuses 125 'invalid reference format' checkpoint --create-image '::' a
	refuses 125 'repository name must be lowercase' checkpoint --create-image 'UPPER' a
	refuses 125 '--export and --create-image cannot be used together' checkpoint --create-image x -e "$BATS_TEST_TMPDIR/x" a
	refuses 125 '--ignore-rootfs can only be used with --export' checkpoint --create-image x --ignore-rootfs a
	goes_on a
	[ "$(cryopod images -q | wc -l)" -eq 1 ]
	refuses 125 "image is not a checkpoint: $(cryopod image inspect --format '{{.Id}}' $IMAGE)" restore $IMAGE
	refuses 125 'no such container or image: nosuch' restore nosuch
	# Taken twice under one name: the old one has none any more.
	expect 0 checkpoint -R --create-image x a
	expect 0 checkpoint -R --create-image x a
	expect 0 cryopod images --format '{{.Repository}}'
	has '<none>'
	ln -s "$(command -v runc || echo /usr/sbin/runc)" "$BATS_TEST_TMPDIR/other"
	refuses 125 'requires runtime: "runc"' cryopod --runtime "$BATS_TEST_TMPDIR/other" container restore --name y x
	# A container with the name of the image is what is meant.
	expect 0 checkpoint a
	cryopod rename a x
	expect 0 restore x
	is x
	cryopod rm -f -t 0 x >/dev/null
	refuses 125 'no command or entrypoint provided, and no CMD or ENTRYPOINT from image' cryopod create x
	cryopod run -d --rm --name r --network none $IMAGE sleep 100 >/dev/null
	refuses 125 "cannot checkpoint containers that have been started with '--rm' unless '--export' is used" checkpoint --create-image y r
}

@test "through a registry: pushed, pulled, restored" {
	needs_engine
	W=$BATS_TEST_TMPDIR REG=127.0.0.1:5056
	cat >"$W/config.yml" <<-END
	version: 0.1
	log: {level: error}
	storage: {filesystem: {rootdirectory: $W/data}, delete: {enabled: true}, cache: {}}
	http: {addr: $REG}
	END
	docker-registry serve "$W/config.yml" >"$W/log" 2>&1 3>&- &
	pid=$!
	wait_for 20 curl -sf "http://$REG/v2/"
	looper a
	cryopod exec a sh -c 'echo x >/root/f'
	expect 0 checkpoint --create-image warm a
	expect 0 cryopod push -q --tls-verify=false warm "docker://$REG/warm:v1"
	cryopod rm a >/dev/null
	cryopod rmi warm >/dev/null
	# What is not here yet is a checkpoint, too; but nothing is fetched for a name that is taken.
	cat >"$W/registries.conf" <<-END
	unqualified-search-registries = ["$REG"]
	short-name-mode = "permissive"
	[[registry]]
	location = "$REG"
	insecure = true
	END
	export CONTAINERS_REGISTRIES_CONF=$W/registries.conf
	looper taken
	refuses 125 'the container name "taken" is already in use' cryopod run --name taken warm:v1
	[ "$(cryopod images -q | wc -l)" -eq 1 ]
	expect 0 cryopod run -d --name b warm:v1
	[[ "${lines[-1]}" =~ $ID64 ]]
	expect 0 cryopod exec b cat /root/f
	is x
	cryopod rmi "$REG/warm:v1" >/dev/null
	expect 0 cryopod run -q --tls-verify=false --name c "docker://$REG/warm:v1"
	is ""
	state_is c running
	cryopod rm -f -t 0 b c taken >/dev/null
	cryopod rmi "$REG/warm:v1" >/dev/null
	# Another host: other roots, where there is the container's image and nothing else; what others
	# have changed is told by what they call it, and of several images each is one container.
	expect 0 cryopod pull -q --tls-verify=false "docker://$REG/warm:v1"
	skopeo copy -q --src-tls-verify=false --dest-compress-format zstd "docker://$REG/warm:v1" "oci:$W/layout:zstd"
	export CP_ROOT=$W/otherroot CP_RUN=$W/otherrun
	refuses 125 'no such container or image' restore "$REG/warm:v1"
	expect 0 cryopod pull -q --tls-verify=false "$REG/warm:v1"
	refuses 125 "$IMAGE: image not known" restore "$REG/warm:v1"
	[ -z "$(cryopod ps -aq)" ]
	cryopod import -q "$BATS_FILE_TMPDIR/busybox.tar" busybox >/dev/null
	expect 0 cryopod pull -q "oci:$W/layout:zstd"
	second=${lines[-1]}
	expect 0 restore "$REG/warm:v1"
	refuses 125 'that ID is already in use' restore "$second"
	expect 0 restore --name two "$second"
	for c in a two; do
		expect 0 cryopod exec $c cat /root/f
		is x
	done
	cryopod rm -fa -t 0 >/dev/null
	cryopod rmi -fa >/dev/null
	unset CONTAINERS_REGISTRIES_CONF
	export CP_ROOT=$BATS_FILE_TMPDIR/root CP_RUN=$BATS_FILE_TMPDIR/run
	expect 0 restore "$REG/warm:v1"
	expect 0 cryopod exec a cat /root/f
	is x
	n=$(last_number a)
	wait_for 10 log_reaches a $((n + 2))
	kill $pid
	wait $pid || true
}
