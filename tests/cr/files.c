/* SPDX-License-Identifier: Apache-2.0 */
/* Regular files: position, flags, shared and separate descriptions, across processes too. */
#include "cr.h"

#include <sys/socket.h>
#include <sys/un.h>

static int shared;

static int child_seeks(void)
{
	return lseek(shared, 77, SEEK_SET) == 77 ? 0 : 10;
}

static struct sockaddr_un named(const char *fmt, const char *dir, int fd)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (dir)
		snprintf(a.sun_path, sizeof(a.sun_path), fmt, dir);
	else
		snprintf(a.sun_path, sizeof(a.sun_path), fmt, fd);
	return a;
}

/* O_PATH of a socket's name, which is made again at a restore. */
static int listener(const char *dir, int *ret_path)
{
	struct sockaddr_un a = named("%s/socket", dir, -1);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	check(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 1) == 0);
	*ret_path = open(a.sun_path, O_PATH | O_CLOEXEC);
	return fd;
}

static void check_listener(const char *dir, int path)
{
	struct sockaddr_un a = named("/proc/self/fd/%d", NULL, path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	check(fcntl(path, F_GETFL) & O_PATH && fcntl(path, F_GETFD) == FD_CLOEXEC);
	check(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "errno %d", errno);
	a = named("%s/socket", dir, -1);
	check(unlink(a.sun_path) == 0);
}

int main(void)
{
	char dir[] = "/tmp/files.XXXXXX", path[64], buf[16];
	int a, b, append, path_fd, dir_fd, high, sock_path;
	struct child c;
	struct stat st, st2;

	check(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	a = open(path, O_RDWR | O_CREAT | O_EXCL, 0640);
	check(a >= 0 && write(a, "0123456789", 10) == 10);
	shared = dup(a);
	b = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	append = open(path, O_WRONLY | O_APPEND);
	path_fd = open(path, O_PATH);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
	high = fcntl(a, F_DUPFD, 500);
	check(b >= 0 && append >= 0 && path_fd >= 0 && dir_fd >= 0 && high >= 500);
	check(listener(dir, &sock_path) >= 0 && sock_path >= 0);
	lseek(b, 3, SEEK_SET);
	fstat(a, &st);
	c = child_start(NULL, child_seeks);
	ready();
	check(lseek(a, 0, SEEK_CUR) == 10, "position %ld", (long)lseek(a, 0, SEEK_CUR));
	child_go(&c);
	check(lseek(a, 0, SEEK_CUR) == 77 && lseek(high, 0, SEEK_CUR) == 77, "one description");
	check(read(b, buf, 4) == 4 && !memcmp(buf, "3456", 4));
	check(fcntl(b, F_GETFL) & O_NONBLOCK);
	check(fcntl(b, F_GETFD) == FD_CLOEXEC && fcntl(a, F_GETFD) == 0);
	check(write(append, "X", 1) == 1 && lseek(append, 0, SEEK_CUR) == 11);
	check(fstat(path_fd, &st2) == 0 && st2.st_ino == st.st_ino);
	check(read(path_fd, buf, 1) == -1 && errno == EBADF, "O_PATH stays one");
	check_listener(dir, sock_path);
	check(openat(dir_fd, "file", O_RDONLY) >= 0);
	check(unlinkat(dir_fd, "file", 0) == 0 && rmdir(dir) == 0);
	return ok();
}
