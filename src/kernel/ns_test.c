/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/kernel_test.h"

#include "kernel/ns.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

static const enum ns_kind kinds[] = {NS_MNT, NS_UTS, NS_IPC, NS_NET, NS_CGROUP};

static int open_self(void)
{
	int dir = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(dir >= 0);
	return dir;
}

struct other {
	pthread_barrier_t barrier;
	pid_t tid;
	bool differs;
};

static void *be_elsewhere(void *arg)
{
	struct other *o = arg;

	o->tid = (pid_t)syscall(SYS_gettid);
	o->differs = unshare(CLONE_NEWUTS) == 0;
	pthread_barrier_wait(&o->barrier);
	pthread_barrier_wait(&o->barrier);
	return NULL;
}

static void threads(void **state)
{
	autoclose int dir = open_self();
	uint64_t ids[NS_COUNT];
	struct other o;
	pthread_t t;

	assert_ok(ns_ids(dir, ids));
	assert_int_equal(pthread_barrier_init(&o.barrier, NULL, 2), 0);
	assert_int_equal(pthread_create(&t, NULL, be_elsewhere, &o), 0);
	pthread_barrier_wait(&o.barrier);
	assert_int_equal(ns_thread_is_in(dir, getpid(), kinds, ARRAY_SIZE(kinds), ids), 1);
	assert_int_equal(ns_thread_is_in(dir, o.tid, kinds, ARRAY_SIZE(kinds), ids), !o.differs);
	pthread_barrier_wait(&o.barrier);
	pthread_join(t, NULL);
}

/* No thread has that number, so that no pidfd tells. */
#define NOBODY 4194305

static void links(void **state)
{
	char path[] = "/tmp/ns_test.XXXXXX", name[64];
	uint64_t ids[NS_COUNT] = {[NS_UTS] = 17, [NS_NET] = 18};
	static const enum ns_kind two[] = {NS_UTS, NS_NET};
	g_autofree char *ns = NULL;

	assert_non_null(mkdtemp(path));
	ns = g_strdup_printf("%s/task/%d/ns", path, NOBODY);
	assert_int_equal(g_mkdir_with_parents(ns, 0700), 0);
	{
		CLEANUP_FIXTURE int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		snprintf(name, sizeof(name), "task/%d/ns/uts", NOBODY);
		assert_int_equal(symlinkat("uts:[17]", dir, name), 0);
		snprintf(name, sizeof(name), "task/%d/ns/net", NOBODY);
		assert_int_equal(symlinkat("net:[18]", dir, name), 0);
		assert_int_equal(ns_thread_is_in(dir, NOBODY, two, 2, ids), 1);
		ids[NS_NET] = 19;
		assert_int_equal(ns_thread_is_in(dir, NOBODY, two, 2, ids), 0);
		assert_int_equal(ns_thread_is_in(dir, NOBODY + 1, two, 2, ids), -ENOENT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads),
		cmocka_unit_test(links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
