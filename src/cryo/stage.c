/* SPDX-License-Identifier: Apache-2.0 */
#include "cryo/stage.h"

#include "cryo/rpc.h"

#include "base/log.h"
#include "base/spawn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool stage_any(const struct session *s)
{
	return s->o.action_scripts || s->notify >= 0;
}

static char *images_path(const struct session *s)
{
	g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", s->images);

	return g_file_read_link(link, NULL);
}

/* CRIU's names of what a script is told. */
static char **environment(const struct session *s, const char *stage, pid_t pid)
{
	g_autofree char *images = images_path(s);
	char **env = g_get_environ(), number[16];

	env = g_environ_setenv(env, "CRTOOLS_SCRIPT_ACTION", stage, TRUE);
	if (images)
		env = g_environ_setenv(env, "CRTOOLS_IMAGE_DIR", images, TRUE);
	snprintf(number, sizeof(number), "%d", pid);
	return pid > 0 ? g_environ_setenv(env, "CRTOOLS_INIT_PID", number, TRUE) : env;
}

/* As system(3) runs it: a path, or a line of the shell. */
static int run_script(const struct session *s, const char *script, const char *stage, pid_t pid)
{
	g_auto(GStrv) env = environment(s, stage, pid);
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	const struct spawn spawn = {.argv = argv,
				    .env = (const char *const *)env,
				    .in = SPAWN_NULL,
				    .out = STDOUT_FILENO,
				    .err = STDERR_FILENO};
	struct spawn_result done = {0};
	int r = spawn_run(&spawn, &done);

	if (r == 0 && done.status != 0)
		r = err_set(ECANCELED, "it left with status %d", spawn_exit_code(done.status));
	spawn_result_clear(&done);
	return r < 0 ? err_wrap(r, "--action-script %s at %s", script, stage) : 0;
}

int stage_tell(void *arg, const char *stage, pid_t pid, int fd)
{
	const struct session *s = arg;
	int r = 0;

	log_debug("stage %s", stage);
	for (unsigned i = 0; r == 0 && s->o.action_scripts && s->o.action_scripts[i]; i++)
		r = run_script(s, s->o.action_scripts[i], stage, pid);
	if (r == 0 && s->notify >= 0)
		r = rpc_notify(s->notify, stage, pid, fd);
	return r;
}
