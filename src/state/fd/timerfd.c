/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timerfd_create(2).  What the kernel tells is the time that remains; a timer that was set to a
 * moment (TFD_TIMER_ABSTIME) keeps its moment, on the clock that the tree sees, so that the wall
 * clock goes on while it is frozen.  fs/timerfd.c: timerfd_show()
 */
#include "state/fd/kind.h"

#include "base/nanoseconds.h"
#include "image/timerfd.pb-c.h"
#include "kernel/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif
#define NS_PER_S NANOSECONDS

static bool match(const struct dump *d, const struct fd_view *v)
{
	return strcmp(v->link, "anon_inode:[timerfd]") == 0;
}

static int check(struct dump *d, const struct fd_view *v)
{
	return fown_check(v);
}

static bool starts_at_boot(uint32_t clock)
{
	return clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME || clock == CLOCK_BOOTTIME_ALARM;
}

/* Of the tree's clock against ours, in ns. */
static int clock_offset(struct dump *d, uint32_t clock, int64_t *ret)
{
	CLEANUP(proc_close) struct proc self = PROC_NONE;
	struct timens ours = {0}, its = {0};
	int r;

	*ret = 0;
	if (!starts_at_boot(clock))
		return 0;
	r = proc_open(getpid(), &self);
	if (r == 0)
		r = timens_read(self.dir, &ours);
	if (r == 0)
		r = timens_read(dump_task(d, 0)->proc.dir, &its);
	if (r < 0 && r != -ENOENT)
		return r;
	if (clock == CLOCK_MONOTONIC)
		*ret = (its.monotonic_s - ours.monotonic_s) * NS_PER_S + its.monotonic_ns -
		       ours.monotonic_ns;
	else
		*ret = (its.boottime_s - ours.boottime_s) * NS_PER_S + its.boottime_ns -
		       ours.boottime_ns;
	return 0;
}

/* An alarm clock cannot be read where there is no clock chip to wake the machine. */
static clockid_t readable(uint32_t clock)
{
	return clock == CLOCK_REALTIME_ALARM   ? CLOCK_REALTIME
	       : clock == CLOCK_BOOTTIME_ALARM ? CLOCK_BOOTTIME
					       : (clockid_t)clock;
}

