/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bells that ring by themselves when we are gone.
 *
 * A thread tells the kernel of one list of futexes that it owns (set_robust_list(2)).  However it
 * ends, the kernel walks the list, and where it finds the thread's id it puts FUTEX_OWNER_DIED and
 * wakes a waiter (kernel/futex/core.c: exit_robust_list()), early in do_exit(): while tasks that
 * it traces are still traced.  The C library has put its own list there, for robust mutexes that
 * nobody here uses; ours takes its place while there are agents.
 *
 * The links lie in mailboxes, which are not ours alone, so they are written but never read.  The
 * kernel reads them; the worst that a forged one does is one changed word in a process that ends.
 */
#include "agent/private.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>

/* The kernel gives up on longer lists: ROBUST_LIST_LIMIT 2048. */
#define BELLS_MAX 2000

static_assert(offsetof(struct slot, robust_next) == 0, "struct robust_list is the slot's start");

static _Thread_local struct {
	struct robust_list_head head;
	void *libc_head;
	size_t libc_len;
	pid_t tid; /* whom it was registered for: a forked child has a copy, but not the list */
	struct slot *bells[BELLS_MAX];
	unsigned n;
} mine;

static int take_list(pid_t tid)
{
	mine.n = 0;
	mine.head.list.next = &mine.head.list;
	mine.head.futex_offset = offsetof(struct slot, bell);
	mine.head.list_op_pending = NULL;
	if (syscall(SYS_get_robust_list, 0, &mine.libc_head, &mine.libc_len) < 0 ||
	    syscall(SYS_set_robust_list, &mine.head, sizeof(mine.head)) < 0)
		return err_errno("registering robust futexes");
	mine.tid = tid;
	return 0;
}

static void link_after(unsigned i, void *next)
{
	struct robust_list *node =
		i ? (struct robust_list *)&mine.bells[i - 1]->robust_next : &mine.head.list;

	__atomic_store_n(&node->next, next, __ATOMIC_RELEASE);
}

void bell_init(struct slot *shm)
{
	shm->bell = BELL_WAITERS | (uint32_t)syscall(SYS_gettid);
}

int bell_own(struct slot *shm)
{
	pid_t tid = (pid_t)syscall(SYS_gettid);
	int r;

	if (mine.tid != tid) {
		r = take_list(tid);
		if (r < 0)
			return r;
	}
	if (mine.n == BELLS_MAX)
		return err_set(E2BIG, "more than %u processes at once", BELLS_MAX);
	bell_init(shm);
	/* At the end, the new one first: the list is whole at every instant. */
	__atomic_store_n(&shm->robust_next, (uint64_t)&mine.head.list, __ATOMIC_RELEASE);
	link_after(mine.n, &shm->robust_next);
	mine.bells[mine.n++] = shm;
	return 0;
}

void bell_disown(struct slot *shm)
{
	unsigned i = 0;

	if (mine.tid != (pid_t)syscall(SYS_gettid))
		return;
	while (i < mine.n && mine.bells[i] != shm)
		i++;
	if (i == mine.n)
		return;
	link_after(i, i + 1 < mine.n ? (void *)&mine.bells[i + 1]->robust_next
				     : (void *)&mine.head.list);
	mine.n--;
	for (; i < mine.n; i++)
		mine.bells[i] = mine.bells[i + 1];
	if (mine.n == 0) {
		syscall(SYS_set_robust_list, mine.libc_head, mine.libc_len);
		mine.tid = 0;
	}
}
