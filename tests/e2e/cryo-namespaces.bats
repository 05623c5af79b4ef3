#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cryo: trees with namespaces of their own, made again from nothing but the images.
load ../lib/cryo

# inside NAMESPACES SCRIPT [ARGS...]: SCRIPT in new namespaces, ending as "sleep"; its number in PID.
inside() {
	local flags=$1 parent
	shift
	setsid unshare "$flags" --fork bash -euc "$@" </dev/null >"$DIR/out" 2>&1 3>&- &
	parent=$!
	wait_for 5 eval "PID=\$(pgrep -P $parent) && [ \"\$(cat /proc/\$PID/comm)\" = sleep ]" ||
		{ cat "$DIR/out"; return 1; }
	PARENT=$parent
}

# again [OPTIONS]: dumped, gone, restored; PID is the new number.
again() {
	"$CRYO" dump -D "$IMG" -t "$PID" "${DUMP[@]}" "$@"
	wait "$PARENT" || true
	[ ! -e "/proc/$PID" ]
	"$CRYO" restore -D "$IMG" -d --pidfile pid "${RESTORE[@]}" "$@"
	PID=$(cat "$IMG/pid")
}

# in_it COMMAND...: in the tree's mount, network and UTS namespace.
in_it() {
	nsenter -t "$PID" -m -n -u "$@"
}

setup() {
	DIR=$BATS_TEST_TMPDIR IMG=$BATS_TEST_TMPDIR/img PID= DUMP=() RESTORE=()
	mkdir "$IMG"
}

network() {
	in_it ip -o link | sed 's/ qdisc.*state [A-Z]*//;s/NO-CARRIER,//;s/,LOWER_UP//;s/ qlen [0-9]*//'
	in_it ip -o address | sed 's/ tentative//'
	in_it ip -4 route show table all | sed 's/ linkdown//' | sort
	in_it ip -6 route show table all | sed 's/ linkdown//' | grep -v 'table local' | sort
	in_it ip rule
	in_it iptables-save | grep -v "^#" | sed "s/ \[.*//"
	in_it sh -c 'grep -r . /proc/sys/net/ipv4/conf /proc/sys/net/unix /proc/sys/net/ipv4/ping_group_range'
	in_it sh -c 'cat /proc/sys/net/ipv6/conf/*/forwarding /proc/sys/net/ipv6/conf/*/disable_ipv6'
}

# steady: the addresses of IPv6 have come (nobody else has them), and nothing changes any more.
steady() {
	network >"$DIR/then"
	sleep 2
	network | diff "$DIR/then" - && ! in_it ip -6 -o address | grep -q tentative
}

@test "network: devices, addresses, routes, rules, firewall, settings" {
	inside -pn '
	ip link set lo up
	ip link add d0 type bridge && ip address add 10.1.2.3/24 dev d0 && ip link set d0 up
	ip link add br0 type bridge && ip link set br0 address 02:00:00:00:00:42 mtu 1400
	ip link add in0 type veth peer name in1 && ip link set in0 master br0
	ip link set in0 up && ip link set in1 up && ip link set br0 up
	ip address add 10.9.0.1/16 dev in1
	ip route add 192.168.77.0/24 via 10.1.2.9 dev d0
	ip route add default via 10.1.2.1
	ip route add 172.30.0.0/16 via 10.9.3.3 table 42
	ip rule add from 10.9.0.0/16 table 42 priority 1000
	iptables -A INPUT -p tcp --dport 99 -j DROP
	echo 1 >/proc/sys/net/ipv4/conf/d0/proxy_arp
	echo 2 >/proc/sys/net/ipv4/conf/default/rp_filter
	echo 1 >/proc/sys/net/ipv4/conf/all/forwarding
	echo 77 >/proc/sys/net/unix/max_dgram_qlen
	echo "100 200" >/proc/sys/net/ipv4/ping_group_range
	exec sleep 1000'
	wait_for 15 steady
	network >"$DIR/before"
	again
	wait_for 15 eval 'network >"$DIR/after"; diff "$DIR/before" "$DIR/after"'
	crit decode -i "$IMG"/netdev-*.img | jq -e '.entries | length == 5'
	kill -9 "$PID" && PID=
}

@test "network: a device whose other end is outside" {
	ip link add bridge9 type bridge
	inside -pn '
	exec sleep 1000'
	ip link add out9 type veth peer name eth0 netns "$PID"
	in_it ip address add 10.4.0.2/24 dev eth0
	in_it ip link set eth0 up
	"$CRYO" dump -D "$IMG" -t "$PID"
	wait_for 5 test ! -e "/proc/$PID"
	wait_for 5 eval '! ip link show out9'
	"$CRYO" restore -D "$IMG" -d --pidfile pid --external 'veth[eth0]:out9@bridge9'
	PID=$(cat "$IMG/pid")
	ip link show out9 | grep -q 'master bridge9'
	in_it ip address show eth0 | grep -q 10.4.0.2/24
	kill -9 "$PID" && PID=
	ip link del bridge9
	wait_for 5 eval '! ip link show out9'
}

