/* SPDX-License-Identifier: Apache-2.0 */
/* Children and grandchildren keep their numbers, parents and exit codes. */
#include "cr.h"

static pid_t parent_was, me_was;

static int make_grandchild(void)
{
	me_was = getpid();
	parent_was = getppid();
	return 0;
}

static int same(void)
{
	return getpid() == me_was && getppid() == parent_was ? 0 : 10;
}

static struct child grand[3];

static int make(void)
{
	me_was = getpid();
	parent_was = getppid();
	for (size_t i = 0; i < ARRAY_SIZE(grand); i++)
		grand[i] = child_start(make_grandchild, same);
	return 0;
}

static int verify(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(grand); i++)
		child_go(&grand[i]);
	return same();
}

int main(void)
{
	struct child c[4];
	int status;

	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		c[i] = child_start(make, verify);
	ready();
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		child_go(&c[i]);
	check(wait(&status) == -1 && errno == ECHILD);
	return ok();
}
