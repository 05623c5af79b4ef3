/* SPDX-License-Identifier: Apache-2.0 */
/* container migrate, and the other side of it. */
#include "engine/migrate.h"

#include "cli/cmd/common.h"
#include "cli/human.h"
#include "cli/report.h"

#include <stdlib.h>
#include <unistd.h>

struct migrate_opts {
	struct migrate_options o;
	bool latest, quiet;
	const char *pre_copy, *format;
	uint64_t downtime_ms;
};

#define O(field, ...) OPT(struct migrate_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(downtime_ms, "downtime", 0, "What to aim at, in milliseconds, with --pre-copy auto",
	  .def = "200"),
	O(format, "format", 0, "Print the final report as json"),
	O(o.keep, "keep", 'k', "Leave the container here, checkpointed"),
	O(latest, "latest", 'l', HELP_LATEST),
	O(o.name, "name", 'n', "Name of the container at the other host"),
	O(pre_copy, "pre-copy", 0,
	  "How many rounds of memory are sent while it runs, or auto: until the rest fits the "
	  "downtime",
	  .def = "auto"),
	O(quiet, "quiet", 'q', "Print neither progress nor report"),
	O(o.command, "remote-command", 0, "The program at the other host, with its options",
	  .def = CLI_NAME),
	O(o.ssh, "ssh", 0, "The command that reaches the other host, with its options",
	  .def = "ssh"),
	O(o.tcp_established, "tcp-established", 0, "Take established TCP connections along"),
	{}};

static void set_defaults(void *opts)
{
	((struct migrate_opts *)opts)->downtime_ms = 200;
}

static int parse_rounds(const char *text, int *ret)
{
	char *end;
	long n;

	*ret = -1;
	if (!text || !strcmp(text, "auto"))
		return 0;
	n = strtol(text, &end, 10);
	if (!*text || *end || n < 0 || n > 64)
		return err_set(EINVAL, "--pre-copy %s: use auto or a number from 0 to 64", text);
	*ret = (int)n;
	return 0;
}

static void show_round(void *arg, const struct migrate_round *r)
{
	g_autofree char *bytes = human_size((double)r->bytes);
	g_autofree char *rate = human_size((double)r->dirty_rate);

	(void)arg;
	fprintf(stderr, "round %u: %s in %.2fs", r->number, bytes, (double)r->took_us / 1e6);
	if (r->dirty_rate)
		fprintf(stderr, ", dirtied at %s/s", rate);
	fprintf(stderr, ", expected downtime %.0fms\n", (double)r->expected_us / 1000);
}

static json_t *rounds_of(const struct migrate_report *r)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < r->rounds; i++) {
		const struct migrate_round *x = &r->round[i];

		json_array_append_new(
			all, json_pack("{sI sI sI sI sI}", "bytes", (json_int_t)x->bytes,
				       "microseconds", (json_int_t)x->took_us,
				       "dirtyBytesPerSecond", (json_int_t)x->dirty_rate,
				       "readWhileDownBytes", (json_int_t)x->aside,
				       "expectedDowntimeMicroseconds", (json_int_t)x->expected_us));
	}
	return all;
}

/* The downtime's parts: see engine/migrate.h. */
static void print_json(const char *host, const struct container *c, const struct migrate_report *r)
{
	json_t *j = json_pack(
		"{ss ss ss si so sI sI sI sI sI sI sI sI sI sI}", "container", c->name, "host",
		host, "id", r->id, "rounds", (int)r->rounds, "round", rounds_of(r), "imageBytes",
		(json_int_t)r->image_bytes, "filesBytes", (json_int_t)r->files_bytes, "memoryBytes",
		(json_int_t)r->memory_bytes, "lastBytes", (json_int_t)r->last_bytes,
		"expectedDowntimeMicroseconds", (json_int_t)r->expected_us, "downtimeMicroseconds",
		(json_int_t)r->downtime_us, "dumpMicroseconds", (json_int_t)r->dump_us,
		"thawMicroseconds", (json_int_t)r->thaw_us, "agreementMicroseconds",
		(json_int_t)r->agree_us, "totalMicroseconds", (json_int_t)r->total_us);

	report_json(j, 5);
	json_decref(j);
}

