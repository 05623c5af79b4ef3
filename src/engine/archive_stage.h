/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a container that goes on after its checkpoint was exported: what is packed later
 * must be as it was while nothing moved.  So they are copied while it runs (base/treesync.h), and
 * once more, what has changed, while it stands; packing, which is slow, is done from the copies.
 */
#pragma once

#include "engine/container.h"

struct archive_stage;

int archive_stage_begin(struct engine *e, struct archive_stage **ret) MUST_CHECK;

/* A directory that is to be copied: the first pass.  -ENOSPC: there is no room for that. */
int archive_stage_add(struct archive_stage *s, const char *path) MUST_CHECK;

/* All processes stand: the copies are equal now. */
int archive_stage_frozen(struct archive_stage *s) MUST_CHECK;

/* Where the copy of PATH is; PATH itself without a stage, or when it was not added. */
const char *archive_stage_of(const struct archive_stage *s, const char *path);

void archive_stage_drop(struct archive_stage **s);
