/* SPDX-License-Identifier: Apache-2.0 */
#include "cr/records.h"

#include "image/pages.h"
#include "state/mem/mem.h"
#include "state/ns/ns.h"
#include "state/task/levels.h"
#include "state/tree.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <unistd.h>

/* Making a file takes longer than writing it: those of all that was seen are made before. */
static int expect_threads(struct dump *d, const struct dtask *t)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < dtask_nthreads(t); i++) {
		const struct thread_seen *h = dtask_seen(t, i);

		if (h->nstid && h->tid != t->pid)
			r = image_expect(&d->w, IMG_CORE, (uint64_t)h->nstid);
	}
	return r;
}

static int expect_task(struct dump *d, const struct dtask *t)
{
	static const enum image_kind kinds[] = {IMG_CORE, IMG_IDS, IMG_MM, IMG_FS, IMG_PAGEMAP};
	int r = 0;

	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++)
		r = image_expect(&d->w, kinds[i], (uint64_t)t->nspid);
	if (r == 0 && t->files == t->index)
		r = image_expect(&d->w, IMG_FDINFO, t->index + 1);
	r = r < 0 ? r : expect_threads(d, t);
	if (r == -ESRCH || r == -ENOENT) { /* it ends just now */
		err_clear();
		return 0;
	}
	return r;
}

/* What only trees with namespaces of their own have. */
static int expect_spaces(struct dump *d)
{
	CLEANUP(proc_close) struct proc self = PROC_NONE;
	uint64_t ours[NS_COUNT];
	int r = proc_open(getpid(), &self);

	if (r == 0)
		r = ns_ids(self.dir, ours);
	if (r == 0 && d->ns[NS_UTS] != ours[NS_UTS])
		r = image_expect(&d->w, IMG_UTSNS, NSID_UTS);
	if (r == 0 && d->ns[NS_IPC] != ours[NS_IPC])
		r = image_expect(&d->w, IMG_IPC_VAR, NSID_IPC);
	return r;
}

static bool has_filters(struct dump *d)
{
	bool has = false;

	for (unsigned i = 0; !has && i < d->tasks->len; i++)
		has = dump_task(d, i)->status.seccomp == SECCOMP_MODE_FILTER;
	return has;
}

int records_expect(struct dump *d)
{
	static const struct {
		enum image_kind kind;
		uint32_t id;
	} always[] = {{IMG_PSTREE}, {IMG_FILES},	  {IMG_INVENTORY},
		      {IMG_EXTRA},  {IMG_MNTS, NSID_MNT}, {IMG_TIMENS, NSID_TIME}};
	int r = 0;

	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(always); i++)
		r = image_expect(&d->w, always[i].kind, always[i].id);
	if (r == 0)
		r = expect_spaces(d);
	if (r == 0 && has_filters(d))
		r = image_expect(&d->w, IMG_SECCOMP, 0);
	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++)
		if (!dump_task(d, i)->zombie)
			r = expect_task(d, dump_task(d, i));
	return r < 0 ? r : mem_prepare_pages(d);
}
