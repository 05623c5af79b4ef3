/* SPDX-License-Identifier: Apache-2.0 */
#include "state/mem/cow_files.h"

#include "state/fd/files.h"
#include "state/mem/mem.h"

#include "image/regfile.pb-c.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const RegFileEntry *file_of(const struct restore *r, const VmaEntry *v)
{
	const struct file *f = g_hash_table_lookup(r->files, GUINT_TO_POINTER((uint32_t)v->shmid));

	return v->status & VMA_STATUS_FILE_PRIVATE && f ? f->entry->reg : NULL;
}

bool cow_file_may(const struct restore *r, const VmaEntry *v)
{
	const RegFileEntry *e = file_of(r, v);

	/* who has breakpoints meets them where it maps code: restore.c: meet_uprobes() */
	return e && v->flags & MAP_PRIVATE && v->has_fdflags && !r->o.allow_uprobes &&
	       path_is_plain(r, e);
}

/* The mapping of M that holds ADDR. */
static const VmaEntry *at(const MmEntry *m, uint64_t addr)
{
	size_t lo = 0, hi = m->n_vmas;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->vmas[mid]->end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < m->n_vmas && m->vmas[lo]->start <= addr ? m->vmas[lo] : NULL;
}

bool cow_file_same(const struct restore *r, const struct rtask *t, const VmaEntry *v)
{
	const struct rtask *parent = restore_task(r, (unsigned)t->parent);
	const VmaEntry *p = parent->mm ? at(parent->mm, v->start) : NULL;
	const RegFileEntry *its = p ? file_of(r, p) : NULL, *ours = file_of(r, v);

	return its && ours && p->end >= v->end && v->pgoff - p->pgoff == v->start - p->start &&
	       its->mnt_id == ours->mnt_id && p->fdflags == v->fdflags &&
	       strcmp(its->name, ours->name) == 0;
}

void cow_files_add(struct cow_files *c, struct restore *r, const VmaEntry *v)
{
	const VmaEntry *last = c->nmaps ? c->maps[c->nmaps - 1] : NULL;
	bool again = last && last->shmid == v->shmid && last->fdflags == v->fdflags;

	if (c->nmaps == COW_MAPS || (!again && c->n == COW_FILES))
		return;
	if (!again && path_open(r, file_of(r, v), v->fdflags & O_ACCMODE, &c->fds[c->n]) < 0) {
		err_clear(); /* it is said when it is wanted: restore.c: open_vma() */
		return;
	}
	c->n += !again;
	c->use[c->nmaps] = c->n - 1;
	c->maps[c->nmaps++] = v;
}

int cow_files_give(struct cow_files *c, struct batch *b)
{
	if (!c->n)
		return 0;
	batch_recv_fds(b, c->fds, c->n, c->tfds);
	return batch_run(b);
}

void cow_files_end(struct cow_files *c, struct batch *b)
{
	for (unsigned i = 0; i < c->n; i++)
		batch_add(b, SYS_close, IMM(c->tfds[i]));
}

void cow_files_clear(struct cow_files *c)
{
	for (unsigned i = 0; i < c->n; i++)
		close(c->fds[i]);
	c->n = 0;
}
