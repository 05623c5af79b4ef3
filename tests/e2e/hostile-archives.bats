# SPDX-License-Identifier: Apache-2.0
# restore --import of archives that are broken, foreign or hostile: refused by name and reason, and
# nothing is left behind.

load ../lib/helpers
setup_file() {
	engine_setup
	export W=$BATS_FILE_TMPDIR
	cryopod run -d --name a --network none $IMAGE sh -c "echo x >/root/f; $FAST_LOOP" >/dev/null
	wait_for 10 log_reaches a 2
	cryopod container checkpoint -c none -e "$W/good.tar" a >/dev/null
	cryopod rm a >/dev/null
	store_list >"$W/store"
}
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

restore() { cryopod container restore "$@"; }

# Every file that is there, but what changes by itself: the database, what is locked, time stamps.
store_list() {
	(cd "$CP_ROOT" && find . ! -path './db.sql*' ! -path './tmp' -printf '%p %y %m %s %l\n' | grep -vE '^\./(overlay|overlay-containers|volumes|networks)? d ' | sort)
}

# nothing_left: no container, no volume, nothing half unpacked.
nothing_left() {
	[ -z "$(cryopod ps -aq)" ]
	[ -z "$(cryopod volume ls -q)" ]
	[ -z "$(ls -A "$CP_ROOT/tmp" 2>/dev/null)" ]
	[ -z "$(ls -A "$CP_ROOT/overlay-containers" 2>/dev/null)" ]
	store_list | diff "$W/store" -
	[ ! -e "$W/victim/new" ] && [ "$(cat "$W/victim/kept" 2>/dev/null || echo safe)" = safe ]
}

# refused TEXT ARCHIVE [OPTION...]
refused() {
	local text=$1 f=$2
	shift 2
	refuses 125 "$text" timeout 60 "$CP" container restore -i "$f" "$@"
	has "$f"
	nothing_left
}

# edit ARCHIVE PYTHON: the good archive with its members changed: "members" is a list of [TarInfo, bytes].
edit() {
	python3 - "$W/good.tar" "$1" "$2" <<-'END'
	import io, json, sys, tarfile, textwrap
	src, dst, code = sys.argv[1:]
	members = []
	with tarfile.open(src) as t:
	    for m in t:
	        m.pax_headers = {}
	        members.append([m, t.extractfile(m).read() if m.isreg() else b""])
	def get(name): return next(x for x in members if x[0].name == name)
	def new(name, data=b"", **kw):
	    m = tarfile.TarInfo(name)
	    for k, v in kw.items(): setattr(m, k, v)
	    return [m, data]
	def drop(*names): members[:] = [x for x in members if x[0].name not in names]
	def config(f):
	    x = get("config.dump"); j = json.loads(x[1]); f(j); x[1] = json.dumps(j).encode(); drop("cryopod.sums")
	def spec(f):
	    x = get("spec.dump"); j = json.loads(x[1]); f(j); x[1] = json.dumps(j).encode(); drop("cryopod.sums")
	def tar(*entries):
	    b = io.BytesIO()
	    with tarfile.open(fileobj=b, mode="w") as t:
	        for m, data in entries:
	            m.size = len(data) if m.isreg() else 0
	            t.addfile(m, io.BytesIO(data))
	    return b.getvalue()
	exec(textwrap.dedent(code))
	with tarfile.open(dst, "w", format=tarfile.PAX_FORMAT) as t:
	    for m, data in members:
	        if m.isreg(): m.size = len(data)
	        t.addfile(m, io.BytesIO(data))
	END
}

@test "the good one is good, also in another order and without what others do not write" {
	needs_engine
	expect 0 restore -i "$W/good.tar"
	cryopod rm -f -t 0 -a >/dev/null
	edit "$W/reversed.tar" 'members.reverse()'
	expect 0 restore -i "$W/reversed.tar"
	expect 0 cryopod exec a cat /root/f
	is x
	goes_on a
	cryopod rm -f -t 0 -a >/dev/null
	edit "$W/unsummed.tar" 'drop("cryopod.sums", "network.status", "stats-dump", "ctr.log", "artifacts"); members.append(new("something/new", b"x"))'
	expect 0 restore -i "$W/unsummed.tar"
	cryopod rm -f -t 0 -a >/dev/null
}

