/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks: flock (shared, exclusive, of a description that a child has too), of the process over
 * ranges, of a description (OFD), in a child; leases, also two that are being broken.
 */
#include "cr.h"

#include <sys/file.h>
#include <sys/fsuid.h>

static int fd, lease;

static struct flock range(short type, off_t start, off_t len)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
}

/* Who holds what a description of another process would want; -1: nobody, 0: a description. */
static pid_t holder(int type, off_t start, off_t len)
{
	struct flock l = range((short)type, start, len);

	check(fcntl(fd, F_GETLK, &l) == 0);
	return l.l_type == F_UNLCK ? -2 : l.l_pid;
}

static int child_make(void)
{
	struct flock l = range(F_WRLCK, 1000, 10);

	return fcntl(fd, F_SETLK, &l);
}

static int child_verify(void)
{
	pid_t parent = getppid();

	if (holder(F_RDLCK, 0, 10) != parent || holder(F_RDLCK, 20, 5) != -2 ||
	    holder(F_WRLCK, 20, 5) != parent || holder(F_WRLCK, 1000, 10) != -2)
		return 10;
	if (holder(F_WRLCK, 500, 1) != -1) /* the description's */
		return 11;
	return holder(F_RDLCK, 1LL << 40, 0) == parent ? 0 : 12;
}

static int told; /* how often it was said that somebody waits for a lease */

static void on_break(int sig)
{
	told++;
}

/* A lease that somebody has asked for, by FLAGS; gone is its file's name. */
static int broken(int flags)
{
	char path[] = "/tmp/broken.XXXXXX";
	int held = mkstemp(path);

	check(held >= 0 && fcntl(held, F_SETLEASE, F_WRLCK) == 0);
	check(open(path, flags | O_NONBLOCK) < 0 && errno == EWOULDBLOCK);
	unlink(path);
	return held;
}

int main(void)
{
	char path[] = "/tmp/locks.XXXXXX", two[] = "/tmp/locks2.XXXXXX",
	     other[] = "/tmp/lease.XXXXXX";
	int to_read, to_leave;
	struct flock l;
	int ofd, ex, sh, again;
	struct child c;

	fd = mkstemp(path);
	check(fd >= 0);
	l = range(F_WRLCK, 0, 10);
	check(fcntl(fd, F_SETLK, &l) == 0);
	l = range(F_RDLCK, 20, 5);
	check(fcntl(fd, F_SETLK, &l) == 0);
	l = range(F_WRLCK, 1LL << 40, 0);
	check(fcntl(fd, F_SETLK, &l) == 0);
	ofd = open(path, O_RDWR);
	l = range(F_WRLCK, 500, 1);
	check(fcntl(ofd, F_OFD_SETLK, &l) == 0);
	ex = mkstemp(two);
	check(ex >= 0 && flock(ex, LOCK_EX) == 0);
	sh = open("/tmp", O_RDONLY | O_DIRECTORY);
	check(sh >= 0 && flock(sh, LOCK_SH) == 0);
	c = child_start(child_make, child_verify);
	check(close(mkstemp(other)) == 0);
	lease = open(other, O_RDONLY);
	/* of another user's file: by that user, as in a user namespace nobody else may */
	check(lease >= 0 && fchown(lease, 1000, 1000) == 0);
	setfsuid(1000);
	check(fcntl(lease, F_SETLEASE, F_RDLCK) == 0, "errno %d", errno);
	setfsuid(0);
	check(fcntl(lease, F_SETSIG, SIGRTMIN) == 0);
	signal(SIGRTMIN, SIG_IGN);
	signal(SIGIO, on_break);
	to_read = broken(O_RDONLY);
	to_leave = broken(O_WRONLY);
	check(told == 2 && fcntl(to_read, F_GETLEASE) == F_RDLCK &&
	      fcntl(to_leave, F_GETLEASE) == F_UNLCK);

	ready();

	check(holder(F_WRLCK, 1000, 10) == c.pid, "%d", holder(F_WRLCK, 1000, 10));
	child_go(&c);
	check(holder(F_WRLCK, 1000, 10) == -2);
	l = range(F_WRLCK, 500, 1);
	check(fcntl(fd, F_SETLK, &l) < 0 && (errno == EAGAIN || errno == EACCES));
	again = open(two, O_RDWR);
	check(flock(again, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
	close(ex);
	check(flock(again, LOCK_EX | LOCK_NB) == 0);
	again = open("/tmp", O_RDONLY | O_DIRECTORY);
	check(flock(again, LOCK_EX | LOCK_NB) < 0 && flock(again, LOCK_SH | LOCK_NB) == 0);
	check(fcntl(lease, F_GETLEASE) == F_RDLCK, "%d", fcntl(lease, F_GETLEASE));
	check(fcntl(lease, F_GETSIG) == SIGRTMIN && fcntl(lease, F_GETOWN) == getpid(), "%d",
	      fcntl(lease, F_GETOWN));
	check(fcntl(to_read, F_GETLEASE) == F_RDLCK && fcntl(to_leave, F_GETLEASE) == F_UNLCK);
	check(told == 2, "told %d times", told);
	check(fcntl(to_read, F_SETLEASE, F_UNLCK) == 0 &&
	      fcntl(to_leave, F_SETLEASE, F_UNLCK) == 0);
	unlink(path);
	unlink(two);
	unlink(other);
	return ok();
}
