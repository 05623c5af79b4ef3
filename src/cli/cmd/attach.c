/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "cli/cmd/stdio.h"
#include "engine/lifecycle.h"

struct attach_opts {
	bool latest, no_stdin, sig_proxy;
	const char *detach_keys;
};

#define O(field, ...) OPT(struct attach_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(detach_keys, "detach-keys", 0, HELP_DETACH_KEYS, .arg = "[a-Z]",
	  .def = "\"ctrl-p,ctrl-q\""),
	O(latest, "latest", 'l', HELP_LATEST),
	O(no_stdin, "no-stdin", 0, "Do not attach STDIN. The default is false"),
	O(sig_proxy, "sig-proxy", 0, "Proxy received signals to the process", .def = "true"),
	{}};

static void set_defaults(void *opts)
{
	((struct attach_opts *)opts)->sig_proxy = true;
}

static int attach_to(struct cli *cli, struct container *c)
{
	const struct attach_opts *o = cli->opts;
	const struct container_options *co;
	struct attach_options a;
	int code = 0, r = container_options(c, &co);

	if (r < 0)
		return r;
	a = (struct attach_options){
		.in = co->interactive && !o->no_stdin ? STDIN_FILENO : -1,
		.out = STDOUT_FILENO,
		.err = STDERR_FILENO,
		.tty = co->tty,
		.sig_proxy = o->sig_proxy,
		.detach_keys = o->detach_keys,
	};
	r = container_attach(cli->engine, c, &a, &code);
	return r < 0 ? r : 0;
}

static int run(struct cli *cli)
{
	const struct attach_opts *o = cli->opts;
	CLEANUP(container_unref) struct container *c = NULL;
	int r;

	if (cli->nargs > 1 || (cli->nargs && o->latest))
		return err_set(EINVAL, "attach requires the name or id of one running container or "
				       "the latest flag");
	if (!cli->nargs && !o->latest)
		return err_set(EINVAL, "\"%s %s\" requires a name, id, or the \"--latest\" flag",
			       cli_name(cli), cli->path);
	r = pick_one(cli, o->latest, cli->args[0], &c);
	return r < 0 ? r : attach_to(cli, c);
}

const struct command cmd_attach = {
	.path = "attach,container attach",
	.usage = "[options] CONTAINER",
	.brief = "Attach to a running container",
	.text = "Joins the terminal, or standard input, output and error, to those of a running "
		"container.",
	.examples = "web\n1234\n--no-stdin web",
	.options = options,
	.size = sizeof(struct attach_opts),
	.init = set_defaults,
	.complete = COMPLETE_RUNNING,
	.run = run,
};
