/* SPDX-License-Identifier: Apache-2.0 */
/* Restores by libcryo into a new box. */
#include "run.h"

#include "base/fd.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Its memory comes when it is wanted, from a child of ours; *RET_CHILD is to be waited for. */
static int serve_memory(int dir, int *ret_sock, pid_t *ret_child)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno("socketpair");
	*ret_child = fork();
	if (*ret_child == 0) {
		const struct cryo_lazy_options o = {
			.images = dir, .sock = pair[1], .page_server = -1};
		int e;

		close(pair[0]);
		e = cryo_lazy_pages(&o);
		if (e < 0)
			printf("Error: memory: %s\n", err_message());
		fflush(stdout);
		_exit(e < 0);
	}
	close(pair[1]);
	*ret_sock = pair[0];
	return *ret_child < 0 ? err_errno("fork") : 0;
}

/* The local configuration forbids what the images may have. */
static const struct sock_filter floor_filter[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

int run_restore(struct run *r, int dir, bool lazy)
{
	autoclose int sock = -1;
	const int stdio[3] = {r->in[0], r->out[1], r->out[1]};
	const struct cryo_box_options bo = {
		.namespaces = NAMESPACES, .mount_proc = true, .stdio = stdio};
	const struct cryo_inherit inherits[] = {
		{.name = "stdin", .fd = 0, .in_stub = true},
		{.name = "stdout", .fd = 1, .in_stub = true},
	};
	struct cryo_restore_options o = {
		.images = dir,
		.inherits = inherits,
		.ninherits = 2,
		.cap_ceiling = ~UINT64_C(0),
		.time_namespace = true,
		.tcp_established = r->tcp,
		.floor = r->floor ? floor_filter : NULL,
		.floor_len = r->floor ? sizeof(floor_filter) : 0,
	};
	struct cryo_box box = CRYO_BOX_NONE;
	struct cryo_restored done;
	int e = lazy ? serve_memory(dir, &sock, &r->server) : 0;

	o.lazy = lazy;
	o.lazy_sock = sock;
	if (e == 0)
		e = cryo_box_fork(&bo, &box);

	if (e == 0)
		e = cryo_restore(&o, &box, &done);
	if (e < 0)
		return err_wrap(e, "restore");
	r->pid = done.pid;
	printf("forked in %u us, restored in %u us\n", done.stats.forking_time,
	       done.stats.restore_time);
	return 0;
}
