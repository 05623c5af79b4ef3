/* SPDX-License-Identifier: Apache-2.0 */
/* What dump and pre-dump have in common. */
#pragma once

#include "cr/cryo.h"
#include "cryo/session.h"

/* --tree */
int dump_check_tree(const struct options *o) MUST_CHECK;

/* --display-stats */
void dump_print_stats(const struct cryo_dump_stats *s);

/* --page-server: connects. *RET_FD is the caller's. */
int pages_elsewhere(const struct session *s, struct cryo_dump_options *o, int *ret_fd) MUST_CHECK;

/* --prev-images-dir; *RET_FD is the caller's and must outlive the dump. */
int parent_open(const struct session *s, struct cryo_dump_options *o, int *ret_fd) MUST_CHECK;
