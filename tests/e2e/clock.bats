# SPDX-License-Identifier: Apache-2.0
# The clocks that start at boot, after a checkpoint on a machine that has run for longer.

load ../lib/helpers
setup_file() { engine_setup; }
teardown_file() { engine_teardown; }

# A machine that was started DAYS earlier is one of another time namespace.
earlier() {
	local seconds=$(($1 * 86400))
	shift
	unshare --time --monotonic "$seconds" --boottime "$seconds" --fork "$REPO/tests/lib/here" "$@"
}

# When a process was started is told in the reader's clock (proc(5)), so each machine's containers
# are looked at from that machine.

@test "uptime goes on where it was, for what is restored and for exec" {
	earlier 30 run -d --name clock --network none $IMAGE \
		sh -c 'while :; do cut -d. -f1 /proc/uptime; sleep 0.1; done'
	wait_for 10 sh -c "[ \"\$('$REPO/tests/lib/here' logs clock | wc -l)\" -gt 2 ]"
	[ "$(cryopod logs clock | head -n 1)" -ge $((30 * 86400)) ]
	earlier 30 container checkpoint clock
	last=$(cryopod logs --tail 1 clock)
	cryopod container restore clock
	lines=$(cryopod logs clock | wc -l)
	wait_for 10 sh -c "[ \"\$('$REPO/tests/lib/here' logs clock | wc -l)\" -gt $((lines + 3)) ]"
	# Never back, and no jump of days.
	cryopod logs clock | awk 'NR > 1 && ($1 < before || $1 > before + 60) { print "from", before, "to", $1; bad = 1 } { before = $1 } END { exit bad }'
	now=$(cryopod exec clock cut -d. -f1 /proc/uptime)
	[ "$now" -ge "$last" ] && [ "$now" -lt $((last + 60)) ]
	# And once more, from a machine where the clock is ahead.
	cryopod container checkpoint clock
	last=$(cryopod logs --tail 1 clock)
	earlier 90 container restore clock
	now=$(earlier 90 exec clock cut -d. -f1 /proc/uptime)
	[ "$now" -ge "$last" ] && [ "$now" -lt $((last + 60)) ]
	earlier 90 rm -f -t 0 clock
}

@test "timers without an interval that fire while their process is being saved are not lost" {
	local dir=$BATS_TEST_TMPDIR l n
	cc -static -pthread -x c -o "$dir/timers" - <<-'END'
	#define _GNU_SOURCE
	#include <pthread.h>
	#include <signal.h>
	#include <string.h>
	#include <sys/syscall.h>
	#include <sys/time.h>
	#include <time.h>
	#include <unistd.h>
	#ifndef sigev_notify_thread_id
	#define sigev_notify_thread_id _sigev_un._tid
	#endif
	static timer_t process, thread;
	static void arm(timer_t t)
	{
		struct itimerspec v = {.it_value.tv_nsec = 300000000};
		timer_settime(t, 0, &v, NULL);
	}
	static void fired(int sig)
	{
		struct itimerval v = {.it_value.tv_usec = 300000};
		if (sig == SIGALRM)
			setitimer(ITIMER_REAL, &v, NULL);
		else
			arm(sig == SIGRTMIN ? process : thread);
		write(1, sig == SIGALRM ? "real\n" : sig == SIGRTMIN ? "process\n" : "thread\n",
		      sig == SIGALRM ? 5 : sig == SIGRTMIN ? 8 : 7);
	}
	static void *second(void *arg)
	{
		struct sigevent e = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 1};
		e.sigev_notify_thread_id = syscall(SYS_gettid);
		timer_create(CLOCK_MONOTONIC, &e, &thread);
		arm(thread);
		for (;;)
			pause();
	}
	int main(void)
	{
		struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
		struct sigaction a = {.sa_handler = fired};
		pthread_t t;
		sigfillset(&a.sa_mask);
		sigaction(SIGALRM, &a, NULL);
		sigaction(SIGRTMIN, &a, NULL);
		sigaction(SIGRTMIN + 1, &a, NULL);
		timer_create(CLOCK_MONOTONIC, &e, &process);
		pthread_create(&t, NULL, second, NULL);
		arm(process);
		fired(SIGALRM);
		for (;;)
			pause();
	}
	END
	cryopod run -d --name once --network none -v "$dir:/p:ro" $IMAGE /p/timers >/dev/null
	has() { [ "$(cryopod logs once | grep -c "^$1$")" -gt "$2" ]; }
	for l in real process thread; do wait_for 30 has $l 1; done
	for _ in 1 2; do
		# longer than any of them has left
		CRYOPOD_BIN=$REPO/build/cryopod-faults CRYO_FAULT=dump:agent:run CRYO_FAULT_RUN='sleep 1' \
			"$CP" container checkpoint once
		n=$(cryopod logs once)
		cryopod container restore once
		for l in real process thread; do wait_for 30 has $l "$(grep -c "^$l$" <<<"$n")"; done
	done
}
