# SPDX-License-Identifier: Apache-2.0
# What a thawed container has and does: files, memory file systems, addresses, time, terminals.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }
setup() { needs_engine; }

@test "limits of the cgroup are those of before" {
	cryopod run -d --name m --network none -m 99m --pids-limit 77 $IMAGE sleep 1000 >/dev/null
	for _ in before after; do
		[ "$(container_limit m memory memory.limit_in_bytes memory.max)" = $((99 << 20)) ]
		[ "$(container_limit m pids pids.max pids.max)" = 77 ]
		cycle m
	done
}

@test "tmpfs, /dev/shm, written files, deleted files that are open" {
	cryopod run -d --name f --network none --tmpfs /scratch:size=4m $IMAGE sh -c 'exec 3<>/tmp/gone; rm /tmp/gone; echo held >&3; echo ready; exec sleep 1000' >/dev/null
	wait_for 10 log_has f ready
	cryopod exec f sh -c 'echo one >/scratch/a; mkdir -m 750 /scratch/d; echo two >/scratch/d/b; chown 5:6 /scratch/d/b; ln -s a /scratch/l; ln /scratch/a /scratch/hard
		echo three >/dev/shm/c; chmod 600 /dev/shm/c; echo four >/written; rm /etc/group; ln -s /run/log /dev/log'
	show='cd /; ls -lnR scratch dev/shm | sed "s/ [A-Z][a-z][a-z] .*[0-9] / /"; cat scratch/a scratch/d/b dev/shm/c written; ls /etc/group 2>&1; readlink /dev/log; grep scratch /proc/mounts'
	cryopod exec f sh -c "$show" >"$BATS_TEST_TMPDIR/before"
	cycle f
	cryopod exec f sh -c "$show" | diff "$BATS_TEST_TMPDIR/before" -
	p=$(pid_of f)
	[[ "$(readlink "/proc/$p/fd/3")" == *"/tmp/gone (deleted)" ]]
	[ "$(cat "/proc/$p/fd/3")" = held ]
	[ "$(awk '/^pos/ {print $2}' "/proc/$p/fdinfo/3")" = 5 ]
}

@test "the same address and hardware address; published ports closed and open again" {
	cryopod run -d --name n -p 8088:80 $IMAGE sleep 1000 >/dev/null
	show='cat /sys/class/net/eth0/address; ip -4 -o addr show eth0; ip route; cat /etc/resolv.conf /etc/hosts'
	cryopod exec n sh -c "$show" >"$BATS_TEST_TMPDIR/before"
	cryopod inspect --format '{{.NetworkSettings.IPAddress}} {{.NetworkSettings.MacAddress}} {{.HostConfig.PortBindings}}' n >>"$BATS_TEST_TMPDIR/before"
	expect 0 cryopod container checkpoint n
	run ! curl -s -m 1 http://127.0.0.1:8088/
	expect 0 cryopod container restore n
	cryopod exec n sh -c "$show" >"$BATS_TEST_TMPDIR/after"
	cryopod inspect --format '{{.NetworkSettings.IPAddress}} {{.NetworkSettings.MacAddress}} {{.HostConfig.PortBindings}}' n >>"$BATS_TEST_TMPDIR/after"
	diff "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
	cryopod exec -d n httpd -f -p 80 -h /etc
	wait_for 5 curl -sf -m 2 http://127.0.0.1:8088/passwd
	busybox ping -c 1 -W 30 "$(cryopod inspect --format '{{.NetworkSettings.IPAddress}}' n)"
}

@test "time goes on from where it was" {
	cryopod run -d --name t --network none $IMAGE sleep 1000 >/dev/null
	uptime='cut -d. -f1 /proc/uptime'
	cryopod container checkpoint -R t
	before=$(cryopod exec t $uptime)
	cryopod container checkpoint t
	# Ten minutes later, by the clock of a time namespace; this test itself may take a few of them.
	later() { unshare --time --monotonic 600 --boottime 600 --fork "$CP" "$@"; }
	later container restore t
	after=$(later exec t $uptime)
	echo "$before $after"
	[ "$after" -ge "$before" ] && [ $((after - before)) -lt 300 ]
	later rm -f -t 0 t
}

