/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is watched for minor faults, and a userfaultfd of a process that has ended. */
#include "cr.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int receive(int sock)
{
	char control[CMSG_SPACE(sizeof(int))], c;
	struct iovec v = {&c, 1};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	int fd;

	check(recvmsg(sock, &m, 0) == 1 && CMSG_FIRSTHDR(&m));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

static void send_own(int sock)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, c = 0;
	struct iovec v = {&c, 1};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	_exit(sendmsg(sock, &m, 0) == 1 ? 0 : 1);
}

int main(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), v[2], theirs;
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_MINOR_SHMEM};
	struct uffdio_register range = {.mode = UFFDIO_REGISTER_MODE_MINOR};
	char *p = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	if (fd < 0)
		skip("the kernel has no userfaultfd, or forbids it");
	range.range.start = (uintptr_t)p;
	range.range.len = 16384;
	check(ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &range) == 0,
	      "errno %d", errno);
	say("expect: is watched by userfaultfd for minor faults\n");
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, v) == 0);
	pid = fork();
	if (pid == 0)
		send_own(v[1]);
	theirs = receive(v[0]);
	check(waitpid(pid, NULL, 0) == pid);
	say("expect: the process whose memory it watches is not in the tree, or has ended\n");
	ready();
	check(fcntl(theirs, F_GETFD) >= 0);
	check(ioctl(fd, UFFDIO_UNREGISTER, &range.range) == 0, "errno %d", errno);
	return ok();
}
