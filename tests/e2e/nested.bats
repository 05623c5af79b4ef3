# SPDX-License-Identifier: Apache-2.0
# Containers whose processes have namespaces of their own: a service with a private /tmp, a network
# namespace with a bridge, a whole container inside.

load ../lib/helpers
setup_file() { engine_setup; }
setup() { needs_engine; [ "$PROG" != podman ] || skip "podman has no such checkpoints here"; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

# inner PATTERN: our number of the process of container c.
inner() {
	local p
	for p in $(pgrep -f "$1"); do
		[ "$(tr '\0' ' ' <"/proc/$p/cmdline")" = "$1 " ] && echo "$p" && return
	done
	return 1
}

@test "a private /tmp, a network namespace with a bridge" {
	cryopod run -d --privileged --name c $IMAGE sh -c '
		unshare -m sh -c "mount -t tmpfs priv /tmp; echo hi >/tmp/f; cd /tmp; exec sleep 71001" &
		unshare -n sh -c "ip link set lo up; ip link add br9 type bridge
			ip addr add 10.9.9.1/24 dev br9; ip link set br9 up; exec sleep 71002" &
		exec sleep 71000' >/dev/null
	wait_for 20 inner "sleep 71001"
	wait_for 20 inner "sleep 71002"
	wait_for 20 inner "sleep 71000"
	for i in 1 2; do
		cryopod container checkpoint c >/dev/null
		wait_for 10 eval '! inner "sleep 71001"'
		cryopod container restore c >/dev/null
		m=$(inner "sleep 71001") n=$(inner "sleep 71002")
		[ "$(nsenter -t "$m" -m cat /tmp/f)" = hi ]
		[ "$(readlink "/proc/$m/cwd")" = /tmp ]
		run cryopod exec c cat /tmp/f
		[ "$status" -ne 0 ]
		nsenter -t "$n" -n ip -o -4 address show dev br9 | grep -q 10.9.9.1/24
	done
}

@test "a container inside: pid, mount, network, IPC and host name" {
	cryopod run -d --privileged --name c $IMAGE sh -c '
		unshare -muinpf sh -c "mount -t proc proc /proc; mount -t tmpfs priv /tmp; hostname inside
			echo hi >/tmp/f; sleep 72002 & exec sleep 72001" &
		exec sleep 72000' >/dev/null
	wait_for 20 inner "sleep 72002"
	wait_for 20 inner "sleep 72001"
	wait_for 20 inner "sleep 72000"
	p=$(inner "sleep 72001")
	wait_for 10 eval '[ "$(nsenter -t "$p" -a ps -o pid,args | grep -c "sleep 7200")" -ge 2 ]'
	before=$(nsenter -t "$p" -a ps -o pid,args | grep -v ps) outer=$(cryopod exec c ps -o pid,args | grep sleep)
	for i in 1 2; do
		cryopod container checkpoint c >/dev/null
		cryopod container restore c >/dev/null
		p=$(inner "sleep 72001")
		[ "$(nsenter -t "$p" -a ps -o pid,args | grep -v ps)" = "$before" ]
		[ "$(cryopod exec c ps -o pid,args | grep sleep)" = "$outer" ]
		[ "$(nsenter -t "$p" -a sh -c 'hostname; cat /tmp/f')" = "inside
hi" ]
	done
	kill -9 "$p"
	wait_for 10 eval '! inner "sleep 72002"'
}