@test "cut off anywhere" {
	needs_engine
	size=$(stat -c %s "$W/good.tar")
	for part in 0 100 512 700 5000 20000 $((size / 3)) $((size / 2)) $((size - 20000)) $((size - 2000)) $((size - 1024)); do
		head -c $part "$W/good.tar" >"$W/cut.tar"
		run timeout 60 "$CP" container restore -i "$W/cut.tar"
		echo "$part: $output"
		[ "$status" -eq 125 ]
		has "$W/cut.tar"
		nothing_left
	done
	for z in zstd gzip; do
		$z -qc "$W/good.tar" >"$W/whole.z"
		size=$(stat -c %s "$W/whole.z")
		for part in 10 $((size / 2)) $((size - 100)); do
			head -c $part "$W/whole.z" >"$W/cut.z"
			run timeout 60 "$CP" container restore -i "$W/cut.z"
			echo "$z $part: $output"
			[ "$status" -eq 125 ]
			nothing_left
		done
	done
}

@test "damaged bytes are noticed, wherever they are" {
	needs_engine
	python3 - "$W" <<-'END'
	import random, sys, os
	w = sys.argv[1]
	good = open(w + "/good.tar", "rb").read()
	r = random.Random(7)
	for i in range(40):
	    bad = bytearray(good)
	    at = r.randrange(len(bad) - 10240)
	    bad[at] ^= 1 << r.randrange(8)
	    open("%s/bad-%d.tar" % (w, i), "wb").write(bad)
	END
	for f in "$W"/bad-*.tar; do
		run timeout 60 "$CP" container restore -i "$f"
		echo "$f: [$status] $output"
		# In the padding between members nothing is damaged.
		if [ "$status" -eq 0 ]; then
			goes_on a
			cryopod rm -f -t 0 -a >/dev/null
		fi
		[ "$status" -eq 0 ] || [ "$status" -eq 125 ]
		nothing_left
	done
	rm -f "$W"/bad-*.tar
	edit "$W/x.tar" 'x = get("checkpoint/pages-1.img"); x[1] = x[1][:-1] + bytes([x[1][-1] ^ 1])'
	refused "member checkpoint/pages-1.img is damaged" "$W/x.tar"
	edit "$W/x.tar" 'drop("checkpoint/core-1.img")'
	refused "member checkpoint/core-1.img is missing" "$W/x.tar"
}

@test "members that do not belong there" {
	needs_engine
	mkdir -p "$W/victim" && echo safe >"$W/victim/kept"
	v=$W/victim
	while IFS='|' read -r text code; do
		edit "$W/x.tar" "v = '$v'; $code"
		refused "$text" "$W/x.tar"
	done <<-'END'
	its name leaves the archive|members.append(new("../../../../../../../../.." + v + "/new", b"x"))
	its name leaves the archive|members.append(new("checkpoint/../../x", b"x"))
	an absolute name|members.append(new(v + "/new", b"x"))
	a link, which is not taken|members.insert(0, new("checkpoint", type=tarfile.SYMTYPE, linkname=v))
	a link, which is not taken|members.append(new("checkpoint/x.img", type=tarfile.SYMTYPE, linkname=v + "/kept"))
	a link, which is not taken|members.append(new("checkpoint/parent", type=tarfile.SYMTYPE, linkname=v))
	a link, which is not taken|drop("ctr.log"); members.append(new("ctr.log", type=tarfile.SYMTYPE, linkname="/etc/shadow"))
	a link, which is not taken|drop("config.dump"); members.insert(0, new("config.dump", type=tarfile.SYMTYPE, linkname="/etc/shadow"))
	a hard link|members.append(new("ctr2.log", type=tarfile.LNKTYPE, linkname="ctr.log"))
	a device|members.append(new("checkpoint/dev", type=tarfile.CHRTYPE, devmajor=1, devminor=1))
	a FIFO|members.append(new("checkpoint/fifo", type=tarfile.FIFOTYPE))
	no checkpoint has such a file|members.append(new("checkpoint/sub/x.img", b"x"))
	twice in the archive|members.append(new("checkpoint/inventory.img", b"x"))
	twice in the archive|members.append(new("config.dump", b"{}"))
	not that of a volume|members.append(new("volumes/a/b.tar", b"x"))
	config.dump is missing|drop("config.dump", "cryopod.sums")
	spec.dump is missing|drop("spec.dump", "cryopod.sums")
	END
	edit "$W/x.tar" 'drop("checkpoint/inventory.img", "cryopod.sums")'
	refused 'a complete checkpoint for this container cannot be found, cannot restore' "$W/x.tar"
	edit "$W/x.tar" 'members[:] = [new("etc/passwd", b"root")]'
	refused 'config.dump is missing' "$W/x.tar"
}

