/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that a stop signal has been sent to. */
#pragma once

#include "base/err.h"

#include <glib.h>
#include <sys/types.h>

/*
 * Waits until all threads of all PIDS (pid_t) stand still.  A group stop is nobody's: each thread
 * joins it when it comes along (kernel/signal.c: do_signal_stop()), so one that has just been let
 * go is seen running.  Those that end do not count; nor do, after MS, those that cannot come along
 * (in a frozen control group, waiting for a vfork(2)).
 */
void standstill_await(const GArray *pids, int ms);
