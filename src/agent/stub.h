/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stub: a static program of a few KiB without a C library that becomes the first task of a
 * thawed container, or of an exec into one.  It blocks all signals, says hello at descriptor 4,
 * makes the system calls that it is asked for (stub_call()), maps the agent where it is told to,
 * and enters it.  It has no thread-local storage, no rseq area and no robust list that a restored
 * task would have to get rid of.
 *
 * It exits with 101 (no socket at 4), 102 (no orders: the coordinator is gone), 103 (bad orders) or
 * 104 (cannot map).
 */
#pragma once

#include "base/err.h"

/* A sealed memfd with the program, opened read-only (so that it can be executed), close-on-exec. */
int stub_memfd(int *ret_fd) MUST_CHECK;

/*
 * In a freshly forked child: becomes the stub.  SOCK ends up as descriptor 4, others above 4 are
 * closed; 0 to 2 stay.  Returns only on failure.  Calls nothing that is not async-signal-safe.
 */
int stub_exec(int stub_fd, int sock);
