#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cryo: network devices of each kind that this kernel can make, what is set at them, and those that
# come from outside.
load ../lib/cryo

# inside SCRIPT: in new namespaces, ending as "sleep"; its number in PID.
inside() {
	setsid unshare -pmn --fork bash -euc "mount -t proc proc /proc; ip link set lo up; $1
		exec sleep 1000" </dev/null >"$DIR/out" 2>&1 3>&- &
	PARENT=$!
	wait_for 5 eval "PID=\$(pgrep -P $PARENT) && [ \"\$(cat /proc/\$PID/comm)\" = sleep ]" ||
		{ cat "$DIR/out"; return 1; }
}

again() {
	"$CRYO" dump -D "$IMG" -t "$PID"
	wait "$PARENT" || true
	[ ! -e "/proc/$PID" ]
	"$CRYO" restore -D "$IMG" -d --pidfile pid "$@"
	PID=$(cat "$IMG/pid")
}

in_it() {
	nsenter -t "$PID" -n "$@"
}

setup() {
	DIR=$BATS_TEST_TMPDIR IMG=$BATS_TEST_TMPDIR/img PID=
	mkdir "$IMG"
}

# What changes by itself is left out.
show() {
	local p
	for p in "$PID" $(pgrep -P "$PID"); do
		nsenter -t "$p" -n ip -d -o link |
			sed 's/timer *[0-9.]*//g;s/state [A-Z]* //;s/,LOWER_UP//;s/NO-CARRIER,//;s/bridge_slave state [a-z]*//;s/topology_change[a-z_]* [0-9]//g;s/designated_[a-z]* [0-9a-f.:]*//g;s/root_[a-z_]* [0-9]* //g'
		nsenter -t "$p" -n ip -o -4 address
		nsenter -t "$p" -n ip -4 route show table all | sed 's/ linkdown//' | sort
		nsenter -t "$p" -n bridge fdb | grep -E 'dst|static' | sort
		nsenter -t "$p" -n ip neigh show nud permanent
		nsenter -t "$p" -n ip neigh show proxy
	done
}

@test "devices: macvlan, vxlan, ifb, bridges and their ports, neighbours" {
	inside '
	ip link add v0 type veth peer name v1; ip link set v0 txqueuelen 77 up; ip link set v1 up
	ip link add m0 link v0 type macvlan mode bridge; ip address add 10.8.0.1/24 dev m0
	ip link set m0 up; ip link add m1 link v0 type macvlan mode private
	ip link add vx0 type vxlan id 5 dstport 4789 local 127.0.0.1 remote 127.0.0.2 ttl 7 ageing 55
	bridge fdb append 00:00:00:00:00:00 dev vx0 dst 127.0.0.3
	bridge fdb add 02:00:00:00:00:05 dev vx0 dst 127.0.0.4; ip link set vx0 up
	ip link add ifb7 type ifb
	ip link add br0 type bridge stp_state 1 ageing_time 5000 forward_delay 400 mcast_snooping 0
	ip link set v1 master br0
	ip link set v1 type bridge_slave hairpin on learning off priority 5
	bridge fdb add 02:00:00:00:00:07 dev v1 master static; ip link set br0 up
	ip neigh add 10.8.0.9 lladdr 02:00:00:00:00:01 dev m0 nud permanent
	ip neigh add proxy 10.8.0.77 dev m0
	unshare -n bash -c "ip link set lo up; exec sleep 2000" & C=$!
	until [ "$(cat /proc/$C/comm)" = sleep ]; do sleep 0.05; done
	ip link add m5 link v0 type macvlan mode bridge; ip link set m5 netns $C
	nsenter -t $C -n sh -euc "ip address add 10.8.0.5/24 dev m5; ip link set m5 up"'
	show >"$DIR/before"
	grep -q 'static' "$DIR/before" && grep -q 'dst 127.0.0.4' "$DIR/before"
	again
	wait_for 5 eval 'show >"$DIR/after"; diff "$DIR/before" "$DIR/after"'
	kill -9 "$PID" && PID=
}

