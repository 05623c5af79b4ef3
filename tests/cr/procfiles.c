/* SPDX-License-Identifier: Apache-2.0 */
/* Files of /proc: of ourselves, of a child, of one that is gone, of no process; a cgroup's file. */
#include "cr.h"

static int opened(const char *fmt, int pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), fmt, pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	check(fd >= 0, "%s: errno %d", path, errno);
	return fd;
}

static bool says(int fd, const char *text)
{
	char buf[8192];
	ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);

	check(n >= 0, "errno %d", errno);
	buf[n] = 0;
	return strstr(buf, text) != NULL;
}

/* A directory of /proc as the current one: of ourselves, and of somebody who is gone. */
static int stay_in_own(void)
{
	return chdir("/proc/self/task");
}

static int is_in_own(void)
{
	char buf[64], want[64];

	snprintf(want, sizeof(want), "/proc/%d/task", getpid());
	snprintf(buf, sizeof(buf), "%d/stat", getpid());
	return access(buf, F_OK) == 0 && getcwd(buf, sizeof(buf)) && !strcmp(buf, want) ? 0 : 10;
}

static char lost_name[64];

static int stay_in_lost(void)
{
	char path[64];
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	snprintf(path, sizeof(path), "/proc/%d", pid);
	if (chdir(path) < 0 || kill(pid, SIGKILL) < 0 || waitpid(pid, NULL, 0) != pid)
		return 1;
	return readlink("/proc/self/cwd", lost_name, sizeof(lost_name) - 1) < 0;
}

static int is_in_lost(void)
{
	char now[64] = "";

	return access("stat", F_OK) < 0 && readlink("/proc/self/cwd", now, sizeof(now) - 1) > 0 &&
			       strcmp(now, lost_name) == 0
		       ? 0
		       : 11;
}

int main(void)
{
	struct child c = child_start(NULL, NULL), own = child_start(stay_in_own, is_in_own),
		     lost = child_start(stay_in_lost, is_in_lost);
	int self, maps, childs, dir, gone, gone_dir, gone_fds, gone_exe, mounts, group = -1,
										 outside = -1;
	int fdinfo, fdinfos, fd_link;
	char want[64], buf[64], marker[] = "procfiles";
	pid_t g = fork();

	if (g == 0)
		for (;;)
			pause();
	check(g > 0);
	self = opened("/proc/self/status", 0);
	maps = opened("/proc/%d/maps", getpid());
	childs = opened("/proc/%d/cmdline", c.pid);
	dir = opened("/proc/%d", c.pid);
	gone = opened("/proc/%d/status", g);
	gone_dir = opened("/proc/%d", g);
	gone_fds = opened("/proc/%d/fd", g); /* even fstat(2) fails */
	snprintf(buf, sizeof(buf), "/proc/%d/exe", g);
	gone_exe = open(buf, O_PATH | O_NOFOLLOW);
	mounts = opened("/proc/%d/mounts", getpid());
	fdinfo = opened("/proc/self/fdinfo/1", 0);
	fdinfos = opened("/proc/%d/fdinfo/1", c.pid);
	snprintf(buf, sizeof(buf), "/proc/self/fd/%d", mounts);
	fd_link = open(buf, O_PATH | O_NOFOLLOW);
	check(fd_link >= 0);
	kill(g, SIGKILL);
	check(waitpid(g, NULL, 0) == g);
	check(read(gone, buf, 1) < 0 && errno == ESRCH);
	if (access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0)
		group = opened("/sys/fs/cgroup/cgroup.procs", 0);
	if (getpid() != 1)
		outside = opened("/proc/1/status", 0); /* of somebody else */
	check(read(self, buf, 6) == 6 && read(childs, buf, 3) == 3 && read(maps, buf, 9) == 9);

	ready();

	check(lseek(self, 0, SEEK_CUR) == 6, "%ld", (long)lseek(self, 0, SEEK_CUR));
	check(lseek(childs, 0, SEEK_CUR) == 3 && lseek(maps, 0, SEEK_CUR) == 9, "%ld, %ld",
	      (long)lseek(childs, 0, SEEK_CUR), (long)lseek(maps, 0, SEEK_CUR));
	snprintf(want, sizeof(want), "Pid:\t%d\n", getpid());
	check(says(self, want));
	check(says(maps, "[stack]") && says(childs, marker));
	check(faccessat(dir, "stat", F_OK, 0) == 0);
	check(pread(gone, buf, 1, 0) < 0 && errno == ESRCH, "errno %d", errno);
	check(faccessat(gone_dir, "stat", F_OK, 0) < 0);
	check(fcntl(gone_fds, F_GETFD) >= 0 && faccessat(gone_fds, "0", F_OK, 0) < 0);
	check(gone_exe >= 0 && readlinkat(gone_exe, "", buf, sizeof(buf)) < 0, "errno %d", errno);
	check(says(mounts, "/proc"));
	check(says(fdinfo, "mnt_id:") && says(fdinfos, "mnt_id:"));
	check(readlinkat(fd_link, "", buf, sizeof(buf)) > 0 && strncmp(buf, "/proc/", 6) == 0);
	check(outside < 0 || says(outside, "Pid:\t1\n"));
	check(group < 0 || fcntl(group, F_GETFD) == FD_CLOEXEC);
	child_go(&own);
	child_go(&lost);
	child_go(&c);
	check(faccessat(dir, "stat", F_OK, 0) < 0);
	return ok();
}
