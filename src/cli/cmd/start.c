/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "cli/cmd/stdio.h"
#include "engine/cksave.h"
#include "engine/lifecycle.h"
#include "engine/restore.h"

struct start_opts {
	bool all, attach, interactive, latest, sig_proxy;
	const char *detach_keys;
	struct named_options named;
	char **filter;
};

#define O(field, ...) OPT(struct start_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(all, "all", 0, "Start all containers regardless of their state or configuration"),
	O(attach, "attach", 'a', "Attach container's STDOUT and STDERR"),
	O(named.name, "checkpoint", 0, "Restore from this checkpoint"),
	O(named.dir, "checkpoint-dir", 0, "Use a custom checkpoint storage directory"),
	O(detach_keys, "detach-keys", 0, HELP_DETACH_KEYS, .arg = "[a-Z]",
	  .def = "\"ctrl-p,ctrl-q\""),
	O(filter, "filter", 'f', "Filter output based on conditions given"),
	O(interactive, "interactive", 'i', "Keep STDIN open even if not attached"),
	O(latest, "latest", 'l', HELP_LATEST),
	O(sig_proxy, "sig-proxy", 0, "Proxy received signals to the process",
	  .def = "true if attaching, false otherwise"),
	{}};

static bool startable(const struct container *c)
{
	return !container_is_running(c);
}

static int start_from(const struct start_opts *o, struct engine *e, struct container *c)
{
	const struct restore_options how = {.named = &o->named, .tcp_established = true};
	struct restore_report report;

	return container_restore(e, c, &how, &report);
}

static int start_one(struct cli *cli, struct engine *e, struct container *c)
{
	const struct start_opts *o = cli->opts;
	int r = o->named.name ? start_from(o, e, c) : container_start(e, c);

	return r < 0 ? err_wrap(r, "unable to start container \"%s\"", c->id) : r;
}

static int start_attached(struct cli *cli, const struct start_opts *o, const struct pick *p)
{
	const struct container_options *co;
	struct attach_options a;
	int code = 0, r = container_options(p->c, &co);

	if (r < 0)
		return r;
	a = (struct attach_options){
		.in = o->interactive || co->interactive ? STDIN_FILENO : -1,
		.out = STDOUT_FILENO,
		.err = STDERR_FILENO,
		.tty = co->tty,
		.sig_proxy = cli_given(cli, "sig-proxy") ? o->sig_proxy : true,
		.detach_keys = o->detach_keys,
	};
	fflush(stdout);
	r = container_start_attached(cli->engine, p->c, &a, &code);
	if (r < 0) {
		if (cli->engine->exit_hint)
			cli->error_status = cli->engine->exit_hint;
		return err_wrap(r, "unable to start container %s", p->c->id);
	}
	return code;
}

static int check(const struct cli *cli, const struct start_opts *o)
{
	if (!cli->nargs && !o->latest && !o->all && !o->filter)
		return err_set(EINVAL, "start requires at least one argument");
	if (o->all && o->latest)
		return err_set(EINVAL, "--all and --latest cannot be used together");
	if (cli->nargs && o->latest)
		return err_set(EINVAL, "--latest and containers cannot be used together");
	if (cli->nargs > 1 && o->attach)
		return err_set(EINVAL, "you cannot start and attach multiple containers at once");
	if ((cli->nargs || o->latest) && o->all)
		return err_set(EINVAL,
			       "either start all containers or the container(s) provided in the "
			       "arguments");
	if (o->named.dir && !o->named.name)
		return err_set(EINVAL, "--checkpoint-dir can only be used with --checkpoint");
	if (o->named.name && (o->all || o->filter || cli->nargs > 1))
		return err_set(EINVAL, "you cannot restore multiple containers at once");
	if (o->named.name && (o->attach || o->interactive))
		return err_set(EINVAL,
			       "a restored container cannot be attached to while it starts: "
			       "attach to it afterwards");
	if (o->attach && o->all)
		return err_set(EINVAL, "you cannot start and attach all containers at once");
	return 0;
}

static int run(struct cli *cli)
{
	const struct start_opts *o = cli->opts;
	const struct pick_how how = {
		.all = o->all, .latest = o->latest, .filters = o->filter, .wanted = startable};
	g_autoptr(GArray) picks = NULL;
	int r = check(cli, o);

	if (r < 0)
		return r;
	r = pick_containers(cli, &how, &picks);
	if (r < 0)
		return r;
	if (o->attach || o->interactive) {
		if (picks->len != 1)
			return err_set(EINVAL,
				       "you cannot start and attach multiple containers at once");
		return start_attached(cli, o, &g_array_index(picks, struct pick, 0));
	}
	return pick_each(cli, picks, start_one);
}

const struct command cmd_start = {
	.path = "start,container start",
	.usage = "[options] CONTAINER [CONTAINER...]",
	.brief = "Start one or more containers",
	.text = "Starts one or more containers.  The container name or ID can be used.",
	.examples = "--latest\n860a4b231279 5421ab43b45\n--interactive --attach web",
	.options = options,
	.size = sizeof(struct start_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run,
};
