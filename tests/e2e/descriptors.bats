# SPDX-License-Identifier: Apache-2.0
# Open files of every kind, in containers: the programs of tests/cr, whose files are on overlayfs
# here, in namespaces that an OCI runtime made.

load ../lib/helpers
setup_file() {
	[ -x "$REPO/build/tests/cr/cr-epoll" ] || skip "needs the programs of build/tests/cr"
	engine_setup
}
setup() { needs_engine; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

HOST="-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro"

# thaws NAME [OPTIONS...]: it makes its state, is frozen and thawed, and finds it again.  $RUN: options of
# run, too.
thaws() {
	local name=$1
	shift
	# shellcheck disable=SC2086
	cryopod run -d -i --name "$name" -v "$REPO/build/tests/cr:/t:ro" $RUN $HOST busybox "/t/cr-$name" >/dev/null
	wait_for 10 log_has "$name" ready
	expect 0 cryopod container checkpoint "$@" "$name"
	expect 0 cryopod container restore "$@" "$name"
	# the other side of its stdin is conmon's, who stays after the last attached one
	(echo g && wait_for 10 state_is "$name" exited) | cryopod attach "$name" || true
	wait_for 10 log_has "$name" ok
}

@test "epoll, signalfd, timerfd, eventfd" {
	thaws epoll
	thaws signalfds
	thaws timerfds
	thaws eventfds
}

@test "pipes and FIFOs with content" {
	thaws pipes
	thaws fifos
}

@test "inotify on overlayfs" {
	thaws inotify
}

@test "POSIX message queues, also those that nobody has open" {
	thaws mqueues
}

@test "unread events of inotify, and what waits in unaccepted connections" {
	thaws inotifyqueue
	thaws unixqueued
}

@test "triggers of memory pressure, as systemd and its daemons have them" {
	thaws pressure
}

@test "memfds with seals and mappings" {
	thaws memfds
}

@test "pidfds, files of processes and of namespaces" {
	thaws pidfds
	thaws procfiles
	thaws nsfiles
}

@test "deleted, renamed, linked and nameless files" {
	thaws ghost
	thaws ghostdir
	thaws names
}

# As after the upgrade of a package: the program and what it has open and mapped are of the image.
@test "files of the image that have been deleted" {
	cryopod run -d --name old busybox sh -c 'exec 3</etc/group; read a <&3; cp /bin/busybox /busybox; rm /bin/busybox /etc/group
		/busybox touch /ready; while /busybox sleep 0.1; do :; done'
	wait_for 10 cryopod exec old /busybox test -e /ready
	for _ in 1 2; do
		expect 0 cryopod container checkpoint old
		expect 0 cryopod container restore old
	done
	run cryopod exec old /busybox sh -c 'for f in exe fd/3; do /busybox readlink /proc/1/$f; done; /busybox ls /bin/busybox /etc/group'
	[[ $output = *"/bin/busybox (deleted)"*"/etc/group (deleted)"* ]]
	[[ $output = *"/bin/busybox: No such file"*"/etc/group: No such file"* ]]
	cryopod rm -f -t 0 old
}

@test "files in mounts that are attached nowhere" {
	RUN=--privileged thaws adrift
}

@test "calls that wait, and those that a signal has come for" {
	thaws longcalls --file-locks
	thaws lateinterrupts --file-locks
}

@test "owners of SIGIO, shared tables, thousands of descriptors" {
	thaws fowns
	thaws sharedfds
	thaws manyfds
}

@test "locks are kept with --file-locks and refused without" {
	thaws locks --file-locks
	# shellcheck disable=SC2086
	cryopod run -d --name held $HOST busybox /usr/bin/flock -x /tmp/lock sleep 1000
	wait_for 10 cryopod exec held sh -c '[ -e /tmp/lock ] && ! /usr/bin/flock -n /tmp/lock true'
	refuses 125 "use --file-locks to keep file locks" cryopod container checkpoint held
	state_is held running
	expect 0 cryopod container checkpoint --file-locks held
	expect 0 cryopod container restore --file-locks held
	run cryopod exec held /usr/bin/flock -n /tmp/lock true
	[ "$status" -eq 1 ]
}
