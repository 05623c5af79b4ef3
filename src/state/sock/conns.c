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

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct conns_dump {
	GArray *list; /* struct diag_tcp: those of the tree */
	GArray *fds;
	struct netlock *lock;
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

	if (!d->o.tcp_established)
		return 0;
	r = socks_look(d);
	if (r == 0)
		r = diag_tcp(d->socks->diag, AF_INET, all);
	if (r == 0)
		r = diag_tcp(d->socks->diag, AF_INET6, all);
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
	return c->list->len ? netlock_take(dump_task(d, 0)->proc.dir, c->list, &c->lock) : 0;
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

	if (c && c->list->len)
		r = netlock_leave(dump_task(d, 0)->proc.dir, c->list);
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

	if (e->type != SOCK_STREAM || !is_connection(&t) || e->n_src_addr < at + words ||
	    e->n_dst_addr < at + words)
		return;
	memcpy(t.src, e->src_addr + at, words * 4);
	memcpy(t.dst, e->dst_addr + at, words * 4);
	g_array_append_val(list, t);
}

int socks_lock_restore(struct restore *r)
{
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct diag_tcp));
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	GHashTableIter it;
	struct file *f;
	int ret;

	g_hash_table_iter_init(&it, r->files);
	while (g_hash_table_iter_next(&it, NULL, (void **)&f))
		if (f->kind == &fd_inet)
			add_file(list, f->entry->isk);
	if (!list->len)
		return 0;
	r->tcp = g_array_new(FALSE, FALSE, sizeof(struct tcp_kept));
	ret = proc_open(r->stub.pid, &p);
	if (ret == 0)
		ret = netlock_take(p.dir, list, &r->netlock);
	return ret;
}

/* Nothing here can undo the restore any more. */
static void go(const struct tcp_kept *k)
{
	int off = TCP_REPAIR_OFF;

	if (setsockopt(k->fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)) < 0 ||
	    setsockopt(k->fd, SOL_SOCKET, SO_REUSEADDR, &k->reuse, sizeof(k->reuse)) < 0)
		log_warn("a TCP connection does not go on: %s", strerror(errno));
	else if (k->unsent_len && send(k->fd, k->unsent, k->unsent_len,
				       MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)k->unsent_len)
		log_warn("a TCP connection has lost some of %zu bytes", k->unsent_len);
	else if (k->fin && shutdown(k->fd, SHUT_WR) < 0)
		log_warn("a TCP connection is not half closed again: %s", strerror(errno));
}

void socks_go(struct restore *r)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;

	if (!r->netlock)
		return;
	/* what the dump has left keeps peers waiting as long as no restore has succeeded */
	if (proc_open(r->stub.pid, &p) == 0)
		netlock_forget(p.dir);
	else
		err_clear();
	netlock_drop(&r->netlock);
	for (unsigned i = 0; r->tcp && i < r->tcp->len; i++)
		go(&g_array_index(r->tcp, struct tcp_kept, i));
}

void socks_tcp_end(struct restore *r)
{
	for (unsigned i = 0; r->tcp && i < r->tcp->len; i++) {
		struct tcp_kept *k = &g_array_index(r->tcp, struct tcp_kept, i);

		close(k->fd);
		g_free(k->unsent);
	}
	g_clear_pointer(&r->tcp, g_array_unref);
	netlock_drop(&r->netlock);
}
