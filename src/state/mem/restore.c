/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address spaces anew, where nothing is left but the agent and the vdso (clear.c): each task maps
 * what it had, reads its pages from the image straight into place, and gives every mapping its
 * protection.
 */
#include "state/mem/cow.h"
#include "state/mem/lazy.h"
#include "state/mem/mem.h"
#include "state/mem/populate.h"
#include "state/mem/staged.h"
#include "state/mem/transfer.h"

#include "state/fd/files.h"

#include "image/regfile.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define DIRECT_MIN (UINT64_C(1) << 20)

static bool is_kernels(const VmaEntry *v)
{
	return v->status & (VMA_STATUS_VDSO | VMA_STATUS_VVAR | VMA_STATUS_VSYSCALL);
}

static int check_vma(const MmEntry *m, size_t i)
{
	const VmaEntry *v = m->vmas[i];
	const unsigned known = VMA_STATUS_FILE_PRIVATE | VMA_STATUS_FILE_SHARED |
			       VMA_STATUS_ANON_PRIVATE | VMA_STATUS_ANON_SHARED | VMA_STATUS_SOCKET;

	if (v->status & VMA_STATUS_VSYSCALL)
		return 0;
	if (v->start >= v->end || v->end > TASK_SIZE ||
	    (v->start | v->end | v->pgoff) % 4096 != 0 || (i && m->vmas[i - 1]->end > v->start))
		return err_set(EBADMSG, "mapping %zu: %" PRIx64 "-%" PRIx64, i, v->start, v->end);
	if (!(v->status & known))
		return err_set(EOPNOTSUPP, "mapping %" PRIx64 ": status %#x is not known", v->start,
			       v->status);
	return 0;
}

int mem_load(struct restore *r, struct rtask *t)
{
	int ret = image_load_needed(r->o.images, IMG_MM, (uint64_t)t->nspid, &t->mm);

	for (size_t i = 0; ret == 0 && i < t->mm->n_vmas; i++)
		ret = check_vma(t->mm, i);
	if (ret < 0 || restore_task(r, t->vm) != t)
		return ret;
	if (ret == 0)
		ret = r->o.stage
			      ? stage_load(r, t)
			      : pages_open(r->o.images, IMG_PAGEMAP, (uint64_t)t->nspid, &t->pages);
	if (ret == 0)
		ret = lazy_check(t);
	/* a task without pages has an empty one */
	return ret == 1 ? err_set(ENOENT, "pagemap-%d.img is missing", t->nspid) : ret;
}

/* Which part of the vdso a mapping is: by size and order, CRIU's status knows only vvar and vdso.
 */
static int vdso_part(const struct restore *r, const MmEntry *m, size_t i)
{
	if (m->vmas[i]->status & VMA_STATUS_VDSO)
		return VDSO_CODE;
	if (i > 0 && m->vmas[i - 1]->status & VMA_STATUS_VVAR)
		return VDSO_VCLOCK;
	/* alone, where a program knew of the others only when it took them away */
	return m->vmas[i]->end - m->vmas[i]->start != r->vdso[VDSO_VVAR].bytes &&
			       m->vmas[i]->end - m->vmas[i]->start == r->vdso[VDSO_VCLOCK].bytes
		       ? VDSO_VCLOCK
		       : VDSO_VVAR;
}

