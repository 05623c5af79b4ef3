/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/stub.h"

#include "agent/agent_test.h"

#include <linux/sched.h>
#include <sys/mman.h>

#define TIMEOUT_MS  5000
#define SIGNAL_BITS (~UINT64_C(0))
#define THREAD_FLAGS                                                                               \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

enum { INIT, CHILD, GRANDCHILD, BIG, THREAD = BIG, SLOTS };

static pid_t start_stub(uint64_t flags, int *ret_sock)
{
	autoclose int program = -1, theirs = -1;
	pid_t pid;

	must(stub_memfd(&program));
	must(stub_socketpair(ret_sock, &theirs));
	pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		stub_exec(program, theirs);
		_exit(99);
	}
	return pid;
}

static void adopt(uint64_t flags, bool exec, int *sock, pid_t *pid, struct agent **ret)
{
	CLEANUP(stub_clear) struct stub stub = STUB_NONE;
	const struct agent_plan plan = {.big = BIG, .small = SLOTS - BIG, .exec = exec};

	*pid = start_stub(flags, sock);
	must(stub_await(*sock, TIMEOUT_MS, &stub));
	assert_int_equal(stub.pid, *pid);
	assert_int_equal(stub.nspid, flags & CLONE_NEWPID ? 1 : *pid);
	must(agent_adopt(&stub, &plan, ret));
}

static void make(struct agent *a, unsigned parent, unsigned child, uint64_t flags, pid_t tid)
{
	const struct clone_spec spec = {
		.child = child,
		.flags = flags,
		.exit_signal = flags & CLONE_THREAD ? 0 : SIGCHLD,
		.tids = &tid,
		.ntids = 1,
	};
	CLEANUP(batch_end) struct batch b = {0};
	int id;

	batch_begin(&b, a, parent);
	id = batch_clone(&b, &spec);
	must(batch_run(&b));
	assert_int_equal(batch_result(&b, id), tid);
	assert_true(agent_tid(a, child) > 0);
}

static void check_ids(struct agent *a, unsigned slot, pid_t pid, pid_t tid)
{
	CLEANUP(batch_end) struct batch b = {0};
	uint64_t mask = 0;
	int p, t;

	batch_begin(&b, a, slot);
	p = batch_add(&b, SYS_getpid);
	t = batch_add(&b, SYS_gettid);
	batch_add(&b, SYS_rt_sigprocmask, IMM(SIG_BLOCK), IMM(0), batch_out(&b, &mask, 8), IMM(8));
	must(batch_run(&b));
	assert_int_equal(batch_result(&b, p), pid);
	assert_int_equal(batch_result(&b, t), tid);
	/* All but SIGKILL and SIGSTOP, which nobody can block. */
	assert_int_equal(mask | 1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1), SIGNAL_BITS);
}

/* What is left is told to leave with CODE, by the stub's own system call instruction. */
static void leave(struct agent *a, unsigned slot, int nr, int code)
{
	const uint64_t args[6] = {(uint64_t)code};
	uint8_t program[4096];
	struct insns ins = {0};
	struct regs regs;

	must(task_read_memory(agent_tid(a, slot), 0x400000, program, 512));
	insns_scan(program, 512, 0x400000, &ins);
	must(ptrace_get_regs(agent_tid(a, slot), &regs));
	regs_set_syscall(&regs, ins.syscall, regs_sp(&regs), nr, args);
	must(ptrace_set_regs(agent_tid(a, slot), &regs));
	must(ptrace_set_sigmask(agent_tid(a, slot), 0));
}

static void test_tree(void **state)
{
	CLEANUP(agent_free) struct agent *a = NULL;
	CLEANUP(batches_end) struct batch b[SLOTS] = {0};
	autoclose int sock = -1, file = memfd_create("x", MFD_CLOEXEC);
	char got[8] = "";
	struct arg fd;
	int status;
	pid_t pid;

	adopt(CLONE_NEWPID, false, &sock, &pid, &a);
	check_ids(a, INIT, 1, 1);
	make(a, INIT, CHILD, 0, 42);
	make(a, CHILD, THREAD, THREAD_FLAGS, 77);
	make(a, CHILD, GRANDCHILD, 0, 1000);
	check_ids(a, CHILD, 42, 42);
	check_ids(a, THREAD, 42, 77);
	check_ids(a, GRANDCHILD, 1000, 1000);

	/* Descriptors, into a child. */
	batch_begin(&b[CHILD], a, CHILD);
	assert_int_equal(write(file, "data", 4), 4);
	fd = batch_recv_fds(&b[CHILD], &file, 1, NULL);
	batch_add(&b[CHILD], SYS_pread64, batch_int_at(&b[CHILD], fd, 0),
		  batch_out(&b[CHILD], got, 4), IMM(4), IMM(0));
	must(batch_run(&b[CHILD]));
	assert_string_equal(got, "data");

	/* All at once. */
	for (unsigned i = 0; i < SLOTS; i++) {
		if (i != CHILD)
			batch_begin(&b[i], a, i);
		batch_add(&b[i], SYS_sched_yield);
		must(batch_post(&b[i]));
	}
	for (unsigned i = 0; i < SLOTS; i++)
		must(batch_wait(&b[i]));

	/* A number that is taken. */
	{
		const pid_t taken = 42;
		const struct clone_spec again = {.child = INIT, .tids = &taken, .ntids = 1};
		CLEANUP(batch_end) struct batch c = {0};

		batch_begin(&c, a, INIT);
		batch_clone(&c, &again);
		assert_int_equal(batch_run(&c), -EINVAL);
	}

	for (unsigned i = 0; i < SLOTS; i++)
		must(agent_hold_begin(a, i));
	for (unsigned i = 0; i < SLOTS; i++)
		must(agent_hold(a, i, TIMEOUT_MS));
	must(agent_unmap(a, INIT));
	must(agent_unmap(a, CHILD));
	must(agent_unmap(a, GRANDCHILD));
	leave(a, THREAD, SYS_exit, 0);
	leave(a, GRANDCHILD, SYS_exit_group, 0);
	leave(a, CHILD, SYS_exit_group, 0);
	leave(a, INIT, SYS_exit_group, 7);
	must(agent_let_go(a));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 7);
}

