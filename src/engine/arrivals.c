/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/arrivals.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "engine/digest.h"
#include "engine/lifecycle.h"
#include "engine/volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY "arrivals"
#define NAMES_MAX ((size_t)1 << 20)

static char *path_of(const struct engine *e, const char *id)
{
	return g_build_filename(e->root, DIRECTORY, id, NULL);
}

/* A sweep may be faster than our lock, and take the file away. */
static int make_locked(const char *path, int *ret_fd)
{
	for (;;) {
		autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		struct stat st;

		if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0)
			return err_errno("create %s", path);
		if (st.st_nlink) {
			*ret_fd = take_fd(&fd);
			return 0;
		}
	}
}

int arrival_begin(struct engine *e, const char *id, const GPtrArray *volumes, int *ret_fd)
{
	g_autofree char *dir = g_build_filename(e->root, DIRECTORY, NULL), *path = path_of(e, id);
	g_autoptr(GString) names = g_string_new(NULL);
	autoclose int fd = -1;
	int r = file_mkdirs(dir, 0700);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < volumes->len; i++)
		g_string_append_printf(names, "%s\n", (const char *)volumes->pdata[i]);
	r = make_locked(path, &fd);
	if (r == 0)
		r = fd_write_full(fd, names->str, names->len);
	*ret_fd = r < 0 ? -1 : take_fd(&fd);
	return r;
}

void arrival_end(struct engine *e, const char *id, int *fd)
{
	g_autofree char *path = path_of(e, id);

	if (*fd < 0)
		return;
	unlink(path);
	close(take_fd(fd));
}

static int remove_volumes(struct engine *e, const char *names)
{
	g_auto(GStrv) all = g_strsplit(names, "\n", -1);
	int r = 0;

	for (char **v = all; r == 0 && *v; v++)
		if (**v && volume_exists(e, *v) > 0)
			r = volume_remove(e, *v);
	return r;
}

/* 1: it runs. */
static int remove_container(struct engine *e, const char *id)
{
	const struct remove_options how = {.force = true, .volumes = true, .timeout = 0};
	CLEANUP(container_unref) struct container *c = NULL;
	int r = container_find(e, id, &c);

	if (r == -ENOENT) {
		err_clear();
		return 0;
	}
	if (r == 0 && container_is_running(c) && c->state.thawed) /* all but the mark was done */
		return 1;
	return r < 0 ? r : container_remove(e, c, &how);
}

/* The lock is ours: nobody is at it, and it is still the file of that name. */
static bool is_left(int dir, const char *name, int fd)
{
	struct stat a, b;

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &a) == 0 &&
	       fstatat(dir, name, &b, 0) == 0 && a.st_ino == b.st_ino;
}

static void sweep_one(struct engine *e, int dir, const char *id)
{
	autoclose int fd = openat(dir, id, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	g_autofree char *names = NULL;
	int r;

	if (!digest_is_hex(id, ENGINE_ID_LEN, ENGINE_ID_LEN) || !is_left(dir, id, fd))
		return;
	log_debug("container %s was on its way here when that ended: removing it", id);
	r = file_read_at(dir, id, NAMES_MAX, &names, NULL);
	if (r == 0)
		r = remove_container(e, id);
	if (r == 0)
		r = remove_volumes(e, names);
	if (r >= 0)
		unlinkat(dir, id, 0);
	else
		log_warn("container %s, left of a migration: %s", id, err_message());
}

void arrivals_sweep(struct engine *e)
{
	g_autofree char *path = g_build_filename(e->root, DIRECTORY, NULL);
	DIR *d = opendir(path);
	struct dirent *de;
	ERR_KEEP;

	if (!d)
		return;
	while ((de = readdir(d)))
		if (de->d_name[0] != '.')
			sweep_one(e, dirfd(d), de->d_name);
	closedir(d);
	err_clear();
}
