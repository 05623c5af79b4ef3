/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as IMAGE_EXTRA has them: {"type", "name", "uid", "gid", "perm", "payload" or "keys"}. */
#pragma once

#include "agent/batch.h"

#include <jansson.h>

/* What KEY is, without what it holds; it must be allowed to the thread of B.  *RET is the caller's.
 */
int keys_describe(struct batch *b, int key, json_t **ret) MUST_CHECK;
/* What it holds, INTO its description; keyrings with all that is in them. */
int keys_read(struct batch *b, int key, json_t *into) MUST_CHECK;
/* KEYS of a description into the keyring RING of the thread of B. */
int keys_add(struct batch *b, int ring, const json_t *keys) MUST_CHECK;
/* Owner and rights of the description K, and MORE of the latter. */
void keys_set_owner(struct batch *b, struct arg key, const json_t *k, unsigned more);