@test "documents that are not what they should be" {
	needs_engine
	while IFS='|' read -r text code; do
		edit "$W/x.tar" "$code"
		refuses 125 "$text" timeout 60 "$CP" container restore -i "$W/x.tar"
		nothing_left
	done <<-'END'
	member config.dump: line 1|drop("cryopod.sums"); get("config.dump")[1] = b"{"
	not a JSON object|drop("cryopod.sums"); get("config.dump")[1] = b"[]"
	member spec.dump|drop("cryopod.sums"); get("spec.dump")[1] = b"[" * 100000
	has no ID of a container|config(lambda j: j.update(id="../../x"))
	has no ID of a container|config(lambda j: j.update(id="AB" * 32))
	names must match|config(lambda j: j.update(name="../x"))
	stored option env has the wrong type|config(lambda j: j["cryopod"]["options"].update(env={"a": 1}))
	cannot import checkpoints of containers with dependencies|config(lambda j: j.update(Dependencies=["x"]))
	cannot import checkpoints of containers with dependencies|config(lambda j: j.update(netNsCtr="ab" * 32))
	cannot restore pod container without --pod|config(lambda j: j.update(pod="ab" * 32))
	image not known|config(lambda j: (j.update(rootfsImageID="ab" * 32, rootfsImage="", rootfsImageRef=""), j["cryopod"].pop("layers")))
	names must match|config(lambda j: j["cryopod"]["options"].update(mounts=["type=volume,src=../../x,dst=/y"]))
	not a list of paths|drop("cryopod.sums"); members.append(new("deleted.files", b"[1]"))
	the path leaves the layer|drop("cryopod.sums"); members.append(new("deleted.files", b"[\"/../../x\"]"))
	END
}

