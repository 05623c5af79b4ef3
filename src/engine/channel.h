/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two cryopods talking over a pair of descriptors (ssh's): documents and streams, in turn.
 *
 *	r = channel_say(ch, json);		// consumed
 *	r = channel_hear(ch, &json);		// the peer's; one with "error" is our error
 *
 *	r = channel_out_begin(ch, &fd);		// a pipe: who writes archives needs a descriptor
 *	... write to fd ...
 *	r = channel_out_end(ch, r);		// all of it is on its way
 *
 *	r = channel_put(ch, v, n);		// the same without a pipe: pieces, each whole
 *	r = channel_put_end(ch);
 *
 *	r = channel_in_begin(ch, &fd);		// what the peer sends, to its end
 *	... read fd ...
 *	r = channel_in_end(ch);
 *
 *	while ((r = channel_take(ch, buf, sizeof(buf), &len)) > 0)
 *		...				// one piece
 *
 * On the wire: 'J' or 'D' and a 32-bit little-endian length, then so many bytes; 'E' ends a
 * stream.  A peer that is gone is -EPIPE, one that talks nonsense -EBADMSG.  Blocking.
 */
#pragma once

#include "base/err.h"

#include <jansson.h>
#include <sys/uio.h>

struct channel;

/* Both are borrowed.  SIGPIPE is ignored from now on. */
struct channel *channel_new(int in, int out);
void channel_free(struct channel **ch);

/* OURS: the descriptors' open files are nobody else's, so that they may be made non-blocking. */
void channel_patience(struct channel *ch, unsigned seconds, bool ours);
/* The peer itself has said what went wrong there: it knows, and we do. */
bool channel_was_refused(const struct channel *ch);

int channel_say(struct channel *ch, json_t *j) MUST_CHECK;
int channel_hear(struct channel *ch, json_t **ret) MUST_CHECK;
/* The story of the failure R; best effort. */
void channel_complain(struct channel *ch, int r);

int channel_out_begin(struct channel *ch, int *ret_fd) MUST_CHECK;
/* R is what came of the writing: it is the answer, unless the connection failed, which is why then.
 */
int channel_out_end(struct channel *ch, int r) MUST_CHECK;
int channel_in_begin(struct channel *ch, int *ret_fd) MUST_CHECK;
int channel_in_end(struct channel *ch) MUST_CHECK;

#define CHANNEL_PIECE_MAX (1u << 20)
int channel_put(struct channel *ch, const struct iovec *v, unsigned n) MUST_CHECK;
int channel_put_end(struct channel *ch) MUST_CHECK;
/* 1: a piece; 0: that was all. */
int channel_take(struct channel *ch, void *buf, size_t max, size_t *ret_len) MUST_CHECK;

uint64_t channel_bytes_out(const struct channel *ch);
