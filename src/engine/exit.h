/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for ends, without polling: pidfds, and inotify on the run root's exits/ and locks/. */
#pragma once

#include "engine/container.h"

/*
 * Waits until conmon has written C's exit file: 1; 0 when TIMEOUT_MS (-1: no limit) is over, or
 * conmon has ended without writing one.  No lock needed.
 */
int exit_wait_file(struct engine *e, const struct container *c, int timeout_ms) MUST_CHECK;

/* Waits until C's first process has ended: 1; 0: the time is over. */
int exit_wait_process(const struct container *c, int timeout_ms) MUST_CHECK;

/*
 * A watch on everything that changes container records: each change is made under the container's
 * lock, and closing the lock file is what wakes us.
 */
int exit_watch_open(struct engine *e, int *ret_fd) MUST_CHECK;
/* Until something happened or TIMEOUT_MS is over.  EXTRA: a descriptor to watch, too, or -1. */
int exit_watch_wait(int fd, int extra, int timeout_ms) MUST_CHECK;
