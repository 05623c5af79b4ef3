/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mappings of System V shared memory (shmat(2)); the segments are state/ns/ipc_shm.c's.  They are
 * attached again, as mmap(2) of the object would not count as an attachment.  A segment is attached
 * as a whole; what the task has unmapped of it is unmapped again.
 */
#include "state/mem/mem.h"

#include "state/ns/ns.h"
#include "state/ns/spaces.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>

/* The kernel's name is "/SYSV" and the key (ipc/shm.c: newseg()). */
bool sysv_is_map(const struct vma *v)
{
	return v->deleted && v->shared && g_str_has_prefix(v->name, "/SYSV") &&
	       strlen(v->name) == strlen("/SYSV01234567");
}

int sysv_check(struct dump *d, const struct dtask *t, size_t i)
{
	const struct vma *v = &t->maps.v[i];
	uint64_t base = v->start - v->offset;
	bool own;
	int r = ipc_is_own(d, &own);

	if (r < 0)
		return r;
	if (!own && spaces_id(d, NS_IPC, spaces_of(d, t->proc.pid)[NS_IPC]) < NSID_FIRST_SPACE)
		return err_set(
			EOPNOTSUPP,
			"mapping %" PRIx64 " is System V shared memory of the host; "
			"start it in an IPC namespace of its own (containers: --ipc=private; "
			"others: unshare --ipc)",
			v->start);
	if (v->offset == 0)
		return 0;
	for (size_t k = 0; k < i; k++)
		if (t->maps.v[k].start == base && t->maps.v[k].ino == v->ino &&
		    sysv_is_map(&t->maps.v[k]))
			return 0;
	return err_set(EOPNOTSUPP,
		       "mapping %" PRIx64
		       " is System V shared memory whose beginning is not mapped",
		       v->start);
}

void sysv_dump(const struct vma *v, VmaEntry *e)
{
	e->shmid = v->ino;
	e->flags |= MAP_ANONYMOUS;
	e->status |= VMA_STATUS_ANON_SHARED | VMA_STATUS_SYSVIPC;
	/* with SHM_RDONLY it can never be made writable (ipc/shm.c: do_shmat()) */
	if (!(v->vmflags & (VMF(MW) | VMF(WR)))) {
		e->has_fdflags = true;
		e->fdflags = O_RDONLY;
	}
}

/* Attaches at the first part of a segment, and unmaps what is between and after the parts. */
int sysv_map(struct restore *r, struct rtask *t, struct batch *b, size_t i)
{
	const MmEntry *m = t->mm;
	const VmaEntry *v = m->vmas[i];
	uint64_t bytes, at = v->end;
	int op, ret = ipc_shm_bytes(r, spaces_number(t, NS_IPC), v->shmid, &bytes);

	if (ret < 0 || v->pgoff > 0)
		return ret;
	if (v->end - v->start > bytes)
		return err_set(EBADMSG, "mapping %" PRIx64 " is larger than its segment %" PRIu64,
			       v->start, v->shmid);
	op = batch_add(
		b, SYS_shmat, IMM(v->shmid), IMM(v->start),
		IMM((v->prot & PROT_EXEC ? SHM_EXEC : 0) |
		    (v->has_fdflags && (v->fdflags & O_ACCMODE) == O_RDONLY ? SHM_RDONLY : 0)));
	batch_expect(b, op, (int64_t)v->start);
	for (size_t k = i + 1; k < m->n_vmas && m->vmas[k]->start < v->start + bytes; k++) {
		const VmaEntry *w = m->vmas[k];

		if (!(w->status & VMA_STATUS_SYSVIPC) || w->shmid != v->shmid ||
		    w->start - w->pgoff != v->start)
			break;
		if (w->start > at)
			batch_add(b, SYS_munmap, IMM(at), IMM(w->start - at));
		at = w->end;
	}
	if (at < v->start + bytes)
		batch_add(b, SYS_munmap, IMM(at), IMM(v->start + bytes - at));
	return 0;
}
