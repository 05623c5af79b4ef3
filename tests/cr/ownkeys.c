/* SPDX-License-Identifier: Apache-2.0 */
/* Keyrings of a process, of its first thread and of another one. */
#include "cr.h"

#include <linux/keyctl.h>
#include <pthread.h>

static pthread_barrier_t made, restored;

static int add(const char *name, const char *text, int ring)
{
	return (int)syscall(SYS_add_key, "user", name, text, strlen(text), ring);
}

static bool has(int ring, const char *name, const char *text)
{
	char buf[64] = "";
	long key = syscall(SYS_keyctl, KEYCTL_SEARCH, ring, "user", name, 0);

	return key > 0 &&
	       syscall(SYS_keyctl, KEYCTL_READ, key, buf, sizeof(buf)) == (long)strlen(text) &&
	       strcmp(buf, text) == 0;
}

static bool is_there(int ring)
{
	return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, ring, 0) > 0;
}

static bool describes(int ring, const char *was)
{
	char text[128] = "";

	return syscall(SYS_keyctl, KEYCTL_DESCRIBE, ring, text, sizeof(text)) > 0 &&
	       strcmp(text, was) == 0;
}

static void *other(void *arg)
{
	bool right;

	check(add("other's", "of a thread", KEY_SPEC_THREAD_KEYRING) > 0);
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&restored);
	right = has(KEY_SPEC_THREAD_KEYRING, "other's", "of a thread") &&
		!has(KEY_SPEC_THREAD_KEYRING, "first's", "of the first") &&
		has(KEY_SPEC_PROCESS_KEYRING, "all", "of the process");
	/* what it adds there is the process's */
	return right && add("new", "one more", KEY_SPEC_PROCESS_KEYRING) > 0 ? arg : NULL;
}

static void *none(void *arg)
{
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&restored);
	return has(KEY_SPEC_PROCESS_KEYRING, "all", "of the process") ? arg : NULL;
}

static int has_none(void)
{
	return is_there(KEY_SPEC_PROCESS_KEYRING) || is_there(KEY_SPEC_THREAD_KEYRING);
}

int main(void)
{
	void *(*const work[])(void *) = {other, none};
	struct child child;
	pthread_t threads[2];
	char was[128] = "", thread[128] = "";
	void *ret;

	if (add("all", "of the process", KEY_SPEC_PROCESS_KEYRING) < 0)
		skip("the kernel has no keys");
	pthread_barrier_init(&made, NULL, 3);
	pthread_barrier_init(&restored, NULL, 3);
	for (unsigned i = 0; i < 2; i++)
		check(pthread_create(&threads[i], NULL, work[i], was) == 0);
	check(add("first's", "of the first", KEY_SPEC_THREAD_KEYRING) > 0);
	child = child_start(NULL, has_none);
	pthread_barrier_wait(&made);
	check(syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_PROCESS_KEYRING, was, sizeof(was)) > 0);
	check(syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_THREAD_KEYRING, thread,
		      sizeof(thread)) > 0);
	ready();
	check(describes(KEY_SPEC_PROCESS_KEYRING, was) &&
	      describes(KEY_SPEC_THREAD_KEYRING, thread));
	check(has(KEY_SPEC_PROCESS_KEYRING, "all", "of the process"));
	check(has(KEY_SPEC_THREAD_KEYRING, "first's", "of the first"));
	check(!has(KEY_SPEC_THREAD_KEYRING, "other's", "of a thread"));
	pthread_barrier_wait(&restored);
	for (unsigned i = 0; i < 2; i++)
		check(pthread_join(threads[i], &ret) == 0 && ret, "thread %u", i);
	check(has(KEY_SPEC_PROCESS_KEYRING, "new", "one more"));
	child_go(&child);
	return ok();
}
