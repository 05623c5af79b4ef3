/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All TCP connections of a tree: the network is locked for them before the first is read, and
 * after the last one is there again.  A socket that is closed in TCP_REPAIR says nothing to its
 * peer (tcp_close()).
 */
#include "state/sock/inet.h"
#include "state/sock/netlock.h"
#include "state/sock/socks.h"
#include "state/sock/tcp_unaccepted.h"

#include "base/log.h"
#include "kernel/ns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct conns_dump {
	GArray *list;  /* struct diag_tcp: those of the tree */
	GArray *ports; /* uint16_t: where it listens, */
	bool held;     /* and others may not connect now */
	GArray *fds;
	struct netlock *lock;
	bool own_net; /* nobody else's ports are in there */
	bool all;     /* what outlives us is for all packets */
	char *left;   /* the table that outlives us */
	uint32_t streams;
};

/* What nobody has accepted yet; a request is shown as SYN-RECV (inet_req_diag_fill()). */
#define NEWCOMERS (1 << TCP_SYN_RECV | 1 << TCP_ESTABLISHED | 1 << TCP_CLOSE_WAIT)
/* A client that has not answered within this time is given up. */
#define HANDSHAKE_US 400000

static int list_tcp(struct dump *d, GArray *all)
{
	int r = socks_look(d);

	g_array_set_size(all, 0);
	if (r == 0)
		r = socks_list_tcp(d, AF_INET, all);
	return r < 0 ? r : socks_list_tcp(d, AF_INET6, all);
}

static bool has_port(const struct conns_dump *c, uint16_t port)
{
	for (unsigned i = 0; i < c->ports->len; i++)
		if (g_array_index(c->ports, uint16_t, i) == port)
			return true;
	return false;
}

/* Nobody has them open: a request (SYN-RECV), or what waits to be accepted. */
static bool is_newcomer(const struct conns_dump *c, const struct diag_tcp *t)
{
	return !t->ino && 1 << t->state & NEWCOMERS && has_port(c, t->sport);
}

/* Those that could not be saved.  Of what waits, only one that is there is worth asking. */
static bool has_newcomers(struct dump *d, const GArray *all)
{
	for (unsigned i = 0; i < all->len; i++) {
		const struct diag_tcp *t = &g_array_index(all, struct diag_tcp, i);

		if (is_newcomer(d->conns, t) &&
		    (t->state == TCP_SYN_RECV || d->o.skip_in_flight || !tcp_unaccepted_can(d)))
			return true;
	}
	return false;
}

static void find_ports(const struct dump *d, const GArray *all)
{
	const struct conns_dump *c = d->conns;

	for (unsigned i = 0; i < all->len; i++) {
		const struct diag_tcp *t = &g_array_index(all, struct diag_tcp, i);

		if (t->state == TCP_LISTEN && socks_has(d, t->ino) && !has_port(c, t->sport))
			g_array_append_val(c->ports, t->sport);
	}
}

static bool has_own_net(const struct dump *d)
{
	autoclose int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint64_t ours = 0;

	return ns_id(self, NS_NET, &ours) == 0 && ours != d->ns[NS_NET];
}

static struct conns_dump *conns_new(struct dump *d)
{
	struct conns_dump *c = d->conns = g_new0(struct conns_dump, 1);

	c->list = g_array_new(FALSE, FALSE, sizeof(struct diag_tcp));
	c->ports = g_array_new(FALSE, FALSE, sizeof(uint16_t));
	c->fds = g_array_new(FALSE, FALSE, sizeof(int));
	c->own_net = has_own_net(d);
	return c;
}

static bool keeps_connections(const struct dump *d)
{
	return d->o.tcp_established && !d->o.tcp_close;
}

int socks_hold_newcomers(struct dump *d)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct diag_tcp));
	const int64_t end = g_get_monotonic_time() + HANDSHAKE_US;
	struct conns_dump *c;
	int r;

	if (!keeps_connections(d) || d->o.leave_running || d->o.no_netlock)
		return 0;
	c = conns_new(d);
	r = list_tcp(d, all);
	if (r == 0)
		find_ports(d, all);
	if (r < 0 || !c->ports->len)
		return r;
	c->held = true;
	r = netlock_take(dump_task(d, 0)->proc.dir, &(struct netlock_what){.ports = c->ports},
			 &c->lock);
	for (unsigned us = 1000; r == 0; us = MIN(us * 2, 10000)) {
		r = list_tcp(d, all);
		if (r < 0 || !has_newcomers(d, all) || g_get_monotonic_time() > end)
			break;
		g_usleep(us);
	}
	return r;
}