static int map_vdso(struct restore *r, struct batch *b, const MmEntry *m)
{
	bool had[VDSO_PARTS] = {0};

	for (size_t i = 0; i < m->n_vmas; i++) {
		const VmaEntry *v = m->vmas[i];
		int part = vdso_part(r, m, i);
		uint64_t bytes = r->vdso[part].bytes;

		if (!(v->status & (VMA_STATUS_VDSO | VMA_STATUS_VVAR)))
			continue;
		if (bytes != v->end - v->start)
			return err_set(EOPNOTSUPP, "the checkpoint is from another kernel: "
						   "its vdso has parts of other sizes");
		batch_expect(b,
			     batch_add(b, SYS_mremap, IMM(mem_vdso_waits(r, (unsigned)part)),
				       IMM(bytes), IMM(bytes), IMM(MREMAP_MAYMOVE | MREMAP_FIXED),
				       IMM(v->start)),
			     (int64_t)v->start);
		had[part] = true;
	}
	for (unsigned k = 0; k < VDSO_PARTS; k++) /* it had taken them away, as valgrind does */
		if (!had[k] && r->vdso[k].bytes)
			batch_add(b, SYS_munmap, IMM(mem_vdso_waits(r, k)), IMM(r->vdso[k].bytes));
	return 0;
}

/* Opens what a mapping is of; *RET_FD is borrowed for shared memory, else owned. */
static int open_vma(struct restore *r, const VmaEntry *v, int *ret_fd, bool *ret_owned)
{
	struct file *f = g_hash_table_lookup(r->files, GUINT_TO_POINTER((uint32_t)v->shmid));
	unsigned flags = O_RDONLY;
	int ret;

	*ret_owned = false;
	if (v->status & VMA_STATUS_ANON_SHARED)
		return shmem_fd(r, v->shmid, ret_fd);
	if (v->status & VMA_STATUS_SOCKET && f && f->entry->psk && f->state == FILE_OPEN) {
		*ret_fd = f->fd;
		return 0;
	}
	if (!f || (!f->entry->reg && !f->entry->memfd))
		return err_set(EBADMSG, "its file %" PRIu64 " is not in files.img", v->shmid);
	if (v->has_fdflags)
		flags = v->fdflags & O_ACCMODE;
	else if (v->status & VMA_STATUS_FILE_SHARED && v->prot & PROT_WRITE)
		flags = O_RDWR;
	if (f->entry->memfd) {
		*ret_owned = true;
		return memfd_open_map(r, f->entry->memfd, flags, ret_fd);
	}
	if (f->state == FILE_OPEN && (f->entry->reg->flags & O_ACCMODE) == flags) {
		*ret_fd = f->fd;
		return 0;
	}
	*ret_owned = true;
	ret = path_open(r, f->entry->reg, flags, ret_fd);
	if (ret < 0 && flags == O_RDWR && v->status & VMA_STATUS_FILE_PRIVATE)
		ret = path_open(r, f->entry->reg, O_RDONLY, ret_fd); /* which is enough for it */
	return ret;
}

static bool page_in(const struct rtask *t, uint64_t start, uint64_t end)
{
	unsigned lo = 0, hi = t->pages.n;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		const struct image_run *run = &t->pages.runs[mid];

		if (run->vaddr + run->nr_pages * IMAGE_PAGE_SIZE <= start)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->pages.n && t->pages.runs[lo].vaddr < end;
}

/* Private mappings that get pages are writable until they have them. */
static unsigned first_prot(const struct rtask *t, const VmaEntry *v)
{
	if (v->flags & MAP_PRIVATE && page_in(t, v->start, v->end))
		return v->prot | PROT_WRITE;
	return v->prot;
}

#define MAP_KEPT                                                                                   \
	(MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_NORESERVE | MAP_HUGETLB |  \
	 HUGETLB_BITS)

struct opened { /* files of consecutive mappings, sent together */
	int fds[64];
	bool owned[64];
	unsigned n;
};

static void opened_clear(struct opened *o)
{
	for (unsigned i = 0; i < o->n; i++)
		if (o->owned[i])
			close(o->fds[i]);
	o->n = 0;
}

