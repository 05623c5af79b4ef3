/* SPDX-License-Identifier: Apache-2.0 */
/* Options of every socket: socket(7), net/core/sock.c sk_getsockopt(). */
#include "state/sock/sock.h"

#include "base/log.h"

#include <errno.h>
#include <linux/filter.h>
#include <net/if.h>
#include <string.h>
#include <sys/time.h>

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

bool sock_get_int(int fd, int level, int name, int *ret)
{
	socklen_t len = sizeof(*ret);

	*ret = 0;
	return getsockopt(fd, level, name, ret, &len) == 0;
}

int sock_set_int(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		return err_errno("socket option %d/%d to %d", level, name, value);
	return 0;
}

/* Options that are an int of which CRIU's record keeps a bool or a number. */
static const struct int_option {
	int name;
	size_t has, at;
	bool is_bool;
} ints[] = {
#define FIELD(o, f, b)                                                                             \
	{                                                                                          \
		o, offsetof(SkOptsEntry, has_##f), offsetof(SkOptsEntry, f), b                     \
	}
	FIELD(SO_REUSEADDR, reuseaddr, true),	 FIELD(SO_PRIORITY, so_priority, false),
	FIELD(SO_RCVLOWAT, so_rcvlowat, false),	 FIELD(SO_MARK, so_mark, false),
	FIELD(SO_PASSCRED, so_passcred, true),	 FIELD(SO_PASSSEC, so_passsec, true),
	FIELD(SO_DONTROUTE, so_dontroute, true), FIELD(SO_NO_CHECK, so_no_check, true),
	FIELD(SO_REUSEPORT, so_reuseport, true), FIELD(SO_BROADCAST, so_broadcast, true),
	FIELD(SO_KEEPALIVE, so_keepalive, true), FIELD(SO_OOBINLINE, so_oobinline, false),
	FIELD(SO_BUF_LOCK, so_buf_lock, false),
#undef FIELD
};

static protobuf_c_boolean *flag_at(const SkOptsEntry *e, size_t at)
{
	return (protobuf_c_boolean *)((char *)e + at);
}

static uint32_t *number_at(const SkOptsEntry *e, size_t at)
{
	return (uint32_t *)((char *)e + at);
}

static int dump_filter(int fd, SkOptsEntry *e)
{
	g_autofree struct sock_filter *v = NULL;
	socklen_t n = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &n) < 0)
		return errno == EACCES ? err_set(EOPNOTSUPP, "its filter is eBPF, which cannot be "
							     "read")
				       : 0;
	if (n == 0)
		return 0;
	v = g_new0(struct sock_filter, n);
	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, v, &n) < 0)
		return err_errno("its filter");
	e->n_so_filter = n;
	e->so_filter = g_new(uint64_t, n);
	for (unsigned i = 0; i < n; i++)
		e->so_filter[i] = (uint64_t)v[i].code << 48 | (uint64_t)v[i].jt << 40 |
				  (uint64_t)v[i].jf << 32 | v[i].k;
	return 0;
}

int sock_options_check(const struct sock_view *s)
{
	socklen_t n = 0;

	/* sk_get_filter() */
	if (getsockopt(s->fd, SOL_SOCKET, SO_GET_FILTER, NULL, &n) < 0 && errno == EACCES)
		return err_set(EOPNOTSUPP,
			       "%s: its filter (SO_ATTACH_BPF) is an eBPF program, which cannot be "
			       "read; detach it first",
			       s->v->link);
	return 0;
}

static void dump_timeout(int fd, int name, uint64_t *sec, uint64_t *usec)
{
	struct timeval t = {0};
	socklen_t len = sizeof(t);

	getsockopt(fd, SOL_SOCKET, name, &t, &len);
	*sec = (uint64_t)t.tv_sec;
	*usec = (uint64_t)t.tv_usec;
}

