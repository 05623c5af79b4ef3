/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages between a process and its pages image, moved by its agent.
 *
 * Neighbours in the image are moved by one pwritev(2) or preadv(2), however scattered they are in
 * memory.  Large groups bypass the page cache (O_DIRECT): no copy, no memory to be found for it,
 * nothing charged to the container's memory cgroup, and nothing left for fsync(2) to wait for.
 * What has been prepared (prepare.c) is only copied there.
 * What is read and already cached is copied from there instead.
 *
 *	struct transfer x = {.b = &b, .write = true, .fd = fd, .tfds = {tfd, direct}};
 *	transfer_add(&x, addr, len, offset);	// offsets and addresses ascend, multiples of a page
 *	...
 *	transfer_flush(&x);
 *	r = batch_post(&b);
 */
#pragma once

#include "agent/batch.h"

#include <sys/uio.h>

#define TRANSFER_PIECES 256

struct transfer {
	struct batch *b;
	bool write;
	int fd;			/* ours */
	int tfds[2];		/* the task's numbers: cached, direct or -1 */
	uint64_t prepared;	/* up to there room in the page cache has been made to write to */
	uint64_t offset, bytes; /* the group */
	unsigned n;
	struct iovec v[TRANSFER_PIECES];
};

void transfer_add(struct transfer *x, uint64_t addr, uint64_t len, uint64_t offset);
void transfer_flush(struct transfer *x);
