/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts that are attached nowhere, made again: adrift.c. */
#include "state/extra.h"
#include "state/fd/files.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"

#include "image/regfile.pb-c.h"
#include "kernel/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

struct adrift { /* a mount, until everything is open */
	int fd;
	bool given; /* somebody has it */
};

static void adrift_free(void *p)
{
	struct adrift *a = p;

	cleanup_close(&a->fd);
	g_free(a);
}

static int copy_view(void *arg, int *ret_fd)
{
	return mount_copy(AT_FDCWD, arg, false, ret_fd);
}

static int make_view(struct restore *r, const json_t *how, int *ret_fd)
{
	const char *view = json_string_value(json_object_get(how, "view"));
	uint32_t space = (uint32_t)json_integer_value(json_object_get(how, "space"));
	int ns, ret = view ? spaces_fd(r, NS_MNT, space, &ns) : err_set(EBADMSG, "adrift_files");

	return ret < 0 ? ret : ns_run(&ns, 1, copy_view, (void *)(*view ? view : "/"), ret_fd);
}

static int fill_tmpfs(struct restore *r, uint32_t number, int fd)
{
	CLEANUP(image_close) struct image *img = NULL;
	int ret = image_open(r->o.images, IMG_TMPFS_DEV, number, &img);

	/* device nodes: as in other mounts, never from a container's checkpoint */
	return ret != 0 ? MIN(ret, 0)
			: tmpfs_unpack(fd, img->fd, "a detached tmpfs", r->o.mounts_made);
}

static int make_tmpfs(struct restore *r, uint32_t number, int *ret_fd)
{
	const json_t *of = extra_get(r->extra, "adrift_tmpfs", number);
	json_int_t flags = json_integer_value(json_object_get(of, "flags"));
	g_autofree char *size = g_strdup_printf("%" JSON_INTEGER_FORMAT,
						json_integer_value(json_object_get(of, "size")));
	g_autofree char *inodes = g_strdup_printf(
		"%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(of, "inodes")));
	const struct mount_param params[] = {{"size", size}, {"nr_inodes", inodes}, {NULL, NULL}};
	unsigned attrs = (flags & ST_NOSUID ? MOUNT_ATTR_NOSUID : 0) |
			 (flags & ST_NODEV ? MOUNT_ATTR_NODEV : 0) |
			 (flags & ST_NOEXEC ? MOUNT_ATTR_NOEXEC : 0);
	int ret = of ? mount_make("tmpfs", params, attrs, ret_fd)
		     : err_set(EBADMSG, "adrift_tmpfs: no %u", number);

	if (ret == 0)
		ret = fill_tmpfs(r, number, *ret_fd);
	return ret == 0 && flags & ST_RDONLY ? mount_change(*ret_fd, false, MOUNT_ATTR_RDONLY, 0, 0)
					     : ret;
}

static int make(struct restore *r, const json_t *how, int *ret_fd)
{
	const json_t *tmpfs = json_object_get(how, "tmpfs");
	int fd = -1, e = tmpfs ? make_tmpfs(r, (uint32_t)json_integer_value(tmpfs), &fd)
			       : make_view(r, how, &fd);

	if (e < 0) {
		cleanup_close(&fd);
		return err_wrap(e, "mount that is attached nowhere");
	}
	*ret_fd = fd;
	return 0;
}

/* NULL: FILE is in no such mount. */
static int find_mount(struct restore *r, uint32_t file, struct adrift **ret)
{
	const json_t *how = extra_get(r->extra, "adrift_files", file);
	g_autofree char *key = NULL;
	int fd = -1, e;

	*ret = NULL;
	if (!how)
		return 0;
	key = json_dumps(how, JSON_SORT_KEYS);
	if (!r->adrift)
		r->adrift = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, adrift_free);
	*ret = g_hash_table_lookup(r->adrift, key);
	if (*ret)
		return 0;
	e = make(r, how, &fd);
	if (e < 0)
		return e;
	*ret = g_new0(struct adrift, 1);
	(*ret)->fd = fd;
	g_hash_table_insert(r->adrift, g_steal_pointer(&key), *ret);
	return 0;
}

int adrift_root(struct restore *r, uint32_t file)
{
	struct adrift *a;
	int e = find_mount(r, file, &a);

	return e < 0 ? e : a ? a->fd : -ENOENT;
}

bool adrift_has(const struct restore *r, int root)
{
	GHashTableIter it;
	struct adrift *a;

	if (!r->adrift)
		return false;
	g_hash_table_iter_init(&it, r->adrift);
	while (g_hash_table_iter_next(&it, NULL, (void **)&a))
		if (a->fd == root)
			return true;
	return false;
}

int adrift_give(struct restore *r, const RegFileEntry *e, int *ret_fd)
{
	struct adrift *a;

	if (!(e->flags & O_PATH) || strcmp(e->name, "/") != 0 || find_mount(r, e->id, &a) < 0 ||
	    !a || a->given)
		return 1;
	*ret_fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 3);
	a->given = *ret_fd >= 0;
	return a->given ? 0 : err_errno("a mount that is attached nowhere");
}

void adrift_end(struct restore *r)
{
	g_clear_pointer(&r->adrift, g_hash_table_unref);
}
