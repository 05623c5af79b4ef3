# SPDX-License-Identifier: Apache-2.0
# run: what a container may do and how much it may use, seen from inside.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

# box OPTIONS... IMAGE COMMAND...
box() { cryopod run --rm --network none "$@"; }

@test "--read-only: a root that cannot be written, /tmp and /run that can" {
	expect 0 box --read-only $IMAGE sh -c 'touch /x 2>/dev/null || echo refused; touch /tmp/x /run/x /dev/shm/x && echo fine'
	is $'refused\nfine'
}

@test "capabilities, --privileged, seccomp, no-new-privileges" {
	expect 0 box $IMAGE grep -E '^(CapEff|CapBnd|Seccomp|NoNewPrivs):' /proc/self/status
	is $'CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2' || is $'CapEff:\t00000000800405fb\nCapBnd:\t00000000800405fb\nNoNewPrivs:\t0\nSeccomp:\t2'
	expect 0 box --cap-drop all --cap-add net_admin $IMAGE grep CapEff /proc/self/status
	is $'CapEff:\t0000000000001000'
	expect 0 box -u joe $IMAGE grep -E '^Cap(Prm|Eff)' /proc/self/status
	is $'CapPrm:\t0000000000000000\nCapEff:\t0000000000000000'
	expect 0 box --privileged $IMAGE sh -c 'grep Seccomp: /proc/self/status; ls -d /dev/kmsg; cat /proc/sysrq-trigger 2>&1 | head -c 0'
	is $'Seccomp:\t0\n/dev/kmsg'
	expect 0 box --security-opt seccomp=unconfined --security-opt no-new-privileges $IMAGE grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status
	is $'NoNewPrivs:\t1\nSeccomp:\t0'
	refuses 125 '"CAP_BOGUS": unknown capability' box --cap-add bogus $IMAGE true
	# Masked and read-only paths.
	expect 0 box $IMAGE sh -c 'for f in kcore keys timer_list; do cat /proc/$f 2>/dev/null; done; (echo x >/proc/sys/kernel/domainname) 2>/dev/null || echo ro'
	is ro
}

@test "limits: --ulimit, -m, --cpus, --pids-limit" {
	if [ "$PROG" != podman ]; then # which fails without CAP_SYS_RESOURCE
		expect 0 box --ulimit nofile=100:200 --ulimit core=0 $IMAGE sh -c 'ulimit -n; ulimit -Hn; ulimit -c'
		is $'100\n200\n0'
	fi
	expect 0 cryopod run -d --name lim --network none -m 64m --cpus 0.5 --pids-limit 50 $IMAGE sleep 100
	[ "$(container_limit lim memory memory.limit_in_bytes memory.max)" = 67108864 ]
	[ "$(container_limit lim pids pids.max pids.max)" = 50 ]
	[[ "$(container_limit lim cpu cpu.cfs_quota_us cpu.max)" == 50000* ]]
	refuses 125 "invalid size: '1x'" box -m 1x $IMAGE true
	refuses 125 'invalid ulimit type: foo' box --ulimit foo=1 $IMAGE true
}

@test "update: other limits at once, after a restart and after a restore; what is not said stays" {
	limits() { echo "$(container_limit up memory memory.limit_in_bytes memory.max) $(container_limit up pids pids.max pids.max) $(container_limit up cpu cpu.cfs_quota_us cpu.max)"; }
	expect 0 cryopod create --name up --network none -m 64m --cpus 0.5 --pids-limit 50 $IMAGE sleep 1000
	local id=$output
	expect 0 cryopod update --pids-limit 60 up
	is "$id"
	cryopod start up
	[[ "$(limits)" == "67108864 60 50000"* ]]
	expect 0 cryopod update -m 96m --cpus 0.25 up
	[[ "$(limits)" == "100663296 60 25000"* ]]
	expect 0 cryopod container checkpoint up
	expect 0 cryopod container restore up
	[[ "$(limits)" == "100663296 60 25000"* ]]
	expect 0 cryopod update --cpu-quota 30000 --cpu-period 100000 up
	[[ "$(limits)" == "100663296 60 30000"* ]]
	cryopod restart -t 0 up
	[[ "$(limits)" == "100663296 60 30000"* ]]
	[ "$(cryopod inspect --format '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.CpuQuota}}' up)" = "100663296 60 30000" ]
	# Nothing changes by what is wrong.
	refuses 125 'minimum memoryswap limit should be larger than memory limit' cryopod update -m 64m --memory-swap 32m up
	if grep -qw cpuset "/proc/$(pid_of up)/cgroup" /sys/fs/cgroup/cgroup.controllers; then
		refuses 125 cpuset cryopod update --cpuset-cpus 4095 up
		[ "$(cryopod inspect --format '{{.HostConfig.CpusetCpus}}' up)" = '' ]
	fi
	[[ "$(limits)" == "100663296 60 30000"* ]]
	[ "$(cryopod inspect --format '{{.HostConfig.Memory}}' up)" = 100663296 ]
	refuses 125 'accepts 1 arg(s), received 0' cryopod update
	refuses 125 'no container with name or ID "nosuch" found' cryopod update -m 1g nosuch
	refuses 125 "invalid size: '1x'" cryopod update -m 1x up
}

@test "-m is enforced: who takes more is killed" {
	expect 137 cryopod run --name oom --network none -m 16m --memory-swap 16m $IMAGE sh -c 'x=$(head -c 40000000 /dev/zero | tr "\0" a); echo ${#x}'
	expect 0 cryopod inspect --format '{{.State.ExitCode}}' oom
	is 137
}
