/* SPDX-License-Identifier: Apache-2.0 */
/* Users, groups, capabilities of all sets, securebits. */
#include "cr.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

static char before[2000], after[2000];

static void take(char *to, size_t len)
{
	static const char *const lines[] = {"Uid",    "Gid",	"Groups", "CapInh",	"CapPrm",
					    "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Umask"};
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		at += (size_t)snprintf(to + at, len - at, "%s: %s; ", lines[i],
				       status_line(lines[i]));
	snprintf(to + at, len - at, "securebits %d keepcaps %d dumpable %d",
		 prctl(PR_GET_SECUREBITS), prctl(PR_GET_KEEPCAPS), prctl(PR_GET_DUMPABLE));
}

static int lowered_make(void)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {{0}};
	gid_t groups[] = {50, 60, 70000};

	prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT);
	prctl(PR_SET_KEEPCAPS, 1);
	if (setgroups(3, groups) || setresgid(101, 102, 103) || setresuid(1001, 1002, 1003))
		return 11;
	d[0].permitted = 1 << CAP_NET_BIND_SERVICE | 1 << CAP_KILL;
	d[0].effective = 1 << CAP_KILL;
	d[0].inheritable = 1 << CAP_NET_BIND_SERVICE;
	if (syscall(SYS_capset, &h, d))
		return 12;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0))
		return 13;
	prctl(PR_SET_DUMPABLE, 1);
	take(before, sizeof(before));
	return 0;
}

/* The file system's users are others. */
static int apart_make(void)
{
	setfsgid(105);
	setfsuid(1005);
	take(before, sizeof(before));
	return strstr(before, "\t1005;") && strstr(before, "\t105;") ? 0 : 14;
}

static int lowered_verify(void)
{
	take(after, sizeof(after));
	if (!strcmp(before, after))
		return 0;
	say("was: ");
	say(before);
	say(" is: ");
	say(after);
	return 10;
}

int main(void)
{
	struct child c = child_start(lowered_make, lowered_verify),
		     apart = child_start(apart_make, lowered_verify);

	prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);
	take(before, sizeof(before));
	ready();
	take(after, sizeof(after));
	check(!strcmp(before, after), "was %s is %s", before, after);
	child_go(&c);
	child_go(&apart);
	return ok();
}
