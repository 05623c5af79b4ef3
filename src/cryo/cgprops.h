/* SPDX-License-Identifier: Apache-2.0 */
/* --cgroup-props, --cgroup-props-file: which settings of control groups are saved. */
#pragma once

#include "cryo/options.h"

#include "cr/cryo.h"

/* RET is to be cleared in any case. */
int cgprops_parse(const struct options *o, struct cryo_cgroup_props *ret) MUST_CHECK;
void cgprops_clear(struct cryo_cgroup_props *p);
