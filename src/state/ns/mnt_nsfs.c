/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of namespaces that are mounted somewhere, as ip-netns(8) does to keep one: a namespace may
 * live by its mount alone.  Late mounts (mnt_late.c): {"kind": "net", "of": 20}.
 */
#include "state/ns/mnt.h"
#include "state/ns/spaces.h"

#include "kernel/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* "net:[4026531840]", fs/nsfs.c: ns_get_name() */
static int kind_of(const struct mount_entry *m, uint64_t *ret_ino)
{
	const char *colon = strchr(m->root, ':');

	if (strcmp(m->fstype, "nsfs") != 0 || !colon || !g_str_has_prefix(colon, ":["))
		return -1;
	*ret_ino = g_ascii_strtoull(colon + 2, NULL, 10);
	for (int k = 0; k < NS_COUNT; k++)
		if (strlen(ns_infos[k].name) == (size_t)(colon - m->root) &&
		    strncmp(ns_infos[k].name, m->root, strlen(ns_infos[k].name)) == 0)
			return k;
	return -1;
}

bool mnt_is_namespace(const struct dump *d, const struct mount_entry *m)
{
	uint64_t ino;
	int kind = kind_of(m, &ino);

	return kind >= 0 && spaces_id(d, (enum ns_kind)kind, ino);
}

int mnt_nsfs_look(const struct mnt_scope *s, const struct mount_entry *m, struct mnt_seen *seen)
{
	uint64_t ino;
	int kind = kind_of(m, &ino);

	if (kind < 0 || seen->way != MNT_VIEW)
		return 0;
	if (mountinfo_is_covered(s->its, m))
		return err_set(EOPNOTSUPP,
			       "mount %s (nsfs): something else is mounted over the namespace's "
			       "file there; unmount that",
			       m->target);
	/* fs/namespace.c: mnt_ns_loop() wants an order of their birth; the other comes too late */
	if (kind == NS_MNT || (kind == NS_CGROUP && spaces_find(s->d, NS_CGROUP, ino)))
		return err_set(
			EOPNOTSUPP,
			"mount %s (nsfs): the file of a %s namespace is mounted there; unmount "
			"it",
			m->target, ns_infos[kind].name);
	seen->late = json_pack("{s:s,s:I}", "kind", ns_infos[kind].name, "of",
			       (json_int_t)spaces_id(s->d, (enum ns_kind)kind, ino));
	return 0;
}

struct place {
	const char *target;
};

static int open_there(void *arg, int *ret_fd)
{
	const struct place *p = arg;

	*ret_fd = open(p->target, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno("open %s", p->target) : 0;
}

static int add(struct dump *d, int ns, const struct mountinfo *all, const struct mount_entry *m)
{
	struct place p = {m->target};
	autoclose int fd = -1;
	uint64_t ino;
	int kind = kind_of(m, &ino), r = 0;

	/* of others the mount is refused: nobody would be in them */
	if ((kind != NS_NET && kind != NS_UTS) || spaces_id(d, (enum ns_kind)kind, ino) ||
	    mountinfo_is_covered(all, m))
		return 0;
	r = ns_run(&ns, 1, open_there, &p, &fd);
	return r < 0 ? r : spaces_add_fd(d, (enum ns_kind)kind, ino, fd);
}

static const struct mount_entry *find_ours(const struct mountinfo *ours,
					   const struct mount_entry *m)
{
	for (size_t i = 0; i < ours->n; i++)
		if (strcmp(ours->v[i].fstype, "nsfs") == 0 && strcmp(ours->v[i].root, m->root) == 0)
			return &ours->v[i];
	return NULL;
}

static int add_all(struct dump *d, int ns, const struct mountinfo *all,
		   const struct mountinfo *ours)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < all->n; i++)
		if (strcmp(all->v[i].fstype, "nsfs") == 0 && !find_ours(ours, &all->v[i]))
			r = add(d, ns, all, &all->v[i]);
	return r;
}

int mnt_nsfs_spaces(struct dump *d)
{
	CLEANUP(proc_close) struct proc self = PROC_NONE;
	CLEANUP(mountinfo_clear) struct mountinfo ours = {0};
	autoclose int ns = -1;
	int r = proc_open(getpid(), &self);

	if (r == 0)
		r = mountinfo_read(self.dir, &ours);
	if (r == 0)
		r = ns_open(dump_task(d, 0)->proc.dir, NS_MNT, &ns);
	if (r == 0 && d->o.standalone && d->own & CLONE_NEWNS)
		r = add_all(d, ns, &d->mounts, &ours);
	for (unsigned i = 0; r == 0 && i < d->spaces->len; i++) {
		const struct space *x = g_ptr_array_index(d->spaces, i);

		if (x->kind == NS_MNT)
			r = add_all(d, x->fd, &x->mounts, &ours);
	}
	return r;
}
