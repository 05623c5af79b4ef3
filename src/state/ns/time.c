/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks that start at boot go on from where they were, also after a reboot or on another host:
 * time_namespaces(7).  An offset is against the initial namespace's clock.
 */
#include "state/ns/ns.h"

#include "base/file.h"
#include "image/timens.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <time.h>

#define NS_PER_S 1000000000LL

static int64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* The clock of the initial time namespace. */
static int initial_clocks(int64_t *monotonic, int64_t *boottime)
{
	CLEANUP(proc_close) struct proc self = PROC_NONE;
	struct timens mine = {0};
	int r = proc_open(getpid(), &self);

	if (r == 0)
		r = timens_read(self.dir, &mine);
	if (r < 0 && r != -ENOENT)
		return r;
	*monotonic = clock_ns(CLOCK_MONOTONIC) - mine.monotonic_s * NS_PER_S - mine.monotonic_ns;
	*boottime = clock_ns(CLOCK_BOOTTIME) - mine.boottime_s * NS_PER_S - mine.boottime_ns;
	return 0;
}

static void split(int64_t ns, Timespec *ret)
{
	timespec__init(ret);
	ret->tv_sec = (uint64_t)(ns / NS_PER_S);
	ret->tv_nsec = (uint64_t)(ns % NS_PER_S);
}

int time_dump(struct dump *d)
{
	TimensEntry e = TIMENS_ENTRY__INIT;
	Timespec mono, boot;
	struct timens its = {0};
	int64_t m, b;
	int r = initial_clocks(&m, &b);

	if (r == 0)
		r = timens_read(dump_task(d, 0)->proc.dir, &its);
	if (r < 0 && r != -ENOENT)
		return r;
	split(m + its.monotonic_s * NS_PER_S + its.monotonic_ns, &mono);
	split(b + its.boottime_s * NS_PER_S + its.boottime_ns, &boot);
	e.monotonic = &mono;
	e.boottime = &boot;
	return image_write(&d->w, IMG_TIMENS, NSID_TIME, &e.base);
}

static void offset(int64_t ns, int64_t *s, int32_t *rest)
{
	*s = ns / NS_PER_S;
	*rest = (int32_t)(ns % NS_PER_S);
	if (*rest < 0) {
		--*s;
		*rest += (int32_t)NS_PER_S;
	}
}

static int check_time(const Timespec *t)
{
	if (t->tv_sec > INT32_MAX || t->tv_nsec >= NS_PER_S)
		return err_set(EBADMSG, "timens-%d.img: %" PRIu64 " seconds", NSID_TIME, t->tv_sec);
	return 0;
}

static int enter(struct rtask *t, int ns)
{
	CLEANUP(batch_end) struct batch b = {0};
	int tfd, ret;

	rtask_batch(t, &b);
	batch_recv_fds(&b, &ns, 1, &tfd);
	ret = batch_run(&b);
	if (ret < 0)
		return ret;
	batch_add(&b, SYS_setns, IMM(tfd), IMM(CLONE_NEWTIME));
	batch_add(&b, SYS_close, IMM(tfd));
	return batch_run(&b);
}

int time_restore(struct restore *r)
{
	CLEANUP(image_record_free) TimensEntry *e = NULL;
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(batch_end) struct batch b = {0};
	struct timens t;
	int64_t m, boot;
	char text[128];
	autoclose int fd = -1;
	int ret;

	if (!r->o.time_namespace)
		return 0;
	ret = image_load_optional(r->o.images, IMG_TIMENS, r->nsids.v[NS_TIME], &e);
	if (ret != 0)
		return ret < 0 ? ret : 0;
	ret = check_time(e->monotonic);
	if (ret == 0)
		ret = check_time(e->boottime);
	if (ret == 0)
		ret = proc_open(r->stub.pid, &p);
	if (ret < 0)
		return ret;
	rtask_batch(restore_task(r, 0), &b);
	batch_add(&b, SYS_unshare, IMM(CLONE_NEWTIME));
	ret = batch_run(&b);
	if (ret == 0)
		ret = initial_clocks(&m, &boot);
	if (ret < 0)
		return ret;
	offset((int64_t)e->monotonic->tv_sec * NS_PER_S + (int64_t)e->monotonic->tv_nsec - m,
	       &t.monotonic_s, &t.monotonic_ns);
	offset((int64_t)e->boottime->tv_sec * NS_PER_S + (int64_t)e->boottime->tv_nsec - boot,
	       &t.boottime_s, &t.boottime_ns);
	timens_text(&t, text, sizeof(text));
	ret = file_poke_at(p.dir, "timens_offsets", text);
	if (ret == 0)
		ret = proc_open_link(p.dir, "ns/time_for_children", O_RDONLY | O_CLOEXEC, &fd);
	if (ret < 0)
		return ret;
	ret = enter(restore_task(r, 0), fd);
	for (unsigned i = 0; ret == 0 && i < r->o.nguests; i++)
		ret = rtask_wrap(r->guests[i].task, enter(r->guests[i].task, fd));
	return ret;
}
