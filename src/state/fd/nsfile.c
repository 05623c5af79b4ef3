/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespace files, /proc/PID/ns/...: those of the namespaces that the tree is in, which at restore
 * are those of the box, and spaces (state/ns/spaces.h).  fs/nsfs.c: ns_get_name()
 */
#include "state/fd/kind.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"

#include "image/ns.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

/* "net:[4026531840]" */
static int kind_by_link(const char *link, uint64_t *ret_ino)
{
	const char *colon = strchr(link, ':');

	if (!colon || !g_str_has_prefix(colon, ":[") || link[0] == '/')
		return -1;
	*ret_ino = g_ascii_strtoull(colon + 2, NULL, 10);
	for (int i = 0; i < NS_COUNT; i++)
		if (strlen(ns_infos[i].name) == (size_t)(colon - link) &&
		    memcmp(ns_infos[i].name, link, (size_t)(colon - link)) == 0)
			return i;
	return -1;
}

#define FIRST_NUMBER 0xe0000000 /* of any: include/uapi/linux/nsfs.h, fs/proc/generic.c */

static bool is_namespace(const struct fd_view *v)
{
	char path[64];
	struct statfs fs;

	if (v->st.st_ino < FIRST_NUMBER || v->st.st_size || v->st.st_nlink != 1)
		return false;
	fd_view_path(v, path);
	return statfs(path, &fs) == 0 && fs.f_type == NSFS_MAGIC;
}

/* Where one is mounted (ip-netns(8)) the link is that place's name; others are files like any. */
static int kind_by_number(const struct dump *d, uint64_t ino)
{
	for (int i = 0; i < NS_COUNT; i++)
		if (spaces_id(d, (enum ns_kind)i, ino))
			return i;
	return box_external(d, "net", ino) ? NS_NET : -1;
}

static int kind_of(const struct dump *d, const struct fd_view *v, uint64_t *ret_ino)
{
	*ret_ino = v->st.st_ino;
	if (v->link[0] != '/')
		return kind_by_link(v->link, ret_ino);
	return is_namespace(v) ? kind_by_number(d, v->st.st_ino) : -1;
}

static bool match(const struct dump *d, const struct fd_view *v)
{
	uint64_t ino;

	return S_ISREG(v->st.st_mode) && kind_of(d, v, &ino) >= 0;
}

/* Nobody may be in it, and it is a space of the tree all the same. */
static int check(struct dump *d, const struct fd_view *v)
{
	uint64_t ino;
	int kind = kind_of(d, v, &ino), r;
	char path[64];
	autoclose int fd = -1;

	if (spaces_id(d, (enum ns_kind)kind, ino))
		return 0;
	fd_view_path(v, path); /* it may be O_PATH */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	r = fd < 0 ? err_errno("open %s", v->link) : 0;
	return r < 0 ? r : spaces_add_fd(d, (enum ns_kind)kind, ino, fd);
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	uint64_t ino;
	int kind = kind_of(d, v, &ino), r = check(d, v);

	f->nsf = g_new0(NsFileEntry, 1);
	ns_file_entry__init(f->nsf);
	f->nsf->id = f->id;
	f->nsf->ns_id = spaces_id(d, (enum ns_kind)kind, ino);
	f->nsf->ns_cflag = (uint32_t)ns_infos[kind].flag;
	f->nsf->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	return r;
}

static int load(struct restore *r, struct file *f)
{
	return f->entry->nsf ? 0 : 1;
}

static int open_(struct restore *r, struct file *f)
{
	const NsFileEntry *e = f->entry->nsf;
	char path[64];
	int ns, ret;

	for (int i = 0; i < NS_COUNT; i++) {
		if ((uint32_t)ns_infos[i].flag != e->ns_cflag)
			continue;
		ret = spaces_fd(r, (enum ns_kind)i, e->ns_id, &ns);
		if (ret < 0)
			return ret;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", ns);
		f->fd = open(path, (int)(e->flags & O_PATH) | O_RDONLY | O_CLOEXEC);
		return f->fd < 0 ? err_errno("open a namespace file") : 0;
	}
	return err_set(EBADMSG, "namespace file %u: kind %#x", f->id, e->ns_cflag);
}

const struct fd_kind fd_nsfile = {
	.name = "namespace file",
	.type = FD_TYPES__NS,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
};
