# SPDX-License-Identifier: Apache-2.0
# Checkpoints as archives: checkpoint --export, restore --import, here and elsewhere.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() {
	engine_clear
	cryopod volume rm -fa >/dev/null 2>&1 || true
}
teardown_file() { engine_teardown; }

checkpoint() { cryopod container checkpoint "$@"; }
restore() { cryopod container restore "$@"; }
members() { tar -tf "$1" | sort; }

@test "export, rm, import: goes on where it was, with its log, ID and name" {
	needs_engine
	A=$BATS_TEST_TMPDIR/a.tar
	looper a --label k=v --env FOO=bar --workdir /tmp
	id=$(cryopod inspect --format '{{.Id}}' a)
	expect 0 checkpoint -e "$A" a
	is a
	[ "$(stat -c '%a %u' "$A")" = "600 0" ]
	expect 0 cryopod inspect --format '{{.State.Status}}:{{.State.Running}}:{{.State.Paused}}:{{.State.Checkpointed}}' a
	is exited:false:false:true
	cryopod rm a >/dev/null
	expect 0 restore -i "$A"
	is "$id"
	expect 0 cryopod inspect --format '{{.State.Status}}:{{.State.Running}}:{{.State.Paused}}:{{.State.Checkpointed}}' a
	is running:true:false:false
	expect 0 cryopod inspect --format '{{.State.Restored}} {{index .Config.Labels "k"}} {{.Config.WorkingDir}} {{.State.CheckpointPath}}' a
	is "true v /tmp "
	goes_on a
	expect 0 cryopod exec a sh -c 'echo $FOO; pwd'
	is $'bar\n/tmp'
	# Again and again, and in place.
	cycle a
	goes_on a
	expect 0 checkpoint --export "$A" a
	cryopod rm a >/dev/null
	expect 0 restore --import "$A" --keep
	goes_on a
	[ -f "$(cryopod inspect --format '{{.State.CheckpointPath}}' a)/inventory.img" ]
	[ -z "$(ls "$CP_ROOT/tmp" 2>/dev/null)" ]
}

@test "every compression, also one that is not ours" {
	needs_engine
	looper a
	for c in zstd gzip none ZSTD; do
		expect 0 checkpoint -e "$BATS_TEST_TMPDIR/$c" -c "$c" a
		cryopod rm a >/dev/null
		expect 0 restore -i "$BATS_TEST_TMPDIR/$c"
		goes_on a
	done
	cryopod rm -f -t 0 a >/dev/null
	[ "$(head -c 4 "$BATS_TEST_TMPDIR/zstd" | od -An -tx1 | tr -d ' ')" = 28b52ffd ]
	[ "$(head -c 2 "$BATS_TEST_TMPDIR/gzip" | od -An -tx1 | tr -d ' ')" = 1f8b ]
	expect 0 members "$BATS_TEST_TMPDIR/none"
	has config.dump spec.dump network.status stats-dump ctr.log checkpoint/inventory.img artifacts/ devshm-checkpoint.tar
	xz -k "$BATS_TEST_TMPDIR/none"
	bzip2 -k "$BATS_TEST_TMPDIR/none"
	for c in none.xz none.bz2; do
		expect 0 restore -i "$BATS_TEST_TMPDIR/$c" -n "copy-$c"
		goes_on "copy-$c"
	done
}

