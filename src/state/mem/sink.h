/* SPDX-License-Identifier: Apache-2.0 */
/* Where pages go that we have read ourselves: an image's pages file, a page server, a stream. */
#pragma once

#include "image/pages.h"
#include "state/dump.h"

struct page_sink {
	struct dump *d;
	struct pages_writer w;
	int direct;	/* the pages file without the page cache; -1 */
	uint64_t dst;	/* with a page server */
	pid_t nspid;	/* with options.pages_out; 0: not there */
	bool shared;	/* shared memory */
	bool no_parent; /* it has not got what the images before have: all is to be sent */
	const struct cryo_pages_stream *stream; /* or NULL */
};
#define PAGE_SINK_NONE ((struct page_sink){.w = PAGES_WRITER_NONE, .direct = -1})

/* KIND, ID as for pages_create(). */
int page_sink_open(struct page_sink *s, struct dump *d, enum image_kind kind, uint64_t id)
	MUST_CHECK;

/* The same to the dump's stream, which is to be told how much content there will be. */
int page_sink_open_stream(struct page_sink *s, struct dump *d, enum image_kind kind, uint64_t id,
			  uint64_t bytes) MUST_CHECK;

/*
 * The next pieces, in order; the content of those that have any lies in BUF, one after another.
 * BUF is aligned to a page.
 */
int page_sink_put(struct page_sink *s, const struct page_piece *v, unsigned n, const uint8_t *buf)
	MUST_CHECK;

int page_sink_close(struct page_sink *s) MUST_CHECK;

/* When all pages are through: the page server has them in its files. */
int page_sinks_end(struct dump *d) MUST_CHECK;
void page_sink_drop(struct page_sink *s);
