/* SPDX-License-Identifier: Apache-2.0 */
/* File system types by statfs(2)'s f_type. */
#pragma once

#include "base/err.h"

/* "overlay", "tmpfs", ...; NULL for one we do not know. */
const char *fsmagic_name(uint64_t f_type);

/* Its number by mountinfo's name, or 0. */
uint64_t fsmagic_number(const char *fstype);

int fsmagic_of(int fd, uint64_t *ret) MUST_CHECK;
