/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that share a port (SO_REUSEPORT).  Which of them gets a packet is told by a number, of a
 * program (SO_ATTACH_REUSEPORT_CBPF) or a hash: so they are bound, or listen, in the same order
 * again.  Neither the program nor the order can be asked for; they are read from the kernel's
 * memory (kernel/peek.h).  net/core/sock_reuseport.c: struct sock_reuseport;
 * include/linux/filter.h: bpf_prog_store_orig_filter()
 *
 * Beside the socket's record: {"reuseport": {"after": inode of the one before, "program":
 * [[code, jt, jf, k], ...]}}.
 */
#include "kernel/peek.h"
#include "state/sock/inet.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>

#define GROUP_MAX 65535
#define KEY	  "reuseport"

struct group {
	struct peek *k;
	uint64_t sk, at, program; /* 0: none */
};

/* 1: it is in none, or that is not seen here. */
static int find(struct dump *d, const struct sock_view *s, struct group *g)
{
	int shares, r;

	*g = (struct group){0};
	if (!sock_get_int(s->fd, SOL_SOCKET, SO_REUSEPORT, &shares) || !shares ||
	    !dump_peek(d, &g->k))
		return 1;
	r = peek_sock(g->k, s->fd, &g->sk);
	if (r == 0)
		r = peek_u64(g->k, g->sk, "sock", "sk_reuseport_cb", &g->at);
	g->at &= ~UINT64_C(3);
	if (r == 0 && g->at)
		r = peek_u64(g->k, g->at, "sock_reuseport", "prog", &g->program);
	return r < 0 ? r : !g->at;
}

static int read_program(const struct group *g, struct sock_filter **ret, uint16_t *ret_n)
{
	uint64_t original, filter, at;
	int r = peek_u64(g->k, g->program, "bpf_prog", "orig_prog", &original);

	if (r == 0 && !original)
		return err_set(EOPNOTSUPP,
			       "an eBPF program chooses among the sockets of its port "
			       "(SO_ATTACH_REUSEPORT_EBPF), which cannot be read; detach it first");
	if (r == 0)
		r = peek_at(g->k, original, "sock_fprog_kern", "len", &at);
	if (r == 0)
		r = peek_read(g->k, at, ret_n, sizeof(*ret_n));
	if (r == 0)
		r = peek_u64(g->k, original, "sock_fprog_kern", "filter", &filter);
	if (r < 0)
		return r;
	*ret = g_new0(struct sock_filter, *ret_n + 1u);
	return peek_read(g->k, filter, *ret, *ret_n * sizeof(**ret));
}

int reuseport_check(struct dump *d, const struct sock_view *s)
{
	g_autofree struct sock_filter *v = NULL;
	struct group g;
	uint16_t n;
	int r = find(d, s, &g);

	if (r == 0 && g.program)
		r = read_program(&g, &v, &n);
	return r < 0 ? err_wrap(r, "%s", s->v->link) : 0;
}

/* Of struct sock AT; 0: it is closed already. */
static int inode_of(struct peek *k, uint64_t at, uint64_t *ret)
{
	uint64_t sock, within, inode;
	int r = peek_u64(k, at, "sock", "sk_socket", &sock);

	*ret = 0;
	if (r < 0 || !sock)
		return r;
	r = peek_at(k, 0, "socket_alloc", "socket", &within);
	if (r == 0)
		r = peek_at(k, sock - within, "socket_alloc", "vfs_inode", &inode);
	return r < 0 ? r : peek_u64(k, inode, "inode", "i_ino", ret);
}

/* The inode of the one before SK; 0: it is the first. */
static int before(const struct group *g, uint64_t *ret)
{
	g_autofree uint64_t *all = NULL;
	uint64_t at;
	uint16_t n;
	int r = peek_at(g->k, g->at, "sock_reuseport", "num_socks", &at);

	*ret = 0;
	if (r == 0)
		r = peek_read(g->k, at, &n, sizeof(n));
	if (r == 0)
		r = peek_at(g->k, g->at, "sock_reuseport", "socks", &at);
	if (r < 0)
		return r;
	all = g_new0(uint64_t, n + 1u);
	r = peek_read(g->k, at, all, n * sizeof(*all));
	for (unsigned i = 1; r == 0 && i < n; i++)
		if (all[i] == g->sk)
			return inode_of(g->k, all[i - 1], ret);
	return r;
}

int reuseport_dump(struct dump *d, const struct sock_view *s, json_t *x)
{
	g_autofree struct sock_filter *v = NULL;
	json_t *mine, *program;
	struct group g;
	uint64_t after;
	uint16_t n = 0;
	int r = find(d, s, &g);

	if (r != 0)
		return MIN(r, 0);
	r = before(&g, &after);
	if (r == 0 && g.program)
		r = read_program(&g, &v, &n);
	if (r < 0)
		return r;
	mine = json_object();
	program = json_array();
	json_object_set_new(x, KEY, mine);
	if (after)
		json_object_set_new(mine, "after", json_integer((json_int_t)after));
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(program, json_pack("[i,i,i,I]", v[i].code, v[i].jt, v[i].jf,
							 (json_int_t)v[i].k));
	json_object_set_new(mine, "program", program);
	return 0;
}

struct file *reuseport_before(struct restore *r, const struct file *f)
{
	json_t *after = json_object_get(json_object_get(sock_extra(r, f->id), KEY), "after");
	GHashTableIter it;
	struct file *o;

	g_hash_table_iter_init(&it, r->files);
	while (after && g_hash_table_iter_next(&it, NULL, (void **)&o))
		if (o->entry->isk && o != f &&
		    o->entry->isk->ino == (uint32_t)json_integer_value(after))
			return o;
	return NULL;
}

int reuseport_attach(int fd, const json_t *x)
{
	const json_t *program = json_object_get(json_object_get(x, KEY), "program");
	size_t n = json_array_size(program);
	g_autofree struct sock_filter *v = g_new0(struct sock_filter, n + 1);
	struct sock_fprog p = {.len = (unsigned short)n, .filter = v};

	if (n == 0)
		return 0;
	if (n > BPF_MAXINSNS)
		return err_set(EBADMSG, "a program of %zu instructions", n);
	for (size_t i = 0; i < n; i++) {
		int code, jt, jf;
		json_int_t k;

		if (json_unpack(json_array_get(program, i), "[i,i,i,I]", &code, &jt, &jf, &k) < 0)
			return err_set(EBADMSG, "a program's instruction %zu", i);
		v[i] = (struct sock_filter){(uint16_t)code, (uint8_t)jt, (uint8_t)jf, (uint32_t)k};
	}
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &p, sizeof(p)) < 0)
		return err_errno("SO_ATTACH_REUSEPORT_CBPF");
	return 0;
}
