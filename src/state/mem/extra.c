/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of mappings that CRIU's records have no place for; in cryo.json of the task:
 * "vmas": {"START": {"name": prctl(PR_SET_VMA), "onfault": mlock2(2), "sealed": mseal(2)}},
 * "guards": [address, pages, ...] (MADV_GUARD_INSTALL), "mlock_future": flags of mlockall(2).
 */
#include "state/mem/mem.h"

#include "image/pages.h"
#include "kernel/pagemap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define ANON_PREFIX "[anon:"
#define NAME_MAX_   80 /* ANON_VMA_NAME_MAX_LEN */

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA	     0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#define MADV_GUARD_INSTALL_ 102 /* Linux 6.13 */

static void note(struct dtask *t, const struct vma *v, const char *key, json_t *value)
{
	json_t *all = json_object_get(t->extra, "vmas"), *one;
	char start[24];

	if (!all)
		json_object_set_new(t->extra, "vmas", all = json_object());
	snprintf(start, sizeof(start), "%" PRIx64, v->start);
	one = json_object_get(all, start);
	if (!one)
		json_object_set_new(all, start, one = json_object());
	json_object_set_new(one, key, value);
}

static bool may_have_guards(const struct vma *v)
{
	return !(v->vmflags & (VMF(IO) | VMF(PF))) && v->special < VMA_VDSO;
}

void mem_guards_note(struct dtask *t, const GArray *guards)
{
	json_t *all = guards->len ? json_array() : NULL;

	for (unsigned i = 0; i < guards->len; i++) {
		const struct page_piece *p = &g_array_index(guards, struct page_piece, i);
		uint64_t pages = (p->end - p->start) / IMAGE_PAGE_SIZE;

		json_array_append_new(all, json_integer((json_int_t)p->start));
		json_array_append_new(all, json_integer((json_int_t)pages));
	}
	if (all)
		json_object_set_new(t->extra, "guards", all);
}

/*
 * Neighbours are scanned together: of thousands of mappings one call for each is most of the time.
 * What is between them is a hole, which costs PAGEMAP_SCAN nothing.
 */
int mem_guards_find(const struct dtask *t, GArray *ret)
{
	static const struct page_filter guards = {.all = PAGE_GUARD};
	CLEANUP(pagemap_close) struct pagemap pm = PAGEMAP_NONE;
	const struct vma *v = t->maps.v;
	struct page_run run;
	int r = pagemap_open(&pm, t->proc.dir);

	for (size_t i = 0, to; r == 0 && i < t->maps.n; i = to) {
		to = i + 1;
		if (!may_have_guards(&v[i]))
			continue;
		while (pm.scan && to < t->maps.n && may_have_guards(&v[to]))
			to++;
		pagemap_begin(&pm, v[i].start, v[to - 1].end, &guards);
		while ((r = pagemap_next(&pm, &run)) > 0) {
			if (!(run.categories & PAGE_GUARD)) /* a kernel that knows none */
				continue;
			while (v[i].end <= run.start)
				i++;
			for (size_t k = i; k < to && v[k].start < run.end; k++) {
				const struct page_piece p = {MAX(run.start, v[k].start),
							     MIN(run.end, v[k].end), 0};

				g_array_append_val(ret, p);
			}
		}
	}
	return r;
}

int mem_guards_dump(struct dtask *t)
{
	g_autoptr(GArray) guards = g_array_new(FALSE, FALSE, sizeof(struct page_piece));
	int r = mem_guards_find(t, guards);

	if (r == 0)
		mem_guards_note(t, guards);
	return r;
}

void mem_extra_dump(struct dtask *t)
{
	for (size_t i = 0; i < t->maps.n; i++) {
		const struct vma *v = &t->maps.v[i];

		if (v->special == VMA_ANON_NAMED && g_str_has_prefix(v->name, ANON_PREFIX)) {
			size_t len = strlen(v->name) - strlen(ANON_PREFIX) - 1;

			note(t, v, "name",
			     json_stringn_nocheck(v->name + strlen(ANON_PREFIX), len));
		}
		if (v->vmflags & VMF(LO) && v->vmflags & VMF(LF))
			note(t, v, "onfault", json_true());
		if (v->vmflags & VMF(SL) && v->special < VMA_VDSO)
			note(t, v, "sealed", json_true());
	}
}

