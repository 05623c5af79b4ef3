/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers of a stopped task, as plain data.  kernel/ptrace.h reads and writes them; here is what
 * they mean.
 */
#pragma once

#include "base/base.h"

#include <sys/user.h>

/* NT_PRSTATUS of elf(5).  On x86-64 it carries fs_base and gs_base too. */
struct regs {
	struct user_regs_struct gp;
};

/* NT_X86_XSTATE: the XSAVE area in its standard (not compacted) form; from 576 bytes to ~11 KiB. */
struct xstate {
	uint8_t *data;
	size_t len;
};
#define XSTATE_NOTE  0x202	 /* NT_X86_XSTATE, elf.h */
#define XSTATE_MAX   (64 * 1024) /* no CPU has more; AMX has 11 KiB */
#define XSTATE_USUAL 4096	 /* all but AMX's tiles */

void xstate_clear(struct xstate *x);

/*
 * Bytes of it up to the end of the last component that is not in its initial state.  ptrace always
 * gives room for all that the CPU has, rt_sigreturn(2) takes no more than the task may use: AMX
 * tiles need a permission (arch/x86/kernel/fpu/signal.c: check_xstate_in_sigframe()).
 */
size_t xstate_used(const struct xstate *x);

/* XSTATE_BV: which components are not in their initial state, a bit each. */
uint64_t xstate_features(const struct xstate *x);

/*
 * Where component I (bit I of XSTATE_BV, from 2 on) lies in the area; no bytes: this CPU has none.
 * The same for all programs of a CPU, so any component of another area can be found, too.
 */
#define XSTATE_PARTS 63
#define XSTATE_TILES 18 /* data of AMX, for which there is no room before they are used */
struct xstate_part {
	unsigned offset, bytes;
};
const struct xstate_part *xstate_part(unsigned i);

/* Whether the task runs 32-bit code: neither the agent nor the images know that. */
bool regs_are_compat(const struct regs *r);
/* Of a thread that has no user mode (arch/x86/kernel/process.c: copy_thread()). */
bool regs_are_kernels(const struct regs *r);

/*
 * What an interrupted system call becomes.  The task was stopped inside the kernel's signal
 * delivery, before it decided about restarting (arch/x86/kernel/signal.c:
 * arch_do_signal_or_restart()), so registers may show -ERESTART*, which user space must never see.
 * All three variants leave orig_rax = -1, so that the kernel does not do it again.
 */
enum regs_fix {
	/* The same task goes on and nothing has touched its restart_block: nanosleep and poll end
	 * on time through restart_syscall(2). */
	REGS_CURE,
	/* The restart_block is lost: another task, or rt_sigreturn(2), which forgets it
	 * (do_no_restart_syscall()).  The call is issued anew with its arguments, which is exact
	 * for absolute times, and repeats all of a relative time (state/task/waits.c knows better);
	 * nanosleep(2) with a place for the remaining time returns EINTR instead, as the kernel has
	 * stored it there. */
	REGS_RESTORE,
};
void regs_fix(struct regs *r, enum regs_fix how);

/*
 * The same for a task that is let go from a stop of ptrace: it comes through signal delivery then
 * (kernel/ptrace.c: __ptrace_unlink() sets TIF_SIGPENDING), so the kernel itself may begin the call
 * anew or, if a signal has come meanwhile whose handler is without SA_RESTART, end it by EINTR.
 * Left to it is all but a restart_block that is lost.
 */
void regs_leave(struct regs *r, enum regs_fix how);

/*
 * True if it was interrupted in a call that tells EINTR even if no signal handler runs, having done
 * nothing yet (signal(7), "Interruption of system calls ... by stop signals": epoll_wait(2) and
 * others).  regs_again() turns that into what other calls tell: the kernel, or regs_fix(), issues
 * it anew unless a handler runs.
 */
bool regs_interrupted(const struct regs *r);
void regs_again(struct regs *r);
/* It will be issued again, unless a handler runs first. */
bool regs_will_be_again(const struct regs *r);

/* Number and arguments of the system call, which the kernel leaves as they were. */
uint64_t regs_call(const struct regs *r);
void regs_arguments(const struct regs *r, uint64_t ret[6]);
void regs_set_argument(struct regs *r, unsigned i, uint64_t v);

/* The task is just before that call. */
void regs_make_call(struct regs *r);
void regs_set_result(struct regs *r, int64_t v);

/* True if the task was interrupted in a call that restarts through its restart_block. */
bool regs_need_restart_block(const struct regs *r);

/*
 * True if that was not for the first time: the call it is in is restart_syscall(2) by now, which no
 * other task can go on with.  regs_first_call() puts the number back that it had first, of which
 * only the code before the program counter still tells (REGS_CALL_BYTES of it; zeros if they cannot
 * be read) or, where it comes from a table, the look of the arguments: kernel/time/, fs/select.c
 * and kernel/futex/ have such calls.
 */
bool regs_restarted(const struct regs *r);
#define REGS_CALL_BYTES 16
void regs_first_call(struct regs *r, const uint8_t code[static REGS_CALL_BYTES]);

/* Sets registers up for "syscall" at INSN with the stack at SP.  Flags that would trap or count
 * backwards (TF, DF) are cleared. */
void regs_set_syscall(struct regs *r, uint64_t insn, uint64_t sp, long nr, const uint64_t args[6]);

/* Sets registers up to start code at PC with one argument, on the stack at SP. */
void regs_set_call(struct regs *r, uint64_t pc, uint64_t sp, uint64_t arg);

int64_t regs_result(const struct regs *r);
uint64_t regs_sp(const struct regs *r);
uint64_t regs_pc(const struct regs *r);
uint64_t regs_tls(const struct regs *r); /* where a C library has its thread's control block */
void regs_set_pc(struct regs *r, uint64_t pc);

/* Stopped on the way out of a system call, not by an interrupt or fault. */
bool regs_in_syscall(const struct regs *r);

/* How far below the stack pointer leaf functions may keep data (the red zone, System V ABI). */
#define REGS_RED_ZONE 128
/* Below it, what our own frames leave alone, for notes to later selves: state/task/waits_go.c.  It
 * is nobody's: a signal frame of the kernel may come there at any time. */
#define REGS_NOTES 64
