/* SPDX-License-Identifier: Apache-2.0 */
/* File systems that come into being, or into sight, by being mounted. */
#include "state/ns/mnt_plan.h"

#include <sched.h>
#include <string.h>

static const struct mnt_kind mnt_kinds[] = {
	{"proc", FSTYPE__PROC, .bound = CLONE_NEWPID},
	{"sysfs", FSTYPE__SYSFS, .bound = CLONE_NEWNET},
	{"mqueue", FSTYPE__MQUEUE, .bound = CLONE_NEWIPC},
	{"tmpfs", FSTYPE__TMPFS, .own = true, .content = true},
	/* each mount since Linux 4.7 (fs/devpts/inode.c: devpts_get_tree()) */
	{"devpts", FSTYPE__DEVPTS, .own = true},
	{"overlay", FSTYPE__OVERLAYFS, .own = true},
	{"devtmpfs", FSTYPE__DEVTMPFS},
	{"cgroup", FSTYPE__CGROUP},
	{"cgroup2", FSTYPE__CGROUP2},
	{"pstore", FSTYPE__PSTORE},
	{"securityfs", FSTYPE__SECURITYFS},
	{"fusectl", FSTYPE__FUSECTL},
	{"debugfs", FSTYPE__DEBUGFS},
	{"tracefs", FSTYPE__TRACEFS},
	{"binfmt_misc", FSTYPE__BINFMT_MISC},
};

const struct mnt_kind *mnt_kind_find(const char *fstype)
{
	for (size_t i = 0; i < ARRAY_SIZE(mnt_kinds); i++)
		if (strcmp(mnt_kinds[i].fstype, fstype) == 0)
			return &mnt_kinds[i];
	return NULL;
}

const struct mnt_kind *mnt_kind_by_code(unsigned code)
{
	for (size_t i = 0; i < ARRAY_SIZE(mnt_kinds); i++)
		if (mnt_kinds[i].code == code)
			return &mnt_kinds[i];
	return NULL;
}
