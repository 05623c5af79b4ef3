/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of POSIX message queues.  The queues themselves, of a namespace of the tree's own,
 * are there when these are opened (state/ns/mqueue.c); one of ours is opened by its name.
 *
 * CRIU has no record for them: a file of that name, and in IMAGE_EXTRA {"mqueue files": {"FILE":
 * INODE}}.
 */
#include "base/file.h"
#include "state/fd/files.h"
#include "state/fd/kind.h"
#include "state/ns/ipc.h"
#include "state/ns/mqueue.h"

#include "image/regfile.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#define MQUEUE_MAGIC 0x19800202 /* ipc/mqueue.c */
#define FILE_BYTES   80		/* FILENT_SIZE there: what every queue pretends to hold */
#define KEY	     "mqueue files"
#define DELETED	     " (deleted)"

static bool match(const struct dump *d, const struct fd_view *v)
{
	struct statfs fs;
	char path[64];

	if (!S_ISREG(v->st.st_mode) || v->st.st_size != FILE_BYTES)
		return false;
	fd_view_path(v, path);
	return statfs(path, &fs) == 0 && fs.f_type == MQUEUE_MAGIC && !(v->info.flags & O_PATH);
}

/* A duplicate to look at: reading from the description itself would need it to be readable. */
static int open_to_read(const struct fd_view *v, int *ret)
{
	char path[64];

	fd_view_path(v, path);
	*ret = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return *ret < 0 ? err_errno("open %s", v->link) : 0;
}

/* "/queue", and whether nobody finds it by that any more. */
static char *name_of(const struct fd_view *v, bool *ret_deleted)
{
	const char *base = strrchr(v->link, '/') ?: v->link;
	char *name = g_strdup(base);

	*ret_deleted = v->st.st_nlink == 0;
	if (*ret_deleted && g_str_has_suffix(name, DELETED))
		name[strlen(name) - strlen(DELETED)] = 0;
	return name;
}

static int check(struct dump *d, const struct fd_view *v)
{
	g_autofree char *name = NULL;
	autoclose int fd = -1;
	bool own, deleted;
	int r = ipc_is_own(d, &own);

	name = name_of(v, &deleted);
	if (r == 0)
		r = mqueue_is_elsewhere(d, &v->st);
	if (r == 1)
		return err_set(EOPNOTSUPP,
			       "message queue %s is of an IPC namespace inside, whose queues are "
			       "not saved; close it first",
			       name);
	if (r == 0)
		r = open_to_read(v, &fd);
	if (r < 0)
		return r;
	if (!own && deleted)
		return err_set(EOPNOTSUPP,
			       "message queue %s was removed and is not of an IPC namespace of the "
			       "tree's own: it would end with the tree",
			       name);
	return own ? mqueue_check_fd(d, fd, name) : 0;
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	json_t *all = json_object_get(d->extra, KEY);
	g_autofree char *name = NULL;
	RegFileEntry *e = f->reg = g_new0(RegFileEntry, 1);
	autoclose int fd = -1;
	bool own, deleted;
	char key[16];
	int r = ipc_is_own(d, &own);

	name = name_of(v, &deleted);
	reg_file_entry__init(e);
	e->id = f->id;
	e->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	e->name = g_strdup(v->link);
	e->fown = fown_none();
	if (!all)
		json_object_set_new(d->extra, KEY, all = json_object());
	snprintf(key, sizeof(key), "%u", f->id);
	json_object_set_new(all, key, json_integer(own ? (json_int_t)v->st.st_ino : 0));
	if (r == 0)
		r = open_to_read(v, &fd);
	return r == 0 && own && deleted ? mqueue_dump_fd(d, fd, name, true) : r;
}

static json_t *number(const struct restore *r, const struct file *f)
{
	char key[16];

	snprintf(key, sizeof(key), "%u", f->id);
	return json_object_get(json_object_get(r->extra, KEY), key);
}

static int load(struct restore *r, struct file *f)
{
	return f->entry->reg && number(r, f) ? 0 : 1;
}

struct opening {
	const char *name;
	int flags, fd;
};

static int open_inside(void *arg)
{
	struct opening *o = arg;

	o->fd = (int)syscall(SYS_mq_open, o->name, o->flags, 0, NULL);
	return o->fd < 0 ? err_errno("open message queue /%s", o->name) : 0;
}

static int open_named(struct restore *r, struct opening *o)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int ret = proc_open(r->stub.pid, &p);

	if (ret == 0)
		ret = ipc_in_namespace(p.dir, open_inside, o);
	return ret == 1 ? open_inside(o) : ret;
}

/* As it was opened: by mq_open(3), or by a name where the file system is mounted. */
static int open_(struct restore *r, struct file *f)
{
	const RegFileEntry *e = f->entry->reg;
	int made = mqueue_made(r, (uint64_t)json_integer_value(number(r, f)), NULL);
	const char *base = strrchr(e->name, '/');
	struct opening o = {.name = base ? base + 1 : e->name,
			    .flags = (int)(e->flags & (O_ACCMODE | O_NONBLOCK)) | O_CLOEXEC,
			    .fd = -1};
	char path[64];
	int ret = 0;

	if (g_str_has_suffix(e->name, DELETED) && made >= 0) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", made);
		o.fd = open(path, o.flags);
		if (o.fd < 0)
			return err_errno("open message queue %s", e->name);
	} else if (base == e->name) {
		ret = open_named(r, &o);
	} else {
		ret = path_open(r, e, (unsigned)o.flags, &o.fd);
	}
	f->fd = o.fd;
	return ret;
}

/* Only the process itself can ask to be told. */
static int settle(struct restore *r, struct rtask *t, struct file *f, int tfd)
{
	json_t *x = NULL, *n;
	CLEANUP(batch_end) struct batch b = {0};
	struct sigevent ev = {0};

	(void)mqueue_made(r, (uint64_t)json_integer_value(number(r, f)), &x);
	n = json_object_get(x, "notify");
	if (!n || json_integer_value(json_object_get(n, "pid")) != t->nspid)
		return 0;
	ev.sigev_notify = (int)json_integer_value(json_object_get(n, "how"));
	ev.sigev_signo = (int)json_integer_value(json_object_get(n, "signal"));
	ev.sigev_value.sival_ptr =
		(void *)(uintptr_t)json_integer_value(json_object_get(n, "value"));
	json_object_del(x, "notify"); /* once, by whatever descriptor */
	rtask_batch(t, &b);
	batch_add(&b, SYS_mq_notify, IMM(tfd), batch_in(&b, &ev, sizeof(ev)));
	return batch_run(&b);
}

const struct fd_kind fd_mqfile = {
	.name = "message queue",
	.type = FD_TYPES__REG,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
	.settle = settle,
};
