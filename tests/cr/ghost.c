/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are open but deleted: content, owner, mode, times, sharing; also one that is mapped.
 */
#include "cr.h"

static int fd;

static int child_sees(void)
{
	char buf[8];

	return pread(fd, buf, 5, 0) == 5 && !memcmp(buf, "ghost", 5) ? 0 : 10;
}

int main(void)
{
	char path[] = "/tmp/ghost.XXXXXX", other[] = "/tmp/ghostmap.XXXXXX", buf[16];
	int again, m;
	/* images have microseconds */
	struct timespec times[2] = {{1111111111, 111111000}, {1222222222, 222222000}};
	struct stat st;
	struct child c;
	char *map;

	fd = mkstemp(path);
	check(fd >= 0 && write(fd, "ghost", 5) == 5 && fchmod(fd, 0604) == 0);
	check(pwrite(fd, "far", 3, 1 << 24) == 3);
	again = open(path, O_RDONLY);
	check(again >= 0 && unlink(path) == 0);
	m = mkstemp(other);
	check(m >= 0 && ftruncate(m, 8192) == 0);
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0);
	check(map != MAP_FAILED);
	strcpy(map + 4096, "mapped");
	check(unlink(other) == 0);
	check(fchown(fd, 12, 34) == 0 && fchmod(fd, 0604) == 0);
	c = child_start(NULL, child_sees);
	check(futimens(fd, times) == 0);
	ready();
	check(fstat(fd, &st) == 0 && st.st_uid == 12 && st.st_gid == 34, "%u:%u", st.st_uid,
	      st.st_gid);
	check(st.st_mtim.tv_sec == times[1].tv_sec && st.st_mtim.tv_nsec == times[1].tv_nsec,
	      "%ld.%09ld", (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	child_go(&c);
	check(fstat(fd, &st) == 0 && st.st_nlink == 0 && (st.st_mode & 07777) == 0604,
	      "mode %o links %d", st.st_mode, (int)st.st_nlink);
	check(st.st_size == (1 << 24) + 3 && st.st_blocks < 1000, "sparse: %ld blocks",
	      (long)st.st_blocks);
	check(pread(again, buf, 3, 1 << 24) == 3 && !memcmp(buf, "far", 3));
	check(pwrite(fd, "G", 1, 0) == 1 && pread(again, buf, 5, 0) == 5 &&
		      !memcmp(buf, "Ghost", 5),
	      "both are one file");
	check(!strcmp(map + 4096, "mapped"));
	map[0] = 'm';
	check(pread(m, buf, 1, 0) == 1 && buf[0] == 'm', "the map is of the file");
	check(access(path, F_OK) == -1);
	return ok();
}
