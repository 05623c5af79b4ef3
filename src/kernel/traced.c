/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/traced.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PIDFD_THREAD_ O_EXCL /* Linux 6.9 */

/* include/linux/ptrace.h */
#define PT_SEIZED  0x10000
#define PT_OPTIONS 3
#define PT_O_MASK  0x3000ff
/* include/linux/sched/jobctl.h */
#define STOP_PENDING (1u << 17)
#define LISTENING    (1u << 22)
/* include/linux/sched/signal.h: SIGNAL_STOP_STOPPED */
#define STOP_STOPPED 1u
/* include/linux/thread_info.h: SYSCALL_WORK_SYSCALL_TRACE, _EMU, _USER_DISPATCH */
#define WORK_TRACE    (1u << 2)
#define WORK_EMU      (1u << 3)
#define WORK_DISPATCH (1u << 5)
/* arch/x86/include/asm/thread_info.h: TIF_SINGLESTEP, TIF_FORCED_TF, TIF_BLOCKSTEP */
#define TIF_STEPS (1u << 4 | 1u << 24 | 1u << 25)

/* From a descriptor of the thread: struct file, struct pid, its first user. */
static int find_task(struct peek *k, int fd, uint64_t *ret)
{
	uint64_t file, inode, pid, users, offset;
	int r = peek_file(k, fd, &file);

	if (r == 0)
		r = peek_u64(k, file, "file", "private_data", &pid);
	if (r == 0 && !pid) { /* Linux 6.9 has a file system of them */
		r = peek_u64(k, file, "file", "f_inode", &inode);
		if (r == 0)
			r = peek_u64(k, inode, "inode", "i_private", &pid);
	}
	if (r == 0)
		r = peek_at(k, pid, "pid", "tasks", &users); /* PIDTYPE_PID is 0 */
	if (r == 0)
		r = peek_at(k, 0, "task_struct", "pid_links", &offset);
	if (r == 0)
		r = peek_read(k, users, ret, sizeof(*ret));
	if (r < 0)
		return r;
	if (!*ret)
		return err_set(ESRCH, "it has ended");
	*ret -= offset;
	return 0;
}

static int look_at_stop(struct peek *k, uint64_t info, struct traced *ret)
{
	int32_t v[3] = {0}; /* si_signo, si_errno, si_code */
	int r = info ? peek_read(k, info, v, sizeof(v)) : 0;

	ret->signo = v[0];
	ret->code = v[2];
	return r;
}

static int look(struct peek *k, uint64_t task, struct traced *ret)
{
	uint64_t signal, work, flags, jobctl, info, thread;
	uint32_t how, group, stopping;
	int r = peek_u32(k, task, "task_struct", "ptrace", &how);

	if (r == 0)
		r = peek_u32(k, task, "task_struct", "exit_code", &ret->status);
	if (r == 0)
		r = peek_u64(k, task, "task_struct", "jobctl", &jobctl);
	if (r == 0)
		r = peek_u64(k, task, "task_struct", "last_siginfo", &info);
	if (r == 0)
		r = peek_u64(k, task, "task_struct", "signal", &signal);
	if (r == 0)
		r = peek_at(k, task, "task_struct", "thread_info", &thread);
	if (r == 0)
		r = peek_u64(k, thread, "thread_info", "syscall_work", &work);
	if (r == 0)
		r = peek_u64(k, thread, "thread_info", "flags", &flags);
	if (r == 0)
		r = peek_u32(k, signal, "signal_struct", "flags", &group);
	if (r == 0)
		r = peek_u32(k, signal, "signal_struct", "group_stop_count", &stopping);
	if (r < 0)
		return r;
	ret->seized = how & PT_SEIZED;
	ret->options = how >> PT_OPTIONS & PT_O_MASK;
	ret->calls = work & WORK_TRACE;
	ret->listens = jobctl & LISTENING;
	ret->steps = flags & TIF_STEPS;
	ret->emulated = work & WORK_EMU;
	ret->dispatches = work & WORK_DISPATCH;
	ret->group = (group & STOP_STOPPED) || stopping || (jobctl & STOP_PENDING);
	return look_at_stop(k, info, ret);
}

int traced_look(struct peek *k, pid_t tid, struct traced *ret)
{
	autoclose int fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD_);
	uint64_t task;
	int r;

	*ret = (struct traced){0};
	if (fd < 0 && errno == EINVAL)
		return err_set(EOPNOTSUPP, "Linux 6.9 could tell (PIDFD_THREAD)");
	if (fd < 0)
		return err_errno("thread %d", tid);
	r = find_task(k, fd, &task);
	return r < 0 ? r : look(k, task, ret);
}
