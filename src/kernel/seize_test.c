/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/kernel_test.h"

#include "kernel/ptrace.h"

#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

typedef void puppet_fn(int ready, int go);

struct puppet {
	pid_t pid;
	int ready, go;
};

static struct puppet start(puppet_fn *fn)
{
	int up[2], down[2];
	struct puppet c;

	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	assert_int_equal(pipe2(down, O_CLOEXEC), 0);
	c.pid = fork();
	assert_true(c.pid >= 0);
	if (c.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(up[0]);
		close(down[1]);
		fn(up[1], down[0]);
		_exit(0);
	}
	close(up[1]);
	close(down[0]);
	c.ready = up[0];
	c.go = down[1];
	return c;
}

static void await(const struct puppet *c)
{
	char b;

	assert_int_equal(read(c->ready, &b, 1), 1);
}

static void say(int fd)
{
	if (write(fd, "x", 1) != 1)
		_exit(9);
}

static void finish(struct puppet *c)
{
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	close(c->ready);
	close(c->go);
}

static void *idle(void *arg)
{
	pause();
	return arg;
}

static void many_threads(int ready, int go)
{
	pthread_t t;

	for (int i = 0; i < 50; i++)
		pthread_create(&t, NULL, idle, NULL);
	say(ready);
	pause();
}

static void test_all_threads(void **state)
{
	struct puppet c = start(many_threads);

	await(&c);
	for (int i = 0; i < 3; i++) {
		CLEANUP(seized_release) struct seized s = SEIZED_NONE;

		assert_ok(seize_begin(c.pid, 0, &s));
		assert_ok(seize_settle(&s, 30000));
		assert_int_equal(s.threads->len, 51);
		assert_int_equal(seized_at(&s, 0)->tid, c.pid);
		for (unsigned k = 0; k < s.threads->len; k++) {
			assert_false(seized_at(&s, k)->waiting);
			assert_true(seized_at(&s, k)->xstate.len >= 576);
		}
	}
	finish(&c);
}

/* Threads come and go all the time. */
static void *spawner(void *arg)
{
	pthread_attr_t a;
	pthread_t t;

	pthread_attr_init(&a);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	usleep(200);
	pthread_create(&t, &a, spawner, arg);
	return NULL;
}

static void restless(int ready, int go)
{
	for (int i = 0; i < 4; i++)
		spawner(NULL);
	say(ready);
	pause();
}

static void test_moving_target(void **state)
{
	struct puppet c = start(restless);

	await(&c);
	for (int i = 0; i < 30; i++) {
		CLEANUP(seized_release) struct seized s = SEIZED_NONE;
		g_autofree char *text = NULL;
		char path[64];

		assert_ok(seize_begin(c.pid, 0, &s));
		assert_ok(seize_settle(&s, 30000));
		snprintf(path, sizeof(path), "/proc/%d/status", c.pid);
		assert_ok(file_read_at(AT_FDCWD, path, 65536, &text, NULL));
		assert_int_equal(atoi(strstr(text, "Threads:") + 8), s.threads->len);
	}
	finish(&c);
}

static void forks_like_vfork(int ready, int go)
{
	say(ready);
	/* The parent cannot be stopped until the child has ended. */
	if (vfork() == 0) {
		char b;

		if (read(go, &b, 1) != 1)
			_exit(1);
		_exit(0);
	}
	pause();
}

static void wait_for_state(pid_t pid, char state)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (int i = 0; i < 30000; i++) {
		g_autofree char *text = NULL;

		assert_ok(file_read_at(AT_FDCWD, path, 65536, &text, NULL));
		if (strrchr(text, ')')[2] == state)
			return;
		usleep(1000);
	}
	fail();
}

static void test_vfork_parent(void **state)
{
	struct puppet c = start(forks_like_vfork);
	struct seized s = SEIZED_NONE;

	await(&c);
	wait_for_state(c.pid, 'D');
	assert_ok(seize_begin(c.pid, 0, &s));
	assert_int_equal(seize_settle(&s, 60), -ETIMEDOUT);
	assert_non_null(strstr(err_message(), "does not stop (state D"));
	assert_int_equal(write(c.go, "x", 1), 1);
	assert_ok(seize_settle(&s, 30000));
	seized_release(&s);
	finish(&c);
}

