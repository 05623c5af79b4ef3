/* SPDX-License-Identifier: Apache-2.0 */
/* From the words of the command line to a command's run(), and from its answer to a status. */
#include "cli/command.h"

#include "base/log.h"
#include "engine/arrivals.h"
#include "engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define ERRNO_END 134 /* EHWPOISON + 1, asm-generic/errno.h */

#define G(field, ...) OPT(struct global_options, field, __VA_ARGS__)
const struct opt global_options[] = {
	G(root, "root", 0, "Path to the root directory in which data, including images, is stored"),
	G(runroot, "runroot", 0, "Path to the 'run directory' where all state is stored"),
	G(runtime, "runtime", 0, "Path to the OCI-compatible binary used to run containers"),
	G(conmon, "conmon", 0, "Path of the conmon binary"),
	G(log_level, "log-level", 0,
	  "Log messages above specified level (trace, debug, info, warn, warning, error, fatal, "
	  "panic)",
	  .def = "warn"),
	G(out, "out", 0, "Send output (stdout) to a file"),
	G(version, "version", 'v', "version for " CLI_NAME),
	G(noout, "noout", 0, "do not output to stdout", .hidden = true),
	G(ignored, "cgroup-manager", 0, "Accepted for compatibility: cgroupfs is used",
	  .hidden = true),
	G(ignored, "config", 0, "Accepted for compatibility", .hidden = true),
	G(ignored, "events-backend", 0, "Accepted for compatibility: events are in the database",
	  .hidden = true),
	G(ignored, "db-backend", 0, "Accepted for compatibility: SQLite is used", .hidden = true),
	G(ignored, "network-backend", 0, "Accepted for compatibility: netavark is used",
	  .hidden = true),
	G(ignored, "network-config-dir", 0, "Accepted for compatibility", .hidden = true),
	G(ignored, "storage-driver", 0, "Accepted for compatibility: overlay is used",
	  .hidden = true),
	G(ignored, "imagestore", 0, "Accepted for compatibility", .hidden = true),
	G(ignored, "tmpdir", 0, "Accepted for compatibility: see --runroot", .hidden = true),
	G(ignored, "volumepath", 0, "Accepted for compatibility", .hidden = true),
	G(ignored_list, "storage-opt", 0, "Accepted for compatibility", .hidden = true),
	G(ignored_list, "hooks-dir", 0, "Accepted for compatibility", .hidden = true),
	G(ignored_list, "runtime-flag", 0, "Accepted for compatibility", .hidden = true),
	G(ignored_list, "module", 0, "Accepted for compatibility", .hidden = true),
	G(ignored_flag, "syslog", 0, "Accepted for compatibility", .hidden = true),
	G(ignored_flag, "transient-store", 0, "Accepted for compatibility", .hidden = true),
	{}};

const struct command *command_find(const char *path)
{
	for (const struct command *const *c = commands; *c; c++) {
		g_autofree char *all = g_strjoin(",", (*c)->path, (*c)->aliases, NULL);
		g_auto(GStrv) names = g_strsplit(all, ",", -1);

		if (g_strv_contains((const char *const *)names, path))
			return *c;
	}
	return NULL;
}

bool command_group_find(const char *name)
{
	for (const struct command_group *g = command_groups; g->name; g++)
		if (!strcmp(g->name, name))
			return true;
	return false;
}

/*
 * Podman's errors come from Go, which writes the kernel's in lower case: "open x: no such file or
 * directory".  Scripts match on that, so what strerror(3) has put in changes its first letter.
 */
char *cli_error_text(const char *story)
{
	char *text = g_strdup(story);

	for (int code = 1; code < ERRNO_END; code++) {
		const char *name = strerrordesc_np(code);
		char *at = name && g_ascii_islower(name[1]) ? strstr(text, name) : NULL;

		for (; at; at = strstr(at + 1, name))
			if (at > text && at[-1] == ' ')
				*at = g_ascii_tolower(*at);
	}
	return text;
}

void cli_print_error(void)
{
	g_autofree char *text = cli_error_text(err_message());

	fflush(stdout);
	fprintf(stderr, "Error: %s\n", text);
}

bool cli_given(const struct cli *cli, const char *name)
{
	return opt_given(&cli->parsed, name);
}

int cli_engine(struct cli *cli, struct engine **ret)
{
	const struct engine_options o = {
		.root = cli->global.root,
		.runroot = cli->global.runroot,
		.runtime = cli->global.runtime,
		.conmon = cli->global.conmon,
	};
	int r;

	if (!cli->engine) {
		r = engine_open(&o, &cli->engine);
		if (r < 0)
			return r;
		arrivals_sweep(cli->engine);
	}
	*ret = cli->engine;
	return 0;
}

const char *cli_name(const struct cli *cli)
{
	static const char *const others[] = {"docker", "podman"};
	const char *slash = strrchr(cli->argv[0] ?: "", '/');
	const char *name = slash ? slash + 1 : cli->argv[0] ?: "";

	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		if (!strcmp(name, others[i]))
			return others[i];
	return CLI_NAME;
}

static void print_help(const struct cli *cli, GString *text)
{
	if (strcmp(cli_name(cli), CLI_NAME) != 0)
		g_string_replace(text, CLI_NAME, cli_name(cli), 0);
	fwrite(text->str, 1, text->len, stdout);
}

