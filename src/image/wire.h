/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages over a connection, as CRIU's page server takes and gives them (its page-xfer.c).  A header
 * says what follows; integers are the host's.
 *
 *	client				server
 *	WIRE_OPEN2 of a pagemap		one byte: 1 if the images before have it, too
 *	WIRE_ADD_F with PE_* flags,
 *	  with PE_PRESENT the content
 *	WIRE_CLOSE			int32: 0 when all that came is in its files
 *
 *	WIRE_GET of pages of a process	WIRE_ADD_F with as many of them as there are, the content
 *
 * Since CRIU 4.2 the number of pages has 64 bits and a header 32 bytes; before, 32 bits and 24. The
 * first header that a client sends tells which: of WIRE_OPEN2 only the pagemap's number is not
 *zero.
 */
#pragma once

#include "image/pages.h"

enum wire_cmd {
	WIRE_ADD = 1, /* before there were flags */
	WIRE_HOLE,
	WIRE_OPEN,
	WIRE_OPEN2,
	WIRE_PARENT, /* int32: as the answer of WIRE_OPEN2 */
	WIRE_ADD_F,
	WIRE_GET,
	WIRE_CLOSE = 0x1023,
	WIRE_FORCE_CLOSE = 0x1024, /* the same, of a connection that somebody else goes on with */
};

struct wire {
	int sock;
	bool old, known; /* headers of 24 bytes; KNOWN: the first one has come */
};

struct wire_header {
	enum wire_cmd cmd;
	uint32_t flags;
	uint64_t nr_pages, vaddr;
	uint64_t dst; /* wire_dst(); for WIRE_GET the process */
};

/* KIND is IMG_PAGEMAP or IMG_SHMEM_PAGEMAP. */
uint64_t wire_dst(enum image_kind kind, uint64_t id);
int wire_dst_parse(uint64_t dst, enum image_kind *ret_kind, uint64_t *ret_id) MUST_CHECK;

/* With LEN bytes of content behind it. */
int wire_send(struct wire *w, const struct wire_header *h, const void *content, size_t len)
	MUST_CHECK;

/* 1: the other side has closed. */
int wire_recv(struct wire *w, struct wire_header *ret) MUST_CHECK;

/* What follows a header, or an answer. */
int wire_recv_bytes(struct wire *w, void *buf, size_t len) MUST_CHECK;

/* WIRE_CLOSE: everything is in its files on the other side.  FORCE: WIRE_FORCE_CLOSE. */
int wire_close(struct wire *w, bool force) MUST_CHECK;
