/* SPDX-License-Identifier: Apache-2.0 */
/* container restore: thaws containers that container checkpoint has frozen. */
#include "engine/restore.h"

#include "cli/cmd/checkpoint_stats.h"
#include "cli/cmd/common.h"
#include "engine/archive_in.h"
#include "engine/cksave.h"
#include "engine/image.h"
#include "engine/image_checkpoint.h"
#include "engine/import.h"

#include <fcntl.h>

struct restore_opts {
	struct restore_options o;
	bool all, latest, ignore_rootfs, ignore_volumes, print_stats, trust;
	const char *import, *import_previous, *name, *pod;
	struct named_options named; /* name NULL: the container's own checkpoint */
	char **publish;
};

#define O(field, ...) OPT(struct restore_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(all, "all", 'a', "Restore all checkpointed containers"),
	O(named.name, "checkpoint", 0, "Restore this named checkpoint of the container"),
	O(named.dir, "checkpoint-dir", 0, "Use a custom checkpoint storage directory"),
	O(o.file_locks, "file-locks", 0, "Restore a container with file locks"),
	O(ignore_rootfs, "ignore-rootfs", 0,
	  "Do not apply root file-system changes when importing from exported checkpoint"),
	O(o.ignore_static_ip, "ignore-static-ip", 0, "Ignore IP address set via --static-ip"),
	O(o.ignore_static_mac, "ignore-static-mac", 0, "Ignore MAC address set via --mac-address"),
	O(ignore_volumes, "ignore-volumes", 0, "Do not restore volumes associated with container"),
	O(import, "import", 'i', "Restore from exported checkpoint archive (tar.gz)"),
	O(import_previous, "import-previous", 0,
	  "Restore from exported pre-checkpoint archive (tar.gz)"),
	O(o.keep, "keep", 'k', "Keep all temporary checkpoint files"),
	O(latest, "latest", 'l', HELP_LATEST),
	O(name, "name", 'n',
	  "Specify new name for container restored from exported checkpoint (only works with image "
	  "or --import)"),
	O(pod, "pod", 0, "Restore container into existing Pod (only works with image or --import)"),
	O(print_stats, "print-stats", 0, "Display restore statistics"),
	O(publish, "publish", 'p', "Publish a container's port, or a range of ports, to the host"),
	O(o.tcp_close, "tcp-close", 0, "Close all TCP connections on restore"),
	O(o.tcp_established, "tcp-established", 0,
	  "Restore a container with established TCP connections"),
	O(trust, "trust", 0,
	  "Also take from an archive what reaches out of the container: bind mounts, devices, "
	  "capabilities, namespaces of the host"),
	{}};

/* Of the archive or image that is imported: the runtime's name; Podman looks at that first. */
static int check_archive(const struct cli *cli, const char *path)
{
	json_t *config = NULL;
	const char *runtime;
	int r;

	if (!path)
		return 0;
	r = archive_read_config(path, &config);
	if (r < 0)
		return err_wrap(r, "failed extracting runtime information from %s", path);
	runtime = json_string_value(json_object_get(config, "runtime"));
	if (cli->global.runtime && runtime) {
		g_autofree char *wanted = g_path_get_basename(cli->global.runtime);

		if (strcmp(wanted, runtime))
			r = err_set(EINVAL,
				    "checkpoint archive %s was created with runtime '%s' and "
				    "cannot be restored with runtime '%s'",
				    path, runtime, wanted);
	}
	json_decref(config);
	return r;
}

