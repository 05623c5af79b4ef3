/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime.h"
#include "base/file.h"
#include "base/log.h"
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define LOG_MAX (1 << 20)

char *runtime_root(struct engine *e, const struct container *c)
{
	return g_build_filename(e->runroot, "runtime", container_text(c, "runtime"), NULL);
}

int runtime_path(struct engine *e, const struct container *c, const char **ret)
{
	const char *path = container_text(c, "runtimePath");

	if (access(path, X_OK) < 0)
		return err_set(
			ENOENT,
			"container %s: its OCI runtime %s is not installed any more: install "
			"the package %s",
			c->name, path, container_text(c, "runtime"));
	*ret = path;
	return 0;
}

bool runtime_knows(struct engine *e, const struct container *c)
{
	g_autofree char *root = runtime_root(e, c);
	g_autofree char *dir = g_build_filename(root, c->id, NULL);

	return access(dir, F_OK) == 0;
}

char *runtime_log(struct engine *e, const struct container *c)
{
	g_autofree char *dir = container_run_dir(e, c);

	return g_build_filename(dir, "oci-log", NULL);
}

void runtime_log_reset(struct engine *e, const struct container *c)
{
	g_autofree char *path = runtime_log(e, c);

	unlink(path);
}

char *runtime_log_read_in(const char *dir)
{
	g_autofree char *path = g_build_filename(dir, "oci-log", NULL);
	char *text = NULL;

	if (file_read_at(AT_FDCWD, path, LOG_MAX, &text, NULL) < 0) {
		err_clear();
		return g_strdup("");
	}
	return text;
}

char *runtime_log_read(struct engine *e, const struct container *c)
{
	g_autofree char *dir = container_run_dir(e, c);

	return runtime_log_read_in(dir);
}

/* logrus text: msg="..." with Go's quoting, of which C's unescaping knows what occurs. */
static char *logrus_message(const char *line)
{
	const char *msg = strstr(line, " msg=");
	g_autofree char *quoted = NULL;
	const char *end;

	if (!msg)
		return NULL;
	msg += strlen(" msg=");
	if (*msg != '"')
		return g_strdup(msg);
	for (end = msg + 1; *end && *end != '"'; end++)
		if (*end == '\\' && end[1])
			end++;
	quoted = g_strndup(msg + 1, (gsize)(end - msg - 1));
	return g_strcompress(quoted);
}

static char *line_message(const char *line, bool *ret_error)
{
	json_t *j = *line == '{' ? json_loads(line, 0, NULL) : NULL;
	char *message;

	if (j) {
		const char *level = json_string_value(json_object_get(j, "level"));
		const char *msg = json_string_value(json_object_get(j, "msg"));

		*ret_error = !level || !strcmp(level, "error") || !strcmp(level, "fatal");
		message = g_strdup(msg ? msg : line);
		json_decref(j);
		return message;
	}
	*ret_error = !strstr(line, " level=warning") && !strstr(line, " level=info") &&
		     !strstr(line, " level=debug");
	message = logrus_message(line);
	return message ? message : g_strdup(line);
}

/* The last line that is an error, else the last one. */
static char *pick_message(const char *output)
{
	g_auto(GStrv) lines = g_strsplit(output, "\n", -1);
	g_autofree char *last = NULL;

	for (unsigned n = g_strv_length(lines); n > 0; n--) {
		const char *line = g_strstrip(lines[n - 1]);
		g_autofree char *message = NULL;
		bool error;

		if (!*line)
			continue;
		message = line_message(line, &error);
		g_strstrip(message);
		if (error)
			return g_steal_pointer(&message);
		if (!last)
			last = g_steal_pointer(&message);
	}
	return last ? g_steal_pointer(&last) : g_strdup("failed without a message");
}

static bool has(const char *text, const char *part)
{
	size_t n = strlen(part);

	for (; *text; text++)
		if (!strncasecmp(text, part, n))
			return true;
	return false;
}

/* Podman's getOCIRuntimeError, in its order. */
static const struct {
	const char *part, *text;
	int error, exit_hint;
} kinds[] = {
	{"permission denied", "OCI permission denied", EACCES, 126},
	{"operation not permitted", "OCI permission denied", EPERM, 126},
	{"executable file", "OCI runtime attempted to invoke a command that was not found", ENOENT,
	 127},
	{"no such file or directory",
	 "OCI runtime attempted to invoke a command that was not found", ENOENT, 127},
	{"open executable", "OCI runtime attempted to invoke a command that was not found", ENOENT,
	 127},
};

