/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seccomp filters.  seccomp.img has all filters of the tree, each with the number of the one it was
 * put on; a thread has the number of its newest.  Equal filters on equal chains are one record, so
 * threads and children that share show the same number.
 *
 * At restore filters are installed while the tracer holds them suspended
 * (PTRACE_O_SUSPEND_SECCOMP), before capabilities are dropped; what all threads have in common they
 * get from the leader (SECCOMP_FILTER_FLAG_TSYNC).
 *
 * Whoever wrote the images has chosen the filters in them.  Where that is not believed, one of ours
 * is put below them, the floor: of all verdicts the strictest is taken
 * (kernel/seccomp.c: seccomp_run_filters()).
 */
#include "kernel/ns.h"
#include "state/task/task.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>

#define FILTERS_MAX 1024 /* MAX_INSNS_PER_PATH / 5: kernel/seccomp.c */

/* What a record may ask for beside the filter; a listener, say, would be a descriptor too many. */
#define FLAGS_KNOWN (SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW)

static void filter_free(void *f)
{
	seccomp_filter__free_unpacked(f, NULL);
}

/* The record with this content on top of PREV (-1: none); made if there is none. */
static uint32_t record(struct dump *d, const void *data, size_t len, uint64_t flags, int64_t prev)
{
	SeccompFilter *f;

	for (unsigned i = 0; i < d->seccomp->len; i++) {
		f = g_ptr_array_index(d->seccomp, i);
		if (f->filter.len == len && f->flags == (uint32_t)flags &&
		    memcmp(f->filter.data, data, len) == 0 &&
		    (f->has_prev ? (int64_t)f->prev : -1) == prev)
			return i;
	}
	f = g_new0(SeccompFilter, 1);
	seccomp_filter__init(f);
	f->filter.len = len;
	f->filter.data = g_memdup2(data, len);
	f->has_flags = true;
	f->flags = (uint32_t)flags;
	f->has_prev = prev >= 0;
	f->prev = (uint32_t)prev;
	g_ptr_array_add(d->seccomp, f);
	return d->seccomp->len - 1;
}

/* Oldest first, as they were installed: that is also how the kernel counts them. */
static int dump_chain(struct dump *d, struct dthread *h, unsigned n, uint32_t *ret)
{
	int64_t prev = -1;

	for (unsigned i = 0; i < n; i++) {
		g_autofree struct sock_filter *f = NULL;
		unsigned len;
		uint64_t flags;
		int r = ptrace_get_seccomp(h->tid, i, &f, &len, &flags);

		if (r != 0)
			return r < 0 ? r : err_set(EIO, "seccomp filter %u has gone", i);
		prev = record(d, f, len * sizeof(*f), flags, prev);
	}
	*ret = (uint32_t)prev;
	return 0;
}

static int count(pid_t tid, unsigned *ret)
{
	for (*ret = 0; *ret < FILTERS_MAX; ++*ret) {
		g_autofree struct sock_filter *f = NULL;
		unsigned len;
		uint64_t flags;
		int r = ptrace_get_seccomp(tid, *ret, &f, &len, &flags);

		if (r != 0)
			return r < 0 ? r : 0;
	}
	return err_set(E2BIG, "more than %u seccomp filters", *ret);
}

int seccomp_dump(struct dump *d, struct dthread *h)
{
	ThreadCoreEntry *e = h->core->thread_core;
	unsigned n = 0;
	int r;

	if (h->status.seccomp == SECCOMP_MODE_DISABLED)
		return 0;
	e->has_seccomp_mode = true;
	if (h->status.seccomp == SECCOMP_MODE_STRICT) {
		e->seccomp_mode = SECCOMP_MODE__strict;
		return 0;
	}
	e->seccomp_mode = SECCOMP_MODE__filter;
	if (!d->seccomp)
		d->seccomp = g_ptr_array_new_with_free_func(filter_free);
	if (h->status.seccomp_filters >= 0)
		n = (unsigned)h->status.seccomp_filters;
	else if ((r = count(h->tid, &n)) < 0)
		return r;
	if (n == 0)
		return err_set(EOPNOTSUPP, "seccomp filters cannot be read");
	e->has_seccomp_filter = true;
	return dump_chain(d, h, n, &e->seccomp_filter);
}

