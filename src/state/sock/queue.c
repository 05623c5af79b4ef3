/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits to be read from a unix socket.  MSG_PEEK with SO_PEEK_OFF (socket(7)) walks over it
 * and leaves it there.  Packets of CRIU's sk-queues.img have no place for senders' names and
 * credentials: those are in IMAGE_EXTRA.  Descriptors that come with one are ids of files.
 */
#include "state/ns/ns.h"
#include "state/sock/unix_memory.h"

#include "state/fd/files.h"

#include "image/sk-packet.pb-c.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#define PACKET_FIRST (256u << 10)
#define PACKET_MAX   (256u << 20)
#define SCM_MAX	     253 /* SCM_MAX_FD */
#ifndef SCM_PIDFD
#define SCM_PIDFD 4
#endif

void sock_hex(json_t *o, const char *key, const void *data, size_t len)
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
		if (dump_task(d, i)->pid == pid)
			return dump_task(d, i)->nspid;
	return 0;
}

/* One message, as it was peeked at. */
struct peeked {
	size_t len;
	json_t *about; /* sender's name and credentials */
	int fds[SCM_MAX];
	unsigned nfds;
};

static void close_fds(struct peeked *p)
{
	for (unsigned i = 0; i < p->nfds; i++)
		close(p->fds[i]);
	p->nfds = 0;
}

/* SO_PASSPIDFD adds a pidfd of its own, which is made again when it is read. */
static void read_controls(struct dump *d, struct msghdr *m, struct peeked *p)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		struct ucred u;

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			p->nfds = (unsigned)MIN(n, SCM_MAX);
			memcpy(p->fds, CMSG_DATA(c), p->nfds * sizeof(int));
		} else if (c->cmsg_type == SCM_PIDFD) {
			int fd;

			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
			close(fd);
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&u, CMSG_DATA(c), sizeof(u));
			json_object_set_new(p->about, "cred",
					    json_pack("[i,I,I]", nspid_of(d, u.pid),
						      (json_int_t)u.uid, (json_int_t)u.gid));
		}
	}
}

/* Its peer has closed with something unread: ECONNRESET, once (unix_release_sock()). */
static bool was_reset(const struct sock_view *s)
{
	struct pollfd p = {.fd = s->fd};

	return poll(&p, 1, 0) == 1 && p.revents & POLLERR;
}

/*
 * Is nothing at AT the end, or an empty packet?  With SOCK_SEQPACKET both are read as 0 bytes
 * (unix_dgram_recvmsg()); the end is there only when the peer sends no more, and behind all bytes.
 */
static bool is_end(const struct sock_view *s, const struct peeked *p, size_t at)
{
	struct pollfd q = {.fd = s->fd, .events = POLLRDHUP};
	int bytes = 0;

	if (s->type == SOCK_DGRAM || p->nfds)
		return false;
	if (s->type == SOCK_STREAM)
		return true;
	if (json_object_get(p->about, "cred"))
		return false;
	return poll(&q, 1, 0) > 0 && q.revents & (POLLRDHUP | POLLHUP) &&
	       (ioctl(s->fd, SIOCINQ, &bytes) < 0 || at >= (size_t)bytes);
}

/* At AT of the queue, up to MAX bytes.  1: nothing more. */
static int peek_once(struct dump *d, const struct sock_view *s, GByteArray *buf, size_t max,
		     struct peeked *p, size_t at)
{
	_Alignas(struct cmsghdr) char
		control[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(SCM_MAX * sizeof(int)) + 256];
	struct sockaddr_un from;
	struct iovec iov = {.iov_base = buf->data, .iov_len = max};
	struct msghdr m = {.msg_name = &from,
			   .msg_namelen = sizeof(from),
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	int flags = MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC |
		    (s->type == SOCK_STREAM ? 0 : MSG_TRUNC);
	ssize_t n;
	int r = sock_set_int(s->fd, SOL_SOCKET, SO_PEEK_OFF, (int)at);

	if (r < 0)
		return r;
	n = recvmsg(s->fd, &m, flags);
	if (n < 0 && errno == ECONNRESET) /* of packets it comes first: __skb_try_recv_datagram() */
		n = recvmsg(s->fd, &m, flags);
	if (n < 0) /* EINVAL: a stream that was never connected; ENOTCONN: so are packets */
		return errno == EAGAIN || errno == EINVAL || errno == ENOTCONN
			       ? 1
			       : err_errno("read its queue");
	read_controls(d, &m, p);
	if (m.msg_flags & MSG_CTRUNC)
		return err_set(EMFILE, "descriptors on their way in it do not fit into our table");
	if (n == 0 && is_end(s, p, at))
		return 1;
	if (s->type == SOCK_DGRAM && m.msg_namelen > sizeof(sa_family_t))
		sock_hex(p->about, "from", from.sun_path, m.msg_namelen - sizeof(sa_family_t));
	p->len = (size_t)n;
	return 0;
}

/*
 * 1: nothing more.  BUF grows with a packet that does not fit.  Of a stream, bytes that were sent
 * before those that descriptors came with are read together with them, and nothing shows where
 * they begin (unix_stream_read_generic() goes on to the next with descriptors whatever the size).
 */
static int peek(struct dump *d, const struct sock_view *s, GByteArray *buf, size_t at,
		struct peeked *p)
{
	int r = peek_once(d, s, buf, buf->len, p, at);

