/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/kernel_test.h"
#include "kernel/proc.h"
#include "kernel/procmisc.h"
#include "kernel/procstat.h"
#include "kernel/procstatus.h"

#include <grp.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <time.h>

static void *thread_main(void *arg)
{
	pid_t *ret = arg;

	/* It says that it is there when it is certain to go with its parent. */
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		__atomic_store_n(ret, getpid(), __ATOMIC_RELEASE);
		pause();
		_exit(0);
	}
	pause();
	return NULL;
}

static pid_t *grandchild; /* shared with the child */

static void tree(void *arg)
{
	pthread_t t;

	pthread_create(&t, NULL, thread_main, grandchild);
	while (!__atomic_load_n(grandchild, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void children_of_all_threads(void **state)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE, copy = PROC_NONE;
	CLEANUP(pid_list_clear) struct pid_list tasks = {0}, children = {0}, fds = {0};
	g_autofree char *exe = NULL;
	autoclose int task = -1, fd = -1;
	struct stat a, b;
	pid_t pid;

	grandchild = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CLEANUP_CHILD struct child c = child_start(tree, NULL);

	assert_ok(proc_open(c.pid, &p));
	assert_ok(proc_dup(&p, &copy));
	assert_ok(proc_of_pidfd(copy.pidfd, &pid));
	assert_int_equal(pid, c.pid);
	assert_ok(proc_tasks(p.dir, &tasks));
	assert_int_equal(tasks.n, 2);
	assert_int_equal(tasks.v[0], c.pid);
	assert_ok(proc_children(p.dir, &children));
	assert_int_equal(children.n, 1);
	assert_int_equal(children.v[0], *grandchild);
	assert_ok(proc_fds(p.dir, &fds));
	assert_true(fds.n >= 1 && pid_list_has(&fds, fds.v[fds.n - 1]));
	assert_ok(proc_open_task(p.dir, tasks.v[1], &task));
	assert_ok(proc_link(p.dir, "exe", &exe));
	assert_int_equal(exe[0], '/');
	assert_ok(proc_open_link(p.dir, "cwd", O_PATH, &fd));
	assert_int_equal(fstat(fd, &a), 0);
	assert_int_equal(stat(".", &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(proc_wait_end(&p, 0), 0);
	assert_ok(proc_signal(&p, SIGKILL));
	assert_int_equal(proc_wait_end(&p, 30000), 1);
	munmap(grandchild, 4096);
}

#define MANY 2000

static void *wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

static void many_threads(void *arg)
{
	pthread_attr_t small;
	pthread_t t;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	for (unsigned i = 0; i < MANY; i++)
		pthread_create(&t, &small, wait_for_ever, NULL);
	for (unsigned i = 0; i < 2; i++)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			pause();
			_exit(0);
		}
	tree(arg);
}

/* Asked of each process, where those are fewer than threads: the same children, the oldest first.
 */
static void children_of_many_threads(void **state)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(pid_list_clear) struct pid_list one_by_one = {0}, children = {0}, tasks = {0};

	grandchild = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CLEANUP_CHILD struct child c = child_start(many_threads, NULL);

	assert_ok(proc_open(c.pid, &p));
	assert_ok(proc_tasks(p.dir, &tasks));
	assert_true(tasks.n > MANY);
	assert_ok(proc_children(p.dir, &children));
	assert_int_equal(children.n, 3);
	assert_ok(proc_children_of(p.dir, c.pid, &one_by_one));
	assert_int_equal(one_by_one.n, 2);
	assert_memory_equal(children.v, one_by_one.v, 2 * sizeof(pid_t));
	assert_int_equal(children.v[2], *grandchild);
	assert_ok(proc_signal(&p, SIGKILL));
	assert_int_equal(proc_wait_end(&p, 30000), 1);
	munmap(grandchild, 4096);
}

static void zombie_then_gone(void **state)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE, q = PROC_NONE;
	struct procstat st;
	struct procstatus status = {0};
	pid_t pid = fork();

	if (pid == 0)
		_exit(7);
	assert_ok(proc_open(pid, &p));
	assert_int_equal(proc_wait_end(&p, -1), 1);
	assert_ok(procstat_read(p.dir, &st));
	assert_int_equal(st.state, 'Z');
	assert_int_equal(st.exit_code, 7 << 8);
	assert_int_equal(st.start_code, 0);
	assert_ok(procstatus_read(p.dir, &status));
	assert_false(status.has_umask);
	procstatus_clear(&status);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(procstat_read(p.dir, &st), -ESRCH);
	assert_int_equal(proc_open(pid, &q), -ESRCH);
	assert_int_equal(proc_signal(&p, 0), -ESRCH);
}

static void dress(void *arg)
{
	struct rlimit lim = {100, 200};
	sigset_t set;

	setsid();
	umask(027);
	prctl(PR_SET_NAME, "a) b\n(c");
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_TIMERSLACK, 12345, 0, 0, 0);
	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR2);
	setrlimit(RLIMIT_NOFILE, &lim);
}

