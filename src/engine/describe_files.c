/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors and sockets. */
#include "engine/describe_parts.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void file_free(void *p)
{
	protobuf_c_message_free_unpacked(p, NULL);
}

int describe_load_files(struct describing *d)
{
	CLEANUP(image_close) struct image *img = NULL;
	int r = image_open(d->images, IMG_FILES, 0, &img);

	d->files = g_hash_table_new_full(NULL, NULL, NULL, file_free);
	if (r != 0)
		return r < 0 ? r : 0;
	for (;;) {
		FileEntry *f = NULL;

		r = image_read(img, &f);
		if (r != 0)
			return r < 0 ? r : 0;
		g_hash_table_insert(d->files, GUINT_TO_POINTER(f->id), f);
	}
}

static const FileEntry *file_of(const struct describing *d, uint32_t id)
{
	return g_hash_table_lookup(d->files, GUINT_TO_POINTER(id));
}

const char *describe_path(const struct describing *d, uint32_t id)
{
	const FileEntry *f = file_of(d, id);

	return f && f->reg ? f->reg->name : NULL;
}

/* The values of include/net/tcp_states.h, which unix sockets share. */
static const char *const states[] = {
	"",	     "established", "syn-sent",	  "syn-received", "fin-wait-1", "fin-wait-2",
	"time-wait", "closed",	    "close-wait", "last-ack",	  "listening",	"closing",
};

static const char *state_name(uint32_t state)
{
	return state < ARRAY_SIZE(states) ? states[state] : "?";
}

static const char *protocol_name(const InetSkEntry *s)
{
	static const struct {
		uint32_t proto;
		const char *name;
	} names[] = {{IPPROTO_TCP, "tcp"},	   {IPPROTO_UDP, "udp"},
		     {IPPROTO_UDPLITE, "udplite"}, {IPPROTO_ICMP, "icmp"},
		     {IPPROTO_ICMPV6, "icmp6"},	   {IPPROTO_SCTP, "sctp"}};

	if (s->type == SOCK_RAW)
		return "raw";
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].proto == s->proto)
			return names[i].name;
	return s->type == SOCK_STREAM ? "tcp" : "udp";
}

static char *address(uint32_t family, const uint32_t *words, size_t n, uint32_t port)
{
	char text[INET6_ADDRSTRLEN] = "*";

	if (family == AF_INET6 && n >= 4) {
		inet_ntop(AF_INET6, words, text, sizeof(text));
		return g_strdup_printf("[%s]:%u", text, port);
	}
	if (n >= 1)
		inet_ntop(AF_INET, words, text, sizeof(text));
	return g_strdup_printf("%s:%u", text, port);
}

static char *inet_text(const InetSkEntry *s)
{
	g_autofree char *from = address(s->family, s->src_addr, s->n_src_addr, s->src_port);
	g_autofree char *to = address(s->family, s->dst_addr, s->n_dst_addr, s->dst_port);
	const char *name = protocol_name(s);

	if (s->dst_port)
		return g_strdup_printf("%s %s -> %s %s", name, from, to, state_name(s->state));
	return g_strdup_printf("%s %s %s", name, from,
			       s->state == 10	     ? "listening"
			       : strcmp(name, "tcp") ? "unconnected"
						     : state_name(s->state));
}

static const char *unix_type(uint32_t type)
{
	return type == SOCK_STREAM	? "stream"
	       : type == SOCK_DGRAM	? "dgram"
	       : type == SOCK_SEQPACKET ? "seqpacket"
					: "?";
}

/*
 * An abstract name begins with a NUL, which people write as "@".  One without a name has no data
 * either, of which g_strndup() makes no string.
 */
static char *unix_name(const UnixSkEntry *s)
{
	bool abstract = s->name.len && !s->name.data[0];
	g_autofree char *name = NULL, *shown = NULL;

	if (!s->name.len)
		return g_strdup("");
	name = g_strndup((const char *)s->name.data + abstract, s->name.len - abstract);
	shown = g_utf8_make_valid(name, -1);
	return g_strconcat(abstract ? "@" : "", shown, NULL);
}

static char *unix_text(const UnixSkEntry *s)
{
	g_autofree char *name = unix_name(s);
	g_autofree char *peer = s->peer ? g_strdup_printf(" -> [%u]", s->peer) : g_strdup("");

	return g_strdup_printf("unix %s [%u]%s%s%s%s", unix_type(s->type), s->ino, *name ? " " : "",
			       name, peer, s->state == 10 ? " listening" : "");
}

static const char *const type_names[] = {
	[FD_TYPES__REG] = "file",	   [FD_TYPES__PIPE] = "pipe",
	[FD_TYPES__FIFO] = "fifo",	   [FD_TYPES__INETSK] = "socket",
	[FD_TYPES__UNIXSK] = "socket",	   [FD_TYPES__EVENTFD] = "eventfd",
	[FD_TYPES__EVENTPOLL] = "epoll",   [FD_TYPES__INOTIFY] = "inotify",
	[FD_TYPES__SIGNALFD] = "signalfd", [FD_TYPES__PACKETSK] = "socket",
	[FD_TYPES__TTY] = "tty",	   [FD_TYPES__FANOTIFY] = "fanotify",
	[FD_TYPES__NETLINKSK] = "socket",  [FD_TYPES__NS] = "namespace",
	[FD_TYPES__TUNF] = "tun",	   [FD_TYPES__EXT] = "external",
	[FD_TYPES__TIMERFD] = "timerfd",   [FD_TYPES__MEMFD] = "memfd",
	[FD_TYPES__BPFMAP] = "bpf",	   [FD_TYPES__PIDFD] = "pidfd",
};

