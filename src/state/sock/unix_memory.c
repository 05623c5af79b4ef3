/* SPDX-License-Identifier: Apache-2.0 */
#include "state/sock/unix_memory.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

int unix_memory_cred(const struct unix_memory *m, struct peek *k, uint64_t pid_at, uint64_t uid_at,
		     uint64_t gid_at, json_t **ret)
{
	uint32_t uid, gid;
	pid_t pid;
	int r = peek_pid(k, pid_at, &pid);

	if (r == 0)
		r = peek_read(k, uid_at, &uid, sizeof(uid));
	if (r == 0)
		r = peek_read(k, gid_at, &gid, sizeof(gid));
	if (r == 0)
		*ret = unix_cred(m->d, pid, uid, gid);
	return r;
}

/* Who sends it, if the message has that (UNIXCB()). */
static int packet_cred(struct peek *k, const struct unix_memory *m, uint64_t cb, json_t *about)
{
	uint64_t pid, uid, gid;
	json_t *cred = NULL;
	int r = peek_u64(k, cb, "unix_skb_parms", "pid", &pid);

	if (r < 0 || !pid)
		return r;
	r = peek_at(k, cb, "unix_skb_parms", "uid", &uid);
	if (r == 0)
		r = peek_at(k, cb, "unix_skb_parms", "gid", &gid);
	if (r == 0)
		r = unix_memory_cred(m, k, pid, uid, gid, &cred);
	if (r == 0)
		json_object_set_new(about, "cred", cred);
	return r;
}

/* unix_copy_addr(): the name that it has by now. */
static int packet_name(struct peek *k, uint64_t skb, json_t *about)
{
	struct sockaddr_un name;
	uint64_t sk, addr, at;
	uint32_t len;
	int r = peek_u64(k, skb, "sk_buff", "sk", &sk);

	if (r < 0 || !sk)
		return r;
	r = peek_u64(k, sk, "unix_sock", "addr", &addr);
	if (r < 0 || !addr)
		return r;
	r = peek_u32(k, addr, "unix_address", "len", &len);
	if (r == 0)
		r = peek_at(k, addr, "unix_address", "name", &at);
	if (r < 0 || len <= sizeof(sa_family_t) || len > sizeof(name))
		return r;
	r = peek_read(k, at, &name, len);
	if (r == 0)
		sock_hex(about, "from", name.sun_path, len - sizeof(sa_family_t));
	return r;
}

/* unix_skb_len(): of a stream what was read of it stays in front. */
static int add_data(struct peek *k, const struct unix_memory *m, uint64_t skb, uint32_t consumed)
{
	g_autoptr(GByteArray) data = g_byte_array_new();
	int r = peek_skb_data(k, skb, data);

	if (r < 0)
		return r;
	g_byte_array_remove_range(data, 0, MIN(consumed, data->len));
	return sock_queue_add(m->d, m->id, data->data, data->len);
}

static int add_packet(struct peek *k, uint64_t skb, void *arg)
{
	struct unix_memory *m = arg;
	json_t *about = json_object();
	uint32_t len, consumed = 0;
	uint64_t cb, rights;
	int r = peek_at(k, skb, "sk_buff", "cb", &cb);

	json_array_append_new(m->packets, about);
	if (r == 0)
		r = peek_u64(k, cb, "unix_skb_parms", "fp", &rights);
	if (r == 0)
		r = peek_u32(k, skb, "sk_buff", "len", &len);
	if (r == 0 && m->stream)
		r = peek_u32(k, cb, "unix_skb_parms", "consumed", &consumed);
	if (r < 0)
		return r;
	m->rights |= rights != 0;
	m->empty |= !len;
	if (skb == m->oob)
		json_object_set_new(about, "urgent", json_string("waits"));
	else if (m->stream && consumed >= len)
		json_object_set_new(about, "urgent", json_string("read"));
	m->urgent |= json_object_get(about, "urgent") != NULL;
	if (m->only_look)
		return 0;
	r = packet_cred(k, m, cb, about);
	if (r == 0 && m->names)
		r = packet_name(k, skb, about);
	return r < 0 ? r : add_data(k, m, skb, consumed);
}

