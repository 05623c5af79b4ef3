/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cknamed.h"

#include "base/dir.h"
#include "base/file.h"
#include "cr/step.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REMOVED ".removed-"

int cknamed_check_name(const char *name)
{
	if (!g_regex_match_simple("^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$", name,
				  G_REGEX_DOLLAR_ENDONLY, 0))
		return err_set(EINVAL,
			       "invalid checkpoint name %s: names must match "
			       "[a-zA-Z0-9][a-zA-Z0-9_.-]*",
			       name);
	return 0;
}

char *cknamed_path(struct engine *e, const struct container *c, const char *custom,
		   const char *name)
{
	g_autofree char *userdata = container_static_dir(e, c);
	g_autofree char *dir = custom ? g_canonicalize_filename(custom, NULL)
				      : g_build_filename(userdata, "checkpoints", NULL);

	return name ? g_build_filename(dir, name, NULL) : g_steal_pointer(&dir);
}

int cknamed_dir(struct engine *e, const struct container *c, const char *custom, bool make,
		int *ret)
{
	g_autofree char *path = cknamed_path(e, c, custom, NULL);
	int r = make ? file_mkdirs(path, 0700) : 0;

	if (r < 0)
		return r;
	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_errno("open %s", path) : 0;
}

static int not_there(const struct container *c, const char *name)
{
	return err_set(ENOENT, "checkpoint %s does not exist for container %s", name, c->name);
}

/* A directory of somebody else's that happens to have that name is none. */
static int open_in(int dir, const struct container *c, const char *name, int *ret)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || faccessat(fd, CKNAMED_META, R_OK, 0) < 0) {
		if (fd >= 0)
			close(fd);
		return not_there(c, name);
	}
	*ret = fd;
	return 0;
}

int cknamed_open(struct engine *e, const struct container *c, const char *custom, const char *name,
		 int *ret)
{
	autoclose int dir = -1;
	int r = cknamed_check_name(name);

	if (r == 0)
		r = cknamed_dir(e, c, custom, false, &dir);
	if (r == -ENOENT)
		return not_there(c, name);
	return r < 0 ? r : open_in(dir, c, name, ret);
}

static int read_meta(int dir, const char *name, json_t **ret)
{
	g_autofree char *path = g_build_filename(name, CKNAMED_META, NULL), *text = NULL;
	int r = file_read_at(dir, path, 1 << 20, &text, NULL);

	if (r < 0)
		return r;
	*ret = json_loads(text, 0, NULL);
	if (!json_is_object(*ret)) {
		json_decref(*ret);
		return err_set(EBADMSG, "%s is not JSON", path);
	}
	json_object_set_new(*ret, "name", json_string(name)); /* it may have been renamed */
	return 0;
}

static int by_creation(const void *a, const void *b)
{
	const char *x = json_string_value(json_object_get(*(json_t *const *)a, "created"));
	const char *y = json_string_value(json_object_get(*(json_t *const *)b, "created"));

	return g_strcmp0(x, y);
}

int cknamed_list(struct engine *e, const struct container *c, const char *custom, json_t **ret)
{
	g_autofree char *path = cknamed_path(e, c, custom, NULL);
	g_autoptr(GDir) names = g_dir_open(path, 0, NULL);
	g_autoptr(GPtrArray) all = g_ptr_array_new();
	autoclose int dir = -1;
	const char *name;

	*ret = json_array();
	if (!names)
		return 0;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while ((name = g_dir_read_name(names))) {
		json_t *j = NULL;

		if (*name != '.' && read_meta(dir, name, &j) == 0)
			g_ptr_array_add(all, j);
		else
			err_clear(); /* not one of ours */
	}
	g_ptr_array_sort(all, by_creation);
	for (guint i = 0; i < all->len; i++)
		json_array_append_new(*ret, all->pdata[i]);
	return 0;
}

/* What killed commands left in the container's own directory; in another one somebody may be at
 * work. */
int cknamed_sweep(int dir, const char *custom)
{
	g_autoptr(GPtrArray) names = NULL;
	int r = custom ? 0 : dir_names(dir, &names);

	for (guint i = 0; r == 0 && names && i < names->len; i++) {
		const char *name = names->pdata[i];

		if (g_str_has_prefix(name, CKNAMED_NEW) || g_str_has_prefix(name, REMOVED))
			r = file_remove_tree_at(dir, name);
	}
	return r;
}

/* First another name, so that half a checkpoint is never seen. */
int cknamed_remove(struct engine *e, const struct container *c, const char *custom,
		   const char *name)
{
	g_autofree char *aside = g_strconcat(REMOVED, name, NULL);
	autoclose int dir = -1, fd = -1;
	int r = cknamed_check_name(name);

	if (r == 0)
		r = cknamed_dir(e, c, custom, false, &dir);
	if (r == -ENOENT)
		return not_there(c, name);
	if (r == 0)
		r = open_in(dir, c, name, &fd);
	if (r == 0)
		r = cknamed_sweep(dir, custom);
	if (r == 0)
		r = file_remove_tree_at(dir, aside);
	if (r == 0 && renameat(dir, name, dir, aside) < 0)
		r = err_errno("remove checkpoint %s", name);
	if (r == 0)
		r = step_begin("removal", "files");
	return r < 0 ? r : file_remove_tree_at(dir, aside);
}
