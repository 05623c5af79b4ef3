# SPDX-License-Identifier: Apache-2.0
# Shared by all bats files: a private engine, a small image, and a leak check.  See HACKING.md.
#
#	load ../lib/helpers
#	setup_file() { engine_setup; }
#	teardown() { engine_clear; }		# no container outlives its test
#	teardown_file() { engine_teardown; }
#
# CRYOPOD_BIN names another program to be tested, CRYOPOD_ARGS further global options.  With
# CRYOPOD_BIN=/usr/bin/podman the files check themselves: what they assert is what Podman does.

bats_require_minimum_version 1.5.0

REPO=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
export CRYOPOD_BIN=${CRYOPOD_BIN:-$REPO/build/cryopod} CRYOPOD_ARGS
# The same as the function cryopod, for timeout, pty, and what is to be killed.
CP=$REPO/tests/lib/here
# Messages name the program that prints them.
PROG=$(basename "$CRYOPOD_BIN")

# The tutorial's container.
LOOP='i=0; while true; do echo $i; i=$(expr $i + 1); sleep 1; done'
FAST_LOOP='i=0; while true; do echo $i; i=$(expr $i + 1); sleep 0.05; done'

ID64='^[0-9a-f]{64}$'

cryopod() {
	"$CP" "$@"
}

# make_rootfs_tar FILE: busybox with its applets and a few accounts.
make_rootfs_tar() {
	local d a
	d=$(mktemp -d)
	mkdir -p "$d"/{bin,sbin,etc,proc,sys,dev,tmp,root,home/joe,usr/bin,var/tmp,run}
	chmod 755 "$d"
	chmod 1777 "$d/tmp" "$d/var/tmp"
	cp /bin/busybox "$d/bin/busybox"
	for a in $(/bin/busybox --list); do
		[ "$a" = busybox ] || ln -s busybox "$d/bin/$a"
	done
	printf 'root:x:0:0:root:/root:/bin/sh\njoe:x:1000:1000:Joe:/home/joe:/bin/sh\n' >"$d/etc/passwd"
	printf 'root:x:0:\njoe:x:1000:\nstaff:x:50:joe\n' >"$d/etc/group"
	chown 1000:1000 "$d/home/joe"
	tar -C "$d" -cf "$1" .
	rm -rf "$d"
}

# make_oci_layout DIR TAG TAR...: an OCI layout with one image of these layers, made by hand.
make_oci_layout() {
	local blobs=$1/blobs/sha256 tag=$2 type=application/vnd.oci.image config manifest digests=() layers=() t
	mkdir -p "$blobs"
	for t in "${@:3}"; do
		digests+=("$(oci_blob "$blobs" <"$t")")
		layers+=("$(oci_entry "$blobs" $type.layer.v1.tar "${digests[-1]}")")
	done
	config=$(jq -cn '{created: "2026-01-02T03:04:05Z", architecture: "amd64", os: "linux",
		config: {Env: ["PATH=/bin:/sbin", "ORIGIN=layout"], Cmd: ["/bin/sh"], Labels: {kind: "test"}},
		rootfs: {type: "layers", diff_ids: $ARGS.positional | map("sha256:" + .)},
		history: $ARGS.positional | map({created: "2026-01-02T03:04:05Z", created_by: "by hand"})}' \
		--args "${digests[@]}" | oci_blob "$blobs")
	manifest=$(jq -cn --arg type $type.manifest.v1+json --argjson config "$(oci_entry "$blobs" $type.config.v1+json "$config")" \
		'{schemaVersion: 2, mediaType: $type, config: $config, layers: $ARGS.positional}' --jsonargs "${layers[@]}" | oci_blob "$blobs")
	echo '{"imageLayoutVersion":"1.0.0"}' >"$1/oci-layout"
	jq -cn --arg tag "$tag" --argjson m "$(oci_entry "$blobs" $type.manifest.v1+json "$manifest")" \
		'{schemaVersion: 2, manifests: [$m + {annotations: {"org.opencontainers.image.ref.name": $tag}}]}' >"$1/index.json"
}

# oci_entry DIR TYPE DIGEST: how a manifest names a blob.
oci_entry() {
	printf '{"mediaType":"%s","digest":"sha256:%s","size":%d}' "$2" "$3" "$(stat -c %s "$1/$3")"
}

