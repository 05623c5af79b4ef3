/* SPDX-License-Identifier: Apache-2.0 */
/* What is queued in unix sockets that are made again, their options, and their ends. */
#include "state/sock/unix_names.h"
#include "state/sock/unix_restore.h"

#include <errno.h>
#include <string.h>

#define QUEUE_ROOM (512 << 20) /* beyond whatever is queued, with its overhead */
#define SCM_MAX	   253	       /* SCM_MAX_FD */

static size_t from_hex(const char *s, char *buf, size_t max)
{
	size_t n = 0;

	for (; s && n < max && g_ascii_isxdigit(s[0]) && g_ascii_isxdigit(s[1]); s += 2)
		buf[n++] = (char)(g_ascii_xdigit_value(s[0]) << 4 | g_ascii_xdigit_value(s[1]));
	return n;
}

/* Who sends U its packet, and whether it has to say where to. */
struct sender {
	int fd;
	const struct usock *to; /* NULL: it is connected */
	int dead;		/* is FD, if it lives for this packet only */
};

static struct usock *find_name(struct restore *r, const char *name, size_t len)
{
	GHashTableIter it;
	struct usock *u;

	g_hash_table_iter_init(&it, r->socks->all);
	while (g_hash_table_iter_next(&it, NULL, (void **)&u))
		if (u->e->type == SOCK_DGRAM && u->fd >= 0 && u->e->name.len == len &&
		    memcmp(u->e->name.data, name, len) == 0)
			return u;
	return NULL;
}

/*
 * The peer, or whoever had the name that the packet came from: a reader is told the name that the
 * sender has when it reads (unix_copy_addr()).
 */
static int sender(struct restore *r, struct usock *u, json_t *packet, struct sender *ret)
{
	const char *hex = json_string_value(json_object_get(packet, "from"));
	char name[sizeof(struct sockaddr_un)];
	size_t len = from_hex(hex, name, sizeof(name));
	const struct usock *s = len ? find_name(r, name, len) : NULL;
	bool connected = s && s->e->peer == u->e->ino;
	bool reachable = u->e->name.len && !u->e->deleted && !u->peer;
	bool already = connected && !(s->late && reachable);
	int dead = -1, e = len && !s && reachable ? unix_dead_sender(r, u, name, len, &dead) : 0;

	if (dead >= 0)
		*ret = (struct sender){.fd = dead, .to = u, .dead = dead};
	else if (s && (connected || reachable))
		*ret = (struct sender){.fd = s->fd, .to = already ? NULL : u, .dead = -1};
	else
		*ret = (struct sender){.fd = u->peer	     ? u->peer->fd
					     : u->fed_by     ? u->fed_by->fd
					     : u->other >= 0 ? u->other
							     : u->feed,
				       .dead = -1};
	return e < 0 ? e : 0;
}

static void put_control(struct msghdr *m, int type, const void *data, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)((char *)m->msg_control + m->msg_controllen);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	m->msg_controllen += CMSG_SPACE(len);
}

static void put_cred(struct restore *r, json_t *packet, struct msghdr *m)
{
	json_t *cred = json_object_get(packet, "cred");
	struct sock_maker maker = sock_maker(r, cred);
	struct ucred u;

	if (json_array_size(cred) != 3)
		return;
	u = (struct ucred){.pid = rtask_pid(maker.task), .uid = maker.uid, .gid = maker.gid};
	put_control(m, SCM_CREDENTIALS, &u, sizeof(u));
}

static int put_rights(struct restore *r, const struct sock_packet *k, struct msghdr *m)
{
	g_autofree int *fds = g_new(int, k->nrights + 1);

	for (unsigned i = 0; i < k->nrights; i++) {
		struct file *f;
		int ret = restore_file(r, k->rights[i], &f);

		if (ret == 0 && f->fd < 0)
			ret = err_set(EBADMSG, "it is not open");
		if (ret < 0)
			return err_wrap(ret, "file %u, which is on its way", k->rights[i]);
		fds[i] = f->fd;
	}
	if (k->nrights)
		put_control(m, SCM_RIGHTS, fds, k->nrights * sizeof(int));
	return 0;
}