static void stat_and_status_of_a_child(void **state)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(procstatus_clear) struct procstatus s = {0};
	CLEANUP_CHILD struct child c = child_start(dress, NULL);
	struct rlimit limits[RLIM_NLIMITS];
	struct proc_auxv auxv;
	struct proc_sched sched;
	struct procstat st;
	uint64_t slack;
	uint32_t uid;
	char comm[64];
	int adj;

	assert_ok(proc_open(c.pid, &p));
	assert_ok(procstat_read(p.dir, &st));
	assert_int_equal(st.pid, c.pid);
	assert_int_equal(st.ppid, getpid());
	assert_int_equal(st.sid, c.pid);
	assert_int_equal(st.pgid, c.pid);
	assert_string_equal(st.comm, "a) b\n(c");
	assert_int_equal(st.tty_nr, 0);
	assert_int_equal(st.tty_pgrp, -1);
	assert_int_equal(st.exit_signal, SIGCHLD);
	assert_true(st.arg_start && st.arg_end > st.arg_start && st.start_stack);
	assert_ok(proc_comm(p.dir, comm));
	assert_string_equal(comm, "a) b\n(c");

	assert_ok(procstatus_read(p.dir, &s));
	assert_int_equal(s.umask, 027);
	assert_true(s.has_umask && s.no_new_privs && s.thp_enabled);
	assert_int_equal(s.uid[0], getuid());
	assert_int_equal(s.threads, 1);
	assert_int_equal(pid_chain_inner(&s.nspid), c.pid);
	assert_true(s.sigign & UINT64_C(1) << (SIGUSR1 - 1));
	assert_int_equal(s.sigblk, UINT64_C(1) << (SIGUSR2 - 1));
	assert_int_equal(s.shdpnd, UINT64_C(1) << (SIGUSR2 - 1));
	assert_int_equal(s.seccomp, 0);
	assert_int_equal(s.ngroups, (size_t)getgroups(0, NULL));

	assert_ok(proc_limits(p.dir, limits));
	assert_int_equal(limits[RLIMIT_NOFILE].rlim_cur, 100);
	assert_int_equal(limits[RLIMIT_NOFILE].rlim_max, 200);
	assert_string_equal(rlimit_name(RLIMIT_STACK), "RLIMIT_STACK");
	assert_ok(proc_auxv(p.dir, &auxv));
	assert_int_equal(proc_auxv_get(&auxv, AT_PHDR), getauxval(AT_PHDR));
	assert_int_equal(auxv.words[auxv.n - 2], AT_NULL);
	assert_ok(proc_oom_score_adj(p.dir, &adj));
	assert_ok(proc_loginuid(p.dir, &uid));
	assert_ok(proc_sched(c.pid, &sched));
	assert_ok(proc_set_sched(c.pid, &sched));
	if (geteuid() == 0) {
		assert_ok(proc_timerslack_ns(p.dir, &slack));
		assert_int_equal(slack, 12345);
		assert_ok(proc_set_timerslack_ns(p.dir, 54321));
		assert_ok(proc_timerslack_ns(p.dir, &slack));
		assert_int_equal(slack, 54321);
	}
}

static void make_timers(void *arg)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1};
	timer_t id;

	signal(SIGRTMIN + 1, SIG_IGN);
	ev.sigev_value.sival_ptr = (void *)0xdeadbeef;
	timer_create(CLOCK_MONOTONIC, &ev, &id);
	ev.sigev_notify = SIGEV_NONE;
	timer_create(CLOCK_BOOTTIME, &ev, &id);
	ev.sigev_notify = SIGEV_THREAD_ID;
	ev._sigev_un._tid = getpid();
	timer_create(CLOCK_REALTIME, &ev, &id);
}

