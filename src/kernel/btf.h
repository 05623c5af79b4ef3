/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the fields of the running kernel's own structures are: the types that it describes in
 * /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF; the format: Documentation/bpf/btf.rst).
 */
#pragma once

#include "base/err.h"

struct btf;

/* -EOPNOTSUPP: the kernel does not describe itself. */
int btf_open(struct btf **ret) MUST_CHECK;
void btf_close(struct btf **b);

/*
 * FIELD of struct NAME in bytes: "member", or "member.member..."; unnamed structs and unions in
 * between are looked through.  -EOPNOTSUPP: this kernel has no such field.
 */
int btf_offset(struct btf *b, const char *name, const char *field, unsigned *ret) MUST_CHECK;
int btf_size(struct btf *b, const char *name, unsigned *ret) MUST_CHECK;

/* The number of function NAME, by which BPF programs call it.  -EOPNOTSUPP: there is none. */
int btf_function(struct btf *b, const char *name, uint32_t *ret) MUST_CHECK;
