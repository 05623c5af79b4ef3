/* SPDX-License-Identifier: Apache-2.0 */
/* --help and the suggestions for unknown commands, in cobra's shape as Podman sets it up. */
#include "cli/command.h"

#include <string.h>

/* Appends TEXT with each line indented by two blanks and an optional prefix. */
static void append_lines(GString *to, const char *prefix, const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (char **l = lines; *l; l++)
		g_string_append_printf(to, **l ? "  %s%s\n" : "\n", **l ? prefix : "", *l);
}

static const char *last_word(const char *path)
{
	const char *blank = strrchr(path, ' ');

	return blank ? blank + 1 : path;
}

/* "Aliases:" shows the names that this path's command has in the same group. */
static void append_aliases(GString *to, const struct command *c, const char *path)
{
	size_t group = last_word(path) - path;
	g_autofree char *all = g_strjoin(",", c->path, c->aliases, NULL);
	g_auto(GStrv) names = g_strsplit(all, ",", -1);
	g_autoptr(GString) list = g_string_new(last_word(path));
	unsigned n = 0;

	for (char **name = names; *name; name++) {
		if (!strcmp(*name, path) || strncmp(*name, path, group) ||
		    strchr(*name + group, ' '))
			continue;
		g_string_append_printf(list, ", %s", last_word(*name));
		n++;
	}
	if (n)
		g_string_append_printf(to, "\nAliases:\n  %s\n", list->str);
}

void help_command(const struct command *c, const char *path, GString *to)
{
	g_string_append_printf(to, "%s\n\nDescription:\n", c->brief);
	append_lines(to, "", c->text ? c->text : c->brief);
	g_string_append_printf(to, "\nUsage:\n  %s %s %s\n", CLI_NAME, path, c->usage);
	append_aliases(to, c, path);
	if (c->examples) {
		g_autofree char *prefix = g_strdup_printf("%s %s ", CLI_NAME, path);

		g_string_append(to, "\nExamples:\n");
		append_lines(to, prefix, c->examples);
	}
	if (c->options && c->options->name) {
		g_string_append(to, "\nOptions:\n");
		opt_help(c->options, to);
	}
	g_string_append_c(to, '\n');
}

/* The word that PATH adds to GROUP ("" for the program), or NULL when it is not in it. */
static const char *word_in_group(const char *path, const char *group)
{
	size_t n = strlen(group);

	if (!n)
		return strchr(path, ' ') ? NULL : path;
	return !strncmp(path, group, n) && path[n] == ' ' ? path + n + 1 : NULL;
}

struct entry {
	char *name;
	const char *brief;
};

static void entry_clear(void *data)
{
	g_free(((struct entry *)data)->name);
}

static int entry_order(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* Every command and group that GROUP shows, sorted. */
static GArray *entries_of(const char *group)
{
	GArray *a = g_array_new(FALSE, FALSE, sizeof(struct entry));

	g_array_set_clear_func(a, entry_clear);
	for (const struct command *const *c = commands; *c; c++) {
		g_auto(GStrv) paths = g_strsplit((*c)->path, ",", -1);

		if ((*c)->hidden)
			continue;
		for (char **p = paths; *p; p++) {
			const char *word = word_in_group(*p, group);
			struct entry e = {.name = g_strdup(word), .brief = (*c)->brief};

			if (word)
				g_array_append_val(a, e);
		}
	}
	for (const struct command_group *g = command_groups; !*group && g->name; g++) {
		struct entry e = {.name = g_strdup(g->name), .brief = g->brief};

		g_array_append_val(a, e);
	}
	g_array_sort(a, entry_order);
	return a;
}

void help_group(const char *group, GString *to)
{
	g_autoptr(GArray) list = entries_of(group);
	const char *brief = "Manage containers and images, freeze and thaw them";

	for (const struct command_group *g = command_groups; g->name; g++)
		if (!strcmp(g->name, group))
			brief = g->brief;
	g_string_append_printf(to, "%s\n\n", brief);
	if (*group)
		g_string_append_printf(to, "Description:\n  %s\n\nUsage:\n  %s %s [command]\n",
				       brief, CLI_NAME, group);
	else
		g_string_append_printf(to, "Usage:\n  %s [options] [command]\n", CLI_NAME);
	g_string_append(to, "\nAvailable Commands:\n");
	for (guint i = 0; i < list->len; i++) {
		struct entry *e = &g_array_index(list, struct entry, i);

		g_string_append_printf(to, "  %-11s %s\n", e->name, e->brief);
	}
	g_string_append_c(to, '\n');
	if (!*group) {
		g_string_append(to, "Options:\n");
		opt_help(global_options, to);
		g_string_append_c(to, '\n');
	}
}

static unsigned edit_distance(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);
	g_autofree unsigned *row = g_new(unsigned, nb + 1);

	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned above = row[j];
			unsigned change =
				diagonal + (g_ascii_tolower(a[i - 1]) != g_ascii_tolower(b[j - 1]));

			row[j] = MIN(MIN(above, row[j - 1]) + 1, change);
			diagonal = above;
		}
	}
	return row[nb];
}

/* cobra's rule: begins like it or, for the program's own commands, at most two edits away. */
void help_suggest(const char *group, const char *word, GString *to)
{
	g_autoptr(GArray) list = entries_of(group);
	bool any = false;

	for (guint i = 0; i < list->len; i++) {
		struct entry *e = &g_array_index(list, struct entry, i);

		if ((*group || edit_distance(word, e->name) > 2) &&
		    g_ascii_strncasecmp(e->name, word, strlen(word)))
			continue;
		g_string_append_printf(to, "%s\t%s\n", any ? "" : "\nDid you mean this?\n",
				       e->name);
		any = true;
	}
	if (any)
		g_string_append_c(to, '\n');
}
