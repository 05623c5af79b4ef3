/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How descriptors come into an injected agent: a socketpair that the target makes, one end of which
 * we take (pidfd_getfd(2)).  Both numbers lie in the slot's box from the beginning, where the
 * agent finds and closes them should we die.
 */
#include "agent/batch.h"
#include "agent/private.h"
#include "base/log.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define PAIR_AT	 (CONTROL_HEADER + BOX_FDS * sizeof(int)) /* in the box */
#define MORE_FDS 16

static int make_pair(struct agent *a, int64_t *ret)
{
	const struct agent_slot *s = &a->slots[0];
	CLEANUP(batch_end) struct batch b = {0};
	int id, r;

	batch_begin(&b, a, 0);
	id = batch_add(&b, SYS_socketpair, IMM(AF_UNIX), IMM(SOCK_SEQPACKET | SOCK_CLOEXEC), IMM(0),
		       IMM(agent_slot_addr(a, 0) + agent_box(s) + PAIR_AT));
	batch_may_fail(&b, id);
	r = batch_run(&b);
	*ret = batch_result(&b, id);
	return r;
}

/* A target that has used up its limit is lent a few more; the limit is put back at once, which
 * leaves open descriptors alone. */
static int make_pair_beyond_limit(struct agent *a, int64_t *ret)
{
	pid_t pid = a->group->pid;
	struct rlimit was, more;
	int r;

	/* Of other users, and beyond the hard limit: CAP_SYS_RESOURCE */
	if (prlimit(pid, RLIMIT_NOFILE, NULL, &was) < 0)
		return err_set(EMFILE,
			       "process %d has used up its limit of descriptors, and we may not "
			       "raise it",
			       pid);
	more = (struct rlimit){was.rlim_cur + MORE_FDS, MAX(was.rlim_max, was.rlim_cur + MORE_FDS)};
	if (prlimit(pid, RLIMIT_NOFILE, &more, NULL) < 0)
		return err_set(EMFILE,
			       "process %d has used up its limit of %lu descriptors, and we may "
			       "not raise it",
			       pid, was.rlim_cur);
	r = make_pair(a, ret);
	if (prlimit(pid, RLIMIT_NOFILE, &was, NULL) < 0)
		log_warn("process %d keeps a raised limit of descriptors", pid);
	return r;
}

int agent_channel(struct agent *a)
{
	CLEANUP(batch_end) struct batch b = {0};
	autoclose int sock = -1;
	int64_t ret = 0;
	int *pair, r;

	if (a->sock >= 0)
		return 0;
	r = make_pair(a, &ret);
	if (r == 0 && ret == -EMFILE)
		r = make_pair_beyond_limit(a, &ret);
	if (r == 0 && ret < 0)
		r = err_code((int)ret, "making a socketpair in process %d", a->slots[0].tid);
	if (r < 0)
		return r;
	pair = (int *)((uint8_t *)a->slots[0].shm + agent_box(&a->slots[0]) + PAIR_AT);
	a->tsock = pair[0];
	sock = (int)syscall(SYS_pidfd_getfd, a->pidfd, pair[1], 0);
	if (sock < 0)
		return err_errno("taking descriptor %d of process %d", pair[1], a->slots[0].tid);
	batch_begin(&b, a, 0);
	batch_add(&b, SYS_close, IMM(pair[1]));
	r = batch_run(&b);
	if (r < 0)
		return r;
	pair[1] = -1;
	a->sock = take_fd(&sock);
	return 0;
}