int unix_memory_queue(struct unix_memory *m, struct peek *k, uint64_t sk)
{
	uint64_t queue;
	int r = m->stream ? peek_u64(k, sk, "unix_sock", "oob_skb", &m->oob) : 0;

	if (r == -EOPNOTSUPP) { /* without CONFIG_AF_UNIX_OOB */
		err_clear();
		r = 0;
	}
	if (r == 0)
		r = peek_at(k, sk, "sock", "sk_receive_queue", &queue);
	return r < 0 ? r : peek_skbs(k, queue, add_packet, m);
}

/* Something can be read, if only the place of what was urgent. */
static bool has_queue(const struct sock_view *s, bool *ret_urgent)
{
	struct pollfd p = {.fd = s->fd, .events = POLLIN | POLLPRI};
	int at_mark = 0;

	if (s->type != SOCK_STREAM || poll(&p, 1, 0) != 1 || !(p.revents & (POLLIN | POLLPRI)))
		return false;
	*ret_urgent = p.revents & POLLPRI || (ioctl(s->fd, SIOCATMARK, &at_mark) == 0 && at_mark);
	return true;
}

static int refuse(const char *why)
{
	return err_set(EOPNOTSUPP,
		       "urgent data (MSG_OOB) wait in it, %s; try again when the program has read "
		       "them",
		       why);
}

/* 1: nothing is urgent. */
static int look(struct dump *d, const struct sock_view *s, struct peek **ret, uint64_t *ret_sk)
{
	struct unix_memory m = {.d = d, .stream = true, .only_look = true};
	int listens = 0, r;
	bool urgent;

	if ((sock_get_int(s->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens) && listens) ||
	    !has_queue(s, &urgent))
		return 1;
	if (!dump_peek(d, ret))
		return urgent ? refuse("and this kernel does not let its memory be read") : 1;
	m.packets = json_array();
	r = peek_sock(*ret, s->fd, ret_sk);
	if (r == 0)
		r = unix_memory_queue(&m, *ret, *ret_sk);
	json_decref(m.packets);
	if (r == -EOPNOTSUPP || r == -EFAULT || r == -ELOOP) {
		err_clear(); /* another kernel's; somebody outside changes it while we look */
		return urgent ? refuse("and where cannot be read from this kernel's memory") : 1;
	}
	if (r == 0 && m.urgent && m.rights)
		return refuse("and descriptors (SCM_RIGHTS)");
	return r < 0 ? r : !m.urgent;
}

/* 1: it cannot be had, or not whole. */
static int look_at_packets(struct dump *d, const struct sock_view *s, struct unix_memory *m,
			   struct peek **ret, uint64_t *ret_sk)
{
	int r = dump_peek(d, ret) ? peek_sock(*ret, s->fd, ret_sk) : 1;

	*m = (struct unix_memory){
		.d = d, .names = s->type == SOCK_DGRAM, .packets = json_array(), .only_look = true};
	if (r == 0)
		r = unix_memory_queue(m, *ret, *ret_sk);
	json_decref(m->packets);
	if (r < 0)
		err_clear(); /* another kernel's */
	return r != 0 || m->rights;
}

bool unix_has_empty(struct dump *d, const struct sock_view *s)
{
	struct pollfd p = {.fd = s->fd, .events = POLLIN};
	struct unix_memory m;
	struct peek *k;
	uint64_t sk;
	int listens = 0;

	if (s->type == SOCK_STREAM || poll(&p, 1, 0) != 1 || !(p.revents & POLLIN) ||
	    (sock_get_int(s->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens) && listens))
		return false;
	return look_at_packets(d, s, &m, &k, &sk) == 0 && m.empty;
}

int unix_packets_dump(struct dump *d, const struct sock_view *s, uint32_t id, json_t *packets)
{
	struct unix_memory m;
	struct peek *k;
	uint64_t sk;

	if (look_at_packets(d, s, &m, &k, &sk) == 1)
		return 1;
	m.id = id;
	m.packets = packets;
	m.only_look = false;
	return unix_memory_queue(&m, k, sk);
}

int unix_urgent_check(struct dump *d, const struct sock_view *s)
{
	struct peek *k;
	uint64_t sk;
	int r = look(d, s, &k, &sk);

	return MIN(r, 0);
}

int unix_urgent_dump(struct dump *d, const struct sock_view *s, uint32_t id, json_t *packets)
{
	struct unix_memory m = {.d = d, .id = id, .packets = packets, .stream = true};
	struct peek *k;
	uint64_t sk;
	int r = look(d, s, &k, &sk);

	return r != 0 ? r : unix_memory_queue(&m, k, sk);
}
