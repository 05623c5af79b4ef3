/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "engine/events.h"
#include "engine/exit.h"
#include "engine/lifecycle_internal.h"
#include "engine/options.h"
#include "engine/runtime.h"
#include "engine/store.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>

#define KILL_WAIT_MS 10000
#define EXIT_WAIT_MS 5000

int life_save_if_room(struct engine *e, struct container *c)
{
	int r = container_save(e, c);

	if (r != -ENOSPC)
		return r;
	log_warn("container %s: its state cannot be noted: %s", c->name, err_message());
	err_clear();
	return 0;
}

/* conmon writes the exit code a moment after the end; refresh has read it if it was there. */
int life_settle(struct engine *e, struct container *c)
{
	struct container_state *s = &c->state;
	bool thawable = s->checkpointed;
	int r;

	if (!thawable)
		event_container(e, c, "died");
	r = life_save_if_room(e, c); /* the code is safe before conmon's file goes */
	if (r == 0)
		r = container_release(e, c, thawable ? RELEASE_KEEP_NETWORK : 0);
	if (r < 0)
		return r;
	s->status = CONTAINER_EXITED;
	s->pid = s->conmon_pid = 0;
	s->pid_start = 0;
	r = life_save_if_room(e, c);
	if (r == 0)
		event_container(e, c, "cleanup");
	return r;
}

/*
 * The first process gets it directly; its pidfd cannot hit another one.  A frozen one would not act
 * on it, so the runtime, which knows how, does that.
 */
static int send_signal(struct engine *e, struct container *c, int sig)
{
	const struct container_options *o;
	autoclose int fd = -1;
	int r = container_options(c, &o);

	if (r < 0)
		return r;
	if (c->state.status == CONTAINER_PAUSED)
		return runtime_kill(e, c, sig, false);
	/* Without its own pid namespace the end of the first process does not end the others. */
	if (sig == SIGKILL && o->pid && strcmp(o->pid, "private") != 0 && runtime_knows(e, c)) {
		r = runtime_kill(e, c, sig, true);
		if (r != -ESRCH && r < 0)
			return r;
	}
	r = container_pidfd(c, &fd);
	if (r < 0)
		return r;
	if (pidfd_send_signal(fd, sig, NULL, 0) < 0)
		return err_errno("signal container %s", c->name);
	return 0;
}

static int signal_gone_is_fine(struct engine *e, struct container *c, int sig)
{
	int r = send_signal(e, c, sig);

	if (r == -ESRCH) {
		err_clear();
		return 0;
	}
	return r;
}

static char *signal_text(int sig)
{
	const char *name = sigabbrev_np(sig);

	return name ? g_strdup_printf("SIG%s", name) : g_strdup_printf("signal %d", sig);
}

/* The lock is not held, here and below: who waits must not keep others from `rm -f`. */
static int wait_for_death(const struct container *c)
{
	int r = exit_wait_process(c, KILL_WAIT_MS);

	if (r < 0)
		return r;
	return r ? 0
		 : err_set(ETIMEDOUT,
			   "container %s: process %d did not die within %d seconds of SIGKILL: it "
			   "waits in the kernel, try again later",
			   c->name, c->state.pid, KILL_WAIT_MS / 1000);
}

static int wait_for_end(struct engine *e, struct container *c, int sig, int timeout)
{
	g_autofree char *name = signal_text(sig);
	int r = exit_wait_process(c, timeout * 1000);

	if (r != 0)
		return r < 0 ? r : 0;
	if (timeout > 0)
		log_warn("StopSignal %s failed to stop container %s in %d seconds, resorting to "
			 "SIGKILL",
			 name, c->name, timeout);
	r = signal_gone_is_fine(e, c, SIGKILL);
	return r < 0 ? r : wait_for_death(c);
}

static int end_running(struct engine *e, struct container *c, int timeout)
{
	int sig = (int)json_integer_value(json_object_get(c->config, "stopSignal"));
	bool paused = c->state.status == CONTAINER_PAUSED;
	int r;

	r = signal_gone_is_fine(e, c, timeout > 0 ? sig : SIGKILL);
	if (r == 0 && paused && runtime_resume(e, c) < 0) {
		if (timeout > 0)
			return -EIO;
		log_debug("%s: %s", c->name, err_message());
		err_clear(); /* runc thaws by itself what it kills */
	}
	if (r < 0)
		return r;
	c->state.status = CONTAINER_STOPPING;
	c->state.stopped_by_user = true;
	r = life_save_if_room(e, c);
	container_unlock(c);
	if (r == 0)
		r = wait_for_end(e, c, sig, timeout);
	if (r < 0)
		return r;
	return container_lock(e, c);
}

