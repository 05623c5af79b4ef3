/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory in rounds: which pages have been written since the images before this dump.
 *
 * A tracker is a userfaultfd (kernel/uffd.h) that each process of the tree holds for itself, close
 * on exec, at a high number: it has to outlive the cryo that made it.  Nobody reads from it, it
 * watches only mappings that had pages of their own, and it is no part of any image.  Its
 * F_GETOWN is its process and its F_GETSIG the number of the round, so that a tracker that a child
 * has inherited (which watches its parent), or one that has gone on since the images at hand, is
 * not mistaken for the one that these images tell of: "tasks": {"PID": {"track": {"fd", "ino",
 * "round"}}}.
 *
 * What is not marked as unchanged is dumped, so everything that ends the watch of a mapping is
 * safe: munmap(2), mremap(2) to another place, execve(2), fork(2) (in the child), close(2) of the
 * tracker by the program.
 */
#pragma once

#include "image/pages.h"
#include "kernel/pagemap.h"

#include "state/dump.h"
#include "state/fd/kind.h"

struct track {	/* of one process */
	int fd; /* ours, of the process's TFD; -1 */
	int tfd;
	uint64_t ino;
	unsigned round;
	bool follows; /* pages that it shows as not written are in the parent images */
};

/* What the images before this dump tell of one process. */
struct before {
	int tfd;
	uint64_t ino;
	unsigned round;
	struct page_set pages;
	bool checked; /* PAGES is what they have; without, it cannot be asked */
};

/* NULL: nothing. */
const struct before *track_before(const struct dump *d, const struct dtask *t);

/* Is it a tracker, of whichever process?  Remembered for track_end(). */
bool track_is(struct dump *d, const struct fd_view *v);

/* Has the process one?  While looking. */
bool track_has(struct dump *d, const struct dtask *t);

/* While looking: what the parent images have of the tree; d->o.parent. */
int track_look(struct dump *d) MUST_CHECK;

/* Frozen: t->track as the parent images know it. */
int track_find(struct dump *d, struct dtask *t) MUST_CHECK;

/* With d->o.track_mem: t->track anyway, and the mark of a new round.  Needs an agent unless
 * track_find() has found one. */
int track_begin(struct dump *d, struct dtask *t) MUST_CHECK;

/* Without d->o.track_mem, when the tree is to go on: all that it has are closed.  With agents. */
int track_end(struct dump *d, struct dtask *t) MUST_CHECK;

void track_free(struct track *k);

/* Forgets what track_look() has read. */
void track_clear(struct dump *d);

/*
 * The pages of a process that have to be in its images, in order: FLAGS are PE_PRESENT or
 * PE_PARENT.  With d->o.track_mem all of them count as not written from now on.  PROC_DIR is that
 * of whoever holds the memory: the process itself, frozen, if it has a tracker.
 */
typedef int (*track_page_fn)(void *arg, const struct vma *v, uint64_t start, uint64_t end,
			     uint32_t flags);
int track_pages(struct dump *d, struct dtask *t, int proc_dir, track_page_fn each, void *arg)
	MUST_CHECK;
