/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring in the memory of a process.  Nobody may say where it is to be mapped, nor move it
 * (io_uring_get_unmapped_area()): it comes to where it was if no other place is free.
 */
#include "state/fd/uring.h"

#include "state/mem/mem.h"
#include "state/task/task.h"

#include <errno.h>
#include <sys/mman.h>

#define PAGE   4096
#define LOWEST 0x10000 /* vm.mmap_min_addr, as it is set everywhere */

/* [START, END) is taken, or given back. */
static void hold(struct batch *b, const GArray *gaps, bool give_back)
{
	for (unsigned i = 0; i < gaps->len; i++) {
		const uint64_t *g = &((const uint64_t *)(const void *)gaps->data)[2 * i];
		int op = give_back ? batch_add(b, SYS_munmap, IMM(g[0]), IMM(g[1] - g[0]))
				   : batch_add(b, SYS_mmap, IMM(g[0]), IMM(g[1] - g[0]),
					       IMM(PROT_NONE),
					       IMM(MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
						   MAP_FIXED_NOREPLACE),
					       IMM(-1), IMM(0));

		if (g[0] < LOWEST)
			batch_may_fail(b, op);
	}
}

/* What is free in T, as pairs of addresses. */
static int find_gaps(const struct rtask *t, GArray *ret)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(maps_clear) struct maps m = {0};
	uint64_t at = LOWEST, low[2] = {PAGE, LOWEST};
	int r = proc_open(rtask_pid(t), &p);

	if (r == 0)
		r = maps_read(p.dir, &m);
	g_array_append_vals(ret, low, 1);
	for (size_t i = 0; r == 0 && i <= m.n; i++) {
		uint64_t gap[2] = {at, i < m.n ? MIN(m.v[i].start, TASK_SIZE) : TASK_SIZE};

		if (gap[0] < gap[1])
			g_array_append_vals(ret, gap, 1);
		at = i < m.n ? MAX(at, m.v[i].end) : at;
	}
	return r;
}

int uring_map(struct restore *r, const struct uring *u, struct rtask *t, int tfd)
{
	g_autoptr(GArray) gaps = g_array_new(FALSE, FALSE, 2 * sizeof(uint64_t));
	CLEANUP(batch_end) struct batch b = {0};
	json_int_t start, bytes, offset;
	int pid, prot, op, ret = 0;
	json_t *one;
	size_t i;

	rtask_batch(t, &b);
	json_array_foreach(json_object_get(u->x, "maps"), i, one)
	{
		if (json_unpack(one, "[i,I,I,I,i]", &pid, &start, &bytes, &offset, &prot) < 0)
			return err_set(EBADMSG, IMAGE_EXTRA ": mappings of ring %u", u->id);
		if (pid != t->nspid)
			continue;
		if (!gaps->len) {
			ret = find_gaps(t, gaps);
			if (ret < 0)
				return ret;
			hold(&b, gaps, false);
		}
		batch_add(&b, SYS_munmap, IMM(start), IMM(bytes));
		op = batch_add(&b, SYS_mmap, IMM(0), IMM(bytes), IMM(prot), IMM(MAP_SHARED),
			       IMM(tfd), IMM(offset));
		batch_expect(&b, op, start);
		for (size_t k = 0; k < t->mm->n_vmas; k++)
			if ((json_int_t)t->mm->vmas[k]->start == start &&
			    t->mm->vmas[k]->madv & UINT64_C(1) << MADV_DONTFORK)
				batch_add(&b, SYS_madvise, IMM(start), IMM(bytes),
					  IMM(MADV_DONTFORK));
	}
	hold(&b, gaps, true);
	return batch_run(&b);
}
