/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets that wait in raw sockets and in those of ICMP.  Nobody can look beyond the first of them
 * (raw sockets have no SO_PEEK_OFF), so they are read from the kernel's memory, whole.  They are
 * sent again as they were, over the loopback device, by a raw socket with headers of its own: a
 * packet that has a route is not asked for another one (ip_rcv_finish_core(), skb_valid_dst()).
 *
 * A raw socket that is new takes whatever is of its protocol, and every raw socket does.  So this
 * comes before all other sockets are made, and each of the tree's has a filter until then: nothing
 * comes in but what is sent for it.  Of the kernel itself nobody shall hear of a packet twice:
 *
 * - IPv4 goes to a broadcast address of that device, whatever its header says (raw_send_hdrinc()).
 *   icmp_rcv() drops what came so, tcp_v4_conn_request() and tcp_v4_send_reset() do nothing.
 * - What it would act on nevertheless is lost, with a warning, as is what a socket would get that
 *   is not the tree's.
 */
#include "state/ns/spaces.h"
#include "state/sock/inet.h"
#include "state/sock/netlock.h"

#include "base/log.h"
#include "kernel/ns.h"
#include "kernel/peek.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEADERS_MAX 2048 /* before what the socket gets */
#define PACKET_MAX  65535
#define ROOM	    (16u << 20) /* until it gets its own SO_RCVBUF */
#define PATIENCE_US 2000000	/* together, with those that do not arrive */
#define TABLE_MAX   (4u << 20)
#define TO_ALL	    0x7fffffff /* 127.255.255.255 */
#define NET	    "/proc/thread-self/net/"
#define IGNORES	    "/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts"

struct walk {
	struct dump *d;
	uint32_t id;
	json_t *packets;
};

static int add(struct peek *k, uint64_t skb, void *arg)
{
	g_autoptr(GByteArray) buf = g_byte_array_new();
	struct walk *w = arg;
	uint64_t head, data, at;
	uint16_t offset = 0;
	int r = peek_u64(k, skb, "sk_buff", "head", &head);

	if (r == 0)
		r = peek_u64(k, skb, "sk_buff", "data", &data);
	if (r == 0)
		r = peek_at(k, skb, "sk_buff", "network_header", &at);
	if (r == 0)
		r = peek_read(k, at, &offset, sizeof(offset));
	at = head + offset;
	if (r == 0 && (data < at || data - at > HEADERS_MAX))
		r = err_set(EIO, "headers of %" PRId64 " bytes", (int64_t)(data - at));
	if (r < 0)
		return r;
	g_byte_array_set_size(buf, (guint)(data - at));
	r = peek_read(k, at, buf->data, buf->len);
	if (r == 0)
		r = peek_skb_data(k, skb, buf);
	json_array_append_new(w->packets, json_integer((json_int_t)(data - at)));
	return r < 0 ? r : sock_queue_add(w->d, w->id, buf->data, buf->len);
}

int raw_dump(struct dump *d, const struct sock_view *s, uint32_t id, json_t *x)
{
	struct walk w = {.d = d, .id = id, .packets = json_array()};
	struct peek *k;
	uint64_t sk, queue;
	int r = dump_peek(d, &k) ? peek_sock(k, s->fd, &sk) : -EOPNOTSUPP;

	if (r == 0)
		r = peek_at(k, sk, "sock", "sk_receive_queue", &queue);
	if (r == 0)
		r = peek_skbs(k, queue, add, &w);
	if (r == 0 && json_array_size(w.packets))
		json_object_set(x, "packets", w.packets);
	json_decref(w.packets);
	if (r < 0) {
		err_clear();
		sock_tell_lost(s);
	}
	return 0;
}

/* Restore. */

static bool is_ping(const InetSkEntry *e)
{
	return e->type == SOCK_DGRAM && (e->proto == IPPROTO_ICMP || e->proto == IPPROTO_ICMPV6);
}

/* Who was there before any socket of the tree was, as /proc/net has it. */
struct place {
	uint32_t net;
	char *raws, *udps;
	bool answers; /* the kernel does, also what was sent to all */
	unsigned waited_us;
};

static void place_clear(struct place *p)
{
	g_free(p->raws);
	g_free(p->udps);
}

