/* SPDX-License-Identifier: Apache-2.0 */
/* Limits that are lower than what there is already. */
#include "cr.h"

#include <sys/resource.h>

#define PENDING 50
#define LOCKED	(1 << 20)
#define MEMORY	(8 << 20)
#define GHOST	100000
#define HIGH_FD 300
#define QUEUED	(SIGRTMIN + 5)

static const struct {
	int which;
	rlim_t limit;
} limits[] = {
	{RLIMIT_AS, 1 << 20},	{RLIMIT_DATA, 1 << 16}, {RLIMIT_STACK, 4096},
	{RLIMIT_MEMLOCK, 4096}, {RLIMIT_FSIZE, 1},	{RLIMIT_NOFILE, 4},
	{RLIMIT_SIGPENDING, 3}, {RLIMIT_MSGQUEUE, 0},	{RLIMIT_NPROC, 1},
	{RLIMIT_CORE, 0},
};

int main(void)
{
	char *memory =
		mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *text = malloc(GHOST), name[] = "/tmp/lowlimitsXXXXXX";
	int ghost = mkstemp(name), n = 0;
	timer_t timers[PENDING];
	struct rlimit l;
	struct stat st;
	sigset_t set;

	check(memory != MAP_FAILED && text && ghost >= 0 && unlink(name) == 0);
	memset(memory, 7, MEMORY);
	memset(text, 'g', GHOST);
	check(mlock(memory, LOCKED) == 0 || errno == EPERM || errno == ENOMEM, "errno %d", errno);
	check(write(ghost, text, GHOST) == GHOST && fcntl(ghost, F_DUPFD, HIGH_FD) >= HIGH_FD);
	sigemptyset(&set);
	sigaddset(&set, QUEUED);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < PENDING; i++) {
		struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};

		check(sigqueue(getpid(), QUEUED, (union sigval){.sival_int = i}) == 0);
		check(timer_create(CLOCK_MONOTONIC, &e, &timers[i]) == 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		l = (struct rlimit){limits[i].limit, limits[i].limit};
		if (limits[i].which ==
		    RLIMIT_AS) /* beyond a hard one only CAP_SYS_RESOURCE helps */
			l.rlim_max = RLIM_INFINITY;
		check(setrlimit(limits[i].which, &l) == 0, "limit %d", limits[i].which);
	}
	ready();
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		check(getrlimit(limits[i].which, &l) == 0);
		check(l.rlim_cur == limits[i].limit, "limit %d: %lu", limits[i].which,
		      (unsigned long)l.rlim_cur);
	}
	for (int i = 0; i < MEMORY; i += 4096)
		check(memory[i] == 7, "memory at %d", i);
	check(fstat(ghost, &st) == 0 && st.st_size == GHOST && fcntl(HIGH_FD, F_GETFD) >= 0);
	for (siginfo_t si; sigtimedwait(&set, &si, &(struct timespec){0}) == QUEUED; n++)
		check(si.si_value.sival_int == n, "%d is not %d", si.si_value.sival_int, n);
	check(n == PENDING, "%d of %d signals", n, PENDING);
	for (int i = 0; i < PENDING; i++)
		check(timer_delete(timers[i]) == 0, "timer %d", i);
	return ok();
}
