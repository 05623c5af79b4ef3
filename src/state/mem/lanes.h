/* SPDX-License-Identifier: Apache-2.0 */
/* Between pages.c, snapshots.c and stream.c: one process whose pages are on their way out. */
#pragma once

#include "state/mem/mem.h"
#include "state/mem/transfer.h"

#include "image/pages.h"

#define SNAPSHOT_SLOT 1 /* the first spare one */

/* Below this, writing takes no longer than a fork and its end. */
#define SNAPSHOT_MIN_PAGES ((UINT64_C(32) << 20) / IMAGE_PAGE_SIZE)

struct lane { /* one process */
	struct dtask *t;
	struct pages_writer w;
	struct batch b;
	struct transfer x;
	bool begun;
	int dir, mem;	/* /proc/PID of whoever holds the memory; mem in it, when it is needed */
	pid_t nspid;	/* of the snapshot, as its parent sees it; 0: there is none */
	GArray *found;	/* struct found: what is to be written later; may be NULL */
	GArray *guards; /* struct page_piece; NULL: not looked for yet */
	uint64_t kept;	/* bytes of it, as long as it is not clear whether there is much */
	uint64_t ahead_bytes; /* so much is written while we look for the rest */
	bool scanned;	      /* all of that is known */
	bool outside;	      /* it can be given no descriptor */
	bool ahead;	      /* the first of its memory is being written already */
};

struct found {
	uint64_t start, end;
	uint32_t flags; /* PE_* */
	bool readable;
};

struct pages_dump {
	struct lane *lanes;
	unsigned n;
	bool stream;   /* not to the pages images */
	bool snapshot; /* its memory is held by children */
};

/* For track_pages(): ARG is the lane. */
int lane_keep_found(void *arg, const struct vma *v, uint64_t start, uint64_t end, uint32_t flags)
	MUST_CHECK;

/* /proc/PID/mem of whoever holds the memory: l->mem. */
int lane_open_mem(struct lane *l) MUST_CHECK;

/* stream.c: all that the lanes have, in order, to d->o.pages_stream. */
int stream_lanes(struct dump *d, struct pages_dump *p) MUST_CHECK;

/* The agent has the image. */
int lane_connect(struct dump *d, struct lane *l) MUST_CHECK;

/* A snapshot is not watched: what has changed is seen in the process itself, while it stands. */
int lane_scan(struct dump *d, struct lane *l) MUST_CHECK;

/* Looked for and given to the agents, who write until lanes_finish(). */
int lanes_post(struct dump *d, struct pages_dump *p) MUST_CHECK;
int lanes_finish(struct dump *d, struct pages_dump *p) MUST_CHECK;
void lanes_free(struct dump *d); /* d->pages; what is still being written is waited for */

/* snapshots.c: is there enough for them; makes one, connected and scanned. */
bool snapshots_pay(const struct dump *d);
int lane_snapshot(struct dump *d, struct lane *l) MUST_CHECK;
