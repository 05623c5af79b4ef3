/* SPDX-License-Identifier: Apache-2.0 */
/* A container's conmon.  How conmon is spoken to: monitor_command.c. */
#include "engine/monitor.h"
#include "base/file.h"
#include "base/log.h"
#include "engine/monitor_command.h"
#include "engine/options.h"
#include "engine/orphans.h"
#include "engine/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *option(const struct container_options *o, const char *name)
{
	size_t n = strlen(name);

	for (char **p = o->log_opts; p && *p; p++)
		if (!strncmp(*p, name, n) && (*p)[n] == '=')
			return *p + n + 1;
	return NULL;
}

static int add_log(struct command *m, struct engine *e, struct container *c,
		   const struct container_options *o)
{
	g_autofree char *path = container_log_path(e, c), *spec = NULL, *bytes = NULL;
	const char *driver = o->log_driver ? o->log_driver : "k8s-file";
	const char *max_size = option(o, "max-size");
	int64_t max = 0;
	int r;

	if (!strcmp(driver, "none")) {
		command_add(m, "-l", "none");
		return 0;
	}
	if (strcmp(driver, "k8s-file") != 0 && strcmp(driver, "json-file") != 0)
		return err_set(EINVAL,
			       "log driver \"%s\" is not supported: use k8s-file, json-file "
			       "or none",
			       driver);
	spec = g_strdup_printf("k8s-file:%s", path);
	command_add(m, "-l", spec);
	if (max_size) {
		r = options_parse_size(max_size, "--log-opt max-size", &max);
		if (r < 0)
			return r;
		bytes = g_strdup_printf("%" PRId64, max);
		command_add(m, "--log-size-max", bytes);
	}
	if (option(o, "tag"))
		command_add(m, "--log-tag", option(o, "tag"));
	return 0;
}

static int build_create(struct command *m, struct engine *e, struct container *c,
			const struct monitor_options *mo, const char *bundle, const char *run)
{
	g_autofree char *exits = g_build_filename(e->runroot, "exits", NULL);
	const struct container_options *o;
	const char *cleanup[] = {"container", "cleanup", NULL, NULL, NULL};
	g_autofree char *log = runtime_log(e, c);
	int r = container_options(c, &o);

	if (r < 0)
		return r;
	command_add(m, e->conmon_path, NULL);
	command_add(m, "--api-version", "1");
	command_add(m, "-c", c->id);
	command_add(m, "-u", c->id);
	command_add(m, "-n", c->name);
	command_add(m, "-b", bundle);
	command_add_path(m, "-p", run, "pidfile");
	command_add_path(m, "--conmon-pidfile", run, "conmon.pid");
	command_add(m, "--exit-dir", exits);
	command_add(m, "--full-attach", NULL);
	command_add(m, "--no-sync-log", NULL); /* an end does not wait for the disk */
	command_add(m, "--log-level", "error");
	r = add_log(m, e, c, o);
	if (r == 0)
		r = command_add_runtime(m, e, c, log);
	if (r < 0)
		return r;
	if (o->tty)
		command_add(m, "-t", NULL);
	else if (o->interactive)
		command_add(m, "-i", NULL);
	if (o->timeout) {
		g_autofree char *seconds = g_strdup_printf("%" PRId64, o->timeout);

		command_add(m, "--timeout", seconds);
	}
	cleanup[2] = o->rm ? "--rm" : c->id;
	cleanup[3] = o->rm ? c->id : NULL;
	command_add_exit(m, e, cleanup);
	return command_hand_fds(m, mo->fds, mo->nfds);
}

/* No or a negative pid: the runtime's log says more than its stderr, which conmon has sent. */
static int create_failed(struct engine *e, struct container *c, json_t *report,
			 const char *conmon_stderr)
{
	const char *runtime = container_text(c, "runtime");
	const char *message = json_string_value(json_object_get(report, "message"));
	g_autofree char *log = runtime_log_read(e, c);

	if (*log)
		return runtime_error(e, runtime, log);
	if (message)
		return runtime_error(e, runtime, message);
	return err_set(EIO, "conmon ended before the container was created%s%s",
		       conmon_stderr && *conmon_stderr ? ": " : "",
		       conmon_stderr ? conmon_stderr : "");
}

static void old_files_away(struct engine *e, struct container *c, const char *bundle,
			   const char *run)
{
	static const char *const in_run[] = {"pidfile", "conmon.pid", "oci-log"};
	static const char *const in_bundle[] = {"oom", "attach", "ctl", "winsz"};
	g_autofree char *exit_file = container_exit_file(e, c);

	unlink(exit_file);
	for (unsigned i = 0; i < ARRAY_SIZE(in_run); i++) {
		g_autofree char *path = g_build_filename(run, in_run[i], NULL);

		unlink(path);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(in_bundle); i++) {
		g_autofree char *path = g_build_filename(bundle, in_bundle[i], NULL);

		unlink(path);
	}
}

/* --pidfile, --conmon-pidfile: for service managers; the container runs with or without. */
static void write_pid(const char *path, pid_t pid)
{
	char text[16];

	if (!path)
		return;
	snprintf(text, sizeof(text), "%d", pid);
	if (file_replace_at(AT_FDCWD, path, text, strlen(text), 0644) < 0) {
		log_warn("%s", err_message());
		err_clear();
	}
}

static void write_pids(struct container *c)
{
	const struct container_options *o;

	if (container_options(c, &o) < 0)
		return; /* they have been read already */
	write_pid(o->pidfile, c->state.pid);
	write_pid(o->conmon_pidfile, c->state.conmon_pid);
}

int monitor_create(struct engine *e, struct container *c, const struct monitor_options *mo)
{
	g_autofree char *own = container_static_dir(e, c), *run = container_run_dir(e, c);
	autoclose int sync_read = -1, sync_write = -1, start_read = -1, start_write = -1;
	const char *bundle = mo->bundle ? mo->bundle : own;
	g_autofree char *conmon_stderr = NULL;
	CLEANUP(command_clear) struct command m;
	json_t *report = NULL;
	pid_t pid;
	int r;

	command_init(&m);
	r = engine_conmon(e);
	if (r == 0)
		r = build_create(&m, e, c, mo, bundle, run);
	if (r == 0)
		r = command_pipe(&sync_read, &sync_write);
	if (r == 0)
		r = command_start_pipe(&start_read, &start_write);
	if (r < 0)
		return r;
	old_files_away(e, c, bundle, run);
	m.dir = bundle;
	command_hand_pipe(&m, "_OCI_SYNCPIPE", sync_write);
	command_hand_pipe(&m, "_OCI_STARTPIPE", start_read);
	r = orphans_mark(e, c);
	if (r == 0)
		r = command_launch(&m, start_write, &conmon_stderr);
	if (r < 0)
		return r;
	close(take_fd(&sync_write));
	r = command_read_report(sync_read, &report);
	if (r < 0)
		return r;
	pid = (pid_t)json_integer_value(json_object_get(report, "data"));
	if (r == 0 || pid <= 0)
		r = create_failed(e, c, report, conmon_stderr);
	json_decref(report);
	if (r < 0)
		return r;
	c->state.pid = pid;
	c->state.pid_start = container_pid_start(pid);
	c->state.conmon_pid = command_read_pid(run, "conmon.pid");
	write_pids(c);
	return 0;
}
