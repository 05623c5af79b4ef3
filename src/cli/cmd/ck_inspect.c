/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint inspect, diff. */
#include "cli/cmd/ck_inspect.h"

#include "base/json.h"
#include "cli/cmd/common.h"
#include "cli/human.h"
#include "cli/report.h"
#include "cli/table.h"
#include "engine/ckinspect.h"

#define PAGE_BYTES 4096.0

struct inspect_opts {
	const char *dir, *format, *html;
	bool files, mappings;
};

static const struct opt inspect_options[] = {
	OPT(struct inspect_opts, dir, "checkpoint-dir", 0,
	    "Use a custom checkpoint storage directory"),
	OPT(struct inspect_opts, files, "files", 0, "Show the descriptors of each process"),
	OPT(struct inspect_opts, format, "format", 'f',
	    "Format the output to a Go template or json"),
	OPT(struct inspect_opts, html, "html", 0, "Write one self-contained page to the file"),
	OPT(struct inspect_opts, mappings, "mappings", 0, "Show the mappings of each process"),
	{}};

static json_int_t int_of(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

char *checkpoint_command(const json_t *process)
{
	g_autoptr(GString) line = g_string_new(NULL);
	json_t *word;
	size_t i;

	json_array_foreach(json_object_get(process, "arguments"), i, word)
		g_string_append_printf(line, "%s%s", i ? " " : "", json_string_value(word));
	/* What a terminal would take for a command is not printed. */
	for (char *s = line->str; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 127)
			*s = ' ';
	if (!line->len)
		g_string_printf(line, "[%s]", json_text_of(process, "command"));
	return g_strdup(line->str);
}

static json_int_t pages_of(const json_t *process)
{
	return int_of(json_object_get(process, "memory"), "pages");
}

static void print_process(const json_t *list, const json_t *p, const char *lead, GString *to)
{
	g_autofree char *command = checkpoint_command(p);
	g_autofree char *memory = human_size((double)pages_of(p) * PAGE_BYTES);
	size_t threads = json_array_size(json_object_get(p, "threads"));
	const char *state = json_text_of(p, "state");

	(void)list;
	g_string_append_printf(
		to, "%" JSON_INTEGER_FORMAT "\t%s\t%zu\t%zu\t%s%s%s%s\n", int_of(p, "pid"), memory,
		threads, json_array_size(json_object_get(p, "descriptors")), lead, command,
		strcmp(state, "running") ? "  " : "", strcmp(state, "running") ? state : "");
}

/* A process that is its own ancestor, in a broken image, is printed once. */
static void print_tree(const json_t *list, json_int_t ppid, const char *lead, unsigned depth,
		       GString *to)
{
	json_t *p, *last = NULL;
	size_t i;

	json_array_foreach((json_t *)list, i, p)
	{
		if (int_of(p, "ppid") == ppid && int_of(p, "pid") != ppid)
			last = p;
	}
	json_array_foreach((json_t *)list, i, p)
	{
		g_autofree char *mine = NULL, *below = NULL;

		if (int_of(p, "ppid") != ppid || int_of(p, "pid") == ppid)
			continue;
		mine = g_strdup_printf("%s%s", lead, !depth ? "" : p == last ? "└─ " : "├─ ");
		below = g_strdup_printf("%s%s", lead, !depth ? "" : p == last ? "   " : "│  ");
		print_process(list, p, mine, to);
		if (depth < 64)
			print_tree(list, int_of(p, "pid"), below, depth + 1, to);
	}
}

static void print_aligned(GString *text)
{
	g_autofree char *aligned = table_align(text->str);

	fputs(aligned, stdout);
	g_string_truncate(text, 0);
}

static void print_line(const char *what, const char *value)
{
	if (*value)
		printf("%-12s %s\n", what, value);
}

static void print_size(const char *what, const json_t *j, const char *key)
{
	g_autofree char *size = human_size((double)int_of(j, key));

	if (json_object_get(j, key))
		print_line(what, size);
}

static void print_head(const json_t *j)
{
	const json_t *stats = json_object_get(j, "statistics");
	g_autofree char *frozen =
		g_strdup_printf("%.1fms", (double)int_of(stats, "frozen_time") / 1000);
	g_autofree char *pages =
		human_size((double)int_of(json_object_get(j, "memory"), "pages") * PAGE_BYTES);

	print_line("Checkpoint:", *json_text_of(j, "name") ? json_text_of(j, "name") : "<none>");
	print_line("Container:", json_text_of(j, "containerName"));
	print_line("Image:", json_text_of(j, "image"));
	print_line("Created:", json_text_of(j, "created"));
	print_size("Size:", j, "imagesSize");
	print_size("Root fs:", j, "rootfsSize");
	print_line("Memory:", pages);
	if (stats)
		print_line("Frozen:", frozen);
}

static void print_sockets(const json_t *j, GString *text)
{
	json_t *s;
	size_t i;

	if (!json_array_size(json_object_get(j, "sockets")))
		return;
	puts("\nSockets");
	json_array_foreach(json_object_get(j, "sockets"), i, s)
		g_string_append_printf(text, "  %s\n", json_text_of(s, "text"));
	print_aligned(text);
}

static void print_mounts(const json_t *j, GString *text)
{
	json_t *m;
	size_t i;

	if (!json_array_size(json_object_get(j, "mounts")))
		return;
	puts("\nMounts");
	json_array_foreach(json_object_get(j, "mounts"), i, m)
		g_string_append_printf(text, "  %s\t%s\t%s\n", json_text_of(m, "mountpoint"),
				       json_text_of(m, "type"), json_text_of(m, "source"));
	print_aligned(text);
}

static void print_files(const json_t *p, GString *text)
{
	json_t *f;
	size_t i;

	json_array_foreach(json_object_get(p, "descriptors"), i, f) g_string_append_printf(
		text, "  %" JSON_INTEGER_FORMAT "\t%s\t%s\t%s\n", int_of(f, "fd"),
		json_text_of(f, "type"), json_text_of(f, "access"), json_text_of(f, "target"));
	print_aligned(text);
}

static void print_mappings(const json_t *p, GString *text)
{
	json_t *m;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(p, "memory"), "mappings"), i, m)
	{
		g_autofree char *size = human_size((double)int_of(m, "size"));

		g_string_append_printf(
			text, "  %s\t%s\t%s\t%" JSON_INTEGER_FORMAT " pages\t%s\t%s\n",
			json_text_of(m, "start"), json_text_of(m, "access"), size,
			int_of(m, "pages"), json_text_of(m, "kind"), json_text_of(m, "file"));
	}
	print_aligned(text);
}