/* From AT up to END of V; of a file all of it. */
static void map_part(const struct rtask *t, struct batch *b, const VmaEntry *v, int tfd,
		     uint64_t at, uint64_t end)
{
	unsigned flags = v->flags & MAP_KEPT & ~(tfd >= 0 ? (unsigned)MAP_ANONYMOUS : 0u);
	int op;

	if (v->flags & MAP_DROPPABLE && v->flags & MAP_PRIVATE)
		flags = MAP_DROPPABLE | MAP_ANONYMOUS;
	op = batch_add(b, SYS_mmap, IMM(at), IMM(end - at), IMM(first_prot(t, v)),
		       IMM(flags | MAP_FIXED_NOREPLACE), IMM((int64_t)tfd),
		       IMM(tfd >= 0 ? v->pgoff : 0));
	batch_expect(b, op, (int64_t)at);
}

/*
 * Breakpoints are the business of processes into which the kernel has put one, which it does where
 * code is mapped that cannot be written to (kernel/events/uprobes.c: valid_vma(), MMF_HAS_UPROBES):
 * once so, for a moment.
 */
static void meet_uprobes(const struct rtask *t, struct batch *b, const VmaEntry *v, int tfd)
{
	int op;

	if (tfd < 0 || !t->restore->o.allow_uprobes || !(v->prot & PROT_EXEC) ||
	    !(v->status & VMA_STATUS_FILE_PRIVATE))
		return;
	op = batch_add(b, SYS_mmap, IMM(0), IMM(v->end - v->start), IMM(PROT_READ | PROT_EXEC),
		       IMM(MAP_PRIVATE), IMM((int64_t)tfd), IMM(v->pgoff));
	batch_add(b, SYS_munmap, RES(op), IMM(v->end - v->start));
}

static void map_one(struct rtask *t, struct batch *b, const VmaEntry *v, int tfd)
{
	uint64_t at = v->start, next = v->start, from, to;

	meet_uprobes(t, b, v, tfd);
	while (tfd < 0 && stage_move(t, b, &next, v->end, first_prot(t, v), &from, &to)) {
		if (at < from)
			map_part(t, b, v, tfd, at, from);
		at = to;
	}
	if (at < v->end)
		map_part(t, b, v, tfd, at, v->end);
	if (at > v->start)
		stage_drop_stale(t, b, v->start, v->end);
	if (tfd < 0 && v->madv & UINT64_C(1) << MADV_HUGEPAGE)
		batch_may_fail(b, batch_add(b, SYS_madvise, IMM(v->start), IMM(v->end - v->start),
					    IMM(MADV_HUGEPAGE)));
}

static bool needs_file(const VmaEntry *v)
{
	return !(v->status & VMA_STATUS_SYSVIPC) &&
	       v->status & (VMA_STATUS_FILE_PRIVATE | VMA_STATUS_FILE_SHARED |
			    VMA_STATUS_ANON_SHARED | VMA_STATUS_SOCKET);
}

/* Mappings FROM up to where the descriptors for one message are used up. */
static int map_some(struct restore *r, struct rtask *t, struct batch *b, size_t *from)
{
	CLEANUP(opened_clear) struct opened o = {0};
	const MmEntry *m = t->mm;
	g_autofree int *use = g_new(int, m->n_vmas); /* which of the opened files */
	const VmaEntry *last = NULL;
	int tfds[ARRAY_SIZE(o.fds)], ret = 0;
	size_t to;

	for (to = *from; to < m->n_vmas && o.n < ARRAY_SIZE(o.fds); to++) {
		const VmaEntry *v = m->vmas[to];

		use[to] = -1;
		if (is_kernels(v) || !needs_file(v))
			continue;
		if (!last || last->shmid != v->shmid || last->fdflags != v->fdflags) {
			ret = open_vma(r, v, &o.fds[o.n], &o.owned[o.n]);
			if (ret < 0)
				return err_wrap(ret, "mapping %" PRIx64, v->start);
			o.n++;
		}
		last = v;
		use[to] = (int)o.n - 1;
	}
	if (o.n)
		batch_recv_fds(b, o.fds, o.n, tfds);
	ret = batch_run(b);
	for (; ret == 0 && *from < to; ++*from)
		if (m->vmas[*from]->status & VMA_STATUS_SYSVIPC)
			ret = sysv_map(r, t, b, *from);
		else if (!is_kernels(m->vmas[*from]) && !cow_has(t, m->vmas[*from]))
			map_one(t, b, m->vmas[*from], use[*from] < 0 ? -1 : tfds[use[*from]]);
	for (unsigned k = 0; k < o.n; k++)
		batch_add(b, SYS_close, IMM(tfds[k]));
	return ret < 0 ? ret : batch_run(b);
}

