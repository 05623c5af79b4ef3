/* SPDX-License-Identifier: Apache-2.0 */
/* container checkpoint: freezes containers to disk. */
#include "engine/checkpoint.h"
#include "engine/archive_out.h"
#include "engine/precheckpoint.h"

#include "base/log.h"

#include "cli/cmd/checkpoint_stats.h"
#include "cli/cmd/common.h"

struct checkpoint_opts {
	struct checkpoint_options o;
	bool all, latest, ignore_rootfs, ignore_volumes, pre_checkpoint, print_stats;
	const char *export, *compress, *create_image;
};

#define O(field, ...) OPT(struct checkpoint_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(all, "all", 'a', "Checkpoint all running containers"),
	O(compress, "compress", 'c',
	  "Select compression algorithm (gzip, none, zstd) for checkpoint archive.", .def = "zstd"),
	O(create_image, "create-image", 0, "Create checkpoint image with specified name"),
	O(export, "export", 'e', "Export the checkpoint image to a tar.gz"),
	O(o.ext_unix_sk, "ext-unix-sk", 0,
	  "Allow unix sockets with peers outside: reconnected by name, or restored as closed"),
	O(o.file_locks, "file-locks", 0, "Checkpoint a container with file locks"),
	O(ignore_rootfs, "ignore-rootfs", 0,
	  "Do not include root file-system changes when exporting"),
	O(ignore_volumes, "ignore-volumes", 0, "Do not export volumes associated with container"),
	O(o.keep, "keep", 'k', "Keep all temporary checkpoint files"),
	O(latest, "latest", 'l', HELP_LATEST),
	O(o.leave_running, "leave-running", 'R',
	  "Leave the container running after writing checkpoint to disk"),
	O(pre_checkpoint, "pre-checkpoint", 'P',
	  "Dump container's memory information only, leave the container running"),
	O(print_stats, "print-stats", 0, "Display checkpoint statistics"),
	O(o.skip_in_flight, "skip-in-flight", 0,
	  "Drop TCP connections that have not been accepted yet"),
	O(o.tcp_established, "tcp-established", 0,
	  "Checkpoint a container with established TCP connections"),
	O(o.with_previous, "with-previous", 0, "Checkpoint container with pre-checkpoint images"),
	{}};

static int check_compress(const struct cli *cli, const struct checkpoint_opts *o)
{
	enum pack_compression unused;

	if (!cli_given(cli, "compress"))
		return 0;
	if (!o->export)
		return err_set(EINVAL, "--compress can only be used with --export");
	return pack_compression_parse(o->compress, &unused);
}

/* In Podman's order. */
static int check(const struct cli *cli, const struct checkpoint_opts *o)
{
	int r = pick_check(cli, o->all, o->latest, false);

	if (r < 0 || (r = check_compress(cli, o)) < 0)
		return r;
	if (geteuid() != 0)
		return err_set(EPERM, "checkpointing a container requires root");
	if (o->ignore_rootfs && !o->export)
		return err_set(EINVAL, "--ignore-rootfs can only be used with --export");
	if (o->ignore_volumes && !o->export)
		return err_set(EINVAL, "--ignore-volumes can only be used with --export");
	if (o->pre_checkpoint && o->o.with_previous)
		return err_set(EINVAL, "--with-previous can not be used with --pre-checkpoint");
	if ((o->pre_checkpoint || o->o.with_previous) && cryo_can_track() < 0) {
		log_info("%s", err_message());
		return err_set(EOPNOTSUPP, "system (architecture/kernel/CRIU) does not support "
					   "memory tracking");
	}
	return 0;
}

static bool is_running(const struct container *c)
{
	return c->state.status == CONTAINER_RUNNING;
}

static json_t *stats_of(const struct container *c, const struct checkpoint_report *report)
{
	const struct cryo_dump_stats *s = &report->cryo;
	const struct checkpoint_stat rows[] = {
		{"freezing_time", s->freezing_time},
		{"frozen_time", s->frozen_time},
		{"memdump_time", s->memdump_time},
		{"memwrite_time", s->memwrite_time},
		{"pages_scanned", s->pages_scanned},
		{"pages_written", s->pages_written},
		{},
	};

	return checkpoint_stats_entry(c->id, "runtime_checkpoint_duration", report->runtime_us,
				      rows);
}

static int one(struct cli *cli, struct container *c, json_t **ret)
{
	const struct checkpoint_opts *o = cli->opts;
	struct checkpoint_report report = {0};
	struct checkpoint_options how = o->o;
	struct archive_options export = {
		.path = o->export,
		.fd = -1,
		.ignore_rootfs = o->ignore_rootfs,
		.ignore_volumes = o->ignore_volumes,
		.e = cli->engine,
	};
	int r = 0;

	how.create_image = o->create_image;
	if (o->export)
		how.export = &export;
	if (o->compress)
		r = pack_compression_parse(o->compress, &export.compression);
	if (r == 0)
		r = o->pre_checkpoint ? container_precheckpoint(cli->engine, c, how.export, &report)
				      : container_checkpoint(cli->engine, c, &how, &report);
	if (r == 0)
		*ret = stats_of(c, &report);
	return r;
}

static int run(struct cli *cli)
{
	const struct checkpoint_opts *o = cli->opts;
	const struct pick_how how = {.all = o->all, .latest = o->latest, .wanted = is_running};
	int64_t start_us = g_get_monotonic_time();
	g_autoptr(GArray) picks = NULL;
	int r = check(cli, o);

	if (r < 0)
		return r;
	r = pick_containers(cli, &how, &picks);
	if (r < 0)
		return r;
	if (o->export && o->create_image)
		return err_set(EINVAL,
			       "--export and --create-image cannot be used together: take a "
			       "checkpoint with --leave-running for one of them");
	if (o->create_image && picks->len > 1)
		return err_set(EINVAL, "--create-image can only be used with one container");
	if (o->export && picks->len > 1)
		return err_set(EINVAL,
			       "--export can only be used with one container: %u would "
			       "overwrite each other's archive",
			       picks->len);
	return checkpoint_each(cli, picks, "checkpoint", o->print_stats, start_us, one);
}

const struct command cmd_checkpoint = {
	.path = "container checkpoint",
	.usage = "[options] CONTAINER [CONTAINER...]",
	.brief = "Checkpoint one or more containers",
	.text = "Freezes running containers to disk.  Their processes are gone then, and go on "
		"from "
		"the\nsame point with container restore, also after a reboot.\n\n--pre-checkpoint "
		"saves "
		"the memory only, while the container runs, any number of times;\n--with-previous "
		"then writes what has changed since.",
	.examples = "--keep web\n--pre-checkpoint web\n--with-previous web\n--all\n--leave-running "
		    "--latest\n--export web.tar.zst web\n"
		    "--export web.tar --compress none --ignore-volumes web",
	.options = options,
	.size = sizeof(struct checkpoint_opts),
	.complete = COMPLETE_RUNNING,
	.run = run,
};
