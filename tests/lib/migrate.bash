# SPDX-License-Identifier: Apache-2.0
# Two "hosts": two roots in two network namespaces, with a command in the place of ssh.

migrate_setup() {
	engine_setup
	export THERE="$BATS_FILE_TMPDIR/there" NS="$BATS_FILE_TMPDIR/ns" SSH="$BATS_FILE_TMPDIR/ssh"
	export THERE_ARGS="--root $THERE/root --runroot $THERE/run"
	export OTHER="$CRYOPOD_BIN $THERE_ARGS"
	mkdir "$THERE"
	touch "$NS"
	unshare --net="$NS" ip link set lo up
	printf '#!/bin/sh\nshift\nexec nsenter --net=%s sh -c "$*"\n' "$NS" >"$SSH"
	chmod +x "$SSH"
}

migrate_clear() {
	there rm -fa -t 0 >/dev/null
	there volume rm -fa >/dev/null
	engine_clear
	cryopod volume rm -fa >/dev/null
}

migrate_teardown() {
	umount "$THERE"/run/netns/* 2>/dev/null || true
	umount "$NS"
	engine_teardown
}

there() { nsenter --net="$NS" $OTHER "$@"; }
migrate() { cryopod container migrate --ssh "$SSH" --remote-command "$OTHER" "$@" other; }

# counter NAME [COMMAND]: prints 0, 1, 2 ... and has the last one in /count; COMMAND comes before.
counter() {
	cryopod run -d --name "$1" $IMAGE sh -c "${2-}"'
		i=0; while true; do echo $i; echo $i >/count; i=$(expr $i + 1); sleep 0.05; done' >/dev/null
	wait_for 10 at_least "$1" 3
}
at_least() { [ "$(cryopod logs --tail 1 "$1")" -ge "$2" ]; }
there_at_least() { [ "$(there logs --tail 1 "$1")" -ge "$2" ]; }
# count_is_at_least CTR N: /count, which is empty for a moment when it is written.
count_is_at_least() { [ "$(there exec "$1" cat /count)" -ge "$2" ]; }
# Nothing was lost or printed twice.
whole() { there logs "$1" | awk '$1 != NR - 1 {exit 1}'; }
whole_here() { cryopod logs "$1" | awk '$1 != NR - 1 {exit 1}'; }
nothing_there() { [ -z "$(there ps -aq)$(ls "$THERE/root/arrivals" 2>/dev/null)$(there volume ls -q)" ]; }
