/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the command line and configuration files; --help. */
#include "cryo/options.h"

#include "base/file.h"
#include "cr/cryo.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define HELP_WIDTH  80
#define HELP_COLUMN 30
#define CONFIG_MAX  (1u << 20)
#define NEGATED	    0x1000 /* getopt's val is 0x2000 + row, with this for --no-NAME */
#define FIRST	    0x2000

/* What getopt_long() wants, made from the table. */
struct words {
	GArray *longs;	 /* struct option */
	GString *briefs; /* "t:D:..." */
	GPtrArray *names;
};

static int arg_of(const struct option_row *row)
{
	if (!row->arg)
		return no_argument;
	return row->arg[0] == '[' && g_str_has_suffix(row->arg, "]") ? optional_argument
								     : required_argument;
}

static void add_long(struct words *w, char *name, int arg, int val)
{
	struct option o = {.name = name, .has_arg = arg, .val = val};

	g_ptr_array_add(w->names, name);
	g_array_append_val(w->longs, o);
}

static void words_make(struct words *w)
{
	w->longs = g_array_new(TRUE, TRUE, sizeof(struct option));
	/* ":" tells a missing value from an unknown option */
	w->briefs = g_string_new(":");
	w->names = g_ptr_array_new_with_free_func(g_free);
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_rows[i];
		int arg = arg_of(row), val = FIRST + (int)i;

		add_long(w, g_strdup(row->name), arg, val);
		if (row->kind == OPT_FLAG)
			add_long(w, g_strconcat("no-", row->name, NULL), no_argument,
				 val | NEGATED);
		if (row->brief)
			g_string_append_printf(w->briefs, "%c%.*s", row->brief, arg, "::");
	}
}

static void words_clear(struct words *w)
{
	g_array_unref(w->longs);
	g_string_free(w->briefs, TRUE);
	g_ptr_array_unref(w->names);
}

/* "Kk", "Mm", "Gg" as CRIU's parse_size(). */
static int parse_size(const char *text, uint64_t *ret)
{
	static const char units[] = "KMG";
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (end == text || *text == '-' || errno)
		return err_set(EINVAL, "\"%s\" is not a size", text);
	if (*end) {
		const char *u = strchr(units, toupper((unsigned char)*end));

		if (!u || end[1] || *ret > UINT64_MAX >> 10 * (u - units + 1))
			return err_set(EINVAL, "\"%s\" is not a size", text);
		*ret <<= 10 * (u - units + 1);
	}
	return 0;
}

static int parse_number(const char *text, int64_t most, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(text, &end, 10);
	if (end == text || *end || errno || *ret < 0 || *ret > most)
		return err_set(EINVAL, "\"%s\" is not a number that fits here", text);
	return 0;
}

/* -v; -vvv arrives as "vv"; -v4; what is no number counts as 0, as in -verbosity=0. */
static void parse_level(const char *text, int64_t *level)
{
	*level = MAX(*level, 0);
	if (!text)
		++*level;
	else if (text[0] == 'v' && strspn(text, "v") == strlen(text))
		*level += (int64_t)strlen(text) + 1;
	else
		*level = atoi(text);
}

static int parse_modes(const char *text, unsigned *ret)
{
	static const struct {
		const char *name;
		unsigned bits;
	} modes[] = {{"fpu", CRYO_CPU_FPU},
		     {"ins", CRYO_CPU_INS},
		     {"cpu", CRYO_CPU_ALL},
		     {"all", CRYO_CPU_FPU | CRYO_CPU_INS | CRYO_CPU_ALL},
		     {"none", 0}};
	g_auto(GStrv) list = g_strsplit(text ?: "all", ",", -1);

	*ret = 0;
	for (char **p = list; *p; p++) {
		bool no = g_str_has_prefix(*p, "no-"), known = false;

		for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
			if (strcmp(*p + 3 * no, modes[i].name) != 0)
				continue;
			known = true;
			if (strcmp(*p, "none") == 0)
				*ret = 0;
			*ret = no ? *ret & ~modes[i].bits : *ret | modes[i].bits;
		}
		if (!known)
			return err_set(EINVAL, "\"%s\" is not known", *p);
	}
	return 0;
}

static void append(char ***list, const char *text)
{
	size_t n = *list ? g_strv_length(*list) : 0;

	*list = g_renew(char *, *list, n + 2);
	(*list)[n] = g_strdup(text);
	(*list)[n + 1] = NULL;
}