static int open_there(void *arg, int *ret_fd)
{
	*ret_fd = open(arg, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 && errno != ENOENT ? err_errno("open %s", (const char *)arg) : 0;
}

/* What is not there (IPv6) is empty. */
static int read_there(int ns, const char *path, GString *into)
{
	autoclose int fd = -1;
	char buf[4096];
	ssize_t n = 0;
	int r = ns_run(&ns, 1, open_there, (void *)path, &fd);

	if (r < 0)
		return r;
	while (fd >= 0 && into->len < TABLE_MAX && (n = read(fd, buf, sizeof(buf))) > 0)
		g_string_append_len(into, buf, n);
	return n < 0 ? err_errno("read %s", path) : 0;
}

static int place_read(struct restore *r, uint32_t net, struct place *ret)
{
	g_autoptr(GString) raws = g_string_new(NULL), udps = g_string_new(NULL);
	g_autoptr(GString) ignores = g_string_new(NULL);
	uint32_t id = spaces_is(r, NS_NET, net) ? net : 0;
	int ns, e = spaces_fd(r, NS_NET, id, &ns);

	if (e == 0)
		e = read_there(ns, NET "raw", raws);
	if (e == 0)
		e = read_there(ns, NET "raw6", raws);
	if (e == 0)
		e = read_there(ns, NET "udp", udps);
	if (e == 0)
		e = read_there(ns, NET "udplite", udps);
	if (e == 0)
		e = read_there(ns, IGNORES, ignores);
	ret->net = net;
	ret->raws = g_string_free(g_steal_pointer(&raws), FALSE);
	ret->udps = g_string_free(g_steal_pointer(&udps), FALSE);
	ret->answers = ignores->str[0] != '1';
	return e;
}

/* "  12: 0100007F:00FF ...": of a raw socket its protocol is in the place of a port. */
static bool has_port(const char *table, unsigned port)
{
	char text[16];

	snprintf(text, sizeof(text), ":%04X ", port);
	for (const char *line = table; line; line = strchr(line + 1, '\n')) {
		const char *at = strchr(line, ':');

		at = at ? strchr(at + 1, ':') : NULL;
		if (at && strncmp(at, text, strlen(text)) == 0)
			return true;
	}
	return false;
}

struct packet {
	const InetSkEntry *e;
	const uint8_t *data;
	size_t len, skip; /* the socket gets what is behind SKIP bytes */
	size_t whole;	  /* it was cut since, by a filter */
};

/* What the kernel itself would do again. */
static bool is_tunnel(unsigned protocol)
{
	static const uint8_t all[] = {IPPROTO_IPIP, IPPROTO_DCCP,   IPPROTO_IPV6,
				      IPPROTO_GRE,  IPPROTO_ESP,    IPPROTO_AH,
				      IPPROTO_COMP, 115 /* L2TP */, IPPROTO_SCTP};

	return memchr(all, (int)protocol, sizeof(all));
}

static const char *why_not_v4(const struct packet *p, const struct place *at)
{
	const struct iphdr *h = (const void *)p->data;
	size_t header = h->ihl * 4u;
	const uint8_t *inner = p->data + header;
	unsigned proto = p->e->proto;

	if (p->len < sizeof(*h) || h->version != 4 || header < sizeof(*h) || p->len < header + 8)
		return "it has no sound header";
	if (header > sizeof(*h)) /* ip_options_compile() writes into them */
		return "it has options of IP";
	if (ntohs(h->tot_len) < p->len || ntohs(h->frag_off) & ~IP_DF || !h->saddr ||
	    (!h->id && !(h->frag_off & htons(IP_DF)))) /* raw_send_hdrinc() */
		return "the kernel would change its header";
	if ((proto == IPPROTO_UDP || proto == IPPROTO_UDPLITE) &&
	    has_port(at->udps, inner[2] << 8u | inner[3]))
		return "a socket of UDP outside of the tree would get it, too";
	if (proto == IPPROTO_ICMP && at->answers &&
	    (inner[0] == ICMP_ECHO || inner[0] == ICMP_TIMESTAMP))
		return "the kernel would answer (net.ipv4.icmp_echo_ignore_broadcasts)";
	if (is_ping(p->e) && inner[0] != ICMP_ECHOREPLY)
		return "it is no answer";
	return NULL;
}

/* There is no address that would keep it from handlers of the kernel. */
static const char *why_not_v6(const struct packet *p)
{
	const struct ip6_hdr *h = (const void *)p->data;
	unsigned type = p->len > p->skip ? p->data[p->skip] : 0;

	if (p->skip < sizeof(*h) || p->len < p->skip || h->ip6_vfc >> 4 != 6)
		return "it has no sound header";
	if (p->whole != p->len)
		return "a filter has cut it";
	if (IN6_IS_ADDR_LINKLOCAL(&h->ip6_src) || IN6_IS_ADDR_MULTICAST(&h->ip6_src))
		return "its address is one of a device";
	if (p->e->proto == IPPROTO_UDP || p->e->proto == IPPROTO_UDPLITE ||
	    p->e->proto == IPPROTO_TCP ||
	    (p->e->proto == IPPROTO_ICMPV6 && type != ICMP6_ECHO_REPLY &&
	     (is_ping(p->e) || type < ICMP6_DST_UNREACH || type > ICMP6_PARAM_PROB)))
		return "the kernel would act on it";
	return NULL;
}

static const char *why_not(const struct packet *p, const struct place *at)
{
	unsigned proto = p->e->proto;

	if (has_port(at->raws, proto))
		return "a raw socket outside of the tree would get it, too";
	if (is_tunnel(proto))
		return "the kernel would act on it";
	return p->e->family == AF_INET6 ? why_not_v6(p) : why_not_v4(p, at);
}

/* Of what we send up to TAKE bytes, or nothing, and nothing of anybody else: sk_filter_trim_cap()
 */
static int set_filter(int fd, uint32_t take)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_MARK)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NETLOCK_MARK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, take),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog p = {.len = ARRAY_SIZE(code), .filter = code};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)) < 0)
		return err_errno("filter of a raw socket");
	return 0;
}