@test "network: what cannot be made again is refused" {
	inside -pn '
	ip link add v1 type veth peer name v2
	ip link add v0 link v1 type macvtap
	exec sleep 1000'
	run -1 "$CRYO" dump -D "$IMG" -t "$PID"
	[[ $output = *"network device v0 is of kind macvtap"* ]]
	sleeps "$PID"
}

@test "network: a pair of devices, one in another network namespace of the tree" {
	inside -pmn '
	mount -t proc proc /proc
	ip link set lo up
	unshare -n bash -c "exec sleep 2000" & C=$!
	until [ "$(cat /proc/$C/comm)" = sleep ]; do sleep 0.05; done
	ip link add v0 type veth peer name eth0 netns "$C"
	ip link set v0 up; ip address add 10.7.0.1/24 dev v0
	nsenter -t "$C" -n sh -euc "ip link set lo up; ip link set eth0 up
		ip address add 10.7.0.2/24 dev eth0; ip route add default via 10.7.0.1"
	exec sleep 1000'
	pairs() {
		local c
		c=$(pgrep -P "$PID")
		for p in "$PID" "$c"; do
			nsenter -t "$p" -n ip -o -4 address
			nsenter -t "$p" -n ip -4 route show table all | sort
			nsenter -t "$p" -n sh -c 'cat /sys/class/net/[ve]*/iflink' || true
		done
		nsenter -t "$c" -n timeout 5 bash -c 'exec 3<>/dev/udp/10.7.0.1/9 && echo x >&3' && echo reached
	}
	pairs >"$DIR/before"
	grep -q reached "$DIR/before"
	again
	wait_for 5 eval 'pairs >"$DIR/after"; diff "$DIR/before" "$DIR/after"'
	kill -9 "$PID" && PID=
	"$REPO/tests/lib/as-criu" "$IMG" "$DIR/theirs" # as another CRIU would have written them
	"$CRYO" restore -D "$DIR/theirs" -d --pidfile pid
	PID=$(cat "$DIR/theirs/pid")
	wait_for 5 eval 'pairs >"$DIR/after"; diff "$DIR/before" "$DIR/after"'
	kill -9 "$PID" && PID=
}

ROOT_SCRIPT='
R=$0
mount --make-slave "$R"; mount --bind "$R" "$R"; cd "$R"; pivot_root . old
mount --make-rslave /old
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t tmpfs -o mode=755 devs /dev
mknod -m 666 /dev/null c 1 3; mkdir /dev/pts; ln -s pts/ptmx /dev/ptmx
mount -t tmpfs -o size=1m runs /run
echo hello >/run/file; chown 7:8 /run/file; mkdir /run/sub /run/twice
mount -t tmpfs -o ro inner /run/sub
mount --bind /run/twice /tmp
echo one >/etc/one; mount --bind /etc/one /etc/two
mount --make-shared /run; mount --bind /run /usr; mount --make-slave /usr
mkdir /run/a /run/b /opt/a /opt/b
mount --bind /run/a /opt/a; mount --bind /run/b /opt/b # peers, none of which shows the other
mount --make-slave /opt/a; mount --make-shared /opt/a
mkdir /work/low /work/up /work/work; echo lower >/work/low/file
mount -t overlay -o lowerdir=/work/low,upperdir=/work/up,workdir=/work/work lay /lay; echo upper >/lay/new
mount -t tmpfs covered /mnt; echo low >/mnt/low; mount -t tmpfs cover /mnt; echo high >/mnt/high
umount -l /old
mount -t devpts -o mode=666,ptmxmode=666,newinstance pts /dev/pts
hostname inside
exec /bin/sleep 1000 <&- >&- 2>&-'

# A root directory with a shell, mount and sleep in it.
make_root() {
	local f
	ROOT=$DIR/root
	mkdir -p "$ROOT"/{proc,dev,run,old,tmp,etc,usr,mnt,bin,lib,sbin,opt,work,lay}
	touch "$ROOT/etc/two"
	cp -L "$(command -v busybox)" "$ROOT/bin/busybox"
	for f in $(ldd "$(command -v busybox)" 2>/dev/null | grep -o '/[^ ]*'); do
		cp -L --parents "$f" "$ROOT"
	done
	for f in sh sleep mount umount mknod mkdir ln chown cat hostname pivot_root; do
		ln -sf busybox "$ROOT/bin/$f"
	done
	mount --bind "$ROOT" "$ROOT"
	mount --make-private "$ROOT"
}

mounts() {
	cut -d' ' -f4- "/proc/$PID/mountinfo" | sed 's/shared:[0-9]*/shared/;s/master:[0-9]*/master/'
}

