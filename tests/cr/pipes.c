/* SPDX-License-Identifier: Apache-2.0 */
/* Pipes: content, size, flags, both ends in several processes, end of file. */
#include "cr.h"

static int p[2], q[2], eof[2];

static int child_reads(void)
{
	char buf[64] = "";

	return read(p[0], buf, 5) == 5 && !memcmp(buf, "hello", 5) && write(q[1], "back", 4) == 4
		       ? 0
		       : 10;
}

int main(void)
{
	struct child c;
	char buf[70000];
	static char big[65536];
	int packet[2], size;

	check(pipe(p) == 0 && pipe(q) == 0 && pipe(eof) == 0);
	check(pipe2(packet, O_DIRECT | O_NONBLOCK) == 0);
	size = fcntl(q[1], F_SETPIPE_SZ, 1 << 20);
	check(size == 1 << 20);
	memset(big, 'b', sizeof(big));
	check(write(q[1], big, sizeof(big)) == sizeof(big));
	check(write(p[1], "hello", 5) == 5);
	check(write(packet[1], "one", 3) == 3 && write(packet[1], "three", 5) == 5);
	check(write(eof[1], "last", 4) == 4);
	close(eof[1]);
	fcntl(p[0], F_SETFD, FD_CLOEXEC);
	c = child_start(NULL, child_reads);
	ready();
	child_go(&c);
	check(fcntl(q[0], F_GETPIPE_SZ) == size);
	check(read(q[0], buf, sizeof(big)) == sizeof(big) && !memcmp(buf, big, sizeof(big)));
	check(read(q[0], buf, 4) == 4 && !memcmp(buf, "back", 4));
	check(read(packet[0], buf, sizeof(buf)) == 3, "packets are kept apart");
	check(read(packet[0], buf, sizeof(buf)) == 5);
	check(read(packet[0], buf, sizeof(buf)) == -1 && errno == EAGAIN, "errno %d", errno);
	check(read(eof[0], buf, sizeof(buf)) == 4);
	check(read(eof[0], buf, sizeof(buf)) == 0, "end of file is kept");
	check(fcntl(p[0], F_GETFD) == FD_CLOEXEC && fcntl(p[1], F_GETFD) == 0);
	check(fcntl(packet[1], F_GETFL) == (O_WRONLY | O_DIRECT | O_NONBLOCK), "%#x",
	      fcntl(packet[1], F_GETFL));
	return ok();
}
