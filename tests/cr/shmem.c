/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared anonymous memory: between processes, mapped twice, with a private copy beside it; and with
 * a descriptor, as whoever may opens it.
 */
#include "cr.h"

static volatile int *shared, *grown;

static int child_adds(void)
{
	shared[0] += 1000;
	grown[100000] = 7;
	return shared[1024] == 99 ? 0 : 10;
}

#define PAGE  4096
#define PAGES 5

static struct opened {
	int fd, flags;
	unsigned char *all, *private, *later;
} opened;

static void open_it(struct opened *o)
{
	char path[80];

	o->all =
		mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(o->all != MAP_FAILED);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)o->all,
		 (unsigned long)o->all + PAGES * PAGE);
	o->fd = open(path, O_RDWR | O_APPEND);
	if (o->fd < 0) { /* for nobody within a user namespace */
		check(errno == EPERM, "errno %d", errno);
		return;
	}
	o->flags = fcntl(o->fd, F_GETFL);
	for (int i = 0; i < 3; i++)
		o->all[i * PAGE] = (unsigned char)(10 + i);
	o->private = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, o->fd, PAGE);
	o->later = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, 2 * PAGE);
	check(o->private != MAP_FAILED && o->later != MAP_FAILED);
	o->private[PAGE] = 99;
	check(lseek(o->fd, 3, SEEK_SET) == 3);
}

static void verify(struct opened *o)
{
	struct stat st;
	unsigned char b;

	if (o->fd < 0)
		return;
	check(fcntl(o->fd, F_GETFL) == o->flags && lseek(o->fd, 0, SEEK_CUR) == 3);
	check(fstat(o->fd, &st) == 0 && st.st_size == PAGES * PAGE && st.st_nlink == 0);
	check(o->all[0] == 10 && o->private[0] == 11 && o->private[PAGE] == 99);
	check(o->later[0] == 12);
	o->later[0] = 33;
	check(o->all[2 * PAGE] == 33 && o->private[PAGE] == 99);
	o->all[3 * PAGE] = 44;
	check(o->private[2 * PAGE] == 44, "%d", o->private[2 * PAGE]);
	check(pread(o->fd, &b, 1, 3 * PAGE) == 1 && b == 44, "%d", b);
	check(ftruncate(o->fd, 7) == 0 && write(o->fd, "x", 1) == 1 && o->all[7] == 'x');
}

int main(void)
{
	struct child c;

	shared = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	grown = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(shared != MAP_FAILED && grown != MAP_FAILED);
	shared[0] = 1;
	shared[1024] = 99;
	open_it(&opened);
	c = child_start(NULL, child_adds);
	munmap((char *)grown + 4096, 4096);
	mprotect((char *)grown + 8192, 4096, PROT_READ);
	ready();
	check(shared[0] == 1);
	shared[0] = 2;
	child_go(&c);
	check(shared[0] == 1002, "they share one memory: %d", shared[0]);
	check(grown[100000] == 7, "beyond the hole: %d", grown[100000]);
	verify(&opened);
	return ok();
}
