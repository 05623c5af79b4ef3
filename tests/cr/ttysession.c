/* SPDX-License-Identifier: Apache-2.0 */
/* A session with a controlling terminal from inside the tree: job control, /dev/tty. */
#include "cr.h"

#include <sys/ioctl.h>
#include <termios.h>

static int master = -1, tty = -1;
static pid_t sid;
static struct child job, background;
static volatile sig_atomic_t windows;

static void on_window(int sig)
{
	windows++;
}

static int job_make(void)
{
	return setpgid(0, 0);
}

/* In the foreground: may read. */
static int job_verify(void)
{
	char buf[16];
	int fd = open("/dev/tty", O_RDWR);

	if (fd < 0 || tcgetpgrp(fd) != getpgrp())
		return 10;
	return read(fd, buf, sizeof(buf)) == 3 && memcmp(buf, "hi\n", 3) == 0 ? 0 : 11;
}

/* In the background: may not. */
static int background_verify(void)
{
	char c;

	signal(SIGTTIN, SIG_IGN);
	return read(tty, &c, 1) == -1 && errno == EIO ? 0 : 12;
}

static int leader_make(void)
{
	int slave;

	sid = setsid();
	signal(SIGTTOU, SIG_IGN);
	slave = open(ptsname(master), O_RDWR); /* becomes the controlling terminal */
	if (slave < 0)
		return 1;
	close(master);
	tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
	close(slave);
	job = child_start(job_make, job_verify);
	background = child_start(job_make, background_verify);
	return tcsetpgrp(tty, job.pid);
}

static int leader_verify(void)
{
	char path[64] = "";

	if (getsid(0) != sid || tcgetsid(tty) != sid || tcgetpgrp(tty) != job.pid)
		return 20;
	if (readlink("/proc/self/fd/4", path, sizeof(path) - 1) < 0)
		return 21;
	child_go(&background);
	child_go(&job);
	/* the foreground is ours again: a new size is told to us */
	signal(SIGWINCH, on_window);
	if (tcsetpgrp(tty, getpgrp()) < 0)
		return 22;
	return 0;
}

int main(void)
{
	struct child leader;
	struct winsize w = {20, 40, 0, 0};

	master = posix_openpt(O_RDWR | O_NOCTTY);
	check(master >= 0 && unlockpt(master) == 0, "errno %d", errno);
	leader = child_start(leader_make, leader_verify);
	sid = getsid(0);
	ready();
	check(write(master, "hi\n", 3) == 3);
	check(ioctl(master, TIOCSWINSZ, &w) == 0);
	child_go(&leader);
	check(getsid(0) == sid && sid != leader.pid, "%d, was %d", getsid(0), sid);
	return ok();
}