int sock_options_dump(const struct sock_view *s, SkOptsEntry **ret)
{
	SkOptsEntry *e = *ret = g_new0(SkOptsEntry, 1);
	struct linger linger = {0};
	socklen_t len = sizeof(linger);
	char dev[IFNAMSIZ] = "";
	int v;

	sk_opts_entry__init(e);
	sock_get_int(s->fd, SOL_SOCKET, SO_SNDBUF, &v);
	e->so_sndbuf = (uint32_t)v;
	sock_get_int(s->fd, SOL_SOCKET, SO_RCVBUF, &v);
	e->so_rcvbuf = (uint32_t)v;
	dump_timeout(s->fd, SO_SNDTIMEO, &e->so_snd_tmo_sec, &e->so_snd_tmo_usec);
	dump_timeout(s->fd, SO_RCVTIMEO, &e->so_rcv_tmo_sec, &e->so_rcv_tmo_usec);
	for (unsigned i = 0; i < ARRAY_SIZE(ints); i++) {
		if (!sock_get_int(s->fd, SOL_SOCKET, ints[i].name, &v))
			continue;
		*flag_at(e, ints[i].has) = true;
		if (ints[i].is_bool)
			*flag_at(e, ints[i].at) = v != 0;
		else
			*number_at(e, ints[i].at) = (uint32_t)v;
	}
	if (getsockopt(s->fd, SOL_SOCKET, SO_LINGER, &linger, &len) == 0 && linger.l_onoff) {
		e->has_so_linger = true;
		e->so_linger = (uint32_t)linger.l_linger;
	}
	len = sizeof(dev);
	if (getsockopt(s->fd, SOL_SOCKET, SO_BINDTODEVICE, dev, &len) == 0 && len > 0 && dev[0])
		e->so_bound_dev = g_strndup(dev, sizeof(dev));
	return dump_filter(s->fd, e);
}

/*
 * The kernel doubles what it is told (socket(7)).  Setting a size locks it; the lock itself
 * (SO_BUF_LOCK, Linux 5.15) comes after it.
 */
static int restore_buffer(int fd, int name, int force, uint32_t want)
{
	int have;

	if (!sock_get_int(fd, SOL_SOCKET, name, &have) || (uint32_t)have == want)
		return 0;
	return sock_set_int(fd, SOL_SOCKET, force, (int)(want / 2));
}

static int restore_filter(int fd, const SkOptsEntry *e)
{
	g_autofree struct sock_filter *v = NULL;
	struct sock_fprog p;

	if (e->n_so_filter == 0)
		return 0;
	if (e->n_so_filter > BPF_MAXINSNS)
		return err_set(EBADMSG, "a filter of %zu instructions", e->n_so_filter);
	v = g_new0(struct sock_filter, e->n_so_filter);
	for (size_t i = 0; i < e->n_so_filter; i++)
		v[i] = (struct sock_filter){.code = (uint16_t)(e->so_filter[i] >> 48),
					    .jt = (uint8_t)(e->so_filter[i] >> 40),
					    .jf = (uint8_t)(e->so_filter[i] >> 32),
					    .k = (uint32_t)e->so_filter[i]};
	p = (struct sock_fprog){.len = (unsigned short)e->n_so_filter, .filter = v};
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)) < 0)
		return err_errno("socket filter");
	return 0;
}

static int restore_timeout(int fd, int name, uint64_t sec, uint64_t usec)
{
	struct timeval t = {.tv_sec = (time_t)sec, .tv_usec = (suseconds_t)usec};

	if ((sec || usec) && setsockopt(fd, SOL_SOCKET, name, &t, sizeof(t)) < 0)
		return err_errno("socket timeout of %" PRIu64 " s", sec);
	return 0;
}

static int restore_ints(int fd, const SkOptsEntry *e)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ints); i++) {
		int have, want, r;

		if (!*flag_at(e, ints[i].has))
			continue;
		want = ints[i].is_bool ? *flag_at(e, ints[i].at) : (int)*number_at(e, ints[i].at);
		if (sock_get_int(fd, SOL_SOCKET, ints[i].name, &have) && have == want)
			continue;
		r = sock_set_int(fd, SOL_SOCKET, ints[i].name, want);
		if (r < 0)
			return r;
	}
	return 0;
}

int sock_options_restore(int fd, const SkOptsEntry *e)
{
	struct linger linger = {.l_onoff = 1, .l_linger = (int)e->so_linger};
	int r = restore_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE, e->so_sndbuf);

	if (r == 0)
		r = restore_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, e->so_rcvbuf);
	if (r == 0)
		r = restore_timeout(fd, SO_SNDTIMEO, e->so_snd_tmo_sec, e->so_snd_tmo_usec);
	if (r == 0)
		r = restore_timeout(fd, SO_RCVTIMEO, e->so_rcv_tmo_sec, e->so_rcv_tmo_usec);
	if (r == 0)
		r = restore_ints(fd, e);
	if (r == 0)
		r = restore_filter(fd, e);
	if (r < 0)
		return r;
	if (e->has_so_linger && setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
		return err_errno("SO_LINGER");
	if (e->so_bound_dev && e->so_bound_dev[0] &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, e->so_bound_dev,
		       (socklen_t)strlen(e->so_bound_dev)) < 0)
		return err_errno("bind a socket to device %s", e->so_bound_dev);
	return 0;
}

