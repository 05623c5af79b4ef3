# SPDX-License-Identifier: Apache-2.0
# Archives and checkpoint images to and from Podman with runc, which calls cryo as its criu: this distribution's own CRIU
# does not know this kernel.

load ../lib/helpers

# Podman has its default store, where volumes have the paths that it expects, on a file system of its own, and so its
# locks (/dev/shm/libpod_lock).
setup_file() {
	export W="$BATS_FILE_TMPDIR" TMPDIR="$BATS_FILE_TMPDIR/tmp" ARCHIVE="$BATS_FILE_TMPDIR/a.tar.zst"
	mkdir -p "$W/bin" "$W/nets" "$TMPDIR" /var/lib/containers
	mount -t tmpfs none /var/lib/containers
	mount --make-private /var/lib/containers
	mount -t tmpfs -o mode=1777 none /dev/shm
	ln -s "$REPO/build/cryo" "$W/bin/criu"
	printf '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n[network]\nnetwork_backend = "netavark"\nnetwork_config_dir = "%s"\n' "$W/nets" >"$W/containers.conf"
	export CONTAINERS_CONF="$W/containers.conf"
	engine_setup
	cryopod save -q -o "$W/image.tar" busybox
	podman load -q -i "$W/image.tar" >/dev/null
}
teardown() {
	podman rm -fat 0 >/dev/null
	podman volume rm -fa >/dev/null
	engine_clear
	cryopod volume rm -fa >/dev/null
	rm -f "$ARCHIVE"
}
teardown_file() {
	podman rmi -fa >/dev/null
	umount -l /var/lib/containers/storage/overlay 2>/dev/null || true
	umount -l /run/netns 2>/dev/null || true
	# empty ones only: conmon's are below
	find /sys/fs/cgroup -path '*/libpod_parent*' -depth -type d -exec rmdir {} \; 2>/dev/null || true
	engine_teardown
}

podman() { PATH="$W/bin:$PATH" /usr/bin/podman "$@"; }
cryo_log() { tail -n 3 "$(podman inspect --format '{{.StaticDir}}' c)"/*.log; }

# What is to travel: files, new and gone, in the root, a volume, a tmpfs and /dev/shm; a second process; a file without a name.
STUFF='echo vol >/vol/f; echo tmp >/scratch/t; mkdir -m 700 /scratch/d; echo shm >/dev/shm/s; echo new >/etc/new; rm /etc/group
	(sleep 1000) & exec 5<>/tmp/gone; echo here >&5; rm /tmp/gone; '"$FAST_LOOP"
stuff() { # PROGRAM
	$1 exec c sh -c 'cat /vol/f /scratch/t /dev/shm/s /etc/new; stat -c "%n %a" /dev/shm /scratch/d /tmp; test -e /etc/group || echo gone; stat -c "%n %t %T" /dev/null; tail -n 1 /proc/1/fd/5; ps -o args | grep -cx "sleep 1000"'
}
the_stuff() {
	[ "$(stuff "$1")" = $'vol\ntmp\nshm\nnew\n/dev/shm 1777\n/scratch/d 700\n/tmp 1777\ngone\n/dev/null 1 3\nhere\n1' ] || { stuff "$1"; return 1; }
}
last_of() { $1 logs --tail 1 c | tr -d '\r'; }
reaches() { $1 logs c | tr -d '\r' | grep -qx "$2"; }
# It counts on, and nothing was lost or printed twice on the way.
counts_on() {
	wait_for 20 reaches "$1" $(($(last_of "$1") + 3))
	$1 logs c | tr -d '\r' | awk '$1 != NR - 1 {exit 1}'
}

@test "an archive of ours is restored by Podman, and one that Podman then makes is restored here" {
	needs_engine
	for options in "--network none" "--network none -i" "--network none --user 0:50 --hostname there" ""; do
		# shellcheck disable=SC2086
		cryopod run -d --name c $options -v v:/vol --tmpfs /scratch $IMAGE sh -c "$STUFF" >/dev/null
		wait_for 10 log_reaches c 3
		wait_for 10 the_stuff cryopod
		expect 0 cryopod container checkpoint -e "$ARCHIVE" c
		cryopod rm c >/dev/null
		cryopod volume rm v >/dev/null
		# The default network of a store like this one is another than Podman's.
		run podman container restore --keep --ignore-static-ip --ignore-static-mac -i "$ARCHIVE"
		echo "$output"
		[ "$status" -eq 0 ] || { cryo_log; false; }
		counts_on podman
		the_stuff podman
		run podman container checkpoint -e "$ARCHIVE" c
		echo "$output"
		[ "$status" -eq 0 ] || { cryo_log; false; }
		podman rm c >/dev/null
		podman volume rm v >/dev/null
		expect 0 cryopod container restore --ignore-static-ip --ignore-static-mac -i "$ARCHIVE"
		counts_on cryopod
		the_stuff cryopod
		cryopod rm -ft 0 c >/dev/null
		cryopod volume rm v >/dev/null
	done
}

@test "a container of Podman's comes here, and goes back" {
	needs_engine
	podman run -d --name c --network none --cap-drop all -v v:/vol --tmpfs /scratch $IMAGE sh -c "$STUFF" >/dev/null
	wait_for 10 reaches podman 3
	wait_for 10 the_stuff podman
	expect 0 podman container checkpoint -e "$ARCHIVE" c
	podman rm c >/dev/null
	podman volume rm v >/dev/null
	expect 0 cryopod container restore -i "$ARCHIVE"
	[ "$(cryopod inspect --format '{{.HostConfig.NetworkMode}}' c)" = none ]
	counts_on cryopod
	the_stuff cryopod
	expect 0 cryopod container checkpoint -e "$ARCHIVE" c
	cryopod rm c >/dev/null
	cryopod volume rm v >/dev/null
	expect 0 podman container restore -i "$ARCHIVE"
	counts_on podman
	the_stuff podman
}

@test "what a checkpoint image of ours has is in Podman's hands, too" {
	needs_engine
	looper c
	expect 0 cryopod container checkpoint --create-image warm c
	n=$(last_number c)
	cryopod rm c >/dev/null
	expect 0 cryopod save -q --format oci-archive -o "$W/warm.tar" warm
	podman load -q -i "$W/warm.tar" >/dev/null
	[ "$(podman image inspect localhost/warm --format '{{index .Annotations "io.podman.annotations.checkpoint.name"}}')" = c ]
	expect 0 podman container restore localhost/warm
	# It goes on from there, in a new log.
	wait_for 20 reaches podman $((n + 3))
	[ "$(podman logs c | head -n 1)" -ge "$n" ]
}