@test "what reaches out of the container is not believed" {
	needs_engine
	mkdir -p "$W/victim" && echo safe >"$W/victim/kept"
	while IFS='|' read -r text code; do
		edit "$W/x.tar" "config(lambda j: j['cryopod']['options'].update($code))"
		refused "asks for what reaches out of the container: $text: if you know where it comes from, use --trust" "$W/x.tar"
	done <<-END
	-v $W/victim:/v|volumes=["$W/victim:/v"]
	-v $W/victim:/v|mounts=["type=bind,src=$W/victim,dst=/v"]
	--privileged|privileged=True
	--cap-add SYS_ADMIN|cap_add=["SYS_ADMIN"]
	--cap-add all|cap_add=["all"]
	--device /dev/null|devices=["/dev/null"]
	--pid host|pid="host"
	--ipc host, --network host|ipc="host", network="host"
	--network ns:/proc/1/ns/net|network="ns:/proc/1/ns/net"
	--security-opt seccomp=unconfined|security_opt=["seccomp=unconfined"]
	--annotation run.oci.keep_original_groups=1|annotations=["run.oci.keep_original_groups=1"]
	--cgroup-parent /|cgroup_parent="/"
	--oom-score-adj|has_oom_score_adj=True, oom_score_adj=-1000
	END
	# Hooks, log paths, pid files and image names are not even asked about.
	edit "$W/x.tar" "
	def f(j):
	    j['cryopod']['options'].update(conmon_pidfile='$W/victim/new', pidfile='$W/victim/new', cidfile='$W/victim/new', log_opts=['path=$W/victim/new'], image='evil', runtime='/bin/false')
	    j.update(logPath='$W/victim/new', conmonPidFile='$W/victim/new', rootfsImageName='evil', runtime='../../bin/false', staticDir='$W/victim')
	config(f)
	spec(lambda j: j.update(hooks={'prestart': [{'path': '/bin/touch', 'args': ['touch', '$W/victim/new']}]}))
	"
	expect 0 restore -i "$W/x.tar"
	goes_on a
	expect 0 cryopod inspect --format '{{.ImageName}} {{.OCIRuntime}}' a
	is "$IMAGE runc"
	[ "$(ls "$W/victim")" = kept ]
	cryopod rm -f -t 0 a >/dev/null
	# With --trust it counts; and so it does in an archive that this store has written.
	cryopod run -d --name b --network none -v "$W/victim:/v:ro" --cap-add NET_ADMIN $IMAGE sh -c "$FAST_LOOP" >/dev/null
	wait_for 10 log_reaches b 2
	expect 0 cryopod container checkpoint -e "$W/b.tar" b
	cryopod rm b >/dev/null
	cp "$W/b.tar" "$W/c.tar"
	refused "-v $W/victim:/v, --cap-add" "$W/c.tar"
	expect 0 restore --trust -i "$W/c.tar"
	goes_on b
	cryopod rm -f -t 0 b >/dev/null
	mv "$W/b.tar" "$W/moved.tar"
	expect 0 restore -i "$W/moved.tar"
	expect 0 cryopod exec b cat /v/kept
	is safe
	cryopod rm -f -t 0 b >/dev/null
	printf x | dd of="$W/moved.tar" bs=1 seek=200 conv=notrunc 2>/dev/null
	run restore -i "$W/moved.tar"
	[ "$status" -eq 125 ]
	nothing_left
}

@test "root file systems and volumes that reach out" {
	needs_engine
	mkdir -p "$W/victim" && echo safe >"$W/victim/kept"
	while IFS='|' read -r text code; do
		edit "$W/x.tar" "v = '$W/victim'; drop('rootfs-diff.tar', 'cryopod.sums'); members.append(new('rootfs-diff.tar', tar($code)))"
		refused "$text" "$W/x.tar"
	done <<-'END'
	the path leaves the layer|new("../../../../../.." + v + "/new", b"x")
	|new("s", type=tarfile.SYMTYPE, linkname=v), new("s/new", b"x")
	the path leaves the layer|new("h", type=tarfile.LNKTYPE, linkname="../../../../../.." + v + "/kept")
	a device node (block 8:0)|new("sda", type=tarfile.BLKTYPE, devmajor=8, devminor=0)
	a device node (character 1:1)|new("dev/mem", type=tarfile.CHRTYPE, devmajor=1, devminor=1)
	END
	edit "$W/x.tar" "drop('rootfs-diff.tar', 'cryopod.sums'); members.append(new('rootfs-diff.tar', b'no tar at all' * 100))"
	refused "member rootfs-diff.tar" "$W/x.tar"
	# Links that stay inside are fine, whatever they point to.
	edit "$W/x.tar" "drop('rootfs-diff.tar', 'cryopod.sums'); members.append(new('rootfs-diff.tar', tar(new('l', type=tarfile.SYMTYPE, linkname='/etc/passwd'), new('null', type=tarfile.CHRTYPE, devmajor=1, devminor=3))))"
	expect 0 restore -i "$W/x.tar"
	expect 0 cryopod exec a grep -c root /l
}

