/* SPDX-License-Identifier: Apache-2.0 */
/* One member of a layer's tar file, made real below a layer_tree. */
#pragma once

#include "engine/layer_stream.h"
#include "engine/layer_tree.h"

struct layer_unpacker {
	struct layer_tree tree;
	struct layer_reader *reader;
	bool plain;   /* see struct layer_stream */
	GArray *dirs; /* struct dir_times: directories whose times are set at the end */
};

void layer_unpacker_init(struct layer_unpacker *u, struct layer_reader *reader, int diff,
			 const int *parents, unsigned nparents, unsigned depth_max);
void layer_unpacker_clear(struct layer_unpacker *u);

int layer_entry_unpack(struct layer_unpacker *u, struct archive_entry *e) MUST_CHECK;
/* All members are there. */
int layer_entry_finish(struct layer_unpacker *u) MUST_CHECK;