@test "arguments that are refused, in order" {
	needs_engine
	looper a
	refuses 125 '--compress can only be used with --export' checkpoint -c gzip a
	refuses 125 'selected compression algorithm ("bogus") not supported. Please select one from: gzip, none, zstd' checkpoint -e x -c bogus a
	refuses 125 '--ignore-rootfs can only be used with --export' checkpoint --ignore-rootfs a
	refuses 125 '--ignore-volumes can only be used with --export' checkpoint --ignore-volumes a
	refuses 125 'failed extracting runtime information from /nosuch: failed to open checkpoint archive /nosuch for import: open /nosuch: no such file or directory' restore -i /nosuch -a
	refuses 125 'failed extracting runtime information from /etc/passwd: unpacking of checkpoint archive /etc/passwd failed: archive/tar: invalid tar header' restore -i /etc/passwd
	for o in --ignore-rootfs --ignore-volumes --name=x --pod=x --import-previous=x; do
		refuses 125 "${o%%=*} can only be used with image or --import" restore $o a
	done
	refuses 125 '--publish can only be used with image or --import' restore --publish 1:1 a
	A=$BATS_TEST_TMPDIR/a.tar
	expect 0 checkpoint -R -e "$A" a
	refuses 125 '--tcp-established cannot be used with --name' restore -i "$A" -n b --tcp-established
	refuses 125 'cannot use --import with --all or --latest' restore -i "$A" -a
	refuses 125 'cannot use --import with --all or --latest' restore -i "$A" -l
	refuses 125 'cannot use --import with positional arguments' restore -i "$A" a
	refuses 125 "pod \"nosuch\" cannot be retrieved: no pod with name or ID nosuch found: no such pod" restore -i "$A" --pod nosuch
	refuses 125 "checkpoint archive $A was created with runtime 'runc' and cannot be restored with runtime 'crun'" cryopod --runtime crun container restore -i "$A"
	looper b
	refuses 125 '--export can only be used with one container' checkpoint -e "$A" a b
	state_is a running && state_is b running
}

@test "a bad path or a full disk leaves it running" {
	needs_engine
	looper a
	cryopod run --name done --network none $IMAGE true
	wait_for 10 state_is done exited
	expect 125 checkpoint -e "$BATS_TEST_TMPDIR/x.tar" done
	is 'Error: "exited" is not running, cannot checkpoint: container state improper'
	refuses 125 'creating checkpoint export file "/nodir/x.tar": open /nodir/x.tar: no such file or directory' checkpoint -e /nodir/x.tar a
	refuses 125 'creating checkpoint export file "/etc": open /etc: ' checkpoint -e /etc a
	goes_on a
	mkdir "$BATS_TEST_TMPDIR/full"
	mount -t tmpfs -o size=64k tmpfs "$BATS_TEST_TMPDIR/full"
	for how in "" -R; do
		run checkpoint $how -c none -e "$BATS_TEST_TMPDIR/full/x.tar" a
		echo "$output"
		[ "$status" -eq 125 ]
		has "checkpoint a: " "write $BATS_TEST_TMPDIR/full/x.tar: " "no space left on device"
		goes_on a
		[ -z "$(ls -A "$BATS_TEST_TMPDIR/full")" ]
	done
	umount "$BATS_TEST_TMPDIR/full"
	refuses 125 'a complete checkpoint for this container cannot be found' bash -c "$CP stop -t 0 a >/dev/null; $CP container restore a"
}

@test "-R: it goes on, and copies of it start from the archive" {
	needs_engine
	looper a
	expect 0 checkpoint -R -e "$BATS_TEST_TMPDIR/a.tar" a
	is a
	state_is a running
	refuses 125 'creating container storage: that ID is already in use' restore -i "$BATS_TEST_TMPDIR/a.tar"
	refuses 125 'the container name "a" is already in use by' restore -i "$BATS_TEST_TMPDIR/a.tar" -n a
	for n in b c d; do
		expect 0 restore -i "$BATS_TEST_TMPDIR/a.tar" -n $n
		[[ "$output" =~ $ID64 ]]
		is "$(cryopod inspect --format '{{.Id}}' $n)"
		goes_on $n
	done
	# A new container has a host name of its own.
	expect 0 cryopod exec b hostname
	is "$(cryopod inspect --format '{{.Id}}' b | cut -c-12)"
	goes_on a
	[ "$(cryopod ps -q | wc -l)" -eq 4 ]
}

