# SPDX-License-Identifier: Apache-2.0
# bash with jobs, vim and less of a real system, by what is on the screen.

load ../lib/workload
load ../lib/screen
setup_file() {
	workload_setup
	command -v tmux >/dev/null || skip "no tmux"
}
teardown() { screen_close; workload_clear; }
teardown_file() { workload_teardown; }

# shell: "w" runs bash, attached.
shell() {
	cryopod run -dit --name w --network none -e PS1='sh> ' $IMAGE bash --norc --noprofile >/dev/null
	screen_open 24x80 "$CP" attach w
	screen_type Enter
	screen_shows 'sh>'
}
# prompt: the shell is back; what is typed before, the program that ends may still take.
prompt() { wait_for 5 eval '[ "$(screen | grep -v "^$" | tail -1)" = "sh>" ]' || { screen; return 1; }; }
again() {
	expect 0 cryopod container checkpoint "$@" w
	screen_close
	expect 0 cryopod container restore "$@" w
	screen_open 24x80 "$CP" attach w
}
tree() { cryopod top w pid,ppid,pgid,tty,state,args | sed 's/ R / S /'; } # at work or not

@test "bash: jobs and history through many cycles" {
	shell
	screen_type 'sleep 1001 & X=kept' Enter
	screen_type 'sleep 1002 | cat' Enter
	wait_for 5 eval 'tree | grep -q "sleep 1002"'
	screen_type C-z
	screen_shows Stopped
	screen_type 'vi -u NONE /tmp/x' Enter
	screen_shows '"/tmp/x" [New File]'
	screen_type C-z
	wait_for 5 eval 'tree | grep -q " T .*vi -u"' # or it would take what is typed next
	screen_type 'jobs >/tmp/jobs; echo ok$?' Enter
	screen_shows ok0
	tree >"$BATS_TEST_TMPDIR/tree"
	for i in $(seq "$CYCLES"); do
		again
		tree | diff "$BATS_TEST_TMPDIR/tree" -
		screen_type 'jobs >/tmp/jobs2; cmp /tmp/jobs /tmp/jobs2; echo $X$?' Enter
		screen_shows kept0
	done
	screen_type Up Enter
	screen_shows kept0
	screen_type 'fg' Enter
	screen_type 'iedited' Escape ':wq' Enter
	prompt
	[ "$(cryopod exec w cat /tmp/x)" = edited ]
	screen_type 'kill %2; bg %2; kill %1; wait; jobs; echo gone$?' Enter
	screen_shows gone0
	[ "$(tree | grep -c sleep)" -eq 0 ]
}

@test "bash and vim: going on, twice from one checkpoint, after a reboot" {
	shell
	screen_type 'sleep 1001 & X=kept' Enter
	screen_type 'vi -u NONE -N /tmp/x' Enter
	screen_shows '"/tmp/x" [New]'
	screen_type 'ifirst' Escape
	screen_shows first
	# Whoever is attached notices nothing.
	expect 0 cryopod container checkpoint -R w
	screen_type 'osecond' Escape C-l
	screen_shows second
	screen >"$BATS_TEST_TMPDIR/before"
	tree >"$BATS_TEST_TMPDIR/tree"
	again --keep
	for way in again after_reboot; do
		tree | diff "$BATS_TEST_TMPDIR/tree" -
		screen_type C-l
		screen_shows second
		screen | diff "$BATS_TEST_TMPDIR/before" -
		screen_type 'othird' Escape
		screen_shows third
		# Only then: the SIGHUP of a terminal that goes is proxied to the container.
		cryopod kill w >/dev/null
		cryopod wait w >/dev/null
		screen_close
		[ $way = again ] || reboot
		expect 0 cryopod container restore --keep w
		screen_open 24x80 "$CP" attach w
	done
	screen_type C-l
	screen_shows second
	screen_type ':x' Enter
	prompt
	[ "$(cryopod exec w cat /tmp/x)" = "$(printf 'first\nsecond')" ]
	screen_type 'jobs; echo $X$?' Enter
	screen_shows kept0
	screen_shows 'sleep 1001'
}

@test "vim: the same screen, undo, a recording under way" {
	shell
	cryopod exec w sh -c 'seq 1000 >/tmp/text'
	screen_type 'vi -u NONE -N /tmp/text' Enter
	screen_shows '1000L'
	screen_type 500G 'onew' Escape 'z.' 'qa' 'x'
	screen_shows ew
	screen_type C-l
	screen >"$BATS_TEST_TMPDIR/before"
	again
	screen_type C-l
	screen_shows 501
	screen | diff "$BATS_TEST_TMPDIR/before" -
	screen_type 'j' 'q' '@a' 'u' 'u' ':wq' Enter
	prompt
	[ "$(cryopod exec w sed -n 501p /tmp/text)" = new ]
}

@test "less, on a pipe that is not at its end" {
	shell
	screen_type '(seq 1000; while ! [ -e /tmp/go ]; do sleep 0.05; done; seq 1001 2000) | less' Enter
	screen_shows 23
	screen_type 100 g
	screen_shows 122
	screen_type r
	screen >"$BATS_TEST_TMPDIR/before"
	again
	screen_type r
	screen_shows 122
	screen | diff "$BATS_TEST_TMPDIR/before" -
	cryopod exec w touch /tmp/go
	screen_type G
	screen_shows 2000
	screen_type q
	screen_type 'echo left$?' Enter
	screen_shows left0
}
