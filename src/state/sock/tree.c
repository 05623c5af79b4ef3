/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "kernel/ns.h"
#include "state/extra.h"
#include "state/ns/spaces.h"
#include "state/sock/sock.h"
#include "state/sock/socks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

int sock_family(const struct fd_view *v)
{
	autoclose int fd = -1;
	int family;

	if (!S_ISSOCK(v->st.st_mode) || !g_str_has_prefix(v->link, "socket:["))
		return -1;
	if (fd_view_get(v, &fd) < 0) {
		err_clear();
		return -1;
	}
	return sock_get_int(fd, SOL_SOCKET, SO_DOMAIN, &family) ? family : -1;
}

/*
 * Only who has CAP_NET_ADMIN there is told (net/socket.c: sock_ioctl()).  It is taken to be the
 * task's; in another one it would not be found by its number.
 */
static int find_tasks_ns(struct dump *d, const struct fd_view *v, uint32_t *ret)
{
	uint64_t ino = 0;
	int r = ns_id(v->task->proc.dir, NS_NET, &ino);

	*ret = r == 0 ? spaces_id(d, NS_NET, ino) : 0;
	return r == 0 && !*ret
		       ? err_set(EPERM, "%s: its network namespace is told to CAP_NET_ADMIN only",
				 v->link)
		       : r;
}

/* net/socket.c: sock_ioctl() */
static int find_ns(struct dump *d, int fd, const struct fd_view *v, uint32_t *ret)
{
	autoclose int ns = ioctl(fd, SIOCGSKNS);
	struct stat st;
	int r;

	if (ns < 0 && errno == EPERM && v->task)
		return find_tasks_ns(d, v, ret);
	if (ns < 0 || fstat(ns, &st) < 0)
		return err_errno("network namespace of %s", v->link);
	*ret = spaces_id(d, NS_NET, st.st_ino);
	if (*ret)
		return 0;
	/* nobody is there, but it has its devices and addresses all the same */
	r = spaces_add_fd(d, NS_NET, st.st_ino, ns);
	*ret = spaces_id(d, NS_NET, st.st_ino);
	return r < 0 ? err_wrap(r, "%s", v->link) : 0;
}

int sock_view_read(struct dump *d, const struct fd_view *v, struct sock_view *ret)
{
	CLEANUP(sock_view_clear) struct sock_view s = SOCK_VIEW_NONE;
	int r = fd_view_get(v, &s.fd);

	if (r == 0)
		r = find_ns(d, s.fd, v, &s.ns);
	if (r == 0)
		r = socks_look(d);
	if (r < 0)
		return r;
	if (!sock_get_int(s.fd, SOL_SOCKET, SO_DOMAIN, &s.family) ||
	    !sock_get_int(s.fd, SOL_SOCKET, SO_TYPE, &s.type) ||
	    !sock_get_int(s.fd, SOL_SOCKET, SO_PROTOCOL, &s.protocol))
		return err_errno("type of %s", v->link);
	s.ino = (uint32_t)v->st.st_ino;
	s.v = v;
	*ret = s;
	s.fd = -1;
	return 0;
}

void sock_view_clear(struct sock_view *s)
{
	cleanup_close(&s->fd);
	s->fd = -1;
}

static int add_table(GHashTable *inodes, int dir)
{
	CLEANUP(pid_list_clear) struct pid_list fds = {0};
	int r = proc_fds(dir, &fds);

	for (size_t i = 0; r == 0 && i < fds.n; i++) {
		char name[32], link[64];
		unsigned ino;
		ssize_t n;

		snprintf(name, sizeof(name), "fd/%d", fds.v[i]);
		n = readlinkat(dir, name, link, sizeof(link) - 1);
		if (n < 0)
			continue; /* closed meanwhile */
		link[n] = 0;
		if (sscanf(link, "socket:[%u]", &ino) == 1)
			g_hash_table_add(inodes, GUINT_TO_POINTER(ino));
	}
	if (r == -ESRCH || r == -ENOENT) { /* has ended meanwhile */
		err_clear();
		r = 0;
	}
	return r;
}

