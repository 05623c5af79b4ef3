/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a way home could not include munmap(2) (agent.quiet, agent.hurried), the death of a
 * coordinator leaves the mailbox mapped.  The next agent knows it by the blob's magic and removes
 * it: the target must not carry it into an image.
 */
#include "agent/batch.h"
#include "agent/private.h"
#include "kernel/maps.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

/* Its bell belongs to nobody any more.  A process that shares its memory with another one shows
 * that one's agent, too, which works. */
static bool is_deserted_mailbox(const struct agent *a, const struct vma *v)
{
	struct blob_header h;
	struct slot first;

	if (!v->shared || v->prot != (PROT_READ | PROT_EXEC) || vma_len(v) != MAILBOX_CODE_BYTES ||
	    v->start == a->addr)
		return false;
	if (task_read_memory(a->group->pid, v->start, &h, sizeof(h)) < 0 ||
	    task_read_memory(a->group->pid, v->end, &first, sizeof(first)) < 0) {
		err_clear();
		return false;
	}
	return h.magic == BLOB_MAGIC && !(first.bell & BELL_OWNER);
}

int agent_remove_leftovers(struct agent *a)
{
	CLEANUP(maps_clear) struct maps m = {0};
	CLEANUP(batch_end) struct batch b = {0};
	autoclose int dir = -1;
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/proc/%d", a->group->pid);
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno("open %s", path);
	r = maps_read(dir, &m);
	if (r < 0)
		return r;
	batch_begin(&b, a, 0);
	for (size_t i = 0; i < m.n; i++) {
		const struct vma *v = &m.v[i], *slots = i + 1 < m.n ? v + 1 : NULL;
		uint64_t end = v->end;

		if (!is_deserted_mailbox(a, v))
			continue;
		if (slots && slots->start == v->end && slots->ino == v->ino)
			end = slots->end;
		batch_add(&b, SYS_munmap, IMM(v->start), IMM(end - v->start));
	}
	return batch_run(&b);
}
