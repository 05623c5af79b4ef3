/* SPDX-License-Identifier: Apache-2.0 */
/* mount and umount: a container's root file system for the host's eyes. */
#include "cli/cmd/common.h"
#include "cli/report.h"
#include "engine/lifecycle.h"

struct mount_opts {
	bool all, latest, no_trunc, force;
	const char *format;
};

#define O(field, ...) OPT(struct mount_opts, field, __VA_ARGS__)
static const struct opt mount_options[] = {
	O(all, "all", 'a', "Mount all containers"),
	O(format, "format", 0, "Print the mounted containers in specified format (json)"),
	O(latest, "latest", 'l', HELP_LATEST),
	O(no_trunc, "no-trunc", 0, "Do not truncate output", .aliases = "notruncate"),
	{}};
static const struct opt umount_options[] = {
	O(all, "all", 'a', "Unmount all of the currently mounted containers"),
	O(force, "force", 'f', "Force the complete unmount of the specified mounted containers"),
	O(latest, "latest", 'l', HELP_LATEST),
	{}};

static json_t *mount_object(const struct container *c, const char *path)
{
	return json_pack("{s:s, s:[s], s:s}", "id", c->id, "Names", c->name, "mountpoint", path);
}

static void print_row(const struct mount_opts *o, const struct container *c, const char *path)
{
	printf("%.*s  %s\n", o->no_trunc ? ENGINE_ID_LEN : 12, c->id, path);
}

/* Without names: what is mounted. */
static int list_mounted(struct cli *cli, const struct mount_opts *o)
{
	CLEANUP(container_array_free) GPtrArray *list = NULL;
	json_t *rows = json_array();
	struct engine *e;
	int r = cli_engine(cli, &e);

	if (r >= 0)
		r = container_list(e, &list);
	for (guint i = 0; r >= 0 && i < list->len; i++) {
		g_autofree char *path = container_mountpoint(e, list->pdata[i]);

		if (path && o->format)
			json_array_append_new(rows, mount_object(list->pdata[i], path));
		else if (path)
			print_row(o, list->pdata[i], path);
	}
	if (r >= 0 && o->format)
		report_json(rows, 4);
	json_decref(rows);
	return r < 0 ? r : 0;
}

static int mount_picks(struct cli *cli, const struct mount_opts *o, const GArray *picks)
{
	int status = 0;

	for (guint i = 0; i < picks->len; i++) {
		struct container *c = g_array_index(picks, struct pick, i).c;
		g_autofree char *path = NULL;

		if (container_mount(cli->engine, c, &path) < 0) {
			cli_print_error();
			status = 125;
		} else if (cli->nargs == 1 || o->latest) {
			puts(path);
		} else {
			print_row(o, c, path);
		}
	}
	return status;
}

static int run_mount(struct cli *cli)
{
	const struct mount_opts *o = cli->opts;
	const struct pick_how how = {.all = o->all, .latest = o->latest};
	g_autoptr(GArray) picks = NULL;
	int r = pick_check(cli, o->all, o->latest, true);

	if (r < 0)
		return r;
	if (o->format && strcmp(o->format, "json") != 0)
		return err_set(EINVAL, "unknown --format argument: %s", o->format);
	if (!cli->nargs && !o->all && !o->latest)
		return list_mounted(cli, o);
	r = pick_containers(cli, &how, &picks);
	return r < 0 ? r : mount_picks(cli, o, picks);
}

static int umount_one(struct cli *cli, struct engine *e, struct container *c)
{
	const struct mount_opts *o = cli->opts;

	return container_umount(e, c, o->force);
}

static bool is_mounted(const struct container *c)
{
	return c->state.mounts > 0 && !container_is_running(c);
}

static int run_umount(struct cli *cli)
{
	const struct mount_opts *o = cli->opts;
	const struct pick_how how = {.all = o->all, .latest = o->latest, .wanted = is_mounted};
	g_autoptr(GArray) picks = NULL;
	int r = pick_check(cli, o->all, o->latest, false);

	if (r < 0)
		return r;
	r = pick_containers(cli, &how, &picks);
	return r < 0 ? r : pick_each(cli, picks, umount_one);
}

const struct command cmd_mount = {
	.path = "mount,container mount",
	.usage = "[options] [CONTAINER...]",
	.brief = "Mount a working container's root filesystem",
	.text = "Mounts the containers given and prints where; without a name, lists what is "
		"mounted.",
	.examples = "web\n--all",
	.options = mount_options,
	.size = sizeof(struct mount_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run_mount,
};

const struct command cmd_umount = {
	.path = "unmount,container unmount",
	.aliases = "umount,container umount",
	.usage = "[options] CONTAINER [CONTAINER...]",
	.brief = "Unmounts working container's root filesystem",
	.text = "Undoes one mount.  The root file system goes when nobody needs it any more, or "
		"with --force.",
	.examples = "web\nweb db\n--all",
	.options = umount_options,
	.size = sizeof(struct mount_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run_umount,
};
