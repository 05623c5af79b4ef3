# SPDX-License-Identifier: Apache-2.0
# Again and again: checkpoints of what was restored, several restores of one checkpoint, time.

load ../lib/helpers
setup_file() { engine_setup; }
setup() { needs_engine; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

pid_of() { cryopod inspect --format '{{.State.Pid}}' "$1"; }
userdata() { cryopod inspect --format '{{.StaticDir}}' "$1"; }
identity() { "$REPO/tests/lib/identity" "$(pid_of "$1")"; }

no_images() { [ -z "$(find "$(userdata "$1")" -name '*.img')" ]; }

# counted CTR: the sizes of what could grow with every cycle.
counted() {
	local p
	p=$(pid_of "$1")
	wc -l <"/proc/$p/maps"
	find "/proc/$p/fd" -mindepth 1 | wc -l
	wc -l <"/proc/$p/mountinfo"
	# what was restored is removed by a process that nobody waits for
	wait_for 10 no_images "$1"
	find "$(userdata "$1")" -mindepth 1 -maxdepth 1 | wc -l
	find "$CP_RUN" -mindepth 1 -maxdepth 3 | wc -l
}

@test "twenty cycles" {
	cryopod run -d --name a --network none --tmpfs /x $IMAGE sh -c "echo x >/x/f; sleep 1000 | cat & ($FAST_LOOP) & exec sleep 1000" >/dev/null
	wait_for 10 log_reaches a 2
	cycle a
	identity a | grep -v expr >"$BATS_TEST_TMPDIR/first"
	counted a >"$BATS_TEST_TMPDIR/counts"
	for _ in $(seq 19); do
		cryopod container checkpoint a >/dev/null
		cryopod container restore a >/dev/null
	done
	goes_on a
	# what was restored is removed by a process that nobody waits for: its directory goes last
	wait_for 10 eval 'counted a | diff "$BATS_TEST_TMPDIR/counts" -'
	identity a | grep '^1 ' | diff <(grep '^1 ' "$BATS_TEST_TMPDIR/first") -
	[ "$(cryopod exec a cat /x/f)" = x ]
}

@test "one checkpoint, restored several times" {
	cryopod run -d --name a --network none $IMAGE sh -c "$FAST_LOOP" >/dev/null
	wait_for 10 log_reaches a 5
	cryopod container checkpoint --keep a
	last=$(last_number a)
	for i in 1 2 3; do
		cryopod container restore --keep a
		wait_for 10 times a $((last + 3)) "$i"
		cryopod kill a >/dev/null
		cryopod wait a
		[ -s "$(userdata a)/checkpoint/inventory.img" ]
	done
	echo "frozen after $last"
	cryopod logs -t a
	# Each went on after the same number.
	[ "$(cryopod logs a | grep -cx $((last + 1)))" -eq 3 ]
	cryopod container restore a
	[ ! -e "$(userdata a)/checkpoint" ]
}

@test "--leave-running; what was kept is restored when the container has stopped" {
	looper a
	cryopod container checkpoint --leave-running --keep a
	goes_on a
	[ -s "$(userdata a)/checkpoint/inventory.img" ]
	cryopod stop -t 0 a
	expect 0 cryopod container restore a
	n=$(cryopod logs a | wc -l)
	wait_for 10 test "$(cryopod logs a | wc -l)" -ge "$n"
	state_is a running
}

CLOCK='
import time
while True:
    print("%.3f %.3f" % (time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)), flush=True)
    time.sleep(0.05)'

# jump CTR CLOCK: the greatest difference of two lines that follow each other, in whole seconds;
# "back" when the clock went back.
jump() {
	cryopod logs "$1" | awk -v c="$2" 'NR > 1 {d = $c - last; if (d < 0) back = 1; if (d > max) max = d} {last = $c}
		END {print back ? "back" : int(max)}'
}

@test "clocks go on from where they were, however long it lay; also after another host's uptime" {
	cryopod run -d --name a --network none -v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro $IMAGE /usr/bin/python3 -c "$CLOCK" >/dev/null
	wait_for 20 log_has a .
	cryopod container checkpoint a
	# Ten minutes later, by the clock of a time namespace.  A machine that is busy can keep it waiting, too.
	later() { unshare --time --monotonic 600 --boottime 600 --fork "$CP" "$@"; }
	later container restore a
	n=$(cryopod logs a | wc -l)
	wait_for 10 sh -c "[ \$('$CP' logs a | wc -l) -gt $((n + 3)) ]"
	[ "$(jump a 1)" -le 200 ] && [ "$(jump a 2)" -le 200 ]
	# exec sees the container's clock, not the host's.
	last=$(cryopod logs --tail 1 a | cut -d' ' -f2 | cut -d. -f1)
	now=$(later exec a cut -d. -f1 /proc/uptime)
	[ $((now - last)) -le 200 ] && [ $((now - last)) -ge 0 ]

	# Images of a host that has been up for a day more than this one.
	later container checkpoint a
	img=$(echo "$(userdata a)"/checkpoint/timens-*.img)
	crit decode -i "$img" | jq '.entries[0] |= (.monotonic.tv_sec += 86400 | .boottime.tv_sec += 86400)' >"$BATS_TEST_TMPDIR/t"
	crit encode -i "$BATS_TEST_TMPDIR/t" -o "$img"
	cryopod container restore a
	n=$(cryopod logs a | wc -l)
	wait_for 10 sh -c "[ \$('$CP' logs a | wc -l) -gt $((n + 3)) ]"
	for clock in 1 2; do
		j=$(jump a $clock)
		[ "$j" -ge 86400 ] && [ "$j" -le 86600 ]
	done
}

@test "processes in network and mount namespaces of their own" {
	cryopod run -d --name a --network none --privileged $IMAGE sh -c \
		'unshare -n sleep 1000 & unshare -m sh -c "mount -t tmpfs x /tmp; echo kept >/tmp/file; exec sleep 1001" & exec sleep 1002' >/dev/null
	pid_of() { cryopod exec a sh -c "grep -lz '^$1\$' /proc/[0-9]*/cmdline" | cut -d / -f 3; }
	wait_for 20 eval '[ "$("$CP" top a args | grep -c "^sleep 100[012]")" -eq 3 ]'
	for _ in 1 2; do
		net=$(pid_of 1000) mnt=$(pid_of 1001)
		expect 0 cryopod exec a sh -c "for p in 1/ns/net $net/ns/net 1/ns/mnt $mnt/ns/mnt; do readlink /proc/\$p; done; cat /proc/$mnt/root/tmp/file; ls /tmp"
		[ "${#lines[@]}" -eq 5 ] && [ "${lines[0]}" != "${lines[1]}" ] && [ "${lines[2]}" != "${lines[3]}" ]
		[ "${lines[4]}" = kept ]
		cryopod container checkpoint a
		cryopod container restore a
	done
	[ "$(pid_of 1000) $(pid_of 1001)" = "$net $mnt" ]
}
