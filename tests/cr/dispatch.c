/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that threads and processes have dispatched to themselves (PR_SET_SYSCALL_USER_
 * DISPATCH): with a range of code and without, with a selector and without, saying "allow" and
 * "block", in a call, in none, and in the handler of SIGSYS.
 */
#include "cr.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <ucontext.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
#define OFF	     0
#define EXCLUSIVE    1
#define INCLUSIVE    2 /* Linux 6.16 */
#define ALLOW	     0
#define BLOCK	     1
#define EMULATED     4711
#define SA_RESTORER_ 0x04000000

/* Code that may, code that is dispatched; the linker names their bounds. */
extern char __start_allowed[], __stop_allowed[], __start_dispatched[], __stop_dispatched[];

__asm__(".pushsection allowed, \"ax\", @progbits\n"
	"restorer: mov $15, %eax\n"
	"syscall\n"
	".popsection\n");
void restorer(void);

#define SYSCALL(nr, a, b, c, d, e)                                                                 \
	({                                                                                         \
		register long r10 __asm__("r10") = (long)(d);                                      \
		register long r8 __asm__("r8") = (long)(e);                                        \
		long ret_;                                                                         \
                                                                                                   \
		__asm__ volatile("syscall"                                                         \
				 : "=a"(ret_)                                                      \
				 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)              \
				 : "rcx", "r11", "memory");                                        \
		ret_;                                                                              \
	})

__attribute__((section("allowed"), noinline)) static long may(long nr, long a, long b, long c)
{
	return SYSCALL(nr, a, b, c, 0, 0);
}

__attribute__((section("dispatched"), noinline)) static long parent(void)
{
	return SYSCALL(SYS_getppid, 0, 0, 0, 0, 0);
}

enum wait {
	IN_A_CALL,
	IN_NONE,
	IN_THE_HANDLER,
};

struct dispatching {
	int mode;
	bool range, library, selector, blocks; /* all of the C library may */
	enum wait wait;
	bool in_a_child;
	int pipe[2];
	volatile bool ready, go, before, kept, after, none;
};

static __thread volatile char selector;
static __thread struct dispatching *volatile waits_in_handler;

static void wait_for(struct dispatching *d)
{
	char c;

	d->ready = true;
	if (d->wait == IN_NONE)
		while (!d->go)
			__builtin_ia32_pause();
	else
		while ((d->library ? read(d->pipe[0], &c, 1)
				   : may(SYS_read, d->pipe[0], (long)&c, 1)) != 1)
			;
}

static void on_sys(int sig, siginfo_t *si, void *context)
{
	selector = ALLOW;
	if (waits_in_handler)
		wait_for(waits_in_handler);
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = EMULATED;
}

static bool is_dispatched(void)
{
	long r;

	selector = BLOCK;
	r = parent();
	selector = ALLOW;
	return r == EMULATED;
}

/* Where its code is mapped. */
static void find_library(char **from, char **to)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	void *a, *b;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%p-%p", &a, &b) == 2 && a <= (void *)read && b > (void *)read) {
			*from = a;
			*to = b;
		}
	fclose(f);
}

static int dispatch(const struct dispatching *d)
{
	struct sigaction action = {.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO | SA_NODEFER};
	char *from = d->mode == INCLUSIVE ? __start_dispatched : __start_allowed;
	char *to = d->mode == INCLUSIVE ? __stop_dispatched : __stop_allowed;

	if (d->library) {
		find_library(&from, &to);
		sigaction(SIGSYS, &action, NULL); /* with the library's restorer */
	}
	return prctl(PR_SET_SYSCALL_USER_DISPATCH, d->mode, d->range ? from : 0,
		     d->range ? to - from : 0, d->selector ? &selector : NULL);
}

static void *work(void *arg)
{
	struct dispatching *d = arg;

	if (dispatch(d) != 0) {
		d->none = d->ready = true;
		return NULL;
	}
	d->before = is_dispatched();
	selector = d->blocks ? BLOCK : ALLOW;
	if (d->wait == IN_THE_HANDLER) {
		waits_in_handler = d;
		d->kept = parent() == EMULATED;
		waits_in_handler = NULL;
	} else {
		wait_for(d);
		d->kept = !d->blocks || parent() == EMULATED;
	}
	d->after = is_dispatched();
	if (d->library)
		prctl(PR_SET_SYSCALL_USER_DISPATCH, OFF, 0, 0, 0);
	else
		may(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, OFF, 0);
	return NULL;
}

static bool is_right(const struct dispatching *d)
{
	return d->none || (d->before && d->kept && d->after);
}

static pid_t fork_work(struct dispatching *d)
{
	pid_t pid = fork();

	check(pid >= 0);
	if (pid > 0)
		return pid;
	if (is_dispatched()) /* children do not inherit it */
		_exit(2);
	work(d);
	_exit(!is_right(d));
}

static const struct dispatching kinds[] = {
	{EXCLUSIVE, .selector = true, .wait = IN_A_CALL},
	{EXCLUSIVE, .selector = true, .blocks = true, .wait = IN_NONE},
	{EXCLUSIVE, .selector = true, .blocks = true, .wait = IN_THE_HANDLER},
	{EXCLUSIVE, .range = true, .wait = IN_A_CALL},
	{EXCLUSIVE, .range = true, .selector = true, .blocks = true, .wait = IN_A_CALL},
	{INCLUSIVE, .range = true, .wait = IN_A_CALL},
	{INCLUSIVE, .range = true, .selector = true, .blocks = true, .wait = IN_A_CALL},
	{EXCLUSIVE, .range = true, .wait = IN_A_CALL, .in_a_child = true},
	{EXCLUSIVE, .range = true, .library = true, .wait = IN_A_CALL, .in_a_child = true},
	{EXCLUSIVE, .selector = true, .blocks = true, .wait = IN_NONE, .in_a_child = true},
	{EXCLUSIVE, .selector = true, .blocks = true, .wait = IN_THE_HANDLER, .in_a_child = true},
};

int main(void)
{
	struct {
		void (*handler)(int, siginfo_t *, void *);
		unsigned long flags;
		void (*restorer)(void);
		unsigned long mask;
	} action = {on_sys, SA_SIGINFO | SA_RESTORER_ | SA_NODEFER, restorer, 0};
	const struct dispatching own = {EXCLUSIVE, .selector = true};
	struct dispatching *d = mmap(NULL, sizeof(kinds), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_t threads[ARRAY_SIZE(kinds)];
	pid_t pids[ARRAY_SIZE(kinds)];

	check(d != MAP_FAILED);
	memcpy(d, kinds, sizeof(kinds));
	check(syscall(SYS_rt_sigaction, SIGSYS, &action, NULL, 8) == 0);
	if (dispatch(&own) != 0)
		skip("the kernel has no dispatch of system calls");
	check(is_dispatched());
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		check(pipe(d[i].pipe) == 0);
		if (d[i].in_a_child)
			pids[i] = fork_work(&d[i]);
		else
			check(pthread_create(&threads[i], NULL, work, &d[i]) == 0);
		while (!d[i].ready)
			usleep(1000);
	}
	ready();
	check(is_dispatched(), "no longer");
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		int status = 0;

		d[i].go = true;
		check(write(d[i].pipe[1], "g", 1) == 1);
		if (d[i].in_a_child)
			check(waitpid(pids[i], &status, 0) == pids[i]);
		else
			check(pthread_join(threads[i], NULL) == 0);
		check(is_right(&d[i]) && status == 0, "%u: before %d kept %d after %d status %#x",
		      i, d[i].before, d[i].kept, d[i].after, status);
	}
	return ok();
}
