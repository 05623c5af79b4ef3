/* SPDX-License-Identifier: Apache-2.0 */
/* Large trees out of the way at once. */
#pragma once

#include "base/err.h"

/*
 * NAME is gone when this returns; what it held is removed by a process of its own that nobody waits
 * for: freeing a gigabyte takes a while, and each unlink(2) may wait for a commit of the file
 * system's journal.  A machine that goes down meanwhile leaves NAME.gone-PID, which the next
 * discard of the same NAME takes along.  A name that does not exist is fine.
 */
int discard_at(int dir, const char *name) MUST_CHECK;
