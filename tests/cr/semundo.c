/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Semaphores that a process gives back when it ends (SEM_UNDO): taken and raised, of several sets,
 * also by one that has taken all there was, and nearly as far as a semaphore goes (SEMVMX).
 */
#include "cr.h"

#include <sys/sem.h>

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

static int take_all(void)
{
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
	struct child one, all, much;

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
	check(semctl(a, 0, IPC_RMID) == 0 && semctl(b, 0, IPC_RMID) == 0);
	return ok();
}
