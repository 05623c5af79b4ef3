/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netlink(7) sockets: who they are and which groups they listen to.  Messages that wait to be read:
 * netlink_queue.c.
 */
#include "state/sock/netlink.h"

#include "base/log.h"
#include "image/sk-netlink.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <strings.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif
#define GROUP_WORDS_MAX 1024

static const int options[] = {
	NETLINK_PKTINFO, NETLINK_BROADCAST_ERROR, NETLINK_NO_ENOBUFS,	  NETLINK_LISTEN_ALL_NSID,
	NETLINK_CAP_ACK, NETLINK_EXT_ACK,	  NETLINK_GET_STRICT_CHK,
};

static bool match(const struct dump *d, const struct fd_view *v)
{
	return sock_family(v) == AF_NETLINK;
}

static int check(struct dump *d, const struct fd_view *v)
{
	CLEANUP(sock_view_clear) struct sock_view s = SOCK_VIEW_NONE;
	int r = fown_check(v);

	if (r == 0)
		r = sock_view_read(d, v, &s);
	if (r == 0)
		r = sock_options_check(&s);
	return r < 0 ? r : netlink_queue_check(&s, d);
}

/* Groups beyond 32 are only in this list (net/netlink/af_netlink.c: netlink_getsockopt()). */
static int dump_groups(const struct sock_view *s, NetlinkSkEntry *e)
{
	socklen_t len = 0;

	if (getsockopt(s->fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, NULL, &len) < 0)
		return err_errno("its groups");
	if (len == 0 || len > GROUP_WORDS_MAX * sizeof(uint32_t))
		return 0;
	len = ROUND_UP(len, sizeof(uint32_t));
	e->groups = g_malloc0(len);
	e->n_groups = len / sizeof(uint32_t);
	if (getsockopt(s->fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, e->groups, &len) < 0)
		return err_errno("its groups");
	return 0;
}

static void dump_options(const struct sock_view *s, json_t *x)
{
	json_t *all = json_array();
	int v;

	for (unsigned i = 0; i < ARRAY_SIZE(options); i++)
		if (sock_get_int(s->fd, SOL_NETLINK, options[i], &v) && v)
			json_array_append_new(all, json_integer(options[i]));
	json_object_set_new(x, "options", all);
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *file)
{
	CLEANUP(sock_view_clear) struct sock_view s = SOCK_VIEW_NONE;
	NetlinkSkEntry *e = file->nlsk = g_new0(NetlinkSkEntry, 1);
	struct sockaddr_nl me = {0}, peer = {0};
	socklen_t len = sizeof(me);
	int r;

	netlink_sk_entry__init(e);
	r = sock_view_read(d, v, &s);
	if (r < 0)
		return r;
	if (getsockname(s.fd, (struct sockaddr *)&me, &len) < 0)
		return err_errno("%s: name", v->link);
	len = sizeof(peer);
	if (getpeername(s.fd, (struct sockaddr *)&peer, &len) < 0)
		peer = (struct sockaddr_nl){0};
	e->id = file->id;
	e->ino = s.ino;
	e->has_ns_id = true;
	e->ns_id = s.ns;
	e->protocol = (uint32_t)s.protocol;
	e->state = peer.nl_pid || peer.nl_groups ? TCP_ESTABLISHED : TCP_CLOSE;
	e->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	e->portid = me.nl_pid;
	e->dst_portid = peer.nl_pid;
	e->dst_group = peer.nl_groups ? (uint32_t)ffs((int)peer.nl_groups) : 0; /* its number */
	dump_options(&s, sock_extra_new(d, file->id));
	if (s.type == SOCK_DGRAM) /* SOCK_RAW is the same but for its name */
		json_object_set_new(sock_extra_of(d, file->id), "datagrams", json_true());
	sock_more_dump(&s, sock_extra_of(d, file->id));
	r = netlink_queue_dump(d, &s, file->id, sock_extra_of(d, file->id));
	if (r == 0)
		r = netlink_packets_dump(&s, e->portid, sock_extra_of(d, file->id));
	if (r < 0)
		return r;
	r = dump_groups(&s, e);
	if (r == 0)
		r = fown_dump(v, &e->fown);
	if (r == 0)
		r = sock_options_dump(&s, &e->opts);
	return r < 0 ? err_wrap(r, "%s", v->link) : 0;
}

