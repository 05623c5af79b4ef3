/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of making a ring anew (state/fd/uring_make.c tells their order).  Each composes what
 * the maker's agent does, or does it from here through the same memory; 0 or a described error.
 */
#pragma once

#include "kernel/proc.h"
#include "state/fd/uring.h"

struct uring_making {
	struct restore *r;
	struct uring *u;
	struct batch b;
	struct io_uring_params p;
	struct proc proc;
	int tfd;	    /* the task's number */
	int fd;		    /* ours */
	uint64_t at;	    /* where the task has mapped it for now */
	size_t bytes, sqes; /* of its two regions */
	uint8_t *ring, *sqe;
};

/* A number that the kernel or the program reads, in the ring that is mapped here. */
static inline volatile uint32_t *making_at(const struct uring_making *m, uint32_t offset)
{
	return (volatile uint32_t *)(void *)(m->ring + offset);
}

/* What the dump has noted of the ring under KEY; 0 without it. */
static inline int64_t making_number(const struct uring_making *m, const char *key)
{
	return json_integer_value(json_object_get(m->u->x, key));
}

/* Brings both counts of the kernel to where they were (uring_advance.c). */
int uring_advance(struct uring_making *m) MUST_CHECK;

/* Files, buffers, eventfd, limits of workers, clock (uring_register.c). */
int uring_register(struct uring_making *m) MUST_CHECK;
