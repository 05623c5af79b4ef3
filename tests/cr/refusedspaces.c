/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces inside that cannot be made again: users, clocks. */
#include "cr.h"

#include <sched.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static int make_users(void)
{
	return unshare(CLONE_NEWUSER);
}

static int make_clocks(void)
{
	int fd;

	if (unshare(CLONE_NEWTIME) < 0)
		return -1;
	fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	return setns(fd, CLONE_NEWTIME) < 0 ? -1 : close(fd);
}

static int make_clocks_of_children(void)
{
	return unshare(CLONE_NEWTIME);
}

int main(void)
{
	struct child users = child_start(make_users, NULL), clocks = child_start(make_clocks, NULL);
	struct child later = child_start(make_clocks_of_children, NULL);

	say("expect: it is in another user namespace than the first task\n");
	say("expect: it is in another time namespace than the first task\n");
	say("expect: its children go to another time namespace\n");
	ready();
	child_go(&users);
	child_go(&clocks);
	child_go(&later);
	return ok();
}
