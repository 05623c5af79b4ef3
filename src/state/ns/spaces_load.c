/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces that the root of the tree is not in, as images tell of them. */
#include "state/ns/spaces_restore.h"

#include "image/mnt.pb-c.h"
#include "image/ns.pb-c.h"
#include "state/extra.h"
#include "state/fd/kind.h"
#include "state/ns/nsids.h"

#include <errno.h>
#include <string.h>

uint32_t spaces_task_id(const struct rtask *t, enum ns_kind kind)
{
	const TaskKobjIdsEntry *root = restore_task(t->restore, 0)->core->ids;
	const TaskKobjIdsEntry *its = t->core && !t->zombie ? t->core->ids : NULL;
	uint32_t id = its ? nsids_of(its, kind) : 0;

	return root && id != nsids_of(root, kind) ? id : 0;
}

uint32_t spaces_number(const struct rtask *t, enum ns_kind kind)
{
	uint32_t id = spaces_task_id(t, kind);

	return id ? id : t->restore->nsids.v[kind];
}

struct rspace *spaces_get(const struct restore *r, enum ns_kind kind, uint32_t id)
{
	for (unsigned i = 0; r->spaces && i < r->spaces->len; i++) {
		struct rspace *s = g_ptr_array_index(r->spaces, i);

		if (s->kind == kind && s->id == id)
			return s;
	}
	return NULL;
}

static void space_free(void *p)
{
	struct rspace *s = p;

	cleanup_close(&s->fd);
	cleanup_close(&s->root);
	if (s->records)
		g_ptr_array_unref(s->records);
	g_free(s);
}

void spaces_free(struct restore *r)
{
	g_clear_pointer(&r->spaces, g_ptr_array_unref);
	for (unsigned k = 0; k < NS_COUNT; k++)
		cleanup_close(&r->home[k]);
}

static bool can_make(enum ns_kind kind)
{
	return kind != NS_TIME;
}

static uint32_t owner_of(const struct restore *r, enum ns_kind kind, uint32_t id)
{
	const json_t *one = kind == NS_USER ? extra_get(r->extra, "user_namespaces", id) : NULL;
	const json_t *owner =
		one ? json_object_get(one, "above") : extra_get(r->extra, "owners", id);

	return (uint32_t)json_integer_value(owner);
}

static int add(struct restore *r, enum ns_kind kind, uint32_t id, const struct rtask *of)
{
	struct rspace *s;

	if (!id || spaces_get(r, kind, id))
		return 0;
	if (!can_make(kind))
		return err_set(EOPNOTSUPP,
			       "it was in another %s namespace than the first process, which "
			       "cannot be made",
			       ns_infos[kind].name);
	s = g_new0(struct rspace, 1);
	*s = (struct rspace){.kind = kind, .id = id, .fd = -1, .root = -1, .of = of};
	s->owner = owner_of(r, kind, id);
	g_ptr_array_add(r->spaces, s);
	return add(r, NS_USER, s->owner, NULL);
}

static int add_of_threads(struct restore *r, const struct rtask *t)
{
	json_t *all = json_object_get(t->extra, "thread_namespaces"), *one;
	const char *tid;
	int ret = 0;

	json_object_foreach(all, tid, one) for (unsigned k = 0; ret == 0 && k < NS_COUNT; k++) ret =
		add(r, (enum ns_kind)k,
		    (uint32_t)json_integer_value(json_object_get(one, ns_infos[k].name)), NULL);
	return ret;
}

static int add_of_files(struct restore *r)
{
	const TaskKobjIdsEntry *root = restore_task(r, 0)->core->ids;
	GHashTableIter it;
	struct file *f;
	int ret = 0;

	g_hash_table_iter_init(&it, r->files);
	while (ret == 0 && g_hash_table_iter_next(&it, NULL, (void **)&f)) {
		const NsFileEntry *e = f->kind == &fd_nsfile ? f->entry->nsf : NULL;

		for (unsigned k = 0; e && root && ret == 0 && k < NS_COUNT; k++)
			if ((unsigned)ns_infos[k].flag == e->ns_cflag &&
			    e->ns_id != nsids_of(root, (enum ns_kind)k))
				ret = add(r, (enum ns_kind)k, e->ns_id, NULL);
	}
	return ret;
}

