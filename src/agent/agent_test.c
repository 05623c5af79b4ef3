/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_test.h"

#include "base/file.h"
#include "base/interrupt.h"

#include <immintrin.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define SETTLE_MS 5000

static struct seized hold(pid_t pid)
{
	struct seized s = SEIZED_NONE;

	if (seize_begin(pid, 0, &s) != 0 || seize_settle(&s, SETTLE_MS) != 0)
		fail_msg("target %d cannot be held: %s", pid, err_message());
	return s;
}

static void run_hundred(struct agent *a, unsigned slot)
{
	CLEANUP(batch_end) struct batch b = {0};
	int first = 0;

	batch_begin(&b, a, slot);
	for (int i = 0; i < 100; i++) {
		int id = batch_add(&b, SYS_getppid);

		if (i == 0)
			first = id;
		batch_expect(&b, id, getpid());
	}
	must(batch_run(&b));
	assert_int_equal(batch_result(&b, first), getpid());
}

/* In, a hundred calls in every thread, out. */
static void visit(pid_t pid)
{
	CLEANUP(seized_release) struct seized s = hold(pid);
	CLEANUP(agent_free) struct agent *a = NULL;

	must(agent_inject(&s, NULL, NULL, &a));
	assert_false(a->hurried);
	assert_false(a->quiet);
	for (unsigned i = 0; i < s.threads->len; i++)
		run_hundred(a, agent_thread_slot(a, i));
	must(agent_cure(a));
}

static char *slurp(pid_t pid, const char *name)
{
	char path[64];
	char *text;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	must(file_read_at(AT_FDCWD, path, 1 << 20, &text, NULL));
	return text;
}

static int count_fds(pid_t pid)
{
	char path[64];
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	{
		g_autoptr(GDir) d = g_dir_open(path, 0, NULL);

		while (g_dir_read_name(d))
			n++;
	}
	return n;
}

/* Spins with live vector registers, checking them all the time, until told to stop. */
__attribute__((target("avx2"))) static int spin_with_vectors(int say, int ask)
{
	volatile int rounds = 0;
	__m256i a = _mm256_set1_epi32(0x5a5a1234), b = _mm256_set1_epi64x(0x1122334455667788);
	struct pollfd p = {.fd = ask, .events = POLLIN};

	if (write(say, "r", 1) != 1)
		return 9;
	for (;;) {
		__asm__ volatile("" : "+x"(a), "+x"(b));
		for (unsigned i = 0; i < 20000; i++) {
			__m256i x = a, y = b;

			__asm__ volatile("vmovdqa %0, %%ymm9\n\tvmovdqa %1, %%ymm10\n\t"
					 "pause\n\tpause\n\tpause\n\tpause\n\t"
					 "vpcmpeqd %%ymm9, %0, %%ymm9\n\t"
					 "vpand %%ymm10, %%ymm10, %1\n\t"
					 "vpmovmskb %%ymm9, %%eax\n\t"
					 "cmp $-1, %%eax\n\tje 1f\n\tud2\n1:"
					 : "+x"(x), "+x"(y)
					 :
					 : "eax", "cc", "ymm9", "ymm10");
			if (_mm256_movemask_epi8(_mm256_cmpeq_epi64(y, b)) != -1)
				return 2;
		}
		rounds++;
		if (poll(&p, 1, 0) == 1)
			return rounds > 0 ? 0 : 3;
	}
}

