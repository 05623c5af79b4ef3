/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts that lie on and below each other, in a mount namespace of the tree's own: covered ones,
 * read-only ones, views of themselves, peers and slaves whose children differ, a terminal over a
 * file, files of unix sockets that nobody has.
 */
#include "cr.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>

#define TOP "/tmp/m"

static void mounts(const char *source, const char *at, const char *type, unsigned long flags)
{
	check(mount(source, at, type, flags, NULL) == 0, "%s: errno %d", at, errno);
}

static void fresh(const char *at)
{
	check(mkdir(at, 0755) == 0 || errno == EEXIST, "%s: errno %d", at, errno);
	mounts("fresh", at, "tmpfs", 0);
}

static void view(const char *of, const char *at)
{
	check(mkdir(at, 0755) == 0 || errno == EEXIST, "%s: errno %d", at, errno);
	mounts(of, at, NULL, MS_BIND);
}

static void put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: errno %d",
	      name, errno);
	close(fd);
}

static void holds(const char *name, const char *text)
{
	char b[16] = "";
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	check(fd >= 0, "%s: errno %d", name, errno);
	check(read(fd, b, sizeof(b) - 1) == (ssize_t)strlen(text) && !strcmp(b, text), "%s: %s",
	      name, b);
	close(fd);
}

static void has_none(const char *name)
{
	check(access(name, F_OK) < 0 && errno == ENOENT, "%s: errno %d", name, errno);
}

static void is_read_only(const char *name)
{
	check(open(name, O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS, "%s: errno %d", name, errno);
}

static void make_layers(void)
{
	fresh(TOP "/a");
	put(TOP "/a/one", "1");
	fresh(TOP "/a/sub");
	put(TOP "/a/sub/two", "2");
	fresh(TOP "/a");
	put(TOP "/a/three", "3");
	fresh(TOP "/ro");
	put(TOP "/ro/file", "ro");
	mounts(NULL, TOP "/ro", NULL, MS_REMOUNT | MS_RDONLY);
	fresh(TOP "/rw");
	put(TOP "/rw/file", "rw");
	view(TOP "/rw", TOP "/view");
	mounts(NULL, TOP "/view", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY);
	fresh(TOP "/self");
	put(TOP "/self/file", "under");
	view(TOP "/self", TOP "/self");
}

static void verify_layers(void)
{
	holds(TOP "/a/three", "3");
	has_none(TOP "/a/one");
	check(umount(TOP "/a") == 0);
	holds(TOP "/a/one", "1");
	holds(TOP "/a/sub/two", "2");
	holds(TOP "/ro/file", "ro");
	is_read_only(TOP "/ro/file");
	holds(TOP "/view/file", "rw");
	is_read_only(TOP "/view/file");
	check(open(TOP "/rw/file", O_WRONLY | O_CLOEXEC) >= 0, "errno %d", errno);
	check(umount(TOP "/self") == 0);
	holds(TOP "/self/file", "under");
}

static void make_groups(void)
{
	fresh(TOP "/1");
	mounts(NULL, TOP "/1", NULL, MS_SHARED);
	check(mkdir(TOP "/1/c", 0755) == 0);
	view(TOP "/1", TOP "/peer");
	view(TOP "/1", TOP "/slave");
	mounts(NULL, TOP "/slave", NULL, MS_SLAVE);
	view(TOP "/slave", TOP "/both");
	mounts(NULL, TOP "/both", NULL, MS_SHARED);
	view(TOP "/1", TOP "/private");
	mounts(NULL, TOP "/private", NULL, MS_PRIVATE);
	fresh(TOP "/1/c"); /* comes to all but the private one */
	put(TOP "/1/c/file", "deep");
	mounts(NULL, TOP "/peer/c", NULL, MS_PRIVATE);
	fresh(TOP "/slave/only");
	fresh(TOP "/private/only");
	put(TOP "/private/only/file", "mine");
}

static void verify_groups(void)
{
	holds(TOP "/peer/c/file", "deep");
	holds(TOP "/slave/c/file", "deep");
	holds(TOP "/both/c/file", "deep");
	has_none(TOP "/private/c/file");
	holds(TOP "/private/only/file", "mine");
	has_none(TOP "/1/only/file");
	fresh(TOP "/1/new");
	put(TOP "/1/new/file", "new");
	holds(TOP "/peer/new/file", "new");
	holds(TOP "/slave/new/file", "new");
	holds(TOP "/both/new/file", "new");
	has_none(TOP "/private/new/file");
}

static int master;

/* As /dev/console is made. */
static void make_terminal(void)
{
	master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	check(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0, "errno %d", errno);
	put(TOP "/console", "");
	mounts(ptsname(master), TOP "/console", NULL, MS_BIND);
}

static void verify_terminal(void)
{
	int fd = open(TOP "/console", O_RDWR | O_NOCTTY | O_CLOEXEC);
	char b[8];

	check(fd >= 0 && isatty(fd), "errno %d", errno);
	check(write(fd, "x", 1) == 1 && read(master, b, sizeof(b)) == 1 && b[0] == 'x');
	close(fd);
	check(umount(TOP "/console") == 0);
	holds(TOP "/console", "");
}

static struct stat dead;

/* What a server has left behind, twice: with something mounted over it, and without. */
static void make_dead_sockets(void)
{
	static const char *const names[] = {TOP "/gone", TOP "/rw/left"};

	for (unsigned i = 0; i < 2; i++) {
		struct sockaddr_un a = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		strcpy(a.sun_path, names[i]);
		check(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "errno %d", errno);
		close(fd);
	}
	check(chown(TOP "/rw/left", 12, 34) == 0 && chmod(TOP "/rw/left", 0625) == 0);
	check(utimensat(AT_FDCWD, TOP "/rw/left", (struct timespec[]){{5, 6}, {7, 8}}, 0) == 0);
	check(stat(TOP "/rw/left", &dead) == 0);
	view(TOP "/rw/file", TOP "/gone");
}

static void verify_dead_sockets(void)
{
	struct stat st;

	holds(TOP "/gone", "rw");
	check(umount(TOP "/gone") == 0 && stat(TOP "/gone", &st) == 0 && S_ISSOCK(st.st_mode));
	check(stat(TOP "/rw/left", &st) == 0, "errno %d", errno);
	check(st.st_mode == dead.st_mode && st.st_uid == 12 && st.st_gid == 34 &&
		      st.st_mtim.tv_sec == 7 && st.st_mtim.tv_nsec == 8,
	      "mode %o, user %u", st.st_mode, st.st_uid);
}

static int be_parent(pid_t child)
{
	int status;

	check(waitpid(child, &status, 0) == child);
	rmdir(TOP);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

/* With an argument: in a child's mount namespace, a copy of the first process's. */
int main(int argc, char **argv)
{
	pid_t child = argc > 1 ? fork() : 0;

	if (child)
		return be_parent(child);
	if (argc > 1)
		check(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
		      "errno %d", errno);
	fresh(TOP);
	mounts(NULL, TOP, NULL, MS_PRIVATE);
	make_layers();
	make_groups();
	make_terminal();
	make_dead_sockets();
	ready();
	verify_dead_sockets();
	verify_layers();
	verify_groups();
	verify_terminal();
	return ok();
}
