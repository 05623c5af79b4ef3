/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's mounts for other readers of the images: as a dump through its OCI runtime has them
 * (runc: libcontainer/criu_linux.go), so that such a runtime can restore them.  Our own restore has
 * a box with its mounts made already, and needs none of it.
 *
 *  - What the host sees too, and control groups, is external, known by its place: the runtime names
 *    the bind mounts of its config.json so (addCriuDumpMount()).
 *  - A masked file is external as "/dev/null" (addMaskPaths()).
 *  - What the runtime has mounted for the container alone is made again, a tmpfs with its content.
 */
#include "state/ns/mnt.h"
#include "state/ns/ns.h"

#include <string.h>

static bool is_outside(const struct mnt_scope *s, const struct mount_entry *m)
{
	for (size_t i = 0; i < s->ours->n; i++)
		if (s->ours->v[i].major == m->major && s->ours->v[i].minor == m->minor)
			return true;
	return false;
}

static void look(const struct mnt_scope *s, const struct mount_entry *m, struct mnt_seen *ret)
{
	static const struct mnt_kind automatic = {"", FSTYPE__AUTO};

	*ret = (struct mnt_seen){.way = MNT_EXTERNAL};
	if (strcmp(m->target, "/") == 0)
		ret->way = MNT_ROOT;
	else if (strcmp(m->fstype, "tmpfs") == 0 && strcmp(m->root, "/null") == 0)
		ret->key = "/dev/null";
	else if (is_outside(s, m) || g_str_has_prefix(m->fstype, "cgroup"))
		ret->key = m->target;
	else
		*ret = (struct mnt_seen){.way = MNT_NEW,
					 .kind = mnt_kind_find(m->fstype) ?: &automatic};
}

bool mnt_foreign_has_content(const struct mnt_scope *s, size_t i)
{
	struct mnt_seen seen;

	look(s, &s->its->v[i], &seen);
	return seen.way == MNT_NEW && seen.kind->content && mnt_is_first_of_fs(s, i);
}

/* Nothing is in it, or mounted there; runtimes hide directories so. */
bool mnt_foreign_is_empty(int dir)
{
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", dir);
	g_autoptr(GDir) d = g_dir_open(path, 0, NULL);

	return d && !g_dir_read_name(d);
}

static int dump_records(const struct mnt_scope *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->its->n; i++) {
		struct mnt_seen seen;

		look(s, &s->its->v[i], &seen);
		r = mnt_write_record(s, &s->its->v[i], &seen);
	}
	return r;
}

int mnt_dump_foreign(struct dump *d)
{
	return mnt_each_scope(d, true, dump_records);
}
