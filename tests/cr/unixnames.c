/* SPDX-License-Identifier: Apache-2.0 */
/* Unix sockets with names: listening, accepted, waiting to be, relative, deleted, abstract. */
#include "unix.h"

static char dir[] = "/tmp/cr-unix-XXXXXX";

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
	int fd = abstract ? socket(AF_UNIX, SOCK_DGRAM, 0) : unix_bound(from, false, SOCK_DGRAM);
	struct sockaddr_un a;
	socklen_t len = unix_addr(&a, from, abstract);

	check(!abstract || bind(fd, (struct sockaddr *)&a, len) == 0, "errno %d", errno);
	len = unix_addr(&a, to, false);
	check(sendto(fd, from, strlen(from), 0, (struct sockaddr *)&a, len) ==
	      (ssize_t)strlen(from));
	close(fd);
}

static void comes_from(int fd, const char *name, bool abstract)
{
	struct sockaddr_un a, from;
	socklen_t len = sizeof(from), want = unix_addr(&a, name, abstract);
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
	deep_l = unix_bound(deep, false, SOCK_STREAM);
	deep_cli = unix_client(deep, false, SOCK_STREAM);
	deep_acc = accept(deep_l, NULL, NULL);
	sends_and_closes(to, deep_from, false);
	check(unlink(deep) == 0 && unlink(deep_from) == 0);
	check(rmdir(at) == 0);
	*strrchr(at, '/') = 0;
	check(rmdir(at) == 0);
}

static void verify_deep(void)
{
	unix_talk(deep_cli, deep_acc);
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
	l = unix_bound(path, false, SOCK_STREAM);
	chmod(path, 0640);
	chown(path, 33, 34);
	cli = unix_client(path, false, SOCK_STREAM);
	acc = accept(l, NULL, NULL);
	wait_cli = unix_client(path, false, SOCK_STREAM);
	ab = unix_bound("cr-abstract", true, SOCK_SEQPACKET);
	abcli = unix_client("cr-abstract", true, SOCK_SEQPACKET);
	abacc = accept(ab, NULL, NULL);
	rel = unix_bound("relative", false, SOCK_STREAM);
	del = unix_bound(gone, false, SOCK_STREAM);
	orphan_cli = unix_client(gone, false, SOCK_STREAM);
	orphan = accept(del, NULL, NULL);
	close(del);
	unlink(gone);
	del = unix_bound(gone, false, SOCK_STREAM);
	unlink(gone);
	dg = unix_bound(dgram, false, SOCK_DGRAM);
	dgc = unix_client(dgram, false, SOCK_DGRAM);
	len = unix_addr(&a, "cr-sender", true);
	check(bind(dgc, (struct sockaddr *)&a, len) == 0);
	check(send(dgc, "hello", 5, 0) == 5);
	d2 = unix_client(dgram, false, SOCK_DGRAM);
	check(send(d2, "anonymous", 9, 0) == 9);
	d3 = unix_bound("free", false, SOCK_DGRAM); /* connected to nobody */
	len = unix_addr(&a, dgram, false);
	check(sendto(d3, "free", 4, 0, (struct sockaddr *)&a, len) == 4);
	sends_and_closes(dgram, "cr-dead", true);
	sends_and_closes(dgram, "dead", false);
	sends_and_closes(dgram, "cr-dead", true); /* another one of that name */
	self = unix_bound("cr-self", true, SOCK_DGRAM);
	len = unix_addr(&a, "cr-self", true);
	check(connect(self, (struct sockaddr *)&a, len) == 0);
	make_deep(dgram);
	ready();
	verify_deep();
	unix_talk(cli, acc);
	unix_talk(abcli, abacc);
	unix_talk(orphan, orphan_cli);
	check(!strcmp(name_of(l), path) && !strcmp(name_of(acc), path));
	check(!strcmp(name_of(abacc), "cr-abstract") && !strcmp(name_of(rel), "relative"));
	check(!strcmp(name_of(del), gone) && !strcmp(name_of(orphan), gone));
	check(stat(gone, &st) < 0 && errno == ENOENT, "it stays deleted");
	check(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640 && st.st_uid == 33 &&
	      st.st_gid == 34);
	acc = accept(l, NULL, NULL);
	check(acc >= 0);
	unix_talk(wait_cli, acc);
	len = sizeof(cred);
	check(getsockopt(cli, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.pid == getpid(),
	      "%d", cred.pid);
	cli = unix_client(path, false, SOCK_STREAM);
	cli = unix_client("relative", false, SOCK_STREAM);
	acc = accept(rel, NULL, NULL);
	unix_talk(cli, acc);
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
