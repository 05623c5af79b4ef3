/* SPDX-License-Identifier: Apache-2.0 */
/* bpf(2), of which libc knows nothing. */
#pragma once

#include <errno.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline int bpf_call(int command, union bpf_attr *a)
{
	return (int)syscall(SYS_bpf, command, a, sizeof(*a));
}

#define BPF_LOAD_TRIES 16

/* The verifier gives up when a signal is pending (kernel/bpf/verifier.c: do_check()): it is taken
 * when the call returns. */
static inline int bpf_load(union bpf_attr *a)
{
	int fd = -1;

	for (unsigned i = 0; i < BPF_LOAD_TRIES; i++) {
		fd = bpf_call(BPF_PROG_LOAD, a);
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd;
}

#define BPF_INSN(c, d, s, o, i)                                                                    \
	{                                                                                          \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)                \
	}
