/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/exec.h"

#include "cli/cmd/common.h"
#include "cli/cmd/env.h"
#include "cli/cmd/stdio.h"
#include "engine/monitor.h"

struct exec_opts {
	struct exec_options o;
	bool latest;
	const char *detach_keys;
	char **env, **env_file;
};

#define O(field, ...) OPT(struct exec_opts, o.field, __VA_ARGS__)
#define X(field, ...) OPT(struct exec_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(detach, "detach", 'd', "Run the exec session in detached mode (backgrounded)"),
	X(detach_keys, "detach-keys", 0, HELP_DETACH_KEYS, .def = "\"ctrl-p,ctrl-q\"",
	  .arg = "[a-Z]"),
	OPT_ARRAY(struct exec_opts, env, "env", 'e', "Set environment variables"),
	X(env_file, "env-file", 0, "Read in a file of environment variables"),
	O(interactive, "interactive", 'i', "Keep STDIN open even if not attached"),
	X(latest, "latest", 'l', HELP_LATEST),
	O(preserve_fds, "preserve-fds", 0, "Pass N additional file descriptors to the container"),
	O(privileged, "privileged", 0,
	  "Give the process extended Linux capabilities inside the container.  The default is "
	  "false"),
	O(tty, "tty", 't', "Allocate a pseudo-TTY. The default is false"),
	O(user, "user", 'u',
	  "Sets the username or UID used and optionally the groupname or GID for the specified "
	  "command"),
	O(workdir, "workdir", 'w', "Working directory inside the container"),
	{}};

static void set_defaults(void *opts)
{
	exec_options_init(&((struct exec_opts *)opts)->o);
}

static int run_detached(struct cli *cli, struct container *c, const struct exec_options *o)
{
	char session[ENGINE_ID_LEN + 1];
	int r = container_exec_detached(cli->engine, c, o, session);

	if (r >= 0)
		puts(session);
	return r < 0 ? r : 0;
}

static int run_attached(struct cli *cli, struct container *c, const struct exec_opts *o)
{
	const struct attach_options a = {
		.in = o->o.interactive ? STDIN_FILENO : -1,
		.out = STDOUT_FILENO,
		.err = STDERR_FILENO,
		.tty = o->o.tty,
		.detach_keys = o->detach_keys,
	};
	int code = 0;
	int r = container_exec(cli->engine, c, &o->o, &a, &code);

	return r < 0 ? r : code;
}

static int exec(struct cli *cli, struct exec_opts *o)
{
	CLEANUP(container_unref) struct container *c = NULL;
	int fds[MONITOR_FDS_MAX], r;

	if (!cli->nargs && !o->latest)
		return err_set(EINVAL,
			       "exec requires the name or ID of a container or the --latest "
			       "flag");
	for (char **a = cli->args + !o->latest; *a; a++)
		options_append(&o->o.argv, *a);
	/* looked at before something of ours has these numbers */
	r = monitor_preserved((uint64_t)o->o.preserve_fds, fds);
	if (r == 0)
		r = env_collect(o->env_file, o->env, &o->o.env);
	if (r < 0)
		return r;
	r = pick_one(cli, o->latest, cli->args[0], &c);
	if (r < 0)
		return r;
	if (!o->o.argv)
		return err_set(EINVAL, "must provide a non-empty command to start an exec session: "
				       "invalid argument");
	r = o->o.detach ? run_detached(cli, c, &o->o) : run_attached(cli, c, o);
	if (r < 0 && cli->engine->exit_hint)
		cli->error_status = cli->engine->exit_hint;
	return r;
}

static int run(struct cli *cli)
{
	struct exec_opts *o = cli->opts;
	int r = exec(cli, o);

	exec_options_clear(&o->o);
	return r;
}

const struct command cmd_exec = {
	.path = "exec,container exec",
	.usage = "[options] CONTAINER [COMMAND [ARG...]]",
	.brief = "Run a process in a running container",
	.text = "Execute the specified command inside a running container.",
	.examples = "-it web ls\n-it -w /tmp web pwd\n--user root web ls",
	.options = options,
	.size = sizeof(struct exec_opts),
	.init = set_defaults,
	.stop_at_arg = true,
	.complete = COMPLETE_RUNNING,
	.run = run,
};
