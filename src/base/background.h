/* SPDX-License-Identifier: Apache-2.0 */
/* Work that nobody waits for. */
#pragma once

#include "base/err.h"

/*
 * Calls FN in a process of its own, in which it has nothing of ours but FDS[0..n), as 3, 4, ...:
 * neither locks nor the pipes whose end somebody may wait for.  It goes on when we end.  -errno
 * without a description when there is no such process: the caller does the work itself then.
 */
typedef void (*background_fn)(void *arg);
int background_run(const int *fds, unsigned n, background_fn fn, void *arg) MUST_CHECK;