static void posix_timers(void **state)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP_CHILD struct child c = child_start(make_timers, NULL);
	g_autofree struct proc_timer *t = NULL;
	size_t n;
	int r;

	assert_ok(proc_open(c.pid, &p));
	r = proc_timers(p.dir, &t, &n);
	if (r == -ENOENT)
		skip(); /* no CONFIG_POSIX_TIMERS or CONFIG_CHECKPOINT_RESTORE */
	assert_ok(r);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++) {
		if (t[i].clockid == CLOCK_MONOTONIC) {
			assert_int_equal(t[i].signal, SIGRTMIN + 1);
			assert_int_equal(t[i].sigev_value, 0xdeadbeef);
			assert_int_equal(t[i].notify, SIGEV_SIGNAL);
		} else if (t[i].clockid == CLOCK_BOOTTIME) {
			assert_int_equal(t[i].notify, SIGEV_NONE);
		} else {
			assert_int_equal(t[i].clockid, CLOCK_REALTIME);
			assert_int_equal(t[i].notify, SIGEV_THREAD_ID);
			assert_int_equal(t[i].tid, c.pid);
		}
	}
}

static void captured_status(void **state)
{
	CLEANUP_FIXTURE int dir = fixture(
		"status", "Name:\tx\\y\nState:\tt (tracing stop)\nTgid:\t7\nPid:\t8\nPPid:\t1\n"
			  "Uid:\t0\t1000\t2\t3\nGid:\t4\t5\t6\t4294967294\nGroups:\t0 27 1000 \n"
			  "NStgid:\t7\t2\nNSpid:\t8\t3\t1\nTHP_enabled:\t0\nVmLck:\t 12 kB\n"
			  "SigQ:\t3/96365\nSigCgt:\tffffffffffffffff\nUnknown:\tfine\n"
			  "CapBnd:\t000001fffeffffff\nSeccomp:\t2\nSeccomp_filters:\t4\n");
	CLEANUP(procstatus_clear) struct procstatus s = {0};

	assert_ok(procstatus_read(dir, &s));
	assert_int_equal(s.state, 't');
	assert_int_equal(s.uid[1], 1000);
	assert_int_equal(s.gid[3], 4294967294);
	assert_int_equal(s.ngroups, 3);
	assert_int_equal(s.groups[2], 1000);
	assert_int_equal(s.nspid.n, 3);
	assert_int_equal(pid_chain_inner(&s.nspid), 1);
	assert_int_equal(s.sigq_max, 96365);
	assert_true(s.sigcgt == UINT64_MAX);
	assert_int_equal(s.vm_locked_bytes, 12288);
	assert_false(s.thp_enabled);
	assert_int_equal(s.seccomp_filters, 4);
}

static void captured_memory(void **state)
{
	CLEANUP_FIXTURE int dir = fixture("meminfo", "MemTotal:       24684140 kB\n"
						     "MemFree:        23000000 kB\n"
						     "MemAvailable:   23500000 kB\n");
	CLEANUP_FIXTURE int old = fixture("meminfo", "MemTotal:       24684140 kB\n");
	uint64_t bytes;

	assert_ok(proc_memory_available(dir, &bytes));
	assert_int_equal(bytes, UINT64_C(23500000) * 1024);
	assert_int_equal(proc_memory_available(old, &bytes), -EBADMSG);
}

static void broken_captures(void **state)
{
	CLEANUP_FIXTURE int a = fixture("stat", "12 no name S 1 2 3");
	CLEANUP_FIXTURE int b = fixture("stat", "12 (x) S 1 2 3");
	CLEANUP_FIXTURE int c = fixture("status", "Name:\tx\nUid:\t1\n");
	CLEANUP_FIXTURE int d = fixture("timers", "what is this\n");
	CLEANUP(procstatus_clear) struct procstatus s = {0};
	g_autofree struct proc_timer *t = NULL;
	struct procstat st;
	size_t n;

	assert_int_equal(procstat_read(a, &st), -EBADMSG);
	assert_int_equal(procstat_read(b, &st), -EBADMSG);
	assert_int_equal(procstatus_read(c, &s), -EBADMSG);
	assert_string_equal(err_message(), "status: cannot read Uid: 1");
	assert_int_equal(proc_timers(d, &t, &n), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_of_all_threads),
		cmocka_unit_test(children_of_many_threads),
		cmocka_unit_test(zombie_then_gone),
		cmocka_unit_test(stat_and_status_of_a_child),
		cmocka_unit_test(posix_timers),
		cmocka_unit_test(captured_status),
		cmocka_unit_test(captured_memory),
		cmocka_unit_test(broken_captures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
