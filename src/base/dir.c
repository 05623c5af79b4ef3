/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dir.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int dir_open_beneath(int root, const char *path, int flags)
{
	const struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return file_openat2(root, *path ? path : ".", &how);
}

int dir_open_in_root(int root, const char *path, int flags)
{
	const struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = flags & O_CREAT ? 0644 : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	return file_openat2(root, path, &how);
}

/* One component after the other, each from the root, so that links are followed as from inside. */
int dir_make_in_root(int root, const char *path)
{
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);
	g_autoptr(GString) at = g_string_new(".");

	for (char **s = parts; *s; s++) {
		autoclose int parent = dir_open_in_root(root, at->str, O_PATH | O_DIRECTORY);

		if (parent < 0)
			return err_errno("open %s of the container", at->str + 1);
		if (!**s)
			continue;
		if (mkdirat(parent, *s, 0755) < 0 && errno != EEXIST)
			return err_errno("create %s in the container", path);
		g_string_append_printf(at, "/%s", *s);
	}
	return 0;
}

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int dir_names(int dir, GPtrArray **ret)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	autoclose int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(close_dir) DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!d)
		return err_errno("read a directory");
	take_fd(&copy);
	while ((errno = 0, e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			g_ptr_array_add(names, g_strdup(e->d_name));
	if (errno)
		return err_errno("read a directory");
	g_ptr_array_sort(names, by_name);
	*ret = g_steal_pointer(&names);
	return 0;
}

bool dir_names_have(const GPtrArray *names, const char *name)
{
	return names->len && bsearch(&name, names->pdata, names->len, sizeof(name), by_name);
}