@test "firewall: rules of iptables with its extensions and counters stay those of iptables" {
	inside '
	iptables -A INPUT -i lo -p icmp -j ACCEPT
	iptables -A INPUT -p tcp --dport 8 -m limit --limit 5/min -j LOG --log-prefix "a b"
	iptables -t nat -A POSTROUTING -o eth9 -j MASQUERADE; ip6tables -A FORWARD -j DROP'
	firewall() {
		in_it iptables-save | grep -v '^[#:]'
		in_it ip6tables-save | grep -v '^[#:]'
	}
	in_it iptables -Z
	firewall >"$DIR/before"
	grep -q MASQUERADE "$DIR/before"
	again
	firewall | diff "$DIR/before" -
	in_it iptables -D INPUT -p tcp --dport 8 -m limit --limit 5/min -j LOG --log-prefix 'a b'
	kill -9 "$PID" && PID=
}

@test "firewall: it comes back when sockets are there, whose peers' packets it would drop" {
	[ -x "$REPO/build/tests/cr/cr-tcpstates" ] || skip "needs the programs of build/tests/cr"
	local p
	for p in tcpstates udpdata; do
		rm -rf "$IMG" "$DIR/in" "$DIR/out"
		mkdir "$IMG"
		mkfifo "$DIR/in"
		exec 5<>"$DIR/in"
		setsid unshare -pmn --fork bash -euc 'mount -t proc proc /proc; ip link set lo up
			exec "$0"' "$REPO/build/tests/cr/cr-$p" <"$DIR/in" >"$DIR/out" 2>&1 3>&- 5>&- &
		PARENT=$!
		wait_for 30 grep -q ready "$DIR/out"
		PID=$(pgrep -P "$PARENT")
		in_it iptables -A INPUT -j DROP
		in_it ip6tables -A INPUT -j DROP
		"$CRYO" dump -D "$IMG" -t "$PID" --tcp-established
		wait "$PARENT" || true
		"$CRYO" restore -D "$IMG" -d --pidfile pid --tcp-established
		PID=$(cat "$IMG/pid")
		in_it iptables -D INPUT -j DROP
		in_it ip6tables -D INPUT -j DROP
		echo >&5 # it looks at itself
		wait_for 60 grep -qE '^(ok|failed)' "$DIR/out"
		grep -q '^ok' "$DIR/out" || { cat "$DIR/out"; return 1; }
		exec 5>&-
		PID=
	done
}

@test "devices from outside: a macvlan on one of ours, one of ours itself" {
	ip link add low9 type veth peer name low8
	ip link set low9 up
	inside 'true'
	ip link add mac9 link low9 type macvlan mode bridge
	ip link set mac9 netns "$PID" name eth0
	in_it sh -euc 'ip address add 10.6.0.2/24 dev eth0; ip link set eth0 up'
	again --external 'macvlan[eth0]:low9'
	in_it ip -d link show eth0 | grep -q 'macvlan mode bridge'
	in_it ip -o -4 address show dev eth0 | grep -q 10.6.0.2/24
	kill -9 "$PID" && PID=
	# its address is somebody else's for a moment, as it is while an old namespace goes
	local address
	address=$(crit decode -i "$IMG"/netdev-*.img | jq -r '.entries[] | select(.name == "eth0") | .address' |
		base64 -d | od -An -tx1 | sed 's/^ //; s/ /:/g')
	ip link add mac9 link low9 address "$address" type macvlan mode bridge
	wait_for 10 ip link set mac9 up
	(sleep 1 && ip link del mac9) 3>&- &
	"$CRYO" restore -D "$IMG" -d --pidfile pid --external 'macvlan[eth0]:low9'
	PID=$(cat "$IMG/pid")
	in_it ip link show eth0 | grep -q ",UP"
	kill -9 "$PID" && PID=
	wait $!
	rm -rf "$IMG" && mkdir "$IMG"
	ip link add dev9 type veth peer name dev8
	inside 'true'
	ip link set dev9 netns "$PID" name eth1
	in_it sh -euc 'ip address add 10.6.1.2/24 dev eth1; ip link set eth1 up'
	address=$(in_it ip -br link show eth1 | awk '{print $3}')
	"$CRYO" dump -D "$IMG" -t "$PID" --external 'netdev[eth1]:dev9'
	wait "$PARENT" || true
	ip link del dev8 2>/dev/null || true
	ip link add dev9 type veth peer name dev8
	"$CRYO" restore -D "$IMG" -d --pidfile pid --external 'netdev[eth1]:dev9'
	PID=$(cat "$IMG/pid")
	in_it ip -o -4 address show dev eth1 | grep -q 10.6.1.2/24
	[ "$(in_it ip -br link show eth1 | awk '{print $3}')" = "$address" ]
	! ip link show dev9
	kill -9 "$PID" && PID=
	ip link del low9
	wait_for 5 eval '! ip link show dev8'
}

