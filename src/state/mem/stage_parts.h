/* SPDX-License-Identifier: Apache-2.0 */
/* Between stage.c, stage_home.c and stage_restore.c. */
#pragma once

#include "state/mem/staged.h"

#include <sys/uio.h>

#define STAGE_PLACE UINT64_C(0x300000000000)
#define STAGE_BYTES UINT64_C(0x100000000000)

struct stage_seg { /* one mapping, or some that lie side by side */
	uint64_t start, end;
	uint64_t at; /* where START waits */
};

struct stage_range {
	uint64_t start, end;
};

struct stage_task {
	struct stage *stage;
	pid_t nspid;
	GArray *segs; /* struct stage_seg, ascending */
	/* struct image_run, ascending: the last round's, the one under way.  FD -1: it waits */
	GArray *runs, *next;
	GArray *had;   /* struct stage_range, ascending: whatever was written where it waits */
	unsigned from; /* in RUNS: what is asked for next */
	uint64_t end;  /* of what has come in this round */
	bool seen;
	/* The restore: */
	unsigned holder; /* index of the task that has it */
	bool unforked;	 /* MADV_DONTFORK is set */
};

struct stage {
	struct stub stub;
	int aside;
	uint64_t aside_end, next_place;
	GHashTable *tasks; /* nspid -> struct stage_task */
};

/* Makes room for M where it is not yet; what cannot be is left out. */
int stage_make_room(struct stage_task *t, const struct page_map *m) MUST_CHECK;

/* The first that ends behind ADDR. */
unsigned stage_seg_from(const struct stage_task *t, uint64_t addr);
int stage_poke(struct stage *s, const struct iovec *from, unsigned nfrom, const struct iovec *to,
	       unsigned nto, uint64_t bytes) MUST_CHECK;