static int add_task(GHashTable *inodes, const struct dtask *t)
{
	int r = t->zombie ? 0 : add_table(inodes, t->proc.dir);

	for (unsigned i = 0; r == 0 && t->own_tables && i < dtask_nthreads(t); i++) {
		autoclose int dir = -1;

		if (!dtask_has_table(t, i))
			continue;
		if (proc_open_task(t->proc.dir, dtask_tid(t, i), &dir) == 0)
			r = add_table(inodes, dir);
		else
			err_clear();
	}
	return r;
}

static int look_inet(struct socks_dump *s)
{
	static const int families[] = {AF_INET, AF_INET6};
	static const int protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE};
	int r = 0;

	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(families); i++)
		for (unsigned j = 0; r == 0 && j < ARRAY_SIZE(protocols); j++)
			for (unsigned k = 0; r == 0 && k < s->diags->len; k++)
				r = diag_inet_shutdown(g_array_index(s->diags, int, k), families[i],
						       protocols[j], s->shut);
	return r;
}

/* Who waits to be accepted by whom. */
static void index_clients(struct socks_dump *s)
{
	GHashTableIter it;
	struct diag_unix *u;

	g_hash_table_iter_init(&it, s->unix_all);
	while (g_hash_table_iter_next(&it, NULL, (void **)&u))
		for (unsigned i = 0; i < u->nicons; i++)
			if (u->icons[i])
				g_hash_table_insert(s->awaiting, GUINT_TO_POINTER(u->icons[i]),
						    GUINT_TO_POINTER(u->ino));
}

static int open_diags(struct dump *d, GArray *ret)
{
	int fd, r = diag_open(dump_task(d, 0)->proc.dir, &fd);

	if (r == 0)
		g_array_append_val(ret, fd);
	for (unsigned i = 0; r == 0 && i < d->spaces->len; i++) {
		const struct space *s = g_ptr_array_index(d->spaces, i);

		if (s->kind != NS_NET)
			continue;
		r = diag_open_ns(s->fd, &fd);
		if (r == 0)
			g_array_append_val(ret, fd);
	}
	return r;
}

static int list_unix(struct socks_dump *s)
{
	int r = diag_unix(g_array_index(s->diags, int, 0), &s->unix_all);

	for (unsigned i = 1; r == 0 && i < s->diags->len; i++) {
		g_autoptr(GHashTable) more = NULL;
		GHashTableIter it;
		void *ino, *u;

		r = diag_unix(g_array_index(s->diags, int, i), &more);
		if (r < 0)
			break;
		g_hash_table_iter_init(&it, more);
		while (g_hash_table_iter_next(&it, &ino, &u)) {
			g_hash_table_iter_steal(&it);
			g_hash_table_insert(s->unix_all, ino, u);
		}
	}
	return r;
}

int socks_list_tcp(struct dump *d, int family, GArray *ret)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->socks->diags->len; i++)
		r = diag_tcp(g_array_index(d->socks->diags, int, i), family, ret);
	return r;
}

int socks_look(struct dump *d)
{
	struct socks_dump *s;
	int r;

	if (d->socks && d->socks->frozen == d->frozen && d->socks->spaces == d->spaces->len)
		return 0;
	socks_dump_end(d);
	d->socks = s = g_new0(struct socks_dump, 1);
	s->frozen = d->frozen;
	s->spaces = d->spaces->len;
	s->diags = g_array_new(FALSE, FALSE, sizeof(int));
	s->inodes = g_hash_table_new(NULL, NULL);
	s->shut = g_hash_table_new(NULL, NULL);
	s->ids = g_hash_table_new(NULL, NULL);
	s->awaiting = g_hash_table_new(NULL, NULL);
	r = open_diags(d, s->diags);
	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++)
		r = add_task(s->inodes, dump_task(d, i));
	if (r == 0)
		r = list_unix(s);
	if (r == 0) {
		index_clients(s);
		r = look_inet(s);
	}
	if (r < 0)
		socks_dump_end(d);
	return r;
}

bool socks_has(const struct dump *d, uint32_t ino)
{
	return ino && g_hash_table_contains(d->socks->inodes, GUINT_TO_POINTER(ino));
}

void socks_add(struct dump *d, uint32_t ino)
{
	if (d->socks)
		g_hash_table_add(d->socks->inodes, GUINT_TO_POINTER(ino));
}

