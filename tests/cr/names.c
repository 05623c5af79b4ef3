/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files whose names have changed: renamed, one of several links removed, never named (O_TMPFILE,
 * and it can still get one), and large ones with holes.
 */
#include "cr.h"

#define LARGE (5LL << 30)

int main(void)
{
	char dir[] = "/tmp/names.XXXXXX", a[64], b[64], path[64], buf[16];
	int renamed, linked, tmp, large, ghost;
	struct stat st, of;

	check(mkdtemp(dir) != NULL && chdir(dir) == 0);
	renamed = open("before", O_RDWR | O_CREAT, 0600);
	check(renamed >= 0 && write(renamed, "renamed", 7) == 7 && rename("before", "after") == 0);
	snprintf(a, sizeof(a), "%s/first", dir);
	snprintf(b, sizeof(b), "%s/second", dir);
	linked = open(a, O_RDWR | O_CREAT, 0600);
	check(linked >= 0 && write(linked, "linked", 6) == 6);
	check(link(a, b) == 0 && unlink(a) == 0);
	tmp = open(dir, O_TMPFILE | O_RDWR, 0640);
	check(tmp >= 0 && write(tmp, "nameless", 8) == 8, "errno %d", errno);
	large = open("large", O_RDWR | O_CREAT, 0600);
	check(large >= 0 && pwrite(large, "far", 3, LARGE) == 3 &&
	      lseek(large, LARGE, SEEK_SET) > 0);
	ghost = open("gone", O_RDWR | O_CREAT, 0600);
	check(ghost >= 0 && pwrite(ghost, "far", 3, LARGE) == 3 && write(ghost, "near", 4) == 4);
	check(unlink("gone") == 0);

	ready();

	check(pread(renamed, buf, 7, 0) == 7 && memcmp(buf, "renamed", 7) == 0);
	check(fstat(renamed, &st) == 0 && stat("after", &of) == 0 && st.st_ino == of.st_ino);
	check(pread(linked, buf, 6, 0) == 6 && memcmp(buf, "linked", 6) == 0);
	check(fstat(linked, &st) == 0 && stat(b, &of) == 0 && st.st_ino == of.st_ino);
	check(st.st_nlink == 1 && access(a, F_OK) < 0);
	check(fstat(tmp, &st) == 0 && st.st_nlink == 0 && (st.st_mode & 07777) == 0640);
	check(lseek(tmp, 0, SEEK_CUR) == 8 && pread(tmp, buf, 8, 0) == 8);
	check(memcmp(buf, "nameless", 8) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", tmp);
	check(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0, "errno %d", errno);
	check(read(large, buf, 3) == 3 && memcmp(buf, "far", 3) == 0);
	check(pread(ghost, buf, 3, LARGE) == 3 && memcmp(buf, "far", 3) == 0);
	check(fstat(ghost, &st) == 0 && st.st_blocks < 100 && st.st_size == LARGE + 3);
	unlink("after");
	unlink("named");
	unlink("large");
	unlink(b);
	check(chdir("/") == 0 && rmdir(dir) == 0, "errno %d", errno);
	return ok();
}
