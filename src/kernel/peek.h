/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel has and shows nobody, or only to who takes it away: its memory is read, never
 * written, by a BPF program of ours that copies bytes (bpf_probe_read_kernel(), which survives any
 * address), and its own description of its types says where things are (kernel/btf.h).  Needs
 * CAP_BPF and CAP_PERFMON, Linux 5.14 (BPF_PROG_TYPE_SYSCALL) with BTF, and no lockdown.
 *
 *	CLEANUP(peek_close) struct peek *k = NULL;
 *	uint64_t file, group;
 *
 *	r = peek_open(&k);					// -EOPNOTSUPP: not here
 *	if (r == 0)
 *		r = peek_file(k, fd, &file);			// struct file of our descriptor
 *	if (r == 0)
 *		r = peek_u64(k, file, "file", "private_data", &group);
 *
 * What is read may change meanwhile unless its users are frozen.  Lists must be walked with bounds.
 */
#pragma once

#include "base/err.h"

struct peek;

int peek_open(struct peek **ret) MUST_CHECK;
void peek_close(struct peek **k);

/* -EFAULT: nothing is there. */
int peek_read(struct peek *k, uint64_t at, void *buf, size_t len) MUST_CHECK;

/* Where FIELD of the struct NAME at address AT is; fields as in btf_offset(). */
int peek_at(struct peek *k, uint64_t at, const char *name, const char *field, uint64_t *ret)
	MUST_CHECK;
int peek_size(struct peek *k, const char *name, unsigned *ret) MUST_CHECK;
struct btf;
struct btf *peek_types(struct peek *k); /* K's own: kernel/btf.h */

/* The same, read; pointers are u64. */
int peek_u64(struct peek *k, uint64_t at, const char *name, const char *field, uint64_t *ret)
	MUST_CHECK;
int peek_u32(struct peek *k, uint64_t at, const char *name, const char *field, uint32_t *ret)
	MUST_CHECK;

/* struct file of our FD. */
int peek_file(struct peek *k, int fd, uint64_t *ret) MUST_CHECK;
/* struct sock of our FD, a socket. */
int peek_sock(struct peek *k, int fd, uint64_t *ret) MUST_CHECK;
/* The number of struct pid AT as we see it; 0: none. */
int peek_pid(struct peek *k, uint64_t at, pid_t *ret) MUST_CHECK;

/* The address of what struct page AT describes (peek_page.c). */
int peek_page(struct peek *k, uint64_t at, uint64_t *ret) MUST_CHECK;

/* peek_skb.c: calls FN for each struct sk_buff of the struct sk_buff_head AT, until it is not 0. */
int peek_skbs(struct peek *k, uint64_t at, int (*fn)(struct peek *k, uint64_t skb, void *arg),
	      void *arg) MUST_CHECK;
/* Appends what SKB holds, from its data pointer. */
int peek_skb_data(struct peek *k, uint64_t skb, GByteArray *into) MUST_CHECK;
