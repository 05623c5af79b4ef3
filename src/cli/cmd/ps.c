/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "cli/cmd/filter.h"
#include "cli/cmd/ps_row.h"
#include "cli/report.h"

#include <time.h>

struct ps_opts {
	bool all, external, latest, no_trunc, noheading, ns, pod, quiet, size, sync;
	char **filter;
	const char *format, *sort;
	int64_t last;
	uint64_t watch;
};

#define O(field, ...) OPT(struct ps_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(all, "all", 'a', "Show all the containers, default is only running containers"),
	O(external, "external", 0, "Accepted for compatibility", .aliases = "storage",
	  .hidden = true),
	O(filter, "filter", 'f', "Filter output based on conditions given"),
	O(format, "format", 0, "Pretty-print containers to JSON or using a Go template"),
	O(last, "last", 'n', "Print the n last created containers (all states)", .def = "-1"),
	O(latest, "latest", 'l', HELP_LATEST),
	O(no_trunc, "no-trunc", 0, "Display the extended information", .aliases = "notruncate"),
	O(noheading, "noheading", 0, "Do not print headers"),
	O(ns, "ns", 0, "Display namespace information", .aliases = "namespace"),
	O(pod, "pod", 'p', "Print the ID and name of the pod the containers are associated with"),
	O(quiet, "quiet", 'q', "Print the numeric IDs of the containers only"),
	O(size, "size", 's', "Display the total file sizes"),
	O(sort, "sort", 0,
	  "Sort output by: command, created, id, image, names, runningfor, size, status",
	  .arg = "choice",
	  .choices = "command, created, id, image, names, runningfor, size, status"),
	O(sync, "sync", 0, "Sync container state with OCI runtime"),
	O(watch, "watch", 'w', "Watch the ps output on an interval in seconds"),
	{}};

static const struct report_header headers[] = {{"ID", "CONTAINER ID"}, {"CreatedHuman", "CREATED"},
					       {"Pod", "POD ID"},      {"PodName", "PODNAME"},
					       {"Cgroup", "CGROUPNS"}, {"IPC", "IPC"},
					       {"MNT", "MNT"},	       {"NET", "NET"},
					       {"PIDNS", "PIDNS"},     {"User", "USERNS"},
					       {"USERNS", "USERNS"},   {"UTS", "UTS"},
					       {"CIDFile", "CIDFILE"}, {}};

static void set_defaults(void *opts)
{
	((struct ps_opts *)opts)->last = -1;
}

static int check(const struct cli *cli, const struct ps_opts *o)
{
	if (cli->nargs)
		return err_set(EINVAL, "`%s %s` takes no arguments", cli_name(cli), cli->path);
	if (o->last >= 0 && o->latest)
		return err_set(EINVAL, "last and latest are mutually exclusive");
	if (o->quiet && o->ns)
		return err_set(EINVAL, "quiet and namespace are mutually exclusive");
	if (o->size && o->ns)
		return err_set(EINVAL, "size and namespace options conflict");
	if (cli_given(cli, "watch") && o->latest)
		return err_set(EINVAL, "the watch and latest flags cannot be used together");
	return 0;
}

static bool filters_on_status(const struct ps_opts *o)
{
	for (char **f = o->filter; f && *f; f++)
		if (g_str_has_prefix(*f, "status="))
			return true;
	return false;
}

struct sort_by {
	const char *name;
	struct engine *e;
};

static int compare(const void *pa, const void *pb, void *data)
{
	const struct container *a = *(struct container *const *)pa;
	const struct container *b = *(struct container *const *)pb;
	const struct sort_by *by = data;

	if (!strcmp(by->name, "names"))
		return strcmp(a->name, b->name);
	if (!strcmp(by->name, "id"))
		return strcmp(a->id, b->id);
	if (!strcmp(by->name, "image"))
		return g_strcmp0(a->image_name, b->image_name);
	if (!strcmp(by->name, "status"))
		return strcmp(container_status_name(a->state.status),
			      container_status_name(b->state.status));
	if (!strcmp(by->name, "command")) {
		g_autofree char *x = ps_command(a), *y = ps_command(b);

		return strcmp(x, y);
	}
	if (!strcmp(by->name, "size")) {
		uint64_t x, y, unused;

		ps_sizes(by->e, a, &x, &unused);
		ps_sizes(by->e, b, &y, &unused);
		return (x > y) - (x < y);
	}
	return (a->created_ns > b->created_ns) - (a->created_ns < b->created_ns);
}

