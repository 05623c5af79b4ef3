# SPDX-License-Identifier: Apache-2.0
# What checkpointctl (show, inspect, memparse, list), CRI-O and Podman look for in an archive and in a checkpoint image.

load ../lib/helpers
setup_file() {
	export D="$BATS_FILE_TMPDIR/x" ARCHIVE="$BATS_FILE_TMPDIR/a.tar.zst"
	mkdir "$D"
	engine_setup
	[ "$PROG" != podman ] || return 0
	cryopod run -d --name web --hostname there -p 127.0.0.1:8080:80 -v data:/data -e MARK=of-the-environment $IMAGE \
		sh -c "echo x >/new; rm /etc/group; echo v >/data/f; echo s >/dev/shm/s; $FAST_LOOP" >/dev/null
	wait_for 10 log_reaches web 2
	cryopod inspect web >"$BATS_FILE_TMPDIR/inspect"
	cryopod container checkpoint --print-stats -e "$ARCHIVE" web >"$BATS_FILE_TMPDIR/stats"
	tar -xf "$ARCHIVE" -C "$D"
}
setup() { needs_engine; }
teardown_file() {
	cryopod rm -fat 0 >/dev/null
	cryopod volume rm -a >/dev/null
	engine_teardown
}

of() { jq -er "$1" "$D/$2"; }
told() { jq -er ".[0] | $1" "$BATS_FILE_TMPDIR/inspect"; }
crit_json() { crit decode -i "$D/$1" -o "$BATS_TEST_TMPDIR/json" && jq -er "$2" "$BATS_TEST_TMPDIR/json"; }

@test "the archive: mode, names, kinds of members" {
	[ "$(stat -c %a "$ARCHIVE")" = 600 ]
	expect 0 tar -tf "$ARCHIVE"
	for name in artifacts/ devshm-checkpoint.tar config.dump spec.dump network.status stats-dump ctr.log checkpoint/ rootfs-diff.tar deleted.files volumes/data.tar \
		checkpoint/inventory.img checkpoint/descriptors.json checkpoint/pstree.img checkpoint/files.img; do
		grep -qx "$name" <<<"$output"
	done
	[ -z "$(grep -E '^(/|\./|.*\.\.)' <<<"$output")" ]
	[ -z "$(tar -tvf "$ARCHIVE" | grep -v '^[-d]')" ]
}

