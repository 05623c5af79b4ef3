# SPDX-License-Identifier: Apache-2.0
# Memory and /dev/shm on their way into archives and checkpoint images: once, and without anybody
# waiting longer than needed.

load ../lib/helpers
setup_file() {
	engine_setup
	mkdir "$BATS_FILE_TMPDIR/f"
	cc -O2 -static -o "$BATS_FILE_TMPDIR/f/filler" "$REPO/tests/lib/filler.c"
	tar -C "$BATS_FILE_TMPDIR/f" -cf "$BATS_FILE_TMPDIR/filler.tar" filler
	cryopod import -q "$BATS_FILE_TMPDIR/filler.tar" filler >/dev/null
}
teardown() {
	engine_clear
}
teardown_file() { engine_teardown; }

PTY=$REPO/tests/lib/pty

# fill CTR PRIVATE SHARED [OPTION...]
fill() {
	local name=$1 own=$2 shared=$3
	shift 3
	cryopod run -d --name "$name" --network none "$@" filler /filler "$own" "$shared" >/dev/null
	wait_for 30 log_reaches "$name" 2
}

# counts CTR: it runs; its log may have gaps: it has been elsewhere, or gone back.
counts() {
	local n
	wait_for 10 eval '[ -n "$(last_number '"$1"')" ]'
	n=$(last_number "$1")
	wait_for 10 log_reaches "$1" $((n + 2))
}

@test "memory is in the archive or image only: the store's disk could not hold it twice" {
	needs_engine
	small=$BATS_FILE_TMPDIR/small out=$BATS_TEST_TMPDIR
	mkdir -p "$small"
	mount -t tmpfs -o size=48m tmpfs "$small"
	export CP_ROOT=$small/root CP_RUN=$BATS_FILE_TMPDIR/small-run
	cryopod import -q "$BATS_FILE_TMPDIR/filler.tar" filler >/dev/null
	fill a 32 32
	expect 0 cryopod container checkpoint -c none -e "$out/a.tar" a
	mount -o remount,size=128m "$small"
	cryopod rm a >/dev/null
	expect 0 cryopod container restore -i "$out/a.tar"
	goes_on a
	# 64 MB, and the store has no room for twice as much.
	expect 0 cryopod container checkpoint --create-image warm a
	dir=$(cryopod inspect --format '{{.StaticDir}}' a)
	[ ! -e "$dir/checkpoint" ]
	mount -o remount,size=200m "$small"
	expect 0 cryopod container restore a
	goes_on a
	cryopod rm -f -t 0 a >/dev/null
	expect 0 cryopod container restore --name b warm
	counts b
	# Not here any more with the image.
	expect 0 cryopod container checkpoint --create-image warm b
	cryopod rmi -f warm >/dev/null
	refuses 125 'cannot restore: it was in image localhost/warm:latest, which is gone' cryopod container restore b
	# And --keep keeps it here, too.
	cryopod rm b >/dev/null
	expect 0 cryopod container restore -i "$out/a.tar"
	expect 0 cryopod container checkpoint --keep --create-image warm a
	cryopod rmi -f warm >/dev/null
	expect 0 cryopod container restore a
	goes_on a
	expect 0 cryopod rm -f -t 0 a
	umount "$small"
}

@test "-R with a memory limit: it runs while its memory is compressed" {
	needs_engine
	fill a 96 0 --memory 160m
	# More than 16 MB are through, and there is more to come: meanwhile it counts.
	export BATS_TEST_TMPDIR CP
	export -f goes_on wait_for log_reaches last_number log_is_gapless cryopod
	expect 0 "$PTY" -E ': [1-8][0-9]\.[0-9] MB of' -x 'set -e; kill -STOP $PID; trap "kill -CONT $PID" EXIT; [ ! -e "$BATS_TEST_TMPDIR/a.tar" ]; goes_on a' -- \
		"$CP" container checkpoint -R -c gzip -e "$BATS_TEST_TMPDIR/a.tar" a
	goes_on a
	cryopod rm -f -t 0 a >/dev/null
	expect 0 cryopod container restore -i "$BATS_TEST_TMPDIR/a.tar"
	goes_on a
}

@test "/dev/shm is in an archive once, and comes back from wherever the checkpoint is" {
	needs_engine
	T=$BATS_TEST_TMPDIR
	cryopod run -d --name a --network none $IMAGE sh -c "echo named >/dev/shm/f; exec 5<>/dev/shm/gone; echo gone >&5; rm /dev/shm/gone; mkdir -m 700 /dev/shm/d; $FAST_LOOP" >/dev/null
	wait_for 10 log_reaches a 2
	there() {
		expect 0 cryopod exec "$1" sh -c 'cat /dev/shm/f; stat -c %a /dev/shm/d; tail -n 1 /proc/1/fd/5; stat -c %a /dev/shm'
		is $'named\n700\ngone\n1777'
		counts "$1"
	}
	tmpfs() { tar -tf "$1" | grep -c 'checkpoint/tmpfs-dev-.*img' || true; }
	expect 0 cryopod container checkpoint -R --keep -c none -e "$T/kept.tar" a
	expect 0 cryopod container checkpoint -c none -e "$T/a.tar" a
	tar -tf "$T/a.tar" | grep -qx devshm-checkpoint.tar
	[ "$(tmpfs "$T/kept.tar")" -eq $(($(tmpfs "$T/a.tar") + 1)) ]
	expect 0 cryopod container restore --keep a
	there a
	cryopod stop -t 0 a >/dev/null
	expect 0 cryopod container restore a
	there a
	# The next one has its own, in the images.
	cryopod exec a sh -c 'rm -r /dev/shm/*; mkdir -m 700 /dev/shm/d; echo named >/dev/shm/f'
	expect 0 cryopod container checkpoint a
	expect 0 cryopod container restore a
	there a
	expect 0 cryopod checkpoint create -R a one
	expect 0 cryopod container checkpoint --create-image warm a
	expect 0 cryopod container restore --checkpoint one a
	there a
	expect 0 cryopod container restore --name b warm
	there b
	cryopod rm -f -t 0 a b >/dev/null
	for f in a kept; do
		expect 0 cryopod container restore --name "$f" -i "$T/$f.tar"
		there "$f"
	done
}
