/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket whose queue has been full: netlink_overrun() leaves ENOBUFS for the next receive.  It
 * happens when the kernel has an answer for which there is no room (netlink_attachskb()), be it to
 * nothing but a request for an acknowledgement (NLMSG_NOOP).  The room is taken by a message of our
 * own, which must not be there afterwards.  To receive it later would be to take the error; so it
 * is being received meanwhile: off the queue (skb_recv_datagram()), but not yet forgotten
 * (skb_free_datagram()), as the memory that it is copied to is not there before we say so
 * (userfaultfd(2)).
 */
#include "state/sock/netlink.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PAGE	    4096
#define FILL_BYTES  8192 /* more than the smallest queue has room for: SOCK_MIN_RCVBUF */
#define PATIENCE_MS 10000

struct taker {
	int fd;
	int uffd;
	void *page;
};

static void taker_clear(struct taker *t)
{
	cleanup_close(&t->uffd);
	if (t->page)
		munmap(t->page, PAGE);
}

static void *take(void *arg)
{
	const struct taker *t = arg;

	(void)recv(t->fd, t->page, PAGE, MSG_DONTWAIT);
	return NULL;
}

/* Memory that whoever writes there waits for. */
static int prepare(struct taker *t)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return err_errno("memory");
	t->page = p;
	reg.range = (struct uffdio_range){(uintptr_t)p, PAGE};
	t->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (t->uffd < 0 || ioctl(t->uffd, UFFDIO_API, &api) < 0 ||
	    ioctl(t->uffd, UFFDIO_REGISTER, &reg) < 0)
		return err_errno("userfaultfd");
	return 0;
}

static int fill(int sender, int fd, uint32_t port)
{
	const struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = port};
	static const char nothing[FILL_BYTES];
	int least = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &least, sizeof(least)) < 0 ||
	    sendto(sender, nothing, sizeof(nothing), MSG_DONTWAIT, (const struct sockaddr *)&to,
		   sizeof(to)) < 0)
		return err_errno("fill it");
	return 0;
}

static int ask(int fd)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	const struct nlmsghdr h = {.nlmsg_len = sizeof(h),
				   .nlmsg_type = NLMSG_NOOP,
				   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK};

	return sendto(fd, &h, sizeof(h), MSG_DONTWAIT, (const struct sockaddr *)&kernel,
		      sizeof(kernel)) < 0
		       ? err_errno("ask the kernel")
		       : 0;
}

int netlink_overrun(int fd, uint32_t port, int sender)
{
	CLEANUP(taker_clear) struct taker t = {.fd = fd, .uffd = -1};
	struct pollfd p = {.fd = fd};
	struct uffdio_zeropage zero;
	pthread_t thread;
	int r = prepare(&t);

	if (r == 0)
		r = fill(sender, fd, port);
	if (r < 0)
		return r;
	r = pthread_create(&thread, NULL, take, &t);
	if (r != 0)
		return err_code(-r, "a thread");
	if (poll(&(struct pollfd){.fd = t.uffd, .events = POLLIN}, 1, PATIENCE_MS) == 1)
		r = ask(fd);
	zero = (struct uffdio_zeropage){.range = {(uintptr_t)t.page, PAGE}};
	ioctl(t.uffd, UFFDIO_ZEROPAGE, &zero);
	pthread_join(thread, NULL);
	if (r == 0 && (poll(&p, 1, 0) != 1 || !(p.revents & POLLERR)))
		r = err_set(EOPNOTSUPP, "the kernel gives no answers in this protocol");
	return r;
}
