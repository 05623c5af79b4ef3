/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user namespace of a standalone tree (user_namespaces(7)): its maps, and numbers of users as
 * the tree sees them.  /proc shows a reader its own numbers; what the agent asks is the tree's.
 */
#include "state/ns/ns.h"
#include "state/ns/spaces.h"

#include "base/file.h"
#include "image/userns.pb-c.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAP_MAX	    (1u << 20)
#define EXTENTS_MAX 340 /* UID_GID_MAP_MAX_EXTENTS */

void users_parse_map(const char *text, GArray *ret)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (char **l = lines; *l; l++) {
		struct id_extent e;

		if (sscanf(*l, "%u %u %u", &e.inner, &e.outer, &e.count) == 3)
			g_array_append_val(ret, e);
	}
}

static int read_map(int dir, const char *name, GArray *ret)
{
	g_autofree char *text = NULL;
	int r = file_read_at(dir, name, MAP_MAX, &text, NULL);

	if (r == 0)
		users_parse_map(text, ret);
	return r;
}

int users_read(struct dump *d)
{
	int dir = dump_task(d, 0)->proc.dir, r;

	g_array_set_size(d->uids, 0);
	g_array_set_size(d->gids, 0);
	if (!(d->own & CLONE_NEWUSER))
		return 0;
	r = read_map(dir, "uid_map", d->uids);
	return r < 0 ? r : read_map(dir, "gid_map", d->gids);
}

static uint32_t inner(const GArray *map, uint32_t id)
{
	for (unsigned i = 0; i < map->len; i++) {
		const struct id_extent *e = &g_array_index(map, struct id_extent, i);

		if (id >= e->outer && id - e->outer < e->count)
			return e->inner + (id - e->outer);
	}
	return map->len ? OVERFLOW_ID : id;
}

uint32_t users_uid(const struct dump *d, uint32_t uid)
{
	return inner(d->uids, uid);
}

uint32_t users_gid(const struct dump *d, uint32_t gid)
{
	return inner(d->gids, gid);
}

static UidGidExtent **message(const GArray *map, size_t *n)
{
	UidGidExtent **v = g_new0(UidGidExtent *, map->len + 1);

	for (unsigned i = 0; i < map->len; i++) {
		const struct id_extent *e = &g_array_index(map, struct id_extent, i);

		v[i] = g_new0(UidGidExtent, 1);
		uid_gid_extent__init(v[i]);
		v[i]->first = e->inner;
		v[i]->lower_first = e->outer;
		v[i]->count = e->count;
	}
	*n = map->len;
	return v;
}

static bool has_root(const GArray *map)
{
	for (unsigned i = 0; i < map->len; i++)
		if (g_array_index(map, struct id_extent, i).inner == 0)
			return true;
	return false;
}

/*
 * Whoever chooses a number needs CAP_CHECKPOINT_RESTORE in the users of the PID namespace
 * (kernel/pid.c: alloc_pid()): in ours only the first process can be given one, before it goes into
 * its own users.
 */
static int check_numbers(struct dump *d)
{
	if (!(d->own & CLONE_NEWUSER) || (d->own & CLONE_NEWPID) ||
	    (d->tasks->len == 1 && dump_task(d, 0)->status.threads <= 1))
		return 0;
	return err_set(EOPNOTSUPP,
		       "its processes and threads are in a user namespace of their own, but not in "
		       "a PID namespace, and could not get their numbers back; start the tree with "
		       "both (unshare -U -p)");
}

int users_check(struct dump *d)
{
	int r = users_read(d);

	if (r < 0 || !(d->own & CLONE_NEWUSER))
		return r;
	if (!has_root(d->uids) || !has_root(d->gids))
		return dump_refuse(d,
				   err_set(EOPNOTSUPP, "its user namespace has no user and "
						       "group 0, by which it could be restored"));
	return dump_refuse(d, check_numbers(d));
}

int users_write_image(struct dump *d, uint32_t id, const GArray *uids, const GArray *gids)
{
	UsernsEntry *e = g_new0(UsernsEntry, 1);
	int r;

	userns_entry__init(e);
	e->uid_map = message(uids, &e->n_uid_map);
	e->gid_map = message(gids, &e->n_gid_map);
	r = image_write(&d->w, IMG_USERNS, id, &e->base);
	userns_entry__free_unpacked(e, NULL);
	return r;
}

int users_dump(struct dump *d)
{
	int r = users_read(d);

	if (r == 0)
		r = check_numbers(d);
	if (r == 0 && d->own & CLONE_NEWUSER)
		r = users_write_image(d, NSID_USER, d->uids, d->gids);
	return r < 0 ? r : spaces_dump_users(d);
}

int users_write_map(int dir, const char *name, UidGidExtent *const *v, size_t n)
{
	g_autoptr(GString) text = g_string_new(NULL);

	if (n == 0 || n > EXTENTS_MAX)
		return err_set(EBADMSG, "%zu extents of %s", n, name);
	for (size_t i = 0; i < n; i++)
		g_string_append_printf(text, "%u %u %u\n", v[i]->first, v[i]->lower_first,
				       v[i]->count);
	return file_poke_at(dir, name, text->str);
}

static uint32_t outer(UidGidExtent *const *v, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (id >= v[i]->first && id - v[i]->first < v[i]->count)
			return v[i]->lower_first + (id - v[i]->first);
	return n ? OVERFLOW_ID : id;
}

uint32_t users_outer_uid(const struct restore *r, uint32_t uid)
{
	return r->users ? outer(r->users->uid_map, r->users->n_uid_map, uid) : uid;
}

uint32_t users_outer_gid(const struct restore *r, uint32_t gid)
{
	return r->users ? outer(r->users->gid_map, r->users->n_gid_map, gid) : gid;
}

int users_load(struct restore *r)
{
	int ret = image_load_optional(r->o.images, IMG_USERNS, r->nsids.v[NS_USER], &r->users);

	return ret < 0 ? ret : 0;
}

int users_root_of(int dir, uid_t *ret)
{
	g_autoptr(GArray) map = g_array_new(FALSE, FALSE, sizeof(struct id_extent));
	int r = read_map(dir, "uid_map", map);

	if (r < 0)
		return r;
	*ret = OVERFLOW_ID;
	for (unsigned i = 0; i < map->len; i++) {
		const struct id_extent *e = &g_array_index(map, struct id_extent, i);

		if (e->inner == 0)
			*ret = e->outer;
	}
	return 0;
}

int users_restore(int images, uint32_t id, pid_t pid)
{
	CLEANUP(image_record_free) UsernsEntry *e = NULL;
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int r = image_load_needed(images, IMG_USERNS, id, &e);

	if (r == 0)
		r = proc_open(pid, &p);
	if (r == 0)
		r = users_write_map(p.dir, "uid_map", e->uid_map, e->n_uid_map);
	return r < 0 ? r : users_write_map(p.dir, "gid_map", e->gid_map, e->n_gid_map);
}
