/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/cgroup.h"
#include "kernel/kernel_test.h"
#include "kernel/proc.h"
#include "kernel/procstat.h"

#define HYBRID                                                                                     \
	"30 25 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"                                        \
	"31 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"                 \
	"32 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"           \
	"33 30 0:30 /docker/x /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"              \
	"34 30 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"

static enum cgroup_layout layout(const char *mounts)
{
	CLEANUP_FIXTURE int dir = fixture("mountinfo", mounts);
	CLEANUP(cgroup_host_clear) struct cgroup_host h = {0};

	assert_ok(cgroup_host_read(dir, &h));
	return h.layout;
}

static void layouts(void **state)
{
	assert_int_equal(layout(HYBRID), CGROUP_HYBRID);
	assert_int_equal(layout("31 30 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
			 CGROUP_V2);
	assert_int_equal(layout("34 30 0:31 / /c rw - cgroup cgroup rw,cpu,cpuacct\n"), CGROUP_V1);
	assert_int_equal(layout("34 30 0:31 / / rw - ext4 /dev/x rw\n"), CGROUP_NONE);
	assert_string_equal(cgroup_layout_name(CGROUP_HYBRID), "hybrid");
}

static void paths(void **state)
{
	CLEANUP_FIXTURE int mounts = fixture("mountinfo", HYBRID);
	CLEANUP_FIXTURE int dir = fixture("cgroup", "12:freezer:/docker/x/a:b\n4:cpu,cpuacct:/\n"
						    "1:name=systemd:/s\n0::/user.slice\n");
	CLEANUP(cgroup_host_clear) struct cgroup_host h = {0};
	g_autofree char *in = NULL, *a = NULL, *b = NULL, *c = NULL, *d = NULL;

	assert_ok(cgroup_host_read(mounts, &h));
	assert_ok(cgroup_of(dir, "cpuacct", &in));
	assert_string_equal(in, "/");
	assert_ok(cgroup_dir(&h, dir, "freezer", &a));
	assert_string_equal(a, "/sys/fs/cgroup/freezer/a:b");
	assert_ok(cgroup_dir(&h, dir, "", &b));
	assert_string_equal(b, "/sys/fs/cgroup/unified/user.slice");
	assert_ok(cgroup_dir(&h, dir, "cpu", &c));
	assert_string_equal(c, "/sys/fs/cgroup/cpu,cpuacct");
	assert_ok(cgroup_dir(&h, dir, "name=systemd", &d));
	assert_string_equal(d, "/sys/fs/cgroup/systemd/s");
	assert_int_equal(cgroup_of(dir, "pids", &in), -ENOENT);
}

static void put(int dir, const char *name, const char *text)
{
	assert_ok(file_replace_at(dir, name, text, strlen(text), 0600));
}

/* What is cached may go; what processes have of their own has to fit twice. */
static void room(void **state)
{
	static const struct {
		const char *v2, *limit, *stat;
		int room;
		uint64_t left;
	} t[] = {
		{"memory.max", "max\n", "anon 1000000000000\n", 1, UINT64_MAX - 1000000000000},
		{"memory.max", "1073741824\n", "anon 104857600\nfile 900000000\nshmem 4096\n", 1,
		 968880128},
		{"memory.max", "1073741824\n", "file 1\nanon 536870912\nshmem 0\n", 0, 536870912},
		{"memory.max", "1073741824\n", "anon 4194304\nshmem 1073741824\n", 0, 0},
		{NULL, "9223372036854771712\n", "rss 1\ntotal_rss 4294967296\n", 1,
		 9223372032559804416},
		{NULL, "104857600\n", "rss 1\ntotal_shmem 1\ntotal_rss 62914560\n", 0, 41943039},
		{NULL, "104857600\n", "rss 99999999\ntotal_rss 4096\ntotal_cache 99999999\n", 1,
		 104853504},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		CLEANUP_FIXTURE int dir = fixture("cgroup", t[i].v2 ? "0::/\n" : "4:memory:/\n");
		CLEANUP(cgroup_host_clear) struct cgroup_host h = {0};
		g_autofree char *fd = g_strdup_printf("/proc/self/fd/%d", dir);
		g_autofree char *where = g_file_read_link(fd, NULL), *mounts = NULL;

		put(dir, t[i].v2 ? t[i].v2 : "memory.limit_in_bytes", t[i].limit);
		put(dir, "memory.stat", t[i].stat);
		mounts =
			g_strdup_printf("30 25 0:27 / %s rw - %s\n", where,
					t[i].v2 ? "cgroup2 cgroup2 rw" : "cgroup cgroup rw,memory");
		put(dir, "mountinfo", mounts);
		assert_ok(cgroup_host_read(dir, &h));
		assert_int_equal(cgroup_room_for_copy(&h, dir), t[i].room);
		assert_int_equal(cgroup_memory_left(&h, dir), t[i].left);
	}
}

static unsigned *ticks;

static void count(void *arg)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			struct timespec ts = {.tv_nsec = 100000};

			__atomic_add_fetch(ticks, 1, __ATOMIC_RELAXED);
			nanosleep(&ts, NULL);
		}
	}
}

static void moves_on(void)
{
	unsigned before = __atomic_load_n(ticks, __ATOMIC_RELAXED);

	while (__atomic_load_n(ticks, __ATOMIC_RELAXED) == before)
		sched_yield();
}

