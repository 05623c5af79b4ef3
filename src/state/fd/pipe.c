/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes: pipe(7).  All descriptions of one pipe (by inode) are open file descriptions of an
 * anonymous FIFO; the first to be dumped brings its content along.  Content is read with tee(2)
 * through a reader of our own, which leaves it where it is.
 */
#include "state/fd/pipe.h"
#include "state/fd/files.h"
#include "state/fd/kind.h"

#include "base/fd.h"
#include "image/pipe-data.pb-c.h"
#include "image/pipe.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define PIPE_BYTES_MAX (64u << 20) /* more than pipe-user-pages-hard allows anybody */

static bool match(const struct dump *d, const struct fd_view *v)
{
	return S_ISFIFO(v->st.st_mode) && g_str_has_prefix(v->link, "pipe:[");
}

static int check(struct dump *d, const struct fd_view *v)
{
	return fown_check(v);
}

/* Where bytes per packet are kept. */
static const char *packets_key(enum image_kind kind)
{
	return kind == IMG_FIFO_DATA ? "fifo packets" : "packets";
}

/* Bytes of the packets of a pipe, or NULL. */
static json_t *packets_of(json_t *extra, enum image_kind kind, uint32_t pipe_id)
{
	char id[16];

	snprintf(id, sizeof(id), "%u", pipe_id);
	return json_object_get(json_object_get(extra, packets_key(kind)), id);
}

static void keep_packets(struct dump *d, enum image_kind kind, uint32_t pipe_id, json_t *sizes)
{
	json_t *all = json_object_get(d->extra, packets_key(kind));
	char id[16];

	snprintf(id, sizeof(id), "%u", pipe_id);
	if (!all)
		json_object_set_new(d->extra, packets_key(kind), all = json_object());
	json_object_set(all, id, sizes);
}

/*
 * A read stops where a packet ends, if its writer was in packet mode (O_DIRECT; the reader does not
 * show it); CRIU's record has no place for that.
 */
static int read_copy(struct dump *d, int fd, uint8_t *buf, size_t len, enum image_kind kind,
		     uint32_t pipe_id)
{
	json_t *sizes = json_array();
	int r = 0;

	for (size_t done = 0; r == 0 && done < len;) {
		ssize_t n = read(fd, buf + done, len - done);

		if (n <= 0)
			r = n < 0 ? err_errno("read") : err_set(EIO, "it is short");
		json_array_append_new(sizes, json_integer(n));
		done += (size_t)n;
	}
	if (json_array_size(sizes) > 1)
		keep_packets(d, kind, pipe_id, sizes);
	json_decref(sizes);
	return r;
}

int pipe_dump_data(struct dump *d, const struct fd_view *v, enum image_kind kind, uint32_t pipe_id)
{
	PipeDataEntry e = PIPE_DATA_ENTRY__INIT;
	autoclose int in = -1, a = -1, b = -1;
	g_autofree uint8_t *buf = NULL;
	int queued, size, ends[2], r;
	char path[64];
	ssize_t n;

	fd_view_path(v, path);
	in = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (in < 0)
		return err_errno("open %s for reading", v->link);
	size = fcntl(in, F_GETPIPE_SZ);
	if (size < 0 || ioctl(in, FIONREAD, &queued) < 0)
		return err_errno("size of %s", v->link);
	if ((unsigned)queued > PIPE_BYTES_MAX)
		return err_set(EFBIG, "%s holds %d bytes", v->link, queued);
	e.pipe_id = pipe_id;
	e.bytes = (uint32_t)queued;
	e.size = (uint32_t)size;
	e.has_size = true;
	if (queued > 0) {
		if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
			return err_errno("pipe");
		a = ends[0];
		b = ends[1];
		/* as many places: a place may hold a single byte */
		if (fcntl(b, F_SETPIPE_SZ, size) < 0)
			return err_errno("pipe of %d bytes", size);
		n = tee(in, b, (size_t)queued, SPLICE_F_NONBLOCK);
		if (n != queued)
			return n < 0 ? err_errno("tee %s", v->link)
				     : err_set(EIO, "%s gave %zd of %d bytes", v->link, n, queued);
		buf = g_malloc((size_t)queued);
		r = read_copy(d, a, buf, (size_t)queued, kind, pipe_id);
		if (r < 0)
			return err_wrap(r, "copy of %s", v->link);
	}
	r = image_write(&d->w, kind, 0, &e.base);
	if (r == 0 && queued > 0)
		r = image_write_raw(&d->w, kind, 0, buf, (size_t)queued);
	return r;
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *e)
{
	uint32_t id = (uint32_t)v->st.st_ino;
	int r;

	e->pipe = g_new0(PipeEntry, 1);
	pipe_entry__init(e->pipe);
	e->pipe->id = e->id;
	e->pipe->pipe_id = id;
	e->pipe->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	r = fown_dump(v, &e->pipe->fown);
	if (r < 0)
		return r;
	if (!dump_once(d, "pipe", v->st.st_ino))
		return 0;
	return pipe_dump_data(d, v, IMG_PIPES_DATA, id);
}

static int load(struct restore *r, struct file *f)
{
	return f->entry->pipe ? 0 : 1;
}

void pipe_ends_free(void *p)
{
	struct pipe_ends *e = p;

	for (int i = 0; i < 2; i++)
		if (!e->given[i])
			cleanup_close(&e->ends[i]);
	g_free(e);
}