@test "a queueing discipline is told to be lost" {
	inside 'tc qdisc add dev lo root tbf rate 1mbit burst 10k latency 1s'
	"$CRYO" dump -D "$IMG" -t "$PID" -R
	grep -q 'network device lo: its queueing discipline tbf' "$IMG/dump.log"
	kill -9 "$PID" && PID=
}

@test "external namespaces inside the tree: of a process, and behind a descriptor" {
	local n
	for n in one two; do
		ip netns add "$n"
		ip -n "$n" link add "of-$n" type bridge
	done
	inside 'exec 5</run/netns/two; ip netns exec one sleep 2000 & C=$!
		until [ "$(cat /proc/$C/comm)" = sleep ]; do sleep 0.05; done'
	external() {
		"$CRYO" dump -D "$IMG" -t "$PID" --external "net[$(stat -Lc %i /run/netns/one)]:a" \
			--external "net[$(stat -Lc %i /run/netns/two)]:b" "$@"
	}
	external -R
	external
	wait "$PARENT" || true
	run -1 "$CRYO" restore -D "$IMG" -d
	[[ $output = *"it is external; use --inherit-fd fd["* ]]
	# given the other way round
	"$CRYO" restore -D "$IMG" -d --pidfile pid --inherit-fd 'fd[8]:b' --inherit-fd 'fd[9]:a' \
		8</run/netns/one 9</run/netns/two
	PID=$(cat "$IMG/pid")
	[ "$(stat -Lc %i "/proc/$(pgrep -P "$PID")/ns/net")" = "$(stat -Lc %i /run/netns/two)" ]
	[ "$(stat -Lc %i "/proc/$PID/fd/5")" = "$(stat -Lc %i /run/netns/one)" ]
	for n in one two; do
		ip -n "$n" link show "of-$n"
		[ "$(ip -n "$n" -o link | grep -c of-)" = 1 ]
	done
	kill -9 "$PID" && PID=
	ip netns del one && ip netns del two
}

@test "namespaces that live by a mount, as ip-netns(8) makes them" {
	inside 'mount -t tmpfs run /run; ip netns add one; ip netns add two
		ip link add v0 type veth peer name v1 netns one; ip address add 10.7.7.1/24 dev v0; ip link set v0 up
		ip -n one address add 10.7.7.2/24 dev v1; ip -n one link set v1 up; ip -n one link set lo up
		touch /run/name /run/mine; unshare --uts=/run/name hostname kept; mount --bind /proc/self/ns/net /run/mine
		ip netns exec two sleep 2000 & C=$!
		until [ "$(cat /proc/$C/comm)" = sleep ]; do sleep 0.05; done
		touch /run/left; mount --bind /proc/$C/ns/net /run/left'
	names() {
		nsenter -t "$PID" -m -n -p sh -euc 'mount -t proc proc /mnt
			ip netns list | sed "s/ (id.*//" | sort; ip -n one -o -4 address | cut -c1-40
			nsenter --uts=/run/name hostname
			ip netns exec one grep -c . /proc/net/dev
			stat -Lc %i /run/left /run/netns/two | uniq | wc -l
			stat -Lc %i /run/mine /mnt/self/ns/net | uniq | wc -l
			stat -Lc %i /run/netns/two /mnt/$(pgrep -x -f "sleep 2000")/ns/net | uniq | wc -l
			grep -c nsfs /proc/$(pgrep -x -f "sleep 2000")/mountinfo
			umount /mnt'
		cut -d" " -f5- "/proc/$PID/mountinfo" | grep nsfs | sed "s/shared:[0-9]*/shared/"
	}
	names >"$DIR/before"
	grep -q kept "$DIR/before" && [ "$(grep -c nsfs "$DIR/before")" = 5 ]
	again
	names >"$DIR/after"
	diff "$DIR/before" "$DIR/after"
	wait_for 5 eval 'nsenter -t "$PID" -m -n ip netns exec one \
		timeout 5 bash -c "exec 3<>/dev/tcp/10.7.7.1/9" 2>&1 | grep "Connection refused"'
	nsenter -t "$PID" -m -n ip netns del one
	wait_for 5 eval '! nsenter -t "$PID" -n ip link show v0 2>/dev/null' # a namespace takes its time to go
	kill -9 "$PID" && PID=
}

