/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Semaphores that a process gives back when it ends (SEM_UNDO): taken and raised, of several sets,
 * also by one that has taken all there was, and nearly as far as a semaphore goes (SEMVMX); by one
 * who may not look at all semaphores that there are, of another user.
 */
#include "cr.h"

#include <linux/capability.h>
#include <sys/sem.h>
#include <sys/syscall.h>

#define KEY 0x5e3a

static int a, b;

static void op(int set, int sem, int by, int flags)
{
	struct sembuf s = {(unsigned short)sem, (short)by, (short)flags};

	check(semop(set, &s, 1) == 0, "errno %d", errno);
}

static int take(void)
{
	op(a, 0, -2, SEM_UNDO);
	op(a, 1, 4, SEM_UNDO);
	op(b, 0, -1, SEM_UNDO);
	return 0;
}

static int anothers(void)
{
	int c;

	check(setgid(1000) == 0 && setuid(1000) == 0);
	c = semget(KEY, 1, IPC_CREAT | IPC_EXCL | 0600);
	check(c >= 0, "errno %d", errno);
	op(c, 0, 4, 0);
	op(c, 0, -1, SEM_UNDO);
	return 0;
}

static int take_all(void)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];

	check(syscall(SYS_capget, &h, d) == 0);
	d[0].effective &= ~(1u << CAP_IPC_OWNER);
	d[0].permitted &= ~(1u << CAP_IPC_OWNER);
	check(syscall(SYS_capset, &h, d) == 0);
	op(a, 0, -3, SEM_UNDO);
	op(a, 2, -1, SEM_UNDO);
	op(a, 2, 1, SEM_UNDO); /* nothing is left of this */
	return 0;
}

static int raise_much(void)
{
	op(b, 1, 20000, SEM_UNDO);
	return 0;
}

static void values(int a0, int a1, int a2, int b0)
{
	check(semctl(a, 0, GETVAL) == a0, "%d", semctl(a, 0, GETVAL));
	check(semctl(a, 1, GETVAL) == a1, "%d", semctl(a, 1, GETVAL));
	check(semctl(a, 2, GETVAL) == a2, "%d", semctl(a, 2, GETVAL));
	check(semctl(b, 0, GETVAL) == b0, "%d", semctl(b, 0, GETVAL));
}

int main(void)
{
	struct child one, all, much, other;
	int c;

	a = semget(IPC_PRIVATE, 3, 0600);
	b = semget(IPC_PRIVATE, 2, 0600);
	check(a >= 0 && b >= 0);
	op(a, 0, 5, 0);
	op(a, 2, 7, 0);
	op(b, 0, 1, 0);
	op(b, 1, 12000, 0);
	one = child_start(take, NULL);
	all = child_start(take_all, NULL);
	much = child_start(raise_much, NULL);
	other = child_start(anothers, NULL);
	op(a, 1, -3, 0); /* of what the child has raised */
	ready();
	values(0, 1, 7, 0);
	child_go(&one);
	values(2, 0, 7, 1);
	child_go(&all);
	values(5, 0, 7, 1);
	check(semctl(b, 1, GETVAL) == 32000, "%d", semctl(b, 1, GETVAL));
	child_go(&much);
	check(semctl(b, 1, GETVAL) == 12000, "%d", semctl(b, 1, GETVAL));
	c = semget(KEY, 0, 0);
	check(c >= 0 && semctl(c, 0, GETVAL) == 3, "%d: %d", c, semctl(c, 0, GETVAL));
	child_go(&other);
	check(semctl(c, 0, GETVAL) == 4 && semctl(c, 0, IPC_RMID) == 0);
	check(semctl(a, 0, IPC_RMID) == 0 && semctl(b, 0, IPC_RMID) == 0);
	return ok();
}
