/* SPDX-License-Identifier: Apache-2.0 */
/* What the store has, how much of it is in use, and how much room the rest takes. */
#pragma once

#include "engine/engine.h"

struct usage {
	unsigned total, active;
	uint64_t bytes, reclaimable;
};

/* Images (active: of some container), containers (active: running; bytes: of their own), volumes.
 */
int usage_images(struct engine *e, struct usage *ret) MUST_CHECK;
int usage_containers(struct engine *e, struct usage *ret) MUST_CHECK;
int usage_volumes(struct engine *e, struct usage *ret) MUST_CHECK;

/* Bytes of all files below PATH, each once; what cannot be read counts nothing. */
uint64_t usage_of_tree(const char *path);
