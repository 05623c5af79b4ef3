/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Huge pages: private and shared with a child, in a memfd, in System V shared memory.  Needs some
 * that nobody uses: they are asked for, and given back.
 */
#include "cr.h"

#include <sys/shm.h>

#define H (2u << 20)

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/"

static long number(const char *path)
{
	FILE *f = fopen(path, "re");
	long n = -1;

	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

static void ask(long n)
{
	FILE *f = fopen(POOL "nr_hugepages", "we");

	if (f) {
		fprintf(f, "%ld\n", n);
		fclose(f);
	}
}

/* Huge: one entry of the page table for all of it. */
static bool is_huge(const void *p)
{
	char line[512];
	FILE *f = fopen("/proc/self/smaps", "re");
	bool mine = false, huge = false;

	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2 &&
		    strchr(line, '-') < strchr(line, ' '))
			mine = (uintptr_t)p >= from && (uintptr_t)p < to;
		huge |= mine && strncmp(line, "KernelPageSize:     2048 kB", 27) == 0;
	}
	fclose(f);
	return huge;
}

static char *map(size_t pages, int flags, int fd)
{
	char *p = mmap(NULL, pages * H, PROT_READ | PROT_WRITE, flags, fd, 0);

	check(p != MAP_FAILED, "errno %d", errno);
	return p;
}

int main(void)
{
	const int anon = MAP_ANONYMOUS | MAP_HUGETLB;
	char *private, *shared, *of_memfd, *sysv, *readonly;
	long had = number(POOL "nr_hugepages"), unused = number(POOL "free_hugepages");
	struct stat st;
	int memfd, id, status;
	pid_t child;

	if (had < 0)
		skip("the kernel has no huge pages of 2 MiB");
	if (unused < 16)
		ask(had + 16 - unused);
	if (number(POOL "free_hugepages") < 16) {
		ask(had);
		skip("there is not enough memory in one piece for huge pages");
	}
	private = map(2, MAP_PRIVATE | anon, -1);
	readonly = map(1, MAP_PRIVATE | anon, -1);
	shared = map(3, MAP_SHARED | anon, -1);
	memfd = memfd_create("huge", MFD_HUGETLB | MFD_ALLOW_SEALING);
	check(memfd >= 0 && ftruncate(memfd, 2 * H) == 0 && fchmod(memfd, 0640) == 0);
	of_memfd = map(2, MAP_SHARED, memfd);
	check(fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	id = shmget(0x68756765, H, SHM_HUGETLB | IPC_CREAT | 0600);
	check(id >= 0, "errno %d", errno);
	sysv = shmat(id, NULL, 0);
	check(sysv != (void *)-1);
	strcpy(private + H + 5000, "private");
	strcpy(readonly, "readonly");
	mprotect(readonly, H, PROT_READ);
	strcpy(shared + 2 * H + 77, "shared");
	strcpy(of_memfd + H - 8, "across");
	strcpy(sysv + H - 100, "segment");
	child = fork();
	if (child == 0) {
		while (shared[0] == 0)
			usleep(1000);
		strcpy(shared + H, "of the child");
		_exit(0);
	}
	ready();
	check(is_huge(private) && is_huge(shared) && is_huge(of_memfd) && is_huge(sysv) &&
	      is_huge(readonly));
	check(strcmp(private + H + 5000, "private") == 0 && private[0] == 0);
	check(strcmp(readonly, "readonly") == 0);
	check(strcmp(shared + 2 * H + 77, "shared") == 0);
	check(strcmp(of_memfd + H - 8, "across") == 0);
	check(strcmp(sysv + H - 100, "segment") == 0);
	check(fstat(memfd, &st) == 0 && st.st_size == 2 * H && (st.st_mode & 0777) == 0640);
	check(fcntl(memfd, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW));
	check(pwrite(memfd, "x", 1, 0) < 0 && of_memfd[0] == 0); /* hugetlbfs has no write(2) */
	shared[0] = 1;
	check(waitpid(child, &status, 0) == child && status == 0);
	check(strcmp(shared + H, "of the child") == 0);
	check(shmget(0x68756765, 0, 0) == id && shmdt(sysv) == 0);
	check(shmctl(id, IPC_RMID, NULL) == 0);
	munmap(private, 2 * H);
	munmap(readonly, H);
	munmap(shared, 3 * H);
	munmap(of_memfd, 2 * H);
	close(memfd);
	ask(had);
	return ok();
}
