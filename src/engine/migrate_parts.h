/* SPDX-License-Identifier: Apache-2.0 */
/* Between engine/migrate_out.c, migrate_in.c and migrate_image.c. */
#pragma once

#include "engine/channel.h"
#include "engine/image.h"
#include "engine/migrate.h"

#define MIGRATE_VERSION 1

/* An image as its blobs, byte for byte; it comes to be in the store when all of them are right. */
int migrate_send_image(struct engine *e, struct channel *ch, const struct image *img) MUST_CHECK;
int migrate_take_image(struct engine *e, struct channel *ch, const json_t *hello) MUST_CHECK;
