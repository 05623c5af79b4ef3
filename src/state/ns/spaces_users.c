/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User namespaces below that of the tree's root (user_namespaces(7)): those that tasks are in, that
 * other namespaces belong to, that descriptors keep, and those above them.
 *
 * Their maps are in images as CRIU has them, with the numbers of the namespace above: userns-N.  In
 * IMAGE_EXTRA, by their numbers: "user_namespaces": {"above", "owner", "deny": setgroups(2)}; and
 * "owners": the user namespace that another namespace belongs to, where that is not the root's.
 * Users and groups of tasks are, like everybody's, recorded as the root's namespace has them.
 */
#include "state/ns/spaces.h"

#include "base/fd.h"
#include "base/file.h"
#include "kernel/procstatus.h"
#include "state/extra.h"
#include "state/ns/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define MAP_MAX (1u << 20)

static struct space *by_id(const struct dump *d, uint32_t id)
{
	for (unsigned i = 0; i < d->spaces->len; i++) {
		struct space *s = g_ptr_array_index(d->spaces, i);

		if (s->id == id)
			return s;
	}
	return NULL;
}

/* *RET: 0 when it is the root's, or above that one, as all that the tree came with may be. */
static int find_users(struct dump *d, int ns, uint32_t *ret)
{
	autoclose int above = -1;
	struct space *s;
	uint64_t ino;
	int r = ns_above(ns, &above);

	*ret = 0;
	if (r == 0)
		r = ns_ino(above, &ino);
	if (r != 0 || ino == d->ns[NS_USER])
		return MIN(r, 0);
	s = spaces_find(d, NS_USER, ino);
	if (!s) {
		r = ns_is_within(above, d->ns[NS_USER]);
		if (r == 1)
			r = spaces_add(d, NS_USER, ino, take_fd(&above), &s);
	}
	*ret = r == 0 && s ? s->id : 0;
	return MIN(r, 0);
}

int spaces_add_owner(struct dump *d, struct space *s)
{
	int r = s->kind == NS_USER ? ns_is_within(s->fd, d->ns[NS_USER]) : 1;

	if (r == 0)
		return err_set(EOPNOTSUPP,
			       "its user namespace is not below that of the first task; end it");
	if (r > 0)
		r = find_users(d, s->fd, &s->owner);
	return r;
}

uint32_t spaces_users(const struct dump *d, const struct dtask *t)
{
	const struct space *s = spaces_find(d, NS_USER, spaces_of(d, t->proc.pid)[NS_USER]);

	return s ? s->id : 0;
}

static bool has_same_users(const struct procstatus *a, const struct procstatus *b)
{
	return memcmp(a->uid, b->uid, sizeof(a->uid)) == 0 &&
	       memcmp(a->gid, b->gid, sizeof(a->gid)) == 0 && a->ngroups == b->ngroups &&
	       memcmp(a->groups, b->groups, a->ngroups * sizeof(gid_t)) == 0;
}

/* They are taken over from the process, which has got its own before it entered. */
static int check_thread(const struct dtask *t, pid_t tid)
{
	CLEANUP(procstatus_clear) struct procstatus st = {0};
	autoclose int dir = -1;
	int r = proc_open_task(t->proc.dir, tid, &dir);

	if (r == 0)
		r = procstatus_read(dir, &st);
	if (r == -ESRCH || r == -ENOENT) {
		err_clear();
		return 0;
	}
	if (r == 0 && !has_same_users(&st, &t->status))
		return err_set(EOPNOTSUPP,
			       "thread %d has other users or groups than its process, which cannot "
			       "be given to it in a user namespace of its own",
			       tid);
	return r;
}

/*
 * Its threads are born where nobody may choose their numbers, which then are the next ones
 * (kernel/pid.c: alloc_pid()): only where nobody else forks.
 */
static int check_threads(struct dump *d, const struct dtask *t)
{
	bool alone = !d->o.standalone || (d->own & CLONE_NEWPID && !d->external_pids);
	CLEANUP(pid_list_clear) struct pid_list tids = {0};
	int r = t->status.threads > 1 ? proc_tasks(t->proc.dir, &tids) : 0;

	if (r == 0 && t->status.threads > 1 && !alone)
		return err_set(EOPNOTSUPP,
			       "it is in a user namespace of its own and has threads, which could "
			       "not get their numbers back; start the tree in a PID namespace "
			       "(unshare -p)");
	for (size_t i = 0; r == 0 && i < tids.n; i++)
		if (tids.v[i] != t->pid)
			r = check_thread(t, tids.v[i]);
	return r;
}

static int check_thread_spaces(const struct dump *d, const struct dtask *t, uint32_t users)
{
	const uint64_t *process = spaces_of(d, t->proc.pid);

	for (unsigned i = 0; i < dtask_nthreads(t); i++) {
		const uint64_t *its = spaces_of(d, dtask_tid(t, i));

		for (unsigned k = 0; its != d->ns && k < NS_COUNT; k++) {
			const struct space *s = spaces_find(d, (enum ns_kind)k, its[k]);

			if (its[k] != process[k] && (s ? s->owner : 0) != users)
				return err_set(EOPNOTSUPP,
					       "thread %d is in a %s namespace of other users, "
					       "where it may not go again",
					       dtask_tid(t, i), ns_infos[k].name);
		}
	}
	return 0;
}

