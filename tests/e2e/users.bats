# SPDX-License-Identifier: Apache-2.0
# User namespaces inside a container.

load ../lib/helpers
setup_file() { engine_setup; }
setup() { needs_engine; [ "$PROG" != podman ] || skip "podman has no such checkpoints here"; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

HOST="-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro"

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

@test "bwrap --unshare-all: a sandbox; two cycles" {
	command -v bwrap >/dev/null || skip "no bwrap"
	cryopod run -d --privileged --network none --name c $HOST $IMAGE sh -c '
		bwrap --unshare-all --uid 1000 --gid 1000 --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp \
			--hostname sandbox sh -c "echo hi >/tmp/f; cd /tmp; sleep 73022 & exec sleep 73021" &
		exec sleep 73020' >/dev/null
	wait_for 20 inner "sleep 73020"
	wait_for 20 inner "sleep 73021"
	wait_for 20 inner "sleep 73022"
	p=$(inner "sleep 73021")
	a=$(users "$p") b=$(nsenter -t "$p" -p -m ps -o pid,args | grep -v ps)
	for i in 1 2; do
		cryopod container checkpoint c >/dev/null
		cryopod container restore c >/dev/null
		p=$(inner "sleep 73021")
		[ "$(users "$p")" = "$a" ]
		[ "$(nsenter -t "$p" -p -m ps -o pid,args | grep -v ps)" = "$b" ]
		[ "$(nsenter -t "$p" -U -m -u --preserve-credentials sh -c 'hostname; cat /tmp/f')" = "sandbox
hi" ]
		[ "$(readlink "/proc/$p/cwd")" = /tmp ]
		run nsenter -t "$p" -U -m -p --preserve-credentials mkdir /x
		[ "$status" -ne 0 ]
		[ "$(nsenter -t "$p" -U -n --preserve-credentials ip -o link | wc -l)" = 1 ]
	done
}

@test "bwrap --tmpfs / --dev-bind: what lies on a bind mount is locked, that one is not; two cycles" {
	command -v bwrap >/dev/null || skip "no bwrap"
	cryopod run -d --privileged --network none --name c $HOST $IMAGE sh -c '
		bwrap --unshare-user --tmpfs / --ro-bind /usr /usr --ro-bind /lib /lib --ro-bind /lib64 /lib64 \
			--ro-bind /bin /bin --dev-bind /dev /dev --proc /proc sh -c "echo hi >/f; exec sleep 73031" &
		exec sleep 73030' >/dev/null
	wait_for 20 inner "sleep 73030"
	wait_for 20 inner "sleep 73031"
	p=$(inner "sleep 73031")
	mounts() { awk '{print $4, $5, $6}' "/proc/$p/mountinfo" | sort; }
	within() { nsenter -t "$p" -U -m -p --preserve-credentials "$@"; }
	a=$(mounts)
	grep -q " /dev/shm " <<<"$a"
	run within umount /dev/shm
	[ "$status" -ne 0 ]
	for i in 1 2; do
		cryopod container checkpoint c >/dev/null
		cryopod container restore c >/dev/null
		p=$(inner "sleep 73031")
		[ "$(mounts)" = "$a" ]
		[ "$(within cat /f)" = hi ]
		run within umount /dev/shm
		[ "$status" -ne 0 ]
	done
	within umount -l /dev
	[ "$(within ls /dev)" = "" ]
}
