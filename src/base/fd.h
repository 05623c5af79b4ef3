/* SPDX-License-Identifier: Apache-2.0 */
/* Whole reads and writes, and descriptors sent over sockets.  EINTR is handled inside. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

/* Read or write exactly LEN bytes.  A file that ends early is -EIO.  Blocking. */
int fd_read_full(int fd, void *buf, size_t len) MUST_CHECK;
int fd_write_full(int fd, const void *buf, size_t len) MUST_CHECK;
int fd_pread_full(int fd, void *buf, size_t len, off_t at) MUST_CHECK;
int fd_pwrite_full(int fd, const void *buf, size_t len, off_t at) MUST_CHECK;

#define FD_SEND_MAX 253 /* SCM_MAX_FD, net/core/scm.c */

/* One message: LEN bytes (at least one) and N descriptors, which stay the caller's. */
int fd_send(int sock, const void *buf, size_t len, const int *fds, unsigned n) MUST_CHECK;

/*
 * Receives one such message into BUF (at most LEN bytes) and up to N descriptors, born
 * close-on-exec and owned by the caller; *RET_N says how many came.  Returns the number of bytes;
 * 0 is the end of the stream.  Cut-off descriptors (MSG_CTRUNC) are an error and are closed.
 */
ssize_t fd_recv(int sock, void *buf, size_t len, int *fds, unsigned n, unsigned *ret_n) MUST_CHECK;

/* A duplicate at or above MIN, close-on-exec. */
int fd_dup_above(int fd, int min) MUST_CHECK;

/* As many descriptors as we may have: some hundred processes need more than the usual 1024. */
void fd_raise_limit(void);