static int send_whole(struct restore *r, const struct packet *p)
{
	g_autofree uint8_t *data = g_malloc0(p->whole);
	bool v6 = p->e->family == AF_INET6;
	union inet_addr to = {.sa.sa_family = (sa_family_t)p->e->family};
	int one = 1, raw, ret = socks_raw(r, inet_net(p->e), (int)p->e->family, &raw);

	if (ret < 0)
		return ret;
	memcpy(data, p->data, p->len);
	if (v6)
		to.v6.sin6_addr = in6addr_loopback;
	else /* a socket of ICMP has it from icmp_rcv() */
		to.v4.sin_addr.s_addr = htonl(is_ping(p->e) ? INADDR_LOOPBACK : TO_ALL);
	if (setsockopt(raw, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)) < 0 ||
	    setsockopt(raw, SOL_SOCKET, SO_BINDTODEVICE, "", 0) < 0)
		return err_errno("options of a raw socket");
	if (sendto(raw, data, p->whole, 0, &to.sa, inet_addr_len(&to)) < 0)
		return err_errno("send it over the loopback device");
	return 0;
}

/* ksoftirqd may have to bring it; a firewall may have dropped it. */
static bool arrives(int fd, uint32_t before, struct place *at)
{
	while (inet_memory(fd) <= before) {
		if (at->waited_us >= PATIENCE_US)
			return false;
		usleep(1000);
		at->waited_us += 1000;
	}
	return true;
}

static int fill_one(struct restore *r, int fd, const struct packet *p, struct place *at)
{
	uint32_t before = inet_memory(fd);
	const char *why = why_not(p, at);
	int ret;

	if (why)
		return err_set(EOPNOTSUPP, "%s", why);
	ret = set_filter(fd, (uint32_t)MAX(p->len - p->skip, 1));
	if (ret == 0)
		ret = send_whole(r, p);
	if (ret == 0 && !arrives(fd, before, at))
		ret = err_set(EIO, "it does not arrive");
	return ret;
}

/* As long as its header says. */
static size_t whole_of(const InetSkEntry *e, const struct sock_packet *k)
{
	size_t len = e->family == AF_INET6 && k->len >= 6 ? 40u + (k->data[4] << 8u | k->data[5])
		     : k->len >= 4			  ? (size_t)(k->data[2] << 8u | k->data[3])
							  : 0;

	return CLAMP(len, k->len, PACKET_MAX);
}