static void print_text(const struct inspect_opts *o, const json_t *j)
{
	const json_t *list = json_object_get(j, "processes");
	g_autoptr(GString) text = g_string_new("PID\tMEMORY\tTHREADS\tFDS\tCOMMAND\n");
	json_t *p;
	size_t i;

	print_head(j);
	puts("\nProcesses");
	print_tree(list, 0, "", 0, text);
	print_aligned(text);
	print_sockets(j, text);
	print_mounts(j, text);
	json_array_foreach((json_t *)list, i, p)
	{
		g_autofree char *command = checkpoint_command(p);

		if (o->files || o->mappings)
			printf("\nProcess %" JSON_INTEGER_FORMAT ": %s\n", int_of(p, "pid"),
			       command);
		if (o->files)
			print_files(p, text);
		if (o->mappings)
			print_mappings(p, text);
	}
}

/* What has a slash in it, or a name that no container has, and is there. */
static bool is_path(const struct cli *cli)
{
	CLEANUP(container_unref) struct container *c = NULL;

	if (cli->nargs != 1)
		return false;
	if (strchr(cli->args[0], '/'))
		return true;
	if (access(cli->args[0], F_OK) < 0)
		return false;
	if (container_find(cli->engine, cli->args[0], &c) == 0)
		return false;
	err_clear();
	return true;
}

static int find(struct cli *cli, json_t **ret)
{
	const struct inspect_opts *o = cli->opts;
	CLEANUP(container_unref) struct container *c = NULL;
	struct engine *e;
	int r = cli_engine(cli, &e);

	if (r < 0)
		return r;
	if (is_path(cli))
		return ckinspect_path(e, cli->args[0], ret);
	r = pick_one(cli, false, cli->args[0], &c);
	return r < 0 ? r
		     : ckinspect(cli->engine, c, o->dir, cli->nargs > 1 ? cli->args[1] : NULL, ret);
}