static void test_half_a_tree_dies(void **state)
{
	autoclose int sock = -1;
	int status;
	pid_t pid;

	{
		CLEANUP(agent_free) struct agent *a = NULL;

		adopt(CLONE_NEWPID, false, &sock, &pid, &a);
		make(a, INIT, CHILD, 0, 42);
		make(a, CHILD, THREAD, THREAD_FLAGS, 77);
	}
	assert_int_equal(waitpid(pid, &status, 0), -1); /* reaped by its tracer, us */
	assert_int_equal(kill(pid, 0), -1);
}

static void test_exec(void **state)
{
	char *argv[] = {NULL, NULL}, *env[] = {NULL};
	autoclose int sock = -1;
	int status;
	pid_t pid;

	{
		CLEANUP(agent_free) struct agent *a = NULL;
		CLEANUP(batch_end) struct batch b = {0}, c = {0};

		adopt(0, true, &sock, &pid, &a);
		batch_begin(&b, a, 0);
		batch_watch_exec(&b);
		batch_add(&b, SYS_execve, batch_str(&b, "/no/such/program"),
			  batch_in(&b, argv, sizeof(argv)), batch_in(&b, env, sizeof(env)));
		assert_int_equal(batch_run_exec(&b), -ENOENT);
		assert_string_equal(err_message(),
				    "execve /no/such/program: no such file or directory");

		batch_begin(&c, a, 0);
		batch_watch_exec(&c);
		argv[0] = (char *)batch_addr(&c, batch_str(&c, "true"));
		batch_add(&c, SYS_execve, batch_str(&c, "/bin/true"),
			  batch_in(&c, argv, sizeof(argv)), batch_in(&c, env, sizeof(env)));
		must(batch_run_exec(&c));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_nobody_comes(void **state)
{
	CLEANUP(stub_clear) struct stub stub = STUB_NONE;
	autoclose int ours = -1;
	int theirs;

	must(stub_socketpair(&ours, &theirs));
	assert_int_equal(stub_await(ours, 10, &stub), -ETIMEDOUT);
	close(theirs);
	assert_int_equal(stub_await(ours, 10, &stub), -EPIPE);
}

/* A program without a C library, so without instructions for a way home. */
static void test_inject_into_stub(void **state)
{
	CLEANUP(stub_clear) struct stub stub = STUB_NONE;
	const struct agent_plan plan = {.big = 1};
	autoclose int sock = -1;
	int status;
	pid_t pid;

	pid = start_stub(0, &sock);
	must(stub_await(sock, TIMEOUT_MS, &stub));
	{
		CLEANUP(seized_release) struct seized s = SEIZED_NONE;
		CLEANUP(agent_free) struct agent *a = NULL;

		must(seize_begin(pid, 0, &s));
		must(seize_settle(&s, TIMEOUT_MS));
		must(agent_inject(&s, NULL, NULL, &a));
		assert_true(a->hurried);
		check_ids(a, 0, pid, pid);
		must(agent_cure(a));
	}
	{
		CLEANUP(agent_free) struct agent *a = NULL;

		must(agent_adopt(&stub, &plan, &a));
		check_ids(a, 0, pid, pid);
	}
	assert_int_equal(waitpid(pid, &status, 0), -1);
}

/* Before it has an agent: what it maps then is there afterwards. */
static void test_calls(void **state)
{
	CLEANUP(stub_clear) struct stub stub = STUB_NONE;
	CLEANUP(agent_free) struct agent *a = NULL;
	const uint64_t none[6] = {0};
	const uint64_t map[6] = {0x300000000000, 4096, 3, 0x22, ~UINT64_C(0), 0};
	const struct agent_plan plan = {.big = 1};
	autoclose int sock = -1;
	int64_t ret;
	pid_t pid;

	pid = start_stub(0, &sock);
	must(stub_await(sock, TIMEOUT_MS, &stub));
	must(stub_call(&stub, SYS_getpid, none, &ret));
	assert_int_equal(ret, pid);
	must(stub_call(&stub, SYS_close, (const uint64_t[6]){999}, &ret));
	assert_int_equal(ret, -EBADF);
	must(stub_call(&stub, SYS_mmap, map, &ret));
	assert_int_equal(ret, map[0]);
	must(agent_adopt(&stub, &plan, &a));
	check_ids(a, 0, pid, pid);
	{
		CLEANUP(batch_end) struct batch b = {0};

		batch_begin(&b, a, 0);
		batch_add(&b, SYS_mprotect, IMM(map[0]), IMM(4096), IMM(1));
		must(batch_run(&b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_half_a_tree_dies),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_nobody_comes),
		cmocka_unit_test(test_inject_into_stub),
		cmocka_unit_test(test_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
