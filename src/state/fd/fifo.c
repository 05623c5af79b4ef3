/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FIFOs: fifo(7).  A named file whose content is a pipe's; opened here while a holder of ours has
 * both ends, so that nobody waits for the other side.  fs/pipe.c: fifo_open()
 *
 * A reader that was opened while nobody could write is told of no hang-up until a writer has come
 * and gone.  So the holder leaves such a FIFO before those readers are opened.
 */
#include "state/extra.h"
#include "state/fd/files.h"
#include "state/fd/kind.h"
#include "state/fd/pipe.h"

#include "image/fifo.pb-c.h"
#include "image/regfile.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

static bool match(const struct dump *d, const struct fd_view *v)
{
	return S_ISFIFO(v->st.st_mode) && v->link[0] == '/' && !(v->info.flags & O_PATH);
}

static int check(struct dump *d, const struct fd_view *v)
{
	char reopen[64];
	struct path_view p = fd_view_named(v, reopen);
	int r = fown_check(v);

	return r < 0 ? r : path_check(d, &p);
}

static void keep_hangup(struct dump *d, const struct fd_view *v, uint32_t id)
{
	struct pollfd p = {.fd = -1};

	if ((v->info.flags & O_ACCMODE) != O_RDONLY || fd_view_get(v, &p.fd) < 0)
		return;
	if (poll(&p, 1, 0) == 1 && p.revents & POLLHUP)
		extra_set(d->extra, "fifo hangups", id, json_true());
	close(p.fd);
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	FileEntry named = FILE_ENTRY__INIT;
	char reopen[64];
	struct path_view p;
	int r;

	f->fifo = g_new0(FifoEntry, 1);
	fifo_entry__init(f->fifo);
	f->fifo->id = f->id;
	f->fifo->pipe_id = (uint32_t)v->st.st_ino;
	f->fifo->has_regf_id = true;
	f->fifo->regf_id = named.id = files_new_id(d);
	named.type = FD_TYPES__REG;
	p = fd_view_named(v, reopen);
	r = fd_dump_named(d, v, &p, named.id, &named.reg);
	if (r == 0)
		r = image_write(&d->w, IMG_FILES, 0, &named.base);
	if (named.reg)
		reg_file_entry__free_unpacked(named.reg, NULL);
	keep_hangup(d, v, f->id);
	if (r < 0 || !dump_once(d, "fifo", v->st.st_ino))
		return r;
	return pipe_dump_data(d, v, IMG_FIFO_DATA, f->fifo->pipe_id);
}

static int load(struct restore *r, struct file *f)
{
	return f->entry->fifo ? 0 : 1;
}

static int name_of(struct restore *r, const struct file *f, const RegFileEntry **ret)
{
	const struct file *named =
		g_hash_table_lookup(r->files, GUINT_TO_POINTER(f->entry->fifo->regf_id));

	*ret = named ? named->entry->reg : NULL;
	return *ret ? 0 : err_set(EBADMSG, "fifo %u has no name in files.img", f->id);
}

static bool was_hung_up(const struct restore *r, const struct file *f)
{
	return json_is_true(extra_get(r->extra, "fifo hangups", f->id));
}

/* .given[1]: somebody in the tree can write. */
static int make(struct restore *r, const struct file *f)
{
	void *key = GUINT_TO_POINTER(f->entry->fifo->pipe_id);
	struct pipe_ends *p = g_hash_table_lookup(r->fifos, key);
	const RegFileEntry *e;
	int ret = name_of(r, f, &e);

	if (ret == 0 && !p) {
		p = g_new0(struct pipe_ends, 1);
		p->ends[0] = p->ends[1] = -1;
		g_hash_table_insert(r->fifos, key, p);
		ret = path_open(r, e, O_RDWR | O_NONBLOCK, &p->ends[1]);
		if (ret == 0)
			ret = path_open(r, e, O_RDONLY | O_NONBLOCK, &p->ends[0]);
	}
	if (ret == 0 && (e->flags & O_ACCMODE) != O_RDONLY)
		p->given[1] = true;
	return ret;
}

/* All FIFOs at once, so that the file of contents is read once. */
static int make_all(struct restore *r)
{
	GHashTableIter it;
	struct pipe_ends *p;
	struct file *f;
	int ret = 0;

	r->fifos = g_hash_table_new_full(NULL, NULL, NULL, pipe_ends_free);
	g_hash_table_iter_init(&it, r->files);
	while (ret == 0 && g_hash_table_iter_next(&it, NULL, (void **)&f))
		if (f->kind == &fd_fifo)
			ret = make(r, f);
	if (ret == 0)
		ret = pipe_fill_all(r, IMG_FIFO_DATA, r->fifos);
	g_hash_table_iter_init(&it, r->files);
	while (ret == 0 && g_hash_table_iter_next(&it, NULL, (void **)&f)) {
		const RegFileEntry *e;

		if (f->kind != &fd_fifo || !was_hung_up(r, f))
			continue;
		ret = name_of(r, f, &e);
		if (ret == 0)
			ret = path_open(r, e, e->flags | O_NONBLOCK, &f->fd);
	}
	g_hash_table_iter_init(&it, r->fifos);
	while (g_hash_table_iter_next(&it, NULL, (void **)&p)) {
		if (!p->given[1])
			close(take_fd(&p->ends[1]));
		p->given[1] = false; /* the holder is ours to close */
	}
	return ret;
}

static int open_(struct restore *r, struct file *f)
{
	const RegFileEntry *e;
	int ret = name_of(r, f, &e);

	if (ret == 0 && !r->fifos)
		ret = make_all(r);
	if (ret == 0 && f->fd < 0)
		ret = path_open(r, e, e->flags | O_NONBLOCK, &f->fd);
	if (ret < 0)
		return ret;
	if (fcntl(f->fd, F_SETFL, (int)(e->flags & (O_NONBLOCK | O_DIRECT | O_APPEND))) < 0)
		return err_errno("%s: flags %#o", e->name, e->flags);
	return fown_restore(r, f, e->fown, e->flags);
}

const struct fd_kind fd_fifo = {
	.name = "fifo",
	.type = FD_TYPES__FIFO,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
};
