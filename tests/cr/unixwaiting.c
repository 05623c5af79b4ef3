/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that nobody has accepted yet: what was sent already, also by clients that have gone.
 */
#include "cr.h"

#include <sys/socket.h>
#include <sys/un.h>

static int listener(int type, const char *path, struct sockaddr_un *a)
{
	int l = socket(AF_UNIX, type, 0);

	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	strncpy(a->sun_path, path, sizeof(a->sun_path) - 1);
	check(bind(l, (struct sockaddr *)a, sizeof(*a)) == 0 && listen(l, 8) == 0, "errno %d",
	      errno);
	return l;
}

static int call(int type, const struct sockaddr_un *a)
{
	int c = socket(AF_UNIX, type, 0);

	check(connect(c, (const struct sockaddr *)a, sizeof(*a)) == 0, "errno %d", errno);
	return c;
}

static void reads(int fd, const char *text)
{
	char b[32] = "";
	ssize_t n = recv(fd, b, sizeof(b), MSG_DONTWAIT);

	check(n == (ssize_t)strlen(text) && !strcmp(b, text), "%s instead of %s, errno %d", b, text,
	      errno);
}

static void give(int via, const char *text, int fd)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} c = {.h = {.cmsg_len = CMSG_LEN(sizeof(int)),
		     .cmsg_level = SOL_SOCKET,
		     .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {.iov_base = (char *)text, .iov_len = strlen(text)};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};

	memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
	check(sendmsg(via, &m, 0) == (ssize_t)strlen(text));
}

static int take(int via, const char *text)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} c;
	char b[32] = "";
	struct iovec iov = {.iov_base = b, .iov_len = sizeof(b)};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
	int fd;

	check(recvmsg(via, &m, MSG_DONTWAIT) == (ssize_t)strlen(text) && !strcmp(b, text));
	check(m.msg_controllen && c.h.cmsg_type == SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(&c.h), sizeof(fd));
	return fd;
}

struct set {
	int l, first, second;
};

static void make(int type, const char *path, struct set *s)
{
	struct sockaddr_un a;
	int gone, p[2];

	s->l = listener(type, path, &a);
	s->first = call(type, &a);
	check(send(s->first, "first", 5, 0) == 5);
	gone = call(type, &a);
	check(pipe(p) == 0 && write(p[1], "pipe", 4) == 4);
	give(gone, "gone", p[0]);
	close(p[0]);
	close(p[1]);
	close(gone);
	s->second = call(type, &a);
}

static void verify(const struct set *s)
{
	int fd = accept(s->l, NULL, NULL), p;
	char b;

	reads(fd, "first");
	check(send(fd, "answer", 6, 0) == 6);
	reads(s->first, "answer");
	fd = accept(s->l, NULL, NULL);
	p = take(fd, "gone");
	reads(fd, "");
	check(read(p, &b, 1) == 1 && b == 'p');
	fd = accept(s->l, NULL, NULL);
	check(recv(fd, &b, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	check(send(s->second, "later", 5, 0) == 5);
	reads(fd, "later");
}

int main(void)
{
	char dir[] = "/tmp/cr-waiting.XXXXXX", one[64], two[64];
	struct set stream, seq;

	check(mkdtemp(dir) != NULL);
	snprintf(one, sizeof(one), "%s/stream", dir);
	snprintf(two, sizeof(two), "%s/seq", dir);
	make(SOCK_STREAM, one, &stream);
	make(SOCK_SEQPACKET, two, &seq);
	ready();
	verify(&stream);
	verify(&seq);
	unlink(one);
	unlink(two);
	rmdir(dir);
	return ok();
}
