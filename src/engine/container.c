/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/container.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/container_store.h"
#include "engine/exit.h"
#include "engine/options.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

static const char *const status_names[] = {
	[CONTAINER_CREATED] = "created",   [CONTAINER_INITIALIZED] = "initialized",
	[CONTAINER_RUNNING] = "running",   [CONTAINER_PAUSED] = "paused",
	[CONTAINER_STOPPING] = "stopping", [CONTAINER_STOPPED] = "stopped",
	[CONTAINER_EXITED] = "exited",	   [CONTAINER_REMOVING] = "removing",
	[CONTAINER_UNKNOWN] = "unknown",
};

const char *container_status_name(enum container_status s)
{
	return s < ARRAY_SIZE(status_names) ? status_names[s] : "unknown";
}

int container_status_parse(const char *name, enum container_status *ret)
{
	if (!strcasecmp(name, "configured")) {
		*ret = CONTAINER_CREATED;
		return 0;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(status_names); i++)
		if (!strcasecmp(name, status_names[i])) {
			*ret = i;
			return 0;
		}
	return err_set(EINVAL, "unknown container state: %s: invalid argument", name);
}

struct container *container_new(void)
{
	struct container *c = g_new0(struct container, 1);

	c->refs = 1;
	c->lock = -1;
	return c;
}

struct container *container_ref(struct container *c)
{
	c->refs++;
	return c;
}

static void state_clear(struct container_state *s)
{
	g_free(s->checkpoint_path);
	g_free(s->checkpoint_log);
	g_free(s->restore_log);
	g_free(s->netns);
	json_decref(s->network);
	g_free(s->error);
}

static void options_drop(struct container *c)
{
	if (!c->options)
		return;
	container_options_clear(c->options);
	g_clear_pointer(&c->options, g_free);
}

void container_unref(struct container **cp)
{
	struct container *c = *cp;

	*cp = NULL;
	if (!c || --c->refs > 0)
		return;
	container_unlock(c);
	state_clear(&c->state);
	options_drop(c);
	g_free(c->name);
	g_free(c->image_id);
	g_free(c->image_name);
	json_decref(c->config);
	g_free(c);
}

void container_array_free(GPtrArray **a)
{
	if (!*a)
		return;
	for (unsigned i = 0; i < (*a)->len; i++) {
		struct container *c = (*a)->pdata[i];

		container_unref(&c);
	}
	g_ptr_array_free(*a, TRUE);
	*a = NULL;
}

int container_reload(struct engine *e, struct container *c)
{
	int r = container_load(e, c);

	options_drop(c);
	if (r == 0)
		r = container_refresh(e, c);
	return r < 0 ? r : 0;
}

/*
 * The file goes with the container, so what we locked may already be unlinked while a new one of
 * the same name exists: compare, and try again.
 */
static int lock_file(struct engine *e, const char *id, int *ret)
{
	g_autofree char *path = g_build_filename(e->runroot, "locks", id, NULL);

	for (;;) {
		autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		struct stat ours, there;
		int r;

		if (fd < 0)
			return err_errno("open %s", path);
		do {
			r = flock(fd, LOCK_EX);
		} while (r < 0 && errno == EINTR);
		if (r < 0 || fstat(fd, &ours) < 0)
			return err_errno("lock %s", path);
		if (stat(path, &there) == 0 && there.st_ino == ours.st_ino &&
		    there.st_dev == ours.st_dev) {
			*ret = take_fd(&fd);
			return 0;
		}
	}
}

int container_lock(struct engine *e, struct container *c)
{
	int r;

	if (c->lock >= 0)
		return err_set(EDEADLK, "container %s is locked by ourselves already", c->id);
	r = lock_file(e, c->id, &c->lock);
	if (r < 0)
		return r;
	r = container_reload(e, c);
	if (r == -ENOENT) { /* removed meanwhile: the file that we may have made goes again */
		g_autofree char *path = g_build_filename(e->runroot, "locks", c->id, NULL);

		unlink(path);
	}
	if (r < 0)
		container_unlock(c);
	return r;
}

void container_unlock(struct container *c)
{
	if (c->lock < 0)
		return;
	flock(c->lock, LOCK_UN); /* also for copies that a forked child may still hold */
	close(take_fd(&c->lock));
}

void container_forget_checkpoint(struct container_state *s)
{
	s->thawed = false;
	s->checkpointed = false;
	s->restored = false;
	s->checkpointed_ns = 0;
	s->restored_ns = 0;
	g_clear_pointer(&s->checkpoint_path, g_free);
	g_clear_pointer(&s->checkpoint_log, g_free);
	g_clear_pointer(&s->restore_log, g_free);
}

bool container_is_running(const struct container *c)
{
	return c->state.status == CONTAINER_RUNNING || c->state.status == CONTAINER_PAUSED ||
	       c->state.status == CONTAINER_STOPPING;
}

/* A zombie has ended for us: conmon has not reaped it yet. */
uint64_t container_pid_start(pid_t pid)
{
	char path[32], buf[1024], *p, state;
	unsigned long long start = 0;
	ssize_t n;
	autoclose int fd = -1;

	if (pid <= 0)
		return 0;
	g_snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, buf, sizeof(buf) - 1);
	if (n <= 0)
		return 0;
	buf[n] = '\0';
	p = strrchr(buf, ')'); /* the name before it may contain anything */
	if (!p || sscanf(p + 1,
			 " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
			 "%*d %llu",
			 &state, &start) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : start;
}

