/* SPDX-License-Identifier: Apache-2.0 */
/* The images of all that is run stay for crit, which looks at all of them at once. */
#include "run.h"

#include "base/fd.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int copy(int from, int to, const char *name)
{
	autoclose int in = openat(from, name, O_RDONLY | O_CLOEXEC);
	autoclose int out = openat(to, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char b[65536];
	ssize_t n = 0;
	int e = in < 0 || out < 0 ? err_errno("copy %s", name) : 0;

	while (e == 0 && (n = read(in, b, sizeof(b))) > 0)
		e = fd_write_full(out, b, (size_t)n);
	return e == 0 && n < 0 ? err_errno("read %s", name) : e;
}

/* As crit-whole knows them; what memory held, and where an earlier round is, is left. */
static bool is_image(const char *name)
{
	return !g_str_has_prefix(name, "pages-") &&
	       (g_str_has_suffix(name, ".img") || g_str_has_prefix(name, "stats-"));
}

static int keep(int from, const char *path)
{
	autoclose int to = -1;
	DIR *all = fdopendir(dup(from));
	struct dirent *d;
	int e = 0;

	if (!all || (mkdir(path, 0700) < 0 && errno != EEXIST))
		e = err_errno("mkdir %s", path);
	to = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (e == 0 && (d = readdir(all)))
		if (is_image(d->d_name))
			e = copy(from, to, d->d_name);
	if (all)
		closedir(all);
	return e;
}

int run_keep_sets(const struct run *r, const char *program, const char *mode)
{
	const char *sets = getenv("CR_SETS");
	g_autofree char *base = g_path_get_basename(program);
	int e = 0;

	if (!sets)
		return 0;
	if (g_mkdir_with_parents(sets, 0700) < 0)
		return err_errno("mkdir %s", sets);
	/* those before the last of faults are of dumps that failed */
	for (unsigned i = strcmp(mode, "faults") == 0 ? r->generation - 1 : 0;
	     e == 0 && i < r->generation; i++) {
		g_autofree char *from = g_strdup_printf("%s/%u", r->dir, i);
		g_autofree char *to =
			g_strdup_printf("%s/%s-%s%s%s-%u", sets, base, mode, r->cryo ? "-cryo" : "",
					r->flavour ? r->flavour->name : "", i);
		autoclose int dir = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		/* what was refused has none */
		if (dir >= 0 && faccessat(dir, "inventory.img", F_OK, 0) == 0)
			e = keep(dir, to);
	}
	return err_wrap(e, "images for crit");
}
