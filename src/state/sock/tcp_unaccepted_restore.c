/* SPDX-License-Identifier: Apache-2.0 */
#include "state/sock/tcp_unaccepted.h"

#include "base/file.h"
#include "base/log.h"
#include "kernel/born.h"
#include "kernel/ns.h"
#include "state/sock/netlock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#define COOKIES	    "/proc/sys/net/ipv4/tcp_syncookies"
#define PATIENCE_MS 2000
#define AGAIN_MS    100	  /* a segment may have come while the window was closed */
#define PIECE	    15800 /* with headers, a buffer of 16 KiB: hardly more than it holds */
#define PIECE_MIN   500

struct nursery {
	struct restore *r;
	struct born *born;
	int ns, diag;
	bool cookies; /* have been turned on, for now */
};

struct one {
	const struct file *listener;
	struct diag_tcp t;
	struct tcp_segment s;
	TcpStreamEntry *e;
	uint8_t *data;
	uint32_t their_time;
	struct tcp_urgent urgent;
	bool fin, reset;
};

static void one_clear(struct one *c)
{
	if (c->e)
		tcp_stream_entry__free_unpacked(c->e, NULL);
	g_free(c->data);
}

/* cookie_v4_check() makes none where it is 0.  1: it was. */
static int set_cookies(void *arg, int *ret_fd)
{
	const char *want = arg;
	g_autofree char *text = NULL;
	autoclose int fd = open(COOKIES, O_WRONLY | O_CLOEXEC);
	int r = file_read_at(AT_FDCWD, COOKIES, 64, &text, NULL);

	if (r < 0 || (*want == '1' && *text != '0'))
		return r;
	return fd < 0 || write(fd, want, 1) != 1 ? err_errno("write " COOKIES) : 1;
}

static void nursery_close(struct nursery *n)
{
	ERR_KEEP;

	if (n->cookies && ns_run(&n->ns, 1, set_cookies, (void *)"0", NULL) < 0)
		log_warn("%s", err_message());
	born_close(&n->born);
	cleanup_close(&n->ns);
	cleanup_close(&n->diag);
}

static int nursery_open(struct restore *r, struct nursery *n)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(btf_close) struct btf *types = NULL;
	int ret = proc_open(r->stub.pid, &p);

	n->r = r;
	if (ret == 0)
		ret = ns_open(p.dir, NS_NET, &n->ns);
	/*
	 * One restore at a time in each network namespace: another one's end would turn cookies off
	 * again.  Nobody else locks these files.
	 */
	while (ret == 0 && flock(n->ns, LOCK_EX) < 0)
		if (errno != EINTR)
			ret = err_errno("lock the network namespace");
	if (ret == 0)
		ret = diag_open(p.dir, &n->diag);
	if (ret == 0)
		ret = btf_open(&types);
	if (ret == 0)
		ret = born_open(types, n->ns, &n->born);
	if (ret == 0)
		ret = ns_run(&n->ns, 1, set_cookies, (void *)"1", NULL);
	n->cookies = ret > 0;
	return MIN(ret, 0);
}

static void get_addr(const struct diag_tcp *t, const uint8_t *addr, uint16_t port,
		     union inet_addr *ret)
{
	*ret = (union inet_addr){.sa.sa_family = (sa_family_t)t->family};
	ret->v4.sin_port = htons(port);
	if (t->family == AF_INET6)
		memcpy(&ret->v6.sin6_addr, addr, 16);
	else
		memcpy(&ret->v4.sin_addr, addr, 4);
}

static int load_stream(struct one *c, struct restore *r, const json_t *j)
{
	CLEANUP(image_close) struct image *img = NULL;
	int ret =
		image_open_needed(r->o.images, IMG_TCP_STREAM,
				  (uint32_t)json_integer_value(json_object_get(j, "stream")), &img);

	if (ret == 0)
		ret = image_read(img, &c->e);
	if (ret != 0)
		return ret < 0 ? ret : err_set(EBADMSG, "%s is empty", img->name);
	if (c->e->inq_len > TCP_QUEUE_MAX || c->e->inq_len > image_rest(img))
		return err_set(EBADMSG, "%s: a queue of %u bytes", img->name, c->e->inq_len);
	c->data = g_malloc(c->e->inq_len + 1);
	return image_read_raw(img, c->data, c->e->inq_len);
}

static int load(struct one *c, struct restore *r, const json_t *j, const struct diag_tcp *t)
{
	unsigned scale;
	int ret = load_stream(c, r, j), device;

	if (ret < 0)
		return ret;
	c->t = *t;
	if (sock_get_int(c->listener->fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device))
		c->t.device = (uint32_t)device;
	c->their_time = (uint32_t)json_integer_value(json_object_get(j, "time"));
	c->fin = json_is_true(json_object_get(j, "fin"));
	c->reset = json_is_true(json_object_get(j, "reset"));
	scale = c->e->opt_mask & TCPI_OPT_WSCALE ? MIN(c->e->snd_wscale, 14) : 0;
	c->s = (struct tcp_segment){
		.seq = c->e->inq_seq - c->fin - c->e->inq_len,
		.ack = c->e->outq_seq,
		.flags = TH_ACK,
		.window = (uint16_t)MIN(c->e->snd_wnd >> scale, 65535),
		.device = c->listener->entry->isk->opts->so_bound_dev,
		.net = inet_net(c->listener->entry->isk),
	};
	get_addr(t, t->dst, t->dport, &c->s.from);
	get_addr(t, t->src, t->sport, &c->s.to);
	return tcp_urgent_load(j, c->e->inq_len, &c->urgent);
}

