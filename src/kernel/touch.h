/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/base.h"

#include <stdint.h>
#include <sys/mman.h>
#include <sys/types.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/*
 * Makes the pages of [AT, AT + BYTES), one mapping of the process PID that it may write to, without
 * a change of what is there already, whoever writes at the same time.  A help that may fail:
 * whether all are there is not said.  Needs what process_vm_writev(2) needs.
 */
#define TOUCH_MAX (UINT64_C(4) << 20) /* of BYTES: what one call gets at once */
void touch_memory(pid_t pid, uint64_t at, uint64_t bytes);
