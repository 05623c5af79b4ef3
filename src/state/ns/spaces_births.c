/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pid namespaces that belong to users below the root's.  Whoever makes one is in those users, and
 * forks its first process; so do those of user and pid namespace together, by clone(2).  A process
 * that is born with both is inside from then on, with all that it forks: it has no rights above,
 * enters only what belongs to users there, and takes only users and groups that they have.
 */
#include "state/ns/spaces.h"

#include "base/file.h"
#include "state/ns/ns.h"
#include "state/task/levels.h"

#include <errno.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>

struct birth {
	uint32_t users; /* that it is in from its birth on; 0: the root's */
	const struct dtask *first;
};

static int refuse(const char *why)
{
	return err_set(EOPNOTSUPP, "it is in a pid namespace of users inside: %s", why);
}

static struct space *by_id(const struct dump *d, uint32_t id)
{
	for (unsigned i = 0; id && i < d->spaces->len; i++) {
		struct space *s = g_ptr_array_index(d->spaces, i);

		if (s->id == id)
			return s;
	}
	return NULL;
}

/* User namespace ID is USERS, or below it. */
static bool is_within(const struct dump *d, uint32_t id, uint32_t users)
{
	while (id && id != users) {
		const struct space *s = by_id(d, id);

		id = s ? s->owner : 0;
	}
	return id == users;
}

static bool is_claimed(const struct birth *all, unsigned n, uint32_t users)
{
	for (unsigned i = 0; i < n; i++)
		if (all[i].users == users)
			return true;
	return false;
}

static int find_birth(const struct dump *d, const struct dtask *t, struct birth *all)
{
	struct birth *mine = &all[t->index], above = {0};
	const struct space *s, *users;

	if (t->parent >= 0)
		above = all[t->parent];
	*mine = above;
	if (t->zombie || !levels_is_init(t))
		return 0;
	s = spaces_find(d, NS_PID, spaces_of(d, t->proc.pid)[NS_PID]);
	if (!s || s->owner == above.users)
		return 0;
	users = by_id(d, s->owner);
	if (!users || users->owner != above.users || is_claimed(all, t->index, users->id))
		return refuse("which were there before it, or are not right below those of its "
			      "parent; end it");
	*mine = (struct birth){.users = users->id, .first = t};
	return 0;
}

static bool is_mapped(const GArray *map, uint32_t id)
{
	for (unsigned i = 0; i < map->len; i++) {
		const struct id_extent *e = &g_array_index(map, struct id_extent, i);

		if (id >= e->outer && id - e->outer < e->count)
			return true;
	}
	return false;
}

/* As we number them. */
struct known {
	GArray *uids, *gids;
	uid_t owner;
	bool may_setgroups;
};

static int read_map(const struct dtask *t, const char *name, GArray *ret)
{
	g_autofree char *text = NULL;
	int r = file_read_at(t->proc.dir, name, 1u << 20, &text, NULL);

	if (r == 0)
		users_parse_map(text, ret);
	return r;
}

static bool has_groups(const struct procstatus *s, const struct procstatus *first,
		       const struct known *k)
{
	bool same = s->ngroups == first->ngroups &&
		    memcmp(s->groups, first->groups, s->ngroups * sizeof(gid_t)) == 0;

	for (size_t i = 0; !same && k->may_setgroups && i < s->ngroups; i++)
		if (!is_mapped(k->gids, s->groups[i]))
			return false;
	return same || k->may_setgroups;
}

/* What the first process is born with, or what there is a number for. */
static int compare_users(const struct dtask *t, const struct dtask *first, const struct known *k)
{
	const struct procstatus *s = &t->status, *f = &first->status;
	bool known = has_groups(s, f, k);

	for (unsigned i = 0; i < 4; i++)
		known = known && (s->uid[i] == k->owner || is_mapped(k->uids, s->uid[i])) &&
			(s->gid[i] == f->gid[i] || is_mapped(k->gids, s->gid[i]));
	return known ? 0 : refuse("it has users or groups that they do not know; end it");
}

