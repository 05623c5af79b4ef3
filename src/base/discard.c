/* SPDX-License-Identifier: Apache-2.0 */
#include "base/discard.h"
#include "base/background.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Others may be at the same ones: file_remove_tree_at() does not mind. */
static void remove_all(void *prefix)
{
	int copy = openat(3, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (g_str_has_prefix(e->d_name, prefix) &&
		    file_remove_tree_at(dirfd(d), e->d_name) < 0)
			err_clear();
}

int discard_at(int dir, const char *name)
{
	g_autofree char *prefix = g_strdup_printf("%s.gone-", name);
	g_autofree char *aside = g_strdup_printf("%s%d", prefix, getpid());

	if (renameat(dir, name, dir, aside) < 0) {
		if (errno == ENOENT)
			return 0;
		return file_remove_tree_at(dir,
					   name); /* a leftover with our number is in the way */
	}
	return background_run(&dir, 1, remove_all, prefix) < 0 ? file_remove_tree_at(dir, aside)
							       : 0;
}
