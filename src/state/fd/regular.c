/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is opened by its name: regular files, directories, O_PATH handles and the memory devices
 * (null, zero, full, random, urandom: major 1), which have no state.  state/fd/path.c does it.
 */
#include "state/fd/files.h"
#include "state/fd/kind.h"
#include "state/lock/lock.h"

#include "base/fd.h"
#include "image/regfile.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#define MEM_MAJOR 1

static bool match(const struct dump *d, const struct fd_view *v)
{
	/* files of the kernel's own mounts only look like names */
	if (v->link[0] != '/' || g_str_has_prefix(v->link, "/memfd:") ||
	    g_str_has_prefix(v->link, "/dmabuf:") || strcmp(v->link, "/secretmem (deleted)") == 0)
		return false;
	return S_ISREG(v->st.st_mode) || S_ISDIR(v->st.st_mode) ||
	       (S_ISCHR(v->st.st_mode) && major(v->st.st_rdev) == MEM_MAJOR) ||
	       v->info.flags & O_PATH;
}

static struct path_view view_of(const struct fd_view *v, char reopen[static 64])
{
	struct path_view p = fd_view_named(v, reopen);

	p.pos = v->info.pos;
	p.leased = locks_lease(&v->info);
	return p;
}

static int check(struct dump *d, const struct fd_view *v)
{
	char reopen[64];
	struct path_view p = view_of(v, reopen);
	g_autofree FownEntry *owner = NULL;
	int r = fown_dump(v, &owner);

	if (r == 0)
		r = dnotify_dump(d, v, 0, owner);
	if (r == 0)
		r = path_check(d, &p);
	return r < 0 || d->frozen ? r : reopen_check_opened(&p);
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *e)
{
	char reopen[64];
	struct path_view p = view_of(v, reopen);

	int r = fd_dump_named(d, v, &p, e->id, &e->reg);

	return r < 0 ? r : dnotify_dump(d, v, e->id, e->reg->fown);
}

static int load(struct restore *r, struct file *f)
{
	const RegFileEntry *e = f->entry->reg;

	if (!e)
		return 1;
	if (e->name[0] != '/' && !e->ext)
		return err_set(EBADMSG, "file %u has the name \"%s\"", f->id, e->name);
	return 0;
}

/*
 * By CRIU's names: that of an external file ("file[...]"), or the path without its first slash.
 * 1: nothing was handed in.
 */
static int open_outer(struct restore *r, struct file *f)
{
	const RegFileEntry *e = f->entry->reg;
	int fd = restore_inherited(r, e->ext ? e->name : e->name + 1);

	if (fd < 0 && e->ext)
		return err_set(ENOENT, "nothing takes the place of \"%s\" of the checkpoint",
			       e->name);
	if (fd < 0)
		return 1;
	f->fd = fd_dup_above(fd, 3);
	return f->fd < 0 ? f->fd : 0;
}

/* The name of a unix socket is there when all sockets are. */
static bool is_socket(const RegFileEntry *e)
{
	return e->has_mode && S_ISSOCK(e->mode) && e->flags & O_PATH;
}

static int open_socket(struct restore *r, struct file *f)
{
	const RegFileEntry *e = f->entry->reg;

	return is_socket(e) && f->fd < 0 ? path_open(r, e, e->flags, &f->fd) : 0;
}

static int open_(struct restore *r, struct file *f)
{
	const RegFileEntry *e = f->entry->reg;
	bool outer;
	int ret;

	if (e->has_mode && S_ISFIFO(e->mode) && !(e->flags & O_PATH))
		return 0; /* only a name: fifo.c opens it */
	ret = open_outer(r, f);
	outer = ret == 0;

	if (ret == 1 && is_socket(e))
		return 0;
	if (ret == 1)
		ret = path_open(r, e, e->flags, &f->fd);
	if (ret < 0)
		return ret;
	if (outer)
		return 0;
	if (!(e->flags & O_PATH) && e->pos > 0 && lseek(f->fd, (off_t)e->pos, SEEK_SET) < 0)
		return err_errno("%s: position %" PRIu64, e->name, e->pos);
	return fown_restore(r, f, e->fown, e->flags);
}

/* By a name that stays.  What maps it or needs it earlier opens it then. */
static bool is_lone(const struct restore *r, const struct file *f)
{
	const RegFileEntry *e = f->entry->reg;
	void *id = GUINT_TO_POINTER(f->id);

	return e->has_mode && S_ISREG(e->mode) && !e->ext &&
	       !g_hash_table_contains(r->ghosts, id) && !g_hash_table_contains(r->linked, id) &&
	       restore_inherited(r, e->name + 1) < 0 && path_stays(r, e);
}

const struct fd_kind fd_regular = {
	.name = "file",
	.type = FD_TYPES__REG,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
	.finish = open_socket,
	.settle = dnotify_settle,
	.lone = is_lone,
};