static int run_inspect(struct cli *cli)
{
	const struct inspect_opts *o = cli->opts;
	json_t *j = NULL;
	int r = args_range(cli, 1, 2);

	if (r == 0)
		r = find(cli, &j);
	if (r < 0)
		return r;
	if (o->html) {
		r = checkpoint_html(j, o->html);
	} else if (report_wants_json(o->format)) {
		json_t *list = json_pack("[O]", j);

		report_json(list, 5);
		json_decref(list);
	} else if (o->format) {
		json_t *list = json_pack("[O]", j);

		r = report_template("checkpoint inspect", o->format, &go_map, list);
		json_decref(list);
	} else {
		print_text(o, j);
	}
	json_decref(j);
	return r;
}

struct diff_opts {
	const char *dir, *format;
};

static const struct opt diff_options[] = {
	OPT(struct diff_opts, dir, "checkpoint-dir", 0,
	    "Use a custom checkpoint storage directory"),
	OPT(struct diff_opts, format, "format", 'f', "Change the output format (json)"),
	{}};

static void print_diff(const json_t *j)
{
	g_autoptr(GString) text = g_string_new("PID\tCHANGE\tMEMORY CHANGED\tCOMMAND\n");
	json_t *p, *f;
	size_t i;

	json_array_foreach(json_object_get(j, "processes"), i, p)
	{
		g_autofree char *of =
			json_object_get(p, "pages_total")
				? g_strdup_printf("%" JSON_INTEGER_FORMAT
						  " of %" JSON_INTEGER_FORMAT " pages",
						  int_of(p, "pages_changed"),
						  int_of(p, "pages_total"))
				: g_strdup("");

		g_string_append_printf(text, "%" JSON_INTEGER_FORMAT "\t%s\t%s\t%s\n",
				       int_of(p, "pid"), json_text_of(p, "change"), of,
				       json_text_of(p, "command"));
	}
	print_aligned(text);
	if (json_array_size(json_object_get(j, "files")))
		putchar('\n');
	json_array_foreach(json_object_get(j, "files"), i, f)
		printf("%-9s %s\n", json_text_of(f, "change"), json_text_of(f, "path"));
}

static int run_diff(struct cli *cli)
{
	const struct diff_opts *o = cli->opts;
	CLEANUP(container_unref) struct container *c = NULL;
	json_t *j = NULL;
	int r = args_range(cli, 3, 3);

	if (r < 0)
		return r;
	if (o->format && !report_wants_json(o->format))
		return err_set(EINVAL, "only supported value for '--format' is 'json'");
	r = pick_one(cli, false, cli->args[0], &c);
	if (r == 0)
		r = ckdiff(cli->engine, c, o->dir, cli->args[1], cli->args[2], &j);
	if (r < 0)
		return r;
	if (o->format)
		report_json(j, 5);
	else
		print_diff(j);
	json_decref(j);
	return 0;
}

const struct command cmd_checkpoint_inspect = {
	.path = "checkpoint inspect",
	.usage = "[options] {CONTAINER [CHECKPOINT]|FILE}",
	.brief = "Show what is in a checkpoint",
	.text = "Shows the process tree, the memory of each process, descriptors, sockets and "
		"mounts\n"
		"of a named checkpoint, of the container's own one, of an exported archive, or of "
		"images "
		"in\na directory.",
	.examples = "web before-upgrade\n--files --mappings web\n--html page.html web nightly\n"
		    "checkpoint.tar.zst",
	.options = inspect_options,
	.size = sizeof(struct inspect_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run_inspect,
};

const struct command cmd_checkpoint_diff = {
	.path = "checkpoint diff",
	.usage = "[options] CONTAINER CHECKPOINT CHECKPOINT",
	.brief = "Show what has changed between two checkpoints",
	.text = "Compares two named checkpoints of a container: processes, pages of memory, and "
		"files "
		"of\nthe root file system.",
	.examples = "web monday tuesday",
	.options = diff_options,
	.size = sizeof(struct diff_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run_diff,
};
