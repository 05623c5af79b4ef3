/* SPDX-License-Identifier: Apache-2.0 */
#include "state/mem/mem.h"

#include "kernel/procmisc.h"
#include "state/fd/files.h"
#include "state/mem/track.h"
#include "state/sock/socks.h"

#include "image/pagemap.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>

/* VmFlags and the advice that brings them back (madvise(2)); recorded as CRIU does: 1 << advice. */
static const struct {
	uint64_t flag;
	unsigned advice;
} advices[] = {
	{VMF(SR), MADV_SEQUENTIAL}, {VMF(RR), MADV_RANDOM},	{VMF(DC), MADV_DONTFORK},
	{VMF(DD), MADV_DONTDUMP},   {VMF(MG), MADV_MERGEABLE},	{VMF(HG), MADV_HUGEPAGE},
	{VMF(NH), MADV_NOHUGEPAGE}, {VMF(WF), MADV_WIPEONFORK},
};

static bool is_special(const struct vma *v)
{
	return v->special == VMA_VDSO || v->special == VMA_VVAR || v->special == VMA_VVAR_VCLOCK ||
	       v->special == VMA_VSYSCALL;
}

/* "/dev/zero (deleted)": MAP_SHARED | MAP_ANONYMOUS (mm/shmem.c: shmem_zero_setup()). */
static bool is_shared_anonymous(const struct vma *v)
{
	return v->shared && ((v->deleted && strcmp(v->name, "/dev/zero") == 0) ||
			     hugetlb_is_anonymous(v) || shmem_is_stand_in(v));
}

static bool is_file(const struct vma *v)
{
	return v->ino != 0 && v->name[0] == '/' && !is_shared_anonymous(v) && !sysv_is_map(v) &&
	       !aio_is_ring(v) && !hugetlb_is_anonymous(v);
}

/* A ring of packet(7): its content is not kept. */
static bool is_socket(const struct vma *v)
{
	return v->ino != 0 && g_str_has_prefix(v->name, "socket:[");
}

/* Is it watched by our own tracker, and by nobody else? */
static bool is_tracked(struct dump *d, const struct dtask *t, const struct vma *v)
{
	return (v->vmflags & (VMF(UM) | VMF(UW) | VMF(UI))) == VMF(UW) &&
	       track_has(d, dump_task(d, t->vm));
}

/* Why a mapping cannot be saved, or NULL. */
static const char *why_not(struct dump *d, const struct dtask *t, const struct vma *v)
{
	if (v->special == VMA_UPROBES && !d->o.allow_uprobes)
		return "is there because of breakpoints of uprobes (perf(1), uprobe_events); take "
		       "them away, or use --allow-uprobes, if they will be there at the restore";
	if (v->vmflags & (VMF(IO) | VMF(PF)))
		return "is memory of a device";
	if (v->vmflags & VMF(HT) && !hugetlb_is_anonymous(v) && !memfd_is_map(v) && !sysv_is_map(v))
		return "is a file of hugetlbfs, which cannot be saved";
	if (v->vmflags & (VMF(UM) | VMF(UW) | VMF(UI)) && !is_tracked(d, t, v) &&
	    uffd_why_not(d, t, v))
		return uffd_why_not(d, t, v);
	if (v->vmflags & VMF(SS))
		return "is a shadow stack";
	if (v->deleted && strcmp(v->name, "/secretmem") == 0) /* memfd_secret(2) */
		return "is secret memory, which cannot be saved: that is its purpose";
	if (v->special == VMA_OTHER)
		return "is of an unknown kind";
	if (v->ino == 0 && v->shared && !sysv_is_map(v)) /* the first segment is number 0 */
		return "is shared memory without an object";
	if (uring_is_map(v))
		return uring_is_open(t, v)
			       ? NULL
			       : "is a ring of io_uring that is closed, which cannot be "
				 "saved; unmap it";
	if (g_str_has_prefix(v->name, "anon_inode:bpf-map"))
		return "is a BPF map, which is not saved while it is mapped; unmap it first";
	if (v->ino != 0 && v->name[0] != '/' && !is_socket(v))
		return "is a file without a name";
	return NULL;
}

/*
 * A program or library is mapped piece by piece, each one behind the one before, through one
 * description of its file.
 */
static bool is_next_piece(const struct vma *v, const struct vma *before)
{
	return !v->shared && !before->shared && v->start == before->end &&
	       v->offset > before->offset && v->ino == before->ino && v->major == before->major &&
	       v->minor == before->minor && v->deleted == before->deleted &&
	       strcmp(v->name, before->name) == 0;
}

/*
 * Not for us: within a user namespace map_files/ is shown to nobody (fs/proc/base.c:
 * proc_map_files_get_link()).  By its name then, if that still leads to it.
 */