static int64_t now_ns(uint32_t clock)
{
	struct timespec t = {0};

	clock_gettime(readable(clock), &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int keep_moment(struct dump *d, const TimerfdEntry *e)
{
	json_t *all = json_object_get(d->extra, "timerfds");
	int64_t offset, now = now_ns(e->clockid), left = ns_of((int64_t)e->vsec, (int64_t)e->vnsec);
	char id[16];
	int r = clock_offset(d, e->clockid, &offset);

	if (r < 0)
		return r;
	if (!all)
		json_object_set_new(d->extra, "timerfds", all = json_object());
	snprintf(id, sizeof(id), "%u", e->id);
	/* systemd has one that is set to never, and to be told when the clock is set */
	json_object_set_new(all, id, json_integer(ns_add(now + offset, left)));
	return 0;
}

static int read_lines(const struct fd_view *v, TimerfdEntry *e)
{
	CLEANUP(fdinfo_clear) struct fdinfo now = {0};
	uint64_t clock, ticks, flags;
	int r = fdinfo_read(v->task->proc.dir, v->tfd, &now);

	if (r == 0)
		r = fdinfo_u64(&now, "clockid", 10, &clock);
	if (r == 0)
		r = fdinfo_u64(&now, "ticks", 10, &ticks);
	if (r == 0)
		r = fdinfo_field(fdinfo_get(&now, "settime") ?: "", "flags", 8, &flags);
	if (r < 0)
		return r;
	e->clockid = (uint32_t)clock;
	e->ticks = ticks;
	e->settime_flags = (uint32_t)flags;
	return 0;
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	TimerfdEntry *e = f->tfd = g_new0(TimerfdEntry, 1);
	struct itimerspec left;
	autoclose int fd = -1;
	int r;

	timerfd_entry__init(e);
	e->id = f->id;
	e->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	r = fown_dump(v, &e->fown);
	if (r == 0)
		r = fd_view_get(v, &fd);
	if (r < 0)
		return r;
	/*
	 * Asked first: an expired interval timer stands still until somebody asks, and fdinfo does
	 * not ask (timerfd_show() against do_timerfd_gettime()).
	 */
	if (timerfd_gettime(fd, &left) < 0)
		return err_errno("timerfd_gettime");
	e->vsec = (uint64_t)left.it_value.tv_sec;
	e->vnsec = (uint64_t)left.it_value.tv_nsec;
	e->isec = (uint64_t)left.it_interval.tv_sec;
	e->insec = (uint64_t)left.it_interval.tv_nsec;
	r = read_lines(v, e);
	if (r == 0 && e->settime_flags & TFD_TIMER_ABSTIME && (e->vsec || e->vnsec))
		r = keep_moment(d, e);
	return r;
}

static int load(struct restore *r, struct file *f)
{
	const TimerfdEntry *e = f->entry->tfd;

	if (!e)
		return 1;
	if (e->vnsec >= NS_PER_S || e->insec >= NS_PER_S || e->vsec > INT64_MAX / NS_PER_S ||
	    e->isec > INT64_MAX / NS_PER_S)
		return err_set(EBADMSG, "timerfd %u: its times are no times", f->id);
	return 0;
}

static json_t *moment_of(const struct restore *r, const struct file *f)
{
	char id[16];

	snprintf(id, sizeof(id), "%u", f->id);
	return json_object_get(json_object_get(r->extra, "timerfds"), id);
}

static void split(int64_t ns, struct timespec *ret)
{
	ret->tv_sec = ns / NS_PER_S;
	ret->tv_nsec = ns % NS_PER_S;
}

static int set_ticks(int fd, uint64_t ticks)
{
	if (ticks && ioctl(fd, TFD_IOC_SET_TICKS, &ticks) < 0)
		return err_errno("timerfd: %" PRIu64 " ticks", ticks);
	return 0;
}

static int open_(struct restore *r, struct file *f)
{
	const TimerfdEntry *e = f->entry->tfd;
	struct itimerspec t = {.it_value = {(time_t)e->vsec, (long)e->vnsec},
			       .it_interval = {(time_t)e->isec, (long)e->insec}};
	int flags = (int)e->settime_flags, ret;

	f->fd = timerfd_create((clockid_t)e->clockid,
			       TFD_CLOEXEC | (e->flags & O_NONBLOCK ? TFD_NONBLOCK : 0));
	if (f->fd < 0)
		return err_errno("timerfd of clock %u", e->clockid);
	if (moment_of(r, f)) /* by the task, on its own clock */
		return fown_restore(r, f, e->fown, e->flags);
	/* stopped after its last tick, as CRIU records it: the next comes an interval later */
	if (!e->vsec && !e->vnsec && e->ticks)
		t.it_value = t.it_interval;
	if (flags & TFD_TIMER_ABSTIME && (t.it_value.tv_sec || t.it_value.tv_nsec))
		split(ns_add(now_ns(e->clockid), ns_of(t.it_value.tv_sec, t.it_value.tv_nsec)),
		      &t.it_value);
	if (timerfd_settime(f->fd, flags, &t, NULL) < 0)
		return err_errno("timerfd_settime");
	ret = set_ticks(f->fd, e->ticks);
	return ret < 0 ? ret : fown_restore(r, f, e->fown, e->flags);
}

static int settle(struct restore *r, struct rtask *t, struct file *f, int tfd)
{
	const TimerfdEntry *e = f->entry->tfd;
	struct itimerspec at = {.it_interval = {(time_t)e->isec, (long)e->insec}};
	CLEANUP(batch_end) struct batch b = {0};
	json_t *moment = moment_of(r, f);
	int64_t ns = moment ? json_integer_value(moment) : 0;

	if (!moment || f->settled)
		return 0;
	f->settled = true;
	/* where the clock is behind the host's, never is at once: do_timens_ktime_to_host() wraps
	 */
	split(starts_at_boot(e->clockid) ? MIN(ns, INT64_MAX / 2) : ns, &at.it_value);
	rtask_batch(t, &b);
	batch_add(&b, SYS_timerfd_settime, IMM(tfd), IMM(e->settime_flags),
		  batch_in(&b, &at, sizeof(at)), IMM(0));
	if (e->ticks)
		batch_add(&b, SYS_ioctl, IMM(tfd), IMM(TFD_IOC_SET_TICKS),
			  batch_in(&b, &e->ticks, sizeof(e->ticks)));
	return batch_run(&b);
}

const struct fd_kind fd_timerfd = {
	.name = "timerfd",
	.type = FD_TYPES__TIMERFD,
	.alone = true,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
	.settle = settle,
};