@test "-R: files are those of the memory, and packed when it runs again" {
	needs_engine
	A=$BATS_TEST_TMPDIR/a.tar
	cryopod volume create v >/dev/null
	cryopod run -d --name a --network none -v v:/v $IMAGE sh -c \
		'i=0; rm /etc/group; while true; do i=$((i + 1)); echo $i >>/n; echo $i >>/v/n; echo $i; usleep 5000; done' >/dev/null
	wait_for 10 log_reaches a 5
	cryopod exec a sh -c 'head -c 8000000 /dev/urandom >/big; md5sum </big' >"$BATS_TEST_TMPDIR/sum"
	for how in none zstd; do
		cryopod --log-level debug container checkpoint -R -c $how -e "$A" a 2>"$BATS_TEST_TMPDIR/log"
		awk '/dump: end: / {stood = NR} /archive: files from their copies/ {packed = NR} END {exit !(stood && packed > stood)}' \
			"$BATS_TEST_TMPDIR/log"
		state_is a running
		[ -z "$(ls -A "$CP_ROOT/tmp")" ] # no copy stays
	done
	cryopod rm -f -t 0 a >/dev/null
	cryopod volume rm v >/dev/null
	expect 0 restore -i "$A"
	wait_for 10 log_reaches a $(($(last_number a) + 3))
	# No line lost, and none of the time after the checkpoint.
	cryopod exec a awk '$1 != NR {exit 1}' /n
	cryopod exec a awk '$1 != NR {exit 1}' /v/n
	[ "$(cryopod exec a md5sum </dev/null /big | cut -d' ' -f1)" = "$(cut -d' ' -f1 "$BATS_TEST_TMPDIR/sum")" ]
	expect 1 cryopod exec a test -e /etc/group
}

@test "--rm: only with --export, and gone then" {
	needs_engine
	looper a --rm
	refuses 125 "cannot checkpoint containers that have been started with '--rm' unless '--export' is used" checkpoint a
	expect 0 checkpoint -R -e "$BATS_TEST_TMPDIR/a.tar" a
	state_is a running
	expect 0 checkpoint -e "$BATS_TEST_TMPDIR/a.tar" a
	is a
	expect 0 cryopod ps -aq
	is ""
	expect 0 restore -i "$BATS_TEST_TMPDIR/a.tar"
	goes_on a
	expect 0 cryopod inspect --format '{{.HostConfig.AutoRemove}}' a
	is true
	cryopod kill a >/dev/null
	wait_for 10 bash -c '[ -z "$('"$CP"' ps -aq)" ]'
}

@test "files of the container: every kind of change travels" {
	needs_engine
	cryopod run -d --name a --network none $IMAGE sh -c '
		echo "127.0.0.9 changed" >>/etc/passwd; rm /etc/group; chmod 700 /home/joe
		mkdir -p /data/sub; echo new >/data/sub/file; chown 1000:50 /data/sub/file; chmod 4751 /data/sub/file
		ln /data/sub/file /data/hard; ln -s /data/hard /data/soft; mkfifo /data/fifo
		touch -d "2001-02-03 04:05:06" /data/old
		dd if=/dev/zero of=/data/sparse bs=1 count=1 seek=100M 2>/dev/null
		rm -rf /var/tmp; mkdir /var/tmp; echo over >/var/tmp/again
		rm /bin/vi; mkdir /bin/vi; echo in >/bin/vi/file
		printf x >"/data/$(printf "t\303\244g  two")"
		i=0; while true; do echo $i; i=$((i+1)); sleep 0.05; done' >/dev/null
	wait_for 10 log_reaches a 2
	m=$(cryopod mount a)
	python3 -c "import os; os.setxattr('$m/data/hard', 'user.note', b'hello')" || skip "no attributes on this file system"
	look() {
		cryopod exec a sh -c 'cd /; cat /etc/passwd /data/sub/file /var/tmp/again /bin/vi/file; ls /var/tmp; ls /etc/group 2>&1
			stat -c "%n %a %u:%g %h %s %Y %F" /home/joe /data/sub/file /data/hard /data/fifo /data/old /data/sparse /data/t* /data/sub /data
			readlink /data/soft; du -k /data/sparse | cut -f1' 2>&1
		cryopod diff a
	}
	look >"$BATS_TEST_TMPDIR/before"
	cryopod umount a >/dev/null
	expect 0 checkpoint -e "$BATS_TEST_TMPDIR/a.tar" a
	cryopod rm a >/dev/null
	[ "$(stat -c %s "$BATS_TEST_TMPDIR/a.tar")" -lt 1000000 ]
	expect 0 restore -i "$BATS_TEST_TMPDIR/a.tar"
	look >"$BATS_TEST_TMPDIR/after"
	diff "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
	[ "$(python3 -c "import os; print(os.getxattr('$(cryopod mount a)/data/sub/file', 'user.note').decode())")" = hello ]
	cryopod umount a >/dev/null
	goes_on a
}

