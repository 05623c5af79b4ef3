/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes whose first thread has ended before the others, by pthread_exit(3) in main() for
 * example.  It stays as a zombie without memory and descriptors until the others have ended, too
 * (kernel/exit.c: delay_group_leader()).  If all end by themselves its exit code is the process's,
 * or since 5.17 that of the last one (synchronize_group_exit()).
 *
 * The process is looked at through a living thread (struct dtask.proc), which also has the agent's
 * first slot.  In the images the leader is one more thread, with the credentials of a living one;
 * IMAGE_EXTRA of the task has its "leader_exit".  At restore it does a leader's part, and ends when
 * all threads are there.
 */
#include "state/task/task.h"

#include "kernel/procstat.h"

#include <errno.h>

#define EXIT_WAIT_US	   100
#define EXIT_TIMEOUT_TURNS 50000
#define KEY		   "leader_exit"

static void *copy(const ProtobufCMessage *m)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	g_autofree uint8_t *packed = g_malloc(len + 1);

	protobuf_c_message_pack(m, packed);
	return protobuf_c_message_unpack(m->descriptor, NULL, len, packed);
}

/* Nothing of its own is left: what others have registered with the kernel is theirs. */
void leader_dump(struct dtask *t)
{
	const CoreEntry *living = t->threads[0].core;
	CoreEntry *c = t->core;

	if (!t->leader_dead)
		return;
	c->thread_info = copy(&living->thread_info->base);
	c->thread_info->clear_tid_addr = 0;
	c->thread_core = g_new0(ThreadCoreEntry, 1);
	thread_core_entry__init(c->thread_core);
	c->thread_core->creds = copy(&living->thread_core->creds->base);
	c->thread_core->has_seccomp_mode = living->thread_core->has_seccomp_mode;
	c->thread_core->seccomp_mode = living->thread_core->seccomp_mode;
	c->thread_core->has_seccomp_filter = living->thread_core->has_seccomp_filter;
	c->thread_core->seccomp_filter = living->thread_core->seccomp_filter;
	c->thread_core->has_personality = true;
	c->thread_core->personality = c->tc->personality;
	c->thread_core->has_cg_set = c->tc->has_cg_set;
	c->thread_core->cg_set = c->tc->cg_set;
	c->thread_core->comm = g_strdup(t->stat.comm);
	json_object_set_new(t->extra, KEY, json_integer(t->stat.exit_code));
}

bool leader_will_end(const struct rtask *t)
{
	return t->nthreads > 1 && json_is_integer(json_object_get(t->extra, KEY));
}

static int await_end(pid_t pid)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int r = proc_open(pid, &p);

	for (unsigned i = 0; r == 0 && i < EXIT_TIMEOUT_TURNS; i++) {
		struct procstat st;

		r = procstat_read(p.dir, &st);
		if (r == 0 && st.state == 'Z')
			return 0;
		g_usleep(EXIT_WAIT_US);
	}
	return r < 0 ? r : err_set(ETIMEDOUT, "its first thread does not end");
}

/* Before the parent-death signals are set: children get theirs when the thread that forked them
 * ends (kernel/exit.c: forget_original_parent()). */
int leader_restore(struct restore *r, struct rtask *t)
{
	json_int_t code = json_integer_value(json_object_get(t->extra, KEY));
	CLEANUP(batch_end) struct batch b = {0};
	pid_t pid = rtask_pid(t);
	int ret;

	if (!leader_will_end(t))
		return 0;
	rtask_batch(t, &b);
	ret = thread_tell(r, t->threads, &b);
	if (ret == 0)
		ret = creds_tell(r, t->threads, &b);
	if (ret == 0)
		ret = batch_run(&b);
	if (ret == 0)
		ret = agent_end_thread(r->agent, t->slot, (int)(code >> 8) & 0xff);
	if (ret == 0)
		ret = await_end(pid);
	t->threads[0].gone = true;
	t->slot = t->threads[1].slot;
	return ret;
}