# oci_blob DIR: stores standard input under its digest and prints that.
oci_blob() {
	local digest
	cat >"$1/new"
	digest=$(sha256sum <"$1/new" | cut -d' ' -f1)
	mv "$1/new" "$1/$digest"
	echo "$digest"
}

engine_setup() {
	export CP_ROOT=$BATS_FILE_TMPDIR/root CP_RUN=$BATS_FILE_TMPDIR/run
	export IMAGE=localhost/busybox:latest
	leak_snapshot >"$BATS_FILE_TMPDIR/before"
	make_rootfs_tar "$BATS_FILE_TMPDIR/busybox.tar"
	cryopod import -q "$BATS_FILE_TMPDIR/busybox.tar" busybox >/dev/null
}

engine_clear() {
	cryopod rm -fa -t 0 >/dev/null
}

# What must be the same before and after a file: mounts, network namespaces and devices, cgroups,
# firewall rules, processes.  Cgroups are the host's: one counts when its container is ours.
leak_snapshot() {
	# Mounts that others make and remove below /tmp come and go here, too (rmdir(2) detaches them).
	leak_candidates | grep -vE "$STAYS" | awk -v ours="$BATS_RUN_TMPDIR" '!/^mount \/tmp\// || index($0, ours)'
}

# The default network's bridge and chains are the engine's to keep; they go with the namespace.
STAYS='^(link (cryopod|podman)[0-9]+:?|iptables .*(NETAVARK|cryopod))'
[ "$PROG" != podman ] || STAYS+='|^mount (/run/netns|.*/root/overlay)$'

leak_candidates() {
	awk '{print "mount", $5}' /proc/self/mountinfo | sort
	find /run/netns "$BATS_FILE_TMPDIR/run/netns" -mindepth 1 2>/dev/null | sed 's/^/netns /'
	ip -o link | awk '{print "link", $2}' | sort
	find /sys/fs/cgroup -type d -regex '.*/[^/]*[0-9a-f]\{64\}' 2>/dev/null |
		grep -Ff <(store_ids) | sed 's/^/cgroup /' | sort
	iptables-save 2>/dev/null | grep -E '^-A' | sed 's/^/iptables /' | sort
	nft list tables 2>/dev/null | grep -i cryo | sed 's/^/nft /'
	ps -eo comm,args --no-headers | awk '$1 == "conmon" || $1 ~ /^cryopod/ || $1 == "runc" {print "process", $0}' | sort
}

# The ID of every container that this store has ever had.
store_ids() {
	python3 - "$CP_ROOT/db.sqlite" 2>/dev/null <<-'END'
	import re, sqlite3, sys
	db = sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True)
	print("\n".join(set(re.findall("[0-9a-f]{64}", "\n".join(db.iterdump())))))
	END
	echo no-such-id
}

engine_teardown() {
	cryopod rm -fa -t 0 >/dev/null 2>&1 || true
	cryopod rmi -fa >/dev/null 2>&1 || true
	leaks_nothing
}

# leaks_nothing: all is as leak_snapshot found it, soon.
leaks_nothing() {
	local end=$((SECONDS + 30))
	while [ $SECONDS -lt $end ]; do
		leak_snapshot >"$BATS_FILE_TMPDIR/after"
		cmp -s "$BATS_FILE_TMPDIR/before" "$BATS_FILE_TMPDIR/after" && return 0
		sleep 0.1
	done
	echo "# left behind (>) or missing (<):" >&3
	diff "$BATS_FILE_TMPDIR/before" "$BATS_FILE_TMPDIR/after" | sed 's/^/# /' >&3
	return 1
}

# wait_for SECONDS COMMAND...: until it succeeds.  SECONDS are those of a machine that does nothing
# else; on others whoever waits for what will come has more patience.
wait_for() {
	local end=$((SECONDS + $1 * 4))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || { echo "timed out: $*"; return 1; }
		sleep 0.05
	done
}

# log_reaches CTR N: the counting container has printed N.
log_reaches() {
	cryopod logs "$1" | tr -d '\r' | grep -qx "$2"
}

# log_has CTR TEXT: a line of the log contains it.
log_has() {
	cryopod logs "$1" | grep -qF -- "$2"
}

# log_is_gapless CTR: 0 1 2 3 ... with no number lost or repeated.
log_is_gapless() {
	cryopod logs "$1" | tr -d '\r' >"$BATS_TEST_TMPDIR/log"
	[ -s "$BATS_TEST_TMPDIR/log" ]
	seq 0 $(($(wc -l <"$BATS_TEST_TMPDIR/log") - 1)) | diff - "$BATS_TEST_TMPDIR/log"
}

