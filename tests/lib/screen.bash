# SPDX-License-Identifier: Apache-2.0
# A terminal that somebody looks at, by tmux: what is on the screen, not what was printed.
#
#	screen_open 24x80 COMMAND...	# runs on it
#	screen_type TEXT		# also names of keys: C-z Enter Escape
#	screen_shows TEXT		# waits until it does
#	screen				# all of it
#	screen_size 30x100
#	screen_close

SCREENS=0 # each has a server of its own: one that ends could take what the next is told
tm() { tmux -S "$BATS_TEST_TMPDIR/tmux$SCREENS" -f /dev/null "$@"; }

screen_open() {
	local size=$1
	shift
	SCREENS=$((SCREENS + 1))
	# 3: the server must not hold what bats waits for
	tm new-session -d -x "${size#*x}" -y "${size%x*}" "$(printf '%q ' "$@"); sleep 1000" 3>&-
	tm set -g status off >/dev/null
	tm set -g escape-time 0 >/dev/null
}
screen_close() { tm kill-server 2>/dev/null || true; }
screen() { tm capture-pane -p; }
screen_type() { tm send-keys "$@"; }
screen_size() { tm resize-window -x "${1#*x}" -y "${1%x*}"; }
screen_has() { screen | grep -qF -- "$1"; }
screen_shows() { wait_for 10 screen_has "$1" || { screen; return 1; }; }
