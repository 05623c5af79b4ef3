/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that has restricted itself by Landlock, whose rules nobody can read: refused. */
#include "cr.h"

#include <linux/landlock.h>
#include <pthread.h>
#include <sys/prctl.h>

static pthread_barrier_t barrier;
static bool is_there;

static void *restrict_myself(void *arg)
{
	struct landlock_ruleset_attr a = {.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE};
	int fd = (int)syscall(SYS_landlock_create_ruleset, &a, sizeof(a.handled_access_fs), 0);

	is_there = fd >= 0;
	if (is_there) {
		check(syscall(SYS_landlock_restrict_self, fd, 0) == 0, "errno %d", errno);
		close(fd);
	}
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	check(!is_there || (open("/proc/self/stat", O_RDONLY) < 0 && errno == EACCES));
	return NULL;
}

int main(void)
{
	pthread_t t;

	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	check(pthread_barrier_init(&barrier, NULL, 2) == 0 &&
	      pthread_create(&t, NULL, restrict_myself, NULL) == 0);
	pthread_barrier_wait(&barrier);
	if (!is_there)
		skip("the kernel has no Landlock");
	if (access("/sys/kernel/btf/vmlinux", R_OK) != 0)
		skip("the kernel does not describe its types");
	say("expect: Landlock restricts it, by rules that nobody can read\n");
	ready();
	pthread_barrier_wait(&barrier);
	check(pthread_join(t, NULL) == 0);
	check(open("/proc/self/stat", O_RDONLY | O_CLOEXEC) >= 0);
	return ok();
}
