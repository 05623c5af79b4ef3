/* SPDX-License-Identifier: Apache-2.0 */
/* The first process has joined a session keyring without a name, and a child has another one. */
#include "cr.h"

#include <linux/keyctl.h>

static int add(const char *name)
{
	return (int)syscall(SYS_add_key, "user", name, name, strlen(name),
			    KEY_SPEC_SESSION_KEYRING);
}

static bool has(const char *name)
{
	char buf[32] = "";
	long key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", name, 0);

	return key > 0 && syscall(SYS_keyctl, KEYCTL_READ, key, buf, sizeof(buf)) > 0 &&
	       strcmp(buf, name) == 0;
}

static int childs(void)
{
	return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 || add("child's") < 0;
}

static int verify(void)
{
	return has("first's") || !has("child's");
}

int main(void)
{
	struct child c;

	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0)
		skip("the kernel has no keys");
	check(add("first's") > 0, "errno %d", errno);
	c = child_start(childs, verify);
	ready();
	check(has("first's") && !has("child's"));
	child_go(&c);
	return ok();
}