/*
 * What is mapped from now on: the agent's own mapping shows it, at first by what msync(2) says of
 * locked memory (mm/msync.c: EBUSY).
 */
int mem_future_ask(struct dtask *t, struct batch *b)
{
	int op = batch_add(b, SYS_msync, IMM(t->agent->addr), IMM(IMAGE_PAGE_SIZE),
			   IMM(MS_INVALIDATE));

	batch_may_fail(b, op);
	return op;
}

int mem_future_dump(struct dump *d, struct dtask *t, int64_t answer)
{
	CLEANUP(maps_clear) struct maps now = {0};
	const struct vma *v;
	int r;

	if (answer != -EBUSY)
		return 0;
	r = maps_read_vmflags(t->proc.dir, &now);
	v = r < 0 ? NULL : maps_find(&now, t->agent->addr);
	if (v && v->vmflags & VMF(LO))
		json_object_set_new(
			t->extra, "mlock_future",
			json_integer(MCL_FUTURE | (v->vmflags & VMF(LF) ? MCL_ONFAULT : 0)));
	return r;
}

static json_t *noted(const struct rtask *t, uint64_t start, const char *key)
{
	char name[24];

	snprintf(name, sizeof(name), "%" PRIx64, start);
	return json_object_get(json_object_get(json_object_get(t->extra, "vmas"), name), key);
}

bool mem_locks_on_fault(const struct rtask *t, const VmaEntry *v)
{
	return json_is_true(noted(t, v->start, "onfault"));
}

static bool is_mapped(const struct rtask *t, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < t->mm->n_vmas; i++)
		if (t->mm->vmas[i]->start <= start && t->mm->vmas[i]->end >= end)
			return true;
	return false;
}

/* Pages are there, nothing is locked yet: mm/madvise.c: is_valid_guard_vma(). */
int mem_guards_restore(struct rtask *t, struct batch *b)
{
	json_t *all = json_object_get(t->extra, "guards");

	for (size_t i = 0; i + 1 < json_array_size(all); i += 2) {
		uint64_t start = (uint64_t)json_integer_value(json_array_get(all, i));
		uint64_t pages = (uint64_t)json_integer_value(json_array_get(all, i + 1));
		uint64_t end = start + pages * IMAGE_PAGE_SIZE;

		if (pages > UINT64_C(1) << 35 || end <= start || !is_mapped(t, start, end))
			return err_set(EBADMSG, "%s: a guard at %" PRIx64, IMAGE_EXTRA, start);
		batch_add(b, SYS_madvise, IMM(start), IMM(end - start), IMM(MADV_GUARD_INSTALL_));
	}
	return 0;
}

/* Names and seals come last: a sealed mapping takes no advice any more. */
int mem_extra_restore(struct rtask *t, struct batch *b)
{
	json_t *all = json_object_get(t->extra, "vmas");
	json_t *future = json_object_get(t->extra, "mlock_future");

	for (size_t i = 0; all && i < t->mm->n_vmas; i++) {
		const VmaEntry *v = t->mm->vmas[i];
		const char *name = json_string_value(noted(t, v->start, "name"));
		uint64_t len = v->end - v->start;

		if (name && strlen(name) < NAME_MAX_) /* CONFIG_ANON_VMA_NAME */
			batch_may_fail(b, batch_add(b, SYS_prctl, IMM(PR_SET_VMA),
						    IMM(PR_SET_VMA_ANON_NAME), IMM(v->start),
						    IMM(len), batch_str(b, name)));
		if (json_is_true(noted(t, v->start, "sealed")))
			batch_add(b, SYS_mseal, IMM(v->start), IMM(len), IMM(0));
	}
	if (future) /* a wish, as all locking: RLIMIT_MEMLOCK may be less here */
		batch_may_fail(
			b, batch_add(b, SYS_mlockall,
				     IMM(json_integer_value(future) & (MCL_FUTURE | MCL_ONFAULT))));
	return 0;
}
