/* SPDX-License-Identifier: Apache-2.0 */
/* The first process has done chroot(2), and has files of before that open. */
#include "cr.h"

int main(void)
{
	char dir[] = "/tmp/jail.XXXXXX", path[64];
	int outer, inner, again;
	struct stat a, b;
	char *map;

	check(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	inner = open(path, O_CREAT | O_RDWR, 0644);
	check(inner >= 0 && write(inner, "inside", 6) == 6);
	outer = open("/tmp", O_RDONLY | O_DIRECTORY);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, inner, 0);
	check(outer >= 0 && map != MAP_FAILED);
	check(chroot(dir) == 0 && chdir("/") == 0);
	again = open("/file", O_RDONLY);
	check(again >= 0);

	ready();

	check(map[0] == 'i');
	check(fstat(inner, &a) == 0 && fstat(again, &b) == 0 && a.st_ino == b.st_ino);
	check(stat("/file", &b) == 0 && a.st_ino == b.st_ino);
	check(stat("/tmp", &b) < 0 && errno == ENOENT, "it is in its jail");
	check(stat(".", &a) == 0 && stat("/", &b) == 0 && a.st_ino == b.st_ino);
	check(fstatat(outer, dir + 5, &a, 0) == 0 && a.st_ino == b.st_ino);
	check(unlink("/file") == 0 && unlinkat(outer, dir + 5, AT_REMOVEDIR) == 0);
	return ok();
}
