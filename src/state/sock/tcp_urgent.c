/* SPDX-License-Identifier: Apache-2.0 */
#include "state/sock/tcp_urgent.h"

#include "kernel/peek.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define KEY	    "urgent"
#define PATIENCE_MS 2000
#define FAR	    65535 /* an urgent pointer's reach */

/* net/tcp.h: TCP_URG_VALID, TCP_URG_NOTYET, TCP_URG_READ */
static const struct {
	uint16_t bit;
	const char *name;
} kinds[] = {
	[TCP_URGENT_TO_COME] = {0x0200, "comes"},
	[TCP_URGENT_WAITS] = {0x0100, "waits"},
	[TCP_URGENT_READ] = {0x0400, "read"},
};

/* tcp_recv_urg(): EINVAL when there is none, it was read, or is in line; EAGAIN: still to come */
static bool shows(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLPRI};
	char byte;

	return (poll(&p, 1, 0) == 1 && p.revents & POLLPRI) ||
	       recv(fd, &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) >= 0 || errno == EAGAIN;
}

/* Something is in a queue, so that a place in it may be urgent. */
static bool has_queue(int fd, const struct diag_tcp *t)
{
	int in = 0, out = 0;

	ioctl(fd, SIOCINQ, &in);
	ioctl(fd, SIOCOUTQ, &out);
	return in || out || (t && t->rqueue);
}

int tcp_urgent_peek(struct peek *k, uint64_t sk, struct tcp_urgent *u)
{
	uint32_t urgent, copied, up, first;
	uint16_t data;
	uint64_t at;
	const struct {
		const char *field;
		uint32_t *to;
	} parts[] = {{"urg_seq", &urgent},
		     {"copied_seq", &copied},
		     {"snd_up", &up},
		     {"snd_una", &first}};
	int r = peek_at(k, sk, "tcp_sock", "urg_data", &at);

	if (r == 0)
		r = peek_read(k, at, &data, sizeof(data));
	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(parts); i++)
		r = peek_u32(k, sk, "tcp_sock", parts[i].field, parts[i].to);
	if (r < 0)
		return r;
	if ((int32_t)(urgent - copied) >= 0) /* reading forgets what is behind it */
		for (unsigned i = TCP_URGENT_TO_COME; i < ARRAY_SIZE(kinds); i++)
			if (data & kinds[i].bit)
				u->in = i;
	u->in_at = urgent - copied;
	u->out_end = (int32_t)(up - first) > 0 ? up - first : 0; /* tcp_urg_mode() */
	return 0;
}

int tcp_urgent_read(struct dump *d, const struct sock_view *s, struct tcp_urgent *ret)
{
	const struct diag_tcp *t = socks_tcp(d, s->ino);
	bool is = shows(s->fd);
	struct peek *k;
	uint64_t sk;
	int r;

	*ret = (struct tcp_urgent){0};
	if (!is && !has_queue(s->fd, t))
		return 0;
	r = dump_peek(d, &k) ? peek_sock(k, s->fd, &sk) : -EOPNOTSUPP;
	if (r == 0)
		r = tcp_urgent_peek(k, sk, ret);
	if (r != -EOPNOTSUPP)
		return r;
	err_clear(); /* another kernel's */
	*ret = (struct tcp_urgent){0};
	return is ? err_set(EAGAIN,
			    "urgent data (MSG_OOB) wait in it, and this kernel does not let its "
			    "memory be read; try again when the program has read them")
		  : 0;
}

int tcp_urgent_check(struct dump *d, const struct sock_view *s, const char *name)
{
	struct tcp_urgent u;
	int r = tcp_urgent_read(d, s, &u);

	return r < 0 ? err_wrap(r, "%s: the TCP connection %s", s->v->link, name) : 0;
}

void tcp_urgent_dump(const struct tcp_urgent *u, json_t *x)
{
	json_t *j;

	if (!u->in && !u->out_end)
		return;
	json_object_set_new(x, KEY, j = json_object());
	if (u->in)
		json_object_set_new(j, "in",
				    json_pack("[I,s]", (json_int_t)u->in_at, kinds[u->in].name));
	if (u->out_end)
		json_object_set_new(j, "out", json_integer(u->out_end));
}

int tcp_urgent_load(const json_t *x, uint32_t in_len, struct tcp_urgent *ret)
{
	const json_t *j = json_object_get(x, KEY), *in = json_object_get(j, "in");
	const char *name = json_string_value(json_array_get(in, 1));

	*ret = (struct tcp_urgent){
		.in_at = (uint32_t)json_integer_value(json_array_get(in, 0)),
		.in_len = in_len,
		.out_end = (uint32_t)json_integer_value(json_object_get(j, "out")),
	};
	for (unsigned i = TCP_URGENT_TO_COME; in && i < ARRAY_SIZE(kinds); i++)
		if (name && !strcmp(name, kinds[i].name))
			ret->in = i;
	return in && (!ret->in || (ret->in == TCP_URGENT_TO_COME) != (ret->in_at >= in_len))
		       ? err_set(EBADMSG, IMAGE_EXTRA ": urgent data of a TCP socket")
		       : 0;
}

/* In line nothing is received apart: tcp_recv_urg() */
static int apart(int fd, int flags)
{
	int was, off = 0, r;
	char byte;

	if (!sock_get_int(fd, SOL_SOCKET, SO_OOBINLINE, &was) ||
	    setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &off, sizeof(off)) < 0)
		return err_errno("SO_OOBINLINE");
	r = recv(fd, &byte, 1, MSG_OOB | MSG_DONTWAIT | flags) < 0 ? -errno : 0;
	if (setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &was, sizeof(was)) < 0)
		return err_errno("SO_OOBINLINE");
	return r;
}

static int wait_for(int fd, int want)
{
	const struct timespec ms = {.tv_nsec = 1000000};

	for (int i = 0; i < PATIENCE_MS; i++) {
		if (apart(fd, MSG_PEEK) == want)
			return 0;
		nanosleep(&ms, NULL); /* the loopback's queue is another task's */
	}
	return err_set(EIO, "its urgent data do not arrive; does a firewall drop packets of the "
			    "loopback device?");
}

int tcp_urgent_receive(struct restore *r, int fd, const struct tcp_urgent *u, struct tcp_segment *s,
		       uint8_t byte)
{
	bool comes = u->in == TCP_URGENT_TO_COME;
	int ret;

	s->flags = TH_ACK | TH_URG;
	s->urgent = 1; /* the byte behind it, as the BSDs have it: tcp_check_urg() */
	if (comes && u->in_at - u->in_len >= FAR)
		return err_set(EBADMSG, IMAGE_EXTRA ": urgent data of a TCP socket");
	if (comes) {
		s->urgent = (uint16_t)(u->in_at - u->in_len + 1);
	} else {
		s->data = &byte;
		s->data_len = 1;
	}
	ret = tcp_segment_send(r, s);
	if (ret == 0)
		ret = wait_for(fd, comes ? -EAGAIN : 0);
	if (ret < 0 || u->in != TCP_URGENT_READ)
		return ret;
	return apart(fd, 0) < 0 ? err_errno("receive urgent data") : 0;
}