/* Options that need an archive or an image, in Podman's order. */
static int check_needs_import(const struct cli *cli)
{
	static const char *const names[] = {
		"import-previous", "ignore-rootfs", "ignore-volumes", "name", "pod", "trust"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (cli_given(cli, names[i]))
			return err_set(EINVAL, "--%s can only be used with image or --import",
				       names[i]);
	return 0;
}

static int check_arguments(const struct cli *cli, const struct restore_opts *o)
{
	if (o->import && (o->all || o->latest))
		return err_set(EINVAL, "cannot use --import with --all or --latest");
	if (o->import && cli->nargs)
		return err_set(EINVAL, "cannot use --import with positional arguments");
	if (o->latest && cli->nargs)
		return err_set(EINVAL, "--all or --latest and containers cannot be used together");
	if (!cli->nargs && !o->all && !o->latest && !o->import)
		return err_set(EINVAL, "you must provide at least one name or id");
	if (o->named.dir && !o->named.name)
		return err_set(EINVAL, "--checkpoint-dir can only be used with --checkpoint");
	if (o->named.name && (o->all || o->import || cli->nargs > 1))
		return err_set(EINVAL, "--checkpoint can only be used with one container");
	if (o->name && cli->nargs > 1)
		return err_set(EINVAL, "--name can only be used with one checkpoint image");
	return 0;
}

/*
 * Names that are no container may be images of checkpoints.  A name that is a container makes the
 * others count as containers, too, as far as options are concerned.  1: there are images.
 */
static int check_images(struct cli *cli, struct engine *e)
{
	bool any = false;

	for (size_t i = 0; i < cli->nargs; i++) {
		CLEANUP(container_unref) struct container *c = NULL;

		if (container_find(e, pick_name(cli->args[i]), &c) >= 0)
			return 0;
	}
	for (size_t i = 0; i < cli->nargs; i++) {
		CLEANUP(image_clear) struct image img = IMAGE_NONE;
		int r;

		if (image_resolve(e, cli->args[i], &img) < 0)
			continue;
		r = checkpoint_image_check(e, &img);
		if (r < 0)
			return r;
		if (r == 0)
			return err_set(EINVAL, "image is not a checkpoint: %s", img.id);
		any = true;
	}
	err_clear();
	return any;
}

static int check(struct cli *cli, const struct restore_opts *o)
{
	struct engine *e;
	bool images;
	int r;

	if (o->all && o->latest)
		return err_set(EINVAL, "--all and --latest cannot be used together");
	if (o->all && cli->nargs)
		return err_set(EINVAL, "no arguments are needed with --all");
	r = check_archive(cli, o->import);
	if (r < 0)
		return r;
	if (geteuid() != 0)
		return err_set(EPERM, "restoring a container requires root");
	if ((r = cli_engine(cli, &e)) < 0 || (r = check_images(cli, e)) < 0)
		return r;
	images = r > 0;
	if (!o->import && !images && (r = check_needs_import(cli)) < 0)
		return r;
	if (o->name && o->o.tcp_established)
		return err_set(EINVAL, "--tcp-established cannot be used with --name");
	if (o->publish && !o->import && !images)
		return err_set(EINVAL, "--publish can only be used with image or --import");
	return check_arguments(cli, o);
}

/* What is to be restored: a container, or a new one from an image. */
struct target {
	struct container *c;
	struct image *img;
	const char *shown;
};

static void target_clear(void *data)
{
	struct target *t = data;

	container_unref(&t->c);
	if (t->img)
		image_clear(t->img);
	g_free(t->img);
}

static int find_one(struct cli *cli, const char *typed, GArray *to)
{
	struct target t = {.shown = typed};
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	int r = container_find(cli->engine, pick_name(typed), &t.c);

	if (r == -ENOENT) {
		r = image_resolve(cli->engine, typed, &img);
		if (r == -ENOENT || r == -EINVAL)
			return err_set(ENOENT, "no such container or image: %s", typed);
		if (r == 0) {
			t.img = g_memdup2(&img, sizeof(img));
			img = IMAGE_NONE;
		}
	}
	if (r >= 0)
		g_array_append_val(to, t);
	return r;
}

static bool is_exited(const struct container *c)
{
	return c->state.status == CONTAINER_EXITED;
}

/*
 * All of them before anything is done.  --all means those that can be restored; Podman takes all
 * that have exited and complains.
 */
static int find_all(struct cli *cli, const struct restore_opts *o, GArray *to)
{
	const struct pick_how how = {.all = o->all, .latest = o->latest, .wanted = is_exited};
	g_autoptr(GArray) picks = NULL;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < cli->nargs; i++)
		r = find_one(cli, cli->args[i], to);
	if (r < 0 || cli->nargs)
		return r;
	r = pick_containers(cli, &how, &picks);
	for (guint i = 0; r >= 0 && i < picks->len; i++) {
		struct container *c = g_array_index(picks, struct pick, i).c;
		struct target t = {.c = c, .shown = c->id};

		if (o->all && !container_has_checkpoint(cli->engine, c))
			continue;
		container_ref(c);
		g_array_append_val(to, t);
	}
	return r;
}

