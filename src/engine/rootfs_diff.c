/* SPDX-License-Identifier: Apache-2.0 */
/* What a container changed: its own directory compared with the layers below. */
#include "base/dir.h"
#include "engine/layer_tree.h"
#include "engine/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

/* Made by the engine or the runtime as places to mount on. */
static const char *const ours[] = {
	"/dev", "/etc/hostname",      "/etc/hosts",   "/etc/resolv.conf", "/etc/mtab", "/proc",
	"/run", "/run/.containerenv", "/run/secrets", "/run/notify",	  "/sys",
};

struct walk {
	GArray *layers; /* int: diff directories of the image, topmost first */
	GPtrArray *changes;
};

static void change_free(void *p)
{
	struct rootfs_change *c = p;

	g_free(c->path);
	g_free(c);
}

static bool is_ours(const char *path)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ours); i++)
		if (!strcmp(ours[i], path))
			return true;
	return false;
}

static void add(struct walk *w, enum rootfs_change_kind kind, const char *path, bool directory)
{
	struct rootfs_change *c;

	if (is_ours(path))
		return;
	c = g_new0(struct rootfs_change, 1);
	*c = (struct rootfs_change){kind, directory, g_strdup(path)};
	g_ptr_array_add(w->changes, c);
}

static int below(struct walk *w, const char *path, struct stat *st)
{
	return overlay_lookup((const int *)(void *)w->layers->data, w->layers->len, path + 1, st,
			      NULL);
}

/* An opaque directory hides whatever the layers have in it: those are deletions. */
static int add_hidden(struct walk *w, int upper, const char *path)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (unsigned i = 0; i < w->layers->len; i++) {
		g_autoptr(GPtrArray) names = NULL;
		autoclose int dir = -1;
		struct stat st;
		int r;

		r = overlay_lookup(&g_array_index(w->layers, int, i), 1, path + 1, &st, &dir);
		if (r < 0)
			return r;
		if (r == 0 || !S_ISDIR(st.st_mode))
			continue;
		r = dir_names(dir, &names);
		if (r < 0)
			return r;
		for (unsigned k = 0; k < names->len; k++) {
			g_autofree char *child = g_build_filename(path, names->pdata[k], NULL);

			if (!g_hash_table_add(seen, g_strdup(names->pdata[k])) ||
			    faccessat(upper, names->pdata[k], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
				continue;
			r = below(w, child, &st);
			if (r < 0)
				return r;
			if (r > 0)
				add(w, ROOTFS_DELETED, child, S_ISDIR(st.st_mode));
		}
	}
	return 0;
}

static bool same_directory(const struct stat *a, const struct stat *b)
{
	return a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_gid == b->st_gid &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int walk(struct walk *w, int dir, const char *path);

static int walk_directory(struct walk *w, int dir, const char *name, const char *path,
			  const struct stat *st, int found, const struct stat *old)
{
	autoclose int sub = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	unsigned before = w->changes->len;
	int r = 0;

	if (sub < 0)
		return err_errno("open %s", path);
	if (found && S_ISDIR(old->st_mode) && overlay_is_opaque(sub))
		r = add_hidden(w, sub, path);
	if (r == 0)
		r = walk(w, sub, path);
	if (r < 0)
		return r;
	if (!found)
		add(w, ROOTFS_ADDED, path, true);
	else if (w->changes->len > before || !same_directory(st, old))
		add(w, ROOTFS_CHANGED, path, true);
	return 0;
}

static int walk(struct walk *w, int dir, const char *path)
{
	g_autoptr(GPtrArray) names = NULL;
	int r = dir_names(dir, &names);

	for (unsigned i = 0; r == 0 && i < names->len; i++) {
		g_autofree char *child = g_build_filename(path, names->pdata[i], NULL);
		struct stat st, old;
		int found;

		if (fstatat(dir, names->pdata[i], &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT)
				continue; /* the container runs */
			return err_errno("look up %s", child);
		}
		found = below(w, child, &old);
		if (found < 0)
			return found;
		if (overlay_is_whiteout(&st)) {
			if (found)
				add(w, ROOTFS_DELETED, child, S_ISDIR(old.st_mode));
		} else if (S_ISDIR(st.st_mode)) {
			r = walk_directory(w, dir, names->pdata[i], child, &st, found, &old);
		} else {
			add(w, found ? ROOTFS_CHANGED : ROOTFS_ADDED, child, false);
		}
	}
	return r;
}

static int by_path(const void *a, const void *b)
{
	const struct rootfs_change *const *x = a, *const *y = b;

	return strcmp((*x)->path, (*y)->path);
}

static void close_layers(GArray **fds)
{
	for (unsigned i = 0; *fds && i < (*fds)->len; i++)
		close(g_array_index(*fds, int, i));
	g_clear_pointer(fds, g_array_unref);
}

static int open_layers(struct engine *e, char *const *layers, GArray *fds)
{
	unsigned n = g_strv_length((char **)layers);

	while (n-- > 0) {
		g_autofree char *path = rootfs_diff_path(e, layers[n]);
		int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			return err_errno("open layer %s", path);
		g_array_append_val(fds, fd);
	}
	return 0;
}

int rootfs_diff(struct engine *e, const char *id, char *const *layers, GPtrArray **ret)
{
	g_autoptr(GPtrArray) changes = g_ptr_array_new_with_free_func(change_free);
	CLEANUP(close_layers) GArray *fds = g_array_new(FALSE, FALSE, sizeof(int));
	struct walk w = {.layers = fds, .changes = changes};
	g_autofree char *path = rootfs_diff_path(e, id);
	autoclose int upper = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (upper < 0 && errno != ENOENT)
		return err_errno("open %s", path);
	if (upper >= 0) { /* else it was never mounted: no changes */
		r = open_layers(e, layers, fds);
		if (r == 0)
			r = walk(&w, upper, "/");
	}
	if (r < 0)
		return r;
	g_ptr_array_sort(changes, by_path);
	*ret = g_steal_pointer(&changes);
	return 0;
}

static int sum(int dir, GHashTable *links, uint64_t *total)
{
	g_autoptr(GPtrArray) names = NULL;
	int r = dir_names(dir, &names);

	for (unsigned i = 0; r == 0 && i < names->len; i++) {
		struct stat st;

		if (fstatat(dir, names->pdata[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			autoclose int sub = openat(dir, names->pdata[i],
						   O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			r = sub < 0 ? 0 : sum(sub, links, total);
		} else if (st.st_nlink == 1 ||
			   g_hash_table_add(links, g_memdup2(&(gint64){(gint64)st.st_ino}, 8))) {
			*total += (uint64_t)st.st_size;
		}
	}
	return r;
}

int rootfs_size(struct engine *e, const char *id, uint64_t *ret_bytes)
{
	g_autoptr(GHashTable) links =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	g_autofree char *path = rootfs_diff_path(e, id);
	autoclose int upper = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	*ret_bytes = 0;
	if (upper < 0)
		return errno == ENOENT ? 0 : err_errno("open %s", path);
	return sum(upper, links, ret_bytes);
}
