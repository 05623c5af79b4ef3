/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of unix sockets that are bind-mounted elsewhere: in a tmpfs and in the root's file system,
 * of a datagram socket, of those that listen, and in a mount namespace inside; over itself, of one
 * whose owner has ended, of one whose mount is shared.  Sockets whose directory something is
 * mounted over.  Clients reach them by all names afterwards.
 */
#include "cr.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un name_of(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	strncpy(a.sun_path, path, sizeof(a.sun_path) - 1);
	return a;
}

static int bound(int type, const char *path)
{
	struct sockaddr_un a = name_of(path);
	int fd = socket(AF_UNIX, type, 0);

	check(fd >= 0 && bind(fd, (void *)&a, sizeof(a)) == 0, "%s: errno %d", path, errno);
	check(type == SOCK_DGRAM || listen(fd, 3) == 0, "%s: errno %d", path, errno);
	return fd;
}

static void show_at(const char *what, const char *at)
{
	int fd = open(at, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	check(fd >= 0, "%s: errno %d", at, errno);
	close(fd);
	check(mount(what, at, NULL, MS_BIND, NULL) == 0, "%s: errno %d", at, errno);
}

static void reach(int server, int type, const char *path)
{
	struct sockaddr_un a = name_of(path);
	int fd = socket(AF_UNIX, type, 0), got = server;
	char b[8] = "";

	check(connect(fd, (void *)&a, sizeof(a)) == 0, "%s: errno %d", path, errno);
	check(write(fd, "hello", 5) == 5, "%s: errno %d", path, errno);
	if (type != SOCK_DGRAM)
		got = accept(server, NULL, NULL);
	check(read(got, b, sizeof(b)) == 5 && strcmp(b, "hello") == 0, "%s: %s", path, b);
	if (got != server)
		close(got);
	close(fd);
}

static void same(const char *one, const char *other)
{
	struct stat a, b;

	check(stat(one, &a) == 0 && stat(other, &b) == 0, "%s, %s: errno %d", one, other, errno);
	check(S_ISSOCK(a.st_mode) && a.st_ino == b.st_ino && a.st_dev == b.st_dev, "%s is not %s",
	      one, other);
}

static void is_covered(const char *at)
{
	struct stat st;

	check(umount(at) == 0, "%s: errno %d", at, errno);
	check(stat(at, &st) == 0 && S_ISREG(st.st_mode), "%s: mode %o", at, st.st_mode);
}

static int connected(int type, const char *path)
{
	struct sockaddr_un a = name_of(path);
	int fd = socket(AF_UNIX, type, 0);

	check(connect(fd, (void *)&a, sizeof(a)) == 0, "%s: errno %d", path, errno);
	return fd;
}

struct below {
	char dir[16], stream[32], dgram[32];
	int listener, client, accepted, relative, receiver, sender;
};

static void cover(struct below *b, const char *dir)
{
	snprintf(b->dir, sizeof(b->dir), "%s", dir);
	snprintf(b->stream, sizeof(b->stream), "%s/stream", dir);
	snprintf(b->dgram, sizeof(b->dgram), "%s/dgram", dir);
	check(mkdir(dir, 0755) == 0 && chdir(dir) == 0);
	b->listener = bound(SOCK_STREAM, b->stream);
	b->client = connected(SOCK_STREAM, b->stream);
	b->accepted = accept(b->listener, NULL, NULL);
	b->relative = bound(SOCK_SEQPACKET, "relative");
	b->receiver = bound(SOCK_DGRAM, b->dgram);
	b->sender = connected(SOCK_DGRAM, b->dgram);
	check(write(b->sender, "early", 5) == 5);
	check(chdir("/") == 0 && mount("over", dir, "tmpfs", 0, NULL) == 0, "errno %d", errno);
}

static void uncover(const struct below *b)
{
	char text[8] = "", name[32];
	struct stat st;

	check(write(b->client, "hello", 5) == 5 && read(b->accepted, text, 5) == 5);
	check(read(b->receiver, text, sizeof(text)) == 5 && strcmp(text, "early") == 0);
	check(write(b->sender, "later", 5) == 5 && read(b->receiver, text, 5) == 5);
	check(stat(b->stream, &st) < 0 && errno == ENOENT, "it is to be covered");
	check(umount(b->dir) == 0, "%s: errno %d", b->dir, errno);
	reach(b->listener, SOCK_STREAM, b->stream);
	reach(b->receiver, SOCK_DGRAM, b->dgram);
	snprintf(name, sizeof(name), "%s/relative", b->dir);
	reach(b->relative, SOCK_SEQPACKET, name);
}

/* In a namespace of its own, which shows the parent's socket elsewhere. */
static void inside(int server, int in, int out)
{
	struct below b;
	char c;

	check(unshare(CLONE_NEWNS) == 0, "errno %d", errno);
	check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "errno %d", errno);
	show_at("/run/d/stream", "/run/d/inner");
	cover(&b, "/run/inside");
	check(write(out, "r", 1) == 1);
	check(read(in, &c, 1) == 1);
	same("/run/d/stream", "/run/d/inner");
	reach(server, SOCK_STREAM, "/run/d/inner");
	uncover(&b);
	_exit(0);
}

