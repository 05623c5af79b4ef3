/* SPDX-License-Identifier: Apache-2.0 */
#include "base/discard.h"
#include "base/fd.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Others may be at the same ones: file_remove_tree_at() does not mind. */
static void remove_all(int dir, const char *prefix)
{
	DIR *d = fdopendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (g_str_has_prefix(e->d_name, prefix) &&
		    file_remove_tree_at(dirfd(d), e->d_name) < 0)
			err_clear();
}

/* Holds nothing of its parent: neither locks nor the pipes whose end somebody may wait for. */
static _Noreturn void child(int dir, const char *prefix)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 ||
	    dup2(dir, 3) < 0 || close_range(4, ~0U, 0) < 0)
		_exit(1);
	remove_all(openat(3, ".", O_RDONLY | O_DIRECTORY), prefix);
	_exit(0);
}

int discard_at(int dir, const char *name)
{
	g_autofree char *prefix = g_strdup_printf("%s.gone-", name);
	g_autofree char *aside = g_strdup_printf("%s%d", prefix, getpid());
	pid_t pid;

	if (renameat(dir, name, dir, aside) < 0) {
		if (errno == ENOENT)
			return 0;
		return file_remove_tree_at(dir, name); /* a leftover with our number is in the way */
	}
	pid = fork();
	if (pid == 0)
		child(dir, prefix);
	return pid < 0 ? file_remove_tree_at(dir, aside) : 0;
}