last_number() {
	cryopod logs --tail 1 "$1" | tr -d '\r'
}

# looper CTR OPTIONS...: counts; has counted to 2.
looper() {
	local name=$1
	shift
	cryopod run -d --name "$name" --network none "$@" $IMAGE sh -c "$FAST_LOOP" >/dev/null
	wait_for 10 log_reaches "$name" 2
}

# goes_on CTR: counts on from where it was.
goes_on() {
	wait_for 10 log_reaches "$1" $(($(last_number "$1") + 2))
	log_is_gapless "$1"
}

# times CTR LINE N: the log has that line so many times.
times() {
	[ "$(cryopod logs "$1" | grep -cx -- "$2")" -eq "$3" ]
}

# cycle CTR: checkpoint and restore, both quiet.
cycle() {
	expect 0 cryopod container checkpoint "$1"
	is "$1"
	expect 0 cryopod container restore "$1"
	is "$1"
}

# state_is CTR STATUS: as inspect shows it.
state_is() {
	[ "$(cryopod inspect --format '{{.State.Status}}' "$1")" = "$2" ]
}

pid_of() {
	cryopod inspect --format '{{.State.Pid}}' "$1"
}

# container_limit CTR CONTROLLER FILE_V1 FILE_V2: a value of its cgroup, as the host sees it.
container_limit() {
	local pid path
	pid=$(pid_of "$1")
	path=$(awk -F: -v c="$2" '$2 ~ "(^|,)" c "(,|$)" {print $3}' "/proc/$pid/cgroup")
	if [ -n "$path" ]; then
		cat "/sys/fs/cgroup/$2$path/$3"
	else
		cat "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$pid/cgroup")/$4"
	fi
}

# expect CODE COMMAND...: exits with that status; $output is what it printed.
expect() {
	local code=$1
	shift
	# What bats thinks of status 127 is not asked for.
	if [ "$code" -eq 127 ]; then run -127 "$@"; else run "$@"; fi
	echo "[$status] $*"
	echo "$output"
	[ "$status" -eq "$code" ]
}

# is TEXT: $output is exactly that.
is() {
	[ "$output" = "$1" ] || { printf 'expected: %s\n' "$1"; return 1; }
}

# has TEXT...: $output contains each.
has() {
	local t
	for t; do
		[[ "$output" == *"$t"* ]] || { printf 'not in the output: %s\n' "$t"; return 1; }
	done
}

# refuses CODE TEXT COMMAND...: fails with that status and one line "Error: ...TEXT...".
refuses() {
	local code=$1 text=$2
	shift 2
	expect "$code" "$@"
	has "$text"
	[ "$(grep -c '^Error: ' <<<"$output")" -eq 1 ]
}

# cannot_start TEXT COMMAND...: refused; with 126 when the container exists by then.
cannot_start() {
	local text=$1
	shift
	run "$@"
	echo "[$status] $*"
	echo "$output"
	[ "$status" -eq 125 ] || [ "$status" -eq 126 ]
	has Error: "$text"
}

# store_is_sound: nothing blocks, and containers run.
store_is_sound() {
	expect 0 timeout 20 "$CP" ps -a
	expect 0 timeout 20 "$CP" run --rm --network none $IMAGE echo sound
	is sound
}

# needs_engine: Podman can only be asked for messages, as this distribution's CRIU does not know
# this kernel's vDSO.
needs_engine() {
	[ "$PROG" != podman ] || skip "Podman's CRIU does not work with this kernel"
}

# only_main WHY: a test of what Podman 4.3.1 does otherwise than its development version.
only_main() {
	[ "$PROG" != podman ] || skip "Podman 4.3.1 differs: $1"
}

# exec_has_limits PID LIMITS: what exec has started, with LIMITS as in /proc, has the soft limit of
# files of process PID.  runc 1.1 sets an exec's limits from outside while its own child, a program
# of Go 1.19, may be raising the soft limit of files to the hard one (package os): with all
# processors busy one exec in a hundred begins so.  Whoever compares limits asks again.
exec_has_limits() {
	[ "$(awk '/^Max open files/ {print $4}' "/proc/$1/limits")" = "$(awk '/^Max open files/ {print $4}' "$2")" ]
}
