/* SPDX-License-Identifier: Apache-2.0 */
/* stats: what containers use, once or every few seconds. */
#include "engine/stats.h"
#include "cli/cmd/common.h"
#include "cli/fields.h"
#include "cli/human.h"
#include "cli/report.h"

#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

struct stats_opts {
	bool all, latest, no_reset, no_stream, no_trunc;
	int64_t interval;
	const char *format;
};

#define O(field, ...) OPT(struct stats_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(all, "all", 'a',
	  "Show all containers. Only running containers are shown by default. The "
	  "default is false"),
	O(format, "format", 0, "Pretty-print container statistics to JSON or using a Go template"),
	O(interval, "interval", 'i', "Time in seconds between stats reports", .def = "5"),
	O(latest, "latest", 'l', HELP_LATEST),
	O(no_reset, "no-reset", 0, "Disable resetting the screen between intervals"),
	O(no_stream, "no-stream", 0, "Disable streaming stats and only pull the first result"),
	O(no_trunc, "no-trunc", 0, "Do not truncate output"),
	{}};

static void set_defaults(void *opts)
{
	((struct stats_opts *)opts)->interval = 5;
}

static const struct go_field fields[] = {SK("ID", "id"),
					 SK("ContainerID", "full_id"),
					 SK("Name", "name"),
					 SK("CPUPerc", "cpu_percent"),
					 SK("AVGCPU", "avg_cpu"),
					 SK("MemUsage", "mem_usage"),
					 SK("MemUsageBytes", "mem_usage_bytes"),
					 SK("MemPerc", "mem_percent"),
					 SK("NetIO", "net_io"),
					 SK("BlockIO", "block_io"),
					 SK("PIDS", "pids"),
					 SK("UpTime", "cpu_time"),
					 IK("CPUNano", "cpu_nano"),
					 IK("MemLimit", "mem_limit"),
					 IK("NetInput", "net_input"),
					 IK("NetOutput", "net_output"),
					 IK("BlockInput", "block_input"),
					 IK("BlockOutput", "block_output"),
					 {}};
static const struct go_type type = {"containers.containerStats", GO_STRUCT, NULL, fields};
static const struct report_header headers[] = {{"UpTime", "CPU TIME"},
					       {"CPUPerc", "CPU %"},
					       {"AVGCPU", "AVG CPU %"},
					       {"MemUsage", "MEM USAGE / LIMIT"},
					       {"MemUsageBytes", "MEM USAGE / LIMIT"},
					       {"MemPerc", "MEM %"},
					       {"NetIO", "NET IO"},
					       {"BlockIO", "BLOCK IO"},
					       {"PIDS", "PIDS"},
					       {}};

/* go-units: BytesSize() */
static char *binary_size(double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	unsigned i = 0;

	for (; bytes >= 1024 && i + 1 < ARRAY_SIZE(units); i++)
		bytes /= 1024;
	return g_strdup_printf("%.4g%s", bytes, units[i]);
}

static char *pair_text(uint64_t a, uint64_t b, bool binary)
{
	g_autofree char *x = binary ? binary_size((double)a) : human_size4((double)a);
	g_autofree char *y = binary ? binary_size((double)b) : human_size4((double)b);

	return !a && !b ? g_strdup("-- / --") : g_strdup_printf("%s / %s", x, y);
}

/* Podman has nothing to say about 0, and NaN is no number. */
static char *percent_text(double part)
{
	return !(part > 0) ? g_strdup("--") : g_strdup_printf("%.2f%%", part * 100);
}

static void trim_zeros(char *digits)
{
	size_t n = strlen(digits);

	while (n && digits[n - 1] == '0')
		digits[--n] = 0;
	if (n && digits[n - 1] == '.')
		digits[n - 1] = 0;
}

/* As Go's time.Duration prints it: "1m2.5s", "12.34ms". */
static char *duration_text(uint64_t ns)
{
	static const struct {
		uint64_t unit;
		int digits;
		const char *name;
	} small[] = {{1000000000, 9, "s"}, {1000000, 6, "ms"}, {1000, 3, "µs"}};
	uint64_t minutes = ns / UINT64_C(60000000000);
	g_autofree char *hours =
		minutes >= 60 ? g_strdup_printf("%" PRIu64 "h", minutes / 60) : NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(small); i++) {
		g_autofree char *text = NULL;
		uint64_t n = i ? ns : ns % UINT64_C(60000000000);

		if (ns < small[i].unit)
			continue;
		text = g_strdup_printf("%" PRIu64 ".%0*" PRIu64, n / small[i].unit, small[i].digits,
				       n % small[i].unit);
		trim_zeros(text);
		if (!minutes)
			return g_strconcat(text, small[i].name, NULL);
		return g_strdup_printf("%s%" PRIu64 "m%ss", hours ?: "", minutes % 60, text);
	}
	return ns ? g_strdup_printf("%" PRIu64 "ns", ns) : g_strdup("0s");
}

static void take(json_t *row, const char *key, char *text)
{
	json_object_set_new(row, key, json_string(text));
	g_free(text);
}

static void number(json_t *row, const char *key, uint64_t n)
{
	json_object_set_new(row, key, json_integer((json_int_t)n));
}