static void test_state_is_kept(void **state)
{
	struct target t = target_start(spin_with_vectors);
	g_autofree char *maps = NULL, *maps2 = NULL;
	int fds;

	target_expect(&t, 'r');
	maps = slurp(t.pid, "maps");
	fds = count_fds(t.pid);
	for (int i = 0; i < 20; i++) {
		CLEANUP(seized_release) struct seized before = hold(t.pid);
		CLEANUP(agent_free) struct agent *a = NULL;
		struct seized_thread *x, y = {0};

		must(agent_inject(&before, NULL, NULL, &a));
		run_hundred(a, 0);
		must(agent_cure(a));
		x = seized_at(&before, 0);
		must(ptrace_get_regs(t.pid, &y.regs));
		must(ptrace_get_xstate(t.pid, &y.xstate));
		must(ptrace_get_sigmask(t.pid, &y.sigmask));
		regs_leave(&x->regs, REGS_CURE);
		assert_memory_equal(&x->regs, &y.regs, sizeof(x->regs));
		assert_int_equal(x->xstate.len, y.xstate.len);
		assert_memory_equal(x->xstate.data, y.xstate.data, x->xstate.len);
		assert_int_equal(x->sigmask, y.sigmask);
		xstate_clear(&y.xstate);
	}
	maps2 = slurp(t.pid, "maps");
	assert_string_equal(maps, maps2);
	assert_int_equal(fds, count_fds(t.pid));
	target_tell(&t, 'q');
	assert_left_with(&t, 0);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int on_time(uint64_t t0, uint64_t ms)
{
	uint64_t took = now_ms() - t0;

	return took >= ms && took < ms + 150 ? 0 : 7;
}

static int sleeps(int say, int ask)
{
	struct timespec ts = {.tv_nsec = 400000000}, rest;
	uint64_t t0 = now_ms();

	if (write(say, "r", 1) != 1 || syscall(SYS_nanosleep, &ts, &rest) != 0)
		return 1;
	return on_time(t0, 400);
}

static int polls(int say, int ask)
{
	struct pollfd p = {.fd = ask, .events = POLLIN};
	uint64_t t0 = now_ms();

	if (write(say, "r", 1) != 1 || syscall(SYS_poll, &p, 1, 400) != 0)
		return 1;
	return on_time(t0, 400);
}

static int waits_for_futex(int say, int ask)
{
	struct timespec ts = {.tv_nsec = 400000000};
	uint32_t word = 1;
	uint64_t t0 = now_ms();

	if (write(say, "r", 1) != 1 ||
	    syscall(SYS_futex, &word, FUTEX_WAIT, 1, &ts, NULL, 0) != -1 || errno != ETIMEDOUT)
		return 1;
	return on_time(t0, 400);
}

static void test_waiting_calls_go_on(void **state)
{
	static const struct {
		target_fn *fn;
		long nr;
	} cases[] = {{sleeps, SYS_nanosleep},
		     {polls, SYS_poll},
		     {waits_for_futex, SYS_futex},
		     {reads, SYS_read}};
	struct target t[ARRAY_SIZE(cases)];

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		t[i] = target_start(cases[i].fn);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		target_expect(&t[i], 'r');
		target_wait_in(&t[i], cases[i].nr);
	}
	for (unsigned i = 0; i < 3 * ARRAY_SIZE(cases); i++)
		visit(t[i % ARRAY_SIZE(cases)].pid);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		if (cases[i].nr == SYS_read)
			target_tell(&t[i], 'x');
		assert_left_with(&t[i], 0);
	}
}

static volatile sig_atomic_t terms, stack_ok;
static char alternate[64 * 1024];

static void on_term(int sig)
{
	char here;

	terms++;
	stack_ok += &here >= alternate && &here < alternate + sizeof(alternate);
}

