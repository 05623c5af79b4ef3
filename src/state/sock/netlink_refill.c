/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that waited in netlink(7) sockets, sent again: by a socket that has the port they came
 * from, one of the tree's or, where that one has gone, one for the moment.  A message to many is
 * sent to its receiver as well (netlink_sendmsg()), so nobody of the tree listens to groups yet;
 * where somebody else does it is not sent.  Uevents of the kernel, which a program may cause
 * (uevent_net_rcv()), get new numbers (SEQNUM).
 */
#include "state/sock/netlink.h"

#include "base/log.h"
#include "image/sk-netlink.pb-c.h"
#include "kernel/ns.h"
#include "state/ns/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif
#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif
#define UEVENTS	    1  /* their group */
#define GROUPS_MAX  32 /* that an address can name */
#define LINE_MAX_   512
#define UEVENT_MAX  65536
#define UEVENT_TYPE (NLMSG_MIN_TYPE + 1) /* any: uevent_net_rcv_skb() */

struct listeners {
	unsigned protocol;
	uint32_t groups;
};

/* "sk Eth Pid Groups ...": net/netlink/af_netlink.c: netlink_native_seq_show() */
static int read_groups(void *arg, int *ret_fd)
{
	const struct listeners *l = arg;
	FILE *f = fopen("/proc/thread-self/net/netlink", "re");
	char line[LINE_MAX_];
	uint32_t groups;
	unsigned protocol;
	bool heard = false;

	if (!f)
		return err_errno("/proc/net/netlink");
	while (!heard && fgets(line, sizeof(line), f))
		heard = sscanf(line, "%*s %u %*u %x", &protocol, &groups) == 2 &&
			protocol == l->protocol && groups & l->groups;
	fclose(f);
	return heard;
}

/* Does anybody listen to one of GROUPS where FD is? */
static int are_heard(int fd, unsigned protocol, uint32_t groups)
{
	struct listeners l = {.protocol = protocol, .groups = groups};
	autoclose int ns = groups ? ioctl(fd, SIOCGSKNS) : -1;

	if (!groups)
		return 0;
	if (ns < 0)
		return err_errno("network namespace of a socket");
	return ns_run(&ns, 1, read_groups, &l, NULL);
}

struct packet {
	uint32_t port, group; /* GROUP 0: to one */
	struct ucred cred;
};

static bool parse(const struct restore *r, json_t *j, struct packet *ret)
{
	json_int_t port, group, pid, uid, gid;

	if (json_unpack(j, "{s:I,s:I,s:[I,I,I]}", "port", &port, "group", &group, "cred", &pid,
			&uid, &gid) < 0)
		return false;
	*ret = (struct packet){.port = (uint32_t)port,
			       .group = (uint32_t)group,
			       .cred = {.pid = (pid_t)pid,
					.uid = users_outer_uid(r, (uint32_t)uid),
					.gid = users_outer_gid(r, (uint32_t)gid)}};
	return true;
}

static uint32_t mask_of(const struct packet *p)
{
	return p->group && p->group <= GROUPS_MAX ? 1u << (p->group - 1) : 0;
}

static uint32_t masks_of(struct restore *r, const struct file *f)
{
	json_t *one;
	uint32_t all = 0;
	struct packet p;
	size_t i;

	json_array_foreach(json_object_get(sock_extra(r, f->id), "packets"), i,
			   one) if (parse(r, one, &p)) all |= mask_of(&p);
	return all;
}

int netlink_missed(struct restore *r, const struct file *f)
{
	return json_object_get(sock_extra(r, f->id), "overrun")
		       ? 1
		       : are_heard(f->fd, f->entry->nlsk->protocol, masks_of(r, f));
}

static uint32_t ns_of(const struct file *f)
{
	return f->entry->nlsk->has_ns_id ? f->entry->nlsk->ns_id : 0;
}

static bool is_alike(const struct file *f, const struct file *to)
{
	return f->kind == &fd_netlink && f->fd >= 0 && ns_of(f) == ns_of(to) &&
	       f->entry->nlsk->protocol == to->entry->nlsk->protocol;
}

int netlink_sender(struct restore *r, const struct file *to, uint32_t port, int *ret_fd)
{
	const struct sockaddr_nl me = {.nl_family = AF_NETLINK, .nl_pid = port};
	struct sock_maker root = sock_maker_in(r, ns_of(to));
	autoclose int fd = -1;
	GHashTableIter it;
	struct file *f;
	int ret;

	g_hash_table_iter_init(&it, r->files);
	while (port && g_hash_table_iter_next(&it, NULL, (void **)&f))
		if (is_alike(f, to) && f->entry->nlsk->portid == port) {
			*ret_fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
			return *ret_fd < 0 ? err_errno("a socket") : 0;
		}
	ret = sock_make(&root, AF_NETLINK, SOCK_RAW, (int)to->entry->nlsk->protocol, &fd);
	if (ret == 0 && bind(fd, (const struct sockaddr *)&me, sizeof(me)) < 0)
		ret = err_errno("port %u", port);
	if (ret == 0)
		*ret_fd = take_fd(&fd);
	return ret;
}

