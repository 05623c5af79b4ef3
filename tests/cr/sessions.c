/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions and process groups, with leaders alive and dead. */
#include "cr.h"

#include <sys/prctl.h>

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

/* A child of ours by adoption, of a session whose leader has ended. */
static pid_t adopt(int *ret_to)
{
	int to[2], from[2], status;
	pid_t leader, orphan = 0;

	check(pipe(to) == 0 && pipe(from) == 0);
	leader = fork();
	if (leader == 0) {
		char b;

		setsid();
		if (fork() != 0)
			_exit(0);
		note();
		orphan = getpid();
		check(write(from[1], &orphan, sizeof(orphan)) == sizeof(orphan));
		_exit(read(to[0], &b, 1) == 1 ? same() : 12);
	}
	check(waitpid(leader, &status, 0) == leader);
	check(read(from[0], &orphan, sizeof(orphan)) == sizeof(orphan));
	check(getsid(orphan) == leader);
	*ret_to = to[1];
	return orphan;
}

static void check_adopted(pid_t orphan, int to)
{
	int status = -1;

	check(write(to, "g", 1) == 1);
	check(waitpid(orphan, &status, 0) == orphan && status == 0, "errno %d, status %#x", errno,
	      status);
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
	pid_t orphan;
	int to_orphan;

	prctl(PR_SET_CHILD_SUBREAPER, 1); /* unless we are its init anyway */
	orphan = adopt(&to_orphan);
	child_go(&dead);
	note();
	ready();
	child_go(&a);
	child_go(&c);
	child_go(&d);
	child_go(&b);
	child_go(&e);
	check_adopted(orphan, to_orphan);
	check(same() == 0, "ours: session %d group %d", getsid(0), getpgid(0));
	return ok();
}
