# SPDX-License-Identifier: Apache-2.0
# Interactive shells with job control, editors and pagers, looked at before and after.

load ../lib/helpers
load ../lib/screen
setup_file() {
	engine_setup
	command -v tmux >/dev/null || skip "no tmux"
}
teardown() { screen_close; engine_clear; }
teardown_file() { engine_teardown; }
setup() { needs_engine; }

# shell SIZE: "s" runs busybox's shell, attached.
shell() {
	cryopod run -dit --name s --network none -e PS1='sh> ' $IMAGE sh >/dev/null
	screen_open "$1" "$CP" attach s
	screen_type Enter
	screen_shows 'sh>'
}
again() { # SIZE: checkpointed, restored, attached again
	expect 0 cryopod container checkpoint s
	screen_close
	expect 0 cryopod container restore s
	screen_open "$1" "$CP" attach s
}
tree() { cryopod top s pid,ppid,pgid,tty,state,args | sed 's/ R / S /'; } # at work or not

@test "jobs: running, stopped, in the background; fg, bg and Ctrl-C afterwards" {
	shell 24x80
	screen_type 'sleep 1001 &' Enter
	screen_type 'sleep 1002 | sleep 1003' Enter
	wait_for 5 eval 'tree | grep -q "sleep 1003"'
	screen_type C-z
	screen_shows 'Stopped'
	screen_type 'cat' Enter
	wait_for 5 eval 'tree | grep -q " cat$"'
	screen_type C-z
	wait_for 5 eval 'tree | grep -q " T .* cat *$"' # or it would read what is typed next
	screen_type 'jobs >/tmp/jobs; echo ok$?' Enter
	screen_shows ok0
	tree >"$BATS_TEST_TMPDIR/tree"
	[ "$(cryopod exec s grep -c Stopped /tmp/jobs)" -eq 2 ]
	for _ in 1 2; do
		again 24x80
		tree | diff "$BATS_TEST_TMPDIR/tree" -
		screen_type 'jobs >/tmp/jobs2; cmp /tmp/jobs /tmp/jobs2; echo again$?' Enter
		screen_shows again0
	done
	screen_type 'fg' Enter
	screen_type 'to the cat' Enter
	screen_shows 'to the cat'
	screen_type C-c
	wait_for 5 eval '! tree | grep -q " cat *$"'
	screen_type 'bg %2; jobs; echo three' Enter
	screen_shows three
	wait_for 5 eval '[ "$(tree | grep -c " T  ")" -eq 0 ]'
	screen_type 'fg %1' Enter
	wait_for 5 eval 'screen | grep -q "^sleep 1001"' # what fg says
	screen_type C-c
	wait_for 5 eval '! tree | grep -q "sleep 1001"'
	screen_type 'exit 9' Enter
	screen_type 'exit 9' Enter
	[ "$(timeout 60 "$CP" wait s)" = 9 ]
}

@test "vi: the same screen, also in another size; what was typed can be undone and saved" {
	shell 24x80
	cryopod exec s sh -c 'seq 100 >/tmp/text'
	screen_type 'vi /tmp/text' Enter
	screen_shows '/tmp/text 1/100'
	screen_type 50G
	screen_shows '/tmp/text 50/100'
	screen_type o 'new line' Escape C-l
	screen_shows 'new line'
	screen >"$BATS_TEST_TMPDIR/before"
	screen_type i 'half '
	again 24x80
	# still inserting; with C-l it draws all
	screen_type 'more ' Escape C-l
	screen_shows 'new linhalf more e'
	screen | sed 's/half more //; $d' | diff <(sed '$d' "$BATS_TEST_TMPDIR/before") -
	again 30x100
	screen_type C-l
	screen_shows 'new linhalf more e'
	screen_type ':wq' Enter
	screen_shows 'sh>'
	[ "$(cryopod exec s sed -n 51p /tmp/text)" = 'new linhalf more e' ]
	screen_type 'stty size' Enter
	screen_shows '30 100'
}

@test "less: the same page" {
	shell 24x80
	screen_type 'seq 1000 | less' Enter
	screen_shows 23
	screen_type 500G
	screen_shows 520
	again 24x80
	screen_type 'r'
	screen_shows 510
	screen_type 'g'
	screen_shows 20
	screen_type q
	screen_type 'echo left$?' Enter
	screen_shows left0
}

@test "the window's size is told to who is attached after a restore" {
	shell 24x80
	again 24x80
	screen_type 'stty size' Enter
	screen_shows '24 80'
	screen_size 40x120
	wait_for 5 eval '[ "$(stty size -F "/proc/$(pid_of s)/fd/0")" = "40 120" ]'
	screen_type 'stty size' Enter
	screen_shows '40 120'
}
