/* SPDX-License-Identifier: Apache-2.0 */
/* --lsm-profile: the security profile of a restored tree. */
#pragma once

#include "cryo/options.h"

/* What is to be written into /proc/self/attr/exec, the caller's; untouched: nothing. */
int lsm_parse(const struct options *o, char **ret) MUST_CHECK;