@test "--ignore-rootfs, on either side" {
	needs_engine
	cryopod run -d --name a --network none $IMAGE sh -c "echo new >/root/new; rm /etc/group; $FAST_LOOP" >/dev/null
	wait_for 10 log_reaches a 2
	expect 0 checkpoint -R -e "$BATS_TEST_TMPDIR/with.tar" a
	expect 0 checkpoint -R --ignore-rootfs -e "$BATS_TEST_TMPDIR/without.tar" a
	! members "$BATS_TEST_TMPDIR/without.tar" | grep -E 'rootfs-diff|deleted'
	cryopod rm -f -t 0 a >/dev/null
	expect 0 restore -i "$BATS_TEST_TMPDIR/with.tar" -n b
	expect 0 cryopod exec b cat /root/new
	expect 0 restore -i "$BATS_TEST_TMPDIR/with.tar" -n c --ignore-rootfs
	expect 1 cryopod exec c cat /root/new
	expect 0 cryopod exec c ls /etc/group
	expect 0 restore -i "$BATS_TEST_TMPDIR/without.tar" -n d
	expect 1 cryopod exec d cat /root/new
}

@test "volumes: with and without a name; refused when one is there; --ignore-volumes" {
	needs_engine
	cryopod run -d --name a --network none -v vol1:/one -v /two $IMAGE sh -c "echo 1 >/one/f; echo 2 >/two/f; chown 5:6 /one; $FAST_LOOP" >/dev/null
	wait_for 10 log_reaches a 2
	expect 0 checkpoint -e "$BATS_TEST_TMPDIR/a.tar" a
	members "$BATS_TEST_TMPDIR/a.tar" | grep -q '^volumes/vol1.tar$'
	[ "$(members "$BATS_TEST_TMPDIR/a.tar" | grep -c ^volumes/)" -eq 2 ]
	cryopod rm -v a >/dev/null
	refuses 125 'volume with name vol1 already exists. Use --ignore-volumes to not restore content of volumes' restore -i "$BATS_TEST_TMPDIR/a.tar"
	echo kept >"$CP_ROOT/volumes/vol1/_data/f"
	expect 0 restore -i "$BATS_TEST_TMPDIR/a.tar" --ignore-volumes
	expect 0 cryopod exec a cat /one/f
	is kept
	cryopod rm -f -v -t 0 a >/dev/null
	cryopod volume rm vol1 >/dev/null
	expect 0 restore -i "$BATS_TEST_TMPDIR/a.tar"
	expect 0 cryopod exec a sh -c 'cat /one/f /two/f; stat -c %u:%g /one'
	is $'1\n2\n5:6'
	goes_on a
	# Without their content the mounts are still there, empty.
	expect 0 checkpoint --ignore-volumes -e "$BATS_TEST_TMPDIR/b.tar" a
	! members "$BATS_TEST_TMPDIR/b.tar" | grep ^volumes/
	cryopod rm -v a >/dev/null
	cryopod volume rm vol1 >/dev/null
	refuses 125 'failed to open volume file' restore -i "$BATS_TEST_TMPDIR/b.tar"
	expect 0 cryopod volume ls -q
	is ""
	expect 0 restore -i "$BATS_TEST_TMPDIR/b.tar" --ignore-volumes
	expect 0 cryopod exec a ls /one
	is ""
}

@test "/dev/shm and a tmpfs travel" {
	needs_engine
	cryopod run -d --name a --network none --tmpfs /t $IMAGE sh -c "echo shm >/dev/shm/f; echo tmp >/t/f; $FAST_LOOP" >/dev/null
	wait_for 10 log_reaches a 2
	expect 0 checkpoint -e "$BATS_TEST_TMPDIR/a.tar" a
	cryopod rm a >/dev/null
	expect 0 restore -i "$BATS_TEST_TMPDIR/a.tar"
	expect 0 cryopod exec a sh -c 'cat /dev/shm/f /t/f; stat -c %a /dev/shm'
	is $'shm\ntmp\n1777'
	goes_on a
}