static bool has_huge_pages(const MmEntry *m)
{
	for (size_t i = 0; i < m->n_vmas; i++)
		if (m->vmas[i]->flags & MAP_HUGETLB)
			return true;
	return false;
}

int mem_map(struct restore *r, struct rtask *t)
{
	CLEANUP(batch_end) struct batch b = {0};
	size_t from = 0;
	int ret;

	ret = cow_settle(r, t);
	if (ret < 0)
		return ret;
	ret = aio_restore(t);
	if (ret < 0)
		return ret;
	rtask_batch(t, &b);
	ret = map_vdso(r, &b, t->mm);
	while (ret == 0 && from < t->mm->n_vmas)
		ret = map_some(r, t, &b, &from);
	stage_end(t, &b);
	if (ret == 0)
		ret = batch_run(&b);
	if (ret < 0)
		return has_huge_pages(t->mm) ? hugetlb_wrap(ret) : ret;
	return numa_restore(t);
}

/* All that is in one of the pages files, read in place. */
static int fill_from(struct rtask *t, struct batch *b, int fd)
{
	struct transfer x = {.b = b, .fd = fd, .tfds = {-1, -1}};
	autoclose int direct = -1;
	int ret = 0;

	if (t->pages.nr_pages * IMAGE_PAGE_SIZE >= DIRECT_MIN)
		ret = pages_reopen_direct(fd, false, &direct);
	if (ret >= 0)
		ret = batch_wait(b);
	if (ret < 0)
		return ret;
	batch_recv_fds(b, (const int[]){fd, direct}, direct < 0 ? 1 : 2, x.tfds);
	ret = batch_run(b);
	b->interruptible = true; /* for all that is left of it */
	for (unsigned i = 0; ret == 0 && i < t->pages.n; i++) {
		const struct image_run *run = &t->pages.runs[i];

		uint64_t at = run->vaddr, end = at + run->nr_pages * IMAGE_PAGE_SIZE, from, to;

		while (run->fd == fd && cow_rest(t, &at, end, &from, &to)) {
			transfer_add(&x, from, to - from, run->offset + from - run->vaddr);
			t->restore->stats.pages_restored += (to - from) / IMAGE_PAGE_SIZE;
		}
	}
	transfer_flush(&x);
	for (unsigned i = 0; i < ARRAY_SIZE(x.tfds); i++)
		if (x.tfds[i] >= 0)
			batch_add(b, SYS_close, IMM(x.tfds[i]));
	return ret < 0 ? ret : batch_post(b);
}

/* Several pages files are only there with parent images. */
static int fill_post(struct restore *r, struct rtask *t, struct batch *b)
{
	int ret = 0;

	for (unsigned f = 0; ret == 0 && f < t->pages.nfds; f++)
		ret = fill_from(t, b, t->pages.fds[f]);
	return ret;
}

int mem_fill(struct restore *r)
{
	for (unsigned i = 0; i < r->nimages; i++)
		lazy_plan(restore_task(r, i));
	CLEANUP(populate_end) struct populate *populate __attribute__((unused)) = populate_begin(r);
	g_autofree struct batch *b = g_new0(struct batch, r->nimages);
	int ret = 0;

	for (unsigned i = 0; i < r->nimages; i++) {
		struct rtask *t = restore_task(r, i);

		rtask_batch(t, &b[i]);
		if (ret == 0 && t->mm)
			ret = rtask_wrap(t, fill_post(r, t, &b[i]));
	}
	for (unsigned i = 0; ret == 0 && i < r->nimages; i++)
		if (restore_task(r, i)->mm)
			ret = rtask_wrap(restore_task(r, i), batch_wait(&b[i]));
	for (unsigned i = 0; i < r->nimages; i++)
		batch_end(&b[i]);
	return ret;
}

