/* SPDX-License-Identifier: Apache-2.0 */
/* Rings of io_uring_setup(2): between uring.c, uring_look.c, uring_make.c and uring_map.c. */
#pragma once

#include "kernel/peek.h"
#include "state/fd/kind.h"

#include <linux/io_uring.h>

/* What <linux/io_uring.h> of Linux 6.1 has not got. */
#define URING_SETUP_NO_SQARRAY	  (1u << 16) /* Linux 6.6 */
#define URING_REGISTER_CLOCK	  29	     /* Linux 6.12 */
#define URING_REGISTER_FILE_RANGE 25	     /* Linux 6.0 */

#define URING_KEY     "rings" /* IMAGE_EXTRA: {"rings": {"FILE": {...}}} */
#define URING_PIECE   65536   /* of its memory, in sk-queues.img */
#define URING_SQ_MAX  32768   /* IORING_MAX_ENTRIES */
#define URING_CQ_MAX  65536   /* IORING_MAX_CQ_ENTRIES */
#define URING_FDS_MAX 16      /* IO_RINGFD_REG_MAX */

/* What the kernel has of a ring (struct io_ring_ctx), as far as more than one place asks. */
struct uring_view {
	struct peek *k;
	uint64_t file, ctx; /* addresses */
	uint32_t flags, sq, cq, head, tail;
	uint32_t ring_pages, sqe_pages;
};

/* uring_look.c.  -EOPNOTSUPP: something of it cannot be saved; -EAGAIN: something is under way. */
int uring_look(struct dump *d, int fd, struct uring_view *ret) MUST_CHECK;
/* Numbers and tables, in X.  Frozen. */
int uring_tell(struct dump *d, const struct uring_view *v, json_t *x) MUST_CHECK;
/* What of the tree's files it holds, in X: fd_kind.dump_late(). */
int uring_tell_files(struct dump *d, const struct uring_view *v, json_t *x) MUST_CHECK;

/* uring_make.c.  Made in the thread that it belongs to; *RET_TFD is its number there. */
struct uring {
	uint32_t id, flags, sq, cq, head, tail;
	const json_t *x;
	struct rthread *by; /* who makes it */
	int at;		    /* its number in that one's process until it is where it belongs; -1 */
	bool made;
};
int uring_make(struct restore *r, struct uring *u) MUST_CHECK;
/* In T, which has it at TFD: its mappings (uring_map.c). */
int uring_map(struct restore *r, const struct uring *u, struct rtask *t, int tfd) MUST_CHECK;
