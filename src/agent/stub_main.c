/* SPDX-License-Identifier: Apache-2.0 */
/* The stub: see stub.h.  No C library, no data, no thread-local storage. */
#include "agent/mailbox.h"
#include "arch/x86_64/syscall.h"

#include <linux/fcntl.h>
#include <linux/mman.h>
#include <stddef.h>

/* include/linux/socket.h and signal.h, which only a C library exports */
#define SCM_RIGHTS	 1
#define MSG_NOSIGNAL	 0x4000
#define MSG_CMSG_CLOEXEC 0x40000000
#define SIG_SETMASK	 2
#define SIGSET_BYTES	 8
#define FD_CLOEXEC	 1
#define PROT_RX		 5
#define PROT_RW		 3

enum { EXIT_NO_SOCKET = 101, EXIT_NO_ORDERS, EXIT_BAD_ORDERS, EXIT_CANNOT_MAP };

struct io_vector {
	void *base;
	uint64_t len;
};

struct message {
	void *name;
	int name_len;
	struct io_vector *iov;
	uint64_t iov_len;
	void *control;
	uint64_t control_len;
	int flags;
};

struct control {
	uint64_t len;
	int level, type;
	int fd, pad;
};

__attribute__((noreturn, used)) void stub_main(void);

__asm__(".globl _start\n"
	"_start:\n"
	"	xorl %ebp, %ebp\n"
	"	andq $-16, %rsp\n"
	"	call stub_main\n"
	"	ud2\n");

__attribute__((noreturn)) static void leave(int code)
{
	for (;;)
		raw_syscall(__NR_exit_group, code);
}

static void say_hello(void)
{
	struct stub_hello h = {.magic = STUB_MAGIC};

	h.pid = (uint64_t)raw_syscall(__NR_getpid);
	if (raw_syscall(__NR_sendto, STUB_SOCK, &h, sizeof(h), MSG_NOSIGNAL, NULL, 0) < 0)
		leave(EXIT_NO_SOCKET);
}

static void call(const struct stub_call *c)
{
	int64_t ret = raw_syscall6(c->nr, c->arg[0], c->arg[1], c->arg[2], c->arg[3], c->arg[4],
				   c->arg[5]);

	if (raw_syscall(__NR_sendto, STUB_SOCK, &ret, sizeof(ret), MSG_NOSIGNAL, NULL, 0) < 0)
		leave(EXIT_NO_ORDERS);
}

/* Calls, as many as are wanted, and then the orders. */
static int receive_orders(struct stub_orders *ret)
{
	for (;;) {
		union {
			struct stub_orders orders;
			struct stub_call call;
		} u;
		struct control c;
		struct io_vector v = {&u, sizeof(u)};
		struct message m = {
			.iov = &v, .iov_len = 1, .control = &c, .control_len = sizeof(c)};
		int64_t n = raw_syscall(__NR_recvmsg, STUB_SOCK, &m, MSG_CMSG_CLOEXEC);

		if (n <= 0)
			leave(EXIT_NO_ORDERS);
		if (n == sizeof(u.call) && u.call.magic == STUB_CALL_MAGIC) {
			call(&u.call);
			continue;
		}
		if (n != sizeof(u.orders) || u.orders.magic != STUB_MAGIC ||
		    u.orders.bytes <= MAILBOX_CODE_BYTES ||
		    m.control_len < offsetof(struct control, pad) || c.type != SCM_RIGHTS)
			leave(EXIT_BAD_ORDERS);
		*ret = u.orders;
		return c.fd;
	}
}

static void map(uint64_t at, uint64_t bytes, int prot, int fd, uint64_t offset)
{
	int64_t r = raw_syscall(__NR_mmap, at, bytes, prot, MAP_SHARED | MAP_FIXED_NOREPLACE, fd,
				offset);

	if (r != (int64_t)at)
		leave(EXIT_CANNOT_MAP);
}

void stub_main(void)
{
	static const uint64_t all_signals = ~UINT64_C(0);
	const struct blob_header *blob;
	struct stub_orders o;
	int fd;

	raw_syscall(__NR_rt_sigprocmask, SIG_SETMASK, &all_signals, NULL, SIGSET_BYTES);
	raw_syscall(__NR_fcntl, STUB_SOCK, F_SETFD, FD_CLOEXEC);
	raw_syscall(__NR_close, STUB_FD);
	say_hello();
	fd = receive_orders(&o);
	map(o.addr, MAILBOX_CODE_BYTES, PROT_RX, fd, 0);
	map(o.addr + MAILBOX_CODE_BYTES, o.bytes - MAILBOX_CODE_BYTES, PROT_RW, fd,
	    MAILBOX_CODE_BYTES);
	raw_syscall(__NR_close, fd);
	blob = (const struct blob_header *)o.addr;
	((void (*)(uint64_t))(o.addr + blob->entry))(o.slot);
	__builtin_unreachable();
}