@test "config.dump: who it was" {
	[ "$(of .id config.dump)" = "$(told .Id)" ]
	[ "$(of .name config.dump)" = web ]
	[ "$(of .rootfsImage config.dump)" = "$(told .Image)" ]
	[ "$(of .rootfsImageID config.dump)" = "$(told .Image)" ]
	[ "$(of .rootfsImageName config.dump)" = localhost/busybox:latest ]
	[[ "$(of .rootfsImageRef config.dump)" =~ ^sha256:[0-9a-f]{64}$ ]]
	[ "$(of .runtime config.dump)" = "$(told .OCIRuntime)" ]
	[[ "$(of .createdTime config.dump)" =~ ^20[0-9-]+T[0-9:.]+Z$ ]]
	[[ "$(of .checkpointedTime config.dump)" =~ ^20[0-9-]+T[0-9:.]+Z$ ]]
	[ "$(of .restoredTime config.dump)" = 0001-01-01T00:00:00Z ]
	[ "$(jq .restored "$D/config.dump")" = false ]
	of '.newPortMappings[0] | .host_ip == "127.0.0.1" and .host_port == 8080 and .container_port == 80 and .protocol == "tcp"' config.dump
	of '.namedVolumes[0] | .volumeName == "data" and .dest == "/data"' config.dump
	of '.createNetNS and (.command | length == 3)' config.dump
	of '.spec | .process.args == .process.args and .root.path' config.dump
	[[ "$(head -n 2 "$D/config.dump" | tail -n 1)" =~ ^\ \ \" ]] # two blanks
	[ "$(tail -c 1 "$D/config.dump")" = "}" ]
}

@test "spec.dump: what the runtime was given, and annotations of either engine" {
	[ "$(of '.hostname' spec.dump)" = there ]
	of '.process.env | index("MARK=of-the-environment")' spec.dump
	of '.process.args[0] == "sh"' spec.dump
	[ "$(of '.annotations["io.container.manager"]' spec.dump)" = libpod ]
	of '.annotations["io.kubernetes.cri-o.Annotations"] | fromjson | type == "object"' spec.dump
	of '.annotations["io.kubernetes.cri-o.Labels"] | fromjson | type == "object"' spec.dump
	[ "$(of '.annotations["io.kubernetes.cri-o.Metadata"] | fromjson | .name' spec.dump)" = web ]
	[[ "$(of '.annotations["io.kubernetes.cri-o.Created"]' spec.dump)" =~ ^20[0-9-]+T[0-9:.]+Z$ ]]
	[ "$(of '.annotations["io.kubernetes.cri-o.TTY"]' spec.dump)" = false ]
	[ "$(of '[.annotations | to_entries[] | select(.key | startswith("io.podman")) | .key[22:] + "=" + .value] | sort | join(" ")' spec.dump)" = \
		"autoremove=FALSE init=FALSE privileged=FALSE publish-all=FALSE" ]
	[ "$(of '.mounts[] | select(.destination == "/data") | .source' spec.dump)" = /var/lib/containers/storage/volumes/data/_data ]
}

@test "network.status: addresses, which checkpointctl shows" {
	[ "$(of '.podman.interfaces.eth0.mac_address' network.status)" = "$(told .NetworkSettings.MacAddress)" ]
	[ "$(of '.podman.interfaces.eth0.subnets[0].ipnet' network.status)" = "$(told '.NetworkSettings | .IPAddress + "/" + (.IPPrefixLen | tostring)')" ]
	[ "$(of '.podman.interfaces.eth0.subnets[0].gateway' network.status)" = "$(told .NetworkSettings.Gateway)" ]
}

@test "stats-dump: read by crit, the same as --print-stats" {
	stats=$(jq -ec '.container_statistics[0].criu_statistics' "$BATS_FILE_TMPDIR/stats")
	crit_json stats-dump '.magic == "STATS" and (.entries | length == 1)'
	# What is 0 is left out by --print-stats.
	for key in freezing_time frozen_time memdump_time memwrite_time pages_scanned pages_written; do
		[ "$(crit_json stats-dump ".entries[0].dump.$key | tostring")" = "$(jq -r ".$key // 0" <<<"$stats")" ]
	done
	crit_json stats-dump '.entries[0].dump | .pages_written > 0 and .frozen_time > 0'
}

@test "the rest: changes, deletions, shared memory, volume, log, descriptors" {
	[ "$(jq -c . "$D/deleted.files")" = '["/etc/group"]' ]
	[ "$(tar -xOf "$D/rootfs-diff.tar" new)" = x ]
	[ "$(tar -xOf "$D/volumes/data.tar" ./f)" = v ]
	[ "$(tar -tf "$D/volumes/data.tar" | head -n 1)" = ./ ]
	[ "$(tar -tf "$D/devshm-checkpoint.tar" | head -n 1)" = ./ ]
	[ "$(tar -xOf "$D/devshm-checkpoint.tar" ./s)" = s ]
	[[ "$(head -n 1 "$D/ctr.log")" =~ ^20[0-9T:.+-]+Z?\ stdout\ F\ 0$ ]]
	jq -e '.[0] == "/dev/null" and (.[1:] | all(test("^pipe:\\[[0-9]+\\]$")))' "$D/checkpoint/descriptors.json"
}

# inspect --ps-tree-cmd, --ps-tree-env, --files, --sockets, --mounts; memparse
@test "images: tree, names, command lines, environment, files, mounts, memory" {
	crit_json checkpoint/pstree.img '.entries[0] | .pid == 1 and .ppid == 0'
	[ "$(crit_json checkpoint/core-1.img '.entries[0].tc.comm')" = sh ]
	for f in files fdinfo-1 fs-1 ids-1 mm-1 pagemap-1 mountpoints-5; do crit_json "checkpoint/$f.img" '.entries | length > 0'; done
	start=$(crit_json checkpoint/mm-1.img '.entries[0] | [.mm_arg_start, .mm_arg_end, .mm_env_start, .mm_env_end] | map(tostring) | join(" ")')
	# memory by the page map, as memparse reads it
	expect 0 /usr/bin/python3 - "$D/checkpoint" $start <<-'END'
	import pycriu, sys
	d, at = sys.argv[1], [int(x, 0) for x in sys.argv[2:]]
	load = lambda name: pycriu.images.load(open(d + "/" + name, "rb"), pretty=False)["entries"]
	head, *maps = load("pagemap-1.img")
	pages = open("%s/pages-%d.img" % (d, head["pages_id"]), "rb").read()
	memory, done = {}, 0
	for m in maps:
	    if m.get("flags", 4) & 4 and not m.get("in_parent"):
	        for i in range(m["nr_pages"]):
	            memory[m["vaddr"] + i * 4096] = pages[done:done + 4096]
	            done += 4096
	assert done == len(pages), (done, len(pages))
	text = lambda a, b: bytes(memory[x & -4096][x & 4095] for x in range(a, b)).replace(b"\0", b" ").decode()
	print(text(*at[:2]))
	print(text(*at[2:]))
	END
	[[ "${lines[0]}" == "sh -c echo x >/new"* ]]
	has MARK=of-the-environment
	crit_json checkpoint/mountpoints-5.img '[.entries[] | select(.mountpoint == "./data")] | length == 1'
}

@test "a checkpoint image: annotations of Podman and CRI-O, one layer that is the archive" {
	cryopod rm web >/dev/null
	cryopod container restore -i "$ARCHIVE" --ignore-volumes >/dev/null
	expect 0 cryopod container checkpoint --create-image warm web
	expect 0 cryopod save -q --format oci-dir -o "$BATS_TEST_TMPDIR/oci" warm
	manifest=$BATS_TEST_TMPDIR/oci/blobs/sha256/$(jq -r '.manifests[0].digest[7:]' "$BATS_TEST_TMPDIR/oci/index.json")
	jq -e '.annotations | ."io.podman.annotations.checkpoint.name" == "web" and ."io.kubernetes.cri-o.annotations.checkpoint.name" == "web"
		and (."io.podman.annotations.checkpoint.criu.version" | test("^[0-9]{5}$")) and ."io.podman.annotations.checkpoint.runtime.name"
		and ."io.podman.annotations.checkpoint.rootfsImageName" == "localhost/busybox:latest"' "$manifest"
	jq -e '.layers | length == 1' "$manifest"
	expect 0 tar -tf "$BATS_TEST_TMPDIR/oci/blobs/sha256/$(jq -r '.layers[0].digest[7:]' "$manifest")"
	has config.dump spec.dump checkpoint/inventory.img
}