/* BEFORE: the container's last ones, if it was seen; else what it used since it began. */
static json_t *row_of(const struct cli *cli, const struct container *c,
		      const struct container_stats *s, const struct container_stats *before)
{
	const struct stats_opts *o = cli->opts;
	/* thawed, it began to be counted again */
	double up = (double)(s->at_ns - MAX(c->state.started_ns, c->state.restored_ns));
	double part =
		before ? (double)(s->cpu_ns - before->cpu_ns) / (double)(s->at_ns - before->at_ns)
		       : (double)s->cpu_ns / up;
	json_t *row = json_object();

	json_object_set_new(row, "id", json_stringn(c->id, o->no_trunc ? strlen(c->id) : 12));
	json_object_set_new(row, "name", json_string(c->name));
	take(row, "cpu_time", duration_text(s->cpu_ns));
	take(row, "cpu_percent", percent_text(part));
	take(row, "avg_cpu", percent_text((double)s->cpu_ns / up));
	take(row, "mem_usage", pair_text(s->memory, s->memory ? s->memory_limit : 0, false));
	take(row, "mem_percent",
	     percent_text(s->memory_limit ? (double)s->memory / (double)s->memory_limit : 0));
	take(row, "net_io", pair_text(s->net_in, s->net_out, false));
	take(row, "block_io", pair_text(s->block_in, s->block_out, false));
	take(row, "pids", s->pids ? g_strdup_printf("%" PRIu64, s->pids) : g_strdup("--"));
	if (report_wants_json(o->format))
		return row;
	json_object_set_new(row, "full_id", json_string(c->id));
	take(row, "mem_usage_bytes", pair_text(s->memory, s->memory ? s->memory_limit : 0, true));
	number(row, "cpu_nano", s->cpu_ns);
	number(row, "mem_limit", s->memory_limit);
	number(row, "net_input", s->net_in);
	number(row, "net_output", s->net_out);
	number(row, "block_input", s->block_in);
	number(row, "block_output", s->block_out);
	return row;
}

static bool is_up(const struct container *c)
{
	return c->state.status == CONTAINER_RUNNING || c->state.status == CONTAINER_PAUSED;
}

/* SEEN: by ID, the statistics of the round before. */
static int round_of(struct cli *cli, GHashTable *seen, json_t **ret)
{
	const struct stats_opts *o = cli->opts;
	const struct pick_how how = {.all = !o->latest && !cli->nargs,
				     .latest = o->latest,
				     .wanted = o->all || cli->nargs ? NULL : is_up};
	g_autoptr(GArray) picks = NULL;
	int r = pick_containers(cli, &how, &picks);

	*ret = json_array();
	for (unsigned i = 0; r == 0 && i < picks->len; i++) {
		const struct container *c = g_array_index(picks, struct pick, i).c;
		struct container_stats *now = g_new0(struct container_stats, 1);

		r = container_stats(cli->engine, c, now);
		if (r == 0)
			json_array_append_new(
				*ret, row_of(cli, c, now, g_hash_table_lookup(seen, c->id)));
		g_hash_table_insert(seen, g_strdup(c->id), now);
	}
	return r;
}

static int show(const struct stats_opts *o, json_t *rows)
{
	const struct report rep = {
		.name = "stats",
		.format = o->format,
		.standard = "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t"
			    "{{.NetIO}}\t{{.BlockIO}}\t{{.PIDS}}\t{{.UpTime}}\t{{.AVGCPU}}\n",
		.row = &type,
		.headers = headers,
	};

	if (!report_wants_json(o->format))
		return report_print(&rep, rows);
	report_json(rows, 1);
	return 0;
}

static int run(struct cli *cli)
{
	const struct stats_opts *o = cli->opts;
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	int r = 0;

	if (o->all + o->latest + (cli->nargs > 0) > 1)
		return err_set(EINVAL, "--all, --latest and containers cannot be used together");
	if (o->interval < 1)
		return err_set(EINVAL, "invalid interval, must be a positive number greater zero");
	while (r == 0) {
		json_t *rows = NULL;

		r = round_of(cli, seen, &rows);
		if (r == 0 && !o->no_stream && !o->no_reset && isatty(STDOUT_FILENO))
			fputs("\x1b[H\x1b[2J\x1b[3J", stdout); /* clear(1) */
		if (r == 0)
			r = show(o, rows);
		json_decref(rows);
		if (o->no_stream || fflush(stdout) != 0)
			break;
		if (r == 0)
			sleep((unsigned)MIN(o->interval, 1 << 30));
	}
	return r;
}

const struct command cmd_stats = {
	.path = "stats,container stats",
	.usage = "[options] [CONTAINER...]",
	.brief = "Display a live stream of container resource usage statistics",
	.text = "Display percentage of CPU, memory, network I/O, block I/O and PIDs for one or "
		"more containers, now and\nevery few seconds.",
	.examples = "--all --no-stream\nweb\n--no-stream --format \"table {{.ID}} {{.Name}} "
		    "{{.MemUsage}}\" web",
	.options = options,
	.size = sizeof(struct stats_opts),
	.init = set_defaults,
	.complete = COMPLETE_RUNNING,
	.run = run,
};