int seccomp_dump_end(struct dump *d)
{
	SeccompEntry e = SECCOMP_ENTRY__INIT;

	if (!d->seccomp)
		return 0;
	e.n_seccomp_filters = d->seccomp->len;
	e.seccomp_filters = (SeccompFilter **)d->seccomp->pdata;
	return image_write(&d->w, IMG_SECCOMP, 0, &e.base);
}

int seccomp_load(struct restore *r)
{
	int ret = image_load_optional(r->o.images, IMG_SECCOMP, 0, &r->seccomp);

	for (size_t i = 0; ret == 0 && i < r->seccomp->n_seccomp_filters; i++) {
		const SeccompFilter *f = r->seccomp->seccomp_filters[i];

		if (f->has_prev && f->prev >= i)
			return err_set(EBADMSG, "seccomp.img: filter %zu is on filter %u", i,
				       f->prev);
		if (f->filter.len == 0 || f->filter.len % sizeof(struct sock_filter) ||
		    f->filter.len / sizeof(struct sock_filter) > BPF_MAXINSNS)
			return err_set(EBADMSG, "seccomp.img: filter %zu has %zu bytes", i,
				       f->filter.len);
		if (f->flags & ~(uint32_t)FLAGS_KNOWN)
			return err_set(EBADMSG, "seccomp.img: filter %zu has flags %#x", i,
				       f->flags);
	}
	return ret < 0 ? ret : 0;
}

/* Newest number of a thread's chain, -1: none. */
static int64_t chain_of(const struct rthread *h)
{
	const ThreadCoreEntry *e = h->core->thread_core;

	return e->has_seccomp_filter ? (int64_t)e->seccomp_filter : -1;
}

static int install_one(struct rthread *h, const void *filter, size_t len, uint32_t flags,
		       bool tsync)
{
	CLEANUP(batch_end) struct batch b = {0};
	struct sock_fprog prog;
	struct arg code;

	/* a thread's own place may be too small for a filter: the leader's is not */
	rthread_batch(h, &b);
	if (len + 256 > batch_arena_max(&b))
		return err_set(EOPNOTSUPP, "thread %d has a seccomp filter of its own of %zu bytes",
			       h->nstid, len);
	batch_room(&b, 1, len + 64);
	code = batch_in(&b, filter, len);
	prog.len = (unsigned short)(len / sizeof(struct sock_filter));
	prog.filter = (struct sock_filter *)batch_addr(&b, code);
	batch_add(&b, SYS_seccomp, IMM(SECCOMP_SET_MODE_FILTER),
		  IMM(flags | (tsync ? SECCOMP_FILTER_FLAG_TSYNC : 0)),
		  batch_in(&b, &prog, sizeof(prog)));
	return batch_run(&b);
}

/* Numbers of a thread's filters, oldest first. */
static int chain_list(const struct restore *r, const struct rthread *h, GArray **ret)
{
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	const SeccompFilter *f;

	for (int64_t i = chain_of(h); i >= 0; i = f->has_prev ? (int64_t)f->prev : -1) {
		uint32_t number = (uint32_t)i;

		if (!r->seccomp || number >= r->seccomp->n_seccomp_filters)
			return err_set(EBADMSG, "seccomp filter %u is not in seccomp.img", number);
		f = r->seccomp->seccomp_filters[number];
		g_array_prepend_val(list, number);
	}
	*ret = g_steal_pointer(&list);
	return 0;
}

static int install(struct restore *r, struct rthread *h, const GArray *list, unsigned from,
		   unsigned to, bool tsync)
{
	int ret = 0;

	for (unsigned i = from; ret == 0 && i < to; i++) {
		const SeccompFilter *f =
			r->seccomp->seccomp_filters[g_array_index(list, uint32_t, i)];

		ret = install_one(h, f->filter.data, f->filter.len, f->flags, tsync);
	}
	return ret;
}

static bool is_strict(const struct rthread *h)
{
	const ThreadCoreEntry *e = h->core->thread_core;

	return e->has_seccomp_mode && e->seccomp_mode == SECCOMP_MODE__strict;
}