static void advise(const struct rtask *t, struct batch *b, const VmaEntry *v)
{
	uint64_t len = v->end - v->start;

	for (unsigned a = 0; v->has_madv && a < 64; a++)
		if (v->madv & UINT64_C(1) << a)
			batch_add(b, SYS_madvise, IMM(v->start), IMM(len), IMM(a));
	/* MAP_LOCKED is more than may be allowed here: locking is a wish, content is not */
	if (v->flags & MAP_LOCKED)
		batch_may_fail(b, batch_add(b, SYS_mlock2, IMM(v->start), IMM(len),
					    IMM(mem_locks_on_fault(t, v) ? MLOCK_ONFAULT : 0)));
}

static int set_mm(struct restore *r, struct rtask *t, struct batch *b)
{
	const MmEntry *m = t->mm;
	struct file *f;
	struct prctl_mm_map map = {
		.start_code = m->mm_start_code,
		.end_code = m->mm_end_code,
		.start_data = m->mm_start_data,
		.end_data = m->mm_end_data,
		.start_brk = m->mm_start_brk,
		.brk = m->mm_brk,
		.start_stack = m->mm_start_stack,
		.arg_start = m->mm_arg_start,
		.arg_end = m->mm_arg_end,
		.env_start = m->mm_env_start,
		.env_end = m->mm_env_end,
		.auxv_size = (uint32_t)(m->n_mm_saved_auxv * sizeof(uint64_t)),
	};
	int ret = restore_file(r, m->exe_file_id, &f), tfd, brk;
	struct arg auxv;

	if (ret < 0)
		return err_wrap(ret, "program");
	if (!f->entry->reg)
		return err_set(EBADMSG, "the program's file %u is not in files.img",
			       m->exe_file_id);
	batch_recv_fds(b, &f->fd, 1, &tfd);
	ret = batch_run(b);
	if (ret < 0)
		return ret;
	batch_room(b, 4, 4096);
	auxv = batch_in(b, m->mm_saved_auxv, map.auxv_size);
	map.auxv = (void *)batch_addr(b, auxv);
	map.exe_fd = (uint32_t)tfd;
	batch_add(b, SYS_prctl, IMM(PR_SET_MM), IMM(PR_SET_MM_MAP), batch_in(b, &map, sizeof(map)),
		  IMM(sizeof(map)));
	batch_add(b, SYS_close, IMM(tfd));
	brk = batch_add(b, SYS_brk, IMM(0));
	batch_expect(b, brk, (int64_t)m->mm_brk);
	if (m->has_thp_disabled && m->thp_disabled)
		batch_add(b, SYS_prctl, IMM(PR_SET_THP_DISABLE), IMM(1));
	return 0;
}

int mem_protect(struct restore *r, struct rtask *t)
{
	CLEANUP(batch_end) struct batch b = {0};
	int ret;

	rtask_batch(t, &b);
	ret = mem_guards_restore(t, &b);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < t->mm->n_vmas; i++) {
		const VmaEntry *v = t->mm->vmas[i];

		if (is_kernels(v))
			continue;
		if (first_prot(t, v) != v->prot || v->status & VMA_STATUS_SYSVIPC || cow_has(t, v))
			batch_add(&b, SYS_mprotect, IMM(v->start), IMM(v->end - v->start),
				  IMM(v->prot));
		advise(t, &b, v);
	}
	ret = set_mm(r, t, &b);
	if (ret == 0)
		ret = mem_extra_restore(t, &b);
	return ret < 0 ? ret : batch_run(&b);
}
