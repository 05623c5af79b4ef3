# SPDX-License-Identifier: Apache-2.0
# Debuggers and what they debug, in one container or tree: both go on where they were.

load ../lib/helpers
setup_file() { engine_setup; }
setup() { [ -r /sys/kernel/btf/vmlinux ] || skip "the kernel does not describe itself"; }
teardown() {
	engine_clear
	[ ! -s "$BATS_TEST_TMPDIR/tree" ] || kill -9 -- "-$(cat "$BATS_TEST_TMPDIR/tree")" 2>/dev/null || true
}
teardown_file() { engine_teardown; }

HOST="-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro"
CRYO=$REPO/build/cryo

grows() { # FILE
	local before
	before=$(wc -l <"$1")
	wait_for 20 eval '[ "$(wc -l <"'"$1"'")" -gt '$((before + 20))' ]'
}

@test "strace of a shell that forks, in a container" {
	[ -x /usr/bin/strace ] || skip "there is no strace"
	mkdir "$BATS_TEST_TMPDIR/out"
	chmod 777 "$BATS_TEST_TMPDIR/out"
	cryopod run -d --name a --network none --cap-add sys_ptrace $HOST -v "$BATS_TEST_TMPDIR/out:/out" $IMAGE \
		/usr/bin/strace -f -o /out/trace sh -c "$FAST_LOOP" >/dev/null
	wait_for 20 log_reaches a 2
	for _ in 1 2 3; do
		cycle a
		goes_on a
		grows "$BATS_TEST_TMPDIR/out/trace"
	done
	expect 0 cryopod container checkpoint --leave-running a
	goes_on a
	grows "$BATS_TEST_TMPDIR/out/trace"
	[ "$(grep -c '???' "$BATS_TEST_TMPDIR/out/trace")" = 0 ]
}

# says LINE...: to gdb.
says() { printf '%s\n' "$@" >&9; }
told() { wait_for 20 grep -q -- "$1" "$BATS_TEST_TMPDIR/told"; }

# again: gdb and its program are dumped and restored.
again() {
	local dir
	dir=$(mktemp -d "$BATS_TEST_TMPDIR/images.XXXXXX")
	expect 0 "$CRYO" dump -t "$(cat "$BATS_TEST_TMPDIR/tree")" -D "$dir"
	expect 0 "$CRYO" restore -d -D "$dir"
}

@test "gdb at a breakpoint, at a watchpoint, and while its program runs" {
	[ -x /usr/bin/gdb ] || skip "there is no gdb"
	cd "$BATS_TEST_TMPDIR"
	cat >inferior.c <<-'END'
	#include <pthread.h>
	#include <unistd.h>
	volatile int n;
	int next(int x) { return x + 1; }
	void *waits(void *arg) { for (;;) usleep(10000); }
	int main(void)
	{
		pthread_t t;
		pthread_create(&t, 0, waits, 0);
		for (;;) { n = next(n); usleep(1000); }
	}
	END
	gcc -g -O0 -pthread -o inferior inferior.c
	mkfifo ask
	exec 9<>ask
	setsid gdb -q -nx -iex 'set debuginfod enabled off' -iex 'set pagination off' -iex 'set confirm off' \
		./inferior <ask >told 2>&1 9>&- 3>&- &
	echo $! >tree
	says 'break next if x == 20' run
	told 'Breakpoint 1, next (x=20)'
	says stepi 'printf "at %d\n", n'
	told 'at 20'
	again
	says 'printf "n is %d\n", n' 'delete 1' 'watch n' continue
	told 'n is 20'
	told 'New value = 21'
	again
	says continue
	told 'New value = 22'
	says 'delete 2' 'break next if x == 1500' continue
	told 'Breakpoint 3 at'
	again
	told 'Breakpoint 3, next (x=1500)'
	says 'info threads' kill quit
	told 'killed'
	exec 9>&-
}