/* A real child and its own child in a real cgroup below ours. */
static void freeze_and_thaw(const char *controller, const struct freezer_ops *ops)
{
	CLEANUP(cgroup_host_clear) struct cgroup_host h = {0};
	autoclose int self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir = -1;
	g_autofree char *parent = NULL, *path = NULL;
	CLEANUP(pid_list_clear) struct pid_list procs = {0}, kids = {0};
	CLEANUP(proc_close) struct proc p = PROC_NONE, kid = PROC_NONE;
	char pid[16];
	struct child c;

	assert_ok(cgroup_host_read(self, &h));
	if (geteuid() != 0 || cgroup_dir(&h, self, controller, &parent) < 0)
		skip();
	path = g_strdup_printf("%s/cryopod-test-%d", parent, getpid());
	if (mkdir(path, 0755) < 0)
		skip(); /* the host's cgroups are read-only for us */
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	c = child_start(NULL, NULL);
	snprintf(pid, sizeof(pid), "%d", c.pid);
	assert_ok(file_poke_at(dir, "cgroup.procs", pid));
	child_end(&c);

	c = child_start(count, NULL);
	assert_ok(proc_open(c.pid, &p));
	assert_ok(proc_children(p.dir, &kids));
	assert_int_equal(kids.n, 1);
	assert_ok(proc_open(kids.v[0], &kid));
	snprintf(pid, sizeof(pid), "%d", kid.pid);
	assert_ok(file_poke_at(dir, "cgroup.procs", pid));
	assert_ok(cgroup_procs(dir, &procs));
	assert_int_equal(procs.n, 1);
	moves_on();
	{
		CLEANUP(freezer_close) struct freezer f = FREEZER_NONE, again = FREEZER_NONE;
		unsigned before;

		assert_ok(freezer_open(&f, &h, kid.dir));
		assert_ptr_equal(f.ops, ops);
		assert_string_equal(f.path, path);
		assert_int_equal(freezer_is_frozen(&f), 0);
		assert_ok(freezer_freeze(&f, 30000));
		assert_int_equal(freezer_is_frozen(&f), 1);
		before = __atomic_load_n(ticks, __ATOMIC_RELAXED);
		/* Who finds it frozen leaves it frozen. */
		assert_ok(freezer_open_at(&again, ops, path));
		assert_ok(freezer_freeze(&again, 30000));
		assert_ok(freezer_thaw(&again));
		assert_int_equal(freezer_is_frozen(&f), 1);
		assert_int_equal(__atomic_load_n(ticks, __ATOMIC_RELAXED), before);
		assert_ok(freezer_thaw(&f));
		assert_int_equal(freezer_is_frozen(&f), 0);
		moves_on();
		assert_ok(freezer_freeze(&f, 30000));
	}
	moves_on(); /* the end of the scope has thawed it */
	assert_ok(proc_signal(&kid, SIGKILL));
	assert_int_equal(proc_wait_end(&kid, 30000), 1);
	child_end(&c);
	assert_ok(cgroup_remove(path, g_get_monotonic_time() + 30 * G_USEC_PER_SEC));
}

/* Who is inside, in the one below, leaves; whoever stays is waited for no longer than said. */
static void removed_when_empty(void **state)
{
	CLEANUP(cgroup_host_clear) struct cgroup_host h = {0};
	autoclose int self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir = -1;
	g_autofree char *parent = NULL, *path = NULL, *below = NULL;
	struct child c;
	char pid[16];
	pid_t ender;

	assert_ok(cgroup_host_read(self, &h));
	if (geteuid() != 0 ||
	    (cgroup_dir(&h, self, "freezer", &parent) < 0 && cgroup_dir(&h, self, "", &parent) < 0))
		skip();
	err_clear();
	path = g_strdup_printf("%s/cryopod-gone-%d", parent, getpid());
	below = g_build_filename(path, "below", NULL);
	if (mkdir(path, 0755) < 0 || mkdir(below, 0755) < 0)
		skip(); /* the host's cgroups are read-only for us */
	dir = open(below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	c = child_start(NULL, NULL);
	snprintf(pid, sizeof(pid), "%d", c.pid);
	assert_ok(file_poke_at(dir, "cgroup.procs", pid));
	assert_int_equal(cgroup_remove(path, 0), -EBUSY);
	assert_non_null(strstr(err_message(), path));
	err_clear();
	ender = fork();
	if (ender == 0) {
		usleep(100000);
		_exit(kill(c.pid, SIGKILL));
	}
	assert_ok(cgroup_remove(path, g_get_monotonic_time() + 30 * G_USEC_PER_SEC));
	assert_ok(cgroup_remove(path, 0)); /* and there is none any more */
	assert_int_equal(waitpid(ender, NULL, 0), ender);
	assert_int_equal(waitpid(c.pid, NULL, 0), c.pid);
	close(c.sock);
}

static void freezer_version_1(void **state)
{
	ticks = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	freeze_and_thaw("freezer", &freezer_v1);
}

static void freezer_version_2(void **state)
{
	ticks = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	freeze_and_thaw("", &freezer_v2);
}

/* A cgroup that never says FROZEN: a captured one. */
static void bounded_wait(void **state)
{
	CLEANUP_FIXTURE int dir = fixture("freezer.state", "FREEZING\n");
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", dir);
	CLEANUP(freezer_close) struct freezer f = FREEZER_NONE;

	assert_ok(file_replace_at(dir, "cgroup.procs", "", 0, 0600));
	assert_ok(freezer_open_at(&f, &freezer_v1, path));
	assert_int_equal(freezer_freeze(&f, 20), -ETIMEDOUT);
	assert_non_null(strstr(err_message(), "did not freeze within 20 ms"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layouts),
		cmocka_unit_test(paths),
		cmocka_unit_test(room),
		cmocka_unit_test(freezer_version_1),
		cmocka_unit_test(freezer_version_2),
		cmocka_unit_test(removed_when_empty),
		cmocka_unit_test(bounded_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
