/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The images directory is the user's and may hold other things, so it cannot be replaced as a
 * whole.  Images are written aside, in a directory below it, and moved into their places at the
 * end, inventory.img, without which there is no checkpoint, as the last.
 */
#pragma once

#include "base/err.h"

struct images {
	int dir, aside;	 /* DIR is borrowed */
	bool pages_stay; /* a page server has written them there */
	bool spread;
	char name[32];
};
#define IMAGES_NONE ((struct images){.dir = -1, .aside = -1})

/* Also removes what an interrupted dump of a dead process has left. */
int images_begin(struct images *i, int dir) MUST_CHECK;

/* Thousands of files are about to be made aside, where there is nothing yet. */
#define IMAGES_MANY 1000
void images_spread(struct images *i);

/* Images of an earlier dump go; stats-dump goes to WORK.  Nothing is synced. */
int images_commit(struct images *i, int work) MUST_CHECK;
#define IMAGES_STATS "stats-dump"
/* Only that: the images have gone elsewhere. */
int images_keep_stats(struct images *i, int work) MUST_CHECK;
/* All that is aside, beside what is there. */
int images_add(struct images *i) MUST_CHECK;

/*
 * Where --prev-images-dir GIVEN leads when the link "parent" that DIR may have already, and that
 * GIVEN may go through, is replaced.  DIR itself is refused: the new images take its place.
 */
int images_previous(int dir, const char *given, char **ret) MUST_CHECK;
/* The link to the images before, PARENT or NULL. */
int images_link_parent(int dir, const char *parent) MUST_CHECK;
void images_drop(struct images *i);
