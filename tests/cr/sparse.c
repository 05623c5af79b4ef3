/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files in a tmpfs with holes that are much larger than it: neither a dump nor a restore may write
 * what is not there.  For trees with mounts of their own (flavours of run.c).
 */
#include "cr.h"

#include <sys/mount.h>

#define AT "/tmp/sparse"

static const struct {
	const char *name;
	off_t size, data[2]; /* a byte there; -1: none */
} files[] = {
	{AT "/middle", (off_t)1 << 40, {(off_t)1 << 39, -1}},
	{AT "/ends", ((off_t)1 << 36) + 5, {0, ((off_t)1 << 36) + 4}},
	{AT "/empty", (off_t)1 << 33, {-1, -1}},
	{AT "/small", 5, {0, 4}},
};

int main(void)
{
	struct stat st;
	char c;

	check(mkdir(AT, 0755) == 0 || errno == EEXIST, "errno %d", errno);
	check(mount("sparse", AT, "tmpfs", 0, "size=1m") == 0, "errno %d", errno);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int fd = open(files[i].name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

		check(fd >= 0 && ftruncate(fd, files[i].size) == 0, "%s", files[i].name);
		for (int k = 0; k < 2; k++)
			check(files[i].data[k] < 0 || pwrite(fd, "x", 1, files[i].data[k]) == 1);
		close(fd);
	}
	ready();
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int fd = open(files[i].name, O_RDONLY | O_CLOEXEC);

		check(fd >= 0 && fstat(fd, &st) == 0, "%s: errno %d", files[i].name, errno);
		check(st.st_size == files[i].size && st.st_blocks <= 16,
		      "%s: %lld bytes, %lld blocks", files[i].name, (long long)st.st_size,
		      (long long)st.st_blocks);
		for (int k = 0; k < 2; k++)
			check(files[i].data[k] < 0 ||
				      (pread(fd, &c, 1, files[i].data[k]) == 1 && c == 'x'),
			      "%s at %lld", files[i].name, (long long)files[i].data[k]);
		check(files[i].size < 4096 || (pread(fd, &c, 1, 4096) == 1 && c == 0));
		close(fd);
	}
	check(umount(AT) == 0);
	return ok();
}
