/* SPDX-License-Identifier: Apache-2.0 */
/* Locks of descriptions that are only on their way (SCM_RIGHTS): flock(2), and by description. */
#include "cr.h"

#include <sys/file.h>
#include <sys/socket.h>

static char dir[] = "/tmp/flightlocksXXXXXX";

static int opened(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	check(fd >= 0, "%s: errno %d", path, errno);
	return fd;
}

static void send_away(int sock, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {.iov_base = (char[]){"x"}, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	check(sendmsg(sock, &m, 0) == 1 && close(fd) == 0);
}

static struct flock range(short type)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5};
}

static bool locked(const char *name)
{
	int fd = opened(name);
	bool r = flock(fd, LOCK_EX | LOCK_NB) < 0;

	close(fd);
	return r;
}

static bool range_locked(const char *name, int64_t at)
{
	struct flock l = range(F_WRLCK);
	int fd = opened(name);

	l.l_start = at;
	l.l_len = 1;
	check(fcntl(fd, F_OFD_GETLK, &l) == 0);
	close(fd);
	return l.l_type != F_UNLCK;
}

int main(void)
{
	struct flock l = range(F_WRLCK);
	int pair[2], fd;
	char buf[64];

	check(mkdtemp(dir) && socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	fd = opened("whole");
	check(flock(fd, LOCK_EX) == 0);
	send_away(pair[0], fd);
	fd = opened("part");
	check(fcntl(fd, F_OFD_SETLK, &l) == 0);
	send_away(pair[0], fd);
	ready();
	check(locked("whole"), "flock(2) is lost");
	check(range_locked("part", 10) && range_locked("part", 14), "the range is lost");
	check(!range_locked("part", 9) && !range_locked("part", 15), "the range is another one");
	check(recv(pair[1], buf, 1, 0) == 1 && recv(pair[1], buf, 1, 0) == 1); /* closes both */
	check(!locked("whole") && !range_locked("part", 10), "somebody holds them still");
	for (int i = 0; i < 2; i++) {
		snprintf(buf, sizeof(buf), "%s/%s", dir, i ? "part" : "whole");
		unlink(buf);
	}
	rmdir(dir);
	return ok();
}
