/* SPDX-License-Identifier: Apache-2.0 */
/* bpf(2), of which libc knows nothing. */
#pragma once

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline int bpf_call(int command, union bpf_attr *a)
{
	return (int)syscall(SYS_bpf, command, a, sizeof(*a));
}

#define BPF_INSN(c, d, s, o, i)                                                                    \
	{                                                                                          \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)                \
	}
