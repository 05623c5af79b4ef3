# SPDX-License-Identifier: Apache-2.0
# What goes wrong is said in one line that names it; nothing is changed and nothing is lost.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() {
	unhide
	engine_clear
	if mountpoint -q "$BATS_FILE_TMPDIR/small"; then
		CP_ROOT=$BATS_FILE_TMPDIR/small/root CP_RUN=$BATS_FILE_TMPDIR/small-run engine_clear
		umount -l "$BATS_FILE_TMPDIR/small"
	fi
}
teardown_file() { engine_teardown; }

box() { cryopod run --rm --network none "$@"; }
@test "unknown names, for every command" {
	for c in start stop kill restart wait pause unpause "exec nosuch true" attach logs top port mount umount init rename inspect \
		"container checkpoint" "container restore"; do
		case $c in
		"exec"*) args=($c) ;;
		rename) args=(rename nosuch other) ;;
		*) args=($c nosuch) ;;
		esac
		expect 125 cryopod "${args[@]}"
		has Error: nosuch
	done
	expect 1 cryopod rm nosuch
	expect 1 cryopod rmi nosuch
	expect 125 cryopod image inspect nosuch
	expect 125 cryopod start "$(printf 'a%.0s' {1..5000})"
	expect 125 cryopod start "x'; DROP TABLE containers; --"
	store_is_sound
}

@test "an empty --root or --runroot is none, and not the current directory" {
	mkdir "$BATS_TEST_TMPDIR/here"
	cd "$BATS_TEST_TMPDIR/here"
	expect 0 unshare --mount bash -c 'mount -t tmpfs t /var/lib; mount -t tmpfs t /run
		"$1" --root "" --runroot "" info --format "{{.Store.GraphRoot}} {{.Store.RunRoot}}"' sh "${CP%% *}"
	[ "$output" = "/var/lib/cryopod /run/cryopod" ]
	[ -z "$(ls)" ]
}

@test "a full disk: import and run" {
	small=$BATS_FILE_TMPDIR/small
	mkdir -p "$small"
	mount -t tmpfs -o size=1500k tmpfs "$small"
	tiny() { CP_ROOT=$small/root CP_RUN=$BATS_FILE_TMPDIR/small-run cryopod "$@"; }
	expect 125 tiny import -q "$BATS_FILE_TMPDIR/busybox.tar" busybox
	has Error: 'o space left on device'
	expect 0 tiny images -q
	is ""
	mount -o remount,size=20m "$small"
	expect 0 tiny import -q "$BATS_FILE_TMPDIR/busybox.tar" busybox
	expect 0 tiny run --rm --network none busybox echo hi
	expect 0 tiny rmi -fa
}

@test "a full disk: checkpoint leaves the container running" {
	needs_engine
	small=$BATS_FILE_TMPDIR/small
	mkdir -p "$small"
	mount -t tmpfs -o size=20m tmpfs "$small"
	export CP_ROOT=$small/root CP_RUN=$BATS_FILE_TMPDIR/small-run
	cryopod import -q "$BATS_FILE_TMPDIR/busybox.tar" busybox >/dev/null
	looper full
	dd if=/dev/zero of="$small/fill" bs=4k 2>/dev/null || true
	refuses 125 'o space left on device' cryopod container checkpoint full
	rm "$small/fill"
	goes_on full
	[ ! -e "$(cryopod inspect --format '{{.StaticDir}}' full)/checkpoint" ]
	expect 0 cryopod container checkpoint full
	expect 0 cryopod container restore full
	goes_on full
	expect 0 cryopod rm -f -t 0 full
}

@test "a full disk: what takes space can be removed" {
	[ "$PROG" != podman ] || skip "Podman cannot"
	small=$BATS_FILE_TMPDIR/small
	mkdir -p "$small"
	mount -t tmpfs -o size=20m tmpfs "$small"
	export CP_ROOT=$small/root CP_RUN=$BATS_FILE_TMPDIR/small-run
	cryopod import -q "$BATS_FILE_TMPDIR/busybox.tar" busybox >/dev/null
	looper a
	cryopod create --name b --network none $IMAGE true >/dev/null
	dd if=/dev/zero of="$small/fill" bs=4k 2>/dev/null || true
	expect 0 cryopod ps -a
	expect 0 cryopod rm -f -t 0 a
	expect 0 cryopod rm b
	expect 0 cryopod rmi $IMAGE
	[ "$(cryopod ps -aq)$(cryopod images -q)" = "" ]
}

# hide PROGRAM...: as if they were not installed.
hide() {
	local p
	for p in $(type -ap "$@" | xargs -n 1 realpath | sort -u) /usr/lib/podman/"${1##*/}"; do
		[ ! -e "$p" ] || mount --bind /dev/null "$p"
	done
}
unhide() {
	local p
	while read -r p; do umount "$p"; done < <(awk '$5 ~ "^/usr/" && $4 == "/null" {print $5}' /proc/self/mountinfo)
}

@test "runtime, monitor, network and copy programs that are not installed" {
	only_main "its messages"
	hide runc crun
	expect 125 cryopod run --network none --name a $IMAGE true
	has Error: runc
	# What does not need it works without.
	expect 0 cryopod ps -a
	unhide && hide conmon
	expect 125 cryopod run --network none --name b $IMAGE true
	has Error: conmon
	expect 0 cryopod images
	unhide && hide netavark
	expect 125 cryopod run --name d $IMAGE true
	has Error: netavark
	expect 0 cryopod run --network none $IMAGE true
	unhide && hide skopeo
	expect 125 cryopod pull -q docker://127.0.0.1:1/x
	has Error: skopeo
	unhide
	expect 125 cryopod --runtime /nosuch/runtime run --rm --network none $IMAGE true
	has Error: /nosuch/runtime
	store_is_sound
}

@test "a checkpoint that is damaged is refused and stays; whole again, it is restored" {
	needs_engine
	looper a
	cryopod container checkpoint a
	d=$(cryopod inspect --format '{{.StaticDir}}' a)/checkpoint
	cp -a "$d" "$BATS_TEST_TMPDIR/saved"
	for f in inventory pstree core-1 mm-1 files; do
		[ -e "$d/$f.img" ]
		head -c 30 /dev/urandom >"$d/$f.img"
		refuses 125 "" cryopod container restore a
		state_is a exited
		rm "$d/$f.img"
		refuses 125 "" cryopod container restore a
		cp -a "$BATS_TEST_TMPDIR/saved/$f.img" "$d/$f.img"
	done
	expect 0 cryopod container restore a
	goes_on a
}