static int by_name(const struct dtask *t, const struct vma *v, char **reopen, struct stat *st)
{
	g_free(*reopen);
	*reopen = g_strdup_printf("/proc/%d/root%s", t->proc.pid, v->name);
	if (!v->deleted && stat(*reopen, st) == 0 && st->st_ino == v->ino &&
	    major(st->st_dev) == v->major && minor(st->st_dev) == v->minor)
		return 0;
	return err_set(EPERM,
		       "%s: what is mapped, and has no name any more, is shown to "
		       "CAP_CHECKPOINT_RESTORE (or CAP_SYS_ADMIN) of the initial user "
		       "namespace only: run this outside of user namespaces",
		       v->name);
}

/* REOPEN and LINK, the caller's, are what *RET refers to. */
static int view_of(const struct dtask *t, const struct vma *v, char **reopen, char **link,
		   struct path_view *ret)
{
	bool writes = v->shared && (v->vmflags & VMF(MW));
	struct stat st;
	int r = 0;

	*reopen = g_strdup_printf("/proc/%d/map_files/%" PRIx64 "-%" PRIx64, t->proc.pid, v->start,
				  v->end);
	*link = g_strconcat(v->name, v->deleted ? " (deleted)" : "", NULL);
	/* how the file was opened: fs/proc/base.c: proc_map_files_instantiate() */
	if (lstat(*reopen, &st) == 0)
		writes = writes || st.st_mode & S_IWUSR;
	if (stat(*reopen, &st) < 0)
		r = errno == EPERM ? by_name(t, v, reopen, &st) : err_errno("stat %s", *reopen);
	*ret = (struct path_view){.link = *link,
				  .st = st,
				  .reopen = *reopen,
				  .flags = writes ? O_RDWR : O_RDONLY,
				  .mnt_id = -1};
	return r;
}

/* LINK, the caller's, and REOPEN are what *RET refers to. */
static int exe_view(const struct dtask *t, char reopen[static 64], char **link,
		    struct path_view *ret)
{
	int r = proc_link(t->proc.dir, "exe", link);

	if (r < 0)
		return r;
	snprintf(reopen, 64, "/proc/%d/exe", t->proc.pid);
	*ret = (struct path_view){.link = *link, .reopen = reopen, .flags = O_RDONLY, .mnt_id = -1};
	return stat(reopen, &ret->st) < 0 ? err_errno("stat %s", reopen) : 0;
}

static int check_exe(struct dump *d, struct dtask *t)
{
	g_autofree char *link = NULL;
	char reopen[64];
	struct path_view p;
	int r = exe_view(t, reopen, &link, &p);

	if (r < 0)
		return r;
	r = path_check(d, &p);
	if (r == 0)
		r = reopen_check_program(&p);
	return r < 0 ? err_wrap(r, "program") : r;
}

static int check_executed(const struct dtask *t, const struct vma *v)
{
	g_autofree char *link = NULL, *reopen = NULL;
	struct path_view p;

	return view_of(t, v, &reopen, &link, &p) < 0 ? 0 : reopen_check_mapped(&p);
}

/* What has gone by now is seen again when all stands still. */
static int check_named(struct dump *d, const struct dtask *t, const struct vma *v)
{
	g_autofree char *link = NULL, *reopen = NULL;
	struct path_view p;
	int r = view_of(t, v, &reopen, &link, &p);

	if (r < 0 && r != -EPERM)
		err_clear();
	if (r < 0)
		return r == -EPERM ? r : 0;
	return memfd_is_map(v) ? 0 : path_check(d, &p);
}

int mem_check(struct dump *d, struct dtask *t)
{
	int r = check_exe(d, t);

	r = r < 0 ? dump_refuse(d, dtask_wrap(t, r)) : 0;
	for (size_t i = 0; r == 0 && i < t->maps.n; i++) {
		const struct vma *v = &t->maps.v[i];

		if (is_special(v) || (v->special == VMA_UPROBES && d->o.allow_uprobes))
			continue;
		if (why_not(d, t, v))
			r = err_set(EOPNOTSUPP, "mapping %" PRIx64 " %s %s", v->start, v->name,
				    why_not(d, t, v));
		else if (sysv_is_map(v))
			r = sysv_check(d, t, i);
		else if (is_socket(v))
			r = err_wrap(socks_map_check(d, v->ino), "mapping %" PRIx64 " %s", v->start,
				     v->name);
		else if (is_file(v) && (i == 0 || strcmp(v->name, t->maps.v[i - 1].name) != 0))
			r = check_named(d, t, v);
		if (r == 0 && is_file(v) && v->prot & PROT_EXEC && !memfd_is_map(v))
			r = check_executed(t, v);
		if (r < 0)
			r = dump_refuse(d, dtask_wrap(t, r));
	}
	return r;
}