@test "headers that say something else than what follows" {
	needs_engine
	mkdir -p "$W/victim" && echo safe >"$W/victim/kept"
	while IFS='|' read -r text code; do
		edit "$W/x.tar" "v = '$W/victim'; p = lambda name, data=b'', **h: members.append(new(name, data, pax_headers={k.replace('_', '.'): str(x) for k, x in h.items()})); $code"
		refused "$text" "$W/x.tar"
	done <<-'END'
	its name leaves the archive|p("x", b"x", path="../../x")
	its name leaves the archive|p("checkpoint/x.img", b"x", path="checkpoint/./../../x")
	an absolute name|p("x", b"x", path=v + "/new")
	its name is too long|p("x", b"x", path="checkpoint/" + "x" * 5000)
	twice in the archive|p("x", b"x", path="checkpoint/inventory.img")
	twice in the archive|p("x", b"x", path="./checkpoint//inventory.img")
	no checkpoint has such a file|p("x", b"x", path="checkpoint/.hidden")
	a link, which is not taken|members.append(new("checkpoint/x.img", type=tarfile.SYMTYPE, linkname="ok", pax_headers={"linkpath": v + "/kept"}))
	a hard link|members.append(new("checkpoint/x.img", type=tarfile.LNKTYPE, linkname="ok", pax_headers={"linkpath": v + "/kept"}))
	has holes|p("x", b"1\n0\n1\n".ljust(512, b"\0") + b"x", GNU_sparse_major=1, GNU_sparse_minor=0, GNU_sparse_name="checkpoint/x.img", GNU_sparse_realsize=1 << 50)
	has holes|p("checkpoint/x.img", b"ab", GNU_sparse_map="0,1,1125899906842623,1", GNU_sparse_size=1 << 50)
	member checkpoint/pages-9.img: has 1152921504606846976 bytes|p("checkpoint/pages-9.img", b"x", size=1 << 60)
	member unknown: has 1152921504606846976 bytes, more than an archive can have here|p("unknown", b"x", size=1 << 60)
	member ctr.log: larger than any log|drop("ctr.log"); p("ctr.log", b"x", size=1 << 60)
	member config.dump: larger than|drop("config.dump"); p("config.dump", b"{}", size=1 << 30)
	|p("checkpoint/x.img", b"x", size=-1)
	|p("checkpoint/x.img", b"x", size="x")
	|p("x", b"x", path="checkpoint/inventory.img" + chr(0) + "x")
	END
}

@test "a little that unpacks to more than the disk could ever hold" {
	needs_engine
	small=$W/small
	mkdir -p "$small"
	mount -t tmpfs -o size=40m tmpfs "$small"
	export CP_ROOT=$small/root CP_RUN=$W/small-run
	cryopod import -q "$BATS_FILE_TMPDIR/busybox.tar" busybox >/dev/null
	store_list >"$W/small-store"
	# Behind the end of the archive; and a member that nobody asked for.
	(cat "$W/good.tar" && head -c 150M /dev/zero) | zstd -q1 >"$W/bomb"
	refuses 125 'it unpacks to more than' timeout 60 "$CP" container restore -i "$W/bomb"
	store_list | diff "$W/small-store" -
	edit "$W/x.tar" 'members.insert(2, new("unknown", bytes(150 << 20)))'
	zstd -q1 <"$W/x.tar" >"$W/bomb"
	refuses 125 'member unknown: has 157286400 bytes, more than' timeout 60 "$CP" container restore -i "$W/bomb"
	store_list | diff "$W/small-store" -
	[ -z "$(cryopod ps -aq)" ]
	umount "$small"
}

