/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A signal frame as the kernel would have pushed it (arch/x86/kernel/signal_64.c:
 * x64_setup_rt_frame()), made by hand.  A thread whose stack pointer points at it and that executes
 * "ret" goes through the C library's restorer to rt_sigreturn(2), which atomically gives it back
 * registers, extended state, signal mask and alternate stack.
 */
#pragma once

#include "arch/x86_64/regs.h"
#include "arch/x86_64/sigframe_layout.h"

#include <signal.h>

/* Bytes of a frame with this extended state (xstate_used()); a multiple of SIGFRAME_ALIGN. */
size_t sigframe_size(const struct xstate *x);

/*
 * Builds into BUF (sigframe_size() bytes) the frame that will be placed at address AT.  REGS are
 * those to return to, already regs_fix()ed.  RESTORER may be 0 if "ret" is never used.  The
 * alternate stack says SS_DISABLE until filled in.
 */
void sigframe_build(void *buf, uint64_t at, const struct regs *regs, const struct xstate *x,
		    uint64_t sigmask, uint64_t restorer);
