/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of a table of descriptors.  They are written late, as only the task itself can tell
 * which of its descriptors are closed by execve(2): /proc/PID/fdinfo shows O_CLOEXEC also for one
 * whose description was opened with it, wherever it has been duplicated to since
 * (fs/proc/fd.c: seq_show() adds the descriptor's bit to f_flags, which keep what open(2) got).
 */
#include "state/fd/files.h"
#include "state/fd/kind.h"
#include "state/question.h"

#include "image/fdinfo.pb-c.h"

#include <fcntl.h>

#define OTHERS 300 /* operations of all other questions, which must not be torn apart */

struct table_entry table_entry_of(const struct fd_view *v)
{
	bool cloexec = v->info.flags & O_CLOEXEC;

	return (struct table_entry){
		.fd = (uint32_t)v->tfd,
		.cloexec = cloexec,
		/* sock_alloc_file(), create_pipe_files(), anon_inode_getfile() drop the flag */
		.ask = cloexec && !S_ISSOCK(v->st.st_mode) &&
		       !g_str_has_prefix(v->link, "pipe:[") &&
		       !g_str_has_prefix(v->link, "anon_inode:"),
	};
}

void table_add(struct dtask *t, const struct table_entry *e)
{
	if (!t->table)
		t->table = g_array_new(FALSE, FALSE, sizeof(*e));
	g_array_append_vals(t->table, e, 1);
}

struct told {
	int *ops;
};

static int table_ask(struct dthread *h, struct batch *b, void *data)
{
	const GArray *all = h->task->table;
	struct told *q = data;

	q->ops = g_new0(int, all ? all->len : 0);
	for (unsigned i = 0; all && i < all->len; i++) {
		const struct table_entry *e = &g_array_index(all, struct table_entry, i);

		if (e->ask)
			q->ops[i] = batch_add(b, SYS_fcntl, IMM(e->fd), IMM(F_GETFD));
	}
	batch_room(b, OTHERS, 0);
	return 0;
}

int table_write(struct dump *d, uint32_t table, const struct table_entry *e, bool cloexec)
{
	FdinfoEntry f = FDINFO_ENTRY__INIT;

	f.id = e->id;
	f.fd = e->fd;
	f.type = e->type;
	f.flags = cloexec ? FD_CLOEXEC : 0;
	return image_write(&d->w, IMG_FDINFO, table, &f.base);
}

static int table_take(struct dump *d, struct dthread *h, const struct answers *a)
{
	const GArray *all = h->task->table;
	const struct told *q = a->data;
	int r = 0;

	for (unsigned i = 0; all && r == 0 && i < all->len; i++) {
		const struct table_entry *e = &g_array_index(all, struct table_entry, i);
		bool cloexec = e->ask ? answer(a, q->ops[i]) & FD_CLOEXEC : e->cloexec;

		r = table_write(d, h->task->index + 1, e, cloexec);
	}
	return r;
}

static void table_clear(void *data)
{
	struct told *q = data;

	g_free(q->ops);
}

const struct question table_question = {
	.bytes = sizeof(struct told),
	.leader = true,
	.ask = table_ask,
	.take = table_take,
	.clear = table_clear,
};