/*
 * Beyond CRIU's record: numbers of include/uapi/asm-generic/socket.h, in the order in which they
 * are set.  Not here: what is only read (SO_ERROR, SO_PEER*, SO_MEMINFO, SO_COOKIE, ...), what the
 * record has, and what cannot be read (SO_CNX_ADVICE, SO_DETACH_*; SO_ATTACH_REUSEPORT_*:
 * reuseport.c).
 */
static const struct {
	int name, usual; /* of a new socket: not recorded */
} more[] = {
	{SO_DEBUG, 0},
	{SO_TIMESTAMP, 0},
	{SO_TIMESTAMPNS, 0},
	/* one flag tells all that are new: sock_set_timestamp() */
	{63 /* SO_TIMESTAMP_NEW */, 0},
	{64 /* SO_TIMESTAMPNS_NEW */, 0},
	{SO_TIMESTAMPING, 0},
	{65 /* SO_TIMESTAMPING_NEW */, 0},
	{SO_RXQ_OVFL, 0},
	{SO_WIFI_STATUS, 0},
	{SO_NOFCS, 0},
	{SO_SELECT_ERR_QUEUE, 0},
	{SO_ZEROCOPY, 0},
	{SO_BUSY_POLL, 0},
	{SO_INCOMING_CPU, -1},
	{SO_MAX_PACING_RATE, -1},
	{69 /* SO_PREFER_BUSY_POLL */, 0},
	{70 /* SO_BUSY_POLL_BUDGET */, 0},
	{73 /* SO_RESERVE_MEM */, 0},
	{74 /* SO_TXREHASH */, 1},
	{75 /* SO_RCVMARK */, 0},
	{76 /* SO_PASSPIDFD */, 0},
	{82 /* SO_RCVPRIORITY */, 0},
	{83 /* SO_PASSRIGHTS */, 1},
	{84 /* SO_INQ */, 0},
	{SO_LOCK_FILTER, 0},
};

void sock_more_dump(const struct sock_view *s, json_t *x)
{
	json_t *all = json_array();
	int txtime[2]; /* struct sock_txtime: clock, flags */
	socklen_t len = sizeof(txtime);
	int v;

	for (unsigned i = 0; i < ARRAY_SIZE(more); i++)
		if (sock_get_int(s->fd, SOL_SOCKET, more[i].name, &v) && v != more[i].usual)
			json_array_append_new(all, json_pack("[i,i]", more[i].name, v));
	if (json_array_size(all))
		json_object_set(x, "more", all);
	json_decref(all);
	if (getsockopt(s->fd, SOL_SOCKET, SO_TXTIME, txtime, &len) == 0 && (txtime[0] || txtime[1]))
		json_object_set_new(x, "txtime", json_pack("[i,i]", txtime[0], txtime[1]));
}

/* What this kernel has in another way, or not here, is no reason to lose the rest. */
int sock_set_again(int fd, int level, int name, int value)
{
	int r = sock_set_int(fd, level, name, value);

	if (r == -EINVAL || r == -ENOPROTOOPT || r == -EOPNOTSUPP || r == -ENODEV ||
	    r == -EADDRNOTAVAIL) {
		log_warn("%s", err_message());
		err_clear();
		r = 0;
	}
	return r;
}

int sock_more_restore(int fd, const json_t *x)
{
	const json_t *time = json_object_get(x, "txtime");
	int txtime[2] = {(int)json_integer_value(json_array_get(time, 0)),
			 (int)json_integer_value(json_array_get(time, 1))};
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(x, "more"), i, one)
	{
		int name = (int)json_integer_value(json_array_get(one, 0)), have, r = 0;
		int want = (int)json_integer_value(json_array_get(one, 1));

		if (sock_get_int(fd, SOL_SOCKET, name, &have) && have == want)
			continue;
		for (unsigned k = 0; r == 0 && k < ARRAY_SIZE(more); k++)
			if (more[k].name == name)
				r = sock_set_again(fd, SOL_SOCKET, name, want);
		if (r < 0)
			return r;
	}
	if (time && setsockopt(fd, SOL_SOCKET, SO_TXTIME, txtime, sizeof(txtime)) < 0)
		return err_errno("SO_TXTIME");
	return 0;
}