static void dump_special(const struct vma *v, VmaEntry *e)
{
	e->status = VMA_STATUS_REGULAR | VMA_STATUS_ANON_PRIVATE;
	e->status |= v->special == VMA_VDSO	  ? VMA_STATUS_VDSO
		     : v->special == VMA_VSYSCALL ? VMA_STATUS_VSYSCALL
						  : VMA_STATUS_VVAR;
	e->flags = MAP_PRIVATE | MAP_ANONYMOUS;
}

static void dump_flags(const struct vma *v, VmaEntry *e)
{
	e->status = VMA_STATUS_REGULAR;
	e->status |= v->special == VMA_HEAP    ? VMA_STATUS_HEAP
		     : v->special == VMA_STACK ? VMA_STATUS_STACK
					       : 0;
	e->flags = v->shared ? MAP_SHARED : MAP_PRIVATE;
	e->flags |= (v->vmflags & VMF(GD) ? MAP_GROWSDOWN : 0) |
		    (v->vmflags & VMF(NR) ? MAP_NORESERVE : 0) |
		    (v->vmflags & VMF(LO) ? MAP_LOCKED : 0) |
		    (v->vmflags & VMF(DP) ? MAP_DROPPABLE : 0);
	e->flags |= hugetlb_map_flags(v);
	for (unsigned i = 0; i < ARRAY_SIZE(advices); i++)
		if (v->vmflags & advices[i].flag)
			e->madv |= UINT64_C(1) << advices[i].advice;
	e->has_madv = e->madv != 0;
}

/* BEFORE: the record of the mapping before it in the table. */
static int dump_file(struct dump *d, struct dtask *t, const struct vma *v, const VmaEntry *before,
		     VmaEntry *e)
{
	g_autofree char *link = NULL, *reopen = NULL;
	struct path_view p;
	uint32_t id;
	int r;

	e->status |= memfd_is_map(v) ? VMA_STATUS_MEMFD : 0;
	e->status |= v->shared ? VMA_STATUS_FILE_SHARED : VMA_STATUS_FILE_PRIVATE;
	e->has_fdflags = true;
	if (before && (before->status & VMA_STATUS_FILE_PRIVATE) && is_next_piece(v, v - 1)) {
		e->shmid = before->shmid;
		e->fdflags = before->fdflags;
		return 0;
	}
	r = view_of(t, v, &reopen, &link, &p);
	if (r == 0)
		r = memfd_is_map(v) ? memfd_dump_map(d, &p, &id) : path_dump_new(d, &p, &id);
	if (r < 0)
		return err_wrap(r, "mapping %" PRIx64, v->start);
	e->shmid = id;
	e->fdflags = p.flags;
	/* made after F_SEAL_WRITE (mm/memfd.c: check_write_seal()); it would be in the seal's way
	 */
	if (memfd_is_map(v) && v->shared && !(v->vmflags & (VMF(MW) | VMF(WR))))
		e->fdflags = (p.flags & ~(unsigned)O_ACCMODE) | O_RDONLY;
	return 0;
}

static int dump_anonymous(struct dump *d, struct dtask *t, const struct vma *v, VmaEntry *e)
{
	e->flags |= MAP_ANONYMOUS;
	e->status |= v->shared ? VMA_STATUS_ANON_SHARED : VMA_STATUS_ANON_PRIVATE;
	if (v->shared)
		return shmem_dump_add(d, t, v, &e->shmid);
	e->pgoff = 0;
	return 0;
}

static int dump_vma(struct dump *d, struct dtask *t, const struct vma *v, const VmaEntry *before,
		    VmaEntry *e)
{
	e->start = v->start;
	e->end = v->end;
	e->pgoff = v->offset;
	e->prot = (uint32_t)v->prot;
	e->fd = -1;
	if (is_special(v)) {
		dump_special(v, e);
		return 0;
	}
	if (why_not(d, t, v))
		return err_set(EOPNOTSUPP, "mapping %" PRIx64 " %s %s", v->start, v->name,
			       why_not(d, t, v));
	dump_flags(v, e);
	if (aio_is_ring(v))
		return aio_dump(t, v, e);
	if (is_file(v))
		return dump_file(d, t, v, before, e);
	if (is_socket(v)) {
		e->status |= VMA_STATUS_SOCKET;
		e->shmid = v->ino; /* until its file is dumped: mem_dump_rest() */
		return 0;
	}
	if (sysv_is_map(v)) { /* it may have come since mem_check() */
		int r = sysv_check(d, t, (size_t)(v - t->maps.v));

		if (r == 0)
			sysv_dump(v, e);
		return r;
	}
	if (uring_is_map(v)) { /* what is there until the ring is made */
		e->flags = MAP_PRIVATE | MAP_ANONYMOUS;
		e->status |= VMA_STATUS_ANON_PRIVATE;
		e->pgoff = 0;
		return 0;
	}
	return dump_anonymous(d, t, v, e);
}

