/* SPDX-License-Identifier: Apache-2.0 */
/*
 * userfaultfd(2): a descriptor that belongs to the address space of who made it, whoever has it
 * now. Mappings are watched again when they have their content; pages that were missing are missing
 * then.  A thread that waits for a page is stopped in the access, and does it again; so the handler
 * may be told of it once more, as after any signal.
 *
 * What it is of, and what it has to tell, is read from the kernel's memory (kernel/peek.h); which
 * mappings it watches, by watching them once more: that changes nothing for one's own, and is EBUSY
 * for another's (fs/userfaultfd.c: userfaultfd_register()).
 *
 * CRIU has no record for them: a file of that name, and in IMAGE_EXTRA {"userfaultfds": {"FILE":
 * {"pid", "flags", "features", "ranges": [[start, end, mode]], "zeros": [[start, end]],
 * "protected": [[start, end]]}}}; the task of that number has "watched": true.
 */
#include "kernel/uffd.h"
#include "kernel/pagemap.h"
#include "kernel/peek.h"
#include "state/extra.h"
#include "state/fd/files.h"
#include "state/fd/kind.h"
#include "state/mem/lazy.h"
#include "state/mem/mem.h"
#include "state/mem/track.h"
#include "state/task/task.h"

#include "image/regfile.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#define LINK	    "anon_inode:[userfaultfd]"
#define KEY	    "userfaultfds"
#define INITIALIZED (1u << 31)		/* UFFD_FEATURE_INITIALIZED */
#define ASYNC	    (1u << 15)		/* UFFD_FEATURE_WP_ASYNC */
#define MARK_WP	    (UINT64_C(1) << 57) /* PM_UFFD_WP of /proc/PID/pagemap */
#define MARKS	    4096
#define PAGE	    UINT64_C(4096)
#define WATCHED	    (VMF(UM) | VMF(UW) | VMF(UI))

struct uffd_view {
	struct peek *k;
	uint64_t ctx, mm;
	uint32_t flags, features;
};

static bool match(const struct dump *d, const struct fd_view *v)
{
	return strcmp(v->link, LINK) == 0;
}

/* "API: aa:features:..." (userfaultfd_show_fdinfo()) */
static int read_features(const struct fd_view *v, uint32_t *ret)
{
	const char *api = fdinfo_get(&v->info, "API"), *colon = api ? strchr(api, ':') : NULL;

	if (!colon)
		return err_set(EBADMSG, "no line API");
	*ret = (uint32_t)strtoull(colon + 1, NULL, 16);
	return 0;
}

/* Who has changed his memory and waits until that is read: fork(2), mremap(2), munmap(2) ... */
static int look_events(const struct uffd_view *u)
{
	uint64_t at, first;
	int r = peek_at(u->k, u->ctx, "userfaultfd_ctx", "event_wqh.head", &at);

	if (r == 0)
		r = peek_read(u->k, at, &first, sizeof(first));
	return r == 0 && first != at ? err_set(EAGAIN, "events wait to be read from it") : r;
}

static int look(struct dump *d, const struct fd_view *v, struct uffd_view *ret)
{
	struct uffd_view u = {0};
	autoclose int fd = -1;
	uint64_t file;
	int r;

	if (!dump_peek(d, &u.k))
		return err_set(EOPNOTSUPP,
			       "whose memory it watches is not seen, as this kernel does "
			       "not let its own be read; close it first");
	r = fd_view_get(v, &fd);
	if (r == 0)
		r = read_features(v, &u.features);
	if (r == 0)
		r = peek_file(u.k, fd, &file);
	if (r == 0)
		r = peek_u64(u.k, file, "file", "private_data", &u.ctx);
	if (r == 0)
		r = peek_u64(u.k, u.ctx, "userfaultfd_ctx", "mm", &u.mm);
	if (r == 0)
		r = peek_u32(u.k, u.ctx, "userfaultfd_ctx", "flags", &u.flags);
	if (r == 0)
		r = look_events(&u);
	if (r == 0)
		*ret = u;
	return r;
}

/* struct mm_struct is what an open /proc/PID/mem has (fs/proc/base.c: mem_open()). */
static int mm_of(struct peek *k, const struct dtask *t, uint64_t *ret)
{
	autoclose int fd = openat(t->proc.dir, "mem", O_RDONLY | O_CLOEXEC);
	uint64_t file;
	int r = fd < 0 ? err_errno("open mem of process %d", t->pid) : peek_file(k, fd, &file);

	return r < 0 ? r : peek_u64(k, file, "file", "private_data", ret);
}

