/* SPDX-License-Identifier: Apache-2.0 */
/* run: create and start, in the background or with our stdio. */
#include "base/log.h"
#include "cli/cmd/common.h"
#include "cli/cmd/create_opts.h"
#include "engine/container_store.h"
#include "engine/image.h"
#include "engine/image_checkpoint.h"
#include "engine/import.h"
#include "engine/lifecycle.h"
#include "engine/monitor.h"

static bool wants(const struct create_opts *o, const char *stream)
{
	if (!o->attach)
		return true;
	for (char **a = o->attach; *a; a++)
		if (!g_ascii_strcasecmp(*a, stream))
			return true;
	return false;
}

static int start_attached(struct cli *cli, const struct create_opts *o, struct container *c,
			  int *ret_code)
{
	const struct attach_options a = {
		.in = o->o.interactive && wants(o, "stdin") ? STDIN_FILENO : -1,
		.out = wants(o, "stdout") ? STDOUT_FILENO : -1,
		.err = wants(o, "stderr") ? STDERR_FILENO : -1,
		.tty = o->o.tty,
		.sig_proxy = o->sig_proxy,
		.detach_keys = o->detach_keys,
	};

	if (o->o.tty && a.in >= 0 && !isatty(STDIN_FILENO))
		log_warn("The input device is not a TTY. The --tty and --interactive flags might "
			 "not work properly");
	return container_start_attached(cli->engine, c, &a, ret_code);
}

/*
 * --rm: the monitor's cleanup removes it when it ends; this is for what never started, and makes
 * sure that it is gone when we are.  A container that we were detached from goes on.
 */
static void remove_after(struct engine *e, struct container *c, bool force)
{
	const struct remove_options how = {.force = force, .volumes = true, .timeout = 0};
	g_autofree char *story = g_strdup(err_message());

	if (!force && (container_reload(e, c) < 0 || container_is_running(c)))
		return;
	if (container_remove(e, c, &how) < 0)
		log_debug("remove %s: %s", c->id, err_message());
	err_set(EIO, "%s", story);
}

static int start(struct cli *cli, const struct create_opts *o, struct container *c)
{
	struct engine *e = cli->engine;
	int code = 0, r;

	if (o->detach)
		r = container_start(e, c);
	else
		r = start_attached(cli, o, c, &code);
	if (r < 0) {
		if (e->exit_hint)
			cli->error_status = e->exit_hint;
		if (o->o.rm)
			remove_after(e, c, true);
		return r;
	}
	if (o->detach)
		puts(c->id);
	else if (o->o.rm)
		remove_after(e, c, false);
	return code;
}

/*
 * Only who has the image knows whether it is a checkpoint's, so it is fetched first; but not for a
 * container that will not be made, because its name is taken.  1: it is here; 0: that is for create
 * to tell.
 */
static int fetch_image(struct cli *cli, struct create_opts *o, struct image *ret)
{
	const char *name = o->o.name;
	int r = image_resolve(cli->engine, o->o.image, ret);

	if (r == 0 && (!o->o.pull || !strcmp(o->o.pull, "missing") || !strcmp(o->o.pull, "never")))
		return 1;
	err_clear();
	image_clear(ret);
	if (name && !o->o.replace && container_name_used(cli->engine, name))
		return 0;
	r = create_obtain(cli, o, cli->engine, ret);
	return r < 0 ? r : 1;
}

/*
 * An image of a checkpoint: its container goes on, in the background.  Only --name counts beside
 * it.  0: it is an ordinary image.
 */
static int restore_image(struct cli *cli, struct create_opts *o)
{
	CLEANUP(container_unref) struct container *c = NULL;
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	struct import_checkpoint how = {.fd = -1, .image = &img, .name = o->o.name};
	struct restore_report report;
	int r = fetch_image(cli, o, &img);

	if (r > 0)
		r = checkpoint_image_check(cli->engine, &img);
	if (r <= 0)
		return r;
	r = container_import(cli->engine, &how, &c, &report);
	if (r < 0) {
		cli->error_status = 126;
		return err_wrap(r, "Failed to restore checkpoint image %s", cli->args[0]);
	}
	if (o->detach)
		puts(c->id);
	return 1;
}

static int create_and_start(struct cli *cli, struct create_opts *o)
{
	CLEANUP(container_unref) struct container *c = NULL;
	struct engine *e;
	int fds[MONITOR_FDS_MAX];
	int r = create_options_resolve(cli, o);

	/* descriptors are looked at before something of ours has these numbers */
	if (r < 0 || (r = monitor_preserved(o->preserve_fds, fds)) < 0 ||
	    (r = cli_engine(cli, &e)) < 0 || (r = create_pull(cli, o, e)) < 0)
		return r;
	r = restore_image(cli, o);
	if (r != 0)
		return r < 0 ? r : 0;
	/* A missing monitor is told while there is no container yet that could be left behind. */
	if ((r = engine_conmon(e)) < 0)
		return r;
	r = container_create(e, &o->o, &c);
	if (r < 0 || (r = create_write_cidfile(&o->o, c->id)) < 0)
		return r;
	c->preserve_fds = (unsigned)o->preserve_fds;
	return start(cli, o, c);
}

static int run(struct cli *cli)
{
	struct create_opts *o = cli->opts;
	int r = args_range(cli, 1, -1);

	if (r >= 0)
		r = create_and_start(cli, o);
	container_options_clear(&o->o);
	return r;
}

const struct command cmd_run = {
	.path = "run,container run",
	.usage = "[options] IMAGE [COMMAND [ARG...]]",
	.brief = "Run a command in a new container",
	.text = "Runs a command in a new container from the given image",
	.examples = "imageID ls -alF /etc\n--network=host imageID wget example.com\n"
		    "--volume /var/hostdir:/var/ctrdir -i -t fedora /bin/bash",
	.options = run_options,
	.size = sizeof(struct create_opts),
	.init = create_opts_init,
	.stop_at_arg = true,
	.complete = COMPLETE_IMAGES,
	.run = run,
};
