/* SPDX-License-Identifier: Apache-2.0 */
/* Targets for the tests of the agent: forked children that do one thing. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/batch.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define must(expr)                                                                                 \
	do {                                                                                       \
		int must_ = (expr);                                                                \
		if (must_ < 0)                                                                     \
			fail_msg("%s: %s", #expr, err_message());                                  \
	} while (0)

struct target {
	pid_t pid;
	int say; /* the child writes, we read */
	int ask; /* we write, the child reads */
};

typedef int target_fn(int say, int ask);

/* The child runs FN and exits with its result; it dies with us. */
static inline struct target target_start(target_fn *fn)
{
	int up[2], down[2];
	struct target t;

	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	assert_int_equal(pipe2(down, O_CLOEXEC), 0);
	t.pid = fork();
	assert_true(t.pid >= 0);
	if (t.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(up[0]);
		close(down[1]);
		_exit(fn(up[1], down[0]));
	}
	close(up[1]);
	close(down[0]);
	t.say = up[0];
	t.ask = down[1];
	return t;
}

/* Waits for one byte from the target. */
static inline void target_expect(const struct target *t, char c)
{
	struct pollfd p = {.fd = t->say, .events = POLLIN};
	char got = 0;

	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(read(t->say, &got, 1), 1);
	assert_int_equal(got, c);
}

static inline void target_tell(const struct target *t, char c)
{
	assert_int_equal(write(t->ask, &c, 1), 1);
}

static inline int target_end(struct target *t)
{
	int status = 0;

	assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
	close(t->say);
	close(t->ask);
	return status;
}

static inline void assert_left_with(struct target *t, int code)
{
	int status = target_end(t);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
		fail_msg("target ended with %#x", status);
}

static inline int reads(int say, int ask)
{
	char c = 0;

	if (write(say, "r", 1) != 1 || read(ask, &c, 1) != 1)
		return 1;
	return c == 'x' ? 0 : 2;
}

#define ALLOW(nr)                                                                                  \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static inline int reads_under_filter(int say, int ask)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_read),
		ALLOW(SYS_write),
		ALLOW(SYS_exit_group),
		ALLOW(SYS_rt_sigreturn),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog prog = {ARRAY_SIZE(f), f};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		return 1;
	/* Nothing else would be let through by the filter. */
	syscall(SYS_exit_group, reads(say, ask));
	return 9;
}

/* Waits until the target sleeps inside of system call NR. */
static inline void target_wait_in(const struct target *t, long nr)
{
	char path[64], buf[64];
	long got = -1;

	snprintf(path, sizeof(path), "/proc/%d/syscall", t->pid);
	for (int i = 0; i < 2000 && got != nr; i++) {
		FILE *f = fopen(path, "re");

		got = -1;
		if (f && fgets(buf, sizeof(buf), f))
			sscanf(buf, "%ld", &got);
		if (f)
			fclose(f);
		if (got != nr)
			usleep(1000);
	}
	assert_int_equal(got, nr);
}

/* Where agents are, and the program has nothing. */
static inline bool has_mailbox(pid_t pid)
{
	g_autofree char *text = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	must(file_read_at(AT_FDCWD, path, 1 << 20, &text, NULL));
	return strstr(text, "\n200000");
}

/* For arrays of four: CLEANUP(batches_end) struct batch b[4] */
static inline void batches_end(struct batch (*b)[4])
{
	for (unsigned i = 0; i < 4; i++)
		batch_end(&(*b)[i]);
}