static bool has_flight(int dir)
{
	CLEANUP(pid_list_clear) struct pid_list fds = {0};
	bool found = false;

	if (proc_fds(dir, &fds) < 0) {
		err_clear();
		return false;
	}
	for (size_t i = 0; !found && i < fds.n; i++) {
		CLEANUP(fdinfo_clear) struct fdinfo info = {0};
		const char *n;

		if (fdinfo_read(dir, fds.v[i], &info) < 0) {
			err_clear();
			continue;
		}
		n = fdinfo_get(&info, "scm_fds");
		found = n && strcmp(n, "0") != 0;
	}
	return found;
}

static bool task_has_flight(const struct dtask *t)
{
	bool found = !t->zombie && has_flight(t->proc.dir);

	for (unsigned i = 0; !found && t->own_tables && i < dtask_nthreads(t); i++) {
		autoclose int dir = -1;

		if (!dtask_has_table(t, i))
			continue;
		if (proc_open_task(t->proc.dir, dtask_tid(t, i), &dir) == 0)
			found = has_flight(dir);
		else
			err_clear();
	}
	return found;
}

bool socks_flight(const struct dump *d)
{
	struct socks_dump *s = d->socks;

	for (unsigned i = 0; !s->flight_known && !s->flight && i < d->tasks->len; i++)
		s->flight = task_has_flight(dump_task(d, i));
	s->flight_known = true;
	return s->flight;
}

int socks_map_check(struct dump *d, uint64_t ino)
{
	int r = socks_look(d);

	if (r == 0 && !socks_has(d, (uint32_t)ino))
		return err_set(EOPNOTSUPP, "is of a socket that is closed, which cannot be saved");
	return r;
}

uint32_t socks_map_id(const struct dump *d, uint64_t ino)
{
	void *id = g_hash_table_lookup(d->socks->ids, GUINT_TO_POINTER((uint32_t)ino));

	return GPOINTER_TO_UINT(id);
}

void socks_dump_end(struct dump *d)
{
	struct socks_dump *s = g_steal_pointer(&d->socks);

	if (!s)
		return;
	for (unsigned i = 0; i < s->diags->len; i++)
		close(g_array_index(s->diags, int, i));
	g_array_unref(s->diags);
	g_clear_pointer(&s->inodes, g_hash_table_unref);
	g_clear_pointer(&s->unix_all, g_hash_table_unref);
	g_clear_pointer(&s->shut, g_hash_table_unref);
	g_clear_pointer(&s->tcp, g_hash_table_unref);
	g_clear_pointer(&s->packets, g_hash_table_unref);
	g_clear_pointer(&s->labels, g_hash_table_unref);
	g_clear_pointer(&s->ids, g_hash_table_unref);
	g_clear_pointer(&s->awaiting, g_hash_table_unref);
	g_clear_pointer(&s->to_check, g_array_unref);
	g_clear_pointer(&s->waiting, g_array_unref);
	g_free(s);
}

json_t *sock_extra_new(struct dump *d, uint32_t id)
{
	json_t *one = json_object();

	extra_set(d->extra, "sockets", id, one);
	return one;
}

json_t *sock_extra_of(const struct dump *d, uint32_t id)
{
	return extra_get(d->extra, "sockets", id);
}

json_t *sock_extra(const struct restore *r, uint32_t id)
{
	return extra_get(r->extra, "sockets", id);
}

void sock_tell_lost(const struct sock_view *s)
{
	struct pollfd p = {.fd = s->fd, .events = POLLIN};

	if (poll(&p, 1, 0) == 1 && p.revents & POLLIN && !(p.revents & POLLHUP))
		log_warn("%s: packets that wait to be read in this %s socket are not saved",
			 s->v->link,
			 s->family == AF_PACKET ? "packet"
			 : s->type == SOCK_RAW	? "raw"
						: "ICMP");
}

int sock_flags_restore(struct restore *r, struct file *f, const FownEntry *fown, unsigned flags)
{
	if (fcntl(f->fd, F_SETFL, (int)(flags & O_NONBLOCK)) < 0)
		return err_errno("flags %#o of a socket", flags);
	return fown_restore(r, f, fown, flags);
}
