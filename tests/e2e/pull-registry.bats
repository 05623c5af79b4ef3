# SPDX-License-Identifier: Apache-2.0
# pull: from a real registry on loopback, from layouts and archives; what is broken is refused.

load ../lib/helpers

setup_file() {
	engine_setup
	# Images from layouts are named after the path: it has to be in lower case.
	export REG=127.0.0.1:5055 W
	W=$(tr '[:upper:]' '[:lower:]' <<<"/tmp/cryopod-registry.${BATS_RUN_TMPDIR##*/}.$$")
	mkdir "$W"
	cat >"$W/config.yml" <<-END
	version: 0.1
	log: {level: error}
	storage: {filesystem: {rootdirectory: $W/data}, delete: {enabled: true}, cache: {}}
	http: {addr: $REG}
	END
	docker-registry serve "$W/config.yml" >"$W/log" 2>&1 3>&- &
	echo $! >"$W/pid"
	# A layer that the store does not have yet.
	cp "$BATS_FILE_TMPDIR/busybox.tar" "$W/base.tar"
	tar -C "$W" -rf "$W/base.tar" config.yml
	make_oci_layout "$W/layout" v1 "$W/base.tar"
	wait_for 20 curl -sf "http://$REG/v2/"
	push tiny:v1
	cat >"$W/registries.conf" <<-END
	unqualified-search-registries = ["$REG"]
	short-name-mode = "permissive"
	[[registry]]
	location = "$REG"
	insecure = true
	[aliases]
	"nick" = "$REG/tiny"
	END
}
teardown() {
	engine_clear
	cryopod images --format '{{.ID}} {{.Repository}}' | awk '$2 != "localhost/busybox" {print $1}' | sort -u |
		while read -r id; do cryopod rmi -f "$id" >/dev/null; done
}
teardown_file() {
	kill "$(cat "$W/pid")"
	wait_for 5 bash -c "! kill -0 $(cat "$W/pid")"
	rm -rf "$W"
	engine_teardown
}

push() { skopeo copy -q --dest-tls-verify=false "oci:$W/layout:v1" "docker://$REG/$1"; }
layer_digest() { jq -r '.layers[0].digest' "$W/layout/blobs/sha256/$(jq -r '.manifests[0].digest' "$W/layout/index.json" | cut -d: -f2)" | cut -d: -f2; }
works() {
	expect 0 cryopod run --rm --network none "$1" sh -c 'echo $ORIGIN'
	is layout
}

@test "docker://: pulled, named, and run" {
	run --separate-stderr cryopod pull --tls-verify=false "docker://$REG/tiny:v1"
	echo "$output / $stderr"
	[ "$status" -eq 0 ]
	[[ "$output" =~ $ID64 ]]
	id=$output
	expect 0 cryopod images --format '{{.Repository}}:{{.Tag}}'
	has "$REG/tiny:v1"
	works "$REG/tiny:v1"
	works tiny:v1
	expect 0 cryopod image inspect --format '{{.Id}} {{index .Labels "kind"}} {{index .RepoDigests 0}}' "$REG/tiny:v1"
	[[ "$output" == "$id test $REG/tiny@sha256:"* ]]
	expect 0 cryopod pull -q --tls-verify=false "$REG/tiny:v1"
	is "$id"
}

@test "by digest; several in one command; latest is the default tag" {
	push many
	expect 0 cryopod pull -q --tls-verify=false "$REG/tiny:v1" "$REG/many"
	[ "${#lines[@]}" -eq 2 ]
	expect 0 cryopod images --format '{{.Repository}}:{{.Tag}}'
	has "$REG/tiny:v1" "$REG/many:latest"
	digest=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$REG/tiny:v1")
	expect 0 cryopod pull -q --tls-verify=false "$REG/tiny@$digest"
	works "$REG/tiny@$digest"
}

