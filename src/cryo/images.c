/* SPDX-License-Identifier: Apache-2.0 */
#include "cryo/images.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define PREFIX	  ".cryo-"
#define INVENTORY "inventory.img"
#define STATS_MAX 4096

/* Names in DIR for which WANTED holds; the caller's. */
static int list(int dir, bool (*wanted)(const char *name), GPtrArray **ret)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d)
		return err_errno("read the images directory");
	while ((e = readdir(d)) != NULL)
		if (wanted(e->d_name))
			g_ptr_array_add(names, g_strdup(e->d_name));
	closedir(d);
	*ret = g_steal_pointer(&names);
	return 0;
}

/* "cryo.json" is what CRIU's images have no place for: state/dump.h, IMAGE_EXTRA. */
static bool is_image(const char *name)
{
	return g_str_has_suffix(name, ".img") || strcmp(name, "cryo.json") == 0 ||
	       strcmp(name, "parent") == 0;
}

static bool is_file(const char *name)
{
	return name[0] != '.';
}

static bool is_leftover(const char *name)
{
	pid_t pid = g_str_has_prefix(name, PREFIX) ? atoi(name + strlen(PREFIX)) : 0;

	return pid > 0 && kill(pid, 0) < 0 && errno == ESRCH;
}

int images_begin(struct images *i, int dir)
{
	g_autoptr(GPtrArray) old = NULL;
	int r = list(dir, is_leftover, &old);

	for (unsigned k = 0; r == 0 && k < old->len; k++)
		r = file_remove_tree_at(dir, g_ptr_array_index(old, k));
	if (r < 0)
		return r;
	snprintf(i->name, sizeof(i->name), PREFIX "%d", getpid());
	if (mkdirat(dir, i->name, 0700) < 0)
		return err_errno("make a directory in the images directory");
	i->dir = dir;
	i->aside = openat(dir, i->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return i->aside < 0 ? err_errno("open %s", i->name) : 0;
}

/*
 * ext4 makes files where their directory is, and looks for each at all that were deleted there in
 * the last minutes (fs/ext4/ialloc.c: recently_deleted(), without a journal).  A directory below
 * one that is the top of hierarchies (FS_TOPDIR_FL) has a place of its own (find_group_orlov()).
 */
void images_spread(struct images *i)
{
	int flags = 0, own;

	if (i->spread)
		return;
	i->spread = true;
	if (ioctl(i->aside, FS_IOC_GETFLAGS, &flags) < 0)
		return;
	flags |= FS_TOPDIR_FL;
	if (ioctl(i->aside, FS_IOC_SETFLAGS, &flags) < 0 || mkdirat(i->aside, i->name, 0700) < 0)
		return;
	own = openat(i->aside, i->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (own < 0)
		return;
	close(i->aside);
	i->aside = own;
}

static bool is_page_image(const char *name)
{
	return g_str_has_prefix(name, "pagemap-") || g_str_has_prefix(name, "pages-");
}

static int remove_old(int dir, bool pages_stay)
{
	g_autoptr(GPtrArray) old = NULL;
	int r;

	/* from here on the old checkpoint is none */
	if (unlinkat(dir, INVENTORY, 0) < 0 && errno != ENOENT)
		return err_errno("remove the old %s", INVENTORY);
	r = list(dir, is_image, &old);
	for (unsigned k = 0; r == 0 && k < old->len; k++)
		if (!(pages_stay && is_page_image(g_ptr_array_index(old, k))) &&
		    unlinkat(dir, g_ptr_array_index(old, k), 0) < 0 && errno != EISDIR &&
		    errno != EPERM)
			return err_errno("remove the old %s",
					 (const char *)g_ptr_array_index(old, k));
	return r;
}

/* The work directory may be in another file system. */
int images_keep_stats(struct images *i, int work)
{
	g_autofree char *data = NULL;
	size_t len;
	int r;

	if (renameat(i->aside, IMAGES_STATS, work, IMAGES_STATS) == 0)
		return 0;
	r = file_read_at(i->aside, IMAGES_STATS, STATS_MAX, &data, &len);
	return r < 0 ? r : file_write_at(work, IMAGES_STATS, data, len, 0600);
}

static int move(struct images *i, const char *name)
{
	return renameat(i->aside, name, i->dir, name) < 0 ? err_errno("place %s", name) : 0;
}

int images_commit(struct images *i, int work)
{
	g_autoptr(GPtrArray) names = NULL;
	int r = remove_old(i->dir, i->pages_stay);

	if (r == 0)
		r = list(i->aside, is_file, &names);
	for (unsigned k = 0; r == 0 && k < names->len; k++) {
		const char *name = g_ptr_array_index(names, k);

		if (strcmp(name, IMAGES_STATS) == 0)
			r = images_keep_stats(i, work);
		else if (strcmp(name, INVENTORY) != 0)
			r = move(i, name);
	}
	return r < 0 ? r : move(i, INVENTORY);
}

int images_add(struct images *i)
{
	g_autoptr(GPtrArray) names = NULL;
	int r = list(i->aside, is_file, &names);

	for (unsigned k = 0; r == 0 && k < names->len; k++)
		r = move(i, g_ptr_array_index(names, k));
	return r;
}

int images_previous(int dir, const char *given, char **ret)
{
	size_t first = strcspn(given, "/");
	char link[PATH_MAX];
	struct stat here, there;
	ssize_t n = -1;

	if (first == strlen("parent") && g_str_has_prefix(given, "parent"))
		n = readlinkat(dir, "parent", link, sizeof(link));
	if (n == (ssize_t)sizeof(link))
		return err_set(ENAMETOOLONG, "the link to older images");
	*ret = n < 0 ? g_strdup(given) : g_strdup_printf("%.*s%s", (int)n, link, given + first);
	if (fstatat(dir, *ret, &there, 0) == 0 && fstat(dir, &here) == 0 &&
	    here.st_dev == there.st_dev && here.st_ino == there.st_ino)
		return err_set(EINVAL,
			       "--prev-images-dir %s: new images take the place of those in their "
			       "directory; give them one of their own (--images-dir)",
			       given);
	return 0;
}

int images_link_parent(int dir, const char *parent)
{
	if (!parent)
		return 0;
	if (unlinkat(dir, "parent", 0) < 0 && errno != ENOENT)
		return err_errno("remove the link to older images");
	return symlinkat(parent, dir, "parent") < 0 ? err_errno("link to the images before") : 0;
}

void images_drop(struct images *i)
{
	ERR_KEEP;

	if (i->dir < 0)
		return;
	cleanup_close(&i->aside);
	if (file_remove_tree_at(i->dir, i->name) < 0)
		err_clear();
	*i = IMAGES_NONE;
}
