# SPDX-License-Identifier: Apache-2.0
# Shared by all bats files: a private engine, a small image, and a leak check.  See HACKING.md.
#
#	load ../lib/helpers
#	setup_file() { engine_setup; }
#	teardown_file() { engine_teardown; }

REPO=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
CRYOPOD_BIN=${CRYOPOD_BIN:-$REPO/build/cryopod}

# The tutorial's container.
LOOP='i=0; while true; do echo $i; i=$(expr $i + 1); sleep 1; done'
FAST_LOOP='i=0; while true; do echo $i; i=$(expr $i + 1); sleep 0.05; done'

cryopod() {
	"$CRYOPOD_BIN" --root "$CP_ROOT" --runroot "$CP_RUN" "$@"
}

# make_rootfs_tar FILE: busybox with its applets and a few accounts.
make_rootfs_tar() {
	local d
	d=$(mktemp -d)
	mkdir -p "$d"/{bin,sbin,etc,proc,sys,dev,tmp,root,home/joe,usr/bin,var/tmp,run}
	chmod 1777 "$d/tmp" "$d/var/tmp"
	cp /bin/busybox "$d/bin/busybox"
	local a
	for a in $(/bin/busybox --list); do
		[ "$a" = busybox ] || ln -s busybox "$d/bin/$a"
	done
	printf 'root:x:0:0:root:/root:/bin/sh\njoe:x:1000:1000:Joe:/home/joe:/bin/sh\n' >"$d/etc/passwd"
	printf 'root:x:0:\njoe:x:1000:\nstaff:x:50:joe\n' >"$d/etc/group"
	chown 1000:1000 "$d/home/joe"
	tar -C "$d" -cf "$1" .
	rm -rf "$d"
}

engine_setup() {
	export CP_ROOT=$BATS_FILE_TMPDIR/root CP_RUN=$BATS_FILE_TMPDIR/run
	export IMAGE=localhost/busybox:latest
	leak_snapshot >"$BATS_FILE_TMPDIR/before"
	make_rootfs_tar "$BATS_FILE_TMPDIR/busybox.tar"
	cryopod import -q "$BATS_FILE_TMPDIR/busybox.tar" busybox >/dev/null
}

# What must be the same before and after a file: mounts, network namespaces and devices, cgroups,
# firewall rules, processes.
leak_snapshot() {
	awk '{print "mount", $5}' /proc/self/mountinfo | sort
	find /run/netns "$BATS_FILE_TMPDIR/run/netns" -mindepth 1 2>/dev/null | sed 's/^/netns /'
	ip -o link | awk '{print "link", $2}' | sort
	find /sys/fs/cgroup -type d \( -name '*cryopod*' -o -regex '.*/[0-9a-f]\{64\}' \) 2>/dev/null | sed 's/^/cgroup /' | sort
	iptables-save 2>/dev/null | grep -E '^-A' | sed 's/^/iptables /' | sort
	nft list tables 2>/dev/null | grep -i cryo | sed 's/^/nft /'
	ps -eo comm,args --no-headers | awk '$1 == "conmon" || $1 ~ /^cryopod/ || $1 == "runc" {print "process", $0}' | sort
}

engine_teardown() {
	cryopod rm -fa -t 0 >/dev/null 2>&1 || true
	cryopod rmi -fa >/dev/null 2>&1 || true
	# The default network's bridge and chains are the engine's to keep; they go with the namespace.
	for _ in $(seq 50); do
		leak_snapshot | grep -vE '^(link cryopod[0-9]+:?|iptables .*(NETAVARK|cryopod))' >"$BATS_FILE_TMPDIR/after"
		cmp -s "$BATS_FILE_TMPDIR/before" "$BATS_FILE_TMPDIR/after" && return 0
		sleep 0.1
	done
	echo "# left behind (>) or missing (<):" >&3
	diff "$BATS_FILE_TMPDIR/before" "$BATS_FILE_TMPDIR/after" | sed 's/^/# /' >&3
	return 1
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || { echo "timed out: $*"; return 1; }
		sleep 0.05
	done
}

# log_reaches CTR N: the counting container has printed N.
log_reaches() {
	cryopod logs "$1" | grep -qx "$2"
}

# log_is_gapless CTR: 0 1 2 3 ... with no number lost or repeated.
log_is_gapless() {
	cryopod logs "$1" >"$BATS_TEST_TMPDIR/log"
	[ -s "$BATS_TEST_TMPDIR/log" ]
	seq 0 $(($(wc -l <"$BATS_TEST_TMPDIR/log") - 1)) | diff - "$BATS_TEST_TMPDIR/log"
}

last_number() {
	cryopod logs --tail 1 "$1"
}

# refuses CODE TEXT COMMAND...: fails with that status and one line "Error: ...TEXT...".
refuses() {
	local code=$1 text=$2
	shift 2
	run "$@"
	echo "$output"
	[ "$status" -eq "$code" ]
	[[ "$output" == *"Error: "*"$text"* ]]
	[ "$(grep -c '^Error: ' <<<"$output")" -eq 1 ]
}
