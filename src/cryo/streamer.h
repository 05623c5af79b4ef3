/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --stream: images go to a program that listens in the images directory (criu-image-streamer:
 * streamer-capture.sock, streamer-serve.sock), and come from there.
 *
 * A request is the name of a file, behind its length as images have it, then the other end of a
 * pipe for the content; when images are wanted, an answer comes first that says whether there is
 * such a file.  That is no list of what there is: one of our own goes last, cryo.names.
 */
#pragma once

#include "cryo/session.h"

#include "cr/cryo.h"

struct streamer {
	int sock, pipe;			/* -1; PIPE: of the file that goes now */
	GPtrArray *names;		/* what has been sent */
	struct cryo_pages_stream pages; /* memory goes there without files */
	void (*on_broken_pipe)(int);	/* before */
};
#define STREAMER_NONE ((struct streamer){.sock = -1, .pipe = -1})

/* Before anything is touched.  *T stays where it is. */
int streamer_connect(struct session *s, const char *socket, struct streamer *t) MUST_CHECK;
#define STREAMER_CAPTURE "streamer-capture.sock"
#define STREAMER_SERVE	 "streamer-serve.sock"

/* All files of DIR but the one of this NAME, and that these were all. */
int streamer_send_all(struct streamer *t, int dir, const char *name) MUST_CHECK;

/* All files into DIR. */
int streamer_fetch_all(struct streamer *t, int dir) MUST_CHECK;

void streamer_close(struct streamer *t);
