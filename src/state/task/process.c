/* SPDX-License-Identifier: Apache-2.0 */
#include "state/task/task.h"

#include "base/file.h"
#include "base/log.h"
#include "kernel/procmisc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#define MEMBARRIER_CMD_GET_REGISTRATIONS_ (1 << 9) /* Linux 6.3 */
#define ARCH_GET_XCOMP_PERM_		  0x1022   /* Linux 5.16 */
#define ARCH_REQ_XCOMP_PERM_		  0x1023

struct told {
	int personality, barriers, xcomp; /* operations */
	int subreaper;
	uint64_t components;
};

static int process_ask(struct dthread *h, struct batch *b, void *data)
{
	struct told *q = data;

	q->personality = batch_add(b, SYS_personality, IMM(0xffffffff));
	batch_add(b, SYS_prctl, IMM(PR_GET_CHILD_SUBREAPER),
		  batch_out(b, &q->subreaper, sizeof(q->subreaper)));
	q->barriers = batch_add(b, SYS_membarrier, IMM(MEMBARRIER_CMD_GET_REGISTRATIONS_), IMM(0),
				IMM(0));
	batch_may_fail(b, q->barriers);
	q->xcomp = batch_add(b, SYS_arch_prctl, IMM(ARCH_GET_XCOMP_PERM_),
			     batch_out(b, &q->components, sizeof(q->components)));
	batch_may_fail(b, q->xcomp);
	return 0;
}

/*
 * Registers that a process has to ask for (AMX: Documentation/arch/x86/xstate.rst), beyond those
 * that everybody has from execve(2) on, as we do.
 */
static void components_dump(struct dtask *t, uint64_t permitted)
{
	uint64_t usual = 0;

	if (syscall(SYS_arch_prctl, ARCH_GET_XCOMP_PERM_, &usual) == 0 && permitted & ~usual)
		json_object_set_new(t->extra, "xcomponents",
				    json_integer((json_int_t)(permitted & ~usual)));
}

static int process_take(struct dump *d, struct dthread *h, const struct answers *a)
{
	const struct told *q = a->data;
	struct dtask *t = h->task;
	TaskCoreEntry *tc = t->core->tc;
	int oom, r = proc_oom_score_adj(t->proc.dir, &oom);
	uint64_t slack;

	if (r < 0)
		return r;
	tc->personality = (uint32_t)answer(a, q->personality);
	t->reaper = q->subreaper != 0;
	tc->has_child_subreaper = true;
	tc->child_subreaper = t->reaper;
	tc->has_oom_score_adj = true;
	tc->oom_score_adj = oom;
	tc->has_loginuid = proc_loginuid(t->proc.dir, &tc->loginuid) == 0;
	if (!tc->has_loginuid)
		err_clear();
	if (answer(a, q->barriers) > 0) {
		tc->has_membarrier_registration_mask = true;
		tc->membarrier_registration_mask = (uint32_t)answer(a, q->barriers);
	}
	if (answer(a, q->xcomp) == 0)
		components_dump(t, q->components);
	if (proc_timerslack_ns(t->proc.dir, &slack) == 0)
		json_object_set_new(t->extra, "timerslack_ns", json_integer((json_int_t)slack));
	return 0;
}

const struct question process_question = {
	.bytes = sizeof(struct told),
	.leader = true,
	.ask = process_ask,
	.take = process_take,
};

/* Lowering it is for CAP_SYS_RESOURCE: worth a word, not a failure. */
static void restore_oom(struct rtask *t, int dir)
{
	const TaskCoreEntry *tc = t->core->tc;
	char text[16];
	int now;

	if (!tc->has_oom_score_adj || proc_oom_score_adj(dir, &now) < 0 || now == tc->oom_score_adj)
		return;
	snprintf(text, sizeof(text), "%d", tc->oom_score_adj);
	if (file_poke_at(dir, "oom_score_adj", text) < 0)
		log_warn("task %d (%s): oom_score_adj stays %d: %s", t->nspid, tc->comm, now,
			 err_message());
}