static int send_packet(struct restore *r, const struct sender *s, const struct sock_packet *k,
		       json_t *packet)
{
	_Alignas(struct cmsghdr) char
		control[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(SCM_MAX * sizeof(int))] = {0};
	struct iovec iov = {.iov_base = k->data, .iov_len = k->len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control};
	const char *urgent = json_string_value(json_object_get(packet, "urgent"));
	int room = QUEUE_ROOM, fd = s->fd, ret = 0;
	autoclose int hold = -1;
	struct sockaddr_un to;
	ssize_t n;

	if (fd < 0)
		return err_set(EBADMSG, "nobody can have sent a packet to unix socket file %u",
			       k->id);
	if (s->to) {
		ret = unix_name_reach(r, s->to->e, &to, &m.msg_namelen, &hold);
		m.msg_name = &to;
	}
	put_cred(r, packet, &m);
	if (ret == 0)
		ret = put_rights(r, k, &m);
	if (ret < 0)
		return err_wrap(ret, "queue of unix socket file %u", k->id);
	if (!m.msg_controllen)
		m.msg_control = NULL;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	if (urgent && !k->len)
		iov.iov_len = 1; /* whatever it was: k->data has room for it */
	n = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL | (urgent ? MSG_OOB : 0));
	if (n != (ssize_t)iov.iov_len)
		return n < 0 ? err_errno("queue of unix socket file %u", k->id)
			     : err_set(EIO, "queue of unix socket file %u takes %zd of %u bytes",
				       k->id, n, k->len);
	return 0;
}

/* It was received: what remains is where it was (manage_oob()). */
static int take_urgent(const struct usock *u)
{
	char byte;

	if (recv(u->fd, &byte, 1, MSG_OOB | MSG_DONTWAIT) != 1)
		return err_errno("urgent byte of unix socket %u", u->e->ino);
	return 0;
}

struct usock *unix_receiver(struct restore *r, uint32_t id)
{
	struct file *f = g_hash_table_lookup(r->files, GUINT_TO_POINTER(id));

	return f && f->kind == &fd_unix ? unix_find(r, f->entry->usk->ino) : NULL;
}

int unix_fill(struct restore *r)
{
	const GPtrArray *queue = r->socks->queue;
	g_autoptr(GHashTable) counts = g_hash_table_new(NULL, NULL);

	for (unsigned i = 0; i < queue->len; i++) {
		const struct sock_packet *k = g_ptr_array_index(queue, i);
		struct usock *u = unix_receiver(r, k->id);
		struct sender s = {.dead = -1};
		json_t *packet;
		int ret = 0;
		unsigned n;

		if (u && u->inherited) /* another one, whose peer sends for itself */
			continue;
		if (u) {
			n = GPOINTER_TO_UINT(g_hash_table_lookup(counts, u));
			g_hash_table_insert(counts, u, GUINT_TO_POINTER(n + 1));
			packet = json_array_get(json_object_get(u->x, "packets"), n);
			ret = sender(r, u, packet, &s);
		} else if (!unix_waiting_sender(r, k->id, &s.fd, &packet)) {
			continue; /* another family's */
		}
		if (ret == 0)
			ret = send_packet(r, &s, k, packet);
		if (ret == 0 && u && !k->len && json_object_get(packet, "urgent"))
			ret = take_urgent(u);
		cleanup_close(&s.dead);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Who receives credentials must say so before they are sent. */
int unix_pass_credentials(struct restore *r, struct usock *u)
{
	const SkOptsEntry *o = u->e->opts;

	if (u->fd < 0) /* external */
		return 0;
	return o->has_so_passcred && o->so_passcred
		       ? sock_set_int(u->fd, SOL_SOCKET, SO_PASSCRED, 1)
		       : 0;
}

int unix_options(struct restore *r, struct usock *u)
{
	json_t *off = json_object_get(u->x, "peek_off");
	int ret = u->fd < 0 ? 0 : sock_options_restore(u->fd, u->e->opts);

	if (ret == 0 && u->fd >= 0)
		ret = sock_more_restore(u->fd, u->x);
	if (ret == 0 && off)
		ret = sock_set_int(u->fd, SOL_SOCKET, SO_PEEK_OFF, (int)json_integer_value(off));
	return ret < 0 ? err_wrap(ret, "unix socket %u", u->e->ino) : 0;
}

int unix_shut(struct restore *r, struct usock *u)
{
	if (u->inherited)
		return 0;
	if (u->other >= 0) {
		/* who closes with something unread resets the other */
		if (json_object_get(u->x, "reset") &&
		    send(u->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return err_errno("reset of unix socket %u", u->e->ino);
		close(take_fd(&u->other));
	} else if (u->e->has_shutdown && u->e->shutdown &&
		   shutdown(u->fd, (int)u->e->shutdown - 1) < 0 && errno != ENOTCONN) {
		return err_errno("shutdown of unix socket %u", u->e->ino);
	}
	return 0;
}
