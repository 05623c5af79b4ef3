/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts that are attached nowhere: unmounted lazily while files, directories, mappings, somebody's
 * current directory are in them; a view of what is still there; one that was never attached, which
 * can be attached afterwards.
 */
#include "cr.h"

#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#define TEXT "some text"

static char base[] = "/tmp/adrift.XXXXXX", at[64], real[64];

static int put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL, 0640);

	check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: errno %d",
	      name, errno);
	return fd;
}

static void holds(int fd, const char *text)
{
	char b[64] = "";

	check(pread(fd, b, sizeof(b) - 1, 0) == (ssize_t)strlen(text) && strcmp(b, text) == 0,
	      "\"%s\", not \"%s\"", b, text);
}

static void holds_at(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_RDONLY);

	check(fd >= 0, "%s: errno %d", name, errno);
	holds(fd, text);
	close(fd);
}

static int top(void)
{
	int fd = open(at, O_RDONLY | O_DIRECTORY);

	check(fd >= 0);
	return fd;
}

static void has_link(int fd, const char *want)
{
	char path[64], link[256] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	check(readlink(path, link, sizeof(link) - 1) > 0 && strcmp(link, want) == 0, "%s, not %s",
	      link, want);
}

static void is_tmpfs(int fd, uint64_t bytes)
{
	struct statfs st;

	check(fstatfs(fd, &st) == 0 && st.f_type == TMPFS_MAGIC);
	check((uint64_t)st.f_blocks * (uint64_t)st.f_bsize == bytes, "%lu blocks of %lu",
	      (unsigned long)st.f_blocks, (unsigned long)st.f_bsize);
}

static void mount_on(const char *source, const char *type, unsigned long flags, const char *data)
{
	check(mount(source, at, type, flags, data) == 0, "errno %d", errno);
}

static void unmount(void)
{
	check(umount2(at, MNT_DETACH) == 0, "errno %d", errno);
}

/* Only files are open. */
static struct {
	int file, again, map_fd;
	char *map;
} lone;

static void make_lone(void)
{
	mount_on("lone", "tmpfs", MS_NOSUID, "size=1m");
	int dir = top();

	check(mkdirat(dir, "sub", 0700) == 0);
	lone.file = put(dir, "sub/file", TEXT);
	check(lseek(lone.file, 4, SEEK_SET) == 4 && fchmod(lone.file, 0604) == 0);
	lone.again = openat(dir, "sub/file", O_RDONLY);
	int fd = put(dir, "mapped", "mapped");
	lone.map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(lone.again >= 0 && lone.map != MAP_FAILED);
	close(fd);
	close(dir);
	unmount();
}

static void check_lone(void)
{
	struct stat st;
	struct statvfs fs;

	check(fstat(lone.file, &st) == 0 && (st.st_mode & 07777) == 0604 && st.st_nlink == 1,
	      "mode %o, %lu links", st.st_mode, (unsigned long)st.st_nlink);
	check(lseek(lone.file, 0, SEEK_CUR) == 4);
	has_link(lone.file, "/sub/file");
	is_tmpfs(lone.file, 1 << 20);
	check(fstatvfs(lone.file, &fs) == 0 && fs.f_flag & ST_NOSUID, "flags %lx", fs.f_flag);
	holds(lone.again, TEXT);
	check(pwrite(lone.file, "SOME", 4, 0) == 4);
	holds(lone.again, "SOME text");
	check(pwrite(lone.file, "some", 4, 0) == 4);
	check(strcmp(lone.map, "mapped") == 0, "%s", lone.map);
}

/* There is a way to all of it. */
static struct {
	int dir, file, gone;
	pid_t child;
} whole;

static void make_whole(void)
{
	mount_on("whole", "tmpfs", 0, "size=2m,mode=0750");
	whole.dir = top();
	check(mkdirat(whole.dir, "a", 0711) == 0 && symlinkat("a/b", whole.dir, "link") == 0);
	whole.file = put(whole.dir, "a/b", TEXT);
	close(put(whole.dir, "closed", "closed"));
	whole.gone = put(whole.dir, "gone", "gone");
	check(unlinkat(whole.dir, "gone", 0) == 0);
	whole.child = fork();
	if (whole.child == 0) {
		check(fchdir(whole.dir) == 0 && chdir("a") == 0 && raise(SIGSTOP) == 0);
		holds_at(AT_FDCWD, "b", TEXT);
		holds_at(AT_FDCWD, "../closed", "closed");
		_exit(0);
	}
	check(waitpid(whole.child, NULL, WUNTRACED) == whole.child);
	unmount();
}

