/* SPDX-License-Identifier: Apache-2.0 */
/* The stub from outside: its program, its socket, its greeting. */
#include "agent/stub.h"

#include "agent/private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int stub_memfd(int *ret_fd)
{
	autoclose int fd = memfd_create("cryopod-stub", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char path[40];
	int r;

	if (fd < 0)
		return err_errno("memfd_create");
	r = fd_write_full(fd, stub_program, (size_t)(stub_program_end - stub_program));
	if (r < 0)
		return r;
	if (fchmod(fd, 0555) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_errno("sealing the stub");
	/* execve(2) of a file that somebody has open for writing is ETXTBSY. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno("open %s", path) : 0;
}

int stub_exec(int stub_fd, int sock)
{
	char *const argv[] = {(char *)"stub", NULL}, *const env[] = {NULL};
	int high_stub = fcntl(stub_fd, F_DUPFD, STUB_SOCK + 1);
	int high_sock = fcntl(sock, F_DUPFD, STUB_SOCK + 1);

	if (high_stub < 0 || high_sock < 0 || dup2(high_stub, STUB_FD) < 0 ||
	    dup2(high_sock, STUB_SOCK) < 0)
		return err_errno("placing the stub's descriptors");
	syscall(SYS_close_range, STUB_SOCK + 1, ~0u, 0);
	syscall(SYS_execveat, STUB_FD, "", argv, env, AT_EMPTY_PATH);
	return err_errno("executing the stub");
}

int stub_socketpair(int *ret_ours, int *ret_theirs)
{
	int on = 1, sv[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return err_errno("socketpair");
	/* Before anything is sent: credentials are added by the sender (unix_maybe_add_creds()). */
	if (setsockopt(sv[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
		int r = err_errno("SO_PASSCRED");

		close(sv[0]);
		close(sv[1]);
		return r;
	}
	*ret_ours = sv[0];
	*ret_theirs = sv[1];
	return 0;
}

static int receive_hello(int sock, struct stub_hello *h, struct ucred *cred)
{
	union {
		char buf[CMSG_SPACE(sizeof(*cred))];
		struct cmsghdr align;
	} control;
	struct iovec v = {h, sizeof(*h)};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	if (n < 0)
		return err_errno("receiving from the stub");
	if (n == 0)
		return err_set(EPIPE, "the stub did not start");
	if (n != sizeof(*h) || h->magic != STUB_MAGIC || !c || c->cmsg_type != SCM_CREDENTIALS)
		return err_set(EPROTO, "this is not the stub");
	memcpy(cred, CMSG_DATA(c), sizeof(*cred));
	return 0;
}

int stub_await(int sock, unsigned timeout_ms, struct stub *ret)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};
	struct stub_hello hello;
	struct ucred cred;
	int r;

	do
		r = poll(&p, 1, (int)timeout_ms);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_errno("waiting for the stub");
	if (r == 0)
		return err_set(ETIMEDOUT, "the stub did not start within %u ms", timeout_ms);
	r = receive_hello(sock, &hello, &cred);
	if (r < 0)
		return r;
	*ret = (struct stub){.pid = cred.pid, .nspid = (pid_t)hello.pid, .sock = sock};
	ret->pidfd = (int)syscall(SYS_pidfd_open, cred.pid, 0);
	return ret->pidfd < 0 ? err_errno("stub %d", cred.pid) : 0;
}

int stub_call(const struct stub *s, uint32_t nr, const uint64_t args[6], int64_t *ret)
{
	struct stub_call c = {.magic = STUB_CALL_MAGIC, .nr = nr};
	ssize_t n;

	memcpy(c.arg, args, sizeof(c.arg));
	if (send(s->sock, &c, sizeof(c), MSG_NOSIGNAL) != sizeof(c))
		return err_errno("stub %d", s->pid);
	do
		n = recv(s->sock, ret, sizeof(*ret), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno("stub %d", s->pid);
	return n == sizeof(*ret) ? 0 : err_set(EPIPE, "stub %d has ended", s->pid);
}

void stub_clear(struct stub *s)
{
	cleanup_close(&s->pidfd);
	*s = STUB_NONE;
}