/* LIST is oldest first; *RET has those to be shown, borrowed. */
static int choose(const struct ps_opts *o, struct engine *e, const GPtrArray *list, GPtrArray *ret)
{
	CLEANUP(filters_clear) struct filters f = {0};
	bool all = o->all || o->last >= 0 || o->latest || filters_on_status(o);
	int64_t want = o->latest ? 1 : o->last;
	int r = filters_parse(e, o->filter, &f);

	if (r < 0)
		return r;
	for (guint i = list->len; i > 0 && (want < 0 || (int64_t)ret->len < want); i--) {
		struct container *c = list->pdata[i - 1];

		if ((all || c->state.status == CONTAINER_RUNNING) && filters_match(&f, c))
			g_ptr_array_insert(ret, 0, c);
	}
	if (o->sort) {
		struct sort_by by = {o->sort, e};

		g_ptr_array_sort_with_data(ret, compare, &by);
	}
	return 0;
}

static bool mentions_namespace(const char *format)
{
	static const char *const words[] = {".Cgroup", ".IPC",	  ".MNT", ".NET",	".PIDNS",
					    ".User",   ".USERNS", ".UTS", ".Namespaces"};

	for (size_t i = 0; format && i < ARRAY_SIZE(words); i++)
		if (strstr(format, words[i]))
			return true;
	return false;
}

static char *standard_format(const struct ps_opts *o)
{
	if (o->ns)
		return g_strdup(
			"table {{.ID}}\t{{.Names}}\t{{.Pid}}\t{{.Cgroup}}\t{{.IPC}}\t{{.MNT}}"
			"\t{{.NET}}\t{{.PIDNS}}\t{{.User}}\t{{.UTS}}\n");
	return g_strdup_printf("table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.CreatedHuman}}\t"
			       "{{.Status}}\t{{.Ports}}\t{{.Names}}%s%s\n",
			       o->pod ? "\t{{.Pod}}\t{{.PodName}}" : "",
			       o->size ? "\t{{.Size}}" : "");
}

static int show(const struct ps_opts *o, struct engine *e, const GPtrArray *chosen)
{
	bool json = report_wants_json(o->format);
	const struct ps_show how = {
		.no_trunc = o->no_trunc,
		.size = o->size || (o->format && strstr(o->format, ".Size")),
		.namespaces = o->ns || mentions_namespace(o->format),
		.now_ns = engine_now_ns(),
	};
	g_autofree char *standard = standard_format(o);
	const struct report rep = {.name = "ps",
				   .format = o->format,
				   .standard = standard,
				   .row = &type_ps,
				   .headers = headers,
				   .no_heading = o->noheading};
	json_t *rows;
	int r = 0;

	if (o->quiet && !o->format) {
		for (guint i = 0; i < chosen->len; i++)
			printf("%.*s\n", o->no_trunc ? ENGINE_ID_LEN : 12,
			       ((struct container *)chosen->pdata[i])->id);
		return 0;
	}
	rows = json_array();
	for (guint i = 0; i < chosen->len; i++)
		json_array_append_new(rows, json ? ps_document(e, chosen->pdata[i], &how)
						 : ps_row(e, chosen->pdata[i], &how));
	if (json)
		report_json(rows, 2);
	else
		r = report_print(&rep, rows);
	json_decref(rows);
	return r;
}

static int once(const struct ps_opts *o, struct engine *e)
{
	CLEANUP(container_array_free) GPtrArray *list = NULL;
	g_autoptr(GPtrArray) chosen = g_ptr_array_new();
	int r = container_list(e, &list);

	if (r < 0 || (r = choose(o, e, list, chosen)) < 0)
		return r;
	return show(o, e, chosen);
}

static int run(struct cli *cli)
{
	const struct ps_opts *o = cli->opts;
	struct engine *e;
	int r = check(cli, o);

	if (r < 0 || (r = cli_engine(cli, &e)) < 0)
		return r;
	if (!cli_given(cli, "watch"))
		return once(o, e);
	for (;;) {
		const struct timespec pause = {.tv_sec = MAX(o->watch, 1)};

		fputs("\033[2J\033[H", stdout);
		r = once(o, e);
		fflush(stdout);
		if (r < 0)
			return r;
		nanosleep(&pause, NULL);
	}
}

const struct command cmd_ps = {
	.path = "ps,container ps,container list",
	.aliases = "container ls",
	.usage = "[options]",
	.brief = "List containers",
	.text = "Prints out information about the containers",
	.examples = "-a\n-a --format \"{{.ID}}  {{.Image}}  {{.Labels}}  {{.Mounts}}\"\n"
		    "--size --sort names",
	.options = options,
	.size = sizeof(struct ps_opts),
	.init = set_defaults,
	.run = run,
};
