/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages images that are there before the freeze.
 *
 * Memory that is not much goes through the page cache: past it, each write waits for the disk.  But
 * finding a page for it may take longer than the copy does (in a virtual machine, whose memory may
 * have to come from the host first, up to ten times as long), and so does making the file.  So the
 * files are made while the processes run, and memory is made warm (kernel/warm.h); where it is
 * little, zeros are written, which are only copied over while it stands still.  A restore that
 * follows soon finds the pages there: twice as fast.
 */
#include "state/mem/mem.h"

#include "image/pages.h"
#include "kernel/procmisc.h"
#include "kernel/warm.h"

#include <fcntl.h>

/* Of the whole tree.  What is beyond goes past the page cache. */
#define PREPARED_LITTLE (UINT64_C(32) << 20)
#define PREPARED_MAX	(UINT64_C(512) << 20)
#define PREPARED_SOME                                                                              \
	(UINT64_C(128) << 20) /* of what is more: the disk writes the rest meanwhile */
#define PREPARED_UNIT (UINT64_C(2) << 20)

/* From a tenth on whoever writes is made to wait: mm/page-writeback.c: balance_dirty_pages(). */
#define PREPARED_PART 16

/* What goes on is not restored soon, and much of it is held by snapshots; what follows another dump
 * is only what has changed since. */
static bool is_last(const struct dump *d)
{
	return !d->o.leave_running && !d->o.track_mem && !d->o.parent;
}

static uint64_t prepared_max(const struct dump *d)
{
	autoclose int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t there = 0;

	if (!is_last(d))
		return PREPARED_LITTLE;
	if (proc_memory_available(proc, &there) < 0)
		err_clear();
	return CLAMP(there / PREPARED_PART, PREPARED_LITTLE, PREPARED_MAX);
}

static uint64_t bytes_of(const struct dtask *t)
{
	return t->status.anon_bytes + t->status.swap_bytes;
}

/* A page more or less makes no second way. */
bool mem_has_more(const struct dtask *t, uint64_t prepared)
{
	return prepared == 0 || bytes_of(t) > prepared + PREPARED_UNIT;
}

static uint64_t part_of(const struct dump *d, uint64_t bytes, uint64_t left)
{
	if (bytes <= left)
		return bytes;
	return is_last(d) ? MIN(left, PREPARED_SOME) & ~(PREPARED_UNIT - 1) : 0;
}

/* BYTES of each task; how much that is together. */
static uint64_t share_out(const struct dump *d, uint64_t *bytes)
{
	uint64_t max = prepared_max(d), left = max;

	for (unsigned i = 0; i < d->tasks->len; i++) {
		const struct dtask *t = dump_task(d, i);

		bytes[i] = t->zombie ? 0 : part_of(d, bytes_of(t), left);
		/* most of it is its parent's and written with that one's */
		if (t->stat.flags & PROC_PF_FORKNOEXEC)
			bytes[i] = 0;
		left -= bytes[i];
	}
	return max - left;
}

/* The numbers are given anew when it is frozen: a guess that misses costs time, nothing else. */
int mem_prepare_pages(struct dump *d)
{
	g_autofree uint64_t *bytes = g_new0(uint64_t, d->tasks->len);
	uint32_t id = d->next_pages_id;
	uint64_t all;
	int r = 0, warming;

	if (d->o.pages_elsewhere || d->o.pages_stream || d->o.lazy)
		return 0;
	all = share_out(d, bytes);
	warming = warm_begin(all);
	warm_end(&warming);
	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++)
		if (!dump_task(d, i)->zombie)
			r = pages_expect(&d->w, id++, bytes[i], all <= PREPARED_LITTLE);
	return r;
}