/* NULL: whose it is is not in the tree. */
static int find_owner(struct dump *d, const struct uffd_view *u, struct dtask **ret)
{
	int r = 0;

	*ret = NULL;
	for (unsigned i = 0; r == 0 && !*ret && i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);
		uint64_t mm = 0;

		if (!t->zombie)
			r = mm_of(u->k, t, &mm);
		if (mm == u->mm)
			*ret = dump_task(d, t->vm);
	}
	return r < 0 || *ret ? r
			     : err_set(EOPNOTSUPP,
				       "the process whose memory it watches is not in the tree, or "
				       "has ended");
}

static int check(struct dump *d, const struct fd_view *v)
{
	struct uffd_view u;
	struct dtask *owner;
	int r = look(d, v, &u);

	if (r == 0)
		r = find_owner(d, &u, &owner);
	if (r == 0 && u.features & ASYNC && (d->o.track_mem || d->o.parent))
		r = err_set(EOPNOTSUPP, "it marks what is written (UFFD_FEATURE_WP_ASYNC), as a "
					"pre-dump does; dump without one");
	if (r == 0 && d->o.pages_out)
		r = err_set(EOPNOTSUPP, "memory that was sent ahead may have pages where it has to "
					"have none; use checkpoint and restore instead of migrate");
	return r < 0 ? err_wrap(r, "userfaultfd") : 0;
}

/* Does anybody of the tree have one of T's? */
static bool has_one(struct dump *d, const struct dtask *t)
{
	bool found = false;

	for (unsigned i = 0; !found && i < d->tasks->len; i++) {
		const struct dtask *o = dump_task(d, i);
		CLEANUP(pid_list_clear) struct pid_list fds = {0};

		if (o->zombie || proc_fds(o->proc.dir, &fds) < 0)
			continue;
		for (size_t k = 0; !found && k < fds.n; k++) {
			CLEANUP(fd_view_clear) struct fd_view v = {0};
			struct uffd_view u;
			uint64_t mm;

			found = fd_view_read(o, fds.v[k], &v) == 0 && match(d, &v) &&
				!track_is(d, &v) && look(d, &v, &u) == 0 &&
				mm_of(u.k, t, &mm) == 0 && mm == u.mm;
		}
	}
	err_clear();
	return found;
}

const char *uffd_why_not(struct dump *d, const struct dtask *t, const struct vma *v)
{
	if (v->vmflags & VMF(UI))
		return "is watched by userfaultfd for minor faults, which cannot be saved; "
		       "unregister it first";
	if (v->vmflags & VMF(HT))
		return "has huge pages and is watched by userfaultfd, which cannot be saved; "
		       "unregister it first";
	return d->frozen || has_one(d, t)
		       ? NULL
		       : "is watched by a userfaultfd that nobody of the tree has";
}

bool uffd_marks(struct dump *d, const struct dtask *t)
{
	CLEANUP(pid_list_clear) struct pid_list fds = {0};
	bool found = false;

	if (proc_fds(t->proc.dir, &fds) < 0)
		err_clear();
	for (size_t i = 0; !found && i < fds.n; i++) {
		CLEANUP(fd_view_clear) struct fd_view v = {0};
		g_autofree char *link = NULL;
		uint32_t features;
		char name[32];

		snprintf(name, sizeof(name), "fd/%d", fds.v[i]);
		found = proc_link(t->proc.dir, name, &link) == 0 && strcmp(link, LINK) == 0 &&
			fd_view_read(t, fds.v[i], &v) == 0 && !track_is(d, &v) &&
			read_features(&v, &features) == 0 && features & ASYNC;
	}
	err_clear();
	return found;
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	RegFileEntry *e = f->reg = g_new0(RegFileEntry, 1);

	reg_file_entry__init(e);
	e->id = f->id;
	e->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	e->name = g_strdup(v->link);
	return fown_dump(v, &e->fown);
}

static void add_range(json_t *all, uint64_t start, uint64_t end)
{
	json_t *last = json_array_get(all, json_array_size(all) - 1);

	if (last && (uint64_t)json_integer_value(json_array_get(last, 1)) == start)
		json_array_set_new(last, 1, json_integer((json_int_t)end));
	else
		json_array_append_new(all, json_pack("[I,I]", (json_int_t)start, (json_int_t)end));
}

/* The kernel's zero page where it was put is there, but not in the image. */
static int tell_zeros(const struct dtask *t, const struct vma *v, json_t *all)
{
	static const struct page_filter zero = {.all = PAGE_PFNZERO};
	CLEANUP(pagemap_close) struct pagemap pm = PAGEMAP_NONE;
	struct page_run run;
	int r = pagemap_open(&pm, t->proc.dir);

	if (r < 0)
		return r;
	pagemap_begin(&pm, v->start, v->end, &zero);
	while ((r = pagemap_next(&pm, &run)) > 0)
		add_range(all, run.start, run.end);
	return r;
}

