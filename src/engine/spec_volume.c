/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes: directories that outlive what is mounted over.  A named one is VOLUME_DIR/NAME/_data
 * (engine/volume.h); one without a name is kept in its container's userdata and goes with it.
 *
 * A new volume begins with what the image has at that place.  It is filled aside and renamed, so
 * that a crash leaves no half-filled one behind, and the first of two containers wins.
 */
#include "engine/spec_parts.h"

#include "base/dir.h"
#include "base/file.h"
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void remove_aside(char **path)
{
	if (*path && file_remove_tree_at(AT_FDCWD, *path) < 0)
		err_clear();
	g_free(*path);
}

/* What the image has there, with owners, modes and attributes; the directory's own as well. */
static int copy_up(struct spec_context *c, const struct user_mount *u, const char *to)
{
	autoclose int from = dir_open_in_root(c->root, u->destination, O_RDONLY | O_DIRECTORY);
	const char *const argv[] = {"cp", "-a", "--reflink=auto", "--", "/proc/self/fd/3/.",
				    to,	  NULL};
	const struct spawn s = {.argv = argv, .in = SPAWN_NULL, .fds = &from, .nfds = 1};
	int r;

	if (from < 0)
		return 0; /* nothing there, or not a directory: the runtime will say so */
	r = spawn_check(&s, NULL, NULL);
	return r < 0 ? err_wrap(r, "fill volume at %s", u->destination) : 0;
}

static char *volume_base(const struct spec_context *c, const struct user_mount *u)
{
	g_autofree char *name = volume_name_of(u);

	if (u->source)
		return c->in->volume_dir ? g_build_filename(c->in->volume_dir, name, NULL) : NULL;
	return c->in->userdata ? g_build_filename(c->in->userdata, "volumes", name, NULL) : NULL;
}

/* Nobody has put anything into it, and it has never been mounted. */
static bool is_fresh(const char *base, const char *data)
{
	g_autofree char *mark = g_build_filename(base, VOLUME_FRESH, NULL);
	g_autoptr(GDir) dir = NULL;

	if (unlink(mark) < 0)
		return false;
	dir = g_dir_open(data, 0, NULL);
	return dir && !g_dir_read_name(dir);
}

int spec_volume_make(struct spec_context *c, const struct user_mount *u, char **ret_path)
{
	g_autofree char *base = volume_base(c, u), *path = NULL;
	CLEANUP(remove_aside) char *aside = NULL;
	struct stat st;
	int r;

	if (!base)
		return err_set(EOPNOTSUPP, "volume at %s: there is no place for volumes",
			       u->destination);
	path = g_build_filename(base, VOLUME_DATA, NULL);
	if (stat(path, &st) == 0 && !is_fresh(base, path)) {
		*ret_path = g_steal_pointer(&path);
		return 0;
	}
	r = file_mkdirs(base, 0755);
	if (r < 0)
		return r;
	aside = g_build_filename(base, VOLUME_DATA ".XXXXXX", NULL);
	if (!mkdtemp(aside) || chmod(aside, 0755) < 0)
		return err_errno("create volume %s", base);
	if (!g_strv_contains((const char *const *)u->options, "nocopy"))
		r = copy_up(c, u, aside);
	if (r < 0)
		return r;
	if (rename(aside, path) < 0 && errno != ENOTEMPTY && errno != EEXIST)
		return err_errno("create volume %s", base);
	*ret_path = g_steal_pointer(&path);
	return 0;
}
