/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings of asynchronous I/O, io_setup(2): at the same address, with the events that wait there,
 * after the end of the ring was passed, and as full as they may be.
 */
#include "cr.h"

#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <sched.h>

struct ring {
	unsigned id, nr, head, tail, magic, compat, incompat, header;
	struct io_event events[];
};

static int null;

/* Up to N requests that end at once; how many there was a place for. */
static unsigned submit(aio_context_t ring, unsigned n, uint64_t data)
{
	for (unsigned i = 0; i < n; i++) {
		struct iocb cb = {.aio_data = data + i,
				  .aio_lio_opcode = IOCB_CMD_PREAD,
				  .aio_fildes = (unsigned)null},
			    *list = &cb;

		if (syscall(SYS_io_submit, ring, 1, &list) != 1)
			return i;
	}
	return n;
}

static void reap(aio_context_t ring, unsigned n, uint64_t data)
{
	for (unsigned i = 0; i < n; i++) {
		struct timespec zero = {0};
		struct io_event e;

		check(syscall(SYS_io_getevents, ring, 1, 1, &e, &zero) == 1, "event %u", i);
		check(e.data == data + i, "event %u has %llu", i, (unsigned long long)e.data);
	}
}

int main(void)
{
	aio_context_t empty = 0, some = 0, wrapped = 0, full = 0;
	struct ring before[4], *r[4];
	cpu_set_t one;
	unsigned most;

	CPU_ZERO(&one); /* each CPU keeps some of the places for itself */
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	if (syscall(SYS_io_setup, 8, &empty) != 0)
		skip("the kernel has no asynchronous I/O");
	check(syscall(SYS_io_setup, 64, &some) == 0 && syscall(SYS_io_setup, 300, &wrapped) == 0 &&
	      syscall(SYS_io_setup, 1, &full) == 0);
	null = open("/dev/null", O_RDONLY);
	r[0] = (struct ring *)empty;
	r[1] = (struct ring *)some;
	r[2] = (struct ring *)wrapped;
	r[3] = (struct ring *)full;
	submit(some, 50, 1000);
	reap(some, 20, 1000);
	for (unsigned i = 0; i < r[2]->nr + 5; i++) {
		submit(wrapped, 1, 1);
		reap(wrapped, 1, 1);
	}
	submit(wrapped, 20, 5000);
	reap(wrapped, 3, 5000);
	for (unsigned i = 0; i < r[2]->nr - 25; i++) {
		submit(wrapped, 1, 5020 + i);
		reap(wrapped, 1, 5003 + i);
	}
	most = submit(full, r[3]->nr, 7);
	check(most > r[3]->nr / 2 && most < r[3]->nr, "%u", most);
	for (unsigned i = 0; i < 4; i++)
		before[i] = *r[i];
	ready();
	for (unsigned i = 0; i < 4; i++)
		check(r[i]->nr == before[i].nr && r[i]->head == before[i].head &&
			      r[i]->tail == before[i].tail,
		      "ring %u: %u %u %u", i, r[i]->nr, r[i]->head, r[i]->tail);
	check(before[2].head > before[2].tail, "%u %u", before[2].head, before[2].tail);
	reap(some, 30, 1020);
	reap(wrapped, 17, 5003 + r[2]->nr - 25);
	reap(full, most, 7);
	for (unsigned i = 0; i < 4; i++) { /* no place is lost */
		aio_context_t ring = (aio_context_t)r[i];
		unsigned n = submit(ring, r[i]->nr, 0);

		check(r[i]->tail == (before[i].tail + n) % r[i]->nr, "ring %u", i);
		check(r[i]->nr != r[3]->nr || n == most, "%u instead of %u", n, most);
		reap(ring, n, 0);
		check(syscall(SYS_io_destroy, ring) == 0, "errno %d", errno);
	}
	return ok();
}
