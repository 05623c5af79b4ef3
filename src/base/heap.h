/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/base.h"

/*
 * Makes room in the heap that the next BYTES of allocations find without a fault (several
 * microseconds each in a virtual machine, whose memory may have to come from its host), and has
 * freed memory stay in the heap from now on.  Never fails: what there is no room for is not made.
 * Of the calling thread; more than 32 MiB is not made.
 */
void heap_prepare(size_t bytes);
