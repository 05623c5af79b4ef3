/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What execve(2) closes is a matter of the descriptor, whatever its description was opened with:
 * files, a directory, a terminal, O_PATH, a FIFO; also after what a restore has opened.
 */
#include "cr.h"

#include <pty.h>
#include <sys/stat.h>

struct pair {
	int fd;
	int flag;
};
static struct pair all[40];
static unsigned n;

static void keep(int fd, int flag)
{
	all[n++] = (struct pair){fd, flag};
}

/* A description that was opened so, under three descriptors. */
static void open_with(const char *name, int flags)
{
	int fd = open(name, flags, 0600);

	check(fd >= 0, "open %s: %m", name);
	keep(fd, flags & O_CLOEXEC ? FD_CLOEXEC : 0);
	keep(dup(fd), 0);
	keep(fcntl(fd, F_DUPFD_CLOEXEC, 3), FD_CLOEXEC);
}

int main(void)
{
	static const int how[] = {0, O_CLOEXEC};
	char dir[] = "/tmp/cloexec.XXXXXX";
	int m, s, p[2];

	check(mkdtemp(dir) && chdir(dir) == 0);
	check(mkfifo("fifo", 0600) == 0);
	for (unsigned i = 0; i < 2; i++) {
		open_with("file", O_RDWR | O_CREAT | how[i]);
		open_with(".", O_RDONLY | O_DIRECTORY | how[i]);
		open_with("file", O_PATH | how[i]);
		open_with("fifo", O_RDWR | how[i]);
		open_with("/dev/null", O_RDWR | how[i]);
	}
	check(openpty(&m, &s, NULL, NULL, NULL) == 0);
	keep(m, 0);
	keep(s, 0);
	check(pipe2(p, O_CLOEXEC) == 0 && dup2(p[0], 100) == 100);
	keep(p[0], FD_CLOEXEC);
	keep(100, 0);
	ready();
	for (unsigned i = 0; i < n; i++)
		check(fcntl(all[i].fd, F_GETFD) == all[i].flag,
		      "descriptor %u (%d): %d instead of %d", i, all[i].fd,
		      fcntl(all[i].fd, F_GETFD), all[i].flag);
	check(unlink("file") == 0 && unlink("fifo") == 0 && rmdir(dir) == 0);
	return ok();
}