@test "a socket of ICMP that nobody may make any more is refused" {
	inside 'echo "0 0" >/proc/sys/net/ipv4/ping_group_range
		python3 -c "import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP); time.sleep(2000)" &
		until [ "$(ls -l /proc/$!/fd 2>/dev/null | grep -c socket:)" = 1 ]; do sleep 0.05; done'
	"$CRYO" dump -D "$IMG" -t "$PID" -R
	nsenter -t "$PID" -n sh -c 'echo "1 0" >/proc/sys/net/ipv4/ping_group_range'
	run -1 "$CRYO" dump -D "$IMG" -t "$PID"
	[[ $output = *": in its network namespace group 0 may not make sockets of ICMP by now"* ]]
	nsenter -t "$PID" -n sh -c 'echo "0 0" >/proc/sys/net/ipv4/ping_group_range'
	again
	kill -9 "$PID" && PID=
}

@test "dump --tcp-established: a network namespace that stays is quiet until its tree is restored" {
	cat >"$DIR/connect" <<-'END'
		import socket, sys
		s = socket.socket()
		if len(sys.argv) > 2:
		    s.setsockopt(socket.SOL_SOCKET, 36, 0xC114) # SO_MARK
		s.settimeout(float(sys.argv[1]))
		try:
		    s.connect(("127.0.0.1", 7001))
		    print(s.recv(3).decode())
		except TimeoutError:
		    print("nobody")
	END
	ip netns add quiet
	ip -n quiet link set lo up
	ip netns exec quiet setsid python3 -c 'import socket
l = socket.create_server(("127.0.0.1", 7001))
l.setsockopt(socket.SOL_SOCKET, 36, 0xC114)
while True: l.accept()[0].sendall(b"yes")' 3>&- &
	local server=$!
	ask() { ip netns exec quiet python3 "$DIR/connect" "$@"; }
	wait_for 5 eval '[ "$(ask 10 2>/dev/null)" = yes ]'
	setsid nsenter --net=/run/netns/quiet sleep 1000 </dev/null >"$DIR/out" 2>&1 3>&- &
	PID=$!
	wait_for 5 eval '[ "$(cat /proc/$PID/comm)" = sleep ]'
	again() { # OPTION...: those of the dump
		"$CRYO" dump -D "$IMG" -t "$PID" "$@"
		wait_for 5 test ! -e "/proc/$PID"
	}
	back() {
		"$CRYO" restore -D "$IMG" -d --pidfile pid --tcp-established --join-ns net:/run/netns/quiet
		PID=$(cat "$IMG/pid") && rm "$IMG/pid"
		[ "$(ask 10)" = yes ]
	}
	"$CRYO" dump -D "$IMG" -t "$PID" --tcp-established --leave-running
	[ "$(ask 10)" = yes ]
	again --tcp-established
	[ "$(ask 0.5)" = nobody ]
	[ "$(ask 10 marked)" = yes ]
	run -1 "$CRYO" restore -D "$IMG" -d --join-ns net:/run/netns/quiet --inherit-fd frob
	[ "$(ask 0.5)" = nobody ]
	back
	again --tcp-established --network-lock skip
	[ "$(ask 10)" = yes ]
	back
	again
	[ "$(ask 10)" = yes ]
	back
	kill -9 "$server" "$PID" && PID=
	ip netns del quiet
}