	if (r == 0 && p->len > buf->len) {
		close_fds(p);
		if (p->len > PACKET_MAX)
			return err_set(EFBIG, "a packet of %zu bytes", p->len);
		g_byte_array_set_size(buf, (guint)p->len);
		r = peek_once(d, s, buf, buf->len, p, at);
	}
	return r;
}

int sock_queue_add(struct dump *d, uint32_t id, const void *data, size_t len)
{
	SkPacketEntry e = SK_PACKET_ENTRY__INIT;
	int r;

	e.id_for = id;
	e.length = (uint32_t)len;
	r = image_write(&d->w, IMG_SK_QUEUES, 0, &e.base);
	return r < 0 ? r : image_write_raw(&d->w, IMG_SK_QUEUES, 0, data, len);
}

static int write_packet(struct dump *d, uint32_t id, const struct peeked *p, const uint8_t *data,
			const uint32_t *rights)
{
	SkPacketEntry e = SK_PACKET_ENTRY__INIT;
	ScmEntry scm = SCM_ENTRY__INIT, *list[] = {&scm};
	int r;

	e.id_for = id;
	e.length = (uint32_t)p->len;
	if (p->nfds) {
		scm.type = SCM_RIGHTS;
		scm.n_rights = p->nfds;
		scm.rights = (uint32_t *)rights;
		e.n_scm = 1;
		e.scm = list;
	}
	r = image_write(&d->w, IMG_SK_QUEUES, 0, &e.base);
	return r < 0 ? r : image_write_raw(&d->w, IMG_SK_QUEUES, 0, data, p->len);
}

static int dump_packet(struct dump *d, uint32_t id, struct peeked *p, const uint8_t *data)
{
	g_autofree uint32_t *rights = g_new0(uint32_t, p->nfds + 1);
	int r = 0;

	for (unsigned i = 0; i < p->nfds; i++)
		if (r == 0)
			r = files_dump_flight(d, p->fds[i], &rights[i]);
		else
			close(p->fds[i]);
	return r < 0 ? r : write_packet(d, id, p, data, rights);
}

int sock_queue_walk(struct dump *d, const struct sock_view *s, uint32_t id, json_t *packets)
{
	g_autoptr(GByteArray) buf = g_byte_array_new();
	int end = INT_MAX, r = unix_urgent_dump(d, s, id, packets);
	size_t at = 0;

	if (r == 1 && ((s->type == SOCK_SEQPACKET && was_reset(s)) || unix_has_empty(d, s)))
		r = unix_packets_dump(d, s, id, packets);
	if (r != 1)
		return r;
	r = 0;
	/* of a stream it comes last, to whoever looks there */
	if (s->type == SOCK_STREAM && was_reset(s) && ioctl(s->fd, SIOCINQ, &end) < 0)
		return err_errno("bytes of a unix socket");
	g_byte_array_set_size(buf, PACKET_FIRST);
	while (r == 0 && at < (size_t)end) {
		struct peeked p = {.about = json_object()};

		json_array_append_new(packets, p.about);
		r = peek(d, s, buf, at, &p);
		if (r != 0) {
			close_fds(&p);
			break;
		}
		r = dump_packet(d, id, &p, buf->data);
		at += p.len;
	}
	return r < 0 ? r : 0;
}

int sock_queue_dump(struct dump *d, const struct sock_view *s, uint32_t id, json_t *x)
{
	json_t *packets = json_array();
	int was, r;

	if (!sock_get_int(s->fd, SOL_SOCKET, SO_PEEK_OFF, &was))
		was = -1;
	if (s->type != SOCK_DGRAM && was_reset(s))
		json_object_set_new(x, "reset", json_true());
	r = sock_queue_walk(d, s, id, packets);
	if (setsockopt(s->fd, SOL_SOCKET, SO_PEEK_OFF, &was, sizeof(was)) < 0 && r == 0)
		r = err_errno("SO_PEEK_OFF");
	json_object_set_new(x, "packets", packets);
	return r;
}

static void packet_free(void *p)
{
	struct sock_packet *k = p;

	g_free(k->rights);
	g_free(k->data);
	g_free(k);
}

static int load_rights(const SkPacketEntry *e, struct sock_packet *k)
{
	for (size_t i = 0; i < e->n_scm; i++) {
		const ScmEntry *c = e->scm[i];

		if (c->type != SCM_RIGHTS || k->rights || c->n_rights > SCM_MAX)
			return err_set(EOPNOTSUPP,
				       "sk-queues.img: a message of type %u to file %u cannot be "
				       "sent again",
				       c->type, e->id_for);
		k->nrights = (unsigned)c->n_rights;
		k->rights = g_memdup2(c->rights, c->n_rights * sizeof(uint32_t));
	}
	return 0;
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
		k = g_new0(struct sock_packet, 1);
		k->id = e->id_for;
		k->len = e->length;
		k->data = g_malloc(e->length + 1);
		k->data[e->length] = 0;
		g_ptr_array_add(all, k);
		e_ = load_rights(e, k);
		if (e_ == 0)
			e_ = image_read_raw(img, k->data, k->len);
	}
	if (e_ < 0)
		return e_;
	*ret = g_steal_pointer(&all);
	return 0;
}
