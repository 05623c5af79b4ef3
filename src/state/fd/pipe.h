/* SPDX-License-Identifier: Apache-2.0 */
/* Content of pipes, whether they have a name (fifo.c) or not (pipe.c). */
#pragma once

#include "state/fd/kind.h"

struct pipe_ends {
	int ends[2];   /* read, write; -1 */
	bool given[2]; /* is now the descriptor of a file, which closes it */
};
void pipe_ends_free(void *p);

/* Content and size, read through a reader of our own, into the image KIND. */
int pipe_dump_data(struct dump *d, const struct fd_view *v, enum image_kind kind, uint32_t pipe_id)
	MUST_CHECK;

/* Writes all of the image KIND into PIPES: pipe id -> struct pipe_ends. */
int pipe_fill_all(struct restore *r, enum image_kind kind, GHashTable *pipes) MUST_CHECK;
