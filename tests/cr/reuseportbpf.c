/* SPDX-License-Identifier: Apache-2.0 */
/* An eBPF program that chooses among the sockets of a port. */
#include "cr.h"

#include <linux/bpf.h>
#include <netinet/in.h>
#include <sys/socket.h>

int main(void)
{
	static const struct bpf_insn v[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr a = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
			    .insns = (uintptr_t)v,
			    .insn_cnt = ARRAY_SIZE(v),
			    .license = (uintptr_t) "GPL"};
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
	int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof(a));

	if (program < 0)
		skip("BPF is not allowed here");
	check(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0);
	check(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	check(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program, sizeof(program)) == 0,
	      "errno %d", errno);
	close(program);
	say("expect: an eBPF program chooses among the sockets of its port\n");
	ready();
	check(fcntl(fd, F_GETFD) >= 0);
	return ok();
}