int life_stop(struct engine *e, struct container *c, int timeout)
{
	const struct container_options *o;
	int r = container_options(c, &o);

	if (r < 0)
		return r;
	if (timeout < 0)
		timeout = (int)o->stop_timeout;
	if (container_is_running(c)) {
		r = end_running(e, c, timeout);
		if (r < 0)
			return r;
		/* Without a lock somebody may have restarted it; that is then their wish. */
	} else if (c->state.status == CONTAINER_INITIALIZED) {
		c->state.status = CONTAINER_STOPPED;
		c->state.stopped_by_user = true;
	}
	return c->state.status == CONTAINER_STOPPED ? life_settle(e, c) : 0;
}

int container_stop(struct engine *e, struct container *c, int timeout)
{
	int r = container_lock(e, c);

	if (r < 0)
		return r;
	if (container_is_running(c))
		event_container(e, c, "stop");
	r = life_stop(e, c, timeout);
	container_unlock(c);
	if (r == -ENOENT) { /* --rm: it has gone by itself */
		err_clear();
		return 0;
	}
	return r;
}

int container_kill(struct engine *e, struct container *c, int sig)
{
	int r = container_lock(e, c);

	if (r < 0)
		return r;
	if (container_is_running(c) || c->state.status == CONTAINER_INITIALIZED)
		r = send_signal(e, c, sig);
	else
		r = life_improper("can only kill running containers. %s is in state %s", c->id,
				  container_status_name(c->state.status));
	if (r == 0)
		event_container(e, c, "kill");
	container_unlock(c);
	/* As Podman: whoever has seen it killed finds it ended, and can remove it. */
	return r == 0 && sig == SIGKILL ? wait_for_death(c) : r;
}

int container_restart(struct engine *e, struct container *c, int timeout)
{
	int r = container_lock(e, c);

	if (r < 0)
		return r;
	/* The lock is held from here to the start, so that --rm does not take it away between. */
	r = life_stop(e, c, timeout);
	if (r == 0)
		r = life_start(e, c);
	if (r == 0)
		event_container(e, c, "restart");
	container_unlock(c);
	return r;
}

int container_pause(struct engine *e, struct container *c)
{
	int r = container_lock(e, c);

	if (r < 0)
		return r;
	if (c->state.status == CONTAINER_PAUSED)
		r = life_improper("\"%s\" is already paused", c->id);
	else if (c->state.status != CONTAINER_RUNNING)
		r = life_improper("\"%s\" is not running, can't pause",
				  container_status_name(c->state.status));
	else
		r = runtime_pause(e, c);
	if (r == 0) {
		c->state.status = CONTAINER_PAUSED;
		r = container_save(e, c);
		event_container(e, c, "pause");
	}
	container_unlock(c);
	return r;
}

int container_unpause(struct engine *e, struct container *c)
{
	int r = container_lock(e, c);

	if (r < 0)
		return r;
	if (c->state.status != CONTAINER_PAUSED)
		r = life_improper("\"%s\" is not paused, can't unpause", c->id);
	else
		r = runtime_resume(e, c);
	if (r == 0) {
		c->state.status = CONTAINER_RUNNING;
		r = container_save(e, c);
		event_container(e, c, "unpause");
	}
	container_unlock(c);
	return r;
}

static bool wants_restart(struct container *c)
{
	const struct container_options *o;
	g_auto(GStrv) policy = NULL;

	if (c->state.stopped_by_user || c->state.checkpointed || container_options(c, &o) < 0 ||
	    !o->restart)
		return false;
	policy = g_strsplit(o->restart, ":", 2); /* "on-failure:3" */
	if (!strcmp(policy[0], "always") || !strcmp(policy[0], "unless-stopped"))
		return true;
	if (strcmp(policy[0], "on-failure") != 0 || c->state.exit_code == 0)
		return false;
	return !policy[1] || c->state.restarts < atoi(policy[1]);
}

static int clean_up(struct engine *e, struct container *c, bool remove)
{
	const struct remove_options o = {.force = true, .volumes = true};
	bool restart;
	int r;

	if (c->state.status == CONTAINER_STOPPED) {
		restart = wants_restart(c);
		r = life_settle(e, c);
		if (r < 0)
			return r;
		if (restart) {
			c->state.restarts++;
			return life_start(e, c);
		}
	}
	/* What a checkpoint, or a killed command, has left for us. */
	if (c->state.status == CONTAINER_EXITED && life_has_leftovers(e, c)) {
		r = container_release(e, c, c->state.checkpointed ? RELEASE_KEEP_NETWORK : 0);
		if (r == 0)
			r = container_save(e, c);
		if (r < 0)
			return r;
	}
	/* Created: a failed start, of which its own command tells; checkpointed: for the restore.
	 */
	if (remove && c->state.status == CONTAINER_EXITED && !c->state.checkpointed)
		return life_remove(e, c, &o);
	return 0;
}

int container_cleanup(struct engine *e, struct container *c, bool remove)
{
	int r = container_lock(e, c);

	if (r == -ENOENT) {
		err_clear();
		return 0;
	}
	if (r < 0)
		return r;
	r = clean_up(e, c, remove);
	container_unlock(c);
	store_shorten_log(e);
	return r;
}
