/* SPDX-License-Identifier: Apache-2.0 */
#include "state/mem/lazy.h"

#include "base/fd.h"
#include "kernel/proc.h"
#include "kernel/uffd.h"
#include "state/mem/cow.h"
#include "state/mem/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

bool lazy_vma(const VmaEntry *v)
{
	const unsigned special =
		VMA_STATUS_VDSO | VMA_STATUS_VVAR | VMA_STATUS_VSYSCALL | VMA_STATUS_AIORING;

	return v->status & VMA_STATUS_ANON_PRIVATE && !(v->status & special) &&
	       !(v->flags & (MAP_LOCKED | MAP_HUGETLB | MAP_GROWSDOWN | MAP_DROPPABLE));
}

/* Guards are marks on single pages, and who locks all memory to come has it now. */
static bool may_be_lazy(const struct rtask *t)
{
	return t->restore->o.lazy && t->mm && !json_object_get(t->extra, "guards") &&
	       !json_object_get(t->extra, "watched") && !json_object_get(t->extra, "mlock_future");
}

bool lazy_map(const struct dtask *t, const struct vma *v)
{
	return mem_has_pages(v) && v->ino == 0 && v->name[0] != '/' &&
	       !(v->vmflags & (VMF(LO) | VMF(GD) | VMF(DP) | VMF(HT))) &&
	       !json_object_get(t->extra, "guards") && !json_object_get(t->extra, "watched") &&
	       !json_object_get(t->extra, "mlock_future");
}

/* The first run that ends behind ADDR. */
static unsigned run_from(const struct page_set *s, uint64_t addr)
{
	unsigned lo = 0, hi = s->n;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (s->runs[mid].vaddr + s->runs[mid].nr_pages * IMAGE_PAGE_SIZE <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool is_served(const struct rtask *t, const VmaEntry *v)
{
	unsigned i = run_from(&t->pages, v->start);

	return lazy_vma(v) && i < t->pages.n && t->pages.runs[i].vaddr < v->end;
}

void lazy_plan(struct rtask *t)
{
	for (size_t i = 0; may_be_lazy(t) && i < t->mm->n_vmas; i++)
		if (is_served(t, t->mm->vmas[i]))
			cow_claim(t, t->mm->vmas[i]->start, t->mm->vmas[i]->end);
}

int lazy_check(const struct rtask *t)
{
	for (unsigned i = 0; !t->staged && i < t->pages.n; i++) {
		const struct image_run *run = &t->pages.runs[i];
		uint64_t at = run->vaddr, end = at + run->nr_pages * IMAGE_PAGE_SIZE;

		for (size_t k = 0; run->fd < 0 && at < end && k < t->mm->n_vmas; k++) {
			const VmaEntry *v = t->mm->vmas[k];

			if (v->start <= at && v->end > at && lazy_vma(v) && may_be_lazy(t))
				at = v->end;
		}
		if (run->fd < 0 && at < end)
			return err_set(ENODATA,
				       "task %d: its memory has stayed where it was dumped with "
				       "--lazy-pages; use --lazy-pages, and cryo lazy-pages",
				       t->nspid);
	}
	return 0;
}

static int watch(struct rtask *t, int fd)
{
	int ret = uffd_serve_begin(fd);

	for (size_t i = 0; ret == 0 && i < t->mm->n_vmas; i++) {
		const VmaEntry *v = t->mm->vmas[i];

		if (is_served(t, v))
			ret = uffd_serve(fd, v->start, v->end);
	}
	return ret;
}

/*
 * Faults of the kernel itself are to be seen as well: the system call wants CAP_SYS_PTRACE in the
 * initial user namespace for that, the device (Linux 6.1) nothing but having been opened
 * (fs/userfaultfd.c: userfaultfd_syscall_allowed(), userfaultfd_dev_ioctl()).
 */
int lazy_add_new(struct batch *b, uint32_t flags, int *ret_op)
{
	autoclose int device =
		flags & UFFD_USER_MODE_ONLY ? -1 : open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	int tfd, ret = 0;

	if (device < 0) {
		*ret_op = batch_add(b, SYS_userfaultfd, IMM(flags));
		return 0;
	}
	batch_recv_fds(b, &device, 1, &tfd);
	ret = batch_run(b);
	if (ret == 0) {
		*ret_op = batch_add(b, SYS_ioctl, IMM(tfd), IMM(USERFAULTFD_IOC_NEW), IMM(flags));
		batch_add(b, SYS_close, IMM(tfd));
	}
	return ret;
}

int lazy_begin(struct restore *r, struct rtask *t)
{
	const struct lazy_task about = {t->nspid, rtask_pid(t)};
	CLEANUP(batch_end) struct batch b = {0};
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	autoclose int fd = -1;
	int op = 0, ret;
	bool any = false;

	for (size_t i = 0; may_be_lazy(t) && i < t->mm->n_vmas; i++)
		any = any || is_served(t, t->mm->vmas[i]);
	if (!any)
		return 0;
	rtask_batch(t, &b);
	ret = lazy_add_new(&b, O_CLOEXEC | O_NONBLOCK, &op);
	if (ret == 0)
		ret = batch_run(&b);
	if (ret == 0)
		ret = proc_open(about.pid, &p);
	if (ret == 0)
		ret = proc_getfd(&p, (int)batch_result(&b, op), &fd);
	if (ret < 0)
		return ret;
	batch_add(&b, SYS_close, IMM(batch_result(&b, op)));
	ret = batch_run(&b);
	if (ret == 0)
		ret = watch(t, fd);
	if (ret == 0)
		ret = fd_send(r->o.lazy_sock, &about, sizeof(about), &fd, 1);
	return ret < 0 ? err_wrap(ret, "memory to come later") : 0;
}

int lazy_end(struct restore *r)
{
	const struct lazy_task none = {0};

	return r->o.lazy ? fd_send(r->o.lazy_sock, &none, sizeof(none), NULL, 0) : 0;
}
