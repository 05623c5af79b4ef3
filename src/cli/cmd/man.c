/* SPDX-License-Identifier: Apache-2.0 */
/*
 * __man PATH: the manual page of a command in scdoc(5), from the table that also parses.
 * __man alone lists the paths that have a page.
 */
#include "cli/cmd/common.h"

/* scdoc's own characters in plain text. */
static char *escape(const char *text)
{
	GString *s = g_string_new(NULL);

	for (; *text; text++) {
		if (strchr("\\*_#[]|<>", *text) ||
		    ((*text == '.' || *text == '-') && (s->len == 0 || s->str[s->len - 1] == '\n')))
			g_string_append_c(s, '\\');
		g_string_append_c(s, *text);
	}
	return g_string_free(s, FALSE);
}

static char *page_name(const char *path)
{
	char *name = g_strdup_printf("%s-%s", CLI_NAME, path);

	return g_strdelimit(name, " ", '-');
}

static void print_lines(const char *text, const char *prefix)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (char **l = lines; *l; l++) {
		g_autofree char *e = escape(*l);

		printf("%s%s\n", **l ? prefix : "", e);
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct opt *const *)a)->name, (*(const struct opt *const *)b)->name);
}

static void print_option(const struct opt *o)
{
	const char *word = opt_arg_word(o);
	g_autofree char *arg = escape(word);
	g_autofree char *help = escape(o->help);

	if (o->brief)
		printf("*-%c*, ", o->brief);
	printf("*--%s*%s%s\n", o->name, *word ? " " : "", arg);
	g_strdelimit(help, "\n", ' ');
	printf("\t%s", help);
	if (o->def) {
		g_autofree char *def = escape(o->def);

		printf(" (default %s)", def);
	}
	printf("\n\n");
}

static void print_options(const struct opt *opts)
{
	g_autoptr(GPtrArray) sorted = g_ptr_array_new();

	for (const struct opt *o = opts; o && o->name; o++)
		if (!o->hidden)
			g_ptr_array_add(sorted, (void *)o);
	if (!sorted->len)
		return;
	g_ptr_array_sort(sorted, by_name);
	printf("# OPTIONS\n\n");
	for (guint i = 0; i < sorted->len; i++)
		print_option(sorted->pdata[i]);
}

static void print_examples(const char *path, const char *examples)
{
	g_auto(GStrv) lines = g_strsplit(examples, "\n", -1);

	printf("# EXAMPLES\n\n```\n");
	for (char **l = lines; *l; l++)
		printf("$ %s %s %s\n", CLI_NAME, path, *l);
	printf("```\n\n");
}

static void print_page(const struct command *c, const char *path)
{
	g_autofree char *name = page_name(path);
	g_autofree char *usage = escape(c->usage);

	printf("%s(1)\n\n# NAME\n\n%s - %s\n\n# SYNOPSIS\n\n*%s %s* %s\n\n# DESCRIPTION\n\n", name,
	       name, c->brief, CLI_NAME, path, usage);
	print_lines(c->text ? c->text : c->brief, "");
	printf("\n");
	print_options(c->options);
	if (c->examples)
		print_examples(path, c->examples);
	printf("# SEE ALSO\n\n*%s*(1)\n", CLI_NAME);
}

static void print_overview(void)
{
	printf("%s(1)\n\n# NAME\n\n%s - run containers, freeze them to disk and thaw them\n\n"
	       "# SYNOPSIS\n\n*%s* \\[options\\] _command_ ...\n\n# DESCRIPTION\n\n"
	       "A container engine without a daemon, with Podman's command line, built around\n"
	       "checkpoint and restore.\n\n",
	       CLI_NAME, CLI_NAME, CLI_NAME);
	print_options(global_options);
	printf("# COMMANDS\n\n");
	for (const struct command *const *c = commands; *c; c++) {
		g_auto(GStrv) paths = g_strsplit((*c)->path, ",", -1);
		g_autofree char *name = page_name(paths[0]);

		if (!(*c)->hidden)
			printf("*%s*(1)\n\t%s\n\n", name, (*c)->brief);
	}
}

static void list_pages(void)
{
	puts(CLI_NAME);
	for (const struct command *const *c = commands; *c; c++) {
		g_auto(GStrv) paths = g_strsplit((*c)->path, ",", -1);

		if (!(*c)->hidden)
			puts(paths[0]);
	}
}

static int run(struct cli *cli)
{
	g_autofree char *path = g_strjoinv(" ", cli->args);
	const struct command *c = command_find(path);

	if (!cli->nargs)
		list_pages();
	else if (!strcmp(path, CLI_NAME))
		print_overview();
	else if (c)
		print_page(c, path);
	else
		return err_set(ENOENT, "no such command: %s", path);
	return 0;
}

const struct command cmd_man = {
	.path = "__man",
	.usage = "[COMMAND...]",
	.brief = "Manual pages from the tables of options",
	.hidden = true,
	.raw = true,
	.run = run,
};
