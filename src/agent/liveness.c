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
 * The kernel gives up on lists that are too long.  More bells than one list has belong to threads
 * that do nothing else but end with us; those may ring when the tasks are traced no more.
 *
 * The links lie in mailboxes, which are not ours alone, so they are written but never read.  The
 * kernel reads them; the worst that a forged one does is one changed word in a process that ends.
 */
#include "agent/private.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define BELLS_MAX 2000 /* ROBUST_LIST_LIMIT is 2048 */

static_assert(offsetof(struct slot, robust_next) == 0, "struct robust_list is the slot's start");

struct owner {
	struct robust_list_head head;
	void *libc_head;
	size_t libc_len;
	pid_t tid; /* whom it was registered for: a forked child has a copy, but not the list */
	struct slot *bells[BELLS_MAX];
	unsigned n;
	struct owner *next; /* more of them */
	/* one that is a thread for that alone */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int result; /* 1: it has not told yet; 0; -errno */
	bool over;
};
static _Thread_local struct owner mine;

static int take_list(struct owner *o)
{
	o->n = 0;
	o->head.list.next = &o->head.list;
	o->head.futex_offset = offsetof(struct slot, bell);
	o->head.list_op_pending = NULL;
	if (syscall(SYS_get_robust_list, 0, &o->libc_head, &o->libc_len) < 0 ||
	    syscall(SYS_set_robust_list, &o->head, sizeof(o->head)) < 0)
		return -errno;
	o->tid = (pid_t)syscall(SYS_gettid);
	return 0;
}

static void *hold(void *arg)
{
	struct owner *o = arg;
	int r = take_list(o);

	pthread_mutex_lock(&o->lock);
	o->result = r;
	pthread_cond_broadcast(&o->changed);
	while (!o->over)
		pthread_cond_wait(&o->changed, &o->lock);
	pthread_mutex_unlock(&o->lock);
	syscall(SYS_set_robust_list, o->libc_head, o->libc_len);
	return NULL;
}

static void holder_end(struct owner *o)
{
	pthread_mutex_lock(&o->lock);
	o->over = true;
	pthread_cond_broadcast(&o->changed);
	pthread_mutex_unlock(&o->lock);
	pthread_join(o->thread, NULL);
	free(o);
}

static int holder_new(struct owner **ret)
{
	struct owner *o = g_new0(struct owner, 1);
	sigset_t all, was;
	int r;

	o->result = 1;
	pthread_mutex_init(&o->lock, NULL);
	pthread_cond_init(&o->changed, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	r = -pthread_create(&o->thread, NULL, hold, o);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	if (r < 0) {
		free(o);
		return err_code(r, "a thread that watches over more processes");
	}
	pthread_mutex_lock(&o->lock);
	while (o->result == 1)
		pthread_cond_wait(&o->changed, &o->lock);
	r = o->result;
	pthread_mutex_unlock(&o->lock);
	if (r < 0) {
		holder_end(o);
		return err_code(r, "registering robust futexes");
	}
	*ret = o;
	return 0;
}

static void link_after(struct owner *o, unsigned i, void *next)
{
	struct robust_list *node =
		i ? (struct robust_list *)&o->bells[i - 1]->robust_next : &o->head.list;

	__atomic_store_n(&node->next, next, __ATOMIC_RELEASE);
}

void bell_init(struct slot *shm, pid_t owner)
{
	shm->bell = BELL_WAITERS | (uint32_t)owner;
}

/* The first that has room. */
static int find_owner(struct owner **ret)
{
	struct owner *o = &mine;

	while (o->n == BELLS_MAX) {
		int r = o->next ? 0 : holder_new(&o->next);

		if (r < 0)
			return r;
		o = o->next;
	}
	*ret = o;
	return 0;
}

int bell_own(struct slot *shm)
{
	pid_t tid = (pid_t)syscall(SYS_gettid);
	struct owner *o;
	int r;

	if (mine.tid != tid) {
		mine.next = NULL;
		r = take_list(&mine);
		if (r < 0)
			return err_code(r, "registering robust futexes");
	}
	r = find_owner(&o);
	if (r < 0)
		return r;
	shm->bell = BELL_WAITERS | (uint32_t)o->tid;
	/* At the end, the new one first: the list is whole at every instant. */
	__atomic_store_n(&shm->robust_next, (uint64_t)&o->head.list, __ATOMIC_RELEASE);
	link_after(o, o->n, &shm->robust_next);
	o->bells[o->n++] = shm;
	return 0;
}

static bool take_out(struct owner *o, const struct slot *shm)
{
	unsigned i = 0;

	while (i < o->n && o->bells[i] != shm)
		i++;
	if (i == o->n)
		return false;
	link_after(o, i,
		   i + 1 < o->n ? (void *)&o->bells[i + 1]->robust_next : (void *)&o->head.list);
	o->n--;
	for (; i < o->n; i++)
		o->bells[i] = o->bells[i + 1];
	return true;
}

void bell_disown(struct slot *shm)
{
	if (mine.tid != (pid_t)syscall(SYS_gettid))
		return;
	for (struct owner *o = &mine, **at = NULL; o; at = &o->next, o = o->next) {
		if (!take_out(o, shm))
			continue;
		if (o->n == 0 && at) {
			*at = o->next;
			holder_end(o);
		}
		break;
	}
	if (mine.n == 0 && !mine.next) {
		syscall(SYS_set_robust_list, mine.libc_head, mine.libc_len);
		mine.tid = 0;
	}
}