static int fill(struct restore *r, struct file *f, const GPtrArray *queue, struct place *at)
{
	const InetSkEntry *e = f->entry->isk;
	const json_t *packets = json_object_get(sock_extra(r, f->id), "packets");
	int room = ROOM, ret = 0;
	size_t n = 0;

	if (json_array_size(packets) &&
	    setsockopt(f->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		return err_errno("SO_RCVBUFFORCE");
	for (unsigned i = 0; queue && i < queue->len && n < json_array_size(packets); i++) {
		const struct sock_packet *k = g_ptr_array_index(queue, i);
		struct packet p = {.e = e, .data = k->data, .len = k->len};

		if (k->id != f->id)
			continue;
		p.skip = (size_t)json_integer_value(json_array_get(packets, n++));
		p.whole = whole_of(e, k);
		if (p.len > PACKET_MAX || p.skip > p.len)
			return err_set(EBADMSG, "a packet of %zu bytes", p.len);
		if (fill_one(r, f->fd, &p, at) < 0) {
			log_warn("inet socket %u: a packet of %zu bytes is lost: %s", f->id,
				 p.len - p.skip, err_message());
			err_clear();
		}
	}
	return ret == 0 ? set_filter(f->fd, 0) : ret;
}

/* With its filter on, and nothing else. */
static int make_raw(struct restore *r, struct file *f)
{
	const InetSkEntry *e = f->entry->isk;
	struct sock_maker root = sock_maker_in(r, inet_net(e));
	int ret = sock_make(&root, (int)e->family, (int)e->type, (int)e->proto, &f->fd);

	return ret < 0 ? ret : set_filter(f->fd, 0);
}

/* It gets answers to its own number, once it has that. */
static int make_ping(struct restore *r, struct file *f)
{
	const InetSkEntry *e = f->entry->isk;
	int ret = make_raw(r, f);

	if (ret == 0 && e->has_v6only && e->family == AF_INET6)
		ret = sock_set_int(f->fd, IPPROTO_IPV6, IPV6_V6ONLY, e->v6only);
	return ret < 0 ? ret : inet_bind(r, f, false);
}

bool raw_waits(const struct restore *r, const struct file *f)
{
	const InetSkEntry *e = f->entry->isk;

	return (e->type == SOCK_RAW || is_ping(e)) &&
	       json_array_size(json_object_get(sock_extra(r, f->id), "packets")) > 0;
}

/* All raw sockets, and those of ICMP that have something. */
static GPtrArray *list(const struct restore *r)
{
	g_autoptr(GPtrArray) raws = g_ptr_array_new();
	bool any = false;
	GHashTableIter it;
	struct file *f;

	g_hash_table_iter_init(&it, r->files);
	while (g_hash_table_iter_next(&it, NULL, (void **)&f)) {
		const InetSkEntry *e = f->kind == &fd_inet ? f->entry->isk : NULL;

		if (e && (e->type == SOCK_RAW || raw_waits(r, f)))
			g_ptr_array_add(raws, f);
		any |= e && raw_waits(r, f);
	}
	return any ? g_steal_pointer(&raws) : NULL;
}

static int place_of(struct restore *r, uint32_t net, GArray *places, struct place **ret)
{
	struct place p = {0};
	int e;

	for (unsigned i = 0; i < places->len; i++) {
		*ret = &g_array_index(places, struct place, i);
		if ((*ret)->net == net)
			return 0;
	}
	e = place_read(r, net, &p);
	g_array_append_val(places, p);
	*ret = &g_array_index(places, struct place, places->len - 1);
	return e;
}

int raw_fill_all(struct restore *r)
{
	g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(struct place));
	g_autoptr(GPtrArray) all = list(r), queue = NULL;
	struct place *at;
	int ret = all ? sock_queues_load(r, &queue) : 0;

	g_array_set_clear_func(places, (GDestroyNotify)place_clear);
	for (unsigned i = 0; all && ret == 0 && i < all->len; i++) /* before the first is made */
		ret = place_of(r, inet_net(((struct file *)all->pdata[i])->entry->isk), places,
			       &at);
	for (unsigned i = 0; all && ret == 0 && i < all->len; i++) {
		struct file *f = g_ptr_array_index(all, i);

		ret = is_ping(f->entry->isk) ? make_ping(r, f) : make_raw(r, f);
		if (ret == 0)
			ret = place_of(r, inet_net(f->entry->isk), places, &at);
		if (ret == 0)
			ret = fill(r, f, queue, at);
		if (ret < 0)
			return err_wrap(ret, "inet socket %u", f->id);
	}
	return ret;
}

int raw_let_in(int fd)
{
	int any = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &any, sizeof(any)) < 0)
		return err_errno("SO_DETACH_FILTER");
	return 0;
}
