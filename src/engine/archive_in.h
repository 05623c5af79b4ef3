/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading an archive of a container (engine/archive_out.h), ours or another engine's.
 *
 *	CLEANUP(archive_in_clear) struct archive_in in = ARCHIVE_IN_NONE;
 *
 *	r = archive_in_open(&in, e, &(struct archive_in_options){.path = file, ...});
 *	r = archive_in_read(&in);	// one pass: everything is aside, in IN.scratch, and checked
 *	...				// engine/import.c makes a container of it
 *
 * What is aside: checkpoint/, pre-checkpoint/, ctr.log, stats-dump, devshm-checkpoint.tar,
 * volumes/NAME/ (unpacked) and rootfs/ (what becomes ROOT/overlay/ID), all on the store's file
 * system, so that rename(2) puts it in place.  Nothing else is unpacked, and nothing outside of
 * that directory is touched.
 *
 * Nothing that an archive says about the host is believed: engine/archive_trust.h.
 */
#pragma once

#include "engine/container.h"
#include "engine/image.h"
#include "engine/options.h"

#define ARCHIVE_OURS "cryopod" /* in config.dump: what only we read */
/* In there: /dev/shm is not one of the file systems in the images.  Without ARCHIVE_OURS it is so.
 */
#define ARCHIVE_SHM_APART "shmApart"

struct archive_in;

struct archive_in_options {
	const char *path; /* or NULL: FD */
	int fd;
	const char *shown; /* its name in errors; NULL: PATH */
	bool ignore_rootfs, ignore_volumes;
	bool images_only; /* nothing but checkpoint/ and devshm-checkpoint.tar */
	bool previous;	  /* that of a pre-checkpoint, for its memory only */
	/*
	 * Both documents are there, the rest comes: an error stops the reading before much is
	 * unpacked.  May be NULL.
	 */
	int (*documents)(void *arg, struct archive_in *in);
	void *documents_arg;
	int (*watch)(void *arg, uint64_t bytes);
	void *watch_arg;
};

struct archive_in {
	struct engine *e;
	struct archive_in_options o;
	int fd;	       /* the archive, or -1: it is the caller's */
	char *scratch; /* a private directory in the store */
	int dir;       /* the same */
	int hold;      /* blobs_hold(): neither it nor the image goes meanwhile */
	json_t *config, *spec, *network, *deleted;
	struct image image; /* set by engine/import.c with the documents: the layers below */
	GPtrArray *volumes; /* names of those that are aside */
	bool has_images, has_previous, has_rootfs, has_shm, has_log;
	bool decided;
};
#define ARCHIVE_IN_NONE ((struct archive_in){.fd = -1, .dir = -1, .hold = -1})

/* Errors as Podman's: "failed to open checkpoint archive FILE for import: open FILE: ...". */
int archive_in_open(struct archive_in *in, struct engine *e, const struct archive_in_options *o)
	MUST_CHECK;
/* "unpacking of checkpoint archive FILE failed: ...".  Afterwards all of it is verified. */
int archive_in_read(struct archive_in *in) MUST_CHECK;
/* /dev/shm, if it is to be filled from the archive: beside the images, with which it goes. */
int archive_in_join_shm(struct archive_in *in) MUST_CHECK;
void archive_in_clear(struct archive_in *in);

/* config.dump alone, read from the start of FILE; a new reference.  The same errors. */
int archive_read_config(const char *file, json_t **ret) MUST_CHECK;
