/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/fsmagic.h"

#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

/* Those that are in no header of user space come from the file system's own sources. */
static const struct {
	const char *name;
	uint64_t number;
} magics[] = {
	{"anon_inodefs", ANON_INODE_FS_MAGIC},
	{"autofs", AUTOFS_SUPER_MAGIC},
	{"bdev", BDEVFS_MAGIC},
	{"binfmt_misc", BINFMTFS_MAGIC},
	{"bpf", BPF_FS_MAGIC},
	{"btrfs", BTRFS_SUPER_MAGIC},
	{"ceph", 0x00c36400},
	{"cgroup", CGROUP_SUPER_MAGIC},
	{"cgroup2", CGROUP2_SUPER_MAGIC},
	{"cifs", 0xff534d42},
	{"configfs", 0x62656570},
	{"debugfs", DEBUGFS_MAGIC},
	{"devpts", DEVPTS_SUPER_MAGIC},
	{"efivarfs", EFIVARFS_MAGIC},
	{"erofs", 0xe0f5e1e2},
	{"ext4", EXT4_SUPER_MAGIC},
	{"exfat", 0x2011bab0},
	{"f2fs", F2FS_SUPER_MAGIC},
	{"fuse", 0x65735546},
	{"hugetlbfs", HUGETLBFS_MAGIC},
	{"mqueue", 0x19800202},
	{"nfs", NFS_SUPER_MAGIC},
	{"nsfs", NSFS_MAGIC},
	{"overlay", OVERLAYFS_SUPER_MAGIC},
	{"pidfs", 0x50494446},
	{"pipefs", PIPEFS_MAGIC},
	{"proc", PROC_SUPER_MAGIC},
	{"pstore", PSTOREFS_MAGIC},
	{"ramfs", RAMFS_MAGIC},
	{"secretmem", 0x5345434d},
	{"securityfs", SECURITYFS_MAGIC},
	{"selinuxfs", SELINUX_MAGIC},
	{"sockfs", SOCKFS_MAGIC},
	{"squashfs", SQUASHFS_MAGIC},
	{"sysfs", SYSFS_MAGIC},
	{"tmpfs", TMPFS_MAGIC},
	{"tracefs", TRACEFS_MAGIC},
	{"v9fs", V9FS_MAGIC},
	{"vfat", MSDOS_SUPER_MAGIC},
	{"virtiofs", 0x6a656a63},
	{"xfs", XFS_SUPER_MAGIC},
	{"zfs", 0x2fc12fc1},
};

const char *fsmagic_name(uint64_t f_type)
{
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if (magics[i].number == f_type)
			return magics[i].name;
	return NULL;
}

uint64_t fsmagic_number(const char *fstype)
{
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if (!strcmp(magics[i].name, fstype))
			return magics[i].number;
	return 0;
}

int fsmagic_of(int fd, uint64_t *ret)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return err_errno("type of file system");
	*ret = (uint64_t)st.f_type & 0xffffffff; /* __fsword_t is signed */
	return 0;
}
