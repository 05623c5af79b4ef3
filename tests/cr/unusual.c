/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are rare: devices, symbolic links and terminals of the machine, with and without a
 * name; a current directory in /proc of a process that has gone.
 */
#include "cr.h"

#include <sys/sysmacros.h>
#include <termios.h>

static int device(const char *name, unsigned maj, unsigned min, int flags)
{
	unlink(name);
	check(mknod(name, S_IFCHR | 0640, makedev(maj, min)) == 0, "errno %d", errno);
	return open(name, flags);
}

static void is_device(int fd, unsigned maj, unsigned min, unsigned links)
{
	struct stat st;

	check(fstat(fd, &st) == 0 && st.st_rdev == makedev(maj, min) && st.st_nlink == links,
	      "device %x, %u names", (unsigned)st.st_rdev, (unsigned)st.st_nlink);
	check((st.st_mode & 07777) == 0640, "mode %o", st.st_mode);
}

static int link_of(const char *name, const char *target)
{
	unlink(name);
	check(symlink(target, name) == 0);
	return open(name, O_PATH | O_NOFOLLOW);
}

static void leads_to(int fd, const char *target)
{
	char text[64] = "";

	check(readlinkat(fd, "", text, sizeof(text) - 1) > 0 && strcmp(text, target) == 0,
	      "link to %s", text);
}

static void into_dead_process(void)
{
	pid_t pid = fork();
	char name[32];

	if (pid == 0)
		for (;;)
			pause();
	snprintf(name, sizeof(name), "/proc/%d", pid);
	check(chdir(name) == 0 && kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

int main(void)
{
	char dir[] = "/tmp/unusual.XXXXXX", cwd[64];
	struct termios before, after;
	int null, gone, console, vt, named, nameless;

	check(mkdtemp(dir) && chdir(dir) == 0);
	null = device("null", 1, 3, O_RDWR);
	gone = device("gone", 1, 5, O_RDONLY);
	console = device("console", 5, 1, O_RDWR | O_NOCTTY);
	vt = device("vt", 4, 20, O_RDWR | O_NOCTTY);
	named = link_of("named", "/nowhere");
	nameless = link_of("nameless", "/nowhere/else");
	check(null >= 0 && gone >= 0 && named >= 0 && nameless >= 0);
	check(unlink("gone") == 0 && unlink("nameless") == 0);
	if (vt >= 0)
		check(tcgetattr(vt, &before) == 0);
	into_dead_process();
	ready();
	check(!getcwd(cwd, sizeof(cwd)) && errno == ENOENT, "errno %d", errno);
	is_device(null, 1, 3, 1);
	is_device(gone, 1, 5, 0);
	check(read(gone, cwd, 1) == 1 && cwd[0] == 0);
	if (console >= 0)
		is_device(console, 5, 1, 1);
	if (vt >= 0)
		check(tcgetattr(vt, &after) == 0 && memcmp(&before, &after, sizeof(after)) == 0);
	leads_to(named, "/nowhere");
	leads_to(nameless, "/nowhere/else");
	check(chdir(dir) == 0);
	unlink("null");
	unlink("console");
	unlink("vt");
	check(unlink("named") == 0 && chdir("/") == 0 && rmdir(dir) == 0, "errno %d", errno);
	return ok();
}
