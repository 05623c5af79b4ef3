/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's stdio joined to a container's, through conmon's attach socket: packets, of which those
 * from conmon start with a byte that says stdout or stderr.
 *
 *	r = attach_open(dir, &options, &a);	// now nothing is lost any more
 *	... start the process ...
 *	r = attach_run(a, forward_signal, c);
 *	attach_close(&a);
 */
#pragma once

#include "base/err.h"

struct attach_options {
	int in, out, err; /* descriptors, -1: not attached */
	bool tty;	  /* the container has a terminal: ours goes raw and lends its size */
	bool sig_proxy;	  /* signals that reach us go to the container */
	const char *detach_keys; /* "ctrl-p,ctrl-q" when NULL, "" for none; only with TTY */
};
#define ATTACH_OPTIONS_NONE ((struct attach_options){.in = -1, .out = -1, .err = -1})

#define ATTACH_KEYS_MAX 32
/* Parses "ctrl-p,ctrl-q" or "a,ctrl-@" into bytes; at most LEN.  Returns their number. */
int attach_parse_keys(const char *text, unsigned char *ret, unsigned len) MUST_CHECK;

struct attach;

/*
 * DIR is the directory of the sockets: a container's static directory, or an exec session's.  From
 * here to attach_close() the signals that will be forwarded are blocked.
 */
int attach_open(const char *dir, const struct attach_options *o, struct attach **ret) MUST_CHECK;
/*
 * Copies until the other side closes (0) or the user typed the detach keys (1).  SIGNAL is told
 * about every signal to forward.
 */
int attach_run(struct attach *a, void (*signal)(void *data, int sig), void *data) MUST_CHECK;
void attach_close(struct attach **a); /* puts our terminal and signals back as they were */
