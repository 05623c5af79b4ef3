/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink sockets that the kernel gives packets to: NFQUEUE, NFLOG. */
#include "cr.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define PACKETS "/proc/thread-self/net/netfilter/nfnetlink_queue"
#define LOGS	"/proc/thread-self/net/netfilter/nfnetlink_log"

static int open_it(unsigned *ret_port)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	socklen_t len = sizeof(a);

	if (fd < 0)
		skip("no nfnetlink");
	check(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	check(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	*ret_port = a.nl_pid;
	return fd;
}

static int ask(int fd, int type, unsigned number, int attr, const void *data, size_t len)
{
	struct {
		struct nlmsghdr h;
		struct nfgenmsg g;
		struct nlattr a;
		char data[16];
	} q = {.h = {.nlmsg_len =
			     (unsigned)(NLMSG_LENGTH(sizeof(q.g)) + NLA_HDRLEN + NLA_ALIGN(len)),
		     .nlmsg_type = (unsigned short)type,
		     .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
	       .g = {.nfgen_family = AF_INET, .res_id = htons((unsigned short)number)},
	       .a = {.nla_len = (unsigned short)(NLA_HDRLEN + len),
		     .nla_type = (unsigned short)attr}};
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char more[256];
	} answer;

	memcpy(q.data, data, len);
	check(send(fd, &q, q.h.nlmsg_len, 0) == (ssize_t)q.h.nlmsg_len);
	check(recv(fd, &answer, sizeof(answer), 0) >= (ssize_t)sizeof(answer.e));
	return -answer.e.error;
}

static int configure_queue(int fd, unsigned number, int attr, const void *data, size_t len)
{
	return ask(fd, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG, number, attr, data, len);
}

static int configure_log(int fd, unsigned number, int attr, const void *data, size_t len)
{
	return ask(fd, NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG, number, attr, data, len);
}

static void bind_queue(int fd, unsigned number, unsigned range, int mode)
{
	struct nfqnl_msg_config_cmd c = {.command = NFQNL_CFG_CMD_BIND};
	struct nfqnl_msg_config_params p = {.copy_range = htonl(range),
					    .copy_mode = (unsigned char)mode};
	int e = configure_queue(fd, number, NFQA_CFG_CMD, &c, sizeof(c));

	if (e == EINVAL)
		skip("no NFQUEUE");
	check(e == 0, "error %d", e);
	check(configure_queue(fd, number, NFQA_CFG_PARAMS, &p, sizeof(p)) == 0);
}

static void bind_log(int fd, unsigned number, unsigned range, unsigned timeout)
{
	struct nfulnl_msg_config_cmd c = {.command = NFULNL_CFG_CMD_BIND};
	struct nfulnl_msg_config_mode m = {.copy_range = htonl(range),
					   .copy_mode = NFULNL_COPY_PACKET};
	int e = configure_log(fd, number, NFULA_CFG_CMD, &c, sizeof(c));

	if (e == EINVAL)
		skip("no NFLOG");
	check(e == 0, "error %d", e);
	check(configure_log(fd, number, NFULA_CFG_MODE, &m, sizeof(m)) == 0);
	timeout = htonl(timeout);
	check(configure_log(fd, number, NFULA_CFG_TIMEOUT, &timeout, sizeof(timeout)) == 0);
}

/* number, port, mode, range, timeout */
static void is_bound(const char *file, const unsigned want[5], int numbers)
{
	FILE *f = fopen(file, "re");
	char line[256];
	unsigned v[5];

	check(f, "errno %d", errno);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%u %u %*u %u %u %u", &v[0], &v[1], &v[2], &v[3], &v[4]) == 5 &&
		    memcmp(v, want, (size_t)numbers * sizeof(*v)) == 0) {
			fclose(f);
			return;
		}
	check(0, "%s: %u is not bound", file, want[0]);
}

/* What is sent to ADDRESS is logged to group 9: false if it cannot be. */
#define ADDRESS "127.0.0.9"
static bool log_packets(void)
{
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	bool up = ioctl(s, SIOCSIFFLAGS, &r) == 0;

	close(s);
	return up && system("iptables -A OUTPUT -d " ADDRESS
			    " -j NFLOG --nflog-group 9 2>/dev/null") == 0;
}

static void send_one(void)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = inet_addr(ADDRESS)};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	check(sendto(s, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)) == 1, "errno %d", errno);
	close(s);
}

static void wait_for(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	check(poll(&p, 1, 20000) == 1, "nothing comes");
}

/* What waits, or that something was missed; and what comes now. */
static void is_told(int fd)
{
	char buf[8192];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	check(n > 0 || errno == ENOBUFS, "errno %d", errno);
	send_one();
	wait_for(fd);
	n = recv(fd, buf, sizeof(buf), 0);
	check(n > 0 && ((struct nlmsghdr *)buf)->nlmsg_type ==
			       (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET),
	      "%zd, errno %d", n, errno);
}

static unsigned one_port, two_port, log_port;
static int one, two, log_fd;
static bool logged;

/* In a child: nothing of this is to happen in the network namespace that the runner is in. */
static int make(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		skip("no network namespaces");
	one = open_it(&one_port);
	two = open_it(&two_port);
	bind_queue(one, 5, 1000, NFQNL_COPY_PACKET);
	bind_queue(one, 6, 0, NFQNL_COPY_META);
	bind_log(one, 8, 300, 70);
	log_fd = open_it(&log_port);
	bind_log(log_fd, 9, 100, 1);
	logged = log_packets();
	if (logged) {
		send_one();
		wait_for(log_fd);
	}
	bind_queue(two, 7, 2000, NFQNL_COPY_PACKET);
	return 0;
}

static int verify(void)
{
	struct nfqnl_msg_config_cmd unbind = {.command = NFQNL_CFG_CMD_UNBIND};

	is_bound(PACKETS, (unsigned[5]){5, one_port, NFQNL_COPY_PACKET, 1000}, 4);
	is_bound(PACKETS, (unsigned[5]){6, one_port, NFQNL_COPY_META, 0}, 3);
	is_bound(PACKETS, (unsigned[5]){7, two_port, NFQNL_COPY_PACKET, 2000}, 4);
	is_bound(LOGS, (unsigned[5]){8, one_port, NFULNL_COPY_PACKET, 300, 70}, 5);
	if (logged)
		is_told(log_fd);
	check(configure_queue(two, 7, NFQA_CFG_CMD, &unbind, sizeof(unbind)) == 0);
	return 0;
}

int main(void)
{
	struct child c = child_start(make, verify);

	ready();
	child_go(&c);
	return ok();
}