static int counts_terms(int say, int ask)
{
	stack_t ss = {.ss_sp = alternate, .ss_size = sizeof(alternate)}, now;
	struct sigaction sa = {.sa_handler = on_term, .sa_flags = SA_ONSTACK | SA_RESTART};
	sigset_t mask, mask2;
	char c;

	sigaction(SIGTERM, &sa, NULL);
	sigaltstack(&ss, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (write(say, "r", 1) != 1 || read(ask, &c, 1) != 1)
		return 1;
	sigprocmask(SIG_SETMASK, NULL, &mask2);
	sigaltstack(NULL, &now);
	if (memcmp(&mask, &mask2, 8) || now.ss_sp != ss.ss_sp || now.ss_size != ss.ss_size ||
	    now.ss_flags)
		return 2;
	return terms == 1 && stack_ok == 1 ? 0 : 3;
}

static void test_signals_wait(void **state)
{
	struct target t = target_start(counts_terms);

	target_expect(&t, 'r');
	target_wait_in(&t, SYS_read);
	{
		CLEANUP(seized_release) struct seized s = hold(t.pid);
		CLEANUP(agent_free) struct agent *a = NULL;
		g_autoptr(GArray) queued = g_array_new(FALSE, FALSE, sizeof(siginfo_t));

		must(agent_inject(&s, NULL, NULL, &a));
		assert_int_equal(kill(t.pid, SIGTERM), 0);
		run_hundred(a, 0);
		must(agent_cure(a));
		must(ptrace_peek_signals(t.pid, true, queued));
		assert_int_equal(queued->len, 1);
		assert_int_equal(g_array_index(queued, siginfo_t, 0).si_signo, SIGTERM);
	}
	target_tell(&t, 'x');
	assert_left_with(&t, 0);
}

static char proc_state(pid_t pid)
{
	g_autofree char *text = slurp(pid, "stat");

	return strrchr(text, ')')[2];
}

static void test_stopped_target(void **state)
{
	struct target t = target_start(reads);
	int status;

	target_expect(&t, 'r');
	assert_int_equal(kill(t.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(t.pid, &status, WUNTRACED), t.pid);
	visit(t.pid);
	for (int i = 0; i < 2000 && proc_state(t.pid) != 'T'; i++)
		usleep(1000); /* it stops by itself, when it gets a CPU */
	assert_int_equal(proc_state(t.pid), 'T');
	assert_int_equal(kill(t.pid, SIGCONT), 0);
	{
		/* Stopped while it is an agent: work goes on, and then it is stopped. */
		CLEANUP(seized_release) struct seized s = hold(t.pid);
		CLEANUP(agent_free) struct agent *a = NULL;

		assert_false(seized_at(&s, 0)->job_stopped);
		must(agent_inject(&s, NULL, NULL, &a));
		assert_int_equal(kill(t.pid, SIGSTOP), 0);
		run_hundred(a, 0);
		must(agent_cure(a));
	}
	assert_int_equal(waitpid(t.pid, &status, WUNTRACED), t.pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(kill(t.pid, SIGCONT), 0);
	target_tell(&t, 'x');
	assert_left_with(&t, 0);
}

static void test_seccomp(void **state)
{
	struct target t = target_start(reads_under_filter);

	target_expect(&t, 'r');
	target_wait_in(&t, SYS_read);
	for (int i = 0; i < 3; i++) {
		CLEANUP(seized_release) struct seized s = hold(t.pid);
		CLEANUP(agent_free) struct agent *a = NULL;
		g_autofree struct sock_filter *f = NULL;
		uint64_t flags;
		unsigned n;

		assert_int_equal(ptrace_get_seccomp(t.pid, 0, &f, &n, &flags), 0);
		assert_int_equal(n, 10);
		must(agent_inject(&s, NULL, NULL, &a));
		assert_true(a->quiet);
		run_hundred(a, 0);
		must(agent_cure(a));
	}
	target_tell(&t, 'x');
	assert_left_with(&t, 0);
}

static void *thread_loop(void *arg)
{
	char c;

	while (read(*(int *)arg, &c, 1) == 1 && c != 'q')
		;
	return NULL;
}

static int five_threads(int say, int ask)
{
	pthread_t t[4];
	int p[2];

	if (pipe(p))
		return 1;
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, thread_loop, &p[0]);
	if (reads(say, ask))
		return 1;
	if (write(p[1], "qqqq", 4) != 4)
		return 2;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	return 0;
}

/* Who has nothing to do does not leave its own code, and goes on from there. */
static void visit_one_thread(pid_t pid)
{
	CLEANUP(seized_release) struct seized s = hold(pid);
	CLEANUP(agent_free) struct agent *a = NULL;
	unsigned second = 1;

	must(agent_inject(&s, NULL, NULL, &a));
	second = agent_thread_slot(a, 1);
	assert_false(a->slots[0].outside);
	for (unsigned i = 1; i < s.threads->len; i++)
		assert_true(a->slots[agent_thread_slot(a, i)].outside);
	run_hundred(a, second);
	for (unsigned i = 1; i < s.threads->len; i++)
		assert_int_equal(a->slots[agent_thread_slot(a, i)].outside, i != 1);
	must(agent_cure(a));
}

static void test_threads(void **state)
{
	struct target t = target_start(five_threads);

	target_expect(&t, 'r');
	target_wait_in(&t, SYS_read);
	for (int i = 0; i < 5; i++)
		visit(t.pid);
	visit_one_thread(t.pid);
	target_tell(&t, 'x');
	assert_left_with(&t, 0);
}

static int busybox_sleeps(int say, int ask)
{
	if (write(say, "r", 1) != 1)
		return 1;
	execl("/bin/busybox", "busybox", "sleep", "1", NULL);
	return 77;
}

/* No shared library, another C library's code, another layout. */
static void test_static_target(void **state)
{
	struct target t;

	if (access("/bin/busybox", X_OK)) {
		print_message("no /bin/busybox\n");
		skip();
	}
	t = target_start(busybox_sleeps);
	target_expect(&t, 'r');
	target_wait_in(&t, SYS_clock_nanosleep);
	visit(t.pid);
	visit(t.pid);
	assert_left_with(&t, 0);
}

static int reads_without_descriptors(int say, int ask)
{
	struct rlimit none = {.rlim_cur = 4, .rlim_max = 64};

	while (dup(0) >= 0)
		if (setrlimit(RLIMIT_NOFILE, &none))
			return 9;
	return reads(say, ask);
}

static void test_full_table(void **state)
{
	struct target t = target_start(reads_without_descriptors);

	target_expect(&t, 'r');
	visit(t.pid);
	{
		CLEANUP(seized_release) struct seized s = hold(t.pid);
		CLEANUP(agent_free) struct agent *a = NULL;
		int fds = count_fds(t.pid);

		must(agent_inject(&s, NULL, NULL, &a));
		must(agent_channel(a));
		must(agent_cure(a));
		assert_int_equal(fds, count_fds(t.pid));
	}
	target_tell(&t, 'x');
	assert_left_with(&t, 0);
}

static void test_batches(void **state)
{
	struct target t = target_start(reads);
	char data[64] = "", name[16] = "";

	target_expect(&t, 'r');
	{
		CLEANUP(seized_release) struct seized s = hold(t.pid);
		CLEANUP(agent_free) struct agent *a = NULL;
		const struct agent_sizes tiny = {.big_ops = 7, .big_arena = 1024};
		CLEANUP(batch_end) struct batch b = {0}, c = {0}, d = {0};
		autoclose int file = memfd_create("x", MFD_CLOEXEC);
		struct arg fd;
		int id, map;

		must(agent_inject(&s, NULL, &tiny, &a));
		batch_begin(&b, a, 0);
		/* Many more than fit; results stay. */
		map = batch_add(&b, SYS_mmap, IMM(0), IMM(4096), IMM(PROT_READ | PROT_WRITE),
				IMM(MAP_PRIVATE | MAP_ANONYMOUS), IMM(-1), IMM(0));
		for (int i = 0; i < 100; i++)
			id = batch_add(&b, SYS_gettid);
		batch_add(&b, SYS_prctl, IMM(PR_GET_NAME), batch_out(&b, name, sizeof(name)));
		batch_add(&b, SYS_munmap, RES(map), IMM(4096));
		must(batch_run(&b));
		assert_int_equal(batch_result(&b, id), t.pid);
		assert_memory_equal(name, "agent_", 6); /* the file of this program */

		/* Data for the first operation that does not fit stays with it. */
		for (unsigned i = 0; i < 3 * tiny.big_ops; i++) {
			for (unsigned k = 0; k < i; k++)
				batch_add(&b, SYS_gettid);
			memset(name, 0, sizeof(name));
			batch_add(&b, SYS_prctl, IMM(PR_GET_NAME),
				  batch_out(&b, name, sizeof(name)));
			must(batch_run(&b));
			assert_memory_equal(name, "agent_", 6);
		}

		fd = batch_recv_fds(&b, &file, 1, NULL);
		id = batch_add(&b, SYS_pwrite64, batch_int_at(&b, fd, 0), batch_str(&b, "hello"),
			       IMM(5), IMM(0));
		batch_expect(&b, id, 5);
		batch_add(&b, SYS_pread64, batch_int_at(&b, fd, 0),
			  batch_out(&b, data, sizeof(data)), IMM(sizeof(data)), IMM(0));
		must(batch_run(&b));
		assert_string_equal(data, "hello");
		batch_close_fds(&b);
		must(batch_run(&b));

		batch_begin(&c, a, 0);
		batch_add(&c, SYS_openat, IMM(AT_FDCWD), batch_str(&c, "/nonexistent"), IMM(0));
		batch_add(&c, SYS_getpid);
		assert_int_equal(batch_run(&c), -ENOENT);
		assert_string_equal(err_message(),
				    "openat /nonexistent: no such file or directory");

		batch_begin(&d, a, 0);
		id = batch_add(&d, SYS_mmap, IMM(0x1000), IMM(4096), IMM(0),
			       IMM(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE), IMM(0),
			       IMM(1));
		batch_may_fail(&d, id);
		id = batch_add(&d, SYS_read, IMM(99), IMM(0), IMM(4096));
		batch_expect(&d, id, 4096);
		assert_int_equal(batch_run(&d), -EBADF);
		must(agent_cure(a));
	}
	target_tell(&t, 'x');
	assert_left_with(&t, 0);
}

static void test_death_is_noticed(void **state)
{
	struct target t = target_start(reads);

	target_expect(&t, 'r');
	{
		CLEANUP(seized_release) struct seized s = hold(t.pid);
		CLEANUP(agent_free) struct agent *a = NULL;
		CLEANUP(batch_end) struct batch b = {0};
		struct timespec ts = {.tv_sec = 100};

		must(agent_inject(&s, NULL, NULL, &a));
		batch_begin(&b, a, 0);
		batch_add(&b, SYS_nanosleep, batch_in(&b, &ts, sizeof(ts)), IMM(0));
		must(batch_post(&b));
		kill(t.pid, SIGKILL);
		assert_int_equal(batch_wait(&b), -ESRCH);
	}
	/* We are its parent, too: the agent's waiting has reaped it. */
	assert_int_equal(waitpid(t.pid, NULL, 0), -1);
	close(t.say);
	close(t.ask);
}

struct gate {
	uint32_t *nops;
	int fd;
};

/* The operation that is running ends when those behind it have been given up. */
static void *open_gate(void *data)
{
	struct gate *g = data;

	while (__atomic_load_n(g->nops, __ATOMIC_RELAXED))
		g_usleep(1000);
	assert_int_equal(write(g->fd, "g", 1), 1);
	return NULL;
}

/* A ring of io_uring may not be sent by anybody: an error, not a wait without end. */
static void test_unsendable(void **state)
{
	struct io_uring_params p = {0};
	autoclose int ring = (int)syscall(SYS_io_uring_setup, 1, &p);
	struct target t;

	if (ring < 0)
		skip();
	t = target_start(reads);
	target_expect(&t, 'r');
	{
		CLEANUP(seized_release) struct seized s = hold(t.pid);
		CLEANUP(agent_free) struct agent *a = NULL;
		CLEANUP(batch_end) struct batch b = {0}, c = {0};
		struct arg fd;
		int r;

		must(agent_inject(&s, NULL, NULL, &a));
		batch_begin(&b, a, 0);
		fd = batch_recv_fds(&b, &ring, 1, NULL);
		batch_add(&b, SYS_close, batch_int_at(&b, fd, 0));
		r = batch_run(&b);
		if (r < 0) { /* since Linux 6.7 */
			assert_non_null(strstr(err_message(), "sending descriptors to task"));
			err_clear();
		}
		batch_begin(&c, a, 0);
		batch_add(&c, SYS_getpid);
		must(batch_run(&c));
		must(agent_cure(a));
	}
	target_tell(&t, 'x');
	assert_left_with(&t, 0);
}

/* What is running is waited for; what would come after it is not begun. */
static void test_interrupt(void **state)
{
	struct target t = target_start(reads);
	int gate[2], after[2], tfds[2];
	struct gate g;
	GThread *thread;
	char c;

	assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
	assert_int_equal(pipe2(after, O_CLOEXEC | O_NONBLOCK), 0);
	target_expect(&t, 'r');
	{
		CLEANUP(interrupt_end) struct interrupt i = interrupt_begin();
		CLEANUP(seized_release) struct seized s = hold(t.pid);
		CLEANUP(agent_free) struct agent *a = NULL;
		CLEANUP(batch_end) struct batch b = {0}, d = {0};

		(void)i;
		must(agent_inject(&s, NULL, NULL, &a));
		batch_begin(&b, a, 0);
		batch_recv_fds(&b, (const int[]){gate[0], after[1]}, 2, tfds);
		must(batch_run(&b));
		b.interruptible = true;
		batch_add(&b, SYS_read, IMM(tfds[0]), batch_in(&b, "x", 1), IMM(1));
		batch_add(&b, SYS_write, IMM(tfds[1]), batch_in(&b, "x", 1), IMM(1));
		must(batch_post(&b));
		raise(SIGINT);
		g.nops = &a->slots[0].shm->nops;
		g.fd = gate[1];
		thread = g_thread_new("gate", open_gate, &g);
		assert_int_equal(batch_wait(&b), -EINTR);
		g_thread_join(thread);
		assert_int_equal(read(after[0], &c, 1), -1);
		/* The agent is as before. */
		batch_begin(&d, a, 0);
		batch_add(&d, SYS_write, IMM(tfds[1]), batch_in(&d, "y", 1), IMM(1));
		batch_close_fds(&d);
		must(batch_run(&d));
		assert_int_equal(read(after[0], &c, 1), 1);
		must(agent_cure(a));
	}
	target_tell(&t, 'x');
	assert_left_with(&t, 0);
	for (unsigned i = 0; i < 2; i++) {
		close(gate[i]);
		close(after[i]);
	}
}

static volatile int generation = 1;

static int changes_memory(int say, int ask)
{
	char c;

	if (write(say, "r", 1) != 1 || read(ask, &c, 1) != 1)
		return 1;
	generation = 2;
	return write(say, "2", 1) == 1 ? reads(say, ask) : 2;
}

static int generation_of(pid_t tid)
{
	int v;

	must(task_read_memory(tid, (uint64_t)(uintptr_t)&generation, &v, sizeof(v)));
	return v;
}

static void test_snapshot(void **state)
{
	struct target t = target_start(changes_memory);

	target_expect(&t, 'r');
	{
		CLEANUP(agent_free) struct agent *a = NULL;
		const struct agent_sizes spare = {.spare = 1};
		CLEANUP(batch_end) struct batch b = {0};
		CLEANUP(seized_release) struct seized s = hold(t.pid);
		pid_t nspid;
		int id;

		must(agent_inject(&s, NULL, &spare, &a));
		must(agent_snapshot(a, 1, &nspid));
		must(agent_cure(a));
		seized_release(&s);
		batch_begin(&b, a, 1);
		id = batch_add(&b, SYS_getpid);
		must(batch_run(&b));
		assert_int_equal(batch_result(&b, id), nspid);
		target_tell(&t, 'g');
		target_expect(&t, '2');
		assert_int_equal(generation_of(t.pid), 2);
		assert_int_equal(generation_of(agent_tid(a, 1)), 1);
		must(agent_snapshot_end(a, 1));
		must(agent_snapshot_reap(t.pid, nspid));
		assert_int_equal(kill(nspid, 0), -1);
	}
	target_expect(&t, 'r');
	target_tell(&t, 'x');
	assert_left_with(&t, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state_is_kept), cmocka_unit_test(test_waiting_calls_go_on),
		cmocka_unit_test(test_signals_wait),  cmocka_unit_test(test_stopped_target),
		cmocka_unit_test(test_seccomp),	      cmocka_unit_test(test_threads),
		cmocka_unit_test(test_static_target), cmocka_unit_test(test_full_table),
		cmocka_unit_test(test_batches),	      cmocka_unit_test(test_unsendable),
		cmocka_unit_test(test_interrupt),     cmocka_unit_test(test_death_is_noticed),
		cmocka_unit_test(test_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
