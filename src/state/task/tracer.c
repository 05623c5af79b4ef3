/* SPDX-License-Identifier: Apache-2.0 */
#include "state/task/tracer.h"

#include "kernel/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define PATIENCE_US  5000000
#define PAUSE_US     100
#define CHUNK	     65536
#define SIGSET_BYTES 8

int tracer_ptrace(const struct tracer *t, long request, pid_t tid, uint64_t addr, uint64_t data)
{
	CLEANUP(batch_end) struct batch b = {0};

	batch_begin(&b, t->agent, t->slot);
	batch_add(&b, SYS_ptrace, IMM(request), IMM(tid), IMM(addr), IMM(data));
	return batch_run(&b);
}

int tracer_ptrace_in(const struct tracer *t, long request, pid_t tid, uint64_t addr,
		     const void *data, size_t len)
{
	CLEANUP(batch_end) struct batch b = {0};

	batch_begin(&b, t->agent, t->slot);
	batch_add(&b, SYS_ptrace, IMM(request), IMM(tid), IMM(addr), batch_in(&b, data, len));
	return batch_run(&b);
}

int tracer_ptrace_out(const struct tracer *t, long request, pid_t tid, uint64_t addr, void *data,
		      size_t len)
{
	CLEANUP(batch_end) struct batch b = {0};

	batch_begin(&b, t->agent, t->slot);
	batch_add(&b, SYS_ptrace, IMM(request), IMM(tid), IMM(addr), batch_out(&b, data, len));
	return batch_run(&b);
}

/* 0: it stands; 1: not yet. */
static int look(const struct tracer *t, pid_t tid, bool take)
{
	CLEANUP(batch_end) struct batch b = {0};
	siginfo_t si = {0};
	int r;

	batch_begin(&b, t->agent, t->slot);
	batch_add(&b, SYS_waitid, IMM(P_PID), IMM(tid), batch_inout(&b, &si, &si, sizeof(si)),
		  IMM(WSTOPPED | WEXITED | WNOHANG | __WALL | (take ? 0 : WNOWAIT)), IMM(0));
	r = batch_run(&b);
	if (r == -ECHILD || (r == 0 && si.si_pid && si.si_code != CLD_TRAPPED))
		return err_set(ESRCH, "thread %d has ended", tid);
	return r < 0 ? r : !si.si_pid;
}

int tracer_await(const struct tracer *t, pid_t tid, bool take)
{
	gint64 until = g_get_monotonic_time() + PATIENCE_US;
	int r;

	do {
		r = look(t, tid, false);
		if (r == 1)
			g_usleep(PAUSE_US);
	} while (r == 1 && g_get_monotonic_time() < until);
	if (r == 1)
		return err_set(ETIMEDOUT, "thread %d does not stop for its tracer", tid);
	return r == 0 && take ? tracer_take(t, tid) : r;
}

int tracer_take(const struct tracer *t, pid_t tid)
{
	return MIN(look(t, tid, true), 0);
}

int tracer_drop_sigchld(const struct tracer *t)
{
	const uint64_t set = UINT64_C(1) << (SIGCHLD - 1);
	const struct timespec now = {0};
	CLEANUP(batch_end) struct batch b = {0};

	batch_begin(&b, t->agent, t->slot);
	batch_may_fail(&b, batch_add(&b, SYS_rt_sigtimedwait, batch_in(&b, &set, sizeof(set)),
				     IMM(0), batch_in(&b, &now, sizeof(now)), IMM(SIGSET_BYTES)));
	return batch_run(&b);
}

/* Asked of another call with the same question, which then has nothing to read at address 0. */
int tracer_may(const struct tracer *t, pid_t tid)
{
	const struct iovec nothing = {NULL, 1};
	CLEANUP(batch_end) struct batch b = {0};
	int id, r;

	batch_begin(&b, t->agent, t->slot);
	id = batch_add(&b, SYS_process_vm_readv, IMM(tid), batch_in(&b, &nothing, sizeof(nothing)),
		       IMM(1), batch_in(&b, &nothing, sizeof(nothing)), IMM(1), IMM(0));
	batch_may_fail(&b, id);
	r = batch_run(&b);
	if (r < 0)
		return r;
	return batch_result(&b, id) == -EPERM
		       ? err_set(EPERM, "its tracer would not be allowed to attach to it again")
		       : 0;
}

int tracer_find_spin(pid_t pid, uint64_t *ret)
{
	static const uint8_t spin[] = {0xeb, 0xfe};
	CLEANUP(maps_clear) struct maps m = {0};
	g_autofree uint8_t *buf = g_malloc(CHUNK);
	autoclose int dir = -1;
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = dir < 0 ? err_errno("open %s", path) : maps_read(dir, &m);
	for (size_t i = 0; r == 0 && i < m.n; i++) {
		const struct vma *v = &m.v[i];

		/* file mappings only: others may be gone when it is to wait there again */
		if (!(v->prot & PROT_EXEC) || v->shared || !v->ino)
			continue;
		for (uint64_t at = v->start; at < v->end; at += CHUNK) {
			size_t len = MIN(CHUNK, v->end - at);
			const uint8_t *p;

			if (task_read_memory(pid, at, buf, len) < 0) {
				err_clear();
				break;
			}
			p = memmem(buf, len, spin, sizeof(spin));
			if (p) {
				*ret = at + (uint64_t)(p - buf);
				return 0;
			}
		}
	}
	return r < 0 ? r : err_set(EOPNOTSUPP, "its code has no place where it could wait");
}