/* Those who are dropped hear of it; a request of a tree that goes on is nobody's business. */
static bool is_kept(const struct dump *d, const struct diag_tcp *t)
{
	return t->state == TCP_SYN_RECV ? d->conns->held : !d->o.skip_in_flight;
}

int socks_lock(struct dump *d)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct diag_tcp));
	struct conns_dump *c = d->conns;
	int r;

	if (!keeps_connections(d))
		return 0;
	r = list_tcp(d, all);
	if (r < 0)
		return r;
	c = c ?: conns_new(d);
	find_ports(d, all);
	for (unsigned i = 0; i < all->len; i++) {
		const struct diag_tcp *t = &g_array_index(all, struct diag_tcp, i);

		if ((tcp_is_connection(t) && socks_has(d, t->ino)) ||
		    (is_newcomer(c, t) && is_kept(d, t)))
			g_array_append_vals(c->list, t, 1);
	}
	c->all = d->o.lock_net && c->own_net && !d->o.leave_running;
	if ((!c->list->len && !c->held && !c->all) || d->o.no_netlock)
		return 0;
	r = netlock_take(dump_task(d, 0)->proc.dir,
			 &(struct netlock_what){c->list, c->held ? c->ports : NULL, c->all},
			 &c->lock);
	if (r < 0 && !c->list->len && !c->held) { /* others' packets only */
		log_warn("%s", err_message());
		err_clear();
		return 0;
	}
	c->left = netlock_left_name();
	json_object_set_new(d->extra, "netlock", json_string(c->left));
	return r;
}

bool socks_locked(const struct dump *d, const struct diag_tcp *t)
{
	for (unsigned i = 0; i < d->conns->list->len; i++) {
		const struct diag_tcp *o = &g_array_index(d->conns->list, struct diag_tcp, i);

		if (o->sport == t->sport && o->dport == t->dport && o->family == t->family &&
		    !memcmp(o->src, t->src, sizeof(o->src)) &&
		    !memcmp(o->dst, t->dst, sizeof(o->dst)))
			return true;
	}
	return false;
}

uint32_t socks_stream_id(struct dump *d)
{
	uint32_t *n = &d->conns->streams;

	while (socks_has(d, ++*n))
		;
	return *n;
}

static void add_all(GHashTable *map, const GArray *all)
{
	for (unsigned i = 0; i < all->len; i++) {
		const struct diag_tcp *t = &g_array_index(all, struct diag_tcp, i);

		if (t->ino)
			g_hash_table_insert(map, GUINT_TO_POINTER(t->ino),
					    g_memdup2(t, sizeof(*t)));
	}
}

const struct diag_tcp *socks_tcp(struct dump *d, uint32_t ino)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct diag_tcp));
	struct socks_dump *s = d->socks;

	/* asked when the network is locked already: what it says of queues stays true */
	if (!s->tcp) {
		s->tcp = g_hash_table_new_full(NULL, NULL, NULL, g_free);
		if (socks_list_tcp(d, AF_INET, all) < 0 || socks_list_tcp(d, AF_INET6, all) < 0)
			err_clear();
		add_all(s->tcp, all);
	}
	return g_hash_table_lookup(s->tcp, GUINT_TO_POINTER(ino));
}

int socks_keep(struct dump *d, int fd)
{
	int mine = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (mine < 0)
		return err_errno("dup");
	g_array_append_val(d->conns->fds, mine);
	return 0;
}

static int leave_lock(struct dump *d, const struct conns_dump *c)
{
	const struct netlock_what what = {c->list, c->own_net && c->held ? c->ports : NULL, c->all};
	autoclose int ns = -1;
	int r = ns_open(dump_task(d, 0)->proc.dir, NS_NET, &ns);

	return r < 0 ? r : netlock_leave(ns, &what, c->left);
}

int socks_silence(struct dump *d)
{
	struct conns_dump *c = d->conns;
	int r = 0;

	if (c && c->left)
		r = leave_lock(d, c);
	for (unsigned i = 0; r == 0 && c && i < c->fds->len; i++)
		r = sock_set_int(g_array_index(c->fds, int, i), IPPROTO_TCP, TCP_REPAIR,
				 TCP_REPAIR_ON);
	return r;
}

void socks_unlock(struct dump *d)
{
	struct conns_dump *c = g_steal_pointer(&d->conns);

	if (!c)
		return;
	for (unsigned i = 0; i < c->fds->len; i++)
		close(g_array_index(c->fds, int, i));
	netlock_drop(&c->lock);
	g_free(c->left);
	g_array_unref(c->fds);
	g_array_unref(c->ports);
	g_array_unref(c->list);
	g_free(c);
}