static int dump_exe(struct dump *d, struct dtask *t, uint32_t *ret_id)
{
	g_autofree char *link = NULL;
	char reopen[64];
	struct path_view p;
	int r = exe_view(t, reopen, &link, &p);

	return r < 0 ? r : path_dump_new(d, &p, ret_id);
}

/*
 * Where instructions are executed that a breakpoint is in the place of: the kernel makes it when
 * the first one is hit (kernel/events/uprobes.c: get_xol_area()).  The breakpoints are in private
 * pages of the program.
 */
static bool is_made_at_need(struct dump *d, const struct vma *v)
{
	bool yes = v->special == VMA_UPROBES && d->o.allow_uprobes;

	d->uprobes = d->uprobes || yes;
	return yes;
}

int mem_dump_layout(struct dump *d, struct dtask *t)
{
	const struct procstat *s = &t->stat;
	struct proc_auxv auxv;
	MmEntry *m;
	int r;

	t->mm = m = g_new0(MmEntry, 1);
	mm_entry__init(m);
	m->mm_start_code = s->start_code;
	m->mm_end_code = s->end_code;
	m->mm_start_data = s->start_data;
	m->mm_end_data = s->end_data;
	m->mm_start_stack = s->start_stack;
	m->mm_start_brk = s->start_brk;
	m->mm_arg_start = s->arg_start;
	m->mm_arg_end = s->arg_end;
	m->mm_env_start = s->env_start;
	m->mm_env_end = s->env_end;
	m->has_thp_disabled = true;
	m->thp_disabled = !t->status.thp_enabled;
	r = proc_auxv(t->proc.dir, &auxv);
	if (r < 0)
		return r;
	m->n_mm_saved_auxv = auxv.n;
	m->mm_saved_auxv = g_memdup2(auxv.words, auxv.n * sizeof(uint64_t));
	r = dump_exe(d, t, &m->exe_file_id);
	if (r < 0)
		return err_wrap(r, "program");
	m->vmas = g_new0(VmaEntry *, t->maps.n);
	for (size_t i = 0; i < t->maps.n; i++) {
		const VmaEntry *before = m->n_vmas ? m->vmas[m->n_vmas - 1] : NULL;
		VmaEntry *e;

		if (is_made_at_need(d, &t->maps.v[i]))
			continue;
		m->vmas[m->n_vmas++] = e = g_new0(VmaEntry, 1);
		vma_entry__init(e);
		r = dump_vma(d, t, &t->maps.v[i], before, e);
		if (r < 0)
			return r;
	}
	mem_extra_dump(t);
	return 0;
}

static int dump_socket_maps(struct dump *d, const MmEntry *m)
{
	for (size_t i = 0; i < m->n_vmas; i++) {
		VmaEntry *v = m->vmas[i];

		if (!(v->status & VMA_STATUS_SOCKET))
			continue;
		v->shmid = socks_map_id(d, v->shmid);
		if (!v->shmid)
			return err_set(EOPNOTSUPP,
				       "mapping %" PRIx64 " is of a socket that is closed or not a "
				       "packet socket, which cannot be saved",
				       v->start);
	}
	return 0;
}

int mem_dump_no_pages(struct dump *d, const struct dtask *t)
{
	PagemapHead head = PAGEMAP_HEAD__INIT;

	head.pages_id = d->next_pages_id++;
	return image_write(&d->w, IMG_PAGEMAP, (uint64_t)t->nspid, &head.base);
}

struct ops {
	int brk, dumpable, future;
};

static int rest_ask(struct dthread *h, struct batch *b, void *data)
{
	struct ops *ops = data;

	ops->brk = batch_add(b, SYS_brk, IMM(0));
	ops->dumpable = batch_add(b, SYS_prctl, IMM(PR_GET_DUMPABLE));
	ops->future = mem_future_ask(h->task, b);
	return 0;
}

static int rest_take(struct dump *d, struct dthread *h, const struct answers *a)
{
	const struct ops *ops = a->data;
	struct dtask *t = h->task;
	int r;

	t->mm->mm_brk = (uint64_t)answer(a, ops->brk);
	r = mem_future_dump(d, t, answer(a, ops->future));
	if (r == 0)
		r = uffd_check_maps(d, t);
	if (r == 0)
		r = dump_socket_maps(d, t->mm);
	if (r < 0)
		return r;
	t->mm->has_dumpable = true;
	t->mm->dumpable = (int32_t)answer(a, ops->dumpable);
	return image_write(&d->w, IMG_MM, (uint64_t)t->nspid, &t->mm->base);
}

const struct question mem_question = {
	.bytes = sizeof(struct ops),
	.leader = true,
	.ask = rest_ask,
	.take = rest_take,
};
