/* SPDX-License-Identifier: Apache-2.0 */
/* A container's root file system, mounted for as long as somebody looks at it. */
#pragma once

#include "engine/container.h"

struct rootfs_look {
	struct engine *e;
	const char *id;
	char *path;
	bool ours; /* it was not mounted before */
};
#define ROOTFS_LOOK_NONE ((struct rootfs_look){0})

/* C, which RET refers to, is locked if it does not run, until rootfs_look_close(). */
int rootfs_look_open(struct engine *e, const struct container *c, struct rootfs_look *ret)
	MUST_CHECK;
void rootfs_look_close(struct rootfs_look *l);

/* A descriptor of its directory. */
int rootfs_look_fd(const struct rootfs_look *l, int *ret) MUST_CHECK;