@test "ten cycles of the counting loop lose and repeat nothing" {
	cryopod run -d --name c --network none $IMAGE sh -c "${FAST_LOOP/0.05/0.01}" >/dev/null
	for i in 1 2 3 4 5 6 7 8 9 10; do
		wait_for 10 log_reaches c $((i * 3))
		cycle c
	done
	wait_for 10 log_reaches c $(($(last_number c) + 5))
	log_is_gapless c
	expect 0 cryopod stop -t 0 c
}

@test "attach works on after a restore" {
	cryopod run -dit --name a --network none $IMAGE sh >/dev/null
	cryopod run -d -i --name p --network none $IMAGE cat >/dev/null
	cycle a && cycle p
	run "$REPO/tests/lib/pty" -s '\n' -e '# ' -s 'x=$((20+22)); echo a${x}b\n' -e a42b -s '\x10\x11' -- "$CP" attach a
	echo "$output"
	[ "$status" -eq 0 ]
	run timeout 60 "$CP" attach p <<<hello
	[ "$output" = hello ]
}

@test "what is refused has not been touched; what is accepted works afterwards" {
	cryopod run -d --name w $IMAGE httpd -f -p 80 -h /etc >/dev/null
	url="http://$(cryopod inspect --format '{{.NetworkSettings.IPAddress}}' w)/passwd"
	wait_for 5 curl -sf "$url"
	run cryopod container checkpoint w
	echo "$output"
	if [ "$status" -eq 0 ]; then
		expect 0 cryopod container restore w
	else
		[ "$status" -eq 125 ] && [ "$(grep -c ^Error: <<<"$output")" -eq 1 ]
	fi
	expect 0 curl -sf -m 30 "$url"
}

@test "a loop that forks all the time: no moment is a wrong one" {
	cryopod run -d --name c --network none $IMAGE sh -c 'i=0; while :; do echo $i; i=$(expr $i + 1); done' >/dev/null
	for _ in $(seq 15); do
		expect 0 cryopod container checkpoint -R c
		cycle c
	done
	wait_for 10 log_reaches c $(($(last_number c) + 5))
	cryopod stop -t 0 c
	log_is_gapless c
}

@test "programs of many kinds go on" {
	local n=0
	while read -r script; do
		n=$((n + 1))
		cryopod run -d --name "p$n" --network none $IMAGE sh -c "$script" >/dev/null
	done <<-'END'
	yes | cat >/dev/null
	dd if=/dev/zero of=/dev/null bs=1M
	touch /tmp/f; (while :; do echo x >>/tmp/f; sleep 0.05; done) & exec tail -f /tmp/f
	trap "echo usr1" USR1; while :; do kill -USR1 $$; sleep 0.05; done
	setsid sh -c "sleep 1000 & exec sleep 1001" & exec sleep 1002
	mkdir /tmp/d; cd /tmp/d; rmdir /tmp/d; exec sleep 1000
	exec 4</proc/meminfo 5</dev/urandom 6<>/dev/full 7</sys/kernel/mm; exec sleep 1000
	watch -n 0.1 date
	awk "BEGIN { while (1) if (++i % 100000 == 0) print i }"
	sleep 0.01 & sleep 0.05; exec sleep 1000
	timeout 1000 sleep 1001
	END
	expect 0 cryopod container checkpoint -a
	expect 0 cryopod container restore -a
	[ "$(cryopod ps -q | wc -l)" -eq "$n" ]
	for c in p3 p4 p8 p9; do
		lines=$(cryopod logs $c | wc -l)
		wait_for 10 bash -c "[ \$($CP logs $c | wc -l) -gt $lines ]"
	done
	wait_for 10 eval '[ "$(cryopod exec p5 ps -o args | grep -c "^sleep 100[012]")" -eq 3 ]'
	wait_for 10 cryopod exec p1 pidof yes cat
}
