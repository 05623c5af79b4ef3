/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a few instructions in a process' own code. */
#pragma once

#include "base/base.h"

/* Addresses; 0: not found. */
struct insns {
	uint64_t syscall;     /* "syscall", followed by anything */
	uint64_t syscall_ret; /* "syscall; ret": in glibc, musl and Go, not in the vdso */
	uint64_t restorer;    /* "mov $__NR_rt_sigreturn, %eax (or %rax); syscall" */
};

/*
 * Looks for what is still missing in *INS in LEN bytes of code that lie at address AT.  Returns
 * true when nothing is missing any more.
 */
bool insns_scan(const void *code, size_t len, uint64_t at, struct insns *ins);

/* Bytes by which neighbouring pieces of code must overlap so that nothing is overlooked. */
#define INSNS_OVERLAP 16
