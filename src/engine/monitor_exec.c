/* SPDX-License-Identifier: Apache-2.0 */
/* The conmon of one exec session; see monitor_command.c for the protocol. */
#include "engine/monitor.h"
#include "engine/monitor_command.h"
#include "engine/runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void monitor_session_clear(struct monitor_session *s)
{
	if (s->start >= 0)
		close(take_fd(&s->start));
	if (s->sync >= 0)
		close(take_fd(&s->sync));
	g_clear_pointer(&s->dir, g_free);
}

static int build(struct command *m, struct engine *e, struct container *c,
		 const struct monitor_exec *x)
{
	g_autofree char *log = g_build_filename(x->dir, "oci-log", NULL);
	int r;

	command_add(m, e->conmon_path, NULL);
	command_add(m, "--api-version", "1");
	command_add(m, "-c", c->id);
	command_add(m, "-u", x->session);
	command_add(m, "-n", c->name);
	command_add(m, "-b", x->dir);
	command_add_path(m, "-p", x->dir, "pidfile");
	command_add_path(m, "--conmon-pidfile", x->dir, "conmon.pid");
	command_add_path(m, "--exit-dir", x->dir, "exit");
	command_add(m, "--full-attach", NULL);
	command_add(m, "--no-sync-log", NULL); /* an end does not wait for the disk */
	command_add(m, "--log-level", "error");
	command_add(m, "-l", "none");
	r = command_add_runtime(m, e, c, log);
	if (r < 0)
		return r;
	if (x->tty)
		command_add(m, "-t", NULL);
	else if (x->interactive)
		command_add(m, "-i", NULL);
	command_add(m, "-e", NULL);
	if (x->attach)
		command_add(m, "--exec-attach", NULL);
	command_add(m, "--exec-process-spec", x->process);
	return command_hand_fds(m, x->fds, x->nfds);
}

int monitor_exec_begin(struct engine *e, struct container *c, const struct monitor_exec *x,
		       struct monitor_session *ret)
{
	autoclose int sync_read = -1, sync_write = -1, start_read = -1, start_write = -1;
	autoclose int attach_read = -1, attach_write = -1;
	g_autofree char *conmon_stderr = NULL;
	CLEANUP(command_clear) struct command m;
	json_t *report = NULL;
	int r;

	command_init(&m);
	r = engine_conmon(e);
	if (r == 0)
		r = build(&m, e, c, x);
	if (r == 0)
		r = command_pipe(&sync_read, &sync_write);
	if (r == 0)
		r = command_start_pipe(&start_read, &start_write);
	if (r == 0)
		r = command_pipe(&attach_read, &attach_write);
	if (r < 0)
		return r;
	m.dir = x->dir;
	command_hand_pipe(&m, "_OCI_SYNCPIPE", sync_write);
	command_hand_pipe(&m, "_OCI_STARTPIPE", start_read);
	if (x->attach)
		command_hand_pipe(&m, "_OCI_ATTACHPIPE", attach_write);
	r = command_launch(&m, start_write, &conmon_stderr);
	if (r < 0)
		return r;
	close(take_fd(&sync_write));
	close(take_fd(&attach_write));
	if (x->attach) {
		r = command_read_report(attach_read, &report);
		json_decref(report);
		if (r <= 0)
			return r < 0 ? r
				     : err_set(EIO, "conmon ended before it listened: %s",
					       conmon_stderr ? conmon_stderr : "");
	}
	*ret = (struct monitor_session){
		.start = take_fd(&start_write),
		.sync = take_fd(&sync_read),
		.conmon = command_read_pid(x->dir, "conmon.pid"),
		.dir = g_strdup(x->dir),
	};
	return 0;
}

static int exec_failed(struct engine *e, struct container *c, struct monitor_session *s,
		       json_t *report)
{
	const char *runtime = container_text(c, "runtime");
	const char *message = json_string_value(json_object_get(report, "message"));
	g_autofree char *log = runtime_log_read_in(s->dir);

	if (*log || message)
		return runtime_error(e, runtime, *log ? log : message);
	return err_set(EIO, "conmon ended before the process was started");
}

int monitor_exec_go(struct engine *e, struct container *c, struct monitor_session *s,
		    pid_t *ret_pid)
{
	json_t *report = NULL;
	int r;

	/* The second byte; without attach nobody reads it. */
	command_go(s->start);
	close(take_fd(&s->start));
	r = command_read_report(s->sync, &report);
	if (r < 0)
		return r;
	*ret_pid = (pid_t)json_integer_value(json_object_get(report, "data"));
	if (r == 0 || *ret_pid <= 0)
		r = exec_failed(e, c, s, report);
	json_decref(report);
	return r < 0 ? r : 0;
}

int monitor_exec_wait(struct monitor_session *s, int *ret_exit)
{
	json_t *report = NULL;
	int r = command_read_report(s->sync, &report);

	if (r > 0)
		*ret_exit = (int)json_integer_value(json_object_get(report, "data"));
	json_decref(report);
	if (r == 0)
		return err_set(EIO, "conmon ended without an exit code of the process");
	return r < 0 ? r : 0;
}
