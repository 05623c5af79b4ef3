/* SPDX-License-Identifier: Apache-2.0 */
/* Between engine/migrate_*.c. */
#pragma once

#include "engine/channel.h"
#include "engine/migrate.h"
#include "state/mem/stage.h"

#define MIGRATE_VERSION 2

struct image; /* engine/image.h, whose name image/image.h has, too */

/* An image as its blobs, byte for byte; it comes to be in the store when all of them are right. */
int migrate_send_image(struct engine *e, struct channel *ch, const struct image *img) MUST_CHECK;
int migrate_has_image(struct engine *e, const json_t *hello) MUST_CHECK; /* 1 or 0 */
int migrate_take_image(struct engine *e, struct channel *ch, const json_t *hello) MUST_CHECK;

/*
 * A round of memory, from the processes to the channel, and from there to where it waits: frames
 * of a header, a table of mappings or pieces, and the content of the pieces.
 */
struct memory_out {
	struct channel *ch;
	struct cryo_pages_out hooks; /* for libcryo; with us as ARG */
	/* Before the first frame: the peer is told what comes; or NULL. */
	int (*begin)(void *arg);
	void *begin_arg;
	bool begun;
};
void memory_out_init(struct memory_out *m, struct channel *ch);
/* All processes have been told of. */
int memory_out_end(struct memory_out *m) MUST_CHECK;
int memory_in(struct channel *ch, struct stage *s) MUST_CHECK;

/*
 * The files of a container: the root file system's changes, volumes, the log.  All of them go
 * ahead, as in an archive; then what has changed, as members of a tar stream: "rootfs.gone",
 * "rootfs.tar", "volumes/NAME.gone", "volumes/NAME.tar", "log.FROM" (what is behind the first FROM
 * bytes of the log).
 */
struct files_out;
struct pack;
int files_out_new(struct engine *e, struct container *c, struct files_out **ret) MUST_CHECK;
/* Since the last time; P may be NULL: just now somebody copies everything. */
int files_out_pass(struct files_out *f, struct pack *p, bool frozen) MUST_CHECK;
/* How much of the log has gone ahead. */
void files_out_log(struct files_out *f);
void files_out_free(struct files_out **f);

struct unpack;
struct unpack_member;
/* 1: it is one of these members, and done. */
int files_in_member(struct engine *e, struct container *c, struct unpack *u,
		    const struct unpack_member *m) MUST_CHECK;
