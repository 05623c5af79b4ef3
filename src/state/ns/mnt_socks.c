/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of unix sockets that are bind-mounted somewhere, as one gives a server's socket to a
 * container.  bind(2) always makes a new file (net/unix/af_unix.c: unix_bind_bsd()), so that these
 * mounts are late ones (mnt_late.c): {"ns": 11, "path": P}, where the file is found then.  So are
 * terminals of the tree, in other namespaces than the root's (which has mnt_ttys.c).
 */
#include "state/ns/mnt_plan.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

static int stat_in(int root, const char *path, struct stat *st)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT};
	autoclose int fd = file_openat2(root, path, &how);

	return fd < 0 || fstat(fd, st) < 0 ? -1 : 0;
}

/* A path in one namespace that leads to what M shows, but not by a mount like M. */
static char *find_in(const struct mountinfo *all, int root, const struct mount_entry *m,
		     const struct stat *st)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct mount_entry *o = &all->v[i];
		const char *rest = o->major == m->major && o->minor == m->minor && !mnt_is_gone(o)
					   ? mnt_below(m->root, o->root)
					   : NULL;
		g_autofree char *path = NULL;
		struct stat its;

		if (!rest || !*rest || mountinfo_is_covered(all, o))
			continue;
		path = g_build_filename(o->target, rest, NULL);
		/* something may lie on the way, or on the file itself: that would be seen */
		if (stat_in(root, path, &its) == 0 && its.st_dev == st->st_dev &&
		    its.st_ino == st->st_ino)
			return g_steal_pointer(&path);
	}
	return NULL;
}

static char *find(const struct mnt_scope *s, int root, const struct mount_entry *m,
		  const struct stat *st, uint32_t *ret_ns)
{
	const struct dump *d = s->d;
	char *path = find_in(s->its, root, m, st);

	*ret_ns = s->id;
	if (!path && s->space) {
		*ret_ns = NSID_MNT;
		path = find_in(&d->mounts, d->root, m, st);
	}
	for (unsigned i = 0; !path && i < d->spaces->len; i++) {
		const struct space *x = g_ptr_array_index(d->spaces, i);

		*ret_ns = x->id;
		path = x->kind == NS_MNT ? find_in(&x->mounts, x->root, m, st) : NULL;
	}
	return path;
}

static bool is_made(const struct mount_entry *m, const struct mnt_seen *seen)
{
	return seen->way != MNT_ROOT && seen->way != MNT_OURS && seen->way != MNT_SKIPPED &&
	       !(seen->way == MNT_EXTERNAL && seen->key) && strcmp(m->root, "/") != 0;
}

/* What lies on it, and nothing else is in the way: directories lie on directories only. */
static bool is_directory(const struct mnt_scope *s, int root, const struct mount_entry *m)
{
	struct stat st;

	for (size_t i = 0; i < s->its->n; i++)
		if (mountinfo_covers(s->its, &s->its->v[i], m) &&
		    strcmp(s->its->v[i].target, m->target) != 0)
			return false;
	return stat_in(root, m->target, &st) == 0 && S_ISDIR(st.st_mode);
}

/* What mount I shows, also where something lies on it. */
static int look_below(const struct mnt_scope *s, size_t i, struct stat *st)
{
	autoclose int top = -1;
	int r = mnt_open_bare(s, i, &top);

	return r < 0 ? r : fstat(top, st) < 0 ? err_errno("stat %s", s->its->v[i].target) : 0;
}

/* Did whoever makes the root's mounts (a runtime, ourselves) have it mounted there already? */
static bool is_of_root(const struct dump *d, const struct mount_entry *m)
{
	if (d->o.standalone && d->own & CLONE_NEWNS)
		return false;
	for (size_t i = 0; i < d->mounts.n; i++) {
		const struct mount_entry *o = &d->mounts.v[i];

		if (o->major == m->major && o->minor == m->minor && strcmp(o->root, m->root) == 0)
			return true;
	}
	return false;
}

static bool is_terminal(const struct mnt_scope *s, const struct mount_entry *m)
{
	return s->space && strcmp(m->fstype, "devpts") == 0 && g_ascii_isdigit(m->root[1]) &&
	       !is_of_root(s->d, m);
}

static int look(const struct mnt_scope *s, const struct mount_entry *m, const struct stat *st,
		const char *what, bool covered, struct mnt_seen *seen)
{
	int root = s->space ? s->space->root : s->d->root;
	g_autofree char *path = NULL;
	uint32_t ns;

	if (mnt_is_gone(m))
		return err_set(EOPNOTSUPP,
			       "mount %s (%s): the %s that is mounted there has been deleted; "
			       "unmount it",
			       m->target, m->fstype, what);
	if (covered)
		return err_set(EOPNOTSUPP,
			       "mount %s (%s): something else is mounted over the %s there; "
			       "unmount that",
			       m->target, m->fstype, what);
	path = find(s, root, m, st, &ns);
	if (path)
		seen->late = json_pack("{s:I,s:s}", "ns", (json_int_t)ns, "path", path);
	return path || seen->host_path
		       ? 0
		       : err_set(EOPNOTSUPP,
				 "mount %s (%s): the %s that is mounted there is to be found by no "
				 "path of the tree; unmount it",
				 m->target, m->fstype, what);
}

int mnt_sock_look(const struct mnt_scope *s, size_t i, struct mnt_seen *seen)
{
	const struct mount_entry *m = &s->its->v[i];
	int r = 0, root = s->space ? s->space->root : s->d->root;
	struct stat st;
	bool covered;

	if (!is_made(m, seen))
		return 0;
	covered = mountinfo_is_covered(s->its, m);
	if (covered && is_directory(s, root, m))
		return 0;
	if (covered)
		r = look_below(s, i, &st);
	else if (stat_in(root, m->target, &st) < 0)
		return 0;
	if (r == 0 && S_ISSOCK(st.st_mode))
		r = look(s, m, &st, "unix socket", covered, seen);
	else if (r == 0 && S_ISCHR(st.st_mode) && is_terminal(s, m))
		r = look(s, m, &st, "terminal", covered, seen);
	return r;
}
