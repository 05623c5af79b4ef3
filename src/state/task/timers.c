/* SPDX-License-Identifier: Apache-2.0 */
#include "state/task/task.h"

#include "kernel/procmisc.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <time.h>

#define PR_TIMER_CREATE_RESTORE_IDS_	 77 /* Linux 6.16 */
#define PR_TIMER_CREATE_RESTORE_IDS_OFF_ 0
#define PR_TIMER_CREATE_RESTORE_IDS_ON_	 1
#define TIMERS_MAX			 65536
#define SIGEV_THREAD_ID_		 4

struct ksigevent { /* struct sigevent of the kernel, 64 bytes */
	uint64_t value;
	int signo, notify, tid;
	int pad[11];
};

static ItimerEntry *itimer_message(const struct itimerval *v)
{
	ItimerEntry *e = g_new0(ItimerEntry, 1);

	itimer_entry__init(e);
	e->isec = (uint64_t)v->it_interval.tv_sec;
	e->iusec = (uint64_t)v->it_interval.tv_usec;
	e->vsec = (uint64_t)v->it_value.tv_sec;
	e->vusec = (uint64_t)v->it_value.tv_usec;
	return e;
}

static int posix_dump(struct dtask *t, TaskTimersEntry *e)
{
	g_autofree struct proc_timer *v = NULL;
	g_autofree struct itimerspec *left = NULL;
	g_autofree int *overrun = NULL;
	CLEANUP(batch_end) struct batch b = {0};
	size_t n = 0;
	int r = proc_timers(t->proc.dir, &v, &n);

	if (r < 0 || n == 0)
		return r == -ENOENT ? 0 : r;
	left = g_new0(struct itimerspec, n);
	overrun = g_new0(int, n);
	dtask_batch(t, &b);
	for (size_t i = 0; i < n; i++) {
		batch_add(&b, SYS_timer_gettime, IMM(v[i].id),
			  batch_out(&b, &left[i], sizeof(left[i])));
		overrun[i] = batch_add(&b, SYS_timer_getoverrun, IMM(v[i].id));
	}
	r = batch_run(&b);
	if (r < 0)
		return r;
	e->posix = g_new0(PosixTimerEntry *, n);
	for (size_t i = 0; i < n; i++) {
		PosixTimerEntry *p = g_new0(PosixTimerEntry, 1);

		posix_timer_entry__init(p);
		e->posix[e->n_posix++] = p;
		p->it_id = (uint32_t)v[i].id;
		p->clock_id = (uint32_t)v[i].clockid;
		p->si_signo = (uint32_t)v[i].signal;
		p->it_sigev_notify = (uint32_t)v[i].notify;
		p->sival_ptr = v[i].sigev_value;
		p->overrun = (uint32_t)batch_result(&b, overrun[i]);
		p->isec = (uint64_t)left[i].it_interval.tv_sec;
		p->insec = (uint64_t)left[i].it_interval.tv_nsec;
		p->vsec = (uint64_t)left[i].it_value.tv_sec;
		p->vnsec = (uint64_t)left[i].it_value.tv_nsec;
		for (unsigned k = 0; v[i].tid && k < t->nthreads; k++)
			if (t->threads[k].tid == v[i].tid) {
				p->has_notify_thread_id = true;
				p->notify_thread_id = t->threads[k].nstid;
			}
	}
	return 0;
}

int timers_dump(struct dump *d, struct dtask *t)
{
	struct itimerval it[3];
	CLEANUP(batch_end) struct batch b = {0};
	TaskTimersEntry *e;
	int r;

	dtask_batch(t, &b);
	for (int i = 0; i < 3; i++)
		batch_add(&b, SYS_getitimer, IMM(i), batch_out(&b, &it[i], sizeof(it[i])));
	r = batch_run(&b);
	if (r < 0)
		return r;
	t->core->tc->timers = e = g_new0(TaskTimersEntry, 1);
	task_timers_entry__init(e);
	e->real = itimer_message(&it[ITIMER_REAL]);
	e->virt = itimer_message(&it[ITIMER_VIRTUAL]);
	e->prof = itimer_message(&it[ITIMER_PROF]);
	return posix_dump(t, e);
}

