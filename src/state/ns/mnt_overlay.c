/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overlays are mounted again by the paths in their options.  These are what mount(2) was given
 * (fs/overlayfs/params.c: ovl_show_options()), not where the directories are by now.
 */
#include "state/ns/mnt.h"
#include "state/ns/spaces.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>

static const char *const layers[] = {"lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir"};

static bool is_layer(const char *option)
{
	size_t len = strcspn(option, "=");

	for (size_t i = 0; i < ARRAY_SIZE(layers); i++)
		if (strlen(layers[i]) == len && strncmp(option, layers[i], len) == 0)
			return true;
	return false;
}

/* The text up to STOP, which a backslash protects; *AT goes behind it, NULL at the end. */
static char *next(const char **at, char stop)
{
	GString *s = g_string_new(NULL);
	const char *p = *at;

	for (; *p && *p != stop; p++) {
		if (*p == '\\' && p[1])
			g_string_append_c(s, *p++);
		g_string_append_c(s, *p);
	}
	*at = *p ? p + 1 : NULL;
	return g_string_free(s, FALSE);
}

static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (*s == '\\' && s[1])
			s++;
		*to++ = *s;
	}
	*to = 0;
}

static size_t index_of(const struct mountinfo *all, uint64_t id)
{
	size_t i = 0;

	while (i < all->n && (uint64_t)all->v[i].id != id)
		i++;
	return i;
}

/* A mount that came later than the overlay may hide the directory that the path led to. */
static int check_path(const struct mnt_scope *s, const struct mount_entry *m, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT};
	autoclose int fd = -1;
	struct statx st;

	if (path[0] != '/')
		return err_set(
			EOPNOTSUPP,
			"mount %s (overlay): its directory %s has no absolute path; mount it "
			"with one",
			m->target, path);
	fd = file_openat2(s->space ? s->space->root : s->d->root, path, &how);
	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0 ||
	    index_of(s->its, st.stx_mnt_id) > (size_t)(m - s->its->v))
		return err_set(EOPNOTSUPP,
			       "mount %s (overlay): its directory %s is not there any more, or "
			       "something has been mounted over it; unmount it",
			       m->target, path);
	return 0;
}

static int check_layers(const struct mnt_scope *s, const struct mount_entry *m, const char *list)
{
	int r = 0;

	while (r == 0 && list) {
		g_autofree char *path = next(&list, ':');

		unescape(path);
		if (*path) /* "::" begins layers of data */
			r = check_path(s, m, path);
	}
	return r;
}

int mnt_overlay_look(const struct mnt_scope *s, const struct mount_entry *m,
		     const struct mnt_seen *seen)
{
	const char *at = m->sb_options;
	int r = 0;

	if (seen->way != MNT_NEW || strcmp(m->fstype, "overlay") != 0)
		return 0;
	while (r == 0 && at) {
		g_autofree char *option = next(&at, ',');

		if (is_layer(option) && strchr(option, '='))
			r = check_layers(s, m, strchr(option, '=') + 1);
	}
	return r;
}
