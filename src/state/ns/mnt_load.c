/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of mountpoints.img.  What is outside is taken hold of here, by the coordinator, in our
 * own mount namespace and with our own rights.
 */
#include "state/ns/mnt_plan.h"

#include "kernel/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static void mnt_free(void *p)
{
	struct mnt *m = p;

	cleanup_close(&m->source);
	cleanup_close(&m->peer);
	cleanup_close(&m->content);
	cleanup_close(&m->archive);
	cleanup_close(&m->fd);
	cleanup_close(&m->at);
	cleanup_close(&m->again);
	mnt_entry__free_unpacked(m->e, NULL);
	g_free(m->outside);
	g_free(m);
}

void mnt_plan_free(struct mnt_plan **p)
{
	if (!*p)
		return;
	g_ptr_array_unref((*p)->all);
	g_clear_pointer(&(*p)->unmounted, g_ptr_array_unref);
	cleanup_close(&(*p)->yard);
	cleanup_close(&(*p)->root_group);
	g_free(g_steal_pointer(p));
}

bool mnt_plan_has_root(const struct mnt_plan *p)
{
	return p->root != NULL;
}

const char *mnt_target(const MntEntry *e)
{
	return e->mountpoint[0] == '.' ? e->mountpoint + 1 : e->mountpoint;
}

static const char *target_of(const struct mnt *m)
{
	return mnt_target(m->e);
}

static int take_outside(const struct mnt_options *o, struct mnt *m)
{
	const char *path = m->outside;
	g_autofree char *key = g_strdup_printf("mnt[%s]", m->e->ext_key ?: m->outside);
	g_autofree char *whole = NULL;
	int r;

	/* in older images of CRIU the root is the key */
	for (unsigned i = 0; i < o->nexternals; i++)
		if (strcmp(o->externals[i].key, key) == 0)
			path = o->externals[i].name;
	if (!path)
		return err_set(EINVAL, "mount %s: it is external; use --external mnt[%s]:PATH",
			       target_of(m), m->e->ext_key);
	/* relative ones are below "/", as CRIU has it */
	whole = g_build_filename("/", path, NULL);
	r = mount_copy(AT_FDCWD, whole, false, &m->source);
	return r < 0 ? err_wrap(r, "mount %s", target_of(m)) : 0;
}

static int take_root(const struct mnt_options *o, struct mnt *m)
{
	if (!o->root)
		return err_set(EINVAL, "the tree had a root directory of its own; use --root DIR");
	return mount_copy(AT_FDCWD, o->root, false, &m->source);
}

static bool is_repeated(const struct mnt_plan *p, const struct mnt *m)
{
	for (unsigned i = 0; i < p->all->len; i++) {
		const struct mnt *o = g_ptr_array_index(p->all, i);

		if (o == m)
			return false;
		if (o->e->root_dev == m->e->root_dev)
			return true;
	}
	return false;
}

static int open_archive(const struct mnt_options *o, const struct mnt_plan *p, struct mnt *m)
{
	CLEANUP(image_close) struct image *img = NULL;
	int r;

	if (!m->kind || !m->kind->content || is_repeated(p, m))
		return 0;
	r = image_open(o->images, IMG_TMPFS_DEV, m->e->root_dev, &img);
	if (r == 0)
		m->archive = take_fd(&img->fd);
	return r < 0 ? r : 0;
}

static struct mnt *by_id(const struct mnt_plan *p, uint32_t id)
{
	for (unsigned i = 0; i < p->all->len; i++)
		if (((struct mnt *)g_ptr_array_index(p->all, i))->e->mnt_id == id)
			return g_ptr_array_index(p->all, i);
	return NULL;
}