/*
 * ITIMER_REAL that has fired stands still until its SIGALRM is taken (kernel/signal.c:
 * dequeue_signal() starts it again): it is seen with an interval and no time left.  The signal is
 * among the pending ones; the timer goes on behind it.
 */
static void itimer_restore(struct batch *b, int which, const ItimerEntry *e)
{
	struct itimerval v = {.it_interval = {(time_t)e->isec, (suseconds_t)e->iusec},
			      .it_value = {(time_t)e->vsec, (suseconds_t)e->vusec}};

	if (which == ITIMER_REAL && !e->vsec && !e->vusec)
		v.it_value = v.it_interval;
	if (v.it_value.tv_sec || v.it_value.tv_usec)
		batch_add(b, SYS_setitimer, IMM(which), batch_in(b, &v, sizeof(v)), IMM(0));
}

/*
 * With PR_TIMER_CREATE_RESTORE_IDS timer_create(2) takes the number from where it puts it; before
 * Linux 6.16 numbers only count up, so timers are made and deleted until the right one comes.
 */
static int create_timer(struct batch *b, const PosixTimerEntry *e, bool exact)
{
	struct ksigevent ev = {.value = e->sival_ptr,
			       .signo = (int)e->si_signo,
			       .notify = (int)e->it_sigev_notify,
			       .tid = e->has_notify_thread_id ? e->notify_thread_id : 0};
	int id = (int)e->it_id, got = -1, r;

	if (ev.tid)
		ev.notify |= SIGEV_THREAD_ID_;
	else if (ev.notify & SIGEV_THREAD_ID_) /* its thread has ended: it tells nobody */
		ev.notify = SIGEV_NONE;
	for (unsigned i = 0; i <= TIMERS_MAX; i++) {
		int want = exact ? id : 0;

		batch_room(b, 1, sizeof(ev) + 16);
		batch_add(b, SYS_timer_create, IMM((int32_t)e->clock_id),
			  batch_in(b, &ev, sizeof(ev)), batch_inout(b, &want, &got, sizeof(got)));
		r = batch_run(b);
		if (r < 0 || got == id)
			return r;
		if (exact || got > id)
			break;
		batch_add(b, SYS_timer_delete, IMM(got));
	}
	return err_set(EBUSY, "timer %d cannot be made: the kernel gives number %d", id, got);
}

static int posix_restore(struct batch *b, const TaskTimersEntry *e)
{
	int exact, r;

	if (e->n_posix > TIMERS_MAX)
		return err_set(EBADMSG, "%zu timers", e->n_posix);
	if (e->n_posix == 0)
		return 0;
	exact = batch_add(b, SYS_prctl, IMM(PR_TIMER_CREATE_RESTORE_IDS_),
			  IMM(PR_TIMER_CREATE_RESTORE_IDS_ON_));
	batch_may_fail(b, exact);
	r = batch_run(b);
	for (size_t i = 0; r == 0 && i < e->n_posix; i++) {
		const PosixTimerEntry *p = e->posix[i];
		struct itimerspec v = {.it_interval = {(time_t)p->isec, (long)p->insec},
				       .it_value = {(time_t)p->vsec, (long)p->vnsec}};

		r = create_timer(b, p, batch_result(b, exact) == 0);
		if (r == 0 && (p->vsec || p->vnsec))
			batch_add(b, SYS_timer_settime, IMM(p->it_id), IMM(0),
				  batch_in(b, &v, sizeof(v)), IMM(0));
	}
	batch_may_fail(b, batch_add(b, SYS_prctl, IMM(PR_TIMER_CREATE_RESTORE_IDS_),
				    IMM(PR_TIMER_CREATE_RESTORE_IDS_OFF_)));
	return r < 0 ? r : batch_run(b);
}

int timers_restore(struct restore *r, struct rtask *t)
{
	const TaskTimersEntry *e = t->core->tc->timers;
	CLEANUP(batch_end) struct batch b = {0};
	int ret;

	if (!e)
		return 0;
	rtask_batch(t, &b);
	itimer_restore(&b, ITIMER_REAL, e->real);
	itimer_restore(&b, ITIMER_VIRTUAL, e->virt);
	itimer_restore(&b, ITIMER_PROF, e->prof);
	ret = posix_restore(&b, e);
	return ret < 0 ? ret : batch_run(&b);
}