static json_t *stats_of(const struct container *c, const struct restore_report *report)
{
	const struct cryo_restore_stats *s = &report->cryo;
	const struct checkpoint_stat rows[] = {
		{"pages_compared", s->pages_compared}, {"pages_skipped_cow", s->pages_skipped_cow},
		{"forking_time", s->forking_time},     {"restore_time", s->restore_time},
		{"pages_restored", s->pages_restored}, {},
	};

	return checkpoint_stats_entry(c->id, "runtime_restore_duration", report->runtime_us, rows);
}

/* From an archive, or from IMG. */
static int import(struct cli *cli, const struct image *img, struct container **ret,
		  struct restore_report *report)
{
	const struct restore_opts *o = cli->opts;
	const struct import_checkpoint how = {
		.path = img ? NULL : o->import,
		.fd = -1,
		.image = img,
		.previous = o->import_previous,
		.name = o->name,
		.publish = o->publish,
		.pod = o->pod,
		.ignore_rootfs = o->ignore_rootfs,
		.ignore_volumes = o->ignore_volumes,
		.trust = o->trust,
		.restore = o->o,
	};

	return container_import(cli->engine, &how, ret, report);
}

/* *RET: its statistics; what is printed of it is printed. */
static int restore_one(struct cli *cli, struct target *t, json_t **ret)
{
	const struct restore_opts *o = cli->opts;
	struct restore_options how = o->o;
	struct restore_report report = {0};
	int r;

	if (o->named.name)
		how.named = &o->named;
	if (t->c)
		r = container_restore(cli->engine, t->c, &how, &report);
	else
		r = import(cli, t->img, &t->c, &report);
	if (r < 0 && t->img)
		r = err_wrap(r, "unable to import checkpoint from image: \"%s\"", t->shown);
	if (r < 0)
		return r;
	*ret = stats_of(t->c, &report);
	if (!o->print_stats)
		puts(t->img || !t->shown ? t->c->id : t->shown);
	fflush(stdout);
	return 0;
}

static int run(struct cli *cli)
{
	const struct restore_opts *o = cli->opts;
	g_autoptr(GArray) targets = g_array_new(FALSE, FALSE, sizeof(struct target));
	int64_t start_us = g_get_monotonic_time();
	const struct target archive = {0};
	json_t *all;
	int status = 0, r = check(cli, o);

	g_array_set_clear_func(targets, target_clear);
	if (r >= 0 && o->import)
		g_array_append_val(targets, archive);
	else if (r >= 0)
		r = find_all(cli, o, targets);
	if (r < 0)
		return r;
	all = json_array();
	for (guint i = 0; i < targets->len; i++) {
		json_t *stats = NULL;

		if (restore_one(cli, &g_array_index(targets, struct target, i), &stats) < 0) {
			cli_print_error();
			status = 125;
			continue;
		}
		json_array_append_new(all, stats);
	}
	if (o->print_stats)
		checkpoint_stats_print("restore", start_us, all);
	json_decref(all);
	return status;
}

const struct command cmd_restore = {
	.path = "container restore",
	.usage = "[options] CONTAINER|IMAGE [CONTAINER|IMAGE...]",
	.brief = "Restore one or more containers from a checkpoint",
	.text = "Thaws containers that were frozen with container checkpoint: their processes go "
		"on "
		"from\nwhere they were.  The checkpoint is used up unless --keep is given.",
	.examples = "web\n--latest\n--keep web\n--all\n--import web.tar.zst\n"
		    "--import web.tar.zst --name copy --publish 8081:80",
	.options = options,
	.size = sizeof(struct restore_opts),
	.complete = COMPLETE_OBJECTS,
	.run = run,
};