static void check_whole(void)
{
	struct stat st, up;

	check(fstat(whole.dir, &st) == 0 && (st.st_mode & 07777) == 0750, "mode %o", st.st_mode);
	check(fstatat(whole.dir, "..", &up, 0) == 0 && up.st_ino == st.st_ino &&
	      up.st_dev == st.st_dev);
	is_tmpfs(whole.dir, 2 << 20);
	holds_at(whole.dir, "closed", "closed");
	holds_at(whole.dir, "link", TEXT);
	holds(whole.gone, "gone");
	check(fstat(whole.file, &st) == 0 && fstatat(whole.dir, "a/b", &up, 0) == 0 &&
	      st.st_ino == up.st_ino && st.st_dev == up.st_dev);
	check(faccessat(whole.dir, "gone", F_OK, 0) < 0 && errno == ENOENT);
}

static void end_whole(void)
{
	int status;

	check(kill(whole.child, SIGCONT) == 0 && waitpid(whole.child, &status, 0) == whole.child &&
		      status == 0,
	      "status %#x", status);
}

/* Of a directory that is there. */
static struct {
	int dir, file, tree;
} view;

static void make_view(void)
{
	char name[80];

	check(mkdir(real, 0755) == 0);
	snprintf(name, sizeof(name), "%s/sub", real);
	check(mkdir(name, 0755) == 0);
	mount_on(real, NULL, MS_BIND, NULL);
	view.dir = top();
	view.file = put(view.dir, "sub/file", TEXT);
	unmount();
	view.tree = open_tree(AT_FDCWD, name, OPEN_TREE_CLONE);
	check(view.tree >= 0, "errno %d", errno);
}

static void check_view(void)
{
	struct stat st, up;

	has_link(view.file, "/sub/file");
	holds(view.file, TEXT);
	holds_at(view.dir, "sub/file", TEXT);
	check(fstat(view.dir, &st) == 0 && fstatat(view.dir, "..", &up, 0) == 0 &&
	      up.st_ino == st.st_ino);
	check(stat(real, &up) == 0 && up.st_ino == st.st_ino && up.st_dev == st.st_dev);
	holds_at(view.tree, "file", TEXT);
}

static void end_view(void)
{
	char name[80];

	check(move_mount(view.tree, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) == 0, "errno %d",
	      errno);
	snprintf(name, sizeof(name), "%s/file", at);
	holds_at(AT_FDCWD, name, TEXT);
	unmount();
	check(unlinkat(view.dir, "sub/file", 0) == 0);
	snprintf(name, sizeof(name), "%s/sub", real);
	check(rmdir(name) == 0 && rmdir(real) == 0);
}

/* Never attached. */
static int fresh, in_fresh;

static void make_fresh(void)
{
	int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);

	check(fs >= 0 && fsconfig(fs, FSCONFIG_SET_STRING, "size", "3m", 0) == 0 &&
	      fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0);
	fresh = fsmount(fs, 0, 0);
	check(fresh >= 0);
	close(fs);
	in_fresh = put(fresh, "inside", TEXT);
}

static void check_fresh(void)
{
	holds(in_fresh, TEXT);
	is_tmpfs(fresh, 3 << 20);
	check(fcntl(fresh, F_GETFL) & O_PATH);
}

static void end_fresh(void)
{
	char name[80];

	check(move_mount(fresh, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) == 0, "errno %d", errno);
	snprintf(name, sizeof(name), "%s/inside", at);
	holds_at(AT_FDCWD, name, TEXT);
	unmount();
	holds(in_fresh, TEXT);
}

int main(void)
{
	check(mkdtemp(base) != NULL);
	snprintf(at, sizeof(at), "%s/at", base);
	snprintf(real, sizeof(real), "%s/real", base);
	check(mkdir(at, 0755) == 0);
	make_lone();
	make_whole();
	make_view();
	make_fresh();

	ready();

	check_lone();
	check_whole();
	check_view();
	check_fresh();
	end_whole();
	end_view();
	end_fresh();
	check(rmdir(at) == 0 && rmdir(base) == 0);
	return ok();
}
