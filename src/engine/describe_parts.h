/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of engine/describe*.c. */
#pragma once

#include "engine/describe.h"
#include "image/core.pb-c.h"
#include "image/fdinfo.pb-c.h"
#include "image/image.h"
#include "image/mm.pb-c.h"
#include "image/pstree.pb-c.h"

struct describing {
	int images;
	GHashTable *files; /* id -> FileEntry * */
};

/* describe_files.c */

int describe_load_files(struct describing *d) MUST_CHECK;
/* What a descriptor refers to: "pipe:[1]", a path, "tcp 10.0.0.1:80 listening"; NULL: unknown. */
char *describe_target(const struct describing *d, uint32_t id);
/* The path of a regular file by its ID, or NULL; borrowed. */
const char *describe_path(const struct describing *d, uint32_t id);
/* The table of descriptors FILES_ID, an array. */
int describe_descriptors(const struct describing *d, uint32_t files_id, json_t **ret) MUST_CHECK;
/* All sockets of all tables, an array. */
json_t *describe_sockets(const struct describing *d);

/* describe_memory.c: {"size", "pages", "mappings": [...]} of one address space. */

int describe_memory(const struct describing *d, uint32_t pid, const MmEntry *mm, json_t **ret)
	MUST_CHECK;
/* argv[] as it is in memory, an array; empty when the pages are not in the image. */
json_t *describe_arguments(const struct describing *d, uint32_t pid, const MmEntry *mm);
