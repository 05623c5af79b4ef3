/* SPDX-License-Identifier: Apache-2.0 */
/* A client's stdio joined to a container's, through conmon's attach socket. */
#pragma once

#include "engine/container.h"

struct attach_options {
	int in, out, err; /* descriptors, -1: not attached */
	bool tty;	  /* the container has a terminal: ours goes raw and follows its size */
	bool sig_proxy;	  /* signals that reach us go to the container */
	const char *detach_keys; /* "ctrl-p,ctrl-q" when NULL, "" for none */
};

/* Parses "ctrl-p,ctrl-q" or "a,ctrl-@" into bytes; at most LEN.  Returns their number. */
int attach_parse_keys(const char *text, unsigned char *ret, unsigned len) MUST_CHECK;

struct attach;

/* DIR is the directory of the sockets: a container's run directory, or an exec session's. */
int attach_open(const char *dir, const struct attach_options *o, struct attach **ret) MUST_CHECK;
/* Copies until the other side closes (0) or the user typed the detach keys (1). */
int attach_run(struct attach *a, void (*signal)(void *, int), void *data) MUST_CHECK;
void attach_close(struct attach **a); /* puts our terminal back as it was */
