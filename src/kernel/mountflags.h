/* SPDX-License-Identifier: Apache-2.0 */
/* Words of mountinfo's options (proc_pid_mountinfo(5)) as the flags of mount(2). */
#pragma once

#include "base/err.h"

/* MS_* of a mount's own options: nosuid, nodev, ro, ... */
unsigned mountflags_of_mount(const char *options);

/* MS_* of a file system's options; *RET_REST, the caller's, is what the file system itself knows.
 */
unsigned mountflags_of_fs(const char *options, char **ret_rest);

/* MOUNT_ATTR_* as mount_setattr(2) takes them. */
uint64_t mountflags_attrs(unsigned flags);
