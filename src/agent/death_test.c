/* SPDX-License-Identifier: Apache-2.0 */
/* SIGKILL for the coordinator at any instant: the target lives, and nothing is left behind. */
#include "agent/agent_test.h"

#include "base/file.h"

#include <pthread.h>
#include <time.h>

#define ROUNDS	    60
#define RECOVERY_MS 5000
#define LONGEST_US  30000

static volatile int quit;
static pthread_barrier_t all_here;

static void *busy(void *arg)
{
	double x = 1, y = 1;

	pthread_barrier_wait(&all_here);
	while (!quit) {
		struct timespec ts = {.tv_nsec = 1000000};

		for (int i = 0; i < 1000; i++) {
			x = x * 1.0000001 + 1e-9;
			y = y * 1.0000001 + 1e-9;
		}
		if (x != y)
			return arg;
		nanosleep(&ts, NULL);
	}
	return NULL;
}

static void *reader(void *arg)
{
	char c;

	pthread_barrier_wait(&all_here);
	return read(*(int *)arg, &c, 1) == 1 ? NULL : arg;
}

static int works(int say, int ask)
{
	pthread_t t[3];
	void *res = NULL;
	int p[2], bad = 0;
	char c;

	if (pipe(p))
		return 1;
	pthread_barrier_init(&all_here, NULL, 4);
	pthread_create(&t[0], NULL, busy, p);
	pthread_create(&t[1], NULL, busy, p);
	pthread_create(&t[2], NULL, reader, &p[0]);
	pthread_barrier_wait(&all_here);
	if (write(say, "r", 1) != 1 || read(ask, &c, 1) != 1)
		return 2;
	quit = 1;
	if (write(p[1], "x", 1) != 1)
		return 3;
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &res);
		bad += res != NULL;
	}
	return bad ? 4 : 0;
}

/* Everything that an agent does, over and over. */
__attribute__((noreturn)) static void coordinate(pid_t pid)
{
	autoclose int file = open("/dev/null", O_WRONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		CLEANUP(seized_release) struct seized s = SEIZED_NONE;
		CLEANUP(agent_free) struct agent *a = NULL;
		CLEANUP(batches_end) struct batch b[4] = {0};

		if (seize_begin(pid, 0, &s) || seize_settle(&s, 30000) ||
		    agent_inject(&s, NULL, NULL, &a))
			_exit(1);
		for (unsigned i = 0; i < 4; i++) {
			batch_begin(&b[i], a, i);
			for (int k = 0; k < 20; k++)
				batch_add(&b[i], SYS_getppid);
			if (i == 0)
				batch_recv_fds(&b[i], &file, 1, NULL);
			if (batch_post(&b[i]) < 0)
				_exit(2);
		}
		for (unsigned i = 0; i < 4; i++)
			if (batch_wait(&b[i]) < 0)
				_exit(3);
		batch_close_fds(&b[0]);
		if (batch_run(&b[0]) < 0 || agent_cure(a) < 0)
			_exit(4);
	}
}

/* Mappings, descriptors, and each thread's blocked signals and tracer. */
static char *appearance(pid_t pid)
{
	g_autoptr(GString) all = g_string_new(NULL);
	char path[320];

	for (int what = 0; what < 2; what++) {
		g_autoptr(GDir) d = NULL;
		const char *name;

		snprintf(path, sizeof(path), "/proc/%d/%s", pid, what ? "task" : "fd");
		d = g_dir_open(path, 0, NULL);
		while (d && (name = g_dir_read_name(d))) {
			g_autofree char *text = NULL;
			const char *p;

			g_string_append_printf(all, "%s\n", name);
			snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, name);
			if (!what || file_read_at(AT_FDCWD, path, 1 << 20, &text, NULL) < 0)
				continue;
			p = strstr(text, "TracerPid");
			g_string_append_len(all, p, strchr(p, '\n') + 1 - p);
			p = strstr(text, "SigBlk");
			g_string_append_len(all, p, strchr(p, '\n') + 1 - p);
		}
	}
	{
		g_autofree char *maps = NULL;

		snprintf(path, sizeof(path), "/proc/%d/maps", pid);
		if (file_read_at(AT_FDCWD, path, 1 << 20, &maps, NULL) == 0)
			g_string_append(all, maps);
	}
	return g_string_free(g_steal_pointer(&all), FALSE);
}

static void assert_recovers(pid_t pid, const char *before, int round)
{
	for (int ms = 0;; ms++) {
		g_autofree char *now = appearance(pid);

		if (!strcmp(now, before))
			return;
		if (ms == RECOVERY_MS)
			fail_msg("round %d: before:\n%s\nnow:\n%s", round, before, now);
		usleep(1000);
	}
}

static void test_any_instant(void **state)
{
	struct target t = target_start(works);
	g_autofree char *before = NULL;
	unsigned seed = (unsigned)time(NULL);

	target_expect(&t, 'r');
	target_wait_in(&t, SYS_read);
	before = appearance(t.pid);
	for (int i = 0; i < ROUNDS; i++) {
		pid_t c = fork();
		int status;

		assert_true(c >= 0);
		if (c == 0)
			coordinate(t.pid);
		usleep((unsigned)rand_r(&seed) % LONGEST_US);
		kill(c, SIGKILL);
		assert_int_equal(waitpid(c, &status, 0), c);
		if (!WIFSIGNALED(status))
			fail_msg("round %d: coordinator left with %#x", i, status);
		assert_recovers(t.pid, before, i);
	}
	target_tell(&t, 'x');
	assert_left_with(&t, 0);
}

static pid_t start_idle_coordinator(pid_t target)
{
	int p[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct seized s = SEIZED_NONE;
		struct agent *a = NULL;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (seize_begin(target, 0, &s) || seize_settle(&s, 30000) ||
		    agent_inject(&s, NULL, NULL, &a) || write(p[1], "i", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(p[1]);
	assert_int_equal(read(p[0], &c, 1), 1);
	close(p[0]);
	return pid;
}

/* rt_sigreturn is all that this filter lets pass of a way home: the mailbox stays, until the next
 * agent takes it away. */
static void test_strict_filter(void **state)
{
	struct target t = target_start(reads_under_filter);
	pid_t c;

	target_expect(&t, 'r');
	target_wait_in(&t, SYS_read);
	c = start_idle_coordinator(t.pid);
	kill(c, SIGKILL);
	assert_int_equal(waitpid(c, NULL, 0), c);
	target_wait_in(&t, SYS_read);
	assert_true(has_mailbox(t.pid));
	{
		CLEANUP(seized_release) struct seized s = SEIZED_NONE;
		CLEANUP(agent_free) struct agent *a = NULL;

		must(seize_begin(t.pid, 0, &s));
		must(seize_settle(&s, 30000));
		must(agent_inject(&s, NULL, NULL, &a));
		must(agent_cure(a));
	}
	assert_false(has_mailbox(t.pid));
	target_tell(&t, 'x');
	assert_left_with(&t, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_instant),
		cmocka_unit_test(test_strict_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