@test "images whose sessions have names that are paths" {
	needs_engine
	v=$(mktemp -d /tmp/victim.XXXX)
	echo safe >"$v/kept"
	with_guests() {
		edit "$W/x.tar" "x = get('checkpoint/cryo.json'); j = json.loads(x[1]); j['guests'] = json.loads('$1'); x[1] = json.dumps(j).encode(); drop('cryopod.sums')"
		run timeout 60 "$CP" container restore -i "$W/x.tar"
		echo "$1: $output"
		[ "$status" -eq 125 ]
		nothing_left
		[ "$(cat "$v/kept")" = safe ]
	}
	# As long as an ID is.
	name=$(printf '%64s' "../../../../../../../../..$v" | sed 's/ /.\//; s/ /\//g')
	for name in "$name" '../x' ''; do
		with_guests "{\"7\": \"$name\"}"
	done
	for guests in '[1]' '{"7": 5}' '{"-1": "x"}' '{"x": "y"}'; do with_guests "$guests"; done
	rm -r "$v"
}

@test "an address, a MAC and a log that are none" {
	needs_engine
	while read -r status; do
		edit "$W/x.tar" "get('network.status')[1] = json.dumps($status).encode(); config(lambda j: j['cryopod']['options'].pop('network', None))"
		run timeout 60 "$CP" container restore -i "$W/x.tar"
		echo "$status: $output"
		[ "$status" -eq 0 ] || [ "$status" -eq 125 ]
		cryopod rm -fa -t 0 >/dev/null
		nothing_left
	done <<-'END'
	5
	[]
	{"x": []}
	{"podman": {"interfaces": {"eth0": {"subnets": [{"ipnet": "10.88.0.9999/16"}], "mac_address": "zz"}}}}
	{"podman": {"interfaces": {"eth0": {"subnets": [{"ipnet": "../../x"}], "mac_address": "ff:ff:ff:ff:ff:ff:ff"}}}}
	{"podman": {"interfaces": {"eth0": {"subnets": [{"ipnet": 5}]}}}}
	END
	edit "$W/x.tar" "drop('cryopod.sums'); get('ctr.log')[1] = bytes(100) + b'x' * 3000000 + bytes([10]) + b'2026 stdout' + bytes([255])"
	expect 0 restore -i "$W/x.tar"
	run timeout 60 "$CP" logs a
	[ "$status" -eq 0 ] || [ "$status" -eq 125 ]
}

@test "more than the disk has" {
	needs_engine
	python3 - "$W/good.tar" "$W/huge.tar" <<-'END'
	import sys, tarfile, io
	with tarfile.open(sys.argv[1]) as s, open(sys.argv[2], "wb") as out:
	    for m in s:
	        if m.name == "cryopod.sums": continue
	        out.write(m.tobuf())
	        if m.isreg():
	            d = s.extractfile(m).read()
	            out.write(d + bytes(-len(d) % 512))
	    m = tarfile.TarInfo("checkpoint/pages-9.img")
	    m.size = 1 << 50
	    out.write(m.tobuf(tarfile.PAX_FORMAT))
	END
	refused "member checkpoint/pages-9.img: has 1125899906842624 bytes, and " "$W/huge.tar"
}

