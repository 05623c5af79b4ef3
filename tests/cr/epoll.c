/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll: plain, edge-triggered, one-shot (armed and spent), nested, the same file twice, targets
 * that were duplicated and closed, whose number is another file's, in a child, and a signalfd.
 */
#include "cr.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>

static int ep, outer;

static void add(int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = {.events = events, .data.u64 = data};

	check(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) == 0, "number %d: errno %d", fd, errno);
}

/* A bit per data value. */
static unsigned ready_set(int fd, int wait)
{
	struct epoll_event e[32];
	unsigned set = 0;
	int n = epoll_wait(fd, e, 32, wait);

	check(n >= 0);
	for (int i = 0; i < n; i++)
		set |= 1u << e[i].data.u64;
	return set;
}

static int verify_child(void)
{
	uint64_t one = 1;

	/* it has the same epoll, and its number 40 is what was added as 40 */
	return write(40, &one, 8) == 8 ? 0 : 1;
}

/* ioctl_eventpoll(2), Linux 6.9 */
struct polling {
	uint32_t usecs;
	uint16_t packets;
	uint8_t alone, none;
};
#define SET_POLLING _IOW(0x8a, 0x01, struct polling)
#define GET_POLLING _IOR(0x8a, 0x02, struct polling)

static bool set_polling(void)
{
	return ioctl(ep, SET_POLLING, &(struct polling){50, 8, 1, 0}) == 0;
}

static void verify_polling(void)
{
	struct polling p = {0};

	check(ioctl(ep, GET_POLLING, &p) == 0 && p.usecs == 50 && p.packets == 8 && p.alone == 1,
	      "%u, %u, %u", p.usecs, p.packets, p.alone);
}

int main(void)
{
	bool polls;
	uint64_t one = 1, got;
	struct epoll_event e = {0};
	struct signalfd_siginfo si;
	struct child c;
	sigset_t usr1;
	int plain, edge, spent, armed, twice, dupped, hidden, sfd, p[2];

	ep = epoll_create1(EPOLL_CLOEXEC);
	outer = epoll_create1(0);
	check(fcntl(outer, F_SETFL, O_NONBLOCK) == 0);
	check(ep >= 0 && outer >= 0);
	polls = set_polling();
	plain = eventfd(0, EFD_NONBLOCK);
	edge = eventfd(0, EFD_NONBLOCK);
	spent = eventfd(1, EFD_NONBLOCK);
	armed = eventfd(0, EFD_NONBLOCK);
	twice = eventfd(0, EFD_NONBLOCK);
	hidden = eventfd(0, EFD_NONBLOCK);
	check(pipe(p) == 0);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	sfd = signalfd(-1, &usr1, SFD_NONBLOCK);

	add(spent, EPOLLIN | EPOLLONESHOT, 2);
	check(ready_set(ep, 0) == 1 << 2);
	add(plain, EPOLLIN, 0);
	add(edge, EPOLLIN | EPOLLET, 1);
	add(armed, EPOLLIN | EPOLLONESHOT, 3);
	add(twice, EPOLLIN, 4);
	check(dup2(twice, 31) == 31);
	add(31, EPOLLIN, 5);
	/* added as 30, which is another file's by now; the file goes on as number 33 */
	check(dup2(hidden, 30) == 30 && dup2(hidden, 33) == 33);
	add(30, EPOLLIN, 6);
	close(hidden);
	check(dup2(plain, 30) == 30);
	add(30, EPOLLIN, 7);
	/* added as 35, which is closed */
	dupped = p[0];
	check(dup2(dupped, 35) == 35);
	add(35, EPOLLIN, 8);
	close(35);
	add(sfd, EPOLLIN, 9);
	e = (struct epoll_event){.events = EPOLLIN, .data.u64 = 0x123456789abcdef0};
	check(epoll_ctl(outer, EPOLL_CTL_ADD, ep, &e) == 0);
	check(dup2(eventfd(0, 0), 40) == 40);
	add(40, EPOLLIN, 10);
	c = child_start(NULL, verify_child);

	ready();
	if (polls)
		verify_polling();

	check(ready_set(ep, 0) == 0, "ready: %#x", ready_set(ep, 0));
	check(epoll_wait(outer, &e, 1, 0) == 0 && fcntl(outer, F_GETFL) & O_NONBLOCK);
	check(write(plain, &one, 8) == 8);
	check(ready_set(ep, 0) == (1 << 0 | 1 << 7), "%#x", ready_set(ep, 0));
	check(epoll_wait(outer, &e, 1, 0) == 1 && e.data.u64 == 0x123456789abcdef0);
	check(read(30, &got, 8) == 8 && got == 1);
	check(ready_set(ep, 0) == 0);
	check(write(edge, &one, 8) == 8);
	check(ready_set(ep, 0) == 1 << 1 && ready_set(ep, 0) == 0);
	check(write(spent, &one, 8) == 8);
	check(ready_set(ep, 0) == 0);
	e = (struct epoll_event){.events = EPOLLIN, .data.u64 = 2};
	check(epoll_ctl(ep, EPOLL_CTL_MOD, spent, &e) == 0, "it is a member, errno %d", errno);
	check(ready_set(ep, 0) == 1 << 2 && read(spent, &got, 8) == 8);
	check(write(armed, &one, 8) == 8);
	check(ready_set(ep, 0) == 1 << 3 && ready_set(ep, 0) == 0);
	check(write(twice, &one, 8) == 8);
	check(ready_set(ep, 0) == (1 << 4 | 1 << 5));
	/* by its number */
	check(epoll_ctl(ep, EPOLL_CTL_DEL, 31, NULL) == 0 && ready_set(ep, 0) == 1 << 4);
	check(read(twice, &got, 8) == 8);
	check(write(33, &one, 8) == 8);
	check(ready_set(ep, 0) == 1 << 6, "%#x", ready_set(ep, 0));
	check(epoll_ctl(ep, EPOLL_CTL_DEL, 33, NULL) < 0 && errno == ENOENT);
	check(dup2(33, 30) == 30 && epoll_ctl(ep, EPOLL_CTL_DEL, 30, NULL) == 0);
	check(ready_set(ep, 0) == 0);
	check(write(p[1], "x", 1) == 1);
	check(ready_set(ep, 0) == 1 << 8);
	check(read(p[0], &got, 1) == 1);
	kill(getpid(), SIGUSR1);
	check(ready_set(ep, 1000) == 1 << 9, "%#x", ready_set(ep, 0));
	check(read(sfd, &si, sizeof(si)) == sizeof(si) && si.ssi_signo == SIGUSR1);
	child_go(&c);
	check(ready_set(ep, 0) == 1 << 10);
	check(fcntl(ep, F_GETFD) == FD_CLOEXEC && fcntl(outer, F_GETFD) == 0);
	return ok();
}
