/* SPDX-License-Identifier: Apache-2.0 */
/* Rings of io_uring in which something is under way, or that have what nobody can give them again.
 */
#include "uring.h"

int main(void)
{
	struct ring busy, deep, polls, closed;
	struct __kernel_timespec far = {.tv_sec = 1000000};
	int pipe_[2];

	if (!ring_new(&busy, 8, (struct io_uring_params){0}))
		skip("the kernel has no io_uring, or forbids it");
	check(pipe(pipe_) == 0);
	ring_next(&busy, IORING_OP_POLL_ADD, pipe_[0])->poll32_events = 1;
	ring_submit(&busy);
	say("expect: 1 of its requests are under way\n");

	check(ring_new(&deep, 8, (struct io_uring_params){0}));
	ring_turn(&deep, 100);
	for (unsigned i = 0; i < 3; i++) {
		struct io_uring_sqe *e = ring_next(&deep, IORING_OP_TIMEOUT, -1);

		e->addr = (uintptr_t)&far;
		e->len = 1;
	}
	ring_submit(&deep);
	say("expect: 3 of its requests are under way\n");

	check(ring_new(&polls, 8, (struct io_uring_params){0}));
	check(syscall(SYS_io_uring_register, polls.fd, IORING_REGISTER_PERSONALITY, NULL, 0) > 0);
	say("expect: it has personalities\n");

	check(ring_new(&closed, 8, (struct io_uring_params){0}));
	close(closed.fd);
	say("expect: is a ring of io_uring that is closed\n");
	ready();
	check(write(pipe_[1], "x", 1) == 1);
	check(ring_take(&busy).user_data == 1);
	ring_next(&deep, IORING_OP_TIMEOUT_REMOVE, -1)->addr = 101;
	ring_submit(&deep);
	ring_take(&deep);
	ring_take(&deep);
	return ok();
}
