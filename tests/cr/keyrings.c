/* SPDX-License-Identifier: Apache-2.0 */
/* A session keyring of our own, shared with a child, with keys and a keyring in it. */
#include "cr.h"

#include <linux/keyctl.h>

static int find(int ring, const char *type, const char *name)
{
	return (int)syscall(SYS_keyctl, KEYCTL_SEARCH, ring, type, name, 0);
}

static void holds(int key, const char *text)
{
	char buf[64] = "";

	check(key > 0, "errno %d", errno);
	check(syscall(SYS_keyctl, KEYCTL_READ, key, buf, sizeof(buf)) == (long)strlen(text) &&
		      strcmp(buf, text) == 0,
	      "\"%s\"", buf);
}

static int session(void)
{
	return (int)syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
}

static int add(const char *type, const char *name, const char *text, int ring)
{
	return (int)syscall(SYS_add_key, type, name, text, text ? strlen(text) : 0, ring);
}

static int verify_child(void)
{
	holds(find(KEY_SPEC_SESSION_KEYRING, "user", "one"), "first");
	return add("user", "of the child", "here", KEY_SPEC_SESSION_KEYRING) > 0 ? 0 : 1;
}

static int other_ring(void)
{
	return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 ||
	       add("user", "hidden", "x", KEY_SPEC_SESSION_KEYRING) < 0;
}

static int verify_other(void)
{
	holds(find(KEY_SPEC_SESSION_KEYRING, "user", "hidden"), "x");
	return find(KEY_SPEC_SESSION_KEYRING, "user", "one") > 0;
}

int main(void)
{
	struct child child, other;
	char before[128] = "", text[128] = "";
	int inner, key;

	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "keyrings of a test") < 0)
		skip("the kernel has no keys");
	check(add("user", "one", "first", KEY_SPEC_SESSION_KEYRING) > 0);
	inner = add("keyring", "inner", NULL, KEY_SPEC_SESSION_KEYRING);
	key = add("user", "two", "second", inner);
	check(inner > 0 && key > 0);
	check(syscall(SYS_keyctl, KEYCTL_SETPERM, key, 0x3f1f0000) == 0);
	check(syscall(SYS_keyctl, KEYCTL_CHOWN, key, 0, 1234) == 0);
	child = child_start(NULL, verify_child);
	other = child_start(other_ring, verify_other);
	check(syscall(SYS_keyctl, KEYCTL_DESCRIBE, session(), before, sizeof(before)) > 0);
	ready();
	check(syscall(SYS_keyctl, KEYCTL_DESCRIBE, session(), text, sizeof(text)) > 0);
	check(strcmp(text, before) == 0, "%s was %s", text, before);
	holds(find(KEY_SPEC_SESSION_KEYRING, "user", "one"), "first");
	inner = find(KEY_SPEC_SESSION_KEYRING, "keyring", "inner");
	key = find(inner, "user", "two");
	holds(key, "second");
	check(syscall(SYS_keyctl, KEYCTL_DESCRIBE, key, text, sizeof(text)) > 0);
	check(strstr(text, ";0;1234;3f1f0000"), "%s", text);
	child_go(&child);
	holds(find(KEY_SPEC_SESSION_KEYRING, "user", "of the child"), "here");
	child_go(&other);
	return ok();
}
