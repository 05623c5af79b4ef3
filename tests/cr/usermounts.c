/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mount namespaces of users inside: what they came with is locked, what they have mounted is
 * theirs; users with other numbers; a new root of their own, as sandboxes have it; a second
 * namespace that shows the first one's.
 */
#include "users.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/statfs.h>

static bool is_locked(const char *path)
{
	return umount2(path, MNT_DETACH) < 0 && errno == EINVAL;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);

	check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s", path);
	close(fd);
}

static bool holds(const char *path, const char *text)
{
	char buf[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool same = fd >= 0 && read(fd, buf, sizeof(buf) - 1) >= 0 && strcmp(buf, text) == 0;

	close(fd);
	return same;
}

static void make_tmp(void)
{
	check(mount("own", "/tmp", "tmpfs", MS_NOSUID, "size=1m,mode=1777") == 0, "errno %d",
	      errno);
	check(mkdir("/tmp/a", 0700) == 0 && mkdir("/tmp/b", 0755) == 0);
	write_file("/tmp/a/file", "theirs");
	check(chown("/tmp/a/file", 3, 4) == 0, "errno %d", errno);
	check(mount("/tmp/a", "/tmp/b", NULL, MS_BIND, NULL) == 0);
}

static int make_mapped(void)
{
	enter(CLONE_NEWNS, "0 1000 5\n", "0 2000 5\n", NULL);
	check(syscall(SYS_setresgid, 0, 0, 0) == 0 && syscall(SYS_setresuid, 0, 0, 0) == 0);
	make_tmp();
	check(is_locked("/proc"));
	return chdir("/tmp/b");
}

static int verify_mapped(void)
{
	struct statfs fs;
	struct stat st;

	check(holds("file", "theirs") && holds("/tmp/a/file", "theirs"));
	check(stat("file", &st) == 0 && st.st_uid == 3 && st.st_gid == 4, "%d:%d", (int)st.st_uid,
	      (int)st.st_gid);
	check(is_locked("/proc"));
	write_file("/tmp/new", "new");
	check(chown("/tmp/new", 2, 2) == 0);
	check(mount(NULL, "/tmp", NULL, MS_REMOUNT | MS_NOSUID, "size=2m") == 0, "errno %d", errno);
	check(statfs("/tmp", &fs) == 0 && fs.f_blocks * (uint64_t)fs.f_bsize == 2u << 20);
	check(chdir("/") == 0 && umount2("/tmp/b", 0) == 0, "errno %d", errno);
	check(umount2("/tmp", MNT_DETACH) == 0, "errno %d", errno);
	return 0;
}

/* What a sandbox does: a tmpfs becomes the root, with parts of the old one in it. */
static int make_root(void)
{
	enter(CLONE_NEWNS, "0 0 1\n", "0 0 1\n", "deny");
	check(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0);
	check(mount("root", "/tmp", "tmpfs", 0, NULL) == 0 && chdir("/tmp") == 0);
	check(mkdir("etc", 0755) == 0 && mkdir("old", 0755) == 0 && mkdir("proc", 0755) == 0 &&
	      mkdir("tmp", 0755) == 0);
	check(mount("/etc", "etc", NULL, MS_BIND | MS_REC, NULL) == 0);
	check(mount(NULL, "etc", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0);
	check(mount("/proc", "proc", NULL, MS_BIND | MS_REC, NULL) == 0);
	check(mount("inner", "tmp", "tmpfs", 0, NULL) == 0);
	check(syscall(SYS_pivot_root, ".", "old") == 0 && umount2("/old", MNT_DETACH) == 0);
	write_file("/tmp/x", "root");
	return chdir("/etc");
}

static int verify_root(void)
{
	char cwd[64] = "";

	check(getcwd(cwd, sizeof(cwd)) && strcmp(cwd, "/etc") == 0, "%s", cwd);
	check(access("/etc", X_OK) == 0 && access("/dev", F_OK) < 0 && access("/old", F_OK) == 0);
	check(mkdir("/etc/x", 0755) < 0 && errno == EROFS, "errno %d", errno);
	check(holds("/tmp/x", "root") && access("/proc/self/status", F_OK) == 0);
	check(mkdir("/new", 0755) == 0);
	return umount2("/tmp", 0);
}

static struct child second;

static int make_second(void)
{
	check(unshare(CLONE_NEWNS) == 0);
	check(mount("own", "/run", "tmpfs", 0, NULL) == 0);
	write_file("/run/x", "second");
	return 0;
}

static int verify_second(void)
{
	check(holds("/run/x", "second") && holds("/tmp/x", "first"));
	return umount2("/run", 0) < 0 || umount2("/tmp", 0) < 0;
}

static int make_first(void)
{
	enter(CLONE_NEWNS, "0 0 1\n", "0 0 1\n", NULL);
	check(mount("own", "/tmp", "tmpfs", 0, NULL) == 0);
	write_file("/tmp/x", "first");
	second = child_start(make_second, verify_second);
	return 0;
}

static int verify_first(void)
{
	check(holds("/tmp/x", "first") && !holds("/run/x", "second"));
	child_go(&second);
	return umount2("/tmp", 0);
}

int main(void)
{
	struct child mapped, root, first;

	check(chdir("/") == 0);
	mapped = child_start(make_mapped, verify_mapped);
	root = child_start(make_root, verify_root);
	first = child_start(make_first, verify_first);
	ready();
	child_go(&mapped);
	child_go(&root);
	child_go(&first);
	return ok();
}
