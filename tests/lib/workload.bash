# SPDX-License-Identifier: Apache-2.0
# Real servers and programs through every kind of cycle.  A workload is one file
# tests/workloads/NAME.bats:
#
#	load ../lib/workload
#	setup_file() { workload_setup; }
#	teardown() { workload_clear; }
#	teardown_file() { workload_teardown; }
#
#	start()  { ctr OPTIONS... -- COMMAND...; }	# run -d of the container "w" from the image
#	ready()  { [ "$(ask ping)" = pong ]; }		# it answers; asked every 10 ms
#	fill()   { ...; }				# gives it something to keep
#	mark()   { ...; }				# optional: remembers what verify compares with
#	verify() { ...; }				# it has what it had at the last mark
#	@test "every cycle" { every_cycle; }
#	@test "what else must hold" { begin; ...; cycle_w; verify; }
#
# verify is called twice for one mark when a checkpoint is restored twice; what it writes into files
# does not go back with the memory.  CHECKPOINT and RESTORE are arrays of options (--tcp-established).
# Packages for the image are named in tests/workloads/image; what is not a package (a Go program, a
# musl binary) is built in setup_file below $BATS_FILE_TMPDIR and mounted by -v.
#
# CRYOPOD_CYCLES is how many cycles follow each other: 20 for a long look, 4 when ./check runs.
# ready runs in a subshell, and may leave its connection open.
# outside COMMAND... runs a program of the image in the test's own network: a client.

load ../lib/helpers

CYCLES=${CRYOPOD_CYCLES:-4}
CHECKPOINT=() RESTORE=()

workload_setup() {
	local cache=${CRYOPOD_WORKLOADS:-} layer
	[ "$PROG" != podman ] || skip "Podman's CRIU does not work with this kernel"
	[ -d "$cache/store" ] || skip "${CRYOPOD_NO_WORKLOADS:-run it by ./check workloads, which makes the image}"
	export CP_ROOT=$BATS_FILE_TMPDIR/root CP_RUN=$BATS_FILE_TMPDIR/run IMAGE=localhost/debian:latest
	# A store of our own with the image's layer from the cache, which nobody can write to.
	mkdir -p "$CP_ROOT/overlay"
	cp -a "$cache"/store/db.sqlite* "$CP_ROOT"
	for layer in "$cache"/store/overlay/*/ "$cache/store/blobs/"; do
		layer=${layer%/} && layer=${layer#"$cache/store/"}
		mkdir -p "$CP_ROOT/$layer"
		mount --bind "$cache/store/$layer" "$CP_ROOT/$layer"
		mount -o remount,bind,ro "$CP_ROOT/$layer"
	done
	# The same once more as the root of those who are outside.
	mkdir -p "$BATS_FILE_TMPDIR"/{upper,work,outside}
	mount -t overlay -o "lowerdir=$(echo "$cache"/store/overlay/*/diff),upperdir=$BATS_FILE_TMPDIR/upper,workdir=$BATS_FILE_TMPDIR/work" \
		overlay "$BATS_FILE_TMPDIR/outside"
	mount --bind /dev "$BATS_FILE_TMPDIR/outside/dev"
	mount -t proc proc "$BATS_FILE_TMPDIR/outside/proc"
	leak_snapshot >"$BATS_FILE_TMPDIR/before"
}

workload_clear() {
	local p
	for p in $(jobs -p); do kill "$p" 2>/dev/null || true; done
	cryopod rm -fa -t 0 >/dev/null
}

