/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs and who traces them, both of them dumped: in its own code, in a system call, in each
 * kind of stop that can be led into again, of which the tracer has been told or not, attached to by
 * PTRACE_SEIZE or by PTRACE_TRACEME.  Afterwards the tracer finds registers, siginfo_t, mask and
 * what is to be told as they were, no other stop, no SIGCHLD, and goes on with it.
 */
#include "cr.h"

#include <elf.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

enum kind {
	RUNS,
	WAITS,
	IN_CALL,
	ENTRY,
	EXIT,
	SIGNAL,
	SLEEP,
	BREAK,
	WATCH,
	STEP,
	INTERRUPT,
	KINDS
};
static const char *const names[] = {"running",	  "waiting", "in a call",  "entry",
				    "exit",	  "signal",  "sleep",	   "breakpoint",
				    "watchpoint", "step",    "interrupted"};

#define OPTIONS                                                                                    \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)
#define VALUE	 4711
#define SLEEP_NS 300000000

struct shared {
	volatile unsigned long count;
	volatile int handled, errors;
	volatile long result;
	volatile uint64_t slept;
	volatile uint64_t watched;
};

struct stop {
	struct user_regs_struct regs;
	siginfo_t si;
	uint64_t mask;
	unsigned long message;
};

static struct shared *sh;
static const char *what;
static int wait_fd[2];

#define told_that(cond, ...)                                                                       \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			char why_[200], text_[400];                                                \
			int errno_ = errno;                                                        \
			snprintf(why_, sizeof(why_), __VA_ARGS__);                                 \
			snprintf(text_, sizeof(text_), "%s: errno %d: %s", what, errno_, why_);    \
			fail_at(__FILE__, __LINE__, #cond, "%s", text_, NULL);                     \
		}                                                                                  \
	} while (0)
#define must(cond) told_that(cond, "%s", "")

static void on_signal(int sig, siginfo_t *si, void *arg)
{
	sh->handled = si->si_value.sival_int;
}

static void program(enum kind k, bool seized)
{
	struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	struct timespec ts = {.tv_nsec = SLEEP_NS};
	sigset_t set;
	uint64_t at;
	char c;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_SETMASK, &set, NULL);
	sigaction(SIGUSR1, &act, NULL);
	if (!seized && ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
		_exit(4);
	syscall(SYS_tgkill, getpid(), gettid(), SIGSTOP);
	switch (k) {
	case RUNS:
		for (;;)
			sh->count++;
	case WAITS:
		sh->result = read(wait_fd[0], &c, 1);
		if (fork() == 0)
			_exit(0);
		break;
	case SLEEP:
		at = clock_ns(CLOCK_MONOTONIC);
		sh->result = syscall(SYS_nanosleep, &ts, NULL);
		sh->slept = clock_ns(CLOCK_MONOTONIC) - at;
		break;
	case IN_CALL:
		sh->result = syscall(SYS_read, wait_fd[0], &c, 1);
		break;
	case ENTRY:
	case EXIT:
		sh->result = syscall(SYS_getppid);
		break;
	case BREAK:
		__asm__ volatile("int3");
		break;
	case WATCH:
		raise(SIGUSR1);
		sh->watched++;
		sh->watched++;
		break;
	default:
		raise(SIGUSR1);
	}
	sh->count++;
	for (;;)
		pause();
}

static char state_of(pid_t pid)
{
	char path[64], text[512], *at;
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	told_that(f != NULL, "%s", path);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = 0;
	at = strrchr(text, ')');
	return at ? at[2] : '?';
}

static void await_state(pid_t pid, char state)
{
	while (state_of(pid) != state)
		usleep(1000);
}

static int await_stop(pid_t pid)
{
	int status;

	must(waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status));
	return status >> 8;
}

static void go(pid_t pid, int how, int sig)
{
	must(ptrace(how, pid, 0, sig) == 0);
}