static int unknown_command(const struct cli *cli, const char *group, const char *word)
{
	const char *name = cli_name(cli);
	g_autoptr(GString) more = g_string_new("\n");
	const char *blank = *group ? " " : "";

	help_suggest(group, word, more);
	return err_set(EINVAL,
		       "unrecognized command `%s%s%s %s`%sTry '%s%s%s --help' for more information",
		       name, blank, group, word, more->str, name, blank, group);
}

static int missing_command(const struct cli *cli, const char *group)
{
	g_autoptr(GString) text = g_string_new(NULL);

	help_group(group, text);
	print_help(cli, text);
	return err_set(EINVAL, "missing command '%s%s%s COMMAND'", cli_name(cli), *group ? " " : "",
		       group);
}

static int usage_error(const struct cli *cli, const char *path)
{
	g_autofree char *why = g_strdup(err_message());

	return err_set(EINVAL, "%s\nSee '%s%s%s --help'", why, cli_name(cli), *path ? " " : "",
		       path);
}

/* --log-level, --out, --noout: what must be in place before the command starts. */
static int apply_global(const struct global_options *g)
{
	const char *out = g->noout ? "/dev/null" : g->out;

	if (g->log_level && log_level_parse(g->log_level, &log_threshold) < 0)
		return err_set(EINVAL,
			       "Log Level \"%s\" is not supported, choose from: trace, debug, "
			       "info, warn, warning, error, fatal, panic",
			       g->log_level);
	if (out && !freopen(out, "we", stdout))
		return err_errno("open %s", out);
	return 0;
}

static int run_command(struct cli *cli, char **words)
{
	const struct command *c = cli->command;
	static const struct opt none[] = {{}};
	const struct opt_table tables[] = {{c->options ? c->options : none, cli->opts},
					   {global_options, &cli->global}};
	int r;

	if (c->raw) {
		cli->args = words;
		cli->nargs = g_strv_length(words);
		return c->run(cli);
	}
	r = opt_parse(tables, ARRAY_SIZE(tables), c->stop_at_arg, words, &cli->parsed);
	if (r < 0)
		return usage_error(cli, cli->path);
	if (cli->parsed.help) {
		g_autoptr(GString) text = g_string_new(NULL);

		help_command(c, cli->path, text);
		print_help(cli, text);
		return 0;
	}
	r = apply_global(&cli->global);
	if (r < 0)
		return r;
	cli->args = (char **)cli->parsed.args->pdata;
	cli->nargs = cli->parsed.args->len;
	return c->run(cli);
}

static int start_command(struct cli *cli, const char *path, char **words)
{
	const struct command *c = command_find(path);
	g_autofree void *opts = g_malloc0(MAX(c->size, 1));
	int r;

	cli->command = c;
	cli->path = path;
	cli->opts = opts;
	if (c->init)
		c->init(opts);
	r = run_command(cli, words);
	if (c->options)
		opt_free(c->options, opts);
	opt_parsed_clear(&cli->parsed);
	return r;
}

/*
 * Reads options and one word of GROUP.  1: *RET_WORD is it, *WORDS stands behind it; 0: --help or
 * --version, all done.
 */
static int next_word(struct cli *cli, const char *group, char ***words, const char **ret_word)
{
	const struct opt_table table = {global_options, &cli->global};
	CLEANUP(opt_parsed_clear) struct opt_parsed p = {0};
	int r = opt_parse(&table, 1, true, *words, &p);

	if (r < 0)
		return usage_error(cli, group);
	if (p.help || (p.args->len && !strcmp(p.args->pdata[0], "help") && !*group)) {
		g_autoptr(GString) text = g_string_new(NULL);
		const char *topic = !p.help && p.args->len > 1 ? p.args->pdata[1] : NULL;

		if (topic && command_find(topic))
			help_command(command_find(topic), topic, text);
		else
			help_group(topic && command_group_find(topic) ? topic : group, text);
		print_help(cli, text);
		return 0;
	}
	if (!*group && cli->global.version) {
		if (!strcmp(cli_name(cli), "docker")) /* which scripts take apart */
			printf("Docker version %s, build " CLI_NAME "\n", CRYOPOD_VERSION);
		else
			printf("%s version %s\n", cli_name(cli), CRYOPOD_VERSION);
		return 0;
	}
	if (!p.args->len)
		return missing_command(cli, group);
	*words += g_strv_length(*words) - p.args->len + 1;
	*ret_word = p.args->pdata[0];
	return 1;
}

static int dispatch(struct cli *cli, char **words)
{
	g_autofree char *path = NULL;
	const char *word, *group = "";
	int r = next_word(cli, "", &words, &word);

	if (r <= 0)
		return r;
	path = g_strdup(word);
	if (command_group_find(word)) {
		group = word;
		r = next_word(cli, group, &words, &word);
		if (r <= 0)
			return r;
		g_free(path);
		path = g_strdup_printf("%s %s", group, word);
	}
	if (!command_find(path))
		return unknown_command(cli, group, word);
	return start_command(cli, path, words);
}

int cli_main(int argc, char **argv)
{
	struct cli cli = {.argv = argv, .error_status = 125};
	int r = dispatch(&cli, argv + (argc > 0));

	if (r < 0) {
		cli_print_error();
		r = cli.error_status;
	}
	engine_closep(&cli.engine);
	opt_free(global_options, &cli.global);
	if (fflush(stdout) != 0 && !r) {
		fprintf(stderr, "Error: write to standard output: %s\n", g_strerror(errno));
		r = 125;
	}
	return r;
}