static int store(const struct option_row *row, struct options *o, const char *text, bool negated)
{
	void *field = (char *)o + row->at;

	if (row->choices && text) {
		g_autofree char *word = g_strdup_printf(" %s ", text);

		if (!strstr(row->choices, word))
			return err_set(EINVAL, "\"%s\" is not one of:%.*s", text,
				       (int)strlen(row->choices) - 1, row->choices);
	}
	switch (row->kind) {
	case OPT_FLAG:
		*(bool *)field = !negated;
		return 0;
	case OPT_TEXT:
		*(const char **)field = text ?: "";
		return 0;
	case OPT_LIST:
		append(field, text);
		return 0;
	case OPT_NUMBER:
		return parse_number(text, row->most ?: INT32_MAX, field);
	case OPT_SIZE:
		return parse_size(text, field);
	case OPT_LEVEL:
		parse_level(text, field);
		return 0;
	case OPT_MODES:
		return parse_modes(text, field);
	}
	return 0;
}

static int take(struct options *o, int val, const char *text)
{
	const struct option_row *row = &option_rows[(val & ~NEGATED) - FIRST];
	int r;

	if (!row->help && !(val & NEGATED))
		return err_set(EOPNOTSUPP, "option --%s: %s", row->name, row->why_not);
	r = store(row, o, text, val & NEGATED);
	return r < 0 ? err_wrap(r, "option --%s", row->name) : 0;
}

static int by_brief(int c)
{
	for (size_t i = 0; i < option_count; i++)
		if (option_rows[i].brief == c)
			return FIRST + (int)i;
	return 0;
}

/* getopt(3) does not say which word it could not read when it was a long one. */
static int bad_word(char **argv, int c)
{
	const char *what = c == ':' ? "needs a value" : "is not known";

	if (optopt && optopt < FIRST)
		return err_set(EINVAL, "option -%c %s", optopt, what);
	return err_set(EINVAL, "option %s %s", argv[optind - 1], what);
}

/* Reads ARGV from word 1 on; what is no option is collected in O. */
static int parse(int argc, char **argv, struct options *o)
{
	CLEANUP(words_clear) struct words w;
	int c, r = 0;

	words_make(&w);
	opterr = 0;
	optind = 0; /* anew: glibc's way */
	while (r == 0 &&
	       (c = getopt_long(argc, argv, w.briefs->str,
				(const struct option *)(void *)w.longs->data, NULL)) != -1) {
		if (c == '?' || c == ':')
			return bad_word(argv, c);
		r = take(o, c < FIRST ? by_brief(c) : c, optarg);
	}
	for (int i = optind; r == 0 && i < argc; i++)
		g_ptr_array_add(o->words, argv[i]);
	return r;
}

/* Ends TEXT where its quotation mark is; \" is one that belongs to it. */
static bool unquote(char *text)
{
	char *to = text;

	for (; *text && *text != '"'; text++) {
		if (text[0] == '\\' && text[1] == '"')
			text++;
		*to++ = *text;
	}
	if (!*text)
		return false;
	*to = 0;
	return true;
}

/* "ghost-limit 1M", "leave-running", "log-file \"a b\""; = instead of the blank is fine, too. */
static int read_line(char *line, GPtrArray *to)
{
	char *name, *value, *end;

	line = g_strstrip(line);
	if (!*line || *line == '#')
		return 0;
	end = line + strcspn(line, " \t=");
	name = g_strndup(line, (size_t)(end - line));
	g_ptr_array_add(to, g_strconcat("--", name, NULL));
	g_free(name);
	value = end + strspn(end, " \t=");
	if (*value == '"') {
		if (!unquote(++value))
			return err_set(EINVAL, "a quotation mark is missing");
	} else {
		value[strcspn(value, " \t#")] = 0;
	}
	if (*value) {
		char *word = g_ptr_array_index(to, to->len - 1);

		g_ptr_array_index(to, to->len - 1) = g_strconcat(word, "=", value, NULL);
		g_free(word);
	}
	return 0;
}

static int read_config(const char *path, bool needed, struct options *o)
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	int r = file_read_at(AT_FDCWD, path, CONFIG_MAX, &text, NULL);

	if (r < 0) {
		if (needed || (r != -ENOENT && r != -ENOTDIR && r != -EACCES))
			return r;
		err_clear();
		return 0;
	}
	lines = g_strsplit(text, "\n", -1);
	g_ptr_array_add(argv, g_strdup("cryo"));
	for (unsigned i = 0; lines[i]; i++) {
		r = read_line(lines[i], argv);
		if (r < 0)
			return err_wrap(r, "%s: line %u", path, i + 1);
	}
	for (unsigned i = 0; i < argv->len; i++)
		g_ptr_array_add(o->kept, g_ptr_array_index(argv, i));
	r = parse((int)argv->len, (char **)argv->pdata, o);
	return r < 0 ? err_wrap(r, "%s", path) : 0;
}

int options_config(const char *path, struct options *o)
{
	return read_config(path, false, o);
}