static int load(struct restore *r, struct file *f)
{
	const NetlinkSkEntry *e = f->entry->nlsk;

	if (!e)
		return 1;
	if (e->n_groups > GROUP_WORDS_MAX)
		return err_set(EBADMSG, "netlink socket %u has %zu words of groups", f->id,
			       e->n_groups);
	return 0;
}

static int join(int fd, const NetlinkSkEntry *e)
{
	for (size_t i = 0; i < e->n_groups * 32; i++) {
		int group = (int)i + 1;

		if (e->groups[i / 32] & 1u << i % 32 &&
		    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
			return err_errno("join group %d", group);
	}
	return 0;
}

/* Before it is connected, and has a filter: both keep messages of others out. */
static int tell_missed(struct restore *r, const struct file *f)
{
	autoclose int sender = -1;
	int ret = netlink_missed(r, f);

	if (ret == 1)
		ret = netlink_sender(r, f, 0, &sender);
	if (sender >= 0)
		ret = netlink_overrun(f->fd, f->entry->nlsk->portid, sender);
	if (ret < 0) {
		log_warn("netlink socket %u has missed something, and is not told so: %s", f->id,
			 err_message());
		err_clear();
	}
	return 0;
}

static int bind_it(int fd, const NetlinkSkEntry *e)
{
	struct sockaddr_nl me = {.nl_family = AF_NETLINK, .nl_pid = e->portid};

	return e->portid && bind(fd, (struct sockaddr *)&me, sizeof(me)) < 0
		       ? err_errno("bind to port %u", e->portid)
		       : 0;
}

static int connect_it(int fd, const NetlinkSkEntry *e)
{
	struct sockaddr_nl peer = {.nl_family = AF_NETLINK,
				   .nl_pid = e->dst_portid,
				   .nl_groups = e->dst_group ? 1u << (e->dst_group - 1) % 32 : 0};

	if (e->state == TCP_ESTABLISHED && connect(fd, (struct sockaddr *)&peer, sizeof(peer)) < 0)
		return err_errno("connect to port %u", e->dst_portid);
	return 0;
}

static int restore_options(int fd, json_t *x)
{
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(x, "options"), i, one)
	{
		int name = (int)json_integer_value(one), r = 0;

		for (unsigned j = 0; r == 0 && j < ARRAY_SIZE(options); j++)
			if (options[j] == name)
				r = sock_set_int(fd, SOL_NETLINK, name, 1);
		if (r < 0)
			return r;
	}
	return 0;
}

static int open_(struct restore *r, struct file *f)
{
	const NetlinkSkEntry *e = f->entry->nlsk;
	struct sock_maker root = sock_maker_in(r, e->has_ns_id ? e->ns_id : 0);
	bool datagrams = json_object_get(sock_extra(r, f->id), "datagrams");
	int ret = sock_make(&root, AF_NETLINK, datagrams ? SOCK_DGRAM : SOCK_RAW, (int)e->protocol,
			    &f->fd);

	if (ret == 0)
		ret = bind_it(f->fd, e);
	if (ret == 0)
		ret = netlink_packets_restore(f->fd, sock_extra(r, f->id));
	if (ret == 0)
		ret = tell_missed(r, f);
	if (ret == 0)
		ret = sock_options_restore(f->fd, e->opts);
	if (ret == 0)
		ret = sock_more_restore(f->fd, sock_extra(r, f->id));
	if (ret == 0)
		ret = restore_options(f->fd, sock_extra(r, f->id));
	if (ret == 0)
		ret = connect_it(f->fd, e);
	return ret < 0 ? err_wrap(ret, "netlink socket %u of protocol %u", f->id, e->protocol) : 0;
}

static int finish(struct restore *r, struct file *f)
{
	const NetlinkSkEntry *e = f->entry->nlsk;
	int ret = netlink_refill(r);

	if (ret == 0)
		ret = join(f->fd, e);
	if (ret == 0)
		ret = sock_flags_restore(r, f, e->fown, e->flags);
	return ret < 0 ? err_wrap(ret, "netlink socket %u of protocol %u", f->id, e->protocol) : 0;
}

const struct fd_kind fd_netlink = {
	.name = "netlink socket",
	.type = FD_TYPES__NETLINKSK,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
	.finish = finish,
	.settle = fown_settle,
};