int runtime_error(struct engine *e, const char *name, const char *output)
{
	g_autofree char *message = pick_message(output);

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!has(message, kinds[i].part))
			continue;
		e->exit_hint = kinds[i].exit_hint;
		return err_set(kinds[i].error, "%s: %s: %s", name, message, kinds[i].text);
	}
	e->exit_hint = 126;
	return err_set(EIO, "OCI runtime error: %s: %s", name, message);
}

/*
 * ARGS: the command and its arguments, NULL-terminated.  1: the runtime left with an error, which
 * is in the log for the caller to judge.
 */
static int run(struct engine *e, struct container *c, const char *const *args,
	       struct spawn_result *res)
{
	g_autofree char *root = runtime_root(e, c), *log = runtime_log(e, c);
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	const char *path;
	struct spawn s = {.in = SPAWN_NULL, .out = SPAWN_CAPTURE, .err = SPAWN_CAPTURE};
	int r = runtime_path(e, c, &path);

	if (r < 0)
		return r;
	r = file_mkdirs(root, 0700);
	if (r < 0)
		return r;
	runtime_log_reset(e, c);
	g_ptr_array_add(argv, (void *)path);
	for (const char *const *p = (const char *const[]){"--root", root, "--log", log,
							  "--log-format", "json", NULL};
	     *p; p++)
		g_ptr_array_add(argv, (void *)*p);
	for (; *args; args++)
		g_ptr_array_add(argv, (void *)*args);
	g_ptr_array_add(argv, NULL);
	s.argv = (const char *const *)argv->pdata;
	r = spawn_run(&s, res);
	if (r < 0)
		return r;
	return res->status == 0 ? 0 : 1;
}

static int describe(struct engine *e, struct container *c, const struct spawn_result *res)
{
	g_autofree char *log = runtime_log_read(e, c);

	return runtime_error(e, container_text(c, "runtime"), *log ? log : res->err);
}

static int simple(struct engine *e, struct container *c, const char *const *args)
{
	CLEANUP(spawn_result_clear) struct spawn_result res = {0};
	int r = run(e, c, args, &res);

	return r > 0 ? describe(e, c, &res) : r;
}

int runtime_start(struct engine *e, struct container *c)
{
	return simple(e, c, (const char *const[]){"start", c->id, NULL});
}

int runtime_pause(struct engine *e, struct container *c)
{
	return simple(e, c, (const char *const[]){"pause", c->id, NULL});
}

int runtime_resume(struct engine *e, struct container *c)
{
	return simple(e, c, (const char *const[]){"resume", c->id, NULL});
}

int runtime_update(struct engine *e, struct container *c, const char *file)
{
	return simple(e, c, (const char *const[]){"update", "--resources", file, c->id, NULL});
}

int runtime_kill(struct engine *e, struct container *c, int sig, bool all)
{
	g_autofree char *number = g_strdup_printf("%d", sig);
	CLEANUP(spawn_result_clear) struct spawn_result res = {0};
	const char *argv[] = {"kill", c->id, number, NULL, NULL};
	int r;

	if (all) {
		argv[1] = "--all";
		argv[2] = c->id;
		argv[3] = number;
	}
	r = run(e, c, argv, &res);
	if (r > 0) {
		g_autofree char *log = runtime_log_read(e, c);

		if (strstr(log, "not running") || strstr(log, "process already finished") ||
		    strstr(log, "no such process") || strstr(log, "does not exist"))
			return err_set(ESRCH, "container %s has no process any more", c->name);
		return describe(e, c, &res);
	}
	return r;
}

int runtime_delete(struct engine *e, struct container *c, bool force)
{
	CLEANUP(spawn_result_clear) struct spawn_result res = {0};
	const char *argv[] = {"delete", c->id, NULL, NULL};
	int r;

	if (!runtime_knows(e, c))
		return 0;
	if (force) {
		argv[1] = "--force";
		argv[2] = c->id;
	}
	r = run(e, c, argv, &res);
	if (r > 0 && !runtime_knows(e, c))
		return 0;
	return r > 0 ? describe(e, c, &res) : r;
}

int runtime_state(struct engine *e, struct container *c, json_t **ret)
{
	CLEANUP(spawn_result_clear) struct spawn_result res = {0};
	int r;

	*ret = NULL;
	if (!runtime_knows(e, c))
		return 0;
	r = run(e, c, (const char *const[]){"state", c->id, NULL}, &res);
	if (r != 0)
		return r > 0 ? describe(e, c, &res) : r;
	*ret = json_loads(res.out, 0, NULL);
	if (!*ret)
		return err_set(EIO, "%s state: the answer is not JSON",
			       container_text(c, "runtime"));
	return 0;
}