/* Threads inherit it, and alternate stacks must be large enough by then: before both. */
static int components_restore(struct rtask *t)
{
	uint64_t wanted = (uint64_t)json_integer_value(json_object_get(t->extra, "xcomponents"));
	CLEANUP(batch_end) struct batch b = {0};
	int op, ret;

	for (unsigned i = 0; i < 64; i++) {
		if (!(wanted >> i & 1))
			continue;
		rtask_batch(t, &b);
		op = batch_add(&b, SYS_arch_prctl, IMM(ARCH_REQ_XCOMP_PERM_), IMM(i));
		batch_may_fail(&b, op);
		ret = batch_run(&b);
		if (ret == 0 && batch_result(&b, op) < 0)
			ret = err_set(EOPNOTSUPP,
				      "process %d uses registers that are not here (extended state "
				      "%u%s); restore it on a CPU that has them",
				      t->nspid, i, i == XSTATE_TILES ? ", AMX" : "");
		if (ret < 0)
			return ret;
		batch_end(&b);
		b = (struct batch){0};
	}
	return 0;
}

/*
 * In the record of the thread: CRIU has long read the digits of /proc/PID/personality, which are
 * hexadecimal, as decimal ones for that of the process.
 */
static uint32_t personality_of(const CoreEntry *core)
{
	if (core->thread_core && core->thread_core->has_personality)
		return core->thread_core->personality;
	return core->tc->personality < 10 ? core->tc->personality : 0;
}

int process_restore(struct restore *r, struct rtask *t)
{
	const TaskCoreEntry *tc = t->core->tc;
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(batch_end) struct batch b = {0};
	json_t *slack = json_object_get(t->extra, "timerslack_ns");
	int ret;

	rtask_batch(t, &b);
	batch_add(&b, SYS_personality, IMM(personality_of(t->core)));
	if (tc->has_child_subreaper && tc->child_subreaper)
		batch_add(&b, SYS_prctl, IMM(PR_SET_CHILD_SUBREAPER), IMM(1));
	for (unsigned i = 0; tc->has_membarrier_registration_mask && i < 32; i++)
		if (tc->membarrier_registration_mask & 1u << i)
			batch_add(&b, SYS_membarrier, IMM(1u << i), IMM(0), IMM(0));
	ret = batch_run(&b);
	if (ret == 0)
		ret = components_restore(t);
	if (ret == 0)
		ret = proc_open(rtask_pid(t), &p);
	if (ret < 0)
		return ret;
	restore_oom(t, p.dir);
	return slack ? proc_set_timerslack_ns(p.dir, (uint64_t)json_integer_value(slack)) : 0;
}

/* Only a task itself may write it (fs/proc/base.c: proc_loginuid_write()): worth a word. */
int loginuid_restore(struct restore *r, struct rtask *t)
{
	const TaskCoreEntry *tc = t->core->tc;
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(batch_end) struct batch b = {0};
	autoclose int fd = -1;
	char text[16];
	uint32_t now;
	int tfd, op, ret;

	if (!tc->has_loginuid)
		return 0;
	ret = proc_open(rtask_pid(t), &p);
	if (ret < 0)
		return ret;
	if (proc_loginuid(p.dir, &now) < 0 || now == tc->loginuid) {
		err_clear();
		return 0;
	}
	fd = openat(p.dir, "loginuid", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno("open loginuid");
	rtask_batch(t, &b);
	batch_recv_fds(&b, &fd, 1, &tfd);
	ret = batch_run(&b);
	if (ret < 0)
		return ret;
	snprintf(text, sizeof(text), "%u", tc->loginuid);
	op = batch_add(&b, SYS_write, IMM(tfd), batch_in(&b, text, sizeof(text)),
		       IMM(strlen(text)));
	batch_may_fail(&b, op);
	batch_add(&b, SYS_close, IMM(tfd));
	ret = batch_run(&b);
	if (ret == 0 && batch_result(&b, op) < 0)
		log_warn("task %d (%s): the user who logged in (loginuid) stays %d", t->nspid,
			 tc->comm, (int)now);
	return ret;
}
