/* SPDX-License-Identifier: Apache-2.0 */
/* many KIND N READY: a tree with N of one kind; makes the file READY and waits.  For scale.py. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SPARE 500 /* descriptors that are left to others */

static void fail(const char *what)
{
	fprintf(stderr, "many: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void threads(long n)
{
	pthread_attr_t a;
	pthread_t t;

	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 65536);
	for (long i = 1; i < n; i++)
		if ((errno = pthread_create(&t, &a, wait_for_ever, NULL)))
			fail("pthread_create");
}

static void fork_one(void (*fn)(long), long n)
{
	int p[2];
	char c;
	pid_t pid;

	if (pipe(p) < 0 || (pid = fork()) < 0)
		fail("fork");
	if (pid == 0) {
		close(p[0]);
		fn(n);
		if (write(p[1], "r", 1) != 1)
			exit(1);
		close(p[1]);
		wait_for_ever(NULL);
	}
	close(p[1]);
	if (read(p[0], &c, 1) != 1)
		exit(1);
	close(p[0]);
}

static void nothing(long n)
{
}

static void processes(long n)
{
	for (long i = 1; i < n; i++)
		fork_one(nothing, 0);
}

static void open_some(long n)
{
	for (long i = 0; i < n; i++)
		if (eventfd((unsigned)i, 0) < 0)
			fail("eventfd");
}

/* As many as one process may have, the rest in children. */
static void descriptors(long n)
{
	struct rlimit l;
	long max;

	getrlimit(RLIMIT_NOFILE, &l);
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
	max = (long)l.rlim_max - SPARE;
	for (; n > max; n -= max)
		fork_one(open_some, max);
	open_some(n);
}

/* Neighbours differ, so that they stay apart; each has one page of its own. */
static void mappings(long n)
{
	for (long i = 0; i < n; i++) {
		char *p = mmap(NULL, 8192,
			       i % 2 ? PROT_READ | PROT_WRITE : PROT_READ | PROT_WRITE | PROT_EXEC,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			fail("mmap");
		*p = (char)i;
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(long);
	} kinds[] = {{"threads", threads},
		     {"processes", processes},
		     {"descriptors", descriptors},
		     {"mappings", mappings}};

	for (unsigned i = 0; argc == 4 && i < sizeof(kinds) / sizeof(*kinds); i++) {
		FILE *f;

		if (strcmp(kinds[i].name, argv[1]))
			continue;
		kinds[i].fn(atol(argv[2]));
		f = fopen(argv[3], "we");
		if (!f)
			fail(argv[3]);
		fclose(f);
		wait_for_ever(NULL);
	}
	return 2;
}
