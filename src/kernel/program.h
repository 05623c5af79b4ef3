/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

/*
 * The `start` of a runtime returns a moment before the first process executes its program: until
 * then that is the runtime's own, with files of the host.  Waits for the program, or for the end,
 * or TIMEOUT_MS.
 */
void program_await(pid_t pid, unsigned timeout_ms);
