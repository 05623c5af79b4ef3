/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that a program has not read yet.  Nothing shows them but read(2), which takes them: they
 * are read from the kernel's memory (fs/notify/inotify/inotify.h: struct inotify_event_info).
 *
 * No call puts them back either.  They happen again, on a file system of our own, seen by watches
 * that have the numbers of the events.  Taking those watches away would add an IN_IGNORED for each;
 * but who finds the queue full adds nothing when it holds an IN_Q_OVERFLOW already
 * (fs/notify/notification.c: fsnotify_insert_event()).  So there is noise at the head of the queue:
 *
 *	noise until the queue is full, and one more: IN_Q_OVERFLOW
 *	as many read as there are events, and one
 *	the events happen: the queue is full again
 *	the watches go, which nobody is told
 *	the rest of the noise is read, and the overflow
 *
 * An overflow that the program had to read itself is made at its place, instead.
 */
#include "state/fd/inotify_queue.h"
#include "state/extra.h"

#include "base/log.h"
#include "kernel/peek.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#define KEY	   "inotify events"
#define EVENTS_MAX (1u << 20)
#define MAX_FILE   "/proc/sys/fs/inotify/max_queued_events"

static int bytes_in(int fd)
{
	int n = 0;

	return ioctl(fd, FIONREAD, &n) < 0 ? 0 : n;
}

void inotify_queue_look(struct dump *d, const struct fd_view *v)
{
	autoclose int fd = -1;
	struct peek *k;

	if (fd_view_get(v, &fd) < 0)
		err_clear();
	else if (bytes_in(fd) > 0)
		(void)dump_peek(d, &k);
}

/* Where things are in struct inotify_event_info, in the order in which they are asked for. */
enum { WD, MASK, COOKIE, NAME_LEN, NEXT, NAME, FIELDS };
struct layout {
	uint64_t at[FIELDS];
	unsigned size;
};

static int read_layout(struct peek *k, struct layout *l)
{
	static const char *const fields[FIELDS] = {"wd",       "mask",	   "sync_cookie",
						   "name_len", "fse.list", "name"};
	int r = peek_size(k, "inotify_event_info", &l->size);

	for (unsigned i = 0; r == 0 && i < FIELDS; i++)
		r = peek_at(k, 0, "inotify_event_info", fields[i], &l->at[i]);
	for (unsigned i = 0; r == 0 && i < NAME; i++)
		if (l->at[i] + (i < NEXT ? 4 : 8) > l->size || l->size > 256)
			r = err_set(EOPNOTSUPP, "an inotify event of another shape");
	return r;
}

/* One at AT, whole; *RET_NEXT: the list goes on there. */
static int read_event(struct peek *k, const struct layout *l, uint64_t at, json_t *list,
		      uint64_t *ret_next)
{
	char b[256], name[NAME_MAX + 1] = "", hex[2 * sizeof(name)] = "";
	uint32_t v[NEXT];
	int r = peek_read(k, at, b, l->size);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < NEXT; i++)
		memcpy(&v[i], b + l->at[i], sizeof(v[i]));
	memcpy(ret_next, b + l->at[NEXT], sizeof(*ret_next));
	if (v[NAME_LEN] > NAME_MAX)
		return err_set(EIO, "a name of %u bytes", v[NAME_LEN]);
	if (v[NAME_LEN])
		r = peek_read(k, at + l->at[NAME], name, v[NAME_LEN]);
	for (size_t i = 0; r == 0 && name[i]; i++)
		snprintf(hex + 2 * i, 3, "%02x", (unsigned char)name[i]);
	if (r == 0)
		json_array_append_new(list, json_pack("[i,I,I,s]", (int)v[WD], (json_int_t)v[MASK],
						      (json_int_t)v[COOKIE], hex));
	return r;
}

static int read_queue(struct peek *k, int fd, json_t *list)
{
	struct layout l;
	uint64_t at, head;
	int r = peek_file(k, fd, &at);

	if (r == 0)
		r = peek_u64(k, at, "file", "private_data", &at);
	if (r == 0)
		r = peek_at(k, at, "fsnotify_group", "notification_list", &head);
	if (r == 0)
		r = read_layout(k, &l);
	if (r == 0)
		r = peek_u64(k, head, "list_head", "next", &at);
	while (r == 0 && at != head) {
		if (json_array_size(list) >= EVENTS_MAX)
			return err_set(E2BIG, "more than %u events", EVENTS_MAX);
		r = read_event(k, &l, at - l.at[NEXT], list, &at);
	}
	return r;
}

int inotify_queue_dump(struct dump *d, const struct fd_view *v, uint32_t id)
{
	autoclose int fd = -1;
	struct peek *k;
	json_t *list;
	int r = fd_view_get(v, &fd);

	if (r < 0 || !bytes_in(fd))
		return r;
	if (!dump_peek(d, &k))
		return 1;
	list = json_array();
	r = read_queue(k, fd, list);
	if (r < 0) {
		log_debug("inotify: %s", err_message());
		err_clear();
		json_decref(list);
		return 1;
	}
	extra_set(d->extra, KEY, id, list);
	return 0;
}