/* A namespace that lives by the mount of its file. */
static int add_of_mounts(struct restore *r)
{
	const TaskKobjIdsEntry *root = restore_task(r, 0)->core->ids;
	json_t *one;
	const char *id;
	int ret = 0;

	json_object_foreach(json_object_get(r->extra, "late_mounts"), id, one)
	{
		const char *kind = json_string_value(json_object_get(one, "kind"));
		uint32_t of = (uint32_t)json_integer_value(json_object_get(one, "of"));

		for (unsigned k = 0; kind && root && ret == 0 && k < NS_COUNT; k++)
			if (strcmp(ns_infos[k].name, kind) == 0 &&
			    of != nsids_of(root, (enum ns_kind)k))
				ret = add(r, (enum ns_kind)k, of, NULL);
	}
	return ret;
}

/*
 * Users come first: others belong to them.  Mounts come last: some show objects of the others; each
 * shows what those before it do.
 */
static int turn(const struct rspace *s)
{
	return s->kind == NS_USER ? 0 : s->kind == NS_MNT ? 2 : 1;
}

static int by_kind(const void *a, const void *b)
{
	const struct rspace *x = *(struct rspace *const *)a, *y = *(struct rspace *const *)b;

	if (turn(x) != turn(y))
		return turn(x) - turn(y);
	return (x->id > y->id) - (x->id < y->id);
}

int spaces_collect(struct restore *r)
{
	int ret = 0;

	r->spaces = g_ptr_array_new_with_free_func(space_free);
	for (unsigned i = 0; ret == 0 && i < r->nimages; i++) {
		const struct rtask *t = restore_task(r, i);

		for (unsigned k = 0; ret == 0 && k < NS_COUNT; k++)
			ret = add(r, (enum ns_kind)k, spaces_task_id(t, (enum ns_kind)k), t);
		if (ret == 0)
			ret = add_of_threads(r, t);
		ret = rtask_wrap(t, ret);
	}
	if (ret == 0)
		ret = add_of_files(r);
	if (ret == 0)
		ret = add_of_mounts(r);
	g_ptr_array_sort(r->spaces, by_kind);
	for (unsigned i = 0; i < r->spaces->len; i++) {
		const struct rspace *s = g_ptr_array_index(r->spaces, i);
		struct rspace *users = s->kind == NS_PID ? spaces_get(r, NS_USER, s->owner) : NULL;

		if (users)
			users->born = true;
	}
	return ret;
}

/* The box's own namespace. */
int spaces_home(struct restore *r, enum ns_kind kind, int *ret_fd)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int ret = 0;

	if (r->home[kind] < 0) {
		ret = proc_open(r->stub.pid, &p);
		if (ret == 0)
			ret = ns_open(p.dir, kind, &r->home[kind]);
	}
	*ret_fd = r->home[kind];
	return ret;
}

int spaces_fd(struct restore *r, enum ns_kind kind, uint32_t id, int *ret_fd)
{
	const struct rspace *s = spaces_get(r, kind, id);

	if (!s)
		return spaces_home(r, kind, ret_fd);
	*ret_fd = s->fd;
	return 0;
}

bool spaces_is(const struct restore *r, enum ns_kind kind, uint32_t id)
{
	return spaces_get(r, kind, id) != NULL;
}

static const struct rspace *by_mount(const struct restore *r, int mnt_id)
{
	for (unsigned i = 0; mnt_id >= 0 && r->spaces && i < r->spaces->len; i++) {
		const struct rspace *s = g_ptr_array_index(r->spaces, i);

		for (unsigned k = 0; s->records && k < s->records->len; k++)
			if (((const MntEntry *)g_ptr_array_index(s->records, k))->mnt_id ==
			    (uint32_t)mnt_id)
				return s;
	}
	return NULL;
}

uint32_t spaces_of_mount(const struct restore *r, int mnt_id)
{
	const struct rspace *s = by_mount(r, mnt_id);

	return s ? s->id : 0;
}

int spaces_root_of(const struct restore *r, int mnt_id)
{
	const struct rspace *s = by_mount(r, mnt_id);

	return s ? s->root : r->root;
}
