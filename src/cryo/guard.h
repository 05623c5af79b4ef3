/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may end a dump before its time: signals and --timeout.  libcryo blocks, and a coordinator
 * may die at any instant without harm to the tree (agent/agent.h); so a thread waits for them, puts
 * the directories in order and ends the process with status 1.
 */
#pragma once

#include "base/err.h"

/*
 * UNDO(ARG) runs in the guard's thread.  TIMEOUT_S 0: no limit.  To be called before other threads
 * and children exist.
 */
int guard_begin(int64_t timeout_s, void (*undo)(void *arg), void *arg) MUST_CHECK;

/* From here on the dump goes to its end; signals and time do nothing any more. */
void guard_end(void);

/* Restore: a signal ends the process with status 1, and the half-built tree with it. */
void guard_restore(void);
void guard_restore_end(void);
