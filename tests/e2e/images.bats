# SPDX-License-Identifier: Apache-2.0
# Images in the local store: import, load, images, tag, untag, rmi, inspect, history.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

@test "import prints the ID; a changed configuration is used by run" {
	expect 0 cryopod import -q -m "made by a test" --change 'CMD ["/bin/echo", "hello", "there"]' --change ENV=COLOR=red \
		--change WORKDIR=/tmp --change USER=joe "$BATS_FILE_TMPDIR/busybox.tar" changed:1
	[[ "$output" =~ ^sha256:[0-9a-f]{64}$ ]]
	expect 0 cryopod run --rm --network none localhost/changed:1
	is "hello there"
	expect 0 cryopod run --rm --network none changed:1 sh -c 'echo $COLOR $PWD $(id -un)'
	is "red /tmp joe"
	expect 0 cryopod image inspect --format '{{.Config.Cmd}} {{.Config.WorkingDir}} {{.User}} {{.Comment}}' changed:1
	is "[/bin/echo hello there] /tmp joe made by a test"
	expect 0 cryopod rmi changed:1
}

@test "import from standard input, without a name" {
	run cryopod import -q - <"$BATS_FILE_TMPDIR/busybox.tar"
	[ "$status" -eq 0 ]
	id=${output#sha256:}
	[[ "$id" =~ $ID64 ]]
	expect 0 cryopod images --format '{{.Repository}} {{.Tag}} {{.ID}}'
	has "<none> <none> ${id:0:12}"
	expect 0 cryopod rmi "${id:0:12}"
	is "Deleted: $id"
}

@test "import of what is not there or no archive" {
	refuses 125 'open /nosuch.tar: no such file or directory' cryopod import /nosuch.tar x
	refuses 125 'accepts between 1 and 2 arg(s), received 0' cryopod import
	n=$(cryopod images -q | wc -l)
	[ "$n" -eq 1 ]
}

@test "images: table, quiet, formats" {
	id=$(cryopod image inspect --format '{{.Id}}' $IMAGE)
	expect 0 cryopod images
	[[ "${lines[0]}" =~ ^REPOSITORY\ +TAG\ +IMAGE\ ID\ +CREATED\ +SIZE$ ]]
	[[ "${lines[1]}" =~ ^localhost/busybox\ \ latest\ \ \ \ \ \ ${id:0:12}\ \ [A-Z0-9a-z\ ]*\ ago\ +2\.[0-9]+\ MB$ ]]
	expect 0 cryopod images --noheading
	[ "${#lines[@]}" -eq 1 ]
	expect 0 cryopod images -q
	is "${id:0:12}"
	expect 0 cryopod images -q --no-trunc
	is "sha256:$id"
	expect 0 cryopod images --format '{{.Repository}}:{{.Tag}} {{.ID}}'
	is "localhost/busybox:latest ${id:0:12}"
	expect 0 cryopod images --format 'table {{.Repository}} {{.Tag}}'
	is $'REPOSITORY         TAG\nlocalhost/busybox  latest'
	expect 0 cryopod image list --format json
	[ "$(jq -r '.[0].Names[0], .[0].Id' <<<"$output")" = "localhost/busybox:latest"$'\n'"$id" ]
	expect 0 cryopod images nosuch
	[ "${#lines[@]}" -eq 1 ]
}

@test "tag, untag, short names and IDs" {
	id=$(cryopod image inspect --format '{{.Id}}' $IMAGE)
	expect 0 cryopod tag busybox one two:2 example.com/three
	is ""
	for n in one localhost/one:latest two:2 example.com/three "${id:0:12}" "$id" "sha256:$id"; do
		expect 0 cryopod image inspect --format '{{.ID}}' $n
		is "$id"
	done
	expect 0 cryopod images --format '{{.Repository}}:{{.Tag}}'
	has localhost/one:latest localhost/two:2 example.com/three:latest
	expect 0 cryopod untag busybox one
	expect 1 cryopod image exists one
	expect 0 cryopod image exists two:2
	refuses 125 'requires at least 2 arg(s), only received 1' cryopod tag busybox
	refuses 125 'nosuch: image not known' cryopod tag nosuch a
	refuses 125 'nosuch: image not known' cryopod untag nosuch
}

@test "rmi of a tag leaves the image while it has another" {
	cryopod tag busybox extra:1
	expect 0 cryopod rmi extra:1
	is "Untagged: localhost/extra:1"
	expect 0 cryopod image exists busybox
}

@test "rmi: unknown 1, in use 2, by force with its containers" {
	refuses 1 'nosuch: image not known' cryopod rmi nosuch
	refuses 125 'image name or ID must be specified' cryopod rmi
	expect 0 cryopod rmi -f nosuch
	expect 0 cryopod rmi --ignore nosuch
	cryopod import -q -m another "$BATS_FILE_TMPDIR/busybox.tar" used >/dev/null
	expect 0 cryopod create --name user --network none used true
	refuses 2 'image is in use by a container' cryopod rmi used
	expect 0 cryopod image exists used
	# One that fails does not keep the others.
	cryopod tag used second
	expect 1 cryopod rmi nosuch second
	has "Untagged: localhost/second:latest" "nosuch: image not known"
	expect 0 cryopod rmi -f used
	has "Untagged: localhost/used:latest" "Deleted: "
	expect 1 cryopod container exists user
}

@test "image inspect" {
	expect 0 cryopod image inspect $IMAGE
	[ "$(jq -r '.[0] | .RepoTags[0], .Os, .Architecture, .RootFS.Type' <<<"$output" | xargs)" = "localhost/busybox:latest linux amd64 layers" ]
	[ "$(jq '.[0].RootFS.Layers | length' <<<"$output")" -eq 1 ]
	[[ "$(jq -r '.[0].Digest' <<<"$output")" =~ ^sha256:[0-9a-f]{64}$ ]]
	expect 0 cryopod inspect --type image --format '{{index .RepoTags 0}} {{len .RootFS.Layers}}' busybox
	is "localhost/busybox:latest 1"
	expect 125 cryopod image inspect nosuch
	has '[]' 'nosuch: image not known'
}

@test "history" {
	expect 0 cryopod history $IMAGE
	[[ "${lines[0]}" =~ ^ID\ +CREATED\ +CREATED\ BY\ +SIZE\ +COMMENT$ ]]
	[ "${#lines[@]}" -eq 2 ]
	refuses 125 'nosuch: image not known' cryopod history nosuch
}

@test "load: docker-archive, oci-archive, from standard input, and what is neither" {
	make_archives
	expect 0 cryopod load -i "$BATS_FILE_TMPDIR/docker.tar"
	has "Loaded image: example.com/loaded:1"
	expect 0 cryopod run --rm --network none example.com/loaded:1 echo works
	is works
	cryopod rmi example.com/loaded:1
	run cryopod load -q <"$BATS_FILE_TMPDIR/oci.tar"
	[ "$status" -eq 0 ]
	echo "$output"
	[[ "$output" =~ Loaded\ image:\ sha256:([0-9a-f]{64}) ]]
	expect 0 cryopod rmi "${BASH_REMATCH[1]}"
	# ... and from what can be read once only
	for from in "/dev/stdin <'$BATS_FILE_TMPDIR/docker.tar'" "<(cat '$BATS_FILE_TMPDIR/docker.tar')"; do
		expect 0 bash -c "$CP load -q -i $from"
		has "Loaded image: example.com/loaded:1"
		cryopod rmi example.com/loaded:1
	done
	expect 125 cryopod load -i "$BATS_FILE_TMPDIR/busybox.tar"
	has "Error: payload does not match any of the supported image formats"
	refuses 125 'stat /nosuch: no such file or directory' cryopod load -i /nosuch
	[ "$(cryopod images -q | wc -l)" -eq 1 ]
}

# An OCI layout made by hand, the source of all other forms.
make_archives() {
	make_oci_layout "$BATS_FILE_TMPDIR/layout" 1 "$BATS_FILE_TMPDIR/busybox.tar"
	skopeo copy -q "oci:$BATS_FILE_TMPDIR/layout:1" "docker-archive:$BATS_FILE_TMPDIR/docker.tar:example.com/loaded:1"
	skopeo copy -q "oci:$BATS_FILE_TMPDIR/layout:1" "oci-archive:$BATS_FILE_TMPDIR/oci.tar"
}

@test "save: what is saved can be loaded, with all its names" {
	id=$(cryopod images -q --no-trunc busybox)
	out=$BATS_TEST_TMPDIR
	expect 0 cryopod save -q -o "$out/one.tar" busybox second:2
	[ "$(ls "$out")" = one.tar ]
	cryopod tag busybox kept
	cryopod rmi busybox
	expect 0 cryopod load -q -i "$out/one.tar"
	has "Loaded image: localhost/busybox:latest" "Loaded image: localhost/second:2"
	[ "$(cryopod images -q --no-trunc second:2)" = "$id" ]
	cryopod rmi second:2 kept
	cryopod save -q --format oci-archive busybox >"$out/two.tar"
	expect 0 cryopod load -q -i "$out/two.tar"
	expect 0 cryopod save -q --format oci-dir -o "$out/dir" busybox
	[ -s "$out/dir/index.json" ]
	expect 0 cryopod run --rm --network none busybox echo well
	is well
}

@test "save: what cannot be" {
	refuses 125 'need at least 1 argument' cryopod save
	refuses 125 'nosuch: image not known' cryopod save -o "$BATS_TEST_TMPDIR/x" nosuch
	refuses 125 'unknown format zip' cryopod save --format zip -o "$BATS_TEST_TMPDIR/x" busybox
	refuses 125 'writes a directory: name it with --output' cryopod save --format oci-dir busybox
	echo old >"$BATS_TEST_TMPDIR/old"
	refuses 125 'no such file or directory' cryopod save -q -o /nosuch/x busybox
	[ "$(ls "$BATS_TEST_TMPDIR")" = old ]
}
