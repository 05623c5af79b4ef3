/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small per-process settings: name, parent death signal, subreaper, dumpable, timer slack, THP,
 * who is killed when memory ends; the command line and the environment.
 */
#include "cr.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static int pdeath_make(void)
{
	return prctl(PR_SET_PDEATHSIG, SIGUSR2);
}

static int pdeath_verify(void)
{
	int sig = 0;

	prctl(PR_GET_PDEATHSIG, &sig);
	return sig == SIGUSR2 ? 0 : 10;
}

static void read_all(const char *path, char *b, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, b, len - 1);

	check(n >= 0, "%s: errno %d", path, errno);
	for (ssize_t i = 0; i < n; i++)
		b[i] = b[i] ? b[i] : ' ';
	b[n] = 0;
	close(fd);
}

int main(void)
{
	static char line[2][4096], env[2][65536], oom[16];
	struct child c = child_start(pdeath_make, pdeath_verify);
	char name[16];
	int v;

	v = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	check(v >= 0 && write(v, "321", 3) == 3, "errno %d", errno);
	close(v);
	read_all("/proc/self/cmdline", line[0], sizeof(line[0]));
	read_all("/proc/self/environ", env[0], sizeof(env[0]));
	prctl(PR_SET_NAME, "odd (name) x");
	check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	check(prctl(PR_SET_TIMERSLACK, 123456) == 0);
	check(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
	check(prctl(PR_SET_DUMPABLE, 0) == 0);
	setpriority(PRIO_PROCESS, 0, 5);
	ready();
	read_all("/proc/self/cmdline", line[1], sizeof(line[1]));
	read_all("/proc/self/environ", env[1], sizeof(env[1]));
	read_all("/proc/self/oom_score_adj", oom, sizeof(oom));
	check(strcmp(line[0], line[1]) == 0, "%s was %s", line[1], line[0]);
	check(strcmp(env[0], env[1]) == 0, "%s was %s", env[1], env[0]);
	check(strcmp(oom, "321\n") == 0, "%s", oom);
	check(prctl(PR_GET_NAME, name) == 0 && !strcmp(name, "odd (name) x"), "%s", name);
	check(prctl(PR_GET_CHILD_SUBREAPER, &v) == 0 && v == 1);
	check(prctl(PR_GET_TIMERSLACK) == 123456, "%d", prctl(PR_GET_TIMERSLACK));
	check(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1);
	check(prctl(PR_GET_DUMPABLE) == 0);
	check(getpriority(PRIO_PROCESS, 0) == 5);
	child_go(&c);
	return ok();
}