static int read_configs(struct options *o, const struct options *line)
{
	g_autofree char *users = g_build_filename(g_get_home_dir(), ".criu/default.conf", NULL);
	const char *env = getenv("CRIU_CONFIG_FILE");
	int r = 0;

	/* as CRIU has it: who names a file of his own means that one */
	if (!line->no_default_config && !line->config) {
		r = read_config("/etc/criu/default.conf", false, o);
		if (r == 0)
			r = read_config(users, false, o);
	}
	if (r == 0 && env)
		r = read_config(env, false, o);
	if (r == 0 && line->config)
		r = read_config(line->config, true, o);
	return r;
}

static void init(struct options *o)
{
	*o = (struct options){.verbosity = -1,
			      .ghost_limit = UINT64_C(1) << 20, /* CRIU's */
			      .cpu_cap = 0,
			      .status_fd = -1,
			      .ps_socket = -1,
			      .words = g_ptr_array_new(),
			      .kept = g_ptr_array_new_with_free_func(g_free)};
}

int options_parse(int argc, char **argv, struct options *o)
{
	g_autofree char **copy = g_memdup2(argv, (size_t)(argc + 1) * sizeof(*argv));
	struct options line;
	int r;

	/* which files to read is said on the command line, which overrides them */
	init(o);
	init(&line);
	r = parse(argc, copy, &line);
	if (r == 0)
		r = read_configs(o, &line);
	options_clear(&line);
	if (r < 0)
		return r;
	g_ptr_array_set_size(o->words, 0);
	return parse(argc, argv, o);
}

void options_clear(struct options *o)
{
	g_clear_pointer(&o->externals, g_strfreev);
	g_clear_pointer(&o->mount_map, g_strfreev);
	g_clear_pointer(&o->action_scripts, g_strfreev);
	g_clear_pointer(&o->join_ns, g_strfreev);
	g_clear_pointer(&o->cgroup_roots, g_strfreev);
	g_clear_pointer(&o->cgroup_controllers, g_strfreev);
	g_clear_pointer(&o->veth_pairs, g_strfreev);
	g_clear_pointer(&o->skipped_mounts, g_strfreev);
	g_clear_pointer(&o->enabled_fs, g_strfreev);
	g_clear_pointer(&o->inherit_fds, g_strfreev);
	g_clear_pointer(&o->ignored_list, g_strfreev);
	g_clear_pointer(&o->closed, g_strfreev);
	g_clear_pointer(&o->words, g_ptr_array_unref);
	g_clear_pointer(&o->kept, g_ptr_array_unref);
}

static char *left_column(const struct option_row *row)
{
	char brief[] = "-?, ";

	brief[1] = row->brief;
	return g_strdup_printf("%s--%s%s%s", row->brief ? brief : "    ", row->name,
			       arg_of(row) == required_argument	  ? " "
			       : arg_of(row) == optional_argument ? "[="
								  : "",
			       row->arg ? row->arg + (arg_of(row) == optional_argument) : "");
}

void options_wrap(GString *to, unsigned column, const char *text)
{
	g_auto(GStrv) words = g_strsplit(text, " ", -1);
	size_t at = column;

	for (unsigned i = 0; words[i]; i++) {
		size_t n = strlen(words[i]);

		if (i && at + 1 + n > HELP_WIDTH) {
			g_string_append_printf(to, "\n%*s", (int)column, "");
			at = column;
		} else if (i) {
			g_string_append_c(to, ' ');
			at++;
		}
		g_string_append(to, words[i]);
		at += n;
	}
	g_string_append_c(to, '\n');
}

void options_help(GString *to)
{
	for (size_t i = 0; i < option_count; i++) {
		g_autofree char *left = left_column(&option_rows[i]);

		if (!option_rows[i].help)
			continue;
		g_string_append_printf(to, "  %-*s", HELP_COLUMN - 3, left);
		if (strlen(left) > HELP_COLUMN - 3)
			g_string_append_printf(to, "\n%*s", HELP_COLUMN, "");
		else
			g_string_append_c(to, ' ');
		options_wrap(to, HELP_COLUMN, option_rows[i].help);
	}
}

/* scdoc's own characters stay themselves. */
static void append_plain(GString *to, const char *text)
{
	for (; *text; text++) {
		if (strchr("\\*_~<>#", *text))
			g_string_append_c(to, '\\');
		g_string_append_c(to, *text);
	}
}

void options_manual(GString *to)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_rows[i];

		if (!row->help)
			continue;
		if (row->brief)
			g_string_append_printf(to, "*-%c*, ", row->brief);
		g_string_append_printf(to, "*--%s*", row->name);
		if (arg_of(row) == required_argument)
			g_string_append_c(to, ' ');
		else if (row->arg)
			g_string_append(to, "[=");
		append_plain(to, row->arg ? row->arg + (arg_of(row) == optional_argument) : "");
		g_string_append(to, "\n\t");
		append_plain(to, row->help);
		g_string_append(to, ".\n\n");
	}
}
