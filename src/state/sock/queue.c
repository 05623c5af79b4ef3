/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits to be read from a unix socket.  MSG_PEEK with SO_PEEK_OFF (socket(7)) walks over it
 * and leaves it there.  Packets of CRIU's sk-queues.img have no place for senders' names and
 * credentials: those are in IMAGE_EXTRA.
 */
#include "state/ns/ns.h"
#include "state/sock/sock.h"

#include "image/sk-packet.pb-c.h"

#include <errno.h>
#include <string.h>

#define PACKET_FIRST (256u << 10)
#define PACKET_MAX   (256u << 20)

static void add_hex(json_t *o, const char *key, const void *data, size_t len)
{
	g_autoptr(GString) s = g_string_new(NULL);

	for (size_t i = 0; i < len; i++)
		g_string_append_printf(s, "%02x", ((const uint8_t *)data)[i]);
	json_object_set_new(o, key, json_string(s->str));
}

/* As the container numbers it. */
static pid_t nspid_of(const struct dump *d, pid_t pid)
{
	for (unsigned i = 0; i < d->tasks->len; i++)
		if (dump_task(d, i)->proc.pid == pid)
			return dump_task(d, i)->nspid;
	return 0;
}

static int read_controls(struct dump *d, struct msghdr *m, json_t *one)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		struct ucred u;

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

			for (size_t i = 0; i < n; i++) {
				int fd;

				memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
				close(fd);
			}
			return err_set(EOPNOTSUPP, "descriptors are on their way in it");
		}
		if (c->cmsg_type != SCM_CREDENTIALS)
			continue;
		memcpy(&u, CMSG_DATA(c), sizeof(u));
		json_object_set_new(one, "cred",
				    json_pack("[i,I,I]", nspid_of(d, u.pid),
					      (json_int_t)users_uid(d, u.uid),
					      (json_int_t)users_gid(d, u.gid)));
	}
	return 0;
}

/* 1: nothing more.  BUF grows with a packet that does not fit. */
static int peek(struct dump *d, const struct sock_view *s, GByteArray *buf, size_t at, json_t *one,
		size_t *ret_len)
{
	char control[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(253 * sizeof(int)) + 256];
	struct sockaddr_un from;

	for (;;) {
		struct iovec iov = {.iov_base = buf->data, .iov_len = buf->len};
		struct msghdr m = {.msg_name = &from,
				   .msg_namelen = sizeof(from),
				   .msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = control,
				   .msg_controllen = sizeof(control)};
		int flags = MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC |
			    (s->type == SOCK_STREAM ? 0 : MSG_TRUNC);
		ssize_t n = recvmsg(s->fd, &m, flags);
		int r;

		if (n < 0)
			return errno == EAGAIN ? 1 : err_errno("read its queue");
		r = read_controls(d, &m, one);
		if (r < 0)
			return r;
		if (n == 0 && s->type != SOCK_DGRAM)
			return 1; /* the end */
		if ((size_t)n <= buf->len) {
			if (s->type == SOCK_DGRAM && m.msg_namelen > sizeof(sa_family_t))
				add_hex(one, "from", from.sun_path,
					m.msg_namelen - sizeof(sa_family_t));
			*ret_len = (size_t)n;
			return 0;
		}
		if ((size_t)n > PACKET_MAX)
			return err_set(EFBIG, "a packet of %zd bytes", n);
		g_byte_array_set_size(buf, (guint)n);
		r = sock_set_int(s->fd, SOL_SOCKET, SO_PEEK_OFF, (int)at);
		if (r < 0)
			return r;
	}
}

static int walk(struct dump *d, const struct sock_view *s, uint32_t id, json_t *packets)
{
	g_autoptr(GByteArray) buf = g_byte_array_new();
	size_t at = 0, len;
	int r;

	g_byte_array_set_size(buf, PACKET_FIRST);
	for (;;) {
		SkPacketEntry e = SK_PACKET_ENTRY__INIT;
		json_t *one = json_object();

		json_array_append_new(packets, one);
		r = peek(d, s, buf, at, one, &len);
		if (r != 0)
			return r < 0 ? r : 0;
		e.id_for = id;
		e.length = (uint32_t)len;
		r = image_write(&d->w, IMG_SK_QUEUES, 0, &e.base);
		if (r == 0)
			r = image_write_raw(&d->w, IMG_SK_QUEUES, 0, buf->data, len);
		if (r < 0)
			return r;
		at += len;
	}
}

int sock_queue_dump(struct dump *d, const struct sock_view *s, uint32_t id, json_t *x)
{
	json_t *packets = json_array();
	int was, r;

	if (!sock_get_int(s->fd, SOL_SOCKET, SO_PEEK_OFF, &was))
		was = -1;
	r = sock_set_int(s->fd, SOL_SOCKET, SO_PEEK_OFF, 0);
	if (r == 0)
		r = walk(d, s, id, packets);
	if (setsockopt(s->fd, SOL_SOCKET, SO_PEEK_OFF, &was, sizeof(was)) < 0 && r == 0)
		r = err_errno("SO_PEEK_OFF");
	if (was >= 0)
		json_object_set_new(x, "peek_off", json_integer(was));
	json_object_set_new(x, "packets", packets);
	return r;
}

static void packet_free(void *p)
{
	struct sock_packet *k = p;

	g_free(k->data);
	g_free(k);
}

int sock_queues_load(struct restore *r, GPtrArray **ret)
{
	CLEANUP(image_close) struct image *img = NULL;
	CLEANUP(image_record_free) SkPacketEntry *e = NULL;
	g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(packet_free);
	int e_ = image_open(r->o.images, IMG_SK_QUEUES, 0, &img);

	if (e_ < 0)
		return e_;
	while (e_ == 0 && (e_ = image_read(img, &e)) == 0) {
		struct sock_packet *k;

		if (e->length > PACKET_MAX || e->length > image_rest(img))
			return err_set(EBADMSG, "%s: a packet of %u bytes", img->name, e->length);
		if (e->n_scm)
			return err_set(EOPNOTSUPP,
				       "%s: descriptors on their way to file %u cannot be restored",
				       img->name, e->id_for);
		k = g_new0(struct sock_packet, 1);
		k->id = e->id_for;
		k->len = e->length;
		k->data = g_malloc(e->length + 1);
		g_ptr_array_add(all, k);
		e_ = image_read_raw(img, k->data, k->len);
	}
	if (e_ < 0)
		return e_;
	*ret = g_steal_pointer(&all);
	return 0;
}
