/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that have been removed: the current one, an open one, with a file that was in it. */
#include "cr.h"

static void link_is(const char *proc, const char *want)
{
	char got[256];
	ssize_t n = readlink(proc, got, sizeof(got) - 1);

	check(n > 0, "%s", proc);
	got[n] = 0;
	check(strcmp(got, want) == 0, "%s is %s, was %s", proc, got, want);
}

int main(void)
{
	char dir[] = "/tmp/cr-ghostdir-XXXXXX", cwd[128], open_dir[128], file[128], was[3][160];
	char fd_link[64], file_link[64];
	int fd, in;
	struct stat st;

	check(mkdtemp(dir) != NULL, "mkdtemp");
	snprintf(cwd, sizeof(cwd), "%s/a", dir);
	check(mkdir(cwd, 0750) == 0, "mkdir");
	snprintf(open_dir, sizeof(open_dir), "%s/a/b", dir);
	check(mkdir(open_dir, 0711) == 0, "mkdir");
	snprintf(file, sizeof(file), "%s/a/b/f", dir);
	in = open(file, O_RDWR | O_CREAT, 0640);
	check(in >= 0 && write(in, "hello", 5) == 5, "file");
	fd = open(open_dir, O_RDONLY | O_DIRECTORY);
	check(fd >= 0, "directory");
	check(chdir(cwd) == 0, "chdir");
	check(unlink(file) == 0 && rmdir(open_dir) == 0 && rmdir(cwd) == 0 && rmdir(dir) == 0,
	      "removal");
	snprintf(was[0], sizeof(was[0]), "%s (deleted)", cwd);
	snprintf(was[1], sizeof(was[1]), "%s (deleted)", open_dir);
	snprintf(was[2], sizeof(was[2]), "%s (deleted)", file);
	snprintf(fd_link, sizeof(fd_link), "/proc/self/fd/%d", fd);
	snprintf(file_link, sizeof(file_link), "/proc/self/fd/%d", in);
	ready();
	link_is("/proc/self/cwd", was[0]);
	link_is(fd_link, was[1]);
	link_is(file_link, was[2]);
	check(stat(dir, &st) < 0 && errno == ENOENT, "the directory has a name again");
	check(stat(".", &st) == 0 && (st.st_mode & 07777) == 0750, "mode %o", st.st_mode);
	check(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0711, "mode %o", st.st_mode);
	check(open("x", O_CREAT | O_RDWR, 0600) < 0 && errno == ENOENT, "it can be written to");
	check(lseek(in, 0, SEEK_CUR) == 5, "position");
	return ok();
}
