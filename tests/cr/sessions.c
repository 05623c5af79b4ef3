/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions and process groups, with leaders alive and dead. */
#include "cr.h"

static pid_t sid, pgid;

static int note(void)
{
	sid = getsid(0);
	pgid = getpgid(0);
	return 0;
}

static int same(void)
{
	return getsid(0) == sid && getpgid(0) == pgid ? 0 : 10;
}

static int own_session(void)
{
	setsid();
	return note();
}

static int own_group(void)
{
	setpgid(0, 0);
	return note();
}

static struct child member;

static int leader_make(void)
{
	setsid();
	member = child_start(own_group, same);
	return note();
}

static int leader_verify(void)
{
	child_go(&member);
	return same();
}

static pid_t join;
static int join_group(void)
{
	return setpgid(0, join) || note();
}

int main(void)
{
	struct child a = child_start(own_session, same), b = child_start(own_group, same),
		     c = child_start(leader_make, leader_verify), d, dead;

	join = b.pid;
	d = child_start(join_group, same);
	/* a group whose leader is gone */
	dead = child_start(own_group, NULL);
	join = dead.pid;
	struct child e = child_start(join_group, same);

	child_go(&dead);
	note();
	ready();
	child_go(&a);
	child_go(&c);
	child_go(&d);
	child_go(&b);
	child_go(&e);
	check(same() == 0, "ours: session %d group %d", getsid(0), getpgid(0));
	return ok();
}
