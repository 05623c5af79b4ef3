/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that wait to be accepted, in their order.  Those whose clients the tree has are made
 * again by these.  What clients have sent already, also those that have closed since, is read from
 * the kernel's memory (unix_unaccepted.c).  Where that cannot be, and of messages with descriptors,
 * it can only be read by accepting, which takes it: done last of all, and only if the tree ends.
 *
 * Of the listening socket in IMAGE_EXTRA: {"waiting": [{"client": INODE, "id": ID, "cred": [...],
 * "packets": [...]}, ...]}; client 0 has closed.  Packets are in sk-queues.img, for ID.
 */
#include "state/fd/files.h"
#include "state/sock/socks.h"
#include "state/sock/unix_restore.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

struct unix_waiting {
	int fd; /* the listening one */
	int type;
	unsigned n;
	json_t *list;
	char link[40];
};

static void waiting_clear(void *p)
{
	close(((struct unix_waiting *)p)->fd);
}

/* Is there anything to be read? */
static bool has_sent(struct dump *d, uint32_t client)
{
	const struct diag_unix *c =
		client ? g_hash_table_lookup(d->socks->unix_all, GUINT_TO_POINTER(client)) : NULL;

	return !client || (c && c->wqueue);
}

static int refuse_running(const struct sock_view *s)
{
	return err_set(
		EAGAIN,
		"%s: what a client has sent on a connection that waits to be accepted cannot "
		"be read without taking it; try again",
		s->v->link);
}

int unix_waiting_check(struct dump *d, const struct sock_view *s, const struct diag_unix *u)
{
	struct peek *k;

	for (unsigned i = 0; i < u->nicons; i++) {
		if (!d->frozen && has_sent(d, u->icons[i]))
			(void)dump_peek(d, &k); /* now, as it takes a while */
		if (d->o.leave_running && !d->frozen && has_sent(d, u->icons[i]) &&
		    !unix_unaccepted_shown(d, s->fd))
			return refuse_running(s);
		if (u->icons[i] && !socks_has(d, u->icons[i]) && !d->o.skip_in_flight)
			return err_set(
				EOPNOTSUPP,
				"%s: a connection from outside of the tree (socket:[%u]) "
				"waits to be accepted; try again, or use --skip-in-flight to "
				"drop such connections",
				s->v->link, u->icons[i]);
	}
	return 0;
}

int unix_waiting_add(struct dump *d, const struct sock_view *s, const struct diag_unix *u,
		     json_t *x)
{
	struct unix_waiting w = {.type = s->type, .n = u->nicons, .list = json_array()};
	bool take = false;
	int r = 0;

	json_object_set_new(x, "waiting", w.list);
	for (unsigned i = 0; i < u->nicons; i++) {
		take |= has_sent(d, u->icons[i]);
		json_array_append_new(w.list,
				      json_pack("{s:I}", "client", (json_int_t)u->icons[i]));
	}
	if (take)
		r = unix_unaccepted_dump(d, s->fd, w.list);
	if (!take || r <= 0)
		return r;
	if (d->o.leave_running)
		return refuse_running(s);
	w.fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
	if (w.fd < 0)
		return err_errno("dup");
	g_strlcpy(w.link, s->v->link, sizeof(w.link));
	if (!d->socks->waiting) {
		d->socks->waiting = g_array_new(FALSE, FALSE, sizeof(w));
		g_array_set_clear_func(d->socks->waiting, waiting_clear);
	}
	g_array_append_val(d->socks->waiting, w);
	return 0;
}

static int take_one(struct dump *d, const struct unix_waiting *w, json_t *one)
{
	struct pollfd p = {.fd = w->fd, .events = POLLIN};
	autoclose int fd = poll(&p, 1, 0) == 1 ? accept4(w->fd, NULL, NULL, SOCK_CLOEXEC) : -1;
	struct sock_view s = {.fd = fd, .family = AF_UNIX, .type = w->type};
	uint32_t id = files_new_id(d);
	json_t *packets;

	if (fd < 0)
		return err_set(EIO, "a connection that waits is not there");
	if (json_is_null(one))
		return 0;
	json_object_set_new(one, "packets", packets = json_array());
	json_object_set_new(one, "id", json_integer(id));
	unix_cred_dump(d, fd, one);
	return sock_queue_walk(d, &s, id, packets);
}

int unix_waiting_dump(struct dump *d)
{
	GArray *all = d->socks ? d->socks->waiting : NULL;
	int r = 0;

	for (unsigned i = 0; all && r == 0 && i < all->len; i++) {
		const struct unix_waiting *w = &g_array_index(all, struct unix_waiting, i);

		d->taken = true;
		for (unsigned k = 0; r == 0 && k < w->n; k++)
			r = take_one(d, w, json_array_get(w->list, k));
		if (r < 0)
			r = err_wrap(r, "%s", w->link);
	}
	return r;
}

/* Restore. */

struct gone {
	int fd;
	json_t *packets;
	unsigned next;
	bool ours; /* its client has closed: so do we */
};

static void gone_free(void *p)
{
	struct gone *g = p;

	if (g->ours)
		close(g->fd);
	g_free(g);
}

void unix_waiting_end(struct socks_restore *s)
{
	g_clear_pointer(&s->waiting, g_hash_table_unref);
}

static void remember(struct restore *r, json_t *one, int fd, bool ours)
{
	struct socks_restore *s = r->socks;
	uint32_t id = (uint32_t)json_integer_value(json_object_get(one, "id"));
	struct gone *g = g_new0(struct gone, 1);

	*g = (struct gone){.fd = fd, .packets = json_object_get(one, "packets"), .ours = ours};
	if (!s->waiting)
		s->waiting = g_hash_table_new_full(NULL, NULL, NULL, gone_free);
	g_hash_table_insert(s->waiting, GUINT_TO_POINTER(id), g);
}

int unix_waiting_connect(struct restore *r, struct usock *u,
			 int (*connect_client)(struct restore *, struct usock *, struct usock *))
{
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(u->x, "waiting"), i, one)
	{
		uint32_t ino = (uint32_t)json_integer_value(json_object_get(one, "client"));
		struct usock *c = unix_find(r, ino);
		int ret;

		if (json_is_null(one))
			continue;
		if (ino && (!c || c->peer || c->e->peer != u->e->ino))
			return err_set(EBADMSG, "client %u of unix socket %u", ino, u->e->ino);
		if (c) {
			c->waited = true;
			ret = connect_client(r, c, u);
			if (json_object_get(one, "packets"))
				remember(r, one, c->fd, false);
		} else {
			struct sock_maker m = sock_maker(r, json_object_get(one, "cred"));
			int fd;

			m.net = u->e->has_ns_id ? u->e->ns_id : 0;
			ret = sock_make(&m, AF_UNIX, (int)u->e->type, 0, &fd);
			if (ret < 0)
				return ret;
			remember(r, one, fd, true);
			ret = unix_connect_by(r, &m, fd, u);
		}
		if (ret < 0)
			return ret;
	}
	return 0;
}

bool unix_waiting_sender(struct restore *r, uint32_t id, int *ret_fd, json_t **ret_packet)
{
	struct gone *g = r->socks->waiting
				 ? g_hash_table_lookup(r->socks->waiting, GUINT_TO_POINTER(id))
				 : NULL;

	if (!g)
		return false;
	*ret_fd = g->fd;
	*ret_packet = json_array_get(g->packets, g->next++);
	return true;
}