static int check_ids(const struct dump *d, const struct dtask *t, const struct birth *b)
{
	g_autoptr(GArray) uids = g_array_new(FALSE, FALSE, sizeof(struct id_extent));
	g_autoptr(GArray) gids = g_array_new(FALSE, FALSE, sizeof(struct id_extent));
	struct known k = {.uids = uids, .gids = gids};
	g_autofree char *setgroups = NULL;
	int r = read_map(b->first, "uid_map", uids);

	if (r == 0)
		r = read_map(b->first, "gid_map", gids);
	if (r == 0)
		r = file_read_at(b->first->proc.dir, "setgroups", 64, &setgroups, NULL);
	if (r == 0 && ioctl(by_id(d, b->users)->fd, NS_GET_OWNER_UID, &k.owner) < 0)
		r = err_errno("owner of a user namespace");
	k.may_setgroups = r == 0 && gids->len && g_str_has_prefix(setgroups, "allow");
	return r < 0 ? r : compare_users(t, b->first, &k);
}

static int check_spaces(const struct dump *d, const struct dtask *t, uint32_t users)
{
	const uint64_t *its = spaces_of(d, t->proc.pid);

	if (its == d->ns) /* it was ending when it was looked at */
		return err_set(ESRCH, "it ends");
	for (unsigned k = 0; k < NS_COUNT; k++) {
		const struct space *s = spaces_find(d, (enum ns_kind)k, its[k]);
		uint32_t of = s ? k == NS_USER ? s->id : s->owner : 0;

		if (k == NS_USER ? !is_within(d, of, users) : s && !is_within(d, of, users))
			return err_set(EOPNOTSUPP,
				       "it is in a pid namespace of users inside, and in a %s "
				       "namespace of others, which it could not enter; end it",
				       ns_infos[k].name);
	}
	return 0;
}

/* Its users make it when they are where it belongs to: before they go further in, or after. */
static int check_cgroups(const struct dump *d, const struct dtask *t, uint32_t users)
{
	const uint64_t *its = spaces_of(d, t->proc.pid);
	const struct space *s = spaces_find(d, NS_CGROUP, its[NS_CGROUP]);

	if (!s || !s->owner || s->owner == users || s->owner == spaces_users(d, t))
		return 0;
	return err_set(EOPNOTSUPP, "its cgroup namespace belongs to another user namespace than "
				   "it was born in or is in; end it");
}

static int check_one(const struct dump *d, const struct dtask *t, const struct birth *b)
{
	bool alone = !d->o.standalone || (d->own & CLONE_NEWPID && !d->external_pids);
	int r = t->zombie ? 0 : check_cgroups(d, t, b->users);

	if (!b->users || r < 0)
		return r;
	if (!alone && (t != b->first || t->status.threads > 1))
		return refuse("those of its processes and threads but the first could not get "
			      "their numbers back; start the tree in a PID namespace (unshare -p)");
	r = t->zombie ? 0 : check_spaces(d, t, b->users);
	return r < 0 || t->zombie ? r : check_ids(d, t, b);
}

static int check_all(struct dump *d, struct birth *all)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		const struct dtask *t = dump_task(d, i);

		r = find_birth(d, t, all);
		if (r == 0)
			r = check_one(d, t, &all[i]);
		if (r == -ESRCH || r == -ENOENT) { /* it ends */
			err_clear();
			r = 0;
		}
		r = dtask_wrap(t, r);
		r = d->frozen ? r : dump_refuse(d, r);
	}
	return r;
}

int spaces_check_births(struct dump *d)
{
	g_autofree struct birth *all = g_new0(struct birth, d->tasks->len);
	int r = d->spaces->len ? check_all(d, all) : 0;

	for (unsigned i = 0; r == 0 && i < d->spaces->len; i++) {
		const struct space *s = g_ptr_array_index(d->spaces, i);

		if (s->kind != NS_PID || !s->owner || is_claimed(all, d->tasks->len, s->owner))
			continue;
		r = err_set(EOPNOTSUPP, "there is a pid namespace of users inside whose first "
					"process is not in the tree; end those in it");
		r = d->frozen ? r : dump_refuse(d, r);
	}
	return r;
}

bool spaces_has_births(const struct dump *d)
{
	for (unsigned i = 0; i < d->spaces->len; i++) {
		const struct space *s = g_ptr_array_index(d->spaces, i);

		if (s->kind == NS_PID && s->owner)
			return true;
	}
	return false;
}
