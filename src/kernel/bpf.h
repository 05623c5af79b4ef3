/* SPDX-License-Identifier: Apache-2.0 */
/* bpf(2), of which libc knows nothing. */
#pragma once

#include "base/err.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sys/mman.h>
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

	a->license = (uintptr_t) "Dual BSD/GPL"; /* some helpers ask for one */
	for (unsigned i = 0; i < BPF_LOAD_TRIES; i++) {
		fd = bpf_call(BPF_PROG_LOAD, a);
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd;
}

/* The only value of an array, LEN bytes, mapped at *RET_AT; the caller closes the first, and
 * unmaps. */
static inline int bpf_window(size_t len, int *ret_fd, void **ret_at)
{
	union bpf_attr a = {.map_type = BPF_MAP_TYPE_ARRAY,
			    .key_size = 4,
			    .value_size = (uint32_t)len,
			    .max_entries = 1,
			    .map_flags = BPF_F_MMAPABLE};
	void *p;

	*ret_fd = bpf_call(BPF_MAP_CREATE, &a);
	if (*ret_fd < 0)
		return err_set(EOPNOTSUPP, "BPF cannot be used here: %s", g_strerror(errno));
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
	if (p == MAP_FAILED)
		return err_errno("map a BPF array");
	*ret_at = p;
	return 0;
}

#define BPF_INSN(c, d, s, o, i)                                                                    \
	{                                                                                          \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)                \
	}
