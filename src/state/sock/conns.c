/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All TCP connections of a tree: the network is locked for them before the first is read, and
 * after the last one is there again.  A socket that is closed in TCP_REPAIR says nothing to its
 * peer (tcp_close()).
 */
#include "state/sock/inet.h"
#include "state/sock/netlock.h"
#include "state/sock/socks.h"
#include "state/sock/tcp.h"

#include "base/log.h"
#include "kernel/ns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct conns_dump {
	GArray *list; /* struct diag_tcp: those of the tree */
	GArray *fds;
	struct netlock *lock;
	char *left; /* the table that outlives us */
};

struct conns_restore {
	GArray *kept; /* struct tcp_kept */
	struct netlock *lock;
	char *left;
	int raw[2]; /* IPv4, IPv6; -1 */
};

static bool is_connection(const struct diag_tcp *c)
{
	return c->state != TCP_LISTEN && c->state != TCP_CLOSE && c->state != TCP_TIME_WAIT;
}

int socks_lock(struct dump *d)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct diag_tcp));
	struct conns_dump *c;
	int r;

	if (!d->o.tcp_established || d->o.tcp_close)
		return 0;
	r = socks_look(d);
	if (r == 0)
		r = socks_list_tcp(d, AF_INET, all);
	if (r == 0)
		r = socks_list_tcp(d, AF_INET6, all);
	if (r < 0)
		return r;
	d->conns = c = g_new0(struct conns_dump, 1);
	c->list = g_array_new(FALSE, FALSE, sizeof(struct diag_tcp));
	c->fds = g_array_new(FALSE, FALSE, sizeof(int));
	for (unsigned i = 0; i < all->len; i++) {
		const struct diag_tcp *t = &g_array_index(all, struct diag_tcp, i);

		if (is_connection(t) && socks_has(d, t->ino))
			g_array_append_vals(c->list, t, 1);
	}
	if (!c->list->len || d->o.no_netlock)
		return 0;
	c->left = netlock_left_name();
	json_object_set_new(d->extra, "netlock", json_string(c->left));
	return netlock_take(dump_task(d, 0)->proc.dir, c->list, &c->lock);
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

int socks_silence(struct dump *d)
{
	struct conns_dump *c = d->conns;
	int r = 0;

	if (c && c->left)
		r = netlock_leave(dump_task(d, 0)->proc.dir, c->list, c->left);
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
	g_array_unref(c->list);
	g_free(c);
}

/* Restore. */

static bool unmap(const uint32_t *words, size_t n)
{
	return n == 4 && !words[0] && !words[1] && words[2] == htonl(0xffff);
}

static void add_file(GArray *list, const InetSkEntry *e)
{
	bool v4 = e->family == AF_INET || unmap(e->src_addr, e->n_src_addr);
	size_t at = v4 && e->family == AF_INET6 ? 3 : 0, words = v4 ? 1 : 4;
	struct diag_tcp t = {.family = v4 ? AF_INET : AF_INET6,
			     .state = (uint8_t)e->state,
			     .sport = (uint16_t)e->src_port,
			     .dport = (uint16_t)e->dst_port};

	if (e->type != SOCK_STREAM || (!is_connection(&t) && (t.state != TCP_CLOSE || !t.dport)) ||
	    e->n_src_addr < at + words || e->n_dst_addr < at + words)
		return;
	memcpy(t.src, e->src_addr + at, words * 4);
	memcpy(t.dst, e->dst_addr + at, words * 4);
	g_array_append_val(list, t);
}

int socks_lock_restore(struct restore *r)
{
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct diag_tcp));
	const char *left = json_string_value(json_object_get(r->extra, "netlock"));
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	struct conns_restore *c = r->conns = g_new0(struct conns_restore, 1);
	GHashTableIter it;
	struct file *f;
	int ret;

	c->kept = g_array_new(FALSE, FALSE, sizeof(struct tcp_kept));
	c->raw[0] = c->raw[1] = -1;
	c->left = g_strdup(netlock_is_left(left) ? left : NULL);
	g_hash_table_iter_init(&it, r->files);
	while (g_hash_table_iter_next(&it, NULL, (void **)&f))
		if (f->kind == &fd_inet)
			add_file(list, f->entry->isk);
	if (!list->len || r->o.tcp_close || r->o.no_netlock)
		return 0;
	ret = proc_open(r->stub.pid, &p);
	return ret < 0 ? ret : netlock_take(p.dir, list, &c->lock);
}

void socks_kept(struct restore *r, const struct tcp_kept *k)
{
	g_array_append_vals(r->conns->kept, k, 1);
}

static int open_raw(void *arg, int *ret_fd)
{
	int family = *(int *)arg, mark = NETLOCK_MARK;
	autoclose int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		return err_errno("raw socket");
	*ret_fd = take_fd(&fd);
	return 0;
}

int socks_raw(struct restore *r, int family, int *ret_fd)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int *raw = &r->conns->raw[family == AF_INET6], ret = 0;
	autoclose int ns = -1;

	if (*raw < 0) {
		ret = proc_open(r->stub.pid, &p);
		if (ret == 0)
			ret = ns_open(p.dir, NS_NET, &ns);
		if (ret == 0)
			ret = ns_run(&ns, 1, open_raw, &family, raw);
	}
	*ret_fd = *raw;
	return ret;
}

/* Nothing here can undo the restore any more. */
static void go(const struct tcp_kept *k)
{
	int off = TCP_REPAIR_OFF, one = 1, nodelay;

	/* off sends a window probe, if it is established: tcp_send_window_probe() */
	if (setsockopt(k->fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)) < 0 ||
	    setsockopt(k->fd, SOL_SOCKET, SO_REUSEADDR, &k->reuse, sizeof(k->reuse)) < 0)
		log_warn("a TCP connection does not go on: %s", strerror(errno));
	/* what could not be sent is sent now: __tcp_sock_set_nodelay() */
	sock_get_int(k->fd, IPPROTO_TCP, TCP_NODELAY, &nodelay);
	setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, sizeof(nodelay));
}

void socks_go(struct restore *r)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	struct conns_restore *c = r->conns;
	autoclose int ns = -1;

	if (!c)
		return;
	/* what the dump has left keeps peers waiting as long as no restore has succeeded */
	if (c->left && proc_open(r->stub.pid, &p) == 0 && ns_open(p.dir, NS_NET, &ns) == 0)
		netlock_forget(ns, c->left);
	else
		err_clear();
	netlock_drop(&c->lock);
	for (unsigned i = 0; i < c->kept->len; i++)
		go(&g_array_index(c->kept, struct tcp_kept, i));
}

void socks_tcp_end(struct restore *r)
{
	struct conns_restore *c = g_steal_pointer(&r->conns);

	for (unsigned i = 0; c && i < c->kept->len; i++)
		close(g_array_index(c->kept, struct tcp_kept, i).fd);
	if (!c)
		return;
	netlock_drop(&c->lock);
	cleanup_close(&c->raw[0]);
	cleanup_close(&c->raw[1]);
	g_array_unref(c->kept);
	g_free(c->left);
	g_free(c);
}

void socks_forget(const json_t *extra, int ns)
{
	const char *left = json_string_value(json_object_get(extra, "netlock"));

	if (netlock_is_left(left))
		netlock_forget(ns, left);
}
