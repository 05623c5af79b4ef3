/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors on their way through a unix socket are refused; what waits there is not lost. */
#include "cr.h"

#include <sys/socket.h>

int main(void)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} c = {.h = {.cmsg_len = CMSG_LEN(sizeof(int)),
		     .cmsg_level = SOL_SOCKET,
		     .cmsg_type = SCM_RIGHTS}};
	char byte = 'x';
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
	int s[2], fd = 0;

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
	check(sendmsg(s[0], &m, 0) == 1);
	ready();
	check(recvmsg(s[1], &m, 0) == 1 && m.msg_controllen > 0);
	return ok();
}
