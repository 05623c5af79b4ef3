/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that wait in a netlink(7) socket.  To receive, be it to peek, is to go on with an answer
 * of the kernel (netlink_recvmsg(), netlink_dump()), and shows the first one only: all are read
 * from the kernel's memory, which disturbs nobody.
 *
 *	who sent it		to whom		what becomes of it
 *	a program		one, many	it is sent again: netlink_refill.c
 *	the kernel: an event	many		it is lost, and the program is told that it has
 *						missed some (ENOBUFS), as it is whenever its queue
 *is full, and finds out by asking: netlink_overrun.c
 *	the kernel: an event	many		uevents can be made again, if nobody else hears them
 *	of a device (uevent)
 *	the kernel: a packet	one		likewise; there are many more of them
 *	(netlink_packets.c)
 *	the kernel: an answer	one		it will be read in a moment: -EAGAIN
 *
 * Nobody but the kernel sends with port 0 (netlink_autobind()), and who listens to it looks.
 */
#include "state/sock/netlink.h"

#include "base/log.h"
#include "kernel/peek.h"
#include "state/ns/ns.h"

#include <errno.h>
#include <poll.h>

#define PATIENCE_US 20000
#define NAP_US	    200

struct look {
	struct dump *d;
	const struct sock_view *s;
	uint32_t id;
	json_t *packets; /* NULL: only to look */
	unsigned lost;
};

static int number(struct peek *k, uint64_t cb, const char *field, uint32_t *ret)
{
	return peek_u32(k, cb, "netlink_skb_parms", field, ret);
}

/* Numbers as the sender had them: netlink does not translate (netlink_recvmsg()). */
static int read_about(struct peek *k, const struct look *l, uint64_t cb, uint32_t port,
		      uint32_t group)
{
	uint32_t pid, uid, gid;
	int r = number(k, cb, "creds.pid", &pid);

	if (r == 0)
		r = number(k, cb, "creds.uid", &uid);
	if (r == 0)
		r = number(k, cb, "creds.gid", &gid);
	if (r == 0)
		json_array_append_new(l->packets,
				      json_pack("{s:I,s:I,s:[I,I,I]}", "port", (json_int_t)port,
						"group", (json_int_t)group, "cred", (json_int_t)pid,
						(json_int_t)users_uid(l->d, uid),
						(json_int_t)users_gid(l->d, gid)));
	return r;
}

static int refuse(const struct sock_view *s, const char *what)
{
	return err_set(EAGAIN,
		       "%s: %s in this netlink socket (protocol %d); try again when the program "
		       "has read them",
		       s->v->link, what, s->protocol);
}

static int add(struct peek *k, uint64_t skb, void *arg)
{
	g_autoptr(GByteArray) data = g_byte_array_new();
	struct look *l = arg;
	uint32_t port = 0, group = 0;
	uint64_t cb;
	int r = peek_at(k, skb, "sk_buff", "cb", &cb);

	if (r == 0)
		r = number(k, cb, "portid", &port);
	if (r == 0)
		r = number(k, cb, "dst_group", &group);
	if (r < 0)
		return r;
	if (!port && !group && !netlink_is_packet(k, skb, l->s->protocol))
		return refuse(l->s, "answers of the kernel wait");
	if (!port && l->s->protocol != NETLINK_KOBJECT_UEVENT) {
		l->lost++;
		return 0;
	}
	if (!l->packets)
		return 0;
	r = peek_skb_data(k, skb, data);
	if (r == 0)
		r = read_about(k, l, cb, port, group);
	return r < 0 ? r : sock_queue_add(l->d, l->id, data->data, data->len);
}

/* Something waits, or it is to be told that something was lost. */
static bool has_something(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLIN | POLLERR);
}

static int look(struct look *l, uint32_t *ret_error)
{
	uint64_t sk, queue;
	struct peek *k;
	int r = 0;

	*ret_error = 0;
	if (!has_something(l->s->fd))
		return 0;
	if (!dump_peek(l->d, &k))
		return refuse(l->s,
			      "messages wait, which this kernel shows only to who takes them,");
	r = peek_sock(k, l->s->fd, &sk);
	if (r == 0)
		r = peek_u32(k, sk, "sock", "sk_err", ret_error);
	if (r == 0)
		r = peek_at(k, sk, "sock", "sk_receive_queue", &queue);
	if (r == 0)
		r = peek_skbs(k, queue, add, l);
	if (r == -EFAULT || r == -ELOOP) /* it is being read */
		return refuse(l->s, "messages come and go");
	return r;
}

/* Whoever talks to the kernel all the time has read it all now and then. */
int netlink_queue_check(const struct sock_view *s, struct dump *d)
{
	struct look l = {.d = d, .s = s};
	uint32_t error;
	int r = look(&l, &error);

	for (unsigned us = 0; r == -EAGAIN && us < PATIENCE_US; us += NAP_US) {
		err_clear();
		g_usleep(NAP_US);
		r = look(&l, &error);
	}
	return r;
}

int netlink_queue_dump(struct dump *d, const struct sock_view *s, uint32_t id, json_t *x)
{
	json_t *packets = json_array();
	struct look l = {.d = d, .s = s, .id = id, .packets = packets};
	uint32_t error;
	int r = look(&l, &error);

	if (json_array_size(packets))
		json_object_set(x, "packets", packets);
	json_decref(packets);
	if (r < 0)
		return r;
	if (l.lost)
		log_warn("%s: %u events of the kernel's that wait in this netlink socket (protocol "
			 "%d) cannot be saved: restored, the program is told that it has missed "
			 "some (ENOBUFS)",
			 s->v->link, l.lost, s->protocol);
	if (l.lost || error == ENOBUFS)
		json_object_set_new(x, "overrun", json_true());
	return 0;
}