static int add(struct mnt_plan *p, const MntEntry *e)
{
	struct mnt *m = g_new0(struct mnt, 1);
	g_autofree uint8_t *bytes = NULL;
	size_t n = mnt_entry__get_packed_size(e);

	*m = (struct mnt){.source = -1,
			  .peer = -1,
			  .content = -1,
			  .archive = -1,
			  .fd = -1,
			  .at = -1,
			  .again = -1};
	bytes = g_malloc(n + 1);
	mnt_entry__pack(e, bytes);
	m->e = mnt_entry__unpack(NULL, n, bytes);
	g_ptr_array_add(p->all, m);
	if (target_of(m)[0] != '/' || m->e->root[0] != '/')
		return err_set(EBADMSG, "mountpoints: %s of %s is no path", m->e->root,
			       m->e->mountpoint);
	if (m->e->ext_mount && !m->e->ext_key)
		m->outside = g_strdup(m->e->root);
	mnt_true_root(m->e, p->o.extra);
	/* records of CRIU have no name for the common ones */
	m->kind = m->e->fsname ? mnt_kind_find(m->e->fsname) : mnt_kind_by_code(m->e->fstype);
	return 0;
}

static int prepare(const struct mnt_options *o, struct mnt_plan *p, struct mnt *m)
{
	m->parent = by_id(p, m->e->parent_mnt_id);
	if (m->parent == m)
		m->parent = NULL;
	if (!m->parent && strcmp(target_of(m), "/") == 0)
		p->root = m;
	if (p->root == m && !o->outer)
		return take_root(o, m);
	if (mnt_find_outer(o, m))
		return 0;
	if (m->e->deleted)
		return mnt_gone_load(o, m);
	if (m->e->ext_mount)
		return take_outside(o, m);
	return open_archive(o, p, m);
}

/* Below what is outside users of the tree may be unable to look. */
static void take_place(struct mnt *m)
{
	const char *rest = m->parent && m->parent->source >= 0
				   ? mnt_below(target_of(m), target_of(m->parent))
				   : NULL;

	if (rest && *rest)
		m->at = openat(m->parent->source, rest, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

/*
 * mountinfo is in the order in which mounts were made (fs/namespace.c: mnt_add_to_ns()): what was
 * moved onto a newer one comes before it.
 */
static void put_parents_first(struct mnt_plan *p)
{
	GPtrArray *all = g_ptr_array_new_with_free_func(mnt_free);
	unsigned before = UINT_MAX;

	while (all->len != before) {
		before = all->len;
		for (unsigned i = 0; i < p->all->len; i++) {
			struct mnt *m = g_ptr_array_index(p->all, i);

			if (m->placed || (m->parent && !m->parent->placed))
				continue;
			m->placed = true;
			g_ptr_array_add(all, m);
		}
	}
	g_ptr_array_set_free_func(p->all, NULL);
	for (unsigned i = 0; i < p->all->len; i++)
		if (!((struct mnt *)g_ptr_array_index(p->all, i))
			     ->placed) /* parents of each other: refused when their places are not
					  there */
			g_ptr_array_add(all, g_ptr_array_index(p->all, i));
	g_ptr_array_unref(p->all);
	p->all = all;
}

int mnt_plan_load(const struct mnt_options *o, uint64_t id, struct mnt_plan **ret)
{
	CLEANUP(mnt_plan_free) struct mnt_plan *p = g_new0(struct mnt_plan, 1);
	g_autoptr(GPtrArray) records = NULL;
	int r;

	p->yard = p->root_group = -1;
	p->o = *o;
	p->all = g_ptr_array_new_with_free_func(mnt_free);
	r = image_load_all(o->images, IMG_MNTS, id, &records);
	for (unsigned i = 0; r == 0 && i < records->len; i++)
		r = (!o->outer && mnt_is_tty(g_ptr_array_index(records, i))) ||
				    mnt_is_late(o->extra, g_ptr_array_index(records, i))
			    ? 0
			    : add(p, g_ptr_array_index(records, i));
	for (unsigned i = 0; r == 0 && i < p->all->len; i++)
		r = prepare(o, p, g_ptr_array_index(p->all, i));
	if (r == 0)
		r = mnt_ours_load(p);
	if (r < 0)
		return r;
	put_parents_first(p);
	for (unsigned i = 0; i < p->all->len; i++)
		take_place(g_ptr_array_index(p->all, i));
	*ret = g_steal_pointer(&p);
	return 0;
}
