/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared mappings that can never be made writable: of a memfd that was sealed before, also with a
 * description for writing, and of System V shared memory by SHM_RDONLY.  A segment that is locked.
 */
#include "cr.h"

#include <sys/shm.h>

#define PAGE 4096
#ifndef SHM_LOCKED
#define SHM_LOCKED 02000
#endif

static int sealed(const char *name, int seals, char **before, char **after)
{
	int fd = memfd_create(name, MFD_ALLOW_SEALING);

	check(fd >= 0 && write(fd, name, strlen(name)) > 0);
	*before = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		       seals & F_SEAL_WRITE ? MAP_PRIVATE : MAP_SHARED, fd, 0);
	check(*before != MAP_FAILED && fcntl(fd, F_ADD_SEALS, seals) == 0, "seals of %s", name);
	*after = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0); /* Linux 6.7; not with any seal */
	return fd;
}

static void sealed_still(int fd, const char *name, int seals, char *before, char *after)
{
	check(fcntl(fd, F_GET_SEALS) == seals, "%s: %#x", name, fcntl(fd, F_GET_SEALS));
	check(write(fd, "x", 1) < 0 && errno == EPERM, "%s is written", name);
	check(strcmp(before, name) == 0, "%s", name);
	before[0] = 'X';
	if (after == MAP_FAILED)
		return;
	check(strcmp(after + 1, name + 1) == 0, "%s", name);
	check(mprotect(after, PAGE, PROT_READ | PROT_WRITE) < 0 && errno == EACCES,
	      "%s can be made writable", name);
}

int main(void)
{
	int all = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	int later = F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK;
	char *before[2], *after[2], *shm, *to_read;
	int fd[2] = {sealed("whole", all, &before[0], &after[0]),
		     sealed("later", later, &before[1], &after[1])};
	int id = shmget(IPC_PRIVATE, 2 * PAGE, IPC_CREAT | 0604);
	struct shmid_ds s;
	bool locked;

	shm = shmat(id, NULL, 0);
	to_read = shmat(id, NULL, SHM_RDONLY);
	check(shm != (void *)-1 && to_read != (void *)-1);
	strcpy(shm, "segment");
	locked = shmctl(id, SHM_LOCK, NULL) == 0;
	ready();
	sealed_still(fd[0], "whole", all, before[0], after[0]);
	sealed_still(fd[1], "later", later, before[1], after[1]);
	if (after[1] != MAP_FAILED)
		check(after[1][0] == 'X', "two objects");
	check(strcmp(to_read, "segment") == 0);
	check(mprotect(to_read, PAGE, PROT_READ | PROT_WRITE) < 0 && errno == EACCES,
	      "SHM_RDONLY can be made writable");
	strcpy(shm, "other");
	check(strcmp(to_read, "other") == 0);
	check(shmctl(id, IPC_STAT, &s) == 0 &&
		      (s.shm_perm.mode & SHM_LOCKED) / SHM_LOCKED == locked,
	      "mode %#o", s.shm_perm.mode);
	check(shmctl(id, IPC_RMID, NULL) == 0);
	return ok();
}