/* The group of peers of the topmost mount at a place. */
static int group_at(const char *at)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[1024], target[512];
	int group = 0, rest;

	check(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %*s %*s %511s %*s %n", target, &rest) == 1 &&
		    strcmp(target, at) == 0)
			group = strncmp(line + rest, "shared:", 7) == 0 ? atoi(line + rest + 7) : 0;
	fclose(f);
	return group;
}

int main(void)
{
	int to[2], from[2], dgram, stream, file, status, peer, self;
	struct below run, tmp;
	char c;
	pid_t pid;

	check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 || errno == EINVAL, "errno %d",
	      errno);
	check(mkdir("/run/d", 0755) == 0, "errno %d", errno);
	dgram = bound(SOCK_DGRAM, "/run/d/dgram");
	stream = bound(SOCK_STREAM, "/run/d/stream");
	file = bound(SOCK_SEQPACKET, "/tmp/file");
	show_at("/run/d/dgram", "/run/d/at");
	check(mount(NULL, "/run/d/at", NULL, MS_SHARED, NULL) == 0);
	show_at("/run/d/stream", "/tmp/at");
	check(mount(NULL, "/tmp/at", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOATIME, NULL) ==
	      0);
	show_at("/tmp/file", "/run/file");
	check(mkdir("/run/p", 0755) == 0 && mount("p", "/run/p", "tmpfs", 0, NULL) == 0);
	check(mount(NULL, "/run/p", NULL, MS_SHARED, NULL) == 0);
	peer = bound(SOCK_STREAM, "/run/p/s");
	show_at("/run/p/s", "/run/p/at");
	check(group_at("/run/p") && group_at("/run/p") == group_at("/run/p/at"));
	self = bound(SOCK_STREAM, "/run/d/self");
	check(mount("/run/d/self", "/run/d/self", NULL, MS_BIND, NULL) == 0);
	close(bound(SOCK_STREAM, "/run/d/left"));
	show_at("/run/d/left", "/run/left");
	check(pipe(to) == 0 && pipe(from) == 0);
	pid = fork();
	if (pid == 0)
		inside(stream, to[0], from[1]);
	check(read(from[0], &c, 1) == 1);
	cover(&run, "/run/c");
	cover(&tmp, "/tmp/c");
	ready();
	uncover(&run);
	uncover(&tmp);
	check(write(to[1], "v", 1) == 1);
	check(waitpid(pid, &status, 0) == pid && status == 0, "status %x", status);
	reach(dgram, SOCK_DGRAM, "/run/d/dgram");
	reach(dgram, SOCK_DGRAM, "/run/d/at");
	reach(stream, SOCK_STREAM, "/run/d/stream");
	reach(stream, SOCK_STREAM, "/tmp/at");
	reach(file, SOCK_SEQPACKET, "/tmp/file");
	reach(file, SOCK_SEQPACKET, "/run/file");
	same("/run/d/dgram", "/run/d/at");
	same("/run/d/stream", "/tmp/at");
	same("/tmp/file", "/run/file");
	reach(peer, SOCK_STREAM, "/run/p/at");
	reach(self, SOCK_STREAM, "/run/d/self");
	same("/run/p/s", "/run/p/at");
	same("/run/d/left", "/run/left");
	check(group_at("/run/d/at"));
	check(group_at("/run/p") && group_at("/run/p") == group_at("/run/p/at"), "%d %d",
	      group_at("/run/p"), group_at("/run/p/at"));
	is_covered("/run/left");
	is_covered("/run/p/at");
	is_covered("/run/d/at");
	is_covered("/tmp/at");
	is_covered("/run/file");
	check(umount("/run/d/self") == 0, "errno %d", errno);
	reach(self, SOCK_STREAM, "/run/d/self");
	return ok();
}