@test "addresses and ports" {
	needs_engine
	cryopod run -d --name a -p 127.0.0.1:18080:80 $IMAGE sh -c "echo hi >/tmp/index.html; httpd -p 80 -h /tmp; $FAST_LOOP" >/dev/null
	wait_for 10 curl -sf http://127.0.0.1:18080/
	net='{{.NetworkSettings.IPAddress}} {{.NetworkSettings.MacAddress}}'
	was=$(cryopod inspect --format "$net" a)
	expect 0 checkpoint -e "$BATS_TEST_TMPDIR/a.tar" a
	# The default network has Podman's name there.
	for f in config.dump network.status; do tar -xOf "$BATS_TEST_TMPDIR/a.tar" $f >"$BATS_TEST_TMPDIR/$f"; done
	jq -e '.newNetworks | keys == ["podman"]' "$BATS_TEST_TMPDIR/config.dump"
	jq -e ".podman.interfaces.eth0 | (.subnets[0].ipnet | startswith(\"${was% *}/\")) and .mac_address == \"${was#* }\"" "$BATS_TEST_TMPDIR/network.status"
	cryopod rm a >/dev/null
	run curl -s http://127.0.0.1:18080/
	[ "$status" -eq 7 ]
	expect 0 restore -i "$BATS_TEST_TMPDIR/a.tar"
	expect 0 cryopod inspect --format "$net" a
	is "$was"
	expect 0 curl -sf http://127.0.0.1:18080/
	is hi
	# Another one beside it needs another port, and gets another address.
	run restore -i "$BATS_TEST_TMPDIR/a.tar" -n b
	echo "$output"
	[ "$status" -eq 125 ]
	has "127.0.0.1:18080/tcp is already published"
	expect 0 cryopod ps -aq
	[ "$(wc -l <<<"$output")" -eq 1 ]
	expect 0 restore -i "$BATS_TEST_TMPDIR/a.tar" -n b --publish 127.0.0.1:18081:80
	expect 0 curl -sf http://127.0.0.1:18081/
	is hi
	[ "$(cryopod inspect --format "$net" b)" != "$was" ]
	expect 0 cryopod port b
	is "80/tcp -> 127.0.0.1:18081"
	cryopod rm -f -t 0 a b >/dev/null
	expect 0 restore -i "$BATS_TEST_TMPDIR/a.tar" --ignore-static-ip
	[ "$(cryopod inspect --format '{{.NetworkSettings.IPAddress}}' a)" != "${was% *}" ]
	[ "$(cryopod inspect --format '{{.NetworkSettings.MacAddress}}' a)" = "${was#* }" ]
	cryopod rm -f -t 0 a >/dev/null
	expect 0 restore -i "$BATS_TEST_TMPDIR/a.tar" --ignore-static-mac
	[ "$(cryopod inspect --format '{{.NetworkSettings.IPAddress}}' a)" = "${was% *}" ]
	[ "$(cryopod inspect --format '{{.NetworkSettings.MacAddress}}' a)" != "${was#* }" ]
}

