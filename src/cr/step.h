/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of the two stories: each has a name, and one thing to do for all, or for each task or
 * thread. */
#pragma once

#include "state/question.h"
#include "state/restore.h"

struct dump_step {
	const char *name;
	int (*all)(struct dump *d);
	int (*task)(struct dump *d, struct dtask *t);	  /* each process that lives */
	int (*any_task)(struct dump *d, struct dtask *t); /* zombies too */
	int (*space)(struct dump *d, struct dtask *t);	  /* the first that has its memory */
	int (*thread)(struct dump *d, struct dthread *h);
	const struct question *question; /* its answers; all are asked at once, before */
};

struct restore_step {
	const char *name;
	int (*all)(struct restore *r);
	int (*task)(struct restore *r, struct rtask *t);  /* each process that will live */
	int (*space)(struct restore *r, struct rtask *t); /* the first that has its memory */
	/* What each thread's agent is to do, composed; all threads do it at the same time. */
	int (*tell)(struct restore *r, struct rthread *h, struct batch *b);
	int (*thread)(struct restore *r, struct rthread *h);
	bool ends; /* tracers have a turn of their own: restore.tracers */
};

int dump_step_run(struct dump *d, const struct dump_step *s) MUST_CHECK;
int restore_step_run(struct restore *r, const struct restore_step *s) MUST_CHECK;

/*
 * Asked before each step of the STORY "dump" or "restore", and once more with the STEP "end": an
 * error stops the story there.  Nobody defines it but the programs of the fault sweep
 * (tests/lib/faults.c).
 */
int step_fault(const char *story, const char *step) __attribute__((weak)) MUST_CHECK;

/* The same for those who tell a story. */
int step_begin(const char *story, const char *step) MUST_CHECK;

uint64_t step_now_us(void);
