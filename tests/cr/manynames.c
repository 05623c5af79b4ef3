/* SPDX-License-Identifier: Apache-2.0 */
/* Files with names, more than whoever restores may have open at once; some shared, some mapped. */
#include "cr.h"

#define FAMILY 4
#define FILES  500

static char dir[] = "/tmp/manynames.XXXXXX";
static int fds[FILES], shared;
static char *map;
static int family;

static int make(void)
{
	char path[64];

	for (int i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s/%d.%d", dir, family, i);
		fds[i] = open(path, O_CREAT | O_RDWR, 0644);
		if (fds[i] < 0 || write(fds[i], &i, sizeof(i)) != sizeof(i))
			return 1;
	}
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fds[FILES - 1], 0);
	return map == MAP_FAILED;
}

static int verify(void)
{
	for (int i = 0; i < FILES; i++) {
		int v = -1;

		if (lseek(fds[i], 0, SEEK_CUR) != sizeof(v) ||
		    pread(fds[i], &v, sizeof(v), 0) != sizeof(v) || v != i)
			return 10;
	}
	if (*(int *)map != FILES - 1)
		return 11;
	return lseek(shared, 1, SEEK_CUR) == family + 1 ? 0 : 12; /* one after the other moves it */
}

int main(void)
{
	struct child c[FAMILY];
	char path[64];

	check(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/shared", dir);
	shared = open(path, O_CREAT | O_RDWR, 0644);
	check(shared >= 0);
	for (family = 0; family < FAMILY; family++)
		c[family] = child_start(make, verify);

	ready();

	for (int i = 0; i < FAMILY; i++)
		child_go(&c[i]);
	for (int i = 0; i < FAMILY * FILES; i++) {
		snprintf(path, sizeof(path), "%s/%d.%d", dir, i / FILES, i % FILES);
		check(unlink(path) == 0);
	}
	snprintf(path, sizeof(path), "%s/shared", dir);
	check(unlink(path) == 0 && rmdir(dir) == 0);
	return ok();
}
