/* SPDX-License-Identifier: Apache-2.0 */
/* Threads with a current directory, a root directory and a umask of their own (CLONE_FS). */
#include "cr.h"

#include <pthread.h>
#include <sched.h>

static char top[] = "/tmp/threadfs.XXXXXX";
static pthread_barrier_t made, restored, verified;

struct own {
	const char *go, *root, *cwd; /* what it is afterwards */
	bool deleted;
	mode_t mask;
	bool right;
};
static struct own owns[] = {
	{.go = "a", .cwd = "a", .mask = 0111},
	{.go = "b", .root = "b", .cwd = "/in", .mask = 0137},
	{.go = ".", .cwd = "", .mask = 022}, /* the process's, but a copy */
	{.go = "gone", .deleted = true, .mask = 0},
	{.go = "a", .root = "a", .cwd = "/", .mask = 077},
};

static void make(const struct own *o)
{
	check(unshare(CLONE_FS) == 0 && chdir(o->go) == 0);
	if (o->root)
		check(chroot(".") == 0 && chdir(o->cwd) == 0);
	umask(o->mask);
	if (o->deleted)
		check(unlinkat(AT_FDCWD, "../gone", AT_REMOVEDIR) == 0);
}

static bool is_right(const struct own *o)
{
	char cwd[256], wanted[256];

	if (o->deleted)
		return !getcwd(cwd, sizeof(cwd)) && errno == ENOENT && umask(0) == o->mask;
	snprintf(wanted, sizeof(wanted), "%s%s%s", o->root ? "" : top,
		 o->root || !*o->cwd ? "" : "/", o->cwd);
	return getcwd(cwd, sizeof(cwd)) && !strcmp(cwd, wanted) && umask(0) == o->mask &&
	       access(top, F_OK) == (o->root ? -1 : 0);
}

static void *work(void *arg)
{
	struct own *o = arg;

	make(o);
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&restored);
	o->right = is_right(o);
	check(chdir("/") == 0); /* nobody else is to notice */
	pthread_barrier_wait(&verified);
	return NULL;
}

static void *shares(void *arg)
{
	char cwd[256];

	pthread_barrier_wait(&made);
	pthread_barrier_wait(&restored);
	pthread_barrier_wait(&verified);
	return getcwd(cwd, sizeof(cwd)) && !strcmp(cwd, top) ? arg : NULL;
}

int main(void)
{
	unsigned n = ARRAY_SIZE(owns);
	pthread_t threads[ARRAY_SIZE(owns)], other;
	char cwd[256];
	void *ret;

	check(mkdtemp(top) && chdir(top) == 0 && mkdir("a", 0755) == 0 && mkdir("b", 0755) == 0 &&
	      mkdir("b/in", 0755) == 0 && mkdir("gone", 0755) == 0);
	umask(027);
	pthread_barrier_init(&made, NULL, n + 2);
	pthread_barrier_init(&restored, NULL, n + 2);
	pthread_barrier_init(&verified, NULL, n + 2);
	for (unsigned i = 0; i < n; i++)
		check(pthread_create(&threads[i], NULL, work, &owns[i]) == 0);
	check(pthread_create(&other, NULL, shares, top) == 0);
	pthread_barrier_wait(&made);
	ready();
	pthread_barrier_wait(&restored);
	pthread_barrier_wait(&verified);
	for (unsigned i = 0; i < n; i++) {
		check(pthread_join(threads[i], NULL) == 0);
		check(owns[i].right, "thread %u has not what it had", i);
	}
	check(pthread_join(other, &ret) == 0 && ret, "the process's directory has changed");
	check(getcwd(cwd, sizeof(cwd)) && !strcmp(cwd, top) && umask(0) == 027, "%s", cwd);
	check(rmdir("b/in") == 0 && rmdir("b") == 0 && rmdir("a") == 0 && rmdir(top) == 0);
	return ok();
}