static int tell_protected(const struct dtask *t, const struct vma *v, json_t *all)
{
	autoclose int fd = openat(t->proc.dir, "pagemap", O_RDONLY | O_CLOEXEC);
	g_autofree uint64_t *marks = g_new(uint64_t, MARKS);
	uint64_t at = v->start;

	while (at < v->end) {
		size_t n = MIN((v->end - at) / PAGE, MARKS);

		if (fd < 0 ||
		    pread(fd, marks, n * sizeof(*marks), (off_t)(at / PAGE * sizeof(*marks))) !=
			    (ssize_t)(n * sizeof(*marks)))
			return err_errno("read pagemap of process %d", t->pid);
		for (size_t i = 0; i < n; i++, at += PAGE)
			if (marks[i] & MARK_WP)
				add_range(all, at, at + PAGE);
	}
	return 0;
}

/* 1: it is another's, or our own: then perhaps of a kind that only asynchronous marks are for. */
static int watch(int fd, uint64_t start, uint64_t end, uint64_t mode)
{
	struct uffdio_register g = {.range = {start, end - start}, .mode = mode};

	if (ioctl(fd, UFFDIO_REGISTER, &g) == 0)
		return 0;
	return errno == EBUSY || errno == EINVAL || errno == EPERM
		       ? 1
		       : err_errno("watch memory at %" PRIx64, start);
}

static int tell_ranges(struct dump *d, struct dtask *t, int fd, json_t *x)
{
	json_t *ranges = json_array(), *zeros = json_array(), *protected = json_array();
	int r = 0;

	json_object_set_new(x, "ranges", ranges);
	json_object_set_new(x, "zeros", zeros);
	json_object_set_new(x, "protected", protected);
	for (size_t i = 0; r == 0 && i < t->maps.n; i++) {
		const struct vma *v = &t->maps.v[i];
		uint64_t mode = (v->vmflags & VMF(UM) ? UFFDIO_REGISTER_MODE_MISSING : 0) |
				(v->vmflags & VMF(UW) ? UFFDIO_REGISTER_MODE_WP : 0);

		if (!(v->vmflags & WATCHED))
			continue;
		r = watch(fd, v->start, v->end, mode);
		if (r != 0) {
			r = MIN(r, 0);
			continue;
		}
		json_array_append_new(ranges, json_pack("[I,I,I]", (json_int_t)v->start,
							(json_int_t)v->end, (json_int_t)mode));
		dump_once(d, "watched", v->start ^ (uint64_t)t->index << 48);
		if (mode & UFFDIO_REGISTER_MODE_MISSING && !v->shared)
			r = tell_zeros(t, v, zeros);
		if (r == 0 && mode & UFFDIO_REGISTER_MODE_WP)
			r = tell_protected(t, v, protected);
	}
	return r;
}

int uffd_check_maps(struct dump *d, const struct dtask *t)
{
	for (size_t i = 0; t->vm == t->index && i < t->maps.n; i++) {
		const struct vma *v = &t->maps.v[i];
		bool ours = (v->vmflags & WATCHED) == VMF(UW) && track_has(d, t);

		if (v->vmflags & WATCHED && !ours &&
		    dump_once(d, "watched", v->start ^ (uint64_t)t->index << 48))
			return err_set(EOPNOTSUPP,
				       "mapping %" PRIx64
				       " is watched by a userfaultfd that nobody "
				       "of the tree has",
				       v->start);
	}
	return 0;
}

static int dump_late(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	json_t *x = json_object();
	struct uffd_view u;
	struct dtask *owner;
	autoclose int fd = -1;
	int r;

	extra_set(d->extra, KEY, f->id, x);
	r = look(d, v, &u);
	if (r == 0)
		r = find_owner(d, &u, &owner);
	if (r == 0)
		r = fd_view_get(v, &fd);
	if (r == 0 && u.features)
		r = tell_ranges(d, owner, fd, x);
	if (r < 0)
		return err_wrap(r == -EAGAIN ? -EBUSY : r, "userfaultfd");
	json_object_set_new(x, "pid", json_integer(owner->nspid));
	json_object_set_new(x, "flags", json_integer(u.flags));
	json_object_set_new(x, "features", json_integer(u.features));
	json_object_set_new(owner->extra, "watched", json_true());
	return 0;
}

static json_t *extra_of(const struct restore *r, const struct file *f)
{
	return extra_get(r->extra, KEY, f->id);
}

static struct rtask *owner_of(const struct restore *r, const json_t *x)
{
	json_int_t pid = json_integer_value(json_object_get(x, "pid"));

	for (unsigned i = 0; i < r->nimages; i++)
		if (restore_task(r, i)->nspid == pid && restore_task(r, i)->mm)
			return restore_task(r, i);
	return NULL;
}

static int load(struct restore *r, struct file *f)
{
	const json_t *x = extra_of(r, f);

	if (!f->entry->reg || !x)
		return 1;
	return owner_of(r, x) ? 0 : err_set(EBADMSG, IMAGE_EXTRA ": userfaultfd %u", f->id);
}

