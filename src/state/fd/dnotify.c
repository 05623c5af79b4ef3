/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories that send a signal when something in them changes (fcntl(2), F_NOTIFY).  Nobody tells
 * of that, but whoever asks for it becomes the owner of SIGIO (fs/notify/dnotify/dnotify.c:
 * fcntl_dirnotify()), so that directories with an owner are looked at in the kernel's memory.
 * IMAGE_EXTRA: {"notify": {"FILE": {"pid": 7, "fd": 3, "mask": M}}}.
 */
#include "state/extra.h"
#include "state/fd/files.h"
#include "state/fd/kind.h"

#include "base/log.h"
#include "kernel/peek.h"

#include <errno.h>
#include <fcntl.h>

#define TABLE	  "notify"
#define MARKS_MAX 1000

/* include/linux/fsnotify_backend.h: FS_*; as fcntl(2) has them: convert_arg() */
static const struct {
	uint32_t kernel, asked;
} bits[] = {
	{0x00000001, DN_ACCESS},    {0x00000002, DN_MODIFY}, {0x00000004, DN_ATTRIB},
	{0x00000100, DN_CREATE},    {0x00000200, DN_DELETE}, {0x10000000, DN_RENAME},
	{0x20000000, DN_MULTISHOT},
};

struct asked {
	unsigned n; /* who have */
	uint32_t fd, mask;
};

/* Of one inode each mark may be of anybody: what is none leads nowhere, or to another file. */
static void look_at(struct peek *k, uint64_t mark, uint64_t file, struct asked *ret)
{
	uint64_t one, its;
	uint32_t mask;
	int r = peek_u64(k, mark, "dnotify_mark", "dn", &one);

	for (unsigned i = 0; r == 0 && one && i < MARKS_MAX; i++) {
		r = peek_u64(k, one, "dnotify_struct", "dn_filp", &its);
		if (r == 0 && its == file) {
			r = peek_u32(k, one, "dnotify_struct", "dn_mask", &mask);
			if (r == 0)
				r = peek_u32(k, one, "dnotify_struct", "dn_fd", &ret->fd);
			ret->mask = 0;
			for (unsigned b = 0; b < ARRAY_SIZE(bits); b++)
				ret->mask |= mask & bits[b].kernel ? bits[b].asked : 0;
			ret->n++;
		}
		if (r == 0)
			r = peek_u64(k, one, "dnotify_struct", "dn_next", &one);
	}
	if (r < 0)
		err_clear();
}

static int find(struct peek *k, int fd, struct asked *ret)
{
	uint64_t file, inode, marks, node, within;
	int r = peek_file(k, fd, &file);

	if (r == 0)
		r = peek_u64(k, file, "file", "f_inode", &inode);
	if (r == 0)
		r = peek_u64(k, inode, "inode", "i_fsnotify_marks", &marks);
	if (r < 0 || !marks)
		return r;
	r = peek_at(k, 0, "fsnotify_mark", "obj_list", &within);
	if (r == 0)
		r = peek_u64(k, marks, "fsnotify_mark_connector", "list", &node);
	for (unsigned i = 0; r == 0 && node && i < MARKS_MAX; i++) {
		look_at(k, node - within, file, ret);
		r = peek_read(k, node, &node, sizeof(node)); /* struct hlist_node, "next" */
	}
	return r;
}

int dnotify_dump(struct dump *d, const struct fd_view *v, uint32_t id, const FownEntry *owner)
{
	struct asked a = {0};
	autoclose int fd = -1;
	struct peek *k;
	int r;

	if (!S_ISDIR(v->st.st_mode) || !owner || !owner->pid || v->info.flags & O_PATH)
		return 0;
	r = fd_view_get(v, &fd);
	if (r < 0)
		return r;
	r = dump_peek(d, &k) ? find(k, fd, &a) : -EOPNOTSUPP;
	if (r < 0) {
		err_clear();
		if (id)
			log_warn("%s: if it sends signals when something changes (F_NOTIFY) that "
				 "is lost",
				 v->link);
		return 0;
	}
	if (!a.n)
		return 0;
	if (a.n > 1 || owner->pid_type != F_OWNER_PID || (pid_t)owner->pid != v->task->nspid ||
	    (int)a.fd != v->tfd)
		return err_set(EOPNOTSUPP,
			       "%s: several descriptors or processes share it, and one of them "
			       "wants a signal when something changes (F_NOTIFY), which cannot be "
			       "saved; close it, or use inotify(7)",
			       v->link);
	if (id)
		extra_set(d->extra, TABLE, id,
			  json_pack("{s:i,s:i,s:I}", "pid", (int)owner->pid, "fd", v->tfd, "mask",
				    (json_int_t)a.mask));
	return 0;
}

int dnotify_settle(struct restore *r, struct rtask *t, struct file *f, int tfd)
{
	const json_t *x = extra_get(r->extra, TABLE, f->id);
	CLEANUP(batch_end) struct batch b = {0};

	if (!x || json_integer_value(json_object_get(x, "pid")) != t->nspid ||
	    json_integer_value(json_object_get(x, "fd")) != tfd)
		return 0;
	rtask_batch(t, &b);
	batch_add(&b, SYS_fcntl, IMM(tfd), IMM(F_NOTIFY),
		  IMM((uint32_t)json_integer_value(json_object_get(x, "mask"))));
	return batch_run(&b);
}