int container_pidfd(const struct container *c, int *ret)
{
	autoclose int fd = -1;

	if (c->state.pid <= 0)
		return err_set(ESRCH, "container %s has no process", c->id);
	fd = pidfd_open(c->state.pid, 0);
	if (fd < 0)
		return err_errno("container %s: process %d", c->id, c->state.pid);
	/* The pidfd holds the number, so what /proc says now is about the same process. */
	if (container_pid_start(c->state.pid) != c->state.pid_start)
		return err_set(ESRCH, "container %s: process %d is gone", c->id, c->state.pid);
	*ret = take_fd(&fd);
	return 0;
}

/* conmon writes the decimal status in one rename; the time of the file is when it ended. */
static bool read_exit_file(struct engine *e, struct container *c)
{
	g_autofree char *path = container_exit_file(e, c), *oom = NULL, *dir = NULL;
	g_autofree char *text = NULL;
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	if (file_read_at(AT_FDCWD, path, 64, &text, NULL) < 0) {
		err_clear();
		return false;
	}
	c->state.exit_code = atoi(text);
	c->state.finished_ns = st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
	dir = container_bundle(e, c);
	oom = g_build_filename(dir, "oom", NULL);
	c->state.oom_killed = access(oom, F_OK) == 0;
	return true;
}

/*
 * Somebody was killed between the runtime's start and the record of it.  runc and crun keep the
 * fifo that the created container waits on until it is started.
 */
static int was_started(struct engine *e, struct container *c)
{
	struct container_state *s = &c->state;
	g_autofree char *dir = NULL, *fifo = NULL;

	if (s->status != CONTAINER_INITIALIZED)
		return 0;
	dir = g_build_filename(e->runroot, "runtime", container_text(c, "runtime"), c->id, NULL);
	fifo = g_build_filename(dir, "exec.fifo", NULL);
	if (access(dir, F_OK) < 0 || access(fifo, F_OK) == 0)
		return 0;
	s->status = CONTAINER_RUNNING;
	if (!s->started_ns)
		s->started_ns = engine_now_ns();
	return 1;
}

#define EXIT_FILE_MS 2000

int container_refresh(struct engine *e, struct container *c)
{
	struct container_state *s = &c->state;

	if (!container_is_running(c) && s->status != CONTAINER_INITIALIZED)
		return 0;
	if (s->pid_start && container_pid_start(s->pid) == s->pid_start)
		return was_started(e, c);
	/* conmon needs a moment from the end of the process to its exit file. */
	if (exit_wait_file(e, c, EXIT_FILE_MS) < 0)
		err_clear();
	if (!read_exit_file(e, c)) {
		s->exit_code = -1;
		s->finished_ns = engine_now_ns();
	}
	s->status = CONTAINER_STOPPED;
	s->pid = 0;
	s->pid_start = 0;
	return 1;
}

int container_options(struct container *c, const struct container_options **ret)
{
	if (!c->options) {
		g_autofree struct container_options *o = g_new0(struct container_options, 1);
		int r = container_options_from_json(json_object_get(c->config, "options"), o);

		if (r < 0)
			return err_wrap(r, "container %s: stored options", c->id);
		c->options = g_steal_pointer(&o);
	}
	*ret = c->options;
	return 0;
}

/* The decoded ones are no longer true. */
static int decode_again(struct container *c)
{
	const struct container_options *unused;

	if (c->options) {
		container_options_clear(c->options);
		g_clear_pointer(&c->options, g_free);
	}
	return container_options(c, &unused);
}

int container_drop_option(struct container *c, const char *name)
{
	json_object_del(json_object_get(c->config, "options"), name);
	return decode_again(c);
}

int container_change_options(struct container *c, const json_t *changes)
{
	json_object_update(json_object_get(c->config, "options"), (json_t *)changes);
	return decode_again(c);
}

char *container_static_dir(struct engine *e, const struct container *c)
{
	return g_build_filename(e->root, "overlay-containers", c->id, "userdata", NULL);
}

char *container_run_dir(struct engine *e, const struct container *c)
{
	return g_build_filename(e->runroot, "containers", c->id, NULL);
}

char *container_bundle(struct engine *e, const struct container *c)
{
	return c->state.thawed ? g_build_filename(e->runroot, "containers", c->id, "thaw", NULL)
			       : container_static_dir(e, c);
}

const char *container_text(const struct container *c, const char *key)
{
	return json_text_of(c->config, key);
}

char *container_exit_file(struct engine *e, const struct container *c)
{
	return g_build_filename(e->runroot, "exits", c->id, NULL);
}

char *container_log_path(struct engine *e, const struct container *c)
{
	const char *path = json_string_value(json_object_get(c->config, "logPath"));

	return path ? g_strdup(path)
		    : g_build_filename(e->root, "overlay-containers", c->id, "userdata", "ctr.log",
				       NULL);
}

int container_check_name(const char *name)
{
	bool good = isalnum((unsigned char)*name);

	for (const char *p = name; good && *p; p++)
		good = isalnum((unsigned char)*p) || strchr("_.-", *p);
	if (!good)
		return err_set(EINVAL, "names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid "
				       "argument");
	return 0;
}