static int send_it(int fd, const struct sockaddr_nl *to, const struct ucred *cred,
		   struct iovec *iov, unsigned n)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))] = {0};
	struct msghdr m = {.msg_name = (void *)to,
			   .msg_namelen = sizeof(*to),
			   .msg_iov = iov,
			   .msg_iovlen = n,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof(*cred));
	memcpy(CMSG_DATA(c), cred, sizeof(*cred));
	if (sendmsg(fd, &m, MSG_DONTWAIT) >= 0)
		return 0;
	if (errno != ESRCH)
		return err_errno("send it again");
	/* nobody has the sender's number (__scm_send()) */
	((struct ucred *)CMSG_DATA(c))->pid = getpid();
	return sendmsg(fd, &m, MSG_DONTWAIT) < 0 ? err_errno("send it again") : 0;
}

/* It ends with the kernel's number, and gets another one: uevent_net_broadcast(). */
static int send_uevent(int sender, const struct file *f, const struct sock_packet *k,
		       const struct packet *p)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	const struct ucred me = {.pid = getpid(), .uid = p->cred.uid, .gid = p->cred.gid};
	const char *number = memmem(k->data, k->len, "\0SEQNUM=", 8);
	size_t len = number ? (size_t)(number + 1 - (char *)k->data) : k->len;
	struct nlmsghdr h = {.nlmsg_len = (uint32_t)(sizeof(h) + len),
			     .nlmsg_type = UEVENT_TYPE,
			     .nlmsg_flags = NLM_F_REQUEST};
	struct iovec iov[] = {{.iov_base = &h, .iov_len = sizeof(h)},
			      {.iov_base = k->data, .iov_len = len}};
	int group = UEVENTS, r;

	if (k->len > UEVENT_MAX)
		return err_set(EBADMSG, "a uevent of %u bytes", k->len);
	if (setsockopt(f->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		return err_errno("join group %d", group);
	r = send_it(sender, &kernel, &me, iov, 2);
	if (setsockopt(f->fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof(group)) < 0 &&
	    r == 0)
		r = err_errno("leave group %d", group);
	return r;
}

static int send_again(struct restore *r, const struct file *f, const struct sock_packet *k,
		      const struct packet *p)
{
	const NetlinkSkEntry *e = f->entry->nlsk;
	const struct sockaddr_nl to = {
		.nl_family = AF_NETLINK, .nl_pid = e->portid, .nl_groups = mask_of(p)};
	struct iovec iov = {.iov_base = k->data, .iov_len = k->len};
	autoclose int sender = -1;
	int ret = netlink_sender(r, f, p->port, &sender);

	if (ret < 0)
		return ret;
	return p->port ? send_it(sender, &to, &p->cred, &iov, 1) : send_uevent(sender, f, k, p);
}

/* Of one socket. */
struct filling {
	unsigned n;
	int heard; /* -1: not asked yet */
};

static int refill(struct restore *r, const struct sock_packet *k, GHashTable *all)
{
	struct file *f = g_hash_table_lookup(r->files, GUINT_TO_POINTER(k->id));
	struct filling *g;
	struct packet p;
	int ret = 0;

	if (!f || f->kind != &fd_netlink || f->fd < 0)
		return 0;
	g = g_hash_table_lookup(all, f);
	if (!g) {
		g = g_new0(struct filling, 1);
		g->heard = -1;
		g_hash_table_insert(all, f, g);
	}
	if (!parse(r, json_array_get(json_object_get(sock_extra(r, f->id), "packets"), g->n++), &p))
		return err_set(EBADMSG, "netlink socket %u: message %u", f->id, g->n);
	if (mask_of(&p) && g->heard < 0)
		ret = g->heard = are_heard(f->fd, f->entry->nlsk->protocol, masks_of(r, f));
	if (mask_of(&p) && g->heard)
		ret = ret < 0 ? ret : err_set(EADDRINUSE, "others would hear it, too");
	if (ret == 0)
		ret = send_again(r, f, k, &p);
	if (ret < 0) {
		log_warn("netlink socket %u: a message of %u bytes from port %u is lost: %s", f->id,
			 k->len, p.port, err_message());
		err_clear();
	}
	return 0;
}

static bool is_anything(struct restore *r)
{
	GHashTableIter it;
	struct file *f;

	g_hash_table_iter_init(&it, r->files);
	while (g_hash_table_iter_next(&it, NULL, (void **)&f))
		if (f->kind == &fd_netlink && json_object_get(sock_extra(r, f->id), "packets"))
			return true;
	return false;
}

int netlink_refill(struct restore *r)
{
	g_autoptr(GHashTable) all = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	g_autoptr(GPtrArray) queue = NULL;
	int ret = 0;

	if (r->netlinks || !is_anything(r))
		return 0;
	r->netlinks = true;
	ret = sock_queues_load(r, &queue);
	for (unsigned i = 0; ret == 0 && i < queue->len; i++)
		ret = refill(r, g_ptr_array_index(queue, i), all);
	return ret;
}