@test "mounts: a root directory of its own, file systems, binds, covers, peers" {
	make_root
	setsid unshare -pmuin --fork /bin/busybox sh -euc "$ROOT_SCRIPT" "$ROOT" </dev/null >"$DIR/out" 2>&1 3>&- 4>&- 10>&- &
	PARENT=$!
	wait_for 5 eval 'PID=$(pgrep -P $PARENT) && [ "$(cat /proc/$PID/comm)" = sleep ]' || cat "$DIR/out"
	mounts >"$DIR/before"
	grep -q shared "$DIR/before" && grep -q master "$DIR/before"
	run -1 "$CRYO" restore -D "$IMG" -d
	"$CRYO" dump -D "$IMG" -t "$PID" --root "$ROOT"
	wait "$PARENT" || true
	run -1 "$CRYO" restore -D "$IMG" -d
	[[ $output = *"use --root DIR"* ]]
	"$CRYO" restore -D "$IMG" -d --pidfile pid --root "$ROOT"
	PID=$(cat "$IMG/pid")
	mounts | diff "$DIR/before" -
	local r=/proc/$PID/root
	[ "$(cat $r/run/file)" = hello ] && [ "$(stat -c %u:%g $r/run/file)" = 7:8 ]
	[ "$(cat $r/etc/two)" = one ] && [ "$(cat $r/mnt/high)" = high ] && [ ! -e $r/mnt/low ]
	[ "$(cat $r/lay/file $r/lay/new)" = "lower
upper" ]
	[ -c $r/dev/null ] && [ "$(in_it hostname)" = inside ]
	# peers: what is mounted below one comes to its slave
	in_it /bin/mount -t tmpfs later /run/twice
	grep -q ' /usr/twice ' "/proc/$PID/mountinfo"
	in_it /bin/mkdir /run/a/x
	in_it /bin/mount -t tmpfs later /run/a/x
	grep -q ' /opt/a/x ' "/proc/$PID/mountinfo" && grep -q ' /usr/a/x ' "/proc/$PID/mountinfo"
	crit decode -i "$IMG"/mountpoints-*.img | jq -e '.entries | length == 14'
	kill -9 "$PID" && PID=
	umount -l "$ROOT"
}

@test "images of another CRIU: mounts, network, host name, IPC" {
	make_root
	setsid unshare -pmuin --fork /bin/busybox sh -euc "$ROOT_SCRIPT" "$ROOT" </dev/null >"$DIR/out" 2>&1 3>&- 4>&- 10>&- &
	PARENT=$!
	wait_for 5 eval 'PID=$(pgrep -P $PARENT) && [ "$(cat /proc/$PID/comm)" = sleep ]' || cat "$DIR/out"
	nsenter -t "$PID" -n sh -euc 'ip link set lo up; ip link add br0 type bridge
		ip address add 10.3.0.1/24 dev br0; ip link set br0 up; ip route add 10.4.0.0/16 via 10.3.0.9
		ip link add v0 type veth peer name v1; ip link set v0 master br0; ip link set v0 up; ip link set v1 up
		iptables -A INPUT -p tcp --dport 9 -j DROP; echo 1 >/proc/sys/net/ipv4/conf/br0/proxy_arp'
	nsenter -t "$PID" -i ipcmk -M 4096 -p 0600 >/dev/null
	state() {
		mounts
		nsenter -t "$PID" -n sh -euc 'ip -o -4 address; ip -o link | sed "s/ qdisc.*state [A-Z]*//;s/NO-CARRIER,//;s/,LOWER_UP//"
			ip route | sed "s/ linkdown//"; iptables -S; cat /proc/sys/net/ipv4/conf/br0/proxy_arp'
		nsenter -t "$PID" -i ipcs -m | grep 4096
		nsenter -t "$PID" -u hostname
		cat "/proc/$PID/root/run/file" "/proc/$PID/root/mnt/high" "/proc/$PID/root/etc/two"
		stat -c %u:%g "/proc/$PID/root/run/file"
	}
	state >"$DIR/before"
	grep -q proxy "$DIR/before" || grep -q 10.4.0.0 "$DIR/before"
	"$CRYO" dump -D "$IMG" -t "$PID" --root "$ROOT"
	wait "$PARENT" || true
	"$REPO/tests/lib/as-criu" "$IMG" "$DIR/theirs"
	[ ! -e "$DIR/theirs/cryo.json" ] && [ -e "$DIR/theirs/mountpoints-35.img" ]
	"$CRYO" restore -D "$DIR/theirs" -d --pidfile pid --root "$ROOT"
	PID=$(cat "$DIR/theirs/pid")
	wait_for 5 eval 'state >"$DIR/after"; diff "$DIR/before" "$DIR/after"'
	kill -9 "$PID" && PID=
	umount -l "$ROOT"
}

@test "mounts: of files and directories that have been deleted since" {
	make_root
	setsid unshare -pm --fork /bin/busybox sh -euc 'mount --bind "$0" "$0"; cd "$0"; pivot_root . old
		mount -t proc proc /proc; umount -l /old; mkdir -p /run/t /a/b/c; mount -t tmpfs t /run/t
		echo gone >/a/b/file; chmod 640 /a/b/file; echo more >/run/t/file; touch /opt/f /opt/g; mkdir /opt/d
		mount --bind /a/b/file /opt/f; mount --bind /a/b/c /opt/d; mount --bind /run/t/file /opt/g
		rm -r /a /run/t/file; exec /bin/sleep 1000 <&- >&- 2>&-' "$ROOT" </dev/null >"$DIR/out" 2>&1 3>&- 4>&- 10>&- &
	ln -sf busybox "$ROOT/bin/rm"; ln -sf busybox "$ROOT/bin/touch"; ln -sf busybox "$ROOT/bin/chmod"
	PARENT=$!
	wait_for 5 eval 'PID=$(pgrep -P $PARENT) && [ "$(cat /proc/$PID/comm)" = sleep ]' || cat "$DIR/out"
	mounts >"$DIR/before"
	[ "$(grep -c '//deleted' "$DIR/before")" = 3 ]
	"$CRYO" dump -D "$IMG" -t "$PID" --root "$ROOT"
	wait "$PARENT" || true
	"$CRYO" restore -D "$IMG" -d --pidfile pid --root "$ROOT"
	PID=$(cat "$IMG/pid")
	mounts | diff "$DIR/before" -
	[ "$(cat "/proc/$PID/root/opt/f" "/proc/$PID/root/opt/g")" = "gone
more" ]
	[ "$(stat -c %a:%h "/proc/$PID/root/opt/f")" = 640:0 ]
	[ ! -e "$ROOT/a" ] && [ -z "$(ls "/proc/$PID/root/opt/d")" ]
	kill -9 "$PID" && PID=
	umount -l "$ROOT"
}

@test "mounts: an overlay of directories in a new file system" {
	inside -pm 'mount -t proc proc /proc; mount -t tmpfs new /mnt; cd /mnt; mkdir -p "a:b,c" up work at; echo low >"a:b,c/file"
		mount -t overlay -o "lowerdir=/mnt/a\\:b\\,c,upperdir=/mnt/up,workdir=/mnt/work" lay /mnt/at
		cd /; echo high >/mnt/at/new; exec sleep 1000'
	mounts >"$DIR/before"
	grep -q ' overlay lay ' "$DIR/before"
	again
	mounts | diff "$DIR/before" -
	in_it sh -euc 'cat /mnt/at/file /mnt/up/new; echo more >/mnt/at/more; cat /mnt/up/more' >"$DIR/said"
	diff "$DIR/said" <(printf '%s\n' low high more)
	kill -9 "$PID" && PID=
}

@test "mounts: ramfs with its content" {
	inside -pm 'mount -t proc proc /proc; mount -t ramfs -o mode=750 ram /mnt; mkdir /mnt/sub; echo kept >/mnt/sub/file
		chown 7:8 /mnt/sub/file; exec 5</mnt/sub/file; exec sleep 1000'
	mounts >"$DIR/before"
	grep -q ' ramfs ram ' "$DIR/before"
	again
	mounts | diff "$DIR/before" -
	[ "$(in_it cat /mnt/sub/file)" = kept ] && [ "$(in_it stat -c %u:%g /mnt/sub/file)" = 7:8 ]
	[ "$(in_it stat -c %a /mnt)" = 750 ]
	kill -9 "$PID" && PID=
}

@test "mounts: of a device that is given" {
	losetup -f >/dev/null || skip "there are no loop devices here"
	local first second
	mkdir "$DIR/at" "$DIR/part"
	for n in first second; do
		truncate -s 4M "$DIR/$n" && mke2fs -q "$DIR/$n"
		losetup -f "$DIR/$n"
	done
	first=$(losetup -nO NAME -j "$DIR/first") second=$(losetup -nO NAME -j "$DIR/second")
	mount "$second" "$DIR/at" && mkdir "$DIR/at/sub" && echo another >"$DIR/at/sub/file" && umount "$DIR/at"
	inside -pm "mount -t proc proc /proc; mount -o noatime $first $DIR/at; mkdir $DIR/at/sub
		echo one >$DIR/at/sub/file; mount --bind $DIR/at/sub $DIR/part; exec sleep 1000"
	mounts | grep "$DIR" | sed "s,$first,DEVICE," >"$DIR/before"
	[ "$(lines "$DIR/before")" = 2 ]
	run -1 "$CRYO" dump -D "$IMG" -t "$PID"
	"$CRYO" dump -D "$IMG" -t "$PID" --external "dev[$(lsblk -nro MAJ:MIN "$first" | tr : /)]:that"
	wait "$PARENT" || true
	run -1 "$CRYO" restore -D "$IMG" -d
	[[ $output = *"mount $DIR/at: its device is external; use --external dev[that]:PATH"* ]]
	"$CRYO" restore -D "$IMG" -d --pidfile pid --external "dev[that]:$second"
	PID=$(cat "$IMG/pid")
	mounts | grep "$DIR" | sed "s,$second,DEVICE," | diff "$DIR/before" -
	[ "$(in_it cat "$DIR/at/sub/file" "$DIR/part/file")" = "another
another" ]
	kill -9 "$PID" && wait_for 5 test ! -e "/proc/$PID" && PID=
	losetup -d "$first" "$second"
}

@test "mounts: what would not be found again is refused" {
	inside -pm 'mount -t proc proc /proc; mount -t tmpfs new /mnt; cd /mnt
		mkdir low up work at gone1 gone2 gone3 rel cover cover/low atcover deep; cp -r low gone; touch file status
		sleep 2000 & mount --bind /proc/$! /mnt/at; mount --bind /proc/$!/status /mnt/status
		mount -t overlay -o lowerdir=/mnt/gone1:/mnt/low,upperdir=/mnt/up,workdir=/mnt/work lay /mnt/deep
		mount -t overlay -o lowerdir=low:gone2 lay /mnt/rel
		mount -t overlay -o lowerdir=/mnt/cover/low:/mnt/low lay /mnt/atcover
		touch /mnt/groups /mnt/net; unshare -C sleep 2001 & C=$!
		until [ "$(readlink /proc/$C/ns/cgroup)" != "$(readlink /proc/self/ns/cgroup)" ]; do sleep 0.05; done
		mount --bind /proc/$C/ns/cgroup /mnt/groups
		mount --bind /proc/self/ns/net /mnt/net; mount --bind /mnt/file /mnt/net
		mount -t tmpfs over /mnt/cover; mkdir /mnt/cover/low; rmdir /mnt/gone1
		cd /; exec sleep 1000'
	run -1 "$CRYO" dump -D "$IMG" -t "$PID"
	[[ $output = *"mount /mnt/at (proc): what is mounted there, /"*" is of a single process"* ]]
	[[ $output = *"mount /mnt/status (proc): what is mounted there, /"*"/status, is of a single process"* ]]
	[[ $output = *"mount /mnt/deep (overlay): its directory /mnt/gone1 is not there any more"* ]]
	[[ $output = *"mount /mnt/rel (overlay): its directory low has no absolute path"* ]]
	[[ $output = *"mount /mnt/atcover (overlay): its directory /mnt/cover/low is not there any more"* ]]
	[[ $output = *"mount /mnt/groups (nsfs): the file of a cgroup namespace is mounted there"* ]]
	[[ $output = *"mount /mnt/net (nsfs): something else is mounted over the namespace's file there"* ]]
	sleeps "$PID"
	kill -9 "$PID" && PID=
}

@test "mounts: unix sockets that are deleted, covered or read-only by now are refused" {
	inside -pm 'mount -t proc proc /proc; mount -t tmpfs new /mnt; cd /mnt; touch at covered over
		python3 -c "import socket
for n in (\"a\", \"b\"): socket.socket(socket.AF_UNIX).bind(n)"
		mount --bind a at; rm a; mount --bind b covered; mount --bind over covered
		mkdir ro; mount -t tmpfs ro ro; python3 -c "import socket, time
s = socket.socket(socket.AF_UNIX); s.bind(\"/mnt/ro/s\"); open(\"bound\", \"w\"); time.sleep(2000)" &
		until [ -e bound ]; do sleep 0.05; done
		mount -o remount,ro ro; cd /; exec sleep 1000'
	run -1 "$CRYO" dump -D "$IMG" -t "$PID"
	[[ $output = *"mount /mnt/at (tmpfs): "*" has been deleted; unmount it"* ]]
	[[ $output = *"mount /mnt/covered (tmpfs): something else is mounted over the unix socket there"* ]]
	[[ $output = *": bound to /mnt/ro/s, on a mount that is read-only by now"* ]]
	sleeps "$PID"
	kill -9 "$PID" && PID=
}

@test "mounts: --enable-external-sharing, --enable-external-masters, --enable-fs, --mntns-compat-mode" {
	make_root
	mkdir "$DIR/shared" "$DIR/master" "$ROOT/s" "$ROOT/m"
	mount -t tmpfs shared "$DIR/shared" && mount --make-shared "$DIR/shared"
	mount -t tmpfs master "$DIR/master" && mount --make-shared "$DIR/master"
	setsid unshare -pm --propagation unchanged --fork /bin/busybox sh -euc 'mount --make-private "$0"
		mount --bind "$0" "$0"; cd "$0"; mount --bind "$1" s; mount --bind "$2" m; mount --make-slave m
		pivot_root . old; mount -t proc proc /proc; umount -l /old
		exec /bin/sleep 1000 <&- >&- 2>&-' "$ROOT" "$DIR/shared" "$DIR/master" </dev/null >"$DIR/out" 2>&1 3>&- 4>&- 10>&- &
	PARENT=$!
	wait_for 5 eval 'PID=$(pgrep -P $PARENT) && [ "$(cat /proc/$PID/comm)" = sleep ]' || cat "$DIR/out"
	x=(--root "$ROOT" --external 'mnt[/s]:s' --external 'mnt[/m]:m')
	run -1 "$CRYO" dump -D "$IMG" -t "$PID" --root "$ROOT" --external 'mnt[]'
	[[ $output = *"use --enable-external-sharing"* && $output = *"use --enable-external-masters"* ]]
	"$CRYO" dump -D "$IMG" -t "$PID" --root "$ROOT" -R --external 'mnt[]' --enable-external-sharing \
		--enable-external-masters
	"$CRYO" dump -D "$IMG" -t "$PID" --root "$ROOT" -R --external 'mnt[]:ms'
	"$CRYO" dump -D "$IMG" -t "$PID" "${x[@]}" --enable-fs all --mntns-compat-mode
	wait "$PARENT" || true
	"$CRYO" restore -D "$IMG" -d --pidfile pid --root "$ROOT" --external "mnt[s]:$DIR/shared" \
		--external "mnt[m]:$DIR/master" --mntns-compat-mode
	PID=$(cat "$IMG/pid")
	for d in shared master; do mkdir "$DIR/$d/d" && mount -t tmpfs below "$DIR/$d/d"; done
	grep -q ' /s/d ' "/proc/$PID/mountinfo" && grep -q ' /m/d ' "/proc/$PID/mountinfo"
	umount "$DIR/shared/d" "$DIR/master/d"
	kill -9 "$PID" && PID=
	umount -l "$DIR/shared" "$DIR/master" "$ROOT"
}

# Of the file systems below DIR: where, what, attributes.
below_dir() {
	awk -v d="$DIR/" 'index($5, d) == 1 { split($0, x, " - "); print $5, $4, $6, x[2] }' "/proc/$PID/mountinfo" | sort
}

@test "mounts: a copy of ours, of which some are unmounted and others have other attributes" {
	mkdir "$DIR"/{gone,twice,place,strict}
	for d in gone twice twice place strict; do mount -t tmpfs "$d" "$DIR/$d"; done
	mkdir "$DIR/gone/below" && mount -t tmpfs below "$DIR/gone/below"
	mkdir "$DIR/place/kept" && mount -t tmpfs kept "$DIR/place/kept"
	inside -pm 'cd "$0"; umount gone/below gone twice place/kept
		mount -o remount,bind,ro,noexec strict
		umount place; mount -t tmpfs new place; echo its >place/file; mkdir place/kept
		mount -o remount,bind,nodev /dev # its descriptor of /dev/null is older, and on our /dev
		exec sleep 1000 >&- 2>&-' "$DIR"
	below_dir >"$DIR/then" && [ "$(wc -l <"$DIR/then")" = 3 ]
	again
	below_dir | diff "$DIR/then" -
	[ "$(in_it cat "$DIR/place/file")" = its ]
	run -1 in_it touch "$DIR/strict/file"
	awk '$5 == "/dev"' "/proc/$PID/mountinfo" | grep -q nodev
	[ "$(readlink "/proc/$PID/fd/0")" = /dev/null ]
	in_it mount -o remount,bind,dev /dev # now it is on the copy: it would be refused
	# what is mounted since stays: nothing is known of it; what is not there any more is passed over
	"$CRYO" dump -D "$IMG" -t "$PID"
	umount "$DIR/gone/below" "$DIR/twice" && mkdir "$DIR/since" && mount -t tmpfs since "$DIR/since"
	"$CRYO" restore -D "$IMG" -d --pidfile pid && PID=$(cat "$IMG/pid")
	below_dir | grep -v "^$DIR/since / rw,relatime tmpfs since " | diff "$DIR/then" -
	below_dir | grep -q "^$DIR/since "
	kill -9 "$PID" && PID=
	umount -l "$DIR"/{gone,twice,place,strict,since}
}

@test "mounts: a copy of ours that shares what is mounted below it is told to do so no more" {
	for p in private shared; do
		inside -pm 'mount "--make-r$0" /; exec sleep 1000 <&- >&- 2>&-' $p
		"$CRYO" dump -D "$IMG" -t "$PID" -R
		grep -c 'mount / and others of ours will neither share nor get what is mounted elsewhere' "$IMG/dump.log" >>"$DIR/said" || true
		kill -9 "$PID" && PID=
		wait "$PARENT" || true
	done
	[ "$(echo $(cat "$DIR/said"))" = "0 1" ]
}

@test "mounts: what is locked in a copy of ours stays, also if the tree had unmounted it" {
	mkdir "$DIR/locked" && mount -t tmpfs locked "$DIR/locked"
	unshare -Urpfm --mount-proc --kill-child bash -euc 'setsid unshare -m sleep 1000 </dev/null >/dev/null 2>&1 3>&- & p=$!
		until [ "$(cat /proc/$p/comm)" = sleep ]; do sleep 0.02; done
		"$0" dump -D "$1" -t $p; wait $p || true
		jq --arg at "$2" ".unmounted[\"77\"] = [\$at, \"/\", \"tmpfs\", 0]" "$1/cryo.json" >"$1/edited"
		mv "$1/edited" "$1/cryo.json"
		"$0" restore -D "$1" -d
		grep -q " $2 " /proc/$p/mountinfo; kill $p' "$CRYO" "$IMG" "$DIR/locked"
	umount "$DIR/locked"
}

@test "mounts: a copy of ours, seen from a root directory after chroot(2)" {
	make_root
	umount "$ROOT" && mount -t tmpfs ours "$ROOT/mnt" && echo ours >"$ROOT/mnt/file"
	setsid unshare -pm --fork chroot "$ROOT" /bin/sleep 1000 </dev/null >/dev/null 2>&1 3>&- &
	PARENT=$!
	wait_for 5 eval 'PID=$(pgrep -P $PARENT) && [ "$(cat /proc/$PID/comm)" = sleep ]'
	cut -d' ' -f4- "/proc/$PID/mountinfo" >"$DIR/then" && grep -q ' ours ' "$DIR/then"
	again
	cut -d' ' -f4- "/proc/$PID/mountinfo" | diff "$DIR/then" -
	[ "$(cat "/proc/$PID/root/mnt/file")" = ours ] && in_it test -e /usr
	in_it mountpoint -q /dev
	kill -9 "$PID" && PID=
	umount "$ROOT/mnt"
}

@test "mounts: namespaces inside that are peers and slaves of the root's" {
	mkdir "$DIR/m"
	setsid unshare -pm --fork bash -euc 'mount -t proc proc /proc; mount -t tmpfs p "$0"; mount --make-shared "$0"
		mkdir "$0/x" "$0/y"; echo 1 >"$0/f"
		unshare -m --propagation slave sleep 2001 & a=$!
		unshare -m --propagation unchanged sleep 2002 & b=$!
		until [ "$(cat /proc/$a/comm)$(cat /proc/$b/comm)" = sleepsleep ]; do sleep 0.05; done
		exec sleep 2000 <&- >&- 2>&-' "$DIR/m" </dev/null >"$DIR/out" 2>&1 3>&- 4>&- 10>&- &
	PARENT=$!
	wait_for 5 eval 'PID=$(pgrep -P $PARENT) && [ "$(cat /proc/$PID/comm)" = sleep ]' || cat "$DIR/out"
	shown() {
		local p
		for p in "$PID" $(pgrep -P "$PID"); do
			tr '\0' ' ' <"/proc/$p/cmdline"
			grep " $DIR/m " "/proc/$p/mountinfo" | cut -d' ' -f4- | sed 's/shared:[0-9]*/shared/;s/master:[0-9]*/master/'
		done
	}
	shown >"$DIR/before"
	[ "$(grep -c shared "$DIR/before")" = 2 ] && [ "$(grep -c master "$DIR/before")" = 1 ]
	again
	shown | diff "$DIR/before" -
	nsenter -t "$PID" -m mount -t tmpfs late "$DIR/m/x"
	for p in $(pgrep -P "$PID"); do
		grep -q " $DIR/m/x " "/proc/$p/mountinfo"
		[ "$(nsenter -t "$p" -m cat "$DIR/m/f")" = 1 ]
	done
	nsenter -t "$(pgrep -P "$PID" -f 2002)" -m mount -t tmpfs later "$DIR/m/y"
	grep -q " $DIR/m/y " "/proc/$PID/mountinfo"
	kill -9 "$PID" && PID=
}

@test "mounts: external ones" {
	make_root
	mkdir "$DIR/other" "$ROOT/ext" && echo outside >"$DIR/other/file"
	mount -t tmpfs ext "$DIR/other" && echo outside >"$DIR/other/file"
	setsid unshare -pm --fork /bin/busybox sh -euc 'cd "$0"; mount --bind "$0" "$0"; cd "$0"
		mount --bind "$1" ext; pivot_root . old; mount -t proc proc /proc; umount -l /old
		exec /bin/sleep 1000 <&- >&- 2>&-' "$ROOT" "$DIR/other" </dev/null >"$DIR/out" 2>&1 3>&- 4>&- 10>&- &
	PARENT=$!
	wait_for 5 eval 'PID=$(pgrep -P $PARENT) && [ "$(cat /proc/$PID/comm)" = sleep ]' || cat "$DIR/out"
	run -1 "$CRYO" dump -D "$IMG" -t "$PID" --root "$ROOT"
	[[ $output = *"--external mnt[/ext]:NAME"* ]]
	"$CRYO" dump -D "$IMG" -t "$PID" --root "$ROOT" -R --skip-mnt /ext
	"$CRYO" dump -D "$IMG" -t "$PID" --root "$ROOT" -R --external 'mnt[]'
	"$CRYO" dump -D "$IMG" -t "$PID" --root "$ROOT" --external 'mnt[/ext]:that'
	wait "$PARENT" || true
	run -1 "$CRYO" restore -D "$IMG" -d --root "$ROOT"
	[[ $output = *"--external mnt[that]:PATH"* ]]
	"$CRYO" restore -D "$IMG" -d --pidfile pid --root "$ROOT" --ext-mount-map "that:$DIR/other"
	PID=$(cat "$IMG/pid")
	[ "$(cat "/proc/$PID/root/ext/file")" = outside ]
	kill -9 "$PID" && PID=
	umount -l "$ROOT" "$DIR/other"
}

@test "files that nobody could open, map or execute again are refused" {
	inside -pm 'mount -t proc proc /proc; mount -t tmpfs one /mnt; mkdir /mnt/noexec /mnt/nodev
		mount -t tmpfs two /mnt/noexec; mount -t tmpfs three /mnt/nodev
		cp /bin/sleep /mnt/noexec/sleeps; cp /bin/sleep /mnt/closed
		/mnt/noexec/sleeps 2000 & A=$!
		/mnt/closed 2000 & B=$!
		until [ "$(cat /proc/$A/comm /proc/$B/comm)" = "$(printf "sleeps\nclosed")" ]; do sleep 0.05; done
		chmod 0 /mnt/closed; mount -o remount,noexec /mnt/noexec
		mknod /mnt/nodev/null c 1 3; exec 5</mnt/nodev/null; mount -o remount,bind,nodev /mnt/nodev
		exec sleep 1000'
	run -1 "$CRYO" dump -D "$IMG" -t "$PID"
	[[ $output = *"(sleeps): program: /mnt/noexec/sleeps is executed, but on a mount that by now is noexec"* ]]
	[[ $output = *"(sleeps): /mnt/noexec/sleeps is executed"* ]]
	[[ $output = *"(closed): program: /mnt/closed may be executed by nobody any more (mode 000)"* ]]
	[[ $output = *"fd 5: /mnt/nodev/null is on a mount that by now is nodev"* ]]
	sleeps "$PID"
	kill -9 "$PID" && PID=
}

@test "a pid namespace alone, a host name alone" {
	inside -p 'exec sleep 1000'
	again
	crit decode -i "$IMG/inventory.img" | jq .entries[0].root_ids >"$DIR/ours"
	crit decode -i "$IMG/ids-1.img" | jq .entries[0] >"$DIR/its"
	[ "$(jq .pid_ns_id "$DIR/ours")" != "$(jq .pid_ns_id "$DIR/its")" ]
	[ "$(jq .net_ns_id "$DIR/ours")" = "$(jq .net_ns_id "$DIR/its")" ]
	[ "$(awk '/^NSpid:/ {print $3}' "/proc/$PID/status")" = 1 ]
	kill -9 "$PID" && PID=
	rm -r "$IMG" && mkdir "$IMG"
	inside -pu 'hostname other; exec sleep 1000'
	again
	[ "$(nsenter -t "$PID" -u hostname)" = other ]
	kill -9 "$PID" && PID=
}

# alone NAMESPACES COMMAND: a sleeping tree whose root did COMMAND in these namespaces.
alone() {
	rm -rf "$IMG" && mkdir "$IMG"
	setsid unshare $1 sh -euc "$2; exec sleep 1000" </dev/null >"$DIR/out" 2>&1 3>&- 4>&- &
	PID=$!
	wait_for 5 eval '[ "$(cat /proc/$PID/comm)" = sleep ]' || { cat "$DIR/out"; return 1; }
	"$CRYO" dump -D "$IMG" -t "$PID"
	wait "$PID" || true
	"$CRYO" restore -D "$IMG" -d
}

# ours KIND: the tree is in our namespace of this kind.
ours() {
	[ "$(readlink "/proc/$PID/ns/$1")" = "$(readlink "/proc/self/ns/$1")" ]
}

@test "a pid namespace of users inside, in ours: its first process only; others are refused" {
	setsid bash -c 'unshare -Urpf bash -c "sleep 1000 & exec sleep 1001" & exec sleep 1002' </dev/null >/dev/null 2>&1 3>&- &
	PID=$!
	wait_for 5 eval '[ "$(cat /proc/$PID/comm)" = sleep ] && [ "$(ps -o args= --ppid "$(pgrep -P "$(pgrep -P $PID)")" | grep -c 1000)" = 1 ]'
	run -1 "$CRYO" dump -D "$IMG" -t "$PID"
	[[ $output = *"could not get their numbers back; start the tree in a PID namespace"* ]]
	sleeps "$PID"
	kill -9 "$(pgrep -P "$(pgrep -P "$PID")")" $(pgrep -P "$PID") "$PID" && PID=
}

@test "users of their own, but our numbers: only for one process; others are refused" {
	setsid unshare -U --map-root-user bash -c 'sleep 1000 & exec sleep 1001' </dev/null 3>&- &
	PID=$!
	wait_for 5 eval '[ "$(cat /proc/$PID/comm)" = sleep ]'
	run -1 "$CRYO" dump -D "$IMG" -t "$PID"
	[[ $output = *"user namespace of their own, but not in a PID namespace"* ]]
	sleeps "$PID"
	kill -9 $(pgrep -P "$PID") "$PID" && PID=
}

@test "each kind of namespace alone" {
	alone "-U --map-root-user" true
	! ours user && ours mnt && ours net
	[ "$(tr -s ' ' <"/proc/$PID/uid_map")" = " 0 0 1" ]
	kill -9 "$PID"
	alone -C true
	! ours cgroup && ours user
	kill -9 "$PID"
	alone -i 'ipcmk -M 4096 -Q -S 3'
	! ours ipc && [ "$(nsenter -t "$PID" -i ipcs | grep -c 0x)" = 3 ]
	kill -9 "$PID"
	alone -m 'mount -t tmpfs own /mnt; echo hi >/mnt/x'
	! ours mnt && [ "$(cat "/proc/$PID/root/mnt/x")" = hi ] && [ ! -e /mnt/x ]
	kill -9 "$PID"
	alone "-U --map-root-user -m" 'mount -t tmpfs own /mnt; echo hi >/mnt/x'
	! ours mnt && ! ours user && [ "$(cat "/proc/$PID/root/mnt/x")" = hi ]
	kill -9 "$PID"
	alone -u 'hostname other; echo of.it >/proc/sys/kernel/domainname'
	! ours uts && [ "$(nsenter -t "$PID" -u hostname)" = other ]
	[ "$(nsenter -t "$PID" -u cat /proc/sys/kernel/domainname)" = of.it ]
	kill -9 "$PID" && PID=
}