int spaces_check_users(struct dump *d, const struct dtask *t)
{
	const uint64_t *its = spaces_of(d, t->proc.pid);
	const struct space *s = spaces_find(d, NS_USER, its[NS_USER]);
	uint64_t children = 0;
	int r = 0;

	if (s)
		r = check_threads(d, t);
	if (r == 0 && s)
		r = check_thread_spaces(d, t, s->id);
	if (r == 0 && s)
		r = ns_child_id(t->proc.dir, NS_PID, &children);
	if (r == 0 && s && !children)
		return err_set(EOPNOTSUPP,
			       "it is in a user namespace of its own, and its children go to a new "
			       "pid namespace, which nobody is in yet");
	return r;
}

/* Who shares enters mount namespaces before there are others: spaces_make(). */
static bool is_in_the_way(const struct dump *d, const struct dtask *t)
{
	return spaces_users(d, t) ||
	       (spaces_has_births(d) && spaces_find(d, NS_MNT, spaces_of(d, t->proc.pid)[NS_MNT]));
}

/* kernel/user_namespace.c: userns_install(): nobody enters one with directories that he shares. */
int spaces_check_sharers(struct dump *d)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && d->strays && i < d->tasks->len; i++) {
		const struct dtask *t = dump_task(d, i);

		for (unsigned k = 0; r == 0 && !t->zombie && k < i; k++) {
			const struct dtask *o = dump_task(d, k);

			if (o->zombie || o->fs != t->fs || !is_in_the_way(d, t))
				continue;
			r = dtask_wrap(t, err_set(EOPNOTSUPP,
						  "it shares its directories with process %d, and "
						  "is in a user namespace of its own, or the tree "
						  "has a pid namespace of such",
						  o->nspid));
			r = d->frozen ? r : dump_refuse(d, r);
			break;
		}
	}
	return r;
}

/* Files of /proc/self, one after the other; a 0 ends each. */
static const char *const files[] = {"self/uid_map", "self/gid_map", "self/setgroups"};

/* Who has opened it decides about the numbers above (kernel/user_namespace.c: uid_m_show()). */
static int copy_maps(void *arg, int *ret_fd)
{
	autoclose int to = memfd_create("maps", MFD_CLOEXEC);
	int r = to < 0 ? err_errno("memfd") : 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++) {
		g_autofree char *text = NULL;

		r = file_read_at(*(const int *)arg, files[i], MAP_MAX, &text, NULL);
		if (r == 0)
			r = fd_write_full(to, text, strlen(text) + 1);
	}
	*ret_fd = take_fd(&to);
	return r;
}

static int read_owner(void *arg, int *ret_fd)
{
	autoclose int to = memfd_create("owner", MFD_CLOEXEC);
	uid_t uid;
	int r = to < 0 ? err_errno("memfd") : 0;

	if (r == 0 && ioctl(*(const int *)arg, NS_GET_OWNER_UID, &uid) < 0)
		r = err_errno("owner of a user namespace");
	if (r == 0)
		r = fd_write_full(to, &uid, sizeof(uid));
	*ret_fd = take_fd(&to);
	return r;
}

static int find_owner(const struct space *s, int above, uid_t *ret)
{
	autoclose int from = -1;
	int fd = s->fd, r = ns_run(&above, 1, read_owner, &fd, &from);

	if (r == 0 && pread(from, ret, sizeof(*ret), 0) != sizeof(*ret))
		r = err_set(EIO, "owner of a user namespace");
	return r;
}

static int read_maps(const struct space *s, int proc, GArray *uids, GArray *gids, json_t *into)
{
	g_autofree char *text = NULL;
	autoclose int fd = -1;
	const char *gid_map, *setgroups;
	char path[64];
	int r = ns_run(&s->fd, 1, copy_maps, &proc, &fd);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (r == 0)
		r = file_read_at(AT_FDCWD, path, MAP_MAX, &text, NULL);
	if (r < 0)
		return r;
	gid_map = text + strlen(text) + 1;
	setgroups = gid_map + strlen(gid_map) + 1;
	users_parse_map(text, uids);
	users_parse_map(gid_map, gids);
	json_object_set_new(into, "deny", json_boolean(g_str_has_prefix(setgroups, "deny")));
	return 0;
}

static int dump_users(struct dump *d, const struct space *s)
{
	g_autoptr(GArray) uids = g_array_new(FALSE, FALSE, sizeof(struct id_extent));
	g_autoptr(GArray) gids = g_array_new(FALSE, FALSE, sizeof(struct id_extent));
	autoclose int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), root = -1;
	const struct space *above = by_id(d, s->owner);
	json_t *one = json_object();
	uid_t owner = 0;
	int r = proc < 0 ? err_errno("open /proc") : 0;

	extra_set(d->extra, "user_namespaces", s->id, one);
	if (r == 0 && !above)
		r = ns_owner(s->fd, &root); /* -1: ours, where we are */
	if (r == 0)
		r = find_owner(s, above ? above->fd : root, &owner);
	json_object_set_new(one, "above", json_integer(s->owner));
	json_object_set_new(one, "owner", json_integer(owner));
	if (r == 0)
		r = read_maps(s, proc, uids, gids, one);
	return r < 0 ? r : users_write_image(d, s->id, uids, gids);
}

int spaces_dump_users(struct dump *d)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->spaces->len; i++) {
		const struct space *s = g_ptr_array_index(d->spaces, i);

		if (s->kind == NS_USER)
			r = dump_users(d, s);
		else if (s->owner)
			extra_set(d->extra, "owners", s->id, json_integer(s->owner));
	}
	return r < 0 ? err_wrap(r, "user namespaces") : 0;
}
