/* SPDX-License-Identifier: Apache-2.0 */
/* Files in memory: shared ones write through, private ones keep their changes. */
#include "cr.h"

/* With what rights the file of the mapping at ADDR was opened. */
static unsigned rights(const char *addr)
{
	char name[80];
	struct stat st;

	snprintf(name, sizeof(name), "/proc/self/map_files/%lx-%lx", (unsigned long)addr,
		 (unsigned long)addr + 4096);
	check(lstat(name, &st) == 0, "%s: errno %d", name, errno);
	return st.st_mode & 0700;
}

int main(void)
{
	char path[] = "/tmp/filemap.XXXXXX", buf[8];
	int fd = mkstemp(path);
	char *sh, *pr, *ro, *rd;

	check(fd >= 0 && ftruncate(fd, 16384) == 0);
	check(pwrite(fd, "file", 4, 0) == 4 && pwrite(fd, "tail", 4, 12288) == 4);
	sh = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pr = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ro = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 12288);
	check(sh != MAP_FAILED && pr != MAP_FAILED && ro != MAP_FAILED);
	rd = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	check(rd != MAP_FAILED && rights(rd) == 0600);
	close(fd);
	strcpy(pr + 4096, "mine");
	strcpy(sh + 8192, "ours");
	ready();
	check(rights(rd) == 0600, "%o", rights(rd));
	check(!strncmp(pr, "file", 4) && !strcmp(pr + 4096, "mine") && !strcmp(pr + 8192, "ours"));
	check(!strncmp(ro, "tail", 4));
	strcpy(sh, "edit");
	fd = open(path, O_RDONLY);
	check(fd >= 0 && pread(fd, buf, 4, 0) == 4 && !memcmp(buf, "edit", 4));
	check(pread(fd, buf, 4, 4096) == 4 && !memcmp(buf, "\0\0\0\0", 4), "private stays private");
	check(unlink(path) == 0);
	return ok();
}