/*
 * In the process whose memory it watches.  Where pages are to stay missing, no huge page may come
 * and make them all (mm/huge_memory.c), until they are watched, which keeps huge pages away, too.
 */
static int open_(struct restore *r, struct file *f)
{
	const json_t *x = extra_of(r, f);
	uint32_t flags = (uint32_t)json_integer_value(json_object_get(x, "flags"));
	uint32_t features = (uint32_t)json_integer_value(json_object_get(x, "features"));
	struct uffdio_api api = {.api = UFFD_API, .features = features & ~INITIALIZED};
	struct rtask *t = owner_of(r, x);
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(batch_end) struct batch b = {0};
	int op = 0, ret = seccomp_floor_allows(r, SYS_userfaultfd, "userfaultfd");

	if (ret < 0)
		return ret;
	flags = (flags & (O_NONBLOCK | UFFD_USER_MODE_ONLY)) | O_CLOEXEC;
	rtask_batch(t, &b);
	batch_add(&b, SYS_prctl, IMM(PR_SET_THP_DISABLE), IMM(1), IMM(0), IMM(0), IMM(0));
	ret = lazy_add_new(&b, flags, &op);
	if (ret == 0)
		ret = batch_run(&b);
	if (ret == 0)
		ret = proc_open(rtask_pid(t), &p);
	if (ret == 0)
		ret = proc_getfd(&p, (int)batch_result(&b, op), &f->fd);
	if (ret == 0) {
		batch_add(&b, SYS_close, IMM(batch_result(&b, op)));
		ret = batch_run(&b);
	}
	if (ret == 0 && features && ioctl(f->fd, UFFDIO_API, &api) < 0)
		ret = err_errno("features %#x", features);
	if (ret == 0)
		ret = fown_restore(r, f, f->entry->reg->fown, (unsigned)f->entry->reg->flags);
	return ret < 0 ? err_wrap(ret, "userfaultfd") : 0;
}

static uint64_t element(const json_t *list, size_t i)
{
	return (uint64_t)json_integer_value(json_array_get(list, i));
}

static int watch_all(const struct file *f, const json_t *x)
{
	json_t *one;
	size_t i;
	int ret = 0;

	json_array_foreach(json_object_get(x, "ranges"), i, one)
	{
		if (ret == 0)
			ret = watch(f->fd, element(one, 0), element(one, 1), element(one, 2));
		if (ret > 0)
			ret = err_set(EBADMSG, "memory at %" PRIx64 " cannot be watched",
				      element(one, 0));
	}
	json_array_foreach(json_object_get(x, "zeros"), i, one)
	{
		struct uffdio_zeropage z = {
			.range = {element(one, 0), element(one, 1) - element(one, 0)},
			.mode = UFFDIO_ZEROPAGE_MODE_DONTWAKE};

		if (ret == 0 && ioctl(f->fd, UFFDIO_ZEROPAGE, &z) < 0)
			ret = err_errno("zeros at %" PRIx64, element(one, 0));
	}
	json_array_foreach(json_object_get(x, "protected"), i, one)
	{
		struct uffdio_writeprotect w = {
			.range = {element(one, 0), element(one, 1) - element(one, 0)},
			.mode = UFFDIO_WRITEPROTECT_MODE_WP};

		if (ret == 0 && ioctl(f->fd, UFFDIO_WRITEPROTECT, &w) < 0)
			ret = err_errno("protect memory at %" PRIx64, element(one, 0));
	}
	return ret;
}

int uffd_watch_again(struct restore *r)
{
	GHashTableIter it;
	struct file *f;
	int ret = 0;

	g_hash_table_iter_init(&it, r->files);
	while (ret == 0 && g_hash_table_iter_next(&it, NULL, (void **)&f)) {
		const json_t *x = f->kind == &fd_uffd ? extra_of(r, f) : NULL;
		struct rtask *t = x ? owner_of(r, x) : NULL;
		CLEANUP(batch_end) struct batch b = {0};

		if (!x)
			continue;
		rtask_batch(t, &b);
		ret = watch_all(f, x);
		if (!t->mm->has_thp_disabled || !t->mm->thp_disabled)
			batch_add(&b, SYS_prctl, IMM(PR_SET_THP_DISABLE), IMM(0), IMM(0), IMM(0),
				  IMM(0));
		if (ret == 0)
			ret = batch_run(&b);
		ret = ret < 0 ? rtask_wrap(t, err_wrap(ret, "userfaultfd")) : 0;
	}
	return ret;
}

const struct fd_kind fd_uffd = {
	.name = "userfaultfd",
	.type = FD_TYPES__REG,
	.match = match,
	.check = check,
	.dump = dump,
	.dump_late = dump_late,
	.load = load,
	.open = open_,
};