/* What is sent to an address of others would leave.  bind(2) of a raw socket says so, each time. */
static int check_address(struct restore *r, const struct one *c)
{
	union inet_addr a = c->s.to, any = {.sa.sa_family = a.sa.sa_family};
	char text[80];
	int raw, ret = socks_raw(r, c->s.net, a.sa.sa_family, &raw);

	if (ret < 0)
		return ret;
	inet_show(&a, text);
	a.v4.sin_port = 0;
	if (bind(raw, &a.sa, inet_addr_len(&a)) < 0)
		return errno == EADDRNOTAVAIL
			       ? err_set(EADDRNOTAVAIL, "no interface has the address of %s here",
					 text)
			       : err_errno("address of %s", text);
	return bind(raw, &any.sa, inet_addr_len(&any)) < 0 ? err_errno("a raw socket") : 0;
}

static void pause_ms(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Its state and what it has; TCP_LISTEN: it is not there, but who would make it. */
static int look(const struct nursery *n, const struct one *c, struct diag_tcp *ret)
{
	int r = diag_tcp_find(n->diag, &c->t, ret);

	if (r == 1)
		*ret = (struct diag_tcp){.state = TCP_LISTEN};
	return MIN(r, 0);
}

static int not_there(const char *what)
{
	return err_set(EIO, "%s; does a firewall drop packets of the loopback device?", what);
}

static int bear(const struct nursery *n, const struct one *c)
{
	const struct born_child b = {
		.their_time = c->their_time,
		.our_time = c->e->timestamp,
		.mss = (uint16_t)MAX(c->e->mss_clamp, (unsigned)BORN_MSS_MIN(c->t.family)),
		.snd_wscale = (uint8_t)c->e->snd_wscale,
		.rcv_wscale = (uint8_t)c->e->rcv_wscale,
		.wscale = (c->e->opt_mask & TCPI_OPT_WSCALE) != 0,
		.sack = (c->e->opt_mask & TCPI_OPT_SACK) != 0,
		.timestamps = (c->e->opt_mask & TCPI_OPT_TIMESTAMPS) != 0,
		.ecn = (c->e->opt_mask & TCPI_OPT_ECN) != 0,
	};
	const struct born_segment s = {.family = c->t.family,
				       .mark = NETLOCK_MARK,
				       .from = c->t.dport,
				       .to = c->t.sport,
				       .seq = c->s.seq,
				       .ack = c->s.ack};
	struct diag_tcp t;
	int r = born_expect(n->born, &b, &s);

	if (r == 0)
		r = tcp_segment_send(n->r, &c->s);
	for (int i = 0; r == 0 && i < PATIENCE_MS; i++) {
		r = born_done(n->born);
		if (r == 0)
			r = look(n, c, &t);
		if (r < 0 || (r == 0 && t.state != TCP_LISTEN))
			return r;
		r = 0;
		pause_ms();
	}
	return r < 0 ? r : not_there("it does not come to the listening socket");
}

/* What is urgent comes by itself. */
static uint32_t mark_of(const struct one *c)
{
	return c->urgent.in == TCP_URGENT_WAITS ? c->urgent.in_at : UINT32_MAX;
}

static uint32_t part_from(const struct one *c, uint32_t at, uint32_t len)
{
	uint32_t mark = mark_of(c);

	if (at == mark)
		return 1;
	return at < mark ? MIN(len, mark - at) : len;
}

/* A piece is sent until it has come: it may be more than the window takes at the moment. */
static int feed(const struct nursery *n, struct one *c)
{
	const uint32_t len = c->e->inq_len, mark = mark_of(c);
	uint32_t at = 0, piece = PIECE, first = c->s.seq;

	for (int waited = 0; at < len && waited < PATIENCE_MS;) {
		struct diag_tcp t = {0};
		int r;

		c->s.seq = first + at;
		c->s.data = c->data + at;
		c->s.data_len = part_from(c, at, MIN(piece, len - at));
		c->s.flags = TH_ACK | (at == mark ? TH_URG : TH_PUSH);
		c->s.urgent = at == mark; /* the byte behind it: tcp_check_urg() */
		r = tcp_segment_send(n->r, &c->s);
		if (r == -EMSGSIZE && piece > PIECE_MIN) {
			err_clear();
			piece /= 2;
			continue;
		}
		for (int i = 0; r == 0 && i < AGAIN_MS; i++) {
			r = look(n, c, &t);
			if (r < 0 || t.rqueue > at)
				break;
			waited++;
			pause_ms();
		}
		if (r < 0)
			return r;
		if (t.rqueue > at)
			waited = 0;
		at = MAX(at, MIN(t.rqueue, len));
	}
	c->s.seq = first + at;
	c->s.urgent = 0;
	c->s.data = NULL;
	c->s.data_len = 0;
	return at < len ? not_there("what has been sent on it does not come") : 0;
}

static int tell(const struct nursery *n, struct one *c, uint8_t flags, int state)
{
	struct diag_tcp t;
	int r;

	c->s.flags = flags;
	r = tcp_segment_send(n->r, &c->s);
	for (int i = 0; r == 0 && i < PATIENCE_MS; i++) {
		r = look(n, c, &t);
		if (r < 0 || t.state == state)
			return r;
		pause_ms();
	}
	return r < 0 ? r : not_there("it does not hear of its end");
}

static int restore_one(const struct nursery *n, struct one *c)
{
	int r = check_address(n->r, c);

	if (r == 0)
		r = bear(n, c);
	if (r == 0)
		r = feed(n, c);
	if (r == 0 && c->fin)
		r = tell(n, c, TH_FIN | TH_ACK, TCP_CLOSE_WAIT);
	c->s.seq += c->fin;
	if (r == 0 && c->reset) /* then nobody but its queue knows it: tcp_done() */
		r = tell(n, c, TH_RST | TH_ACK, TCP_LISTEN);
	return r;
}

/* They inherit from it what it is when they come: inet_csk_clone_lock(). */
static int prepare(const struct nursery *n, const struct file *f)
{
	const InetSkEntry *e = f->entry->isk;
	int r = 0;

	if (e->opts->has_reuseaddr)
		r = sock_set_int(f->fd, SOL_SOCKET, SO_REUSEADDR, e->opts->reuseaddr);
	if (r == 0 && socks_shares_port(n->r, e))
		r = sock_set_int(f->fd, SOL_SOCKET, SO_REUSEPORT, 0);
	return r < 0 ? r : born_listener(n->born, f->fd);
}

static int let_in(const struct file *f, uint32_t backlog)
{
	return listen(f->fd, (int)MIN(backlog, 65535)) < 0 ? err_errno("listen") : 0;
}

static int restore_of(const struct nursery *n, const struct file *f, const json_t *x)
{
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct diag_tcp));
	const json_t *all = json_object_get(x, "unaccepted");
	const uint32_t backlog = f->entry->isk->backlog;
	int r = prepare(n, f);

	tcp_unaccepted_list(x, list);
	if (list->len != json_array_size(all))
		return err_set(EBADMSG, IMAGE_EXTRA ": connections of inet socket %u", f->id);
	if (r == 0)
		r = let_in(f, MAX(backlog, list->len));
	for (unsigned i = 0; r == 0 && i < list->len; i++) {
		CLEANUP(one_clear) struct one c = {.listener = f};
		char from[80] = "";

		r = load(&c, n->r, json_array_get(all, i),
			 &g_array_index(list, struct diag_tcp, i));
		if (r == 0)
			r = restore_one(n, &c);
		inet_show(&c.s.from, from);
		if (r < 0)
			r = err_wrap(r, "a connection from %s that nobody has accepted yet", from);
	}
	if (r == 0)
		r = born_listener_done(n->born, f->fd);
	if (r == 0)
		r = reuseport_attach(f->fd, x);
	return r < 0 ? r : let_in(f, backlog);
}

