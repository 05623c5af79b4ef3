/* SPDX-License-Identifier: Apache-2.0 */
/* File systems that come into being, or into sight, by being mounted. */
#include "state/ns/mnt_plan.h"

#include "kernel/mount.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

static const struct mnt_kind mnt_kinds[] = {
	{"proc", FSTYPE__PROC, .bound = CLONE_NEWPID},
	{"sysfs", FSTYPE__SYSFS, .bound = CLONE_NEWNET},
	{"mqueue", FSTYPE__MQUEUE, .bound = CLONE_NEWIPC},
	{"tmpfs", FSTYPE__TMPFS, .own = true, .content = true},
	{"ramfs", FSTYPE__AUTO, .own = true, .content = true},
	/* each mount since Linux 4.7 (fs/devpts/inode.c: devpts_get_tree()) */
	{"devpts", FSTYPE__DEVPTS, .own = true},
	{"overlay", FSTYPE__OVERLAYFS, .own = true},
	{"devtmpfs", FSTYPE__DEVTMPFS, .host = true},
	{"cgroup", FSTYPE__CGROUP},
	{"cgroup2", FSTYPE__CGROUP2},
	{"pstore", FSTYPE__PSTORE, .host = true},
	{"securityfs", FSTYPE__SECURITYFS, .host = true},
	{"fusectl", FSTYPE__FUSECTL, .host = true},
	{"debugfs", FSTYPE__DEBUGFS, .host = true},
	{"tracefs", FSTYPE__TRACEFS, .host = true},
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
		if (mnt_kinds[i].code == code && code != FSTYPE__AUTO)
			return &mnt_kinds[i];
	return NULL;
}

static int make_proc(void *arg, int *ret_fd)
{
	const struct mount_param params[] = {{"source", "proc"}, {NULL}};

	return mount_make("proc", params, 0, ret_fd);
}

/* Whose child is in the namespace: setns(2). */
static int make_proc_there(void *arg, int *ret_fd)
{
	if (setns(*(int *)arg, CLONE_NEWPID) < 0)
		return err_errno("enter the pid namespace");
	return ns_run(NULL, 0, make_proc, NULL, ret_fd);
}

int mnt_make_proc(int pids, int *ret_fd)
{
	return ns_run(NULL, 0, make_proc_there, &pids, ret_fd);
}