@test "short names: an alias, then the search list; run and create pull what is missing" {
	export CONTAINERS_REGISTRIES_CONF=$W/registries.conf
	expect 0 cryopod pull -q nick:v1
	expect 0 cryopod images --format '{{.Repository}}:{{.Tag}}'
	has "$REG/tiny:v1"
	cryopod rmi "$REG/tiny:v1"
	expect 0 cryopod create --name c --network none tiny:v1
	expect 0 cryopod inspect --format '{{.ImageName}}' c
	is "$REG/tiny:v1"
	expect 125 cryopod run --pull=never --network none other:v9 true
	has 'other:v9'
	[ "$(cryopod ps -aq | wc -l)" -eq 1 ]
}

@test "oci:, oci-archive:, docker-archive:, dir:" {
	skopeo copy -q "oci:$W/layout:v1" "oci-archive:$W/oci.tar:example.com/fromoci:1"
	skopeo copy -q "oci:$W/layout:v1" "docker-archive:$W/docker.tar:example.com/fromdocker:2"
	skopeo copy -q "oci:$W/layout:v1" "dir:$W/dir"
	for ref in "oci:$W/layout:v1" "oci-archive:$W/oci.tar" "docker-archive:$W/docker.tar" "dir:$W/dir"; do
		run --separate-stderr cryopod pull -q "$ref"
		echo "$ref: $output / $stderr"
		[ "$status" -eq 0 ]
		[[ "${lines[-1]}" =~ $ID64 ]]
		works "${lines[-1]}"
	done
	expect 0 cryopod images --format '{{.Repository}}:{{.Tag}}'
	has example.com/fromoci:1 example.com/fromdocker:2
}

@test "missing images and registries: one line, nothing is left" {
	n=$(cryopod images -q | wc -l)
	expect 125 cryopod pull -q --tls-verify=false "$REG/tiny:v99"
	has 'Error: ' 'v99' 'manifest unknown'
	expect 125 cryopod pull -q --tls-verify=false 127.0.0.1:1/x
	has 'Error: ' 'connection refused'
	expect 125 cryopod pull -q "oci:$BATS_TEST_TMPDIR/nosuch"
	has 'Error: ' nosuch
	expect 125 cryopod pull -q UPPER:bad
	has 'Error: '
	refuses 125 'requires at least 1 arg(s), only received 0' cryopod pull
	[ "$(cryopod images -q | wc -l)" -eq "$n" ]
}

@test "a blob whose digest is wrong is refused, in the registry and in a layout" {
	push bad
	layer=$(find "$W/data" -path '*/blobs/sha256/*' -name data -size +500k | head -n 1)
	cp "$layer" "$W/saved"
	printf 'XXXX' | dd of="$layer" bs=1 seek=4096 conv=notrunc status=none
	expect 125 cryopod pull -q --tls-verify=false "$REG/bad"
	cp "$W/saved" "$layer"
	has Error:
	[[ "$output" == *igest* || "$output" == *corrupt* || "$output" == *"did not match"* || "$output" == *gzip* || "$output" == *flate* ]]
	cp -r "$W/layout" "$W/broken"
	printf 'XXXX' | dd of="$W/broken/blobs/sha256/$(layer_digest)" bs=1 seek=4096 conv=notrunc status=none
	expect 125 cryopod pull -q "oci:$W/broken:v1"
	has Error: igest
	[ "$(cryopod images -q | wc -l)" -eq 1 ]
	# The store is not harmed: the sound ones still come.
	expect 0 cryopod pull -q "oci:$W/layout:v1"
	works "$output"
}

@test "push: another root pulls what was pushed, under the same ID" {
	cryopod pull -q --tls-verify=false "docker://$REG/tiny:v1"
	id=$(cryopod images -q --no-trunc "$REG/tiny:v1")
	expect 0 cryopod push -q --tls-verify=false --digestfile "$W/digest" "$REG/tiny:v1" "$REG/mine:2"
	[[ "$(cat "$W/digest")" =~ ^sha256:[0-9a-f]{64}$ ]]
	cryopod rmi "$REG/tiny:v1"
	expect 0 cryopod pull -q --tls-verify=false "$REG/mine@$(cat "$W/digest")"
	[ "$(cryopod images -q --no-trunc | grep -c "${id#sha256:}")" -eq 1 ]
	expect 125 cryopod push -q --tls-verify=false "$REG/mine:nosuch"
	has "image not known"
	refuses 125 "unknown format" cryopod push --format x "$id"
}