/* Restore. */

static void event_clear(void *p)
{
	g_free(((struct queued *)p)->name);
}

static int load_name(const char *hex, char **ret)
{
	g_autoptr(GString) s = g_string_new(NULL);

	for (; hex && g_ascii_isxdigit(hex[0]) && g_ascii_isxdigit(hex[1]); hex += 2)
		g_string_append_c(s, (char)(g_ascii_xdigit_value(hex[0]) << 4 |
					    g_ascii_xdigit_value(hex[1])));
	if (!hex || *hex || s->len > NAME_MAX || strchr(s->str, '/') || strlen(s->str) != s->len ||
	    !strcmp(s->str, ".") || !strcmp(s->str, ".."))
		return err_set(EBADMSG, "an inotify event with a wrong name");
	*ret = g_strdup(s->str);
	return 0;
}

static int load(const json_t *list, GArray **ret)
{
	g_autoptr(GArray) v = g_array_new(FALSE, FALSE, sizeof(struct queued));
	json_t *one;
	size_t i;

	g_array_set_clear_func(v, event_clear);
	if (json_array_size(list) > EVENTS_MAX)
		return err_set(EBADMSG, "too many inotify events");
	json_array_foreach(list, i, one)
	{
		struct queued q = {0};
		const char *hex;
		json_int_t mask, cookie;
		int r;

		if (json_unpack(one, "[i,I,I,s]", &q.wd, &mask, &cookie, &hex) < 0)
			return err_set(EBADMSG, "inotify event %zu is not one", i);
		q.mask = (uint32_t)mask;
		q.cookie = (uint32_t)cookie;
		r = load_name(hex, &q.name);
		if (r < 0)
			return r;
		g_array_append_val(v, q);
		if (q.mask & IN_Q_OVERFLOW ? q.mask != IN_Q_OVERFLOW || q.wd != -1 : q.wd < 1)
			return err_set(EBADMSG, "inotify event %zu of watch %d", i, q.wd);
	}
	*ret = g_steal_pointer(&v);
	return 0;
}

/* How many a group that was made now takes (inotify_new_group()). */
static unsigned queue_max(void)
{
	g_autofree char *text = NULL;

	return g_file_get_contents(MAX_FILE, &text, NULL, NULL) ? (unsigned)atoi(text) : 0;
}

static int take(int fd, unsigned n)
{
	struct inotify_event e[64];

	while (n) {
		unsigned some = MIN(n, (unsigned)ARRAY_SIZE(e));

		if (!bytes_in(fd))
			return err_set(EIO, "inotify: %u events are not there", n);
		if (read(fd, e, some * sizeof(e[0])) != (ssize_t)(some * sizeof(e[0])))
			return err_errno("inotify: take %u events", n);
		n -= some;
	}
	return 0;
}

static int play(struct scene *s, unsigned from, unsigned to)
{
	int r = 0;

	for (unsigned i = from, n; r == 0 && i < to; i += n)
		r = scene_play(s, i, &n);
	return r;
}

static int again(int fd, const struct queued *v, unsigned n, unsigned max)
{
	CLEANUP(scene_drop) struct scene *s = NULL;
	unsigned at = 0, next, noise, early;
	bool own;
	int r;

	while (at < n && !(v[at].mask & IN_Q_OVERFLOW))
		at++;
	own = at == n; /* no overflow among them: one of ours comes first */
	at = own ? 0 : at;
	next = own ? 0 : at + 1;
	noise = max - MIN(at, max);
	early = n > next ? n - next + 1 : 0;
	r = scene_new(fd, v, n, &s);
	if (r == 0)
		r = scene_noise(s, noise);
	if (r == 0)
		r = play(s, 0, at);
	if (r == 0)
		r = scene_noise(s, 1); /* too much */
	if (r == 0)
		r = take(fd, early);
	if (r == 0)
		r = play(s, next, n);
	if (r == 0)
		r = scene_unwatch(s);
	return r < 0 ? r : take(fd, noise - MIN(early, noise) + own);
}

int inotify_queue_restore(struct restore *r, struct file *f, int *ret_next)
{
	g_autoptr(GArray) v = NULL;
	const json_t *list;
	unsigned max = queue_max(), n;
	int ret;

	list = extra_get(r->extra, KEY, f->id);
	if (!json_array_size(list))
		return 0;
	ret = load(list, &v);
	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < v->len; i++)
		*ret_next = MAX(*ret_next, g_array_index(v, struct queued, i).wd + 1);
	n = MIN(v->len, max + 1); /* an overflow comes on top */
	if (n > max && !(g_array_index(v, struct queued, max).mask & IN_Q_OVERFLOW))
		n = max;
	if (n < v->len)
		log_warn("inotify: %u events, of which this host lets %u wait (" MAX_FILE ")",
			 v->len, n);
	if (!n)
		return 0;
	ret = again(f->fd, (void *)v->data, n, max);
	return ret < 0 ? err_wrap(ret, "inotify events") : 0;
}