static void print_report(const struct migrate_opts *o, const char *host, const struct container *c,
			 const struct migrate_report *r)
{
	g_autofree char *memory = human_size((double)r->memory_bytes);
	g_autofree char *files = human_size((double)r->files_bytes);
	g_autofree char *last = human_size((double)r->last_bytes);

	if (o->format) {
		print_json(host, c, r);
		return;
	}
	puts(r->id);
	if (isatty(STDERR_FILENO))
		fprintf(stderr,
			"%s runs on %s: down for %.0fms of %.2fs (%.0f dumped and sent, %.0f "
			"thawed, "
			"%.0f agreed), %u rounds, %s of memory, %s of files, %s while frozen\n",
			c->name, host, (double)r->downtime_us / 1000, (double)r->total_us / 1e6,
			(double)r->dump_us / 1000, (double)r->thaw_us / 1000,
			(double)r->agree_us / 1000, r->rounds, memory, files, last);
}

static int run(struct cli *cli)
{
	const struct migrate_opts *o = cli->opts;
	CLEANUP(container_unref) struct container *c = NULL;
	struct migrate_options how = o->o;
	struct migrate_report report;
	int r = o->latest ? args_range(cli, 1, 1) : args_range(cli, 2, 2);

	if (r == 0)
		r = parse_rounds(o->pre_copy, &how.rounds);
	if (r < 0)
		return r;
	if (o->format && !report_wants_json(o->format))
		return err_set(EINVAL, "only supported value for '--format' is 'json'");
	how.host = cli->args[cli->nargs - 1];
	how.downtime_us = (int64_t)o->downtime_ms * 1000;
	if (!o->quiet && isatty(STDERR_FILENO))
		how.progress = show_round;
	r = pick_one(cli, o->latest, cli->args[0], &c);
	if (r == 0)
		r = container_migrate(cli->engine, c, &how, &report);
	if (r == 0 && !o->quiet)
		print_report(o, how.host, c, &report);
	return r;
}

static const struct opt no_options[] = {{}};

/* Errors go to the other side, which prints them. */
static int run_receive(struct cli *cli)
{
	g_autofree char *name = NULL;
	struct engine *e;
	int r = args_range(cli, 0, 0);

	if (r == 0 && geteuid() != 0)
		r = err_set(EPERM, "only root can take a container: log in as root, or use "
				   "--remote-command \"sudo " CLI_NAME "\"");
	if (r == 0)
		r = cli_engine(cli, &e);
	if (r < 0) {
		container_migrate_decline(STDOUT_FILENO, r);
		err_clear();
		return 125;
	}
	if (container_migrate_receive(e, STDIN_FILENO, STDOUT_FILENO, &name) < 0) {
		err_clear();
		return 125;
	}
	return 0;
}

const struct command cmd_migrate = {
	.path = "container migrate",
	.usage = "[options] CONTAINER [USER@]HOST",
	.brief = "Move a running container to another host",
	.text = "Moves a running container over ssh to a host that has " CLI_NAME
		". Its image (if it is\nmissing there), files, volumes and memory are sent while "
		"it "
		"runs, in rounds, until what is left\nfits the downtime that is aimed at; then it "
		"is "
		"frozen, the rest is sent, and it goes on there.\nWhatever fails until it may run "
		"there leaves it running here and nothing there. If the connection\nbreaks in that "
		"very moment, it stays paused here: unpause lets it go on if it does not run "
		"there.\n"
		"The downtime that is reported is measured here, from the freeze to the other "
		"side's "
		"word that it\nruns.",
	.examples = "web backup.example.com\n--pre-copy 0 --keep web root@10.0.0.7\n"
		    "--remote-command \"" CLI_NAME " --root /srv/pods\" web host",
	.options = options,
	.size = sizeof(struct migrate_opts),
	.init = set_defaults,
	.complete = COMPLETE_RUNNING,
	.run = run,
};

const struct command cmd_migrate_receive = {
	.path = "container migrate-receive",
	.usage = "",
	.brief = "Take a container that another host sends",
	.text = "The other side of container migrate, on standard input and output.",
	.options = no_options,
	.hidden = true,
	.run = run_receive,
};