static void ends(int ready, int go)
{
	say(ready);
}

static void leader_ends(int ready, int go)
{
	pthread_t t;

	pthread_create(&t, NULL, idle, NULL);
	say(ready);
	syscall(SYS_exit, 0);
}

static void test_the_dead(void **state)
{
	struct puppet z = start(ends), l = start(leader_ends);
	CLEANUP(seized_release) struct seized s = SEIZED_NONE, t = SEIZED_NONE, u = SEIZED_NONE;

	await(&z);
	await(&l);
	wait_for_state(z.pid, 'Z');
	wait_for_state(l.pid, 'Z');
	assert_int_equal(seize_begin(z.pid, 0, &s), 1);
	finish(&z);
	assert_int_equal(seize_begin(z.pid, 0, &s), -ESRCH);

	assert_ok(seize_begin(l.pid, 0, &t));
	assert_ok(seize_settle(&t, 30000));
	assert_true(t.leader_dead);
	assert_int_equal(t.threads->len, 1);
	seized_release(&t);

	/* Killed while it is held. */
	assert_ok(seize_begin(l.pid, 0, &u));
	kill(l.pid, SIGKILL);
	assert_int_equal(seize_settle(&u, 30000), 1);
	finish(&l);
}

static pid_t prey;

static void traces(int ready, int go)
{
	if (ptrace(PTRACE_SEIZE, prey, NULL, NULL))
		_exit(1);
	say(ready);
	pause();
}

static void waits(int ready, int go)
{
	say(ready);
	pause();
}

static void test_traced_already(void **state)
{
	struct puppet c = start(waits), tracer;
	struct seized s = SEIZED_NONE;

	await(&c);
	prey = c.pid;
	tracer = start(traces);
	await(&tracer);
	assert_int_equal(seize_begin(c.pid, 0, &s), -EBUSY);
	assert_non_null(strstr(err_message(), "traces thread"));
	finish(&tracer);
	finish(&c);
}

static void queues_signals(int ready, int go)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (int i = 0; i < 40; i++)
		sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = i});
	syscall(SYS_tgkill, getpid(), getpid(), SIGUSR2);
	say(ready);
	pause();
}

static void test_signals_and_rseq(void **state)
{
	struct puppet c = start(queues_signals);
	CLEANUP(seized_release) struct seized s = SEIZED_NONE;
	g_autoptr(GArray) shared = g_array_new(FALSE, FALSE, sizeof(siginfo_t));
	g_autoptr(GArray) own = g_array_new(FALSE, FALSE, sizeof(siginfo_t));
	g_autofree struct sock_filter *f = NULL;
	struct rseq_config rseq;
	uint64_t head, len, flags;
	unsigned n;

	await(&c);
	assert_ok(seize_begin(c.pid, 0, &s));
	assert_ok(seize_settle(&s, 30000));
	assert_ok(ptrace_peek_signals(c.pid, true, shared));
	assert_int_equal(shared->len, 40);
	assert_int_equal(g_array_index(shared, siginfo_t, 39).si_value.sival_int, 39);
	assert_ok(ptrace_peek_signals(c.pid, false, own));
	assert_int_equal(own->len, 1);
	assert_ok(ptrace_get_rseq(c.pid, &rseq));
	assert_ok(task_get_robust_list(c.pid, &head, &len));
	assert_int_equal(len, 24);
	assert_int_equal(ptrace_get_seccomp(c.pid, 0, &f, &n, &flags), 1);
	finish(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_threads),    cmocka_unit_test(test_moving_target),
		cmocka_unit_test(test_vfork_parent),   cmocka_unit_test(test_the_dead),
		cmocka_unit_test(test_traced_already), cmocka_unit_test(test_signals_and_rseq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
