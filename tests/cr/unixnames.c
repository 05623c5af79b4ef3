/* SPDX-License-Identifier: Apache-2.0 */
/* Unix sockets with names: listening, accepted, waiting to be, relative, deleted, abstract. */
#include "cr.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static char dir[] = "/tmp/cr-unix-XXXXXX";

static socklen_t addr(struct sockaddr_un *a, const char *name, bool abstract)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	strcpy(a->sun_path + abstract, name);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1);
}

static int listener(const char *name, bool abstract, int type)
{
	struct sockaddr_un a;
	socklen_t len = addr(&a, name, abstract);
	int fd = socket(AF_UNIX, type, 0);

	check(bind(fd, (struct sockaddr *)&a, len) == 0, name);
	check(type == SOCK_DGRAM || listen(fd, 5) == 0);
	return fd;
}

static int client(const char *name, bool abstract, int type)
{
	struct sockaddr_un a;
	socklen_t len = addr(&a, name, abstract);
	int fd = socket(AF_UNIX, type, 0);

	check(connect(fd, (struct sockaddr *)&a, len) == 0, "%s: errno %d", name, errno);
	return fd;
}

static void talk(int a, int b)
{
	char buf[8];

	check(send(a, "to", 2, 0) == 2 && recv(b, buf, 8, 0) == 2);
	check(send(b, "fro", 3, 0) == 3 && recv(a, buf, 8, 0) == 3);
}

static const char *name_of(int fd)
{
	static struct sockaddr_un a;
	socklen_t len = sizeof(a);

	memset(&a, 0, sizeof(a));
	check(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	return a.sun_path[0] ? a.sun_path : a.sun_path + 1;
}

static void sends_and_closes(const char *to, const char *from, bool abstract)
{
	int fd = abstract ? socket(AF_UNIX, SOCK_DGRAM, 0) : listener(from, false, SOCK_DGRAM);
	struct sockaddr_un a;
	socklen_t len = addr(&a, from, abstract);

	check(!abstract || bind(fd, (struct sockaddr *)&a, len) == 0, "errno %d", errno);
	len = addr(&a, to, false);
	check(sendto(fd, from, strlen(from), 0, (struct sockaddr *)&a, len) ==
	      (ssize_t)strlen(from));
	close(fd);
}

static void comes_from(int fd, const char *name, bool abstract)
{
	struct sockaddr_un a, from;
	socklen_t len = sizeof(from), want = addr(&a, name, abstract);
	char buf[32];

	check(recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &len) ==
	      (ssize_t)strlen(name));
	check(len == want && !memcmp(&from, &a, len), "%u bytes of a name: %s", len,
	      from.sun_path + abstract);
}

static char deep[64], deep_from[64];
static int deep_l, deep_acc, deep_cli;

/* In directories that are gone as well, also of who has sent something. */
static void make_deep(const char *to)
{
	char at[64];

	snprintf(at, sizeof(at), "%s/deep", dir);
	check(mkdir(at, 0755) == 0);
	strcat(at, "/er");
	check(mkdir(at, 0755) == 0);
	snprintf(deep, sizeof(deep), "%s/sock", at);
	snprintf(deep_from, sizeof(deep_from), "%s/from", at);
	deep_l = listener(deep, false, SOCK_STREAM);
	deep_cli = client(deep, false, SOCK_STREAM);
	deep_acc = accept(deep_l, NULL, NULL);
	sends_and_closes(to, deep_from, false);
	check(unlink(deep) == 0 && unlink(deep_from) == 0);
	check(rmdir(at) == 0);
	*strrchr(at, '/') = 0;
	check(rmdir(at) == 0);
}

static void verify_deep(void)
{
	talk(deep_cli, deep_acc);
	check(!strcmp(name_of(deep_l), deep) && !strcmp(name_of(deep_acc), deep));
}