static const char *type_name(uint32_t type)
{
	return type < ARRAY_SIZE(type_names) && type_names[type] ? type_names[type] : "?";
}

char *describe_target(const struct describing *d, uint32_t id)
{
	const FileEntry *f = file_of(d, id);

	if (!f)
		return NULL;
	if (f->reg)
		return g_utf8_make_valid(f->reg->name, -1);
	if (f->isk)
		return inet_text(f->isk);
	if (f->usk)
		return unix_text(f->usk);
	if (f->pipe)
		return g_strdup_printf("pipe:[%u]", f->pipe->pipe_id);
	if (f->fifo && f->fifo->has_regf_id && describe_path(d, f->fifo->regf_id))
		return g_utf8_make_valid(describe_path(d, f->fifo->regf_id), -1);
	if (f->tty && f->tty->has_regf_id && describe_path(d, f->tty->regf_id))
		return g_utf8_make_valid(describe_path(d, f->tty->regf_id), -1);
	if (f->efd)
		return g_strdup_printf("eventfd, counter %" G_GUINT64_FORMAT,
				       (guint64)f->efd->counter);
	if (f->epfd)
		return g_strdup_printf("epoll of %zu descriptors", f->epfd->n_tfd);
	if (f->nlsk)
		return g_strdup_printf("netlink, protocol %u", f->nlsk->protocol);
	return g_strdup_printf("%s:[%u]", type_name((uint32_t)f->type), id);
}

/* The status flags of the open file; -1 when its kind has none in the image. */
static int64_t status_flags(const FileEntry *f)
{
	return !f	 ? -1
	       : f->reg	 ? (int64_t)f->reg->flags
	       : f->pipe ? (int64_t)f->pipe->flags
	       : f->isk	 ? (int64_t)f->isk->flags
	       : f->usk	 ? (int64_t)f->usk->flags
	       : f->tty	 ? (int64_t)f->tty->flags
	       : f->efd	 ? (int64_t)f->efd->flags
			 : -1;
}

static const char *access_mode(int64_t flags)
{
	static const char *const modes[] = {"r", "w", "rw", ""};

	return flags < 0 ? "" : modes[flags & O_ACCMODE];
}

static json_t *descriptor(const struct describing *d, const FdinfoEntry *e)
{
	const FileEntry *f = file_of(d, e->id);
	g_autofree char *target = describe_target(d, e->id);
	json_t *j =
		json_pack("{si ss ss ss}", "fd", (int)e->fd, "type", type_name((uint32_t)e->type),
			  "target", target ? target : "?", "access", access_mode(status_flags(f)));

	if (f && f->reg)
		json_object_set_new(j, "position", json_integer((json_int_t)f->reg->pos));
	if (f && f->reg && f->reg->has_size)
		json_object_set_new(j, "size", json_integer((json_int_t)f->reg->size));
	if (e->flags & FD_CLOEXEC)
		json_object_set_new(j, "cloexec", json_true());
	return j;
}

int describe_descriptors(const struct describing *d, uint32_t files_id, json_t **ret)
{
	CLEANUP(image_close) struct image *img = NULL;
	CLEANUP(image_record_free) FdinfoEntry *e = NULL;
	json_t *list = json_array();
	int r = image_open(d->images, IMG_FDINFO, files_id, &img);

	while (r == 0 && (r = image_read(img, &e)) == 0)
		json_array_append_new(list, descriptor(d, e));
	if (r < 0) {
		json_decref(list);
		return r;
	}
	*ret = list;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	uint32_t x = (*(FileEntry *const *)a)->id, y = (*(FileEntry *const *)b)->id;

	return (x > y) - (x < y);
}

json_t *describe_sockets(const struct describing *d)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new();
	json_t *list = json_array();
	GHashTableIter it;
	void *value;

	g_hash_table_iter_init(&it, d->files);
	while (g_hash_table_iter_next(&it, NULL, &value))
		g_ptr_array_add(all, value);
	g_ptr_array_sort(all, by_id);
	for (guint i = 0; i < all->len; i++) {
		const FileEntry *f = all->pdata[i];
		g_autofree char *text = describe_target(d, f->id), *local = NULL, *peer = NULL;
		json_t *j;

		if (!f->isk && !f->usk)
			continue;
		j = json_pack("{si ss}", "id", (int)f->id, "text", text);
		if (f->isk) {
			local = address(f->isk->family, f->isk->src_addr, f->isk->n_src_addr,
					f->isk->src_port);
			peer = address(f->isk->family, f->isk->dst_addr, f->isk->n_dst_addr,
				       f->isk->dst_port);
			json_object_set_new(j, "protocol", json_string(protocol_name(f->isk)));
			json_object_set_new(j, "local", json_string(local));
			if (f->isk->dst_port)
				json_object_set_new(j, "peer", json_string(peer));
			json_object_set_new(j, "state", json_string(state_name(f->isk->state)));
		} else {
			local = unix_name(f->usk);
			json_object_set_new(j, "protocol", json_string("unix"));
			json_object_set_new(j, "local", json_string(local));
			json_object_set_new(j, "state", json_string(state_name(f->usk->state)));
		}
		json_array_append_new(list, j);
	}
	return list;
}