/* Content and size of all pipes, when the first is opened. */
static int write_content(int fd, const uint8_t *buf, const PipeDataEntry *e, json_t *packets)
{
	size_t done = 0, i;
	json_t *len;

	if (fcntl(fd, F_SETFL, O_NONBLOCK | (packets ? O_DIRECT : 0)) < 0)
		return err_errno("pipe %u", e->pipe_id);
	json_array_foreach(packets, i, len)
	{
		size_t n = (size_t)json_integer_value(len);

		if (n > e->bytes - done || write(fd, buf + done, n) != (ssize_t)n)
			return err_set(EIO, "pipe %u: cannot hold its packets", e->pipe_id);
		done += n;
	}
	if (done < e->bytes && write(fd, buf + done, e->bytes - done) != (ssize_t)(e->bytes - done))
		return err_errno("pipe %u: cannot hold its %u bytes", e->pipe_id, e->bytes);
	return fcntl(fd, F_SETFL, 0) < 0 ? err_errno("pipe %u", e->pipe_id) : 0;
}

static int fill(struct restore *r, struct pipe_ends *p, struct image *img, const PipeDataEntry *e)
{
	g_autofree uint8_t *buf = NULL;
	int ret;

	if (e->bytes > PIPE_BYTES_MAX || e->bytes > image_rest(img))
		return err_set(EBADMSG, "%s: pipe %u says %u bytes", img->name, e->pipe_id,
			       e->bytes);
	buf = g_malloc(e->bytes + 1);
	ret = image_read_raw(img, buf, e->bytes);
	if (ret < 0 || !p)
		return ret;
	/* larger than fs.pipe-max-size is only for CAP_SYS_RESOURCE: what must fit decides */
	if (e->has_size && fcntl(p->ends[1], F_SETPIPE_SZ, (int)e->size) < 0 && errno != EPERM)
		return err_errno("pipe %u: size %u", e->pipe_id, e->size);
	return write_content(p->ends[1], buf, e, packets_of(r->extra, img->kind, e->pipe_id));
}

int pipe_fill_all(struct restore *r, enum image_kind kind, GHashTable *pipes)
{
	CLEANUP(image_close) struct image *img = NULL;
	CLEANUP(image_record_free) PipeDataEntry *e = NULL;
	int ret;

	ret = image_open(r->o.images, kind, 0, &img);
	if (ret != 0)
		return ret < 0 ? ret : 0;
	while ((ret = image_read(img, &e)) == 0) {
		ret = fill(r, g_hash_table_lookup(pipes, GUINT_TO_POINTER(e->pipe_id)), img, e);
		if (ret < 0)
			return ret;
	}
	return ret < 0 ? ret : 0;
}

/* All pipes at once, so that the file of contents is read once. */
static int make_all(struct restore *r)
{
	GHashTableIter it;
	struct file *f;

	r->pipes = g_hash_table_new_full(NULL, NULL, NULL, pipe_ends_free);
	g_hash_table_iter_init(&it, r->files);
	while (g_hash_table_iter_next(&it, NULL, (void **)&f)) {
		struct pipe_ends *p;

		if (f->kind != &fd_pipe ||
		    g_hash_table_contains(r->pipes, GUINT_TO_POINTER(f->entry->pipe->pipe_id)))
			continue;
		p = g_new0(struct pipe_ends, 1);
		if (pipe2(p->ends, O_CLOEXEC) < 0) {
			g_free(p);
			return err_errno("pipe");
		}
		g_hash_table_insert(r->pipes, GUINT_TO_POINTER(f->entry->pipe->pipe_id), p);
	}
	return pipe_fill_all(r, IMG_PIPES_DATA, r->pipes);
}

static int set_flags(struct restore *r, struct file *f)
{
	const PipeEntry *e = f->entry->pipe;

	if (fcntl(f->fd, F_SETFL, (int)(e->flags & (O_NONBLOCK | O_DIRECT | O_APPEND))) < 0)
		return err_errno("pipe %u: flags %#o", e->pipe_id, e->flags);
	return fown_restore(r, f, e->fown, e->flags);
}

/* FD, which was handed in, takes the pipe's place; with a description of its own if one can be. */
static int open_outer(struct restore *r, struct file *f, int fd)
{
	unsigned mode = f->entry->pipe->flags & O_ACCMODE;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	f->fd = open(path, (int)mode | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (f->fd < 0)
		f->fd = fd_dup_above(fd, 3);
	return f->fd < 0 ? f->fd : set_flags(r, f);
}

static int open_(struct restore *r, struct file *f)
{
	const PipeEntry *e = f->entry->pipe;
	unsigned mode = e->flags & O_ACCMODE;
	struct pipe_ends *p;
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "pipe:[%u]", e->pipe_id);
	ret = restore_inherited(r, path);
	if (ret >= 0)
		return open_outer(r, f, ret);
	if (!r->pipes) {
		ret = make_all(r);
		if (ret < 0)
			return ret;
	}
	p = g_hash_table_lookup(r->pipes, GUINT_TO_POINTER(e->pipe_id));
	if (mode != O_RDWR && !p->given[mode]) {
		f->fd = p->ends[mode];
		p->given[mode] = true;
	} else { /* one more description; this blocks on nobody, both ends are here */
		snprintf(path, sizeof(path), "/proc/self/fd/%d", p->ends[mode == O_WRONLY]);
		f->fd = open(path, (int)mode | O_CLOEXEC | O_NONBLOCK);
		if (f->fd < 0)
			return err_errno("pipe %u", e->pipe_id);
	}
	return set_flags(r, f);
}

const struct fd_kind fd_pipe = {
	.name = "pipe",
	.type = FD_TYPES__PIPE,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
};