/* The first filter of the thread's chain is the floor. */
static bool on_floor(const struct restore *r, const GArray *list)
{
	const SeccompFilter *f =
		list->len ? r->seccomp->seccomp_filters[g_array_index(list, uint32_t, 0)] : NULL;

	return f && f->filter.len == r->o.floor_len &&
	       memcmp(f->filter.data, r->o.floor, r->o.floor_len) == 0;
}

/* The strict mode of a thread forbids more, and goes with no filter (seccomp_may_assign_mode()). */
static int install_floor(struct restore *r, struct rtask *t, const GPtrArray *lists)
{
	bool there = true, strict = false;
	int ret = 0;

	for (unsigned i = 0; i < t->nthreads; i++) {
		strict = strict || is_strict(&t->threads[i]);
		there = there && (is_strict(&t->threads[i]) || on_floor(r, lists->pdata[i]));
	}
	if (!r->o.floor_len || there)
		return 0;
	if (!strict)
		return install_one(&t->threads[0], r->o.floor, r->o.floor_len, 0, t->nthreads > 1);
	for (unsigned i = 0; ret == 0 && i < t->nthreads; i++)
		if (!is_strict(&t->threads[i]))
			ret = install_one(&t->threads[i], r->o.floor, r->o.floor_len, 0, false);
	return ret;
}

struct probe {
	struct sock_fprog filter;
	long nr;
};

/* With arguments that nothing takes: whoever may call it at all hears of that. */
static int probe_floor(void *arg, int *ret_fd)
{
	const struct probe *p = arg;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p->filter) < 0)
		return err_errno("our own filter");
	if (syscall(p->nr, ~0u, NULL, NULL, NULL, NULL, NULL) >= 0 || errno == EINVAL ||
	    errno == EFAULT || errno == ESRCH)
		return 0;
	return err_errno("not allowed here");
}

int seccomp_floor_allows(struct restore *r, long nr, const char *name)
{
	struct probe p = {.nr = nr};
	int ret;

	if (!r->o.floor_len)
		return 0;
	p.filter.len = (unsigned short)(r->o.floor_len / sizeof(struct sock_filter));
	p.filter.filter = (struct sock_filter *)r->o.floor;
	ret = ns_run(NULL, 0, probe_floor, &p, NULL);
	return ret < 0 ? err_wrap(ret, "seccomp: %s", name) : 0;
}

/* How many all threads have in common, from the oldest on. */
static unsigned common(const GPtrArray *lists)
{
	const GArray *first = lists->pdata[0];
	unsigned n = first->len;

	for (unsigned i = 1; i < lists->len; i++) {
		const GArray *l = lists->pdata[i];

		n = MIN(n, l->len);
		while (n &&
		       g_array_index(l, uint32_t, n - 1) != g_array_index(first, uint32_t, n - 1))
			n--;
	}
	return n;
}

/* Nothing but read, write, _exit and sigreturn, once the tracer lets go. */
static int install_strict(struct rthread *h)
{
	CLEANUP(batch_end) struct batch b = {0};

	if (!is_strict(h))
		return 0;
	rthread_batch(h, &b);
	batch_add(&b, SYS_prctl, IMM(PR_SET_SECCOMP), IMM(SECCOMP_MODE_STRICT));
	return batch_run(&b);
}

int seccomp_restore(struct restore *r, struct rtask *t)
{
	g_autoptr(GPtrArray) lists = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
	unsigned shared;
	int ret = 0;

	for (unsigned i = 0; i < t->nthreads; i++) {
		GArray *list = NULL;

		ret = chain_list(r, &t->threads[i], &list);
		if (ret < 0)
			return ret;
		g_ptr_array_add(lists, list);
	}
	shared = common(lists);
	ret = install_floor(r, t, lists);
	if (ret == 0)
		ret = install(r, &t->threads[0], lists->pdata[0], 0, shared, t->nthreads > 1);
	for (unsigned i = 0; ret == 0 && i < t->nthreads; i++)
		ret = install(r, &t->threads[i], lists->pdata[i], shared,
			      ((const GArray *)lists->pdata[i])->len, false);
	for (unsigned i = 0; ret == 0 && i < t->nthreads; i++)
		ret = install_strict(&t->threads[i]);
	return ret;
}
