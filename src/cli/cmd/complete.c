/* SPDX-License-Identifier: Apache-2.0 */
/*
 * __complete WORD...: what may stand for the last word, one candidate a line.  The words are those
 * behind the program's name.  completions/ has the shells' side.
 */
#include "cli/cmd/common.h"
#include "engine/image.h"
#include "engine/network.h"
#include "engine/volume.h"

static void offer(const char *word, const char *typed)
{
	if (g_str_has_prefix(word, typed))
		puts(word);
}

static void offer_options(const struct opt *opts, const char *typed)
{
	for (const struct opt *o = opts; o && o->name; o++) {
		g_autofree char *name = g_strconcat("--", o->name, NULL);

		if (!o->hidden)
			offer(name, typed);
	}
}

/* Words that may follow GROUP ("" for the program). */
static void offer_commands(const char *group, const char *typed)
{
	size_t n = strlen(group);

	for (const struct command *const *c = commands; *c; c++) {
		g_auto(GStrv) paths = g_strsplit((*c)->path, ",", -1);

		for (char **p = paths; *p && !(*c)->hidden; p++) {
			if (!n && !strchr(*p, ' '))
				offer(*p, typed);
			else if (n && g_str_has_prefix(*p, group) && (*p)[n] == ' ')
				offer(*p + n + 1, typed);
		}
	}
	for (const struct command_group *g = command_groups; !n && g->name; g++)
		offer(g->name, typed);
}

static void offer_containers(struct engine *e, bool running, const char *typed)
{
	CLEANUP(container_array_free) GPtrArray *list = NULL;

	if (container_list(e, &list) < 0)
		return;
	for (guint i = 0; i < list->len; i++) {
		const struct container *c = list->pdata[i];
		char id[13];

		if (running && !container_is_running(c))
			continue;
		offer(c->name, typed);
		g_strlcpy(id, c->id, sizeof(id));
		if (*typed)
			offer(id, typed);
	}
}

static void offer_images(struct engine *e, const char *typed)
{
	g_autoptr(GPtrArray) list = NULL;

	if (image_list(e, &list) < 0)
		return;
	for (guint i = 0; i < list->len; i++) {
		const struct image *img = list->pdata[i];

		for (char **name = img->names; *name; name++) {
			const char *slash = strrchr(*name, '/');

			offer(*name, typed);
			if (slash && !g_str_has_prefix(*name, typed))
				offer(slash + 1, typed);
		}
	}
}

/* The members KEY of what LIST gives. */
static void offer_members(struct engine *e, int (*list)(struct engine *e, json_t **ret),
			  const char *key, const char *typed)
{
	json_t *all = NULL, *v;
	size_t i;

	if (list(e, &all) < 0)
		return;
	json_array_foreach(all, i, v) offer(json_string_value(json_object_get(v, key)), typed);
	json_decref(all);
}

static void offer_arguments(struct cli *cli, enum complete_args what, const char *typed)
{
	struct engine *e;

	if (what == COMPLETE_NOTHING || cli_engine(cli, &e) < 0)
		return;
	if (what == COMPLETE_CONTAINERS || what == COMPLETE_RUNNING || what == COMPLETE_OBJECTS)
		offer_containers(e, what == COMPLETE_RUNNING, typed);
	if (what == COMPLETE_IMAGES || what == COMPLETE_OBJECTS)
		offer_images(e, typed);
	if (what == COMPLETE_VOLUMES)
		offer_members(e, volume_list, "Name", typed);
	if (what == COMPLETE_NETWORKS)
		offer_members(e, network_list, "name", typed);
}

/* An option whose value the last word is. */
static bool takes_value(const struct opt *opts, const char *word)
{
	const struct opt *o = NULL;

	if (g_str_has_prefix(word, "--"))
		o = opt_find(opts, word + 2, strlen(word + 2));
	else
		for (o = opts; o->name && (!o->brief || o->brief != word[1] || word[2]);)
			o++;
	return o && o->name && o->kind != OPT_BOOL;
}

/* Takes the global options at *WORDS in, as far as they are complete. */
static void skip_globals(struct cli *cli, char ***words)
{
	const struct opt_table table = {global_options, &cli->global};
	CLEANUP(opt_parsed_clear) struct opt_parsed p = {0};

	if (opt_parse(&table, 1, true, *words, &p) >= 0 && p.args->len)
		*words += g_strv_length(*words) - p.args->len;
}

static int run(struct cli *cli)
{
	char **words = cli->args, *none[] = {(char *)"", NULL};
	g_autofree char *path = NULL;
	const struct command *c;
	const char *typed;

	if (!*words)
		words = none;
	skip_globals(cli, &words);
	typed = words[g_strv_length(words) - 1];
	if (!words[1]) {
		offer_commands("", typed);
		offer_options(global_options, *typed ? typed : "\t");
		return 0;
	}
	path = g_strdup(*words++);
	if (command_group_find(path)) {
		if (!words[1]) {
			offer_commands(path, typed);
			return 0;
		}
		g_free(path);
		path = g_strjoin(" ", words[-1], words[0], NULL);
		words++;
	}
	c = command_find(path);
	if (!c)
		return 0;
	if (g_strv_length(words) > 1 && takes_value(c->options, words[g_strv_length(words) - 2]))
		return 0; /* the shell knows files */
	if (*typed == '-')
		offer_options(c->options, typed);
	else
		offer_arguments(cli, c->complete, typed);
	return 0;
}

const struct command cmd_complete = {
	.path = "__complete",
	.usage = "WORD...",
	.brief = "Candidates for the last word",
	.hidden = true,
	.raw = true,
	.run = run,
};