@test "an archive as Podman writes it" {
	needs_engine
	# The same members with Podman's documents: nothing that only we read.
	edit "$W/podman.tar" '
	c = json.loads(get("config.dump")[1])
	keep = ("id", "name", "rootfsImageID", "rootfsImageName", "createdTime")
	p = {k: c[k] for k in keep}
	p.update(runtime="runc", lockID=3, createNetNS=True, networkMode="bridge", shmSize=65536000, namedVolumes=[{"volumeName": "pv", "dest": "/pv", "options": ["rprivate", "nosuid", "nodev", "rbind"]}],
	    newNetworks={"podman": {"interface_name": "eth0"}}, labels={"who": "podman"}, stopSignal=15, stopTimeout=7, logDriver="k8s-file", userVolumes=["/pv"],
	    spec=c["spec"], CreateCommand=["podman", "run"], ShmDir="/var/lib/containers/x", staticDir="/var/lib/containers/y", logPath="/var/lib/containers/z", cgroupParent="/libpod_parent", conmonPidFile="/x")
	get("config.dump")[1] = json.dumps(p, indent=2).encode()
	s = json.loads(get("spec.dump")[1])
	s["annotations"] = {"io.container.manager": "libpod", "io.podman.annotations.autoremove": "FALSE"}
	s["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 18446744073709551615, "soft": 18446744073709551615}]
	s["mounts"].append({"destination": "/pv", "type": "bind", "source": "/var/lib/containers/storage/volumes/pv/_data", "options": ["rw"]})
	s["linux"]["cgroupsPath"] = "/libpod_parent/libpod-" + c["id"]
	get("spec.dump")[1] = json.dumps(s, indent=2).encode()
	get("network.status")[1] = b"{\"podman\": {\"interfaces\": {\"eth0\": {\"subnets\": [{\"ipnet\": \"10.88.0.2/16\", \"gateway\": \"10.88.0.1\"}], \"mac_address\": \"d6:54:00:11:22:33\"}}}}"
	drop("cryopod.sums", "devshm-checkpoint.tar")
	members.append(new("devshm-checkpoint.tar", tar(new("./", type=tarfile.DIRTYPE, mode=0o1777), new("./shared", b"shm\n"))))
	members.append(new("volumes/pv.tar", tar(new("./", type=tarfile.DIRTYPE, mode=0o755), new("./v", b"volume\n"))))
	'
	expect 0 restore -i "$W/podman.tar"
	goes_on a
	expect 0 cryopod exec a cat /pv/v /dev/shm/shared /root/f
	is $'volume\nshm\nx'
	expect 0 cryopod inspect --format '{{index .Config.Labels "who"}} {{.HostConfig.NetworkMode}}' a
	has "podman bridge"
	[ "$(cryopod inspect --format '{{.NetworkSettings.MacAddress}}' a)" = d6:54:00:11:22:33 ]
	cycle a
	goes_on a
	cryopod rm -f -t 0 a >/dev/null
	cryopod volume rm pv >/dev/null
}

@test "an archive as CRI-O writes it" {
	needs_engine
	edit "$W/crio.tar" '
	drop("cryopod.sums", "network.status", "artifacts", "devshm-checkpoint.tar", "ctr.log", "deleted.files")
	c = json.loads(get("config.dump")[1])
	p = {k: c[k] for k in ("id", "rootfsImage", "rootfsImageRef", "rootfsImageName", "createdTime", "checkpointedTime", "restoredTime", "restored")}
	p.update(name="k8s_web_pod_ns_uid_0", runtime="runc")
	get("config.dump")[1] = json.dumps(p).encode()
	s = json.loads(get("spec.dump")[1])
	s["annotations"] = {"io.kubernetes.cri-o.Annotations": json.dumps({"io.kubernetes.container.hash": "1"}), "io.kubernetes.cri-o.Labels": "{}",
	    "io.kubernetes.cri-o.LogPath": "/var/log/pods/x", "io.container.manager": "cri-o"}
	s["linux"]["cgroupsPath"] = "kubepods.slice:crio:x"
	get("spec.dump")[1] = json.dumps(s).encode()
	members.append(new("bind.mounts", b"[]"))
	members.append(new("io.kubernetes.cri-o.LogPath", b"log"))
	'
	expect 0 restore -i "$W/crio.tar"
	[ "$(cryopod inspect --format '{{.State.Status}}' k8s_web_pod_ns_uid_0)" = running ]
	expect 0 cryopod exec k8s_web_pod_ns_uid_0 cat /root/f
	is x
	cryopod rm -f -t 0 -a >/dev/null
	# What a pod has of its host is a mount like others.
	edit "$W/bound.tar" '
	drop("cryopod.sums")
	def f(j): j.pop("cryopod"); j.update(name="b")
	config(f)
	spec(lambda j: j["mounts"].append({"destination": "/data", "type": "bind", "source": "/var/lib/kubelet/x", "options": ["rbind"]}))
	'
	refused "-v /var/lib/kubelet/x:/data: if you know where it comes from, use --trust" "$W/bound.tar"
}
