/* SPDX-License-Identifier: Apache-2.0 */
/*
 * userfaultfd(2) used as a memory of what was written: write-protection whose faults the kernel
 * resolves by itself (UFFD_FEATURE_WP_ASYNC, Linux 6.7), read by PAGEMAP_SCAN (kernel/pagemap.h).
 *
 * The descriptor belongs to the address space of the process that made it, and works on that one
 * whoever calls (fs/userfaultfd.c: ctx->mm).  Its last close ends the watch.
 */
#pragma once

#include "base/err.h"

/* In the process itself: without privileges, and without effect on the asynchronous kind. */
#define UFFD_FLAGS (O_CLOEXEC | O_NONBLOCK | 1 /* UFFD_USER_MODE_ONLY */)

/* FD is new.  -EINVAL: this kernel cannot. */
int uffd_begin(int fd) MUST_CHECK;

/*
 * The other use: pages that are missing are made by whoever has the descriptor, and he is told of
 * fork(2), mremap(2), munmap(2) and madvise(2).  CAP_SYS_PTRACE.
 */
int uffd_serve_begin(int fd) MUST_CHECK;
int uffd_serve(int fd, uint64_t start, uint64_t end) MUST_CHECK;

/* Watches [START, END), one mapping.  1: not of a kind that can be watched. */
int uffd_watch(int fd, uint64_t start, uint64_t end) MUST_CHECK;

/* No more; best effort. */
void uffd_unwatch(int fd, uint64_t start, uint64_t end);