@test "on another host: other roots, another network namespace" {
	needs_engine
	A=$BATS_TEST_TMPDIR/a.tar T=$BATS_TEST_TMPDIR
	cryopod run -d --name a -v data:/data $IMAGE sh -c "echo v >/data/f; echo x >/root/f; $FAST_LOOP" >/dev/null
	wait_for 10 log_reaches a 2
	expect 0 checkpoint -e "$A" a
	other() { unshare --net sh -c 'ip link set lo up; exec "$@"' - "$CRYOPOD_BIN" --root "$T/root" --runroot "$T/run" "$@"; }
	run other container restore -i "$A"
	echo "$output"
	[ "$status" -eq 125 ]
	has "$IMAGE: image not known" "is not here: pull or load it first"
	[ -z "$(other ps -aq)" ]
	other import -q "$BATS_FILE_TMPDIR/busybox.tar" busybox >/dev/null
	cat >"$T/script" <<-END
		set -e
		ip link set lo up
		C="$CRYOPOD_BIN --root $T/root --runroot $T/run"
		\$C container restore -i "$A"
		until [ "\$(\$C logs a | wc -l)" -ge 4 ]; do sleep 0.05; done
		\$C exec a cat /data/f /root/f
		\$C logs a
		\$C rm -f -t 0 a >/dev/null
		umount -l $T/run/netns/* 2>/dev/null || true
	END
	run timeout 120 unshare --net sh "$T/script"
	echo "$output"
	[ "$status" -eq 0 ]
	has $'\nv\nx\n'
	sed '1,/^x$/d' <<<"$output" | awk '$1 != NR - 1 {exit 1} END {exit NR < 4}'
}

@test "statistics and events" {
	needs_engine
	looper a
	expect 0 checkpoint -e "$BATS_TEST_TMPDIR/a.tar" --print-stats a
	jq -e '.podman_checkpoint_duration > .container_statistics[0].runtime_checkpoint_duration and .container_statistics[0].criu_statistics.frozen_time > 0' <<<"$output"
	cryopod rm a >/dev/null
	expect 0 restore -i "$BATS_TEST_TMPDIR/a.tar" --print-stats
	jq -e '.podman_restore_duration > .container_statistics[0].runtime_restore_duration and .container_statistics[0].criu_statistics.restore_time > 0' <<<"$output"
	tar -xf "$BATS_TEST_TMPDIR/a.tar" -C "$BATS_TEST_TMPDIR" stats-dump
	[ "$(head -c 8 "$BATS_TEST_TMPDIR/stats-dump" | od -An -tx4 | tr -d ' ')" = 5510594057093306 ]
}

@test "a container that depends on another one is not exported" {
	needs_engine
	looper a
	cryopod run -d --name b --network container:a $IMAGE sh -c "$FAST_LOOP" >/dev/null
	wait_for 10 log_reaches b 2
	refuses 125 'cannot export checkpoints of containers with dependencies' checkpoint -e "$BATS_TEST_TMPDIR/b.tar" b
	[ ! -e "$BATS_TEST_TMPDIR/b.tar" ]
	cryopod rm -f -t 0 b >/dev/null
}

@test "the file: links, existing ones, pipes" {
	needs_engine
	looper a
	echo old >"$BATS_TEST_TMPDIR/real"
	ln -s real "$BATS_TEST_TMPDIR/link"
	expect 0 checkpoint -R -e "$BATS_TEST_TMPDIR/link" a
	[ -L "$BATS_TEST_TMPDIR/link" ]
	[ "$(ls -A "$BATS_TEST_TMPDIR" | sort | tr '\n' ' ')" = "link real " ]
	tar -tf "$BATS_TEST_TMPDIR/real" | grep -qx config.dump
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	timeout 90 cat "$BATS_TEST_TMPDIR/fifo" >"$BATS_TEST_TMPDIR/copy" 3>&- &
	expect 0 timeout 90 "$CP" container checkpoint -e "$BATS_TEST_TMPDIR/fifo" a
	wait $!
	expect 0 restore -i "$BATS_TEST_TMPDIR/copy" -n b
	goes_on b
}

@test "rounds before: -P -e, --with-previous -e, --import-previous" {
	needs_engine
	looper a
	expect 0 checkpoint -P -e "$BATS_TEST_TMPDIR/pre.tar" a
	is a
	state_is a running
	members "$BATS_TEST_TMPDIR/pre.tar" | grep -q '^pre-checkpoint/pages-1.img$'
	! members "$BATS_TEST_TMPDIR/pre.tar" | grep '^checkpoint/'
	expect 0 checkpoint --with-previous -e "$BATS_TEST_TMPDIR/a.tar" a
	! members "$BATS_TEST_TMPDIR/a.tar" | grep '^pre-checkpoint/'
	[ "$(tar -tvf "$BATS_TEST_TMPDIR/a.tar" checkpoint/parent | sed 's/.* -> //')" = ../pre-checkpoint ]
	cryopod rm a >/dev/null
	run restore -i "$BATS_TEST_TMPDIR/a.tar"
	echo "$output"
	[ "$status" -eq 125 ]
	expect 0 cryopod ps -aq
	is ""
	refuses 125 'failed to open pre-checkpoint archive /nosuch for import' restore -i "$BATS_TEST_TMPDIR/a.tar" --import-previous /nosuch
	refuses 125 "unpacking of pre-checkpoint archive $BATS_TEST_TMPDIR/a.tar failed: it has no pre-checkpoint/" restore -i "$BATS_TEST_TMPDIR/a.tar" --import-previous "$BATS_TEST_TMPDIR/a.tar"
	expect 0 restore -i "$BATS_TEST_TMPDIR/a.tar" --import-previous "$BATS_TEST_TMPDIR/pre.tar"
	goes_on a
	# Several rounds are one archive.
	expect 0 checkpoint -P a
	expect 0 checkpoint -P a
	expect 0 checkpoint -P -e "$BATS_TEST_TMPDIR/pre.tar" a
	expect 0 checkpoint --with-previous -e "$BATS_TEST_TMPDIR/a.tar" a
	cryopod rm a >/dev/null
	expect 0 restore -i "$BATS_TEST_TMPDIR/a.tar" --import-previous "$BATS_TEST_TMPDIR/pre.tar"
	goes_on a
}

@test "sessions of exec travel with it" {
	needs_engine
	looper a
	cryopod exec -d a sh -c 'i=0; while true; do echo $i >/tmp/n; i=$((i+1)); sleep 0.05; done'
	wait_for 10 cryopod exec a grep -q '[5-9]' /tmp/n
	expect 0 checkpoint -e "$BATS_TEST_TMPDIR/a.tar" a
	cryopod rm a >/dev/null
	expect 0 restore -i "$BATS_TEST_TMPDIR/a.tar"
	# The file is empty for a moment each time.
	wait_for 10 eval 'was=$(cryopod exec a cat /tmp/n); [ -n "$was" ]'
	wait_for 10 eval '[ "$(cryopod exec a cat /tmp/n)" -gt "$was" ]'
	goes_on a
}

@test "in place after an export: from the archive, while it is what it was" {
	needs_engine
	looper a
	expect 0 checkpoint -e "$BATS_TEST_TMPDIR/a.tar" a
	dir=$(cryopod inspect --format '{{.StaticDir}}' a)
	[ ! -e "$dir/checkpoint" ] # written once
	expect 0 cryopod checkpoint inspect a
	has "Container:   a" "echo \$i"
	expect 0 restore a
	is a
	goes_on a
	[ ! -e "$dir/checkpoint" ] && [ ! -e "$dir/exported" ]
	# An older checkpoint in the directory is not taken for the newest.
	expect 0 checkpoint -R a
	n=$(last_number a)
	wait_for 10 log_reaches a $((n + 5))
	expect 0 checkpoint -e "$BATS_TEST_TMPDIR/a.tar" a
	expect 0 restore -a
	goes_on a
	expect 0 checkpoint -e "$BATS_TEST_TMPDIR/a.tar" a
	mv "$BATS_TEST_TMPDIR/a.tar" "$BATS_TEST_TMPDIR/b.tar"
	refuses 125 "a complete checkpoint for this container cannot be found, cannot restore: it is in $BATS_TEST_TMPDIR/a.tar: no such file" restore a
	echo other >"$BATS_TEST_TMPDIR/a.tar"
	refuses 125 "it was in $BATS_TEST_TMPDIR/a.tar, which is another file now" restore a
	mv "$BATS_TEST_TMPDIR/b.tar" "$BATS_TEST_TMPDIR/a.tar"
	expect 0 restore --keep a
	goes_on a
	cryopod stop -t 0 a >/dev/null
	expect 0 restore a
	# --keep keeps the images here as well.
	expect 0 checkpoint --keep -e "$BATS_TEST_TMPDIR/a.tar" a
	[ -f "$dir/checkpoint/inventory.img" ]
	rm "$BATS_TEST_TMPDIR/a.tar"
	expect 0 restore a
}

@test "much memory, shared and private, several processes: the same after import" {
	needs_engine
	cryopod run -d --name a --network none $IMAGE sh -c '
		for i in 1 2 3; do (x=$(head -c 3000000 /dev/urandom | od -An -tx1 | tr -d " \n"); while true; do echo "$x" | md5sum >/tmp/sum.$i.new; mv /tmp/sum.$i.new /tmp/sum.$i; sleep 0.2; done) & done; wait' >/dev/null
	wait_for 30 cryopod exec a test -e /tmp/sum.1 -a -e /tmp/sum.2 -a -e /tmp/sum.3
	was=$(cryopod exec a cat /tmp/sum.1 /tmp/sum.2 /tmp/sum.3)
	for how in "-c none" "-c zstd" "-R"; do
		expect 0 checkpoint $how -e "$BATS_TEST_TMPDIR/a.tar" a
		cryopod rm -f -t 0 a >/dev/null
		expect 0 restore -i "$BATS_TEST_TMPDIR/a.tar"
		expect 0 cryopod exec a sh -c 'rm /tmp/sum.?; for i in 1 2 3; do until [ -e /tmp/sum.$i ]; do sleep 0.1; done; done; cat /tmp/sum.1 /tmp/sum.2 /tmp/sum.3'
		is "$was"
	done
}
