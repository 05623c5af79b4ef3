/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "engine/network_private.h"
#include "kernel/fsmagic.h"
#include "kernel/mount.h"
#include "kernel/ns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int loopback_up(void)
{
	autoclose int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	if (s < 0 || ioctl(s, SIOCSIFFLAGS, &ifr) < 0)
		return err_errno("bring up lo");
	return 0;
}

/*
 * A network namespace belongs to a thread (setns(2)): one of its own costs less than a process, and
 * there is no way back that could fail.  FN uses sockets only, as /proc/self is about the first
 * thread.
 */
struct visit {
	int ns; /* -1: none to enter */
	ns_fn fn;
	void *arg;
	int result;
	char *story;
};

static void *visitor(void *data)
{
	struct visit *v = data;

	if (v->ns >= 0 && setns(v->ns, CLONE_NEWNET) < 0)
		v->result = err_errno("enter the network namespace");
	else
		v->result = v->fn(v->arg, NULL);
	if (v->result < 0)
		v->story = g_strdup(err_message());
	return NULL;
}

static int visit(int ns, ns_fn fn, void *arg)
{
	struct visit v = {.ns = ns, .fn = fn, .arg = arg};
	GThread *t = g_thread_try_new("netns", visitor, &v, NULL);
	g_autofree char *story = NULL;

	if (!t)
		return ns_run(&ns, 1, fn, arg, NULL);
	g_thread_join(t);
	story = v.story;
	return v.result < 0 ? err_adopt(v.result, story) : v.result;
}

/* In a thread: only the namespace, which the mount keeps alive, outlives it. */
static int make_and_mount(void *arg, int *ret_fd)
{
	const char *path = arg;
	int r;

	if (unshare(CLONE_NEWNET) < 0)
		return err_errno("new network namespace");
	r = loopback_up();
	if (r < 0)
		return r;
	if (mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL) < 0)
		return err_errno("mount network namespace at %s", path);
	return 0;
}

int netns_make(const char *path)
{
	int fd, r = netns_remove(path);

	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0)
		return err_errno("create %s", path);
	close(fd);
	r = visit(-1, make_and_mount, (char *)path);
	if (r < 0)
		unlink(path);
	return r;
}

int netns_remove(const char *path)
{
	int r = mount_detach(path);

	if (r < 0)
		return r;
	if (unlink(path) < 0 && errno != ENOENT)
		return err_errno("remove %s", path);
	return 0;
}

/* A killed netns_make() leaves a plain file. */
int netns_exists(const char *path)
{
	autoclose int fd = open(path, O_PATH | O_CLOEXEC);
	uint64_t magic;
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno("open %s", path);
	r = fsmagic_of(fd, &magic);
	return r < 0 ? r : magic == fsmagic_number("nsfs");
}

static int inside(const char *path, ns_fn fn, void *arg)
{
	autoclose int ns = open(path, O_RDONLY | O_CLOEXEC);

	if (ns < 0)
		return err_errno("open network namespace %s", path);
	return visit(ns, fn, arg);
}

struct address {
	const char *name, *ip;
};

static int has_address(void *arg, int *ret_fd)
{
	const struct address *a = arg;
	autoclose int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in in;
	struct ifreq ifr = {0};
	char text[INET_ADDRSTRLEN];

	g_strlcpy(ifr.ifr_name, a->name, IFNAMSIZ);
	if (s < 0)
		return err_errno("socket");
	if (ioctl(s, SIOCGIFADDR, &ifr) < 0)
		return errno == ENODEV || errno == EADDRNOTAVAIL ? 0 : err_errno("address of eth0");
	memcpy(&in, &ifr.ifr_addr, sizeof(in));
	return !strcmp(inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text)), a->ip);
}

int netns_has_address(const char *path, const char *name, const char *ip)
{
	struct address a = {.name = name, .ip = ip};

	return inside(path, has_address, &a);
}

/* rtnetlink(7): one request about a link, and its answer. */
struct link_request {
	struct nlmsghdr head;
	struct ifinfomsg info;
	char attributes[128];
};

union link_answer {
	struct nlmsghdr head;
	struct {
		struct nlmsghdr head;
		struct nlmsgerr err;
	} error;
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} link;
	char space[16384];
};

static void begin(struct link_request *q, unsigned short type, unsigned short flags)
{
	*q = (struct link_request){.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
					    .nlmsg_type = type,
					    .nlmsg_flags = NLM_F_REQUEST | flags}};
}

static struct rtattr *add(struct link_request *q, unsigned short type, const void *data, size_t len)
{
	struct rtattr *a = (void *)((char *)q + NLMSG_ALIGN(q->head.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	q->head.nlmsg_len = NLMSG_ALIGN(q->head.nlmsg_len) + RTA_ALIGN(a->rta_len);
	return a;
}

static int ask(const struct link_request *q, union link_answer *a)
{
	autoclose int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t n;

	if (s < 0 || send(s, q, q->head.nlmsg_len, 0) < 0)
		return err_errno("rtnetlink");
	n = recv(s, a, sizeof(*a), 0);
	if (n < 0)
		return err_errno("rtnetlink");
	if (!NLMSG_OK(&a->head, (size_t)n))
		return err_set(EBADMSG, "rtnetlink: short answer");
	if (a->head.nlmsg_type == NLMSG_ERROR && a->error.err.error)
		return err_code(a->error.err.error, "rtnetlink");
	return 0;
}

/* A veth pair whose other end, named by the kernel, is here too. */
static int make_veth(void *arg, int *ret_fd)
{
	const char *name = arg;
	struct link_request q;
	union link_answer a;
	struct rtattr *nest;
	int r;

	begin(&q, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	add(&q, IFLA_IFNAME, name, strlen(name) + 1);
	nest = add(&q, IFLA_LINKINFO, NULL, 0);
	add(&q, IFLA_INFO_KIND, "veth", 4);
	nest->rta_len = (unsigned short)((char *)&q + q.head.nlmsg_len - (char *)nest);
	r = ask(&q, &a);
	return r < 0 && r != -EEXIST ? err_wrap(r, "make interface %s", name) : 0;
}

int netns_make_decoy(const char *path, const char *name)
{
	return inside(path, make_veth, (char *)name);
}

static int find_peer(void *arg, int *ret_fd)
{
	const char *name = arg;
	struct link_request q;
	union link_answer a;
	int r, left;

	begin(&q, RTM_GETLINK, 0);
	add(&q, IFLA_IFNAME, name, strlen(name) + 1);
	r = ask(&q, &a);
	if (r < 0)
		return err_wrap(r, "look at interface %s", name);
	left = (int)IFLA_PAYLOAD(&a.head);
	for (struct rtattr *at = IFLA_RTA(&a.link.info); RTA_OK(at, left); at = RTA_NEXT(at, left))
		if (at->rta_type == IFLA_LINK)
			return *(int *)RTA_DATA(at);
	return 0;
}

int netns_peer_index(const char *path, const char *name)
{
	return inside(path, find_peer, (char *)name);
}

int netns_delete_link(int index)
{
	struct link_request q;
	union link_answer a;
	int r;

	begin(&q, RTM_DELLINK, NLM_F_ACK);
	q.info.ifi_index = index;
	r = ask(&q, &a);
	return r == -ENODEV ? 0 : r;
}