static bool has_some(struct restore *r, const struct file *f)
{
	return f->kind == &fd_inet && f->fd >= 0 && f->entry->isk->state == TCP_LISTEN &&
	       json_array_size(json_object_get(sock_extra(r, f->id), "unaccepted"));
}

static int restore_all(struct nursery *n)
{
	GHashTableIter it;
	struct file *f;
	int ret = 0;

	g_hash_table_iter_init(&it, n->r->files);
	while (ret == 0 && g_hash_table_iter_next(&it, NULL, (void **)&f)) {
		if (!has_some(n->r, f))
			continue;
		if (!n->r->o.tcp_established)
			return err_set(EOPNOTSUPP,
				       "connections waited to be accepted at port %u; use "
				       "--tcp-established to have them go on, or --tcp-close to do "
				       "without",
				       f->entry->isk->src_port);
		if (!n->born) {
			ret = nursery_open(n->r, n);
			if (ret < 0)
				return err_wrap(ret, "connections that nobody has accepted yet; "
						     "use --tcp-close to do without");
		}
		ret = restore_of(n, f, sock_extra(n->r, f->id));
	}
	return ret;
}

int tcp_unaccepted_restore(struct restore *r)
{
	CLEANUP(nursery_close) struct nursery n = {.r = r, .ns = -1, .diag = -1};

	return r->o.tcp_close ? 0 : restore_all(&n);
}
