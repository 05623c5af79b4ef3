/* SPDX-License-Identifier: Apache-2.0 */
/* The first process has done chroot(2), and has files of before that open; unix sockets of there.
 */
#include "cr.h"

#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un *at(const char *name)
{
	static struct sockaddr_un a = {.sun_family = AF_UNIX};

	strncpy(a.sun_path, name, sizeof(a.sun_path) - 1);
	return &a;
}

static int bound(const char *name, int type)
{
	int fd = socket(AF_UNIX, type, 0);

	check(bind(fd, (struct sockaddr *)at(name), sizeof(struct sockaddr_un)) == 0,
	      "%s: errno %d", name, errno);
	check(type == SOCK_DGRAM || listen(fd, 4) == 0);
	return fd;
}

static int called(const char *name, int type)
{
	int fd = socket(AF_UNIX, type, 0);

	check(connect(fd, (struct sockaddr *)at(name), sizeof(struct sockaddr_un)) == 0,
	      "%s: errno %d", name, errno);
	return fd;
}

static void talk(int from, int to)
{
	char b = 0;

	check(send(from, "x", 1, 0) == 1 && recv(to, &b, 1, MSG_DONTWAIT) == 1 && b == 'x',
	      "errno %d", errno);
}

static void is_named(int fd, const char *name)
{
	struct sockaddr_un a = {0};
	socklen_t len = sizeof(a);

	check(getsockname(fd, (struct sockaddr *)&a, &len) == 0 && !strcmp(a.sun_path, name), "%s",
	      a.sun_path);
}

int main(void)
{
	char dir[] = "/tmp/jail.XXXXXX", path[64];
	int outer, inner, again, dgram, listener, client, accepted, deleted, orphan;
	struct stat a, b;
	char *map;

	check(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	inner = open(path, O_CREAT | O_RDWR, 0644);
	check(inner >= 0 && write(inner, "inside", 6) == 6);
	outer = open("/tmp", O_RDONLY | O_DIRECTORY);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, inner, 0);
	check(outer >= 0 && map != MAP_FAILED);
	check(chroot(dir) == 0 && chdir("/") == 0);
	again = open("/file", O_RDONLY);
	check(again >= 0);

	check(mkdir("/run", 0755) == 0);
	dgram = bound("/run/dgram", SOCK_DGRAM);
	listener = bound("/run/stream", SOCK_STREAM);
	client = called("/run/stream", SOCK_STREAM);
	accepted = accept(listener, NULL, NULL);
	deleted = bound("/run/deleted", SOCK_STREAM);
	orphan = called("/run/deleted", SOCK_STREAM);
	check(unlink("/run/deleted") == 0);

	ready();

	talk(client, accepted);
	talk(called("/run/dgram", SOCK_DGRAM), dgram);
	client = called("/run/stream", SOCK_STREAM);
	talk(client, accept(listener, NULL, NULL));
	talk(orphan, accept(deleted, NULL, NULL));
	is_named(dgram, "/run/dgram");
	is_named(listener, "/run/stream");
	is_named(accepted, "/run/stream");
	is_named(deleted, "/run/deleted");
	check(unlink("/run/dgram") == 0 && unlink("/run/stream") == 0 && rmdir("/run") == 0,
	      "nothing else is left there");
	check(map[0] == 'i');
	check(fstat(inner, &a) == 0 && fstat(again, &b) == 0 && a.st_ino == b.st_ino);
	check(stat("/file", &b) == 0 && a.st_ino == b.st_ino);
	check(stat("/tmp", &b) < 0 && errno == ENOENT, "it is in its jail");
	check(stat(".", &a) == 0 && stat("/", &b) == 0 && a.st_ino == b.st_ino);
	check(fstatat(outer, dir + 5, &a, 0) == 0 && a.st_ino == b.st_ino);
	check(unlink("/file") == 0 && unlinkat(outer, dir + 5, AT_REMOVEDIR) == 0);
	return ok();
}
