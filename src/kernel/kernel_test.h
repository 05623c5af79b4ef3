/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of this room: cmocka in its order, fixtures, and real children to look at. */
#pragma once

#include "base/err.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
/* cmocka wants the above first */
#include <cmocka.h>

#define assert_ok(expr)                                                                            \
	do {                                                                                       \
		int ok_r_ = (expr);                                                                \
		if (ok_r_ < 0)                                                                     \
			fail_msg("%s: %s", #expr, err_message());                                  \
	} while (0)

/* A captured directory: one file with TEXT, as the readers take it. */
static inline int fixture(const char *name, const char *text)
{
	char path[] = "/tmp/kernel_test.XXXXXX";
	int dir;

	assert_non_null(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0);
	if (strchr(name, '/')) {
		g_autofree char *sub = g_strndup(name, (gsize)(strchr(name, '/') - name));

		assert_int_equal(mkdirat(dir, sub, 0700), 0);
	}
	assert_ok(file_replace_at(dir, name, text, strlen(text), 0600));
	return dir;
}

static inline void fixture_drop(int *dir)
{
	char path[64], *real;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", *dir);
	real = realpath(path, NULL);
	close(*dir);
	assert_non_null(real);
	assert_ok(file_remove_tree_at(AT_FDCWD, real));
	free(real);
}
#define CLEANUP_FIXTURE CLEANUP(fixture_drop)

/*
 * A child that runs SETUP, says so, and stays until child_end(), or until we die.
 */
struct child {
	pid_t pid;
	int sock;
};

static inline struct child child_start(void (*setup)(void *), void *arg)
{
	struct child c;
	int sv[2];
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	c.pid = fork();
	assert_true(c.pid >= 0);
	if (c.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(sv[0]);
		if (setup)
			setup(arg);
		if (write(sv[1], "r", 1) != 1 || read(sv[1], &byte, 1) != 0)
			_exit(1);
		_exit(0);
	}
	close(sv[1]);
	c.sock = sv[0];
	assert_int_equal(read(c.sock, &byte, 1), 1);
	return c;
}

static inline void child_end(struct child *c)
{
	close(c->sock);
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
}
#define CLEANUP_CHILD CLEANUP(child_end)
