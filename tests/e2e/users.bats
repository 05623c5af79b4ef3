# SPDX-License-Identifier: Apache-2.0
# User namespaces inside a container.

load ../lib/helpers
setup_file() { engine_setup; }
setup() { needs_engine; [ "$PROG" != podman ] || skip "podman has no such checkpoints here"; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

# inner ARGS: our number of the process of container c.
inner() {
	local p
	for p in $(pgrep -f "$1"); do
		[ "$(tr '\0' ' ' <"/proc/$p/cmdline")" = "$1 " ] && echo "$p" && return
	done
	return 1
}

# users PID: what shows of it.
users() {
	nsenter -t "$1" -U --preserve-credentials cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups
	grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs)' "/proc/$1/status"
	stat -c '%u:%g' "/proc/$1/status"
}

@test "unshare -r, and without a map; two cycles" {
	cryopod run -d --privileged --network none --name c $IMAGE sh -c '
		unshare -r sleep 73001 & unshare -U sleep 73002 & exec sleep 73000' >/dev/null
	wait_for 20 inner "sleep 73000"
	wait_for 20 inner "sleep 73001"
	wait_for 20 inner "sleep 73002"
	a=$(users "$(inner "sleep 73001")") b=$(users "$(inner "sleep 73002")")
	[[ $a = *deny* ]]
	for i in 1 2; do
		cryopod container checkpoint c >/dev/null
		cryopod container restore c >/dev/null
		[ "$(users "$(inner "sleep 73001")")" = "$a" ]
		[ "$(users "$(inner "sleep 73002")")" = "$b" ]
		[ "$(stat -Lc %i "/proc/$(inner "sleep 73001")/ns/user")" != "$(stat -Lc %i "/proc/$(inner "sleep 73000")/ns/user")" ]
	done
	[ "$(cryopod exec c ps -o args | grep -c "^sleep 7300")" = 3 ]
}

@test "unshare -rm: a tmpfs of its own; two cycles" {
	cryopod run -d --privileged --network none --name c $IMAGE sh -c '
		unshare -rm sh -c "mount -t tmpfs own /tmp; echo hi >/tmp/f; cd /tmp; exec sleep 73011" & exec sleep 73010' >/dev/null
	wait_for 20 inner "sleep 73010"
	wait_for 20 inner "sleep 73011"
	for i in 1 2; do
		cryopod container checkpoint c >/dev/null
		cryopod container restore c >/dev/null
		p=$(inner "sleep 73011")
		[ "$(nsenter -t "$p" -U -m -p --preserve-credentials cat /tmp/f)" = hi ]
		[ "$(readlink "/proc/$p/cwd")" = /tmp ]
		# what it came with stays locked, its own mount is its own
		run nsenter -t "$p" -U -m -p --preserve-credentials umount -l /proc
		[ "$status" -ne 0 ]
		nsenter -t "$p" -U -m -p --preserve-credentials mount -o remount,size=5m /tmp
	done
	run cryopod exec c cat /tmp/f
	[ "$status" -ne 0 ]
	nsenter -t "$p" -U -m -p --preserve-credentials umount -l /tmp
}
