/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "engine/box.h"
#include "engine/ckfiles.h"
#include "engine/events.h"
#include "engine/exit.h"
#include "engine/lifecycle_internal.h"
#include "engine/monitor.h"
#include "engine/network.h"
#include "engine/orphans.h"
#include "engine/runtime.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>

/* A start from the beginning ignores a checkpoint; its files stay and can still be restored. */
static void forget_last_run(struct container_state *s)
{
	container_forget_checkpoint(s);
	s->stopped_by_user = false;
	s->oom_killed = false;
	s->exit_code = 0;
}

/* After a failure nothing of the attempt stays; the story is the first one. */
static int undo(struct engine *e, struct container *c, int r)
{
	struct container_state *s = &c->state;
	ERR_KEEP;

	g_free(s->error);
	s->error = g_strdup(err_message());
	if (container_release(e, c, 0) < 0)
		log_debug("after a failed start: %s", err_message());
	s->pid = s->conmon_pid = 0;
	s->pid_start = 0;
	s->status = s->started_ns ? CONTAINER_EXITED : CONTAINER_CREATED;
	if (container_save(e, c) < 0)
		log_debug("after a failed start: %s", err_message());
	return r;
}

int life_init(struct engine *e, struct container *c)
{
	int fds[MONITOR_FDS_MAX];
	struct monitor_options mo = {.fds = fds};
	bool checkpointed = c->state.checkpointed;
	int r;

	forget_last_run(&c->state);
	g_clear_pointer(&c->state.error, g_free);
	/* Peers of a checkpoint are to find somebody there, who tells them that they are forgotten.
	 */
	r = c->state.started_ns && !checkpointed ? network_renew(e, c->id) : 0;
	if (r == 0)
		r = container_prepare(e, c, NULL);
	if (r == 0) {
		r = life_write_spec(e, c);
		if (r < 0) /* no such user or working directory: Podman's "cannot be invoked" */
			e->exit_hint = 126;
	}
	mo.nfds = c->preserve_fds;
	if (r == 0)
		r = monitor_preserved(mo.nfds, fds);
	if (r == 0)
		r = monitor_create(e, c, &mo);
	if (r == 0 && checkpointed)
		ck_drop_connections(e, c);
	if (r == 0)
		r = box_record(e, c);
	if (r == 0) {
		c->state.status = CONTAINER_INITIALIZED;
		r = container_save(e, c);
	}
	if (r < 0)
		return undo(e, c, r);
	orphans_unmark(e, c);
	event_container(e, c, "init");
	return 0;
}

int container_init(struct engine *e, struct container *c)
{
	int r = container_lock(e, c);

	if (r < 0)
		return r;
	if (c->state.status == CONTAINER_STOPPED)
		r = life_settle(e, c);
	if (r == 0 && c->state.status != CONTAINER_CREATED && c->state.status != CONTAINER_EXITED)
		r = life_improper("container %s has already been created in runtime", c->id);
	if (r == 0)
		r = life_init(e, c);
	container_unlock(c);
	return r;
}

int container_set_running(struct engine *e, struct container *c, pid_t pid, bool keep_started)
{
	struct container_state *s = &c->state;
	int r;

	s->status = CONTAINER_RUNNING;
	s->pid = pid;
	s->pid_start = container_pid_start(pid);
	s->exit_code = 0;
	s->finished_ns = 0;
	if (!keep_started || !s->started_ns)
		s->started_ns = engine_now_ns();
	r = container_save(e, c);
	if (r == 0)
		orphans_unmark(e, c);
	return r;
}

int life_start(struct engine *e, struct container *c)
{
	int r = 0;

	if (c->state.status == CONTAINER_RUNNING || c->state.status == CONTAINER_STOPPING)
		return 0;
	if (c->state.status == CONTAINER_STOPPED)
		r = life_settle(e, c);
	if (r == 0 && (c->state.status == CONTAINER_CREATED || c->state.status == CONTAINER_EXITED))
		r = life_init(e, c);
	if (r < 0)
		return r;
	if (c->state.status != CONTAINER_INITIALIZED)
		return life_improper("container %s must be in Created or Stopped state to be "
				     "started: it is %s",
				     c->id, container_status_name(c->state.status));
	r = runtime_start(e, c);
	if (r < 0)
		return undo(e, c, r);
	r = container_set_running(e, c, c->state.pid, false);
	if (r == 0)
		event_container(e, c, "start");
	return r;
}

int container_start(struct engine *e, struct container *c)
{
	int r = container_lock(e, c);

	if (r < 0)
		return r;
	r = life_start(e, c);
	container_unlock(c);
	return r;
}

/* To the first process only, as `kill` does; without the lock, which somebody may hold for long. */
static void forward(void *data, int sig)
{
	autoclose int fd = -1;

	if (container_pidfd(data, &fd) < 0 || pidfd_send_signal(fd, sig, NULL, 0) < 0)
		log_debug("signal %d: %s", sig, g_strerror(errno));
}

static int follow(struct engine *e, struct container *c, struct attach *a, int *ret_exit)
{
	int r = attach_run(a, forward, c);

	*ret_exit = 0;
	if (r != 0)
		return r < 0 ? r : 0;
	/* The code is enough: taking the network down is conmon's cleanup's business. */
	r = container_wait(
		e, c, 1U << CONTAINER_STOPPED | 1U << CONTAINER_EXITED | 1U << CONTAINER_REMOVING,
		ret_exit);
	*ret_exit &= 0xff; /* conmon says -1 of who was killed by --timeout */
	return r;
}

int container_start_attached(struct engine *e, struct container *c, const struct attach_options *o,
			     int *ret_exit)
{
	CLEANUP(attach_close) struct attach *a = NULL;
	struct attach_options with = *o;
	g_autofree char *dir = NULL;
	int r = container_lock(e, c);

	if (r < 0)
		return r;
	with.tty = json_is_true(json_object_get(c->config, "terminal"));
	if (c->state.status == CONTAINER_STOPPED)
		r = life_settle(e, c);
	if (r == 0 && (c->state.status == CONTAINER_CREATED || c->state.status == CONTAINER_EXITED))
		r = life_init(e, c);
	dir = container_bundle(e, c);
	if (r == 0 && c->state.status == CONTAINER_PAUSED)
		r = life_improper("container %s is paused: unpause it first", c->id);
	if (r == 0)
		r = attach_open(dir, &with, &a);
	if (r == 0)
		r = life_start(e, c);
	container_unlock(c);
	return r < 0 ? r : follow(e, c, a, ret_exit);
}

int container_attach(struct engine *e, struct container *c, const struct attach_options *o,
		     int *ret_exit)
{
	CLEANUP(attach_close) struct attach *a = NULL;
	struct attach_options with = *o;
	g_autofree char *dir = NULL;
	int r = container_reload(e, c);

	if (r < 0)
		return r;
	if (c->state.status != CONTAINER_RUNNING && c->state.status != CONTAINER_INITIALIZED)
		return err_set(EINVAL, "you can only attach to running containers");
	with.tty = json_is_true(json_object_get(c->config, "terminal"));
	dir = container_bundle(e, c);
	r = attach_open(dir, &with, &a);
	return r < 0 ? r : follow(e, c, a, ret_exit);
}