workload_teardown() {
	[ -e "$BATS_FILE_TMPDIR/before" ] || return 0
	cryopod rm -fa -t 0 >/dev/null 2>&1 || true
	leaks_nothing
	# The namespace goes, and with it all that was mounted; bats removes what is below.
	umount -l "$BATS_FILE_TMPDIR"/outside/{dev,proc} "$BATS_FILE_TMPDIR/outside" "$CP_ROOT"/overlay/*/ "$CP_ROOT/blobs"
}

# ctr OPTIONS... -- COMMAND...: the container "w".
ctr() {
	local options=()
	while [ "$1" != -- ]; do options+=("$1") && shift; done
	shift
	cryopod run -d --name w "${options[@]}" $IMAGE "$@" >/dev/null
}

ip_of() { cryopod inspect --format '{{.NetworkSettings.IPAddress}}' "$1"; }
userdata() { cryopod inspect --format '{{.StaticDir}}' "$1"; }
outside() { chroot "$BATS_FILE_TMPDIR/outside" "$@"; }
inside() { cryopod exec w "$@"; }

# talk HOST PORT: opens a connection as descriptor $TALK; say LINE and hear [SECONDS] use it.
talk() { exec {TALK}<>"/dev/tcp/$1/$2"; }
say() { printf '%s\r\n' "$*" >&"$TALK"; }
hear() { local line && IFS= read -r -t "${1:-40}" line <&"$TALK" && printf '%s\n' "${line%$'\r'}"; }
hang_up() { exec {TALK}>&-; }

# session NAME COMMAND...: a client outside that reads commands; tell NAME LINE and told NAME use it.
declare -gA TO FROM
session() {
	local name=$1 in out
	shift
	mkfifo "$BATS_TEST_TMPDIR/$name.in" "$BATS_TEST_TMPDIR/$name.out"
	outside "$@" <"$BATS_TEST_TMPDIR/$name.in" >"$BATS_TEST_TMPDIR/$name.out" 2>&1 &
	exec {in}>"$BATS_TEST_TMPDIR/$name.in" {out}<"$BATS_TEST_TMPDIR/$name.out"
	TO[$name]=$in FROM[$name]=$out
}
tell() { printf '%s\n' "${*:2}" >&"${TO[$1]}"; }
told() { local line && IFS= read -r -t "${2:-60}" -u "${FROM[$1]}" line && printf '%s\n' "$line"; }

now_ms() { echo $(($(date +%s%N) / 1000000)); }
note() { echo "# $(basename "$BATS_TEST_FILENAME" .bats): $*" >&3; }
phase() { PHASE=$* && echo "--- $*"; }

# answers: within two minutes, if nothing at all works as fast as it should.
answers() {
	local end=$((SECONDS + 120))
	# In a subshell: a descriptor that it talks over is its own.
	until (ready) 2>/dev/null; do
		if [ $SECONDS -ge $end ] || ! state_is w running; then
			echo "no answer"
			cryopod logs --tail 30 w
			cryopod ps -a
			return 1
		fi
		sleep 0.01
	done
}

# begin: started, answering, filled.  $COLD is the milliseconds to the first answer.
begin() {
	local t
	phase "cold start"
	t=$(now_ms)
	start
	answers
	COLD=$(($(now_ms) - t))
	fill
	mark
	verify
}

mark() { :; }

# freeze OPTIONS..., thaw OPTIONS...: $FROZE, and $THAWED with the first answer.
freeze() {
	local t
	mark
	case "${CHECKPOINT[*]} $*" in
	*--tcp-established*) ;;
	*) wait_for 10 unconnected ;; # who has just hung up
	esac
	t=$(now_ms)
	expect 0 cryopod container checkpoint "${CHECKPOINT[@]}" "$@" w
	is w
	FROZE=$(($(now_ms) - t))
}
thaw() {
	local t
	t=$(now_ms)
	expect 0 cryopod container restore "${RESTORE[@]}" "$@" w
	is w
	answers
	THAWED=$(($(now_ms) - t))
}
cycle_w() {
	freeze
	thaw
}

# unconnected: no TCP connection is established or half closed; file, address, address, state.
unconnected() {
	local pid
	pid=$(pid_of w)
	! awk '$4 == "01" || $4 == "08" {n++} END {exit !n}' "/proc/$pid/net/tcp" "/proc/$pid/net/tcp6"
}

# reboot: the run root is gone, and with it the network namespaces.
reboot() {
	umount -l "$CP_RUN"/netns/* 2>/dev/null || true
	rm -rf "$CP_RUN"
}

every_cycle() {
	local i size
	begin
	phase "checkpoint, restore"
	freeze
	size=$(du -sm "$(userdata w)/checkpoint" | cut -f1)
	thaw
	note "cold start $COLD ms; checkpoint $FROZE ms, $size MiB; restore to the first answer $THAWED ms"
	verify
	phase "checkpoint --leave-running"
	freeze -R
	state_is w running
	verify
	phase "checkpoint --keep, restore --keep, kill, restore again"
	freeze --keep
	thaw --keep
	verify
	cryopod kill w >/dev/null
	cryopod wait w >/dev/null
	thaw
	verify
	phase "restore after a reboot"
	freeze
	reboot
	thaw
	verify
	for i in $(seq "$CYCLES"); do
		phase "cycle $i of $CYCLES"
		cycle_w
		verify
	done
}
