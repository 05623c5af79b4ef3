/* SPDX-License-Identifier: Apache-2.0 */
/* TCP connections of the tree that goes on: state/sock/conns.c. */
#include "state/ns/spaces.h"
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
#include <sys/stat.h>

struct conns_restore {
	GArray *kept; /* struct tcp_kept */
	struct netlock *lock;
	GArray *locked; /* struct diag_tcp: what it is for, */
	bool untracked;
	GPtrArray *inner; /* struct netlock: also in network namespaces inside */
	char *left;
	GHashTable *raws;   /* raw_key() -> descriptor + 1: socks_raw() */
	GHashTable *shared; /* port_key() of those with SO_REUSEPORT */
	bool listening, filled;
};

static void *port_key(const InetSkEntry *e)
{
	return GUINT_TO_POINTER(e->type << 16 | (e->src_port & 0xffff));
}

bool socks_shares_port(const struct restore *r, const InetSkEntry *e)
{
	return e->opts->has_so_reuseport && !e->opts->so_reuseport && e->src_port &&
	       g_hash_table_contains(r->conns->shared, port_key(e));
}

bool socks_listen_once(struct restore *r)
{
	bool first = !r->conns->listening;

	r->conns->listening = true;
	return first;
}

bool socks_fill_once(struct restore *r)
{
	bool first = !r->conns->filled;

	r->conns->filled = true;
	return first;
}

static const char *left_by(const json_t *extra)
{
	const char *left = json_string_value(json_object_get(extra, "netlock"));

	return netlock_is_left(left) ? left : NULL;
}

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

	if (e->type != SOCK_STREAM ||
	    (!tcp_is_connection(&t) && (t.state != TCP_CLOSE || !t.dport)) ||
	    e->n_src_addr < at + words || e->n_dst_addr < at + words)
		return;
	memcpy(t.src, e->src_addr + at, words * 4);
	memcpy(t.dst, e->dst_addr + at, words * 4);
	g_array_append_val(list, t);
}

int socks_lock_restore(struct restore *r)
{
	GArray *list = g_array_new(FALSE, FALSE, sizeof(struct diag_tcp));
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	struct conns_restore *c = r->conns = g_new0(struct conns_restore, 1);
	struct netlock_what what = {.connections = list};
	bool waiting = false, raws = false;
	GHashTableIter it;
	struct file *f;
	int ret;

	c->kept = g_array_new(FALSE, FALSE, sizeof(struct tcp_kept));
	c->locked = list;
	c->inner = g_ptr_array_new();
	c->raws = g_hash_table_new(NULL, NULL);
	c->shared = g_hash_table_new(NULL, NULL);
	c->left = g_strdup(left_by(r->extra));
	g_hash_table_iter_init(&it, r->files);
	while (g_hash_table_iter_next(&it, NULL, (void **)&f)) {
		const InetSkEntry *e = f->kind == &fd_inet ? f->entry->isk : NULL;

		if (e)
			add_file(list, e);
		if (e && e->state == TCP_LISTEN)
			waiting |= tcp_unaccepted_list(sock_extra(r, f->id), list);
		raws |= e && e->type != SOCK_STREAM && raw_waits(r, f);
		if (e && e->opts->so_reuseport && e->src_port)
			g_hash_table_add(c->shared, port_key(e));
	}
	if (r->o.tcp_close || (r->o.no_netlock && !waiting))
		waiting = false;
	if (r->o.tcp_close || r->o.no_netlock)
		g_array_set_size(list, 0);
	what.untracked = c->untracked = waiting || raws;
	if (!list->len && !what.untracked)
		return 0;
	ret = proc_open(r->stub.pid, &p);
	if (ret == 0)
		ret = netlock_take(p.dir, &what, &c->lock);
	if (ret < 0 && !list->len) { /* it only matters where there is NAT */
		log_warn("%s", err_message());
		err_clear();
		ret = 0;
	}
	return ret;
}