/* Goes from its first stop to where it is to be dumped; the last stop is left to be told. */
static void lead(enum kind k, pid_t pid, bool seized)
{
	union sigval v = {.sival_int = VALUE};
	int how = k == IN_CALL || k == ENTRY || k == EXIT ? PTRACE_SYSCALL : PTRACE_CONT;

	if (seized) {
		must(waitpid(pid, NULL, WUNTRACED) == pid);
		must(ptrace(PTRACE_SEIZE, pid, 0, OPTIONS) == 0 && kill(pid, SIGCONT) == 0);
		/* the end of the stop, and SIGCONT */
		while (await_stop(pid) != SIGCONT)
			go(pid, PTRACE_CONT, 0);
	} else {
		must(await_stop(pid) == SIGSTOP);
		must(ptrace(PTRACE_SETOPTIONS, pid, 0, OPTIONS) == 0);
	}
	go(pid, how, 0);
	if (k == IN_CALL || k == EXIT) {
		must(await_stop(pid) == (SIGTRAP | 0x80));
		go(pid, PTRACE_SYSCALL, 0);
	}
	if (k == RUNS)
		while (sh->count == 0)
			usleep(1000);
	if (k == WAITS || k == SLEEP || k == IN_CALL)
		await_state(pid, 'S');
	if (k == WATCH) {
		size_t dr = offsetof(struct user, u_debugreg);

		must(await_stop(pid) == SIGUSR1);
		must(ptrace(PTRACE_POKEUSER, pid, dr, &sh->watched) == 0 &&
		     ptrace(PTRACE_POKEUSER, pid, dr + 7 * 8, 1 | 1 << 16 | 3 << 18) == 0);
		go(pid, PTRACE_CONT, 0);
	}
	if (k == SIGNAL) {
		must(await_stop(pid) == SIGUSR1);
		go(pid, PTRACE_CONT, 0);
		await_state(pid, 'S');
		must(sigqueue(pid, SIGUSR1, v) == 0);
	}
	if (k == SLEEP)
		must(kill(pid, SIGINT) == 0);
	if (k == STEP) {
		must(await_stop(pid) == SIGUSR1);
		go(pid, PTRACE_SINGLESTEP, 0);
	}
	if (k == INTERRUPT) {
		must(await_stop(pid) == SIGUSR1);
		go(pid, PTRACE_CONT, 0);
		await_state(pid, 'S');
		must(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0);
	}
	if (k > IN_CALL)
		await_state(pid, 't');
}

static void look(pid_t pid, struct stop *s)
{
	struct iovec v = {&s->regs, sizeof(s->regs)};

	memset(&s->si, 0, sizeof(s->si));
	must(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v) == 0);
	must(ptrace(PTRACE_GETSIGINFO, pid, 0, &s->si) == 0);
	must(ptrace(PTRACE_GETEVENTMSG, pid, 0, &s->message) == 0);
	must(ptrace((enum __ptrace_request)0x420a, pid, 8, &s->mask) == 0);
}

static void same(const struct stop *a, const struct stop *b)
{
	told_that(memcmp(&a->regs, &b->regs, sizeof(a->regs)) == 0,
		  "rip %#llx, was %#llx; rax %lld, was %lld; orig_rax %lld, was %lld", b->regs.rip,
		  a->regs.rip, (long long)b->regs.rax, (long long)a->regs.rax,
		  (long long)b->regs.orig_rax, (long long)a->regs.orig_rax);
	told_that(memcmp(&a->si, &b->si, sizeof(a->si)) == 0,
		  "signal %d, was %d; code %#x, was %#x", b->si.si_signo, a->si.si_signo,
		  b->si.si_code, a->si.si_code);
	told_that(a->message == b->message, "%lu, was %lu", b->message, a->message);
	told_that(a->mask == b->mask, "%#lx, was %#lx", b->mask, a->mask);
}

static void await_count(unsigned long n)
{
	while (sh->count < n)
		usleep(1000);
}

static bool has_stopped(pid_t pid)
{
	siginfo_t si = {0};

	must(waitid(P_PID, (id_t)pid, &si, WSTOPPED | WNOHANG | WNOWAIT | __WALL) == 0);
	return si.si_pid == pid;
}

