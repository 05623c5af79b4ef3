/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every program of tests/cr does:
 *
 *	int main(void)
 *	{
 *		... make the state ...
 *		ready();		// here it is dumped and restored, once or several times
 *		check(getsid(0) == sid, "session %d", getsid(0));
 *		return ok();
 *	}
 *
 * The runner (run.c) reads "ready" from our stdout, dumps and restores us while we read stdin, then
 * writes a byte there, and reads "ok" or the failure.  Both are outside of the tree: externals.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Ends the whole program with a reason. */
#define check(cond, ...)                                                                           \
	do {                                                                                       \
		if (!(cond))                                                                       \
			fail_at(__FILE__, __LINE__, #cond, ##__VA_ARGS__, NULL);                   \
	} while (0)

static inline void say(const char *text)
{
	if (write(1, text, strlen(text)) < 0)
		_exit(3);
}

__attribute__((noreturn, unused)) static void fail_at(const char *file, int line, const char *cond,
						      ...)
{
	char why[256] = "", text[512];
	va_list ap;
	const char *fmt;

	va_start(ap, cond);
	fmt = va_arg(ap, const char *);
	if (fmt)
		vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	snprintf(text, sizeof(text), "failed: %s:%d: %s: %s\n", file, line, cond, why);
	say(text);
	_exit(1);
}

/* Only for tests that cannot be made here. */
__attribute__((noreturn, unused)) static void skip(const char *why)
{
	char text[256];

	snprintf(text, sizeof(text), "skip: %s\n", why);
	say(text);
	_exit(77);
}

__attribute__((unused)) static void ready(void)
{
	char c;
	ssize_t n;

	say("ready\n");
	n = read(0, &c, 1);
	if (n != 1) {
		char text[64];

		snprintf(text, sizeof(text), "failed: read of stdin gave %zd, errno %d\n", n,
			 errno);
		say(text);
		_exit(1);
	}
}

__attribute__((unused)) static int ok(void)
{
	say("ok\n");
	return 0;
}

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* One line of /proc/self/status, without the name; static buffer. */
__attribute__((unused)) static const char *status_line(const char *name)
{
	static char line[4096];
	size_t len = strlen(name);
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ':') {
			fclose(f);
			line[strcspn(line, "\n")] = 0;
			return line + len + 1 + strspn(line + len + 1, " \t");
		}
	if (f)
		fclose(f);
	return "";
}

/* A child that does FN when told to and exits with its result: tell with child_go(). */
struct child {
	pid_t pid;
	int to, from;
};

__attribute__((unused)) static struct child child_start(int (*make)(void), int (*verify)(void))
{
	struct child c;
	int to[2], from[2];
	char b;

	check(pipe(to) == 0 && pipe(from) == 0);
	c.pid = fork();
	check(c.pid >= 0);
	if (c.pid == 0) {
		close(to[1]);
		close(from[0]);
		if (make && make() != 0)
			_exit(2);
		if (write(from[1], "r", 1) != 1 || read(to[0], &b, 1) != 1)
			_exit(3);
		_exit(verify ? verify() : 0);
	}
	close(to[0]);
	close(from[1]);
	c.to = to[1];
	c.from = from[0];
	check(read(c.from, &b, 1) == 1, "child did not get ready");
	return c;
}

__attribute__((unused)) static void child_go(struct child *c)
{
	int status;

	check(write(c->to, "g", 1) == 1);
	check(waitpid(c->pid, &status, 0) == c->pid, "errno %d", errno);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child status %#x", status);
}
