/* SPDX-License-Identifier: Apache-2.0 */
#include "state/task/levels.h"
#include "state/task/task.h"

#include "kernel/procmisc.h"
#include "kernel/procstatus.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <time.h>

#define PR_TIMER_CREATE_RESTORE_IDS_	 77 /* Linux 6.15 */
#define PR_TIMER_CREATE_RESTORE_IDS_OFF_ 0
#define PR_TIMER_CREATE_RESTORE_IDS_ON_	 1
#define TIMERS_MAX			 65536
#define SIGEV_THREAD_ID_		 4
#define SIGNAL_BIT(sig)			 (UINT64_C(1) << ((sig)-1))

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

struct told {
	struct itimerval it[3];
	struct proc_timer *v;
	struct itimerspec *left;
	int *overrun; /* operations */
	size_t n;
	uint64_t pending; /* signals of the first thread and the process, after all that */
};

static int timers_ask(struct dthread *h, struct batch *b, void *data)
{
	struct told *t = data;
	int r = proc_timers(h->task->proc.dir, &t->v, &t->n);

	for (int i = 0; i < 3; i++)
		batch_add(b, SYS_getitimer, IMM(i), batch_out(b, &t->it[i], sizeof(t->it[i])));
	if (r < 0 && r != -ENOENT)
		return r;
	t->left = g_new0(struct itimerspec, t->n + 1);
	t->overrun = g_new0(int, t->n + 1);
	for (size_t i = 0; i < t->n; i++) {
		batch_add(b, SYS_timer_gettime, IMM(t->v[i].id),
			  batch_out(b, &t->left[i], sizeof(t->left[i])));
		t->overrun[i] = batch_add(b, SYS_timer_getoverrun, IMM(t->v[i].id));
	}
	/* agents have all signals blocked, so these are all that are pending */
	batch_add(b, SYS_rt_sigpending, batch_out(b, &t->pending, sizeof(t->pending)), IMM(8));
	return 0;
}

static void timers_clear(void *data)
{
	struct told *t = data;

	g_free(t->v);
	g_free(t->left);
	g_free(t->overrun);
}

static uint64_t signals_in(const SignalQueueEntry *q)
{
	uint64_t set = 0;
	int sig;

	for (size_t i = 0; q && i < q->n_signals; i++) {
		memcpy(&sig, q->signals[i]->siginfo.data, sizeof(sig));
		set |= SIGNAL_BIT(sig);
	}
	return set;
}

/*
 * What has become pending since the queues were read, which timers do that go on while all stand
 * still: a timer without an interval would have fired, and its signal be in no image.  It fires
 * once more, at once.
 */
static uint64_t late_signals(const struct dtask *task, const struct told *t)
{
	return t->pending & ~signals_in(task->core->tc->signals_s) &
	       ~signals_in(task->threads[0].core->thread_core->signals_p);
}

/* The same of another thread than the first. */
static uint64_t late_of_thread(const struct dtask *task, pid_t tid)
{
	CLEANUP(procstatus_clear) struct procstatus st = {0};

	for (unsigned i = 1; i < task->nthreads; i++)
		if (task->threads[i].tid == tid &&
		    procstatus_read_task(task->proc.dir, tid, &st) == 0)
			return st.sigpnd &
			       ~signals_in(task->threads[i].core->thread_core->signals_p);
	err_clear();
	return 0;
}

static bool fired_late(const struct dtask *task, const struct told *t, size_t i)
{
	const struct proc_timer *v = &t->v[i];
	const struct itimerspec *left = &t->left[i];
	uint64_t set;

	if ((v->notify & ~SIGEV_THREAD_ID_) == SIGEV_NONE || left->it_value.tv_sec ||
	    left->it_value.tv_nsec || left->it_interval.tv_sec || left->it_interval.tv_nsec)
		return false;
	set = v->tid && v->tid != task->threads[0].tid ? late_of_thread(task, v->tid)
						       : late_signals(task, t);
	return set & SIGNAL_BIT(v->signal);
}

static void itimer_late(ItimerEntry *e, uint64_t late, int sig)
{
	if (late & SIGNAL_BIT(sig) && !e->vsec && !e->vusec)
		e->vusec = 1;
}

static PosixTimerEntry *posix_message(const struct dtask *task, const struct answers *a, size_t i)
{
	const struct told *t = a->data;
	const struct proc_timer *v = &t->v[i];
	const struct itimerspec *left = &t->left[i];
	PosixTimerEntry *p = g_new0(PosixTimerEntry, 1);

	posix_timer_entry__init(p);
	p->it_id = (uint32_t)v->id;
	p->clock_id = (uint32_t)v->clockid;
	p->si_signo = (uint32_t)v->signal;
	p->it_sigev_notify = (uint32_t)v->notify;
	p->sival_ptr = v->sigev_value;
	p->overrun = (uint32_t)answer(a, t->overrun[i]);
	p->isec = (uint64_t)left->it_interval.tv_sec;
	p->insec = (uint64_t)left->it_interval.tv_nsec;
	p->vsec = (uint64_t)left->it_value.tv_sec;
	p->vnsec = (uint64_t)left->it_value.tv_nsec + fired_late(task, t, i);
	for (unsigned k = 0; v->tid && k < task->nthreads; k++)
		if (task->threads[k].tid == v->tid) {
			p->has_notify_thread_id = true;
			p->notify_thread_id = task->threads[k].nstid;
		}
	return p;
}

static int timers_take(struct dump *d, struct dthread *h, const struct answers *a)
{
	const struct told *t = a->data;
	uint64_t late = late_signals(h->task, t);
	TaskTimersEntry *e = g_new0(TaskTimersEntry, 1);

	h->task->core->tc->timers = e;
	task_timers_entry__init(e);
	e->real = itimer_message(&t->it[ITIMER_REAL]);
	e->virt = itimer_message(&t->it[ITIMER_VIRTUAL]);
	e->prof = itimer_message(&t->it[ITIMER_PROF]);
	itimer_late(e->real, late, SIGALRM);
	itimer_late(e->virt, late, SIGVTALRM);
	itimer_late(e->prof, late, SIGPROF);
	e->posix = g_new0(PosixTimerEntry *, t->n + 1);
	for (size_t i = 0; i < t->n; i++)
		e->posix[e->n_posix++] = posix_message(h->task, a, i);
	return 0;
}

const struct question timers_question = {
	.bytes = sizeof(struct told),
	.leader = true,
	.ask = timers_ask,
	.take = timers_take,
	.clear = timers_clear,
};

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
 * Linux 6.15 numbers only count up, so timers are made and deleted until the right one comes.
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

/* As the process itself sees its thread. */
static void own_tid(const struct rtask *t, PosixTimerEntry *e)
{
	for (unsigned i = 0; e->has_notify_thread_id && i < t->nthreads; i++)
		if (t->threads[i].nstid == (pid_t)e->notify_thread_id) {
			e->notify_thread_id = levels_own_tid(&t->threads[i]);
			return;
		}
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
	for (size_t i = 0; t->nlevels && i < e->n_posix; i++)
		own_tid(t, e->posix[i]);
	ret = posix_restore(&b, e);
	return ret < 0 ? ret : batch_run(&b);
}
