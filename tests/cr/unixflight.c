/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors on their way through unix sockets (SCM_RIGHTS), which nobody else may have. */
#include "cr.h"

#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#define FDS_MAX 8

union control {
	struct cmsghdr h;
	char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

static void give(int via, const char *text, const int *fds, unsigned n)
{
	union control c = {.h = {.cmsg_len = CMSG_LEN(n * sizeof(int)),
				 .cmsg_level = SOL_SOCKET,
				 .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {.iov_base = (char *)text, .iov_len = strlen(text)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &c,
			   .msg_controllen = CMSG_SPACE(n * sizeof(int))};

	memcpy(CMSG_DATA(&c.h), fds, n * sizeof(int));
	check(sendmsg(via, &m, 0) == (ssize_t)strlen(text), "errno %d", errno);
}

/* What comes must be TEXT with N descriptors. */
static void take(int via, const char *text, int *fds, unsigned n)
{
	union control c;
	char b[64];
	struct iovec iov = {.iov_base = b, .iov_len = strlen(text)};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
	ssize_t len = recvmsg(via, &m, MSG_DONTWAIT);

	check(len == (ssize_t)strlen(text) && !memcmp(b, text, strlen(text)), "%s: %zd, errno %d",
	      text, len, errno);
	check(n ? m.msg_controllen && c.h.cmsg_type == SCM_RIGHTS &&
			      c.h.cmsg_len == CMSG_LEN(n * sizeof(int))
		: !m.msg_controllen,
	      "%s: control of %zu bytes", text, (size_t)m.msg_controllen);
	memcpy(fds, CMSG_DATA(&c.h), n * sizeof(int));
}

static void reads(int fd, const char *text)
{
	char b[64] = "";

	check(read(fd, b, sizeof(b)) == (ssize_t)strlen(text) && !strcmp(b, text),
	      "%s instead of %s, errno %d", b, text, errno);
}

static void pair(int type, int s[2])
{
	check(socketpair(AF_UNIX, type, 0, s) == 0);
}

/* By a name that is this program's only: first or second. */
static socklen_t ring_name(int i, struct sockaddr_un *a)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   (size_t)snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "ring-%d-%d",
					    getpid(), i));
}

/* Two with names, each of them in both queues: only the kernel's garbage collector ends them. */
static void make_ring(int s[2])
{
	struct sockaddr_un a;

	pair(SOCK_DGRAM, s);
	for (int i = 0; i < 2; i++) {
		socklen_t len = ring_name(i, &a);

		check(bind(s[i], (struct sockaddr *)&a, len) == 0, "errno %d", errno);
	}
	for (int i = 0; i < 4; i++)
		give(s[i / 2], "round", &s[i % 2], 1);
}

static void verify_ring(int fd)
{
	struct sockaddr_un a, want;

	for (int i = 0; i < 3; i++) {
		socklen_t len = sizeof(a), other = ring_name(i % 2, &want);

		take(fd, "round", &fd, 1);
		check(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
		check(len == other && !memcmp(&a, &want, len), "%s", a.sun_path + 1);
	}
}

int main(void)
{
	int ring[2], stream[2], dgram[2], seq[2], self[2], outer[2], inner[2], ep[2], p[2], q[2],
		got[FDS_MAX], fd, e, memfd, shared = open("/proc/self/exe", O_RDONLY);
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 4711};
	char b[8];

	/* before other bytes; a pipe of which nobody has this end any more */
	pair(SOCK_STREAM, stream);
	check(pipe(p) == 0 && write(p[1], "pipe", 4) == 4);
	give(stream[0], "c", p, 2);
	check(send(stream[0], "de", 2, 0) == 2);
	close(p[0]);
	close(p[1]);

	/* one that is open as well: they share its position */
	pair(SOCK_DGRAM, dgram);
	check(lseek(shared, 100, SEEK_SET) == 100);
	memfd = memfd_create("on-its-way", 0);
	check(memfd >= 0 && write(memfd, "content", 7) == 7);
	check(lseek(memfd, 0, SEEK_SET) == 0);
	give(dgram[0], "two", (int[]){shared, memfd}, 2);
	close(memfd);
	check(send(dgram[0], "none", 4, 0) == 4);

	pair(SOCK_SEQPACKET, seq);
	check(pipe(q) == 0);
	give(seq[0], "end", &q[0], 1);
	close(q[0]);

	/* a socket in its own peer's queue, and nowhere else */
	pair(SOCK_STREAM, self);
	give(self[0], "me", &self[0], 1);
	close(self[0]);

	/* one inside of another */
	pair(SOCK_STREAM, outer);
	pair(SOCK_STREAM, inner);
	fd = open("/dev/null", O_WRONLY);
	give(inner[0], "in", &fd, 1);
	give(outer[0], "out", inner, 2);
	close(fd);
	close(inner[0]);
	close(inner[1]);

	pair(SOCK_DGRAM, ep);
	e = epoll_create1(0);
	check(epoll_ctl(e, EPOLL_CTL_ADD, ep[1], &ev) == 0);
	give(ep[0], "e", &e, 1);
	close(e);

	make_ring(ring);
	ready();

	verify_ring(ring[0]);
	take(stream[1], "c", got, 2);
	reads(got[0], "pipe");
	check(write(got[1], "more", 4) == 4);
	reads(got[0], "more");
	check(recv(stream[1], b, 8, 0) == 2 && !memcmp(b, "de", 2));

	take(dgram[1], "two", got, 2);
	check(lseek(got[0], 0, SEEK_CUR) == 100);
	check(lseek(shared, 200, SEEK_SET) == 200 && lseek(got[0], 0, SEEK_CUR) == 200);
	reads(got[1], "content");
	take(dgram[1], "none", NULL, 0);

	take(seq[1], "end", got, 1);
	check(write(q[1], "still", 5) == 5);
	reads(got[0], "still");

	take(self[1], "me", got, 1);
	check(write(got[0], "talk", 4) == 4);
	reads(self[1], "talk");
	check(write(self[1], "back", 4) == 4);
	reads(got[0], "back");

	take(outer[1], "out", got, 2);
	check(write(got[1], "hi", 2) == 2);
	reads(got[0], "hi");
	take(got[1], "in", &fd, 1);
	check(write(fd, "x", 1) == 1);

	ev.data.u64 = 0;
	take(ep[1], "e", &e, 1);
	check(send(ep[0], "wake", 4, 0) == 4);
	check(epoll_wait(e, &ev, 1, 0) == 1 && ev.data.u64 == 4711, "errno %d", errno);
	return ok();
}
