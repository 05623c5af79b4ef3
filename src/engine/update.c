/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of a container that exists: those that were asked for, in its record and its config.json.
 */
#include "base/file.h"
#include "engine/events.h"
#include "engine/lifecycle_internal.h"
#include "engine/runtime.h"
#include "engine/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* CPU time is said in one of two ways; the later one counts. */
static int forget_other_way(struct container *c, const json_t *changes)
{
	int r = 0;

	if (json_object_get(changes, "cpus")) {
		r = container_drop_option(c, "cpu_period");
		if (r == 0)
			r = container_drop_option(c, "cpu_quota");
	} else if (json_object_get(changes, "cpu_period") ||
		   json_object_get(changes, "cpu_quota")) {
		r = container_drop_option(c, "cpus");
	}
	return r;
}

static int tell_runtime(struct engine *e, struct container *c, const json_t *limits)
{
	g_autofree char *run = container_run_dir(e, c);
	g_autofree char *path = g_build_filename(run, "limits.json", NULL);
	char *text = json_dumps(limits, JSON_COMPACT);
	int r = file_write_at(AT_FDCWD, path, text, strlen(text), 0600);

	free(text);
	if (r == 0)
		r = runtime_update(e, c, path);
	unlink(path);
	return r;
}

/* Also in config.json, which an archive tells others. */
static int change_running(struct engine *e, struct container *c, const struct container_options *o)
{
	g_autofree char *dir = container_static_dir(e, c);
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *spec = NULL, *limits = NULL;
	int r;

	if (fd < 0)
		return err_errno("open %s", dir);
	r = spec_read(fd, "config.json", &spec);
	if (r < 0)
		return r;
	spec_change_limits(spec, o, &limits);
	r = tell_runtime(e, c, limits);
	if (r == 0)
		r = spec_write(spec, fd, "config.json");
	json_decref(limits);
	json_decref(spec);
	return r;
}

static int update(struct engine *e, struct container *c, const json_t *changes)
{
	const struct container_options *o;
	int r = container_change_options(c, changes);

	if (r == 0)
		r = forget_other_way(c, changes);
	if (r == 0)
		r = container_options(c, &o);
	if (r == 0)
		r = container_options_check_numbers(o);
	if (r == 0 && (container_is_running(c) || c->state.status == CONTAINER_INITIALIZED))
		r = change_running(e, c, o);
	return r < 0 ? r : container_save_config(e, c);
}

int container_update(struct engine *e, struct container *c, const json_t *changes)
{
	int r = container_lock(e, c);

	if (r < 0)
		return r;
	r = update(e, c, changes);
	if (r == 0)
		event_container(e, c, "update");
	container_unlock(c);
	return r;
}