static void goes_on(enum kind k, pid_t pid)
{
	struct __ptrace_syscall_info si = {0};

	switch (k) {
	case RUNS:
		await_count(sh->count + 1);
		must(kill(pid, SIGUSR2) == 0 && kill(pid, SIGINT) == 0);
		must(await_stop(pid) == SIGINT);
		break;
	case WAITS:
		must(write(wait_fd[1], "x", 1) == 1);
		must(await_stop(pid) == (SIGTRAP | PTRACE_EVENT_FORK << 8)); /* OPTIONS */
		go(pid, PTRACE_CONT, 0);
		await_count(1);
		told_that(sh->result == 1, "%ld", sh->result);
		break;
	case IN_CALL:
		must(write(wait_fd[1], "x", 1) == 1);
		must(await_stop(pid) == (SIGTRAP | 0x80));
		must(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(si), &si) > 0);
		told_that(si.op == PTRACE_SYSCALL_INFO_EXIT && si.exit.rval == 1, "%d, %ld", si.op,
			  (long)si.exit.rval);
		go(pid, PTRACE_CONT, 0);
		await_count(1);
		break;
	case ENTRY:
		go(pid, PTRACE_SYSCALL, 0);
		must(await_stop(pid) == (SIGTRAP | 0x80));
		must(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(si), &si) > 0);
		told_that(si.op == PTRACE_SYSCALL_INFO_EXIT, "%d", si.op);
		/* fallthrough */
	case EXIT:
		go(pid, PTRACE_CONT, 0);
		await_count(1);
		told_that(sh->result == getpid(), "%ld", sh->result);
		break;
	case SIGNAL:
		go(pid, PTRACE_CONT, SIGUSR1);
		while (!sh->handled)
			usleep(1000);
		told_that(sh->handled == VALUE, "%d", sh->handled);
		break;
	case SLEEP:
		go(pid, PTRACE_CONT, 0);
		await_count(1);
		told_that(sh->result == 0 && sh->slept >= SLEEP_NS, "%ld, %lu ns", sh->result,
			  (unsigned long)sh->slept);
		break;
	case WATCH: /* it is written once more */
		go(pid, PTRACE_CONT, 0);
		must(await_stop(pid) == SIGTRAP);
		told_that(sh->watched == 2, "%lu", (unsigned long)sh->watched);
		/* fallthrough */
	case BREAK:
	case INTERRUPT:
		go(pid, PTRACE_CONT, 0);
		await_count(k == INTERRUPT ? 0 : 1);
		break;
	case STEP:
		go(pid, PTRACE_SINGLESTEP, 0);
		must(await_stop(pid) == SIGTRAP);
		go(pid, PTRACE_CONT, 0);
		await_count(1);
		break;
	case KINDS:
		break;
	}
}

static void tracer(enum kind k, bool seized, bool told, int from, int to)
{
	struct stop before = {0}, after = {0};
	bool stands = k > IN_CALL;
	char c = 'r';
	sigset_t set, pending;
	pid_t pid;

	check(pipe(wait_fd) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pid = fork();
	if (pid == 0) {
		program(k, seized);
		_exit(0);
	}
	lead(k, pid, seized);
	if (stands && told)
		await_stop(pid);
	if (stands)
		look(pid, &before);
	sigtimedwait(&set, NULL, &(struct timespec){0});
	must(write(to, &c, 1) == 1);
	must(read(from, &c, 1) == 1);
	sigpending(&pending);
	told_that(!sigismember(&pending, SIGCHLD), "a SIGCHLD of nobody's");
	must(has_stopped(pid) == (stands && !told));
	if (stands && !told)
		await_stop(pid);
	if (stands) {
		look(pid, &after);
		if (k == SLEEP) /* what it waits for may be over */
			after.regs.rax = before.regs.rax;
		same(&before, &after);
	}
	goes_on(k, pid);
	must(kill(pid, SIGKILL) == 0);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct child v[KINDS * 4];
	unsigned n = 0;

	if (argc < 2 && access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		skip("the kernel does not describe itself");
	for (int i = 0; i < KINDS * 4; i++) {
		enum kind k = (enum kind)(i / 4);
		bool seized = i & 1, told = i & 2;
		int to[2], from[2];
		char c;

		if ((k <= IN_CALL && !told) || (k == INTERRUPT && !seized) ||
		    (argc > 1 && atoi(argv[1]) != i))
			continue;
		sh = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		what = names[k];
		check(sh != MAP_FAILED && pipe(to) == 0 && pipe(from) == 0);
		v[n].pid = fork();
		if (v[n].pid == 0)
			tracer(k, seized, told, to[0], from[1]);
		v[n].to = to[1];
		check(read(from[0], &c, 1) == 1, "%s", what);
		n++;
	}

	ready();

	for (unsigned i = 0; i < n; i++)
		child_go(&v[i]);
	return ok();
}