int main(void)
{
	char path[64], gone[64], dgram[64], buf[64];
	int l, ab, rel, del, acc, cli, wait_cli, abacc, abcli, orphan, orphan_cli, dg, dgc, d2, d3,
		self;
	struct sockaddr_un a, from;
	socklen_t len;
	struct ucred cred;
	struct stat st;

	check(mkdtemp(dir) && chdir(dir) == 0);
	chmod(dir, 0755);
	snprintf(path, sizeof(path), "%s/sock", dir);
	snprintf(gone, sizeof(gone), "%s/gone", dir);
	snprintf(dgram, sizeof(dgram), "%s/dgram", dir);
	l = listener(path, false, SOCK_STREAM);
	chmod(path, 0640);
	chown(path, 33, 34);
	cli = client(path, false, SOCK_STREAM);
	acc = accept(l, NULL, NULL);
	wait_cli = client(path, false, SOCK_STREAM);
	ab = listener("cr-abstract", true, SOCK_SEQPACKET);
	abcli = client("cr-abstract", true, SOCK_SEQPACKET);
	abacc = accept(ab, NULL, NULL);
	rel = listener("relative", false, SOCK_STREAM);
	del = listener(gone, false, SOCK_STREAM);
	orphan_cli = client(gone, false, SOCK_STREAM);
	orphan = accept(del, NULL, NULL);
	close(del);
	unlink(gone);
	del = listener(gone, false, SOCK_STREAM);
	unlink(gone);
	dg = listener(dgram, false, SOCK_DGRAM);
	dgc = client(dgram, false, SOCK_DGRAM);
	len = addr(&a, "cr-sender", true);
	check(bind(dgc, (struct sockaddr *)&a, len) == 0);
	check(send(dgc, "hello", 5, 0) == 5);
	d2 = client(dgram, false, SOCK_DGRAM);
	check(send(d2, "anonymous", 9, 0) == 9);
	d3 = listener("free", false, SOCK_DGRAM); /* connected to nobody */
	len = addr(&a, dgram, false);
	check(sendto(d3, "free", 4, 0, (struct sockaddr *)&a, len) == 4);
	sends_and_closes(dgram, "cr-dead", true);
	sends_and_closes(dgram, "dead", false);
	sends_and_closes(dgram, "cr-dead", true); /* another one of that name */
	self = listener("cr-self", true, SOCK_DGRAM);
	len = addr(&a, "cr-self", true);
	check(connect(self, (struct sockaddr *)&a, len) == 0);
	make_deep(dgram);
	ready();
	verify_deep();
	talk(cli, acc);
	talk(abcli, abacc);
	talk(orphan, orphan_cli);
	check(!strcmp(name_of(l), path) && !strcmp(name_of(acc), path));
	check(!strcmp(name_of(abacc), "cr-abstract") && !strcmp(name_of(rel), "relative"));
	check(!strcmp(name_of(del), gone) && !strcmp(name_of(orphan), gone));
	check(stat(gone, &st) < 0 && errno == ENOENT, "it stays deleted");
	check(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640 && st.st_uid == 33 &&
	      st.st_gid == 34);
	acc = accept(l, NULL, NULL);
	check(acc >= 0);
	talk(wait_cli, acc);
	len = sizeof(cred);
	check(getsockopt(cli, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.pid == getpid(),
	      "%d", cred.pid);
	cli = client(path, false, SOCK_STREAM);
	cli = client("relative", false, SOCK_STREAM);
	acc = accept(rel, NULL, NULL);
	talk(cli, acc);
	len = sizeof(from);
	check(recvfrom(dg, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len) == 5);
	check(!strcmp(from.sun_path + 1, "cr-sender"), "who sent it is kept");
	len = sizeof(from);
	check(recvfrom(dg, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len) == 9);
	len = sizeof(from);
	check(recvfrom(dg, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len) == 4);
	check(!strcmp(from.sun_path, "free"), "it came from %s", from.sun_path);
	comes_from(dg, "cr-dead", true);
	comes_from(dg, "dead", false);
	comes_from(dg, "cr-dead", true);
	comes_from(dg, deep_from, false);
	close(d3);
	check(send(dgc, "again", 5, 0) == 5 && recv(dg, buf, sizeof(buf), 0) == 5);
	check(send(d2, "again", 5, 0) == 5 && recv(dg, buf, sizeof(buf), 0) == 5);
	check(send(self, "me", 2, 0) == 2 && recv(self, buf, sizeof(buf), 0) == 2);
	unlink(path);
	unlink(dgram);
	unlink("relative");
	unlink("free");
	check(unlink("dead") == 0, "the name of a closed socket stays");
	check(rmdir(dir) == 0, "nothing else is left there");
	return ok();
}
