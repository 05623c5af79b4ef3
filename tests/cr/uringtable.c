/* SPDX-License-Identifier: Apache-2.0 */
/* Files and buffers registered with a ring, and an eventfd that is told of completions. */
#include "uring.h"

#include <sys/eventfd.h>
#include <sys/uio.h>

#define THERE "what is there"

static struct ring table;
static int file, tells;
static char buffer[8192] __attribute__((aligned(4096)));

/* What is registered: files, buffers, who is told. */
static void make_table(void)
{
	struct iovec v[2] = {{buffer, 4096}, {buffer + 4096, 4096}};
	int fds[3];

	if (!ring_new(&table, 8, (struct io_uring_params){0}))
		skip("the kernel has no io_uring, or forbids it");
	file = (int)syscall(SYS_memfd_create, "file", 0);
	tells = eventfd(0, EFD_NONBLOCK);
	check(pwrite(file, THERE, sizeof(THERE), 0) == sizeof(THERE));
	fds[0] = file;
	fds[1] = -1;
	fds[2] = tells;
	ring_turn(&table, 100);
	check(syscall(SYS_io_uring_register, table.fd, IORING_REGISTER_FILES, fds, 3) == 0,
	      "errno %d", errno);
	check(syscall(SYS_io_uring_register, table.fd, IORING_REGISTER_BUFFERS, v, 2) == 0,
	      "errno %d", errno);
	check(syscall(SYS_io_uring_register, table.fd, IORING_REGISTER_EVENTFD, &tells, 1) == 0,
	      "errno %d", errno);
}

static void verify_table(void)
{
	uint64_t told = 0;
	struct io_uring_sqe *e;

	check(read(tells, &told, sizeof(told)) < 0 && errno == EAGAIN, "told %llu times",
	      (unsigned long long)told);
	e = ring_next(&table, IORING_OP_READ_FIXED, 0);
	e->flags = IOSQE_FIXED_FILE;
	e->addr = (uintptr_t)buffer + 4096;
	e->len = sizeof(THERE);
	e->buf_index = 1;
	ring_submit(&table);
	check(ring_take(&table).res == sizeof(THERE), "read");
	check(strcmp(buffer + 4096, THERE) == 0, "%s", buffer + 4096);
	check(read(tells, &told, sizeof(told)) == sizeof(told) && told == 1, "told %llu times",
	      (unsigned long long)told);
}

int main(void)
{
	make_table();
	ready();
	verify_table();
	return ok();
}
