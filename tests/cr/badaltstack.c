/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alternate signal stacks that no signal could use: gone, without any access, only for reading, and
 * with a last page beyond the end of its file.  Nobody notices before a signal comes for them.
 */
#include "cr.h"

#define SIZE 65536

static void *memory(int prot)
{
	void *p = mmap(NULL, SIZE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(p != MAP_FAILED);
	return p;
}

static void *gone(void)
{
	void *p = memory(PROT_READ | PROT_WRITE);

	check(munmap(p, SIZE) == 0);
	return p;
}

static void *closed(void)
{
	return memory(PROT_NONE);
}

static void *reading(void)
{
	return memory(PROT_READ);
}

static void *beyond(void)
{
	int fd = memfd_create("short", MFD_CLOEXEC);
	void *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	check(p != MAP_FAILED && ftruncate(fd, SIZE / 2) == 0 && close(fd) == 0);
	return p;
}

static void has(const char *which, const stack_t *ss)
{
	stack_t now;

	check(sigaltstack(NULL, &now) == 0);
	check(now.ss_sp == ss->ss_sp && now.ss_size == ss->ss_size && now.ss_flags == 0, "%s",
	      which);
}

static const struct {
	const char *name;
	void *(*make)(void);
} kinds[] = {{"gone", gone}, {"closed", closed}, {"reading", reading}, {"beyond", beyond}};

int main(void)
{
	int ask[2], answer[2];
	pid_t pids[ARRAY_SIZE(kinds)];
	char c;

	check(pipe(ask) == 0 && pipe(answer) == 0);
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		stack_t ss = {.ss_sp = kinds[i].make(), .ss_size = SIZE};

		check(sigaltstack(&ss, NULL) == 0);
		pids[i] = fork();
		if (pids[i] == 0) {
			check(write(answer[1], "r", 1) == 1 && read(ask[0], &c, 1) == 1);
			has(kinds[i].name, &ss);
			_exit(0);
		}
		check(read(answer[0], &c, 1) == 1);
	}
	ready();
	check(write(ask[1], "....", ARRAY_SIZE(kinds)) == ARRAY_SIZE(kinds));
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		int status;

		check(waitpid(pids[i], &status, 0) == pids[i] && status == 0, "%s: status %#x",
		      kinds[i].name, status);
	}
	return ok();
}
