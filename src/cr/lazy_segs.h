/* SPDX-License-Identifier: Apache-2.0 */
/* What a process has not got yet: where it is to be now, and where it comes from. */
#pragma once

#include "image/pages.h"

struct seg {
	uint64_t at, end;
	uint64_t orig;	 /* where AT was in the images */
	int fd;		 /* borrowed; -1: with the page server */
	uint64_t offset; /* of AT in it */
};

GArray *segs_new(void); /* ascending */
void segs_add(GArray *a, const struct seg *s);

/* The one that holds ADDR, or NULL. */
const struct seg *segs_find(const GArray *a, uint64_t addr);

void segs_remove(GArray *a, uint64_t start, uint64_t end);
void segs_move(GArray *a, uint64_t from, uint64_t to, uint64_t len);