int socks_lock_inside(struct restore *r)
{
	struct conns_restore *c = r->conns;
	const struct netlock_what what = {.connections = c->locked, .untracked = c->untracked};
	int ret = 0;

	for (unsigned i = 0; c->lock && r->spaces && ret == 0 && i < r->spaces->len; i++) {
		const struct rspace *s = g_ptr_array_index(r->spaces, i);
		struct netlock *lock = NULL;

		if (s->kind != NS_NET || s->fd < 0 || s->external)
			continue;
		ret = netlock_take_in(s->fd, &what, &lock);
		if (ret == 0)
			g_ptr_array_add(c->inner, lock);
	}
	return ret < 0 ? err_wrap(ret, "a network namespace inside") : 0;
}

static void drop_locks(struct conns_restore *c)
{
	netlock_drop(&c->lock);
	for (unsigned i = 0; i < c->inner->len; i++)
		netlock_drop((struct netlock **)&c->inner->pdata[i]);
	g_ptr_array_set_size(c->inner, 0);
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

static void *raw_key(uint32_t net, int family)
{
	return GUINT_TO_POINTER(net << 1 | (family == AF_INET6));
}

int socks_raw(struct restore *r, uint32_t net, int family, int *ret_fd)
{
	GHashTable *raws = r->conns->raws;
	uint32_t id = spaces_is(r, NS_NET, net) ? net : 0;
	int ns, fd = GPOINTER_TO_INT(g_hash_table_lookup(raws, raw_key(id, family))) - 1;
	int ret = fd < 0 ? spaces_fd(r, NS_NET, id, &ns) : 0;

	if (ret == 0 && fd < 0) {
		ret = ns_run(&ns, 1, open_raw, &family, &fd);
		if (ret == 0)
			g_hash_table_insert(raws, raw_key(id, family), GINT_TO_POINTER(fd + 1));
	}
	*ret_fd = fd;
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

/* In our namespace others' may be; in a container's, a table for ports of another dump would stay.
 */
static void forget(int ns, const char *left)
{
	autoclose int self = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct stat a, b;

	if (self < 0 || fstat(self, &a) < 0 || fstat(ns, &b) < 0 || a.st_ino == b.st_ino) {
		if (left)
			netlock_forget(ns, left);
	} else {
		netlock_forget_all(ns);
	}
}

void socks_go(struct restore *r)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	struct conns_restore *c = r->conns;
	autoclose int ns = -1;

	if (!c)
		return;
	/* what dumps have left keeps peers waiting as long as no restore has succeeded */
	if (proc_open(r->stub.pid, &p) == 0 && ns_open(p.dir, NS_NET, &ns) == 0)
		forget(ns, c->left);
	else
		err_clear();
	drop_locks(c);
	for (unsigned i = 0; i < c->kept->len; i++)
		go(&g_array_index(c->kept, struct tcp_kept, i));
}

void socks_tcp_end(struct restore *r)
{
	struct conns_restore *c = g_steal_pointer(&r->conns);
	GHashTableIter it;
	void *raw;

	for (unsigned i = 0; c && i < c->kept->len; i++)
		close(g_array_index(c->kept, struct tcp_kept, i).fd);
	if (!c)
		return;
	drop_locks(c);
	g_hash_table_iter_init(&it, c->raws);
	while (g_hash_table_iter_next(&it, NULL, &raw))
		close(GPOINTER_TO_INT(raw) - 1);
	g_hash_table_unref(c->raws);
	g_array_unref(c->kept);
	g_array_unref(c->locked);
	g_ptr_array_unref(c->inner);
	g_hash_table_unref(c->shared);
	g_free(c->left);
	g_free(c);
}

void socks_forget(const json_t *extra, int ns)
{
	forget(ns, left_by(extra));
}

int socks_hold(const json_t *extra, int ns)
{
	const char *left = left_by(extra);

	return left ? netlock_leave(ns, NULL, left) : 0;
}
