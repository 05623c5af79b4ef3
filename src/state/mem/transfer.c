/* SPDX-License-Identifier: Apache-2.0 */
#include "state/mem/transfer.h"

#include <errno.h>

/* One call moves less than 2 GiB (MAX_RW_COUNT), and no more than one likes to wait for. */
#define GROUP_MAX (UINT64_C(64) << 20)
#define DIRECT_MIN                                                                                 \
	(UINT64_C(256) << 10) /* below, the wait for the device is longer than a copy              \
			       */

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

/* Is most of it in the page cache?  Without cachestat(2), Linux 6.5, nobody knows. */
static bool is_cached(int fd, uint64_t offset, uint64_t bytes)
{
	struct {
		uint64_t off, len;
	} range = {offset, bytes};
	struct {
		uint64_t cached, dirty, writeback, evicted, recently_evicted;
	} stat = {0};

	return syscall(SYS_cachestat, fd, &range, &stat, 0) == 0 && stat.cached * 4096 >= bytes / 2;
}

static int choose(const struct transfer *x)
{
	if (x->tfds[1] < 0 || x->bytes < DIRECT_MIN)
		return x->tfds[0];
	if (x->write && x->offset + x->bytes <= x->prepared)
		return x->tfds[0];
	if (!x->write && is_cached(x->fd, x->offset, x->bytes))
		return x->tfds[0];
	return x->tfds[1];
}

void transfer_flush(struct transfer *x)
{
	int tfd, op;

	if (!x->n)
		return;
	tfd = choose(x);
	if (x->n == 1) {
		op = batch_add(x->b, x->write ? SYS_pwrite64 : SYS_pread64, IMM(tfd),
			       IMM(x->v[0].iov_base), IMM(x->bytes), IMM(x->offset));
	} else {
		size_t len = x->n * sizeof(x->v[0]);

		batch_room(x->b, 1, len);
		op = batch_add(x->b, x->write ? SYS_pwritev : SYS_preadv, IMM(tfd),
			       batch_in(x->b, x->v, len), IMM(x->n), IMM(x->offset), IMM(0));
	}
	batch_expect(x->b, op, (int64_t)x->bytes);
	x->n = 0;
	x->bytes = 0;
}

static void add_piece(struct transfer *x, uint64_t addr, uint64_t len, uint64_t offset)
{
	if (x->n == TRANSFER_PIECES || x->bytes + len > GROUP_MAX || offset == x->prepared ||
	    (x->n && x->offset + x->bytes != offset))
		transfer_flush(x);
	if (!x->n)
		x->offset = offset;
	x->bytes += len;
	if (x->n && (uintptr_t)x->v[x->n - 1].iov_base + x->v[x->n - 1].iov_len == addr) {
		x->v[x->n - 1].iov_len += len;
		return;
	}
	x->v[x->n++] = (struct iovec){(void *)(uintptr_t)addr, len};
}

void transfer_add(struct transfer *x, uint64_t addr, uint64_t len, uint64_t offset)
{
	while (len) {
		uint64_t n = MIN(len, GROUP_MAX);

		if (offset < x->prepared)
			n = MIN(n, x->prepared - offset);
		add_piece(x, addr, n, offset);
		addr += n;
		offset += n;
		len -= n;
	}
}
