# SPDX-License-Identifier: Apache-2.0
# container checkpoint --pre-checkpoint and --with-previous: memory in rounds.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }
setup() { needs_engine; }

dir_of() { cryopod inspect --format '{{.StaticDir}}' "$1"; }
checkpoint() { cryopod container checkpoint "$@"; }
restore() { cryopod container restore "$@"; }
pid_of() { cryopod inspect --format '{{.State.Pid}}' "$1"; }
written() { jq '.container_statistics[0].criu_statistics.pages_written' <<<"$output"; }
# bytes DIR: of pages
bytes() { cat "$1"/pages-*.img | wc -c; }

# hog NAME MIB: holds so much memory; USR1: says whether it is whole.  It waits without any child: one
# between fork(2) and execve(2) has all the memory as well, and is new to the round that meets it.
hog() {
	cryopod run -d --name "$1" --network none $IMAGE sh -c '
		a=$(yes 0123456789abcde | head -c '$(($2 << 20))')
		trap "echo \"\$a\" | md5sum" USR1
		mkfifo /wait
		echo ready
		while :; do read -r x <>/wait; done' >/dev/null
	wait_for 30 eval "cryopod logs $1 | grep -q ready"
}

@test "a round, the checkpoint that goes on from it, restored" {
	looper a
	d=$(dir_of a)
	expect 0 checkpoint -P a
	is a
	[ "$(cryopod inspect --format '{{.State.Status}} {{.State.Checkpointed}}' a)" = "running false" ]
	[ -s "$d/pre-checkpoint/inventory.img" ] && [ -s "$d/pre-checkpoint/pagemap-1.img" ]
	[ ! -e "$d/checkpoint" ]
	goes_on a
	expect 0 checkpoint --with-previous a
	is a
	[ "$(readlink "$d/checkpoint/parent")" = ../pre-checkpoint ]
	crit decode -i "$d/checkpoint/pagemap-1.img" | jq -e 'any(.entries[]; .in_parent)'
	# Of the shell alone: who else is there at the moment differs.
	own() { crit decode -i "$d/$1/pagemap-1.img" | jq '[.entries[] | select(.nr_pages and (.in_parent | not)) | .nr_pages] | add'; }
	[ "$(own checkpoint)" -lt "$(own pre-checkpoint)" ]
	expect 0 restore a
	goes_on a
	[ ! -e "$d/checkpoint" ] && [ ! -e "$d/pre-checkpoint" ]
}

@test "a round of memory that does not change is small, whatever it is" {
	hog m 48
	expect 0 checkpoint -P --print-stats m
	first=$(written)
	[ "$first" -gt 12000 ]
	expect 0 checkpoint -P --print-stats m
	[ "$(written)" -lt $((first / 20)) ]
	expect 0 checkpoint -P --print-stats m
	[ "$(written)" -lt $((first / 20)) ]
	expect 0 checkpoint --with-previous --print-stats m
	[ "$(written)" -lt $((first / 20)) ]
	expect 0 restore m
	cryopod kill -s USR1 m
	wait_for 20 eval "[ \$(cryopod logs m | wc -l) -gt 1 ]"
	[ "$(cryopod logs m | tail -n 1)" = "$(yes 0123456789abcde | head -c $((48 << 20)) | md5sum)" ]
}

@test "a checkpoint that was kept stays whole when more rounds follow" {
	looper a
	d=$(dir_of a)
	checkpoint -P a
	checkpoint -R --with-previous a
	kept=$(last_number a)
	checkpoint -P a
	[ "$(readlink "$d/checkpoint/parent")" = pre-checkpoint ]
	[ -s "$d/checkpoint/pre-checkpoint/inventory.img" ]
	wait_for 10 log_reaches a $((kept + 35))
	cryopod stop -t 0 a
	expect 0 restore --keep a
	wait_for 10 eval '[ "$(cryopod logs a | sort -n | uniq -d | head -n 1)" ]'
	[ "$(cryopod logs a | sort -n | uniq -d | head -n 1)" -le $((kept + 30)) ]
}

@test "what is used to follow changes is not seen in the checkpoint, and goes with it" {
	looper a
	# Between two commands; meanwhile the shell has a pipe.
	usual() { wait_for 10 eval '[ "$(ls "/proc/$(pid_of a)/fd" | sort -n | tr "\n" " ")" = "0 1 2 " ]'; }
	usual
	checkpoint -P a
	ls -l "/proc/$(pid_of a)/fd" | grep -q userfaultfd
	checkpoint -R --with-previous a
	usual
	checkpoint -P a
	checkpoint a
	expect 0 restore a
	usual
	goes_on a
}

@test "rounds of a container that was started again are none" {
	looper a
	checkpoint -P a
	cryopod restart -t 0 a
	expect 0 checkpoint --with-previous a
	expect 0 restore a
	wait_for 10 eval '[ "$(last_number a)" -gt 1 ]'
}

@test "what is wrong is said, in Podman's words" {
	looper a
	d=$(dir_of a)
	refuses 125 "--with-previous can not be used with --pre-checkpoint" checkpoint -P --with-previous foobar
	refuses 125 "stat $d/pre-checkpoint: no such file or directory" checkpoint --with-previous a
	[ "$(cryopod inspect --format '{{.State.Status}}' a)" = running ]
	cryopod stop -t 0 a
	refuses 125 '"exited" is not running, cannot checkpoint: container state improper' checkpoint -P a
	cryopod run -d --rm --name b --network none $IMAGE sleep 100
	refuses 125 "cannot checkpoint containers that have been started with '--rm' unless '--export' is used" checkpoint -P b
	goes=$(pid_of b)
	wait_for 5 eval '[ "$(awk "/^State:/ {print \$2}" "/proc/$goes/status")" = S ]'
}
