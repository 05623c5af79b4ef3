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

int main(void)
{
	struct child users = child_start(make_users, NULL), clocks = child_start(make_clocks, NULL);

	say("expect: it is in another user namespace than the first task\n");
	say("expect: it is in another time namespace than the first task\n");
	ready();
	child_go(&users);
	child_go(&clocks);
	return ok();
}
