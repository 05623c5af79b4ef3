/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, as pflag reads it. */
#include "cli/opt.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool in_list(const char *list, const char *name, size_t len)
{
	while (list && *list) {
		size_t n = strcspn(list, ",");

		if (n == len && !memcmp(list, name, len))
			return true;
		list += n + (list[n] == ',');
	}
	return false;
}

const struct opt *opt_find(const struct opt *opts, const char *name, size_t len)
{
	for (const struct opt *o = opts; o->name; o++)
		if ((strlen(o->name) == len && !memcmp(o->name, name, len)) ||
		    in_list(o->aliases, name, len))
			return o;
	return NULL;
}

static const struct opt *find_long(const struct opt_table *t, size_t n, const char *name,
				   size_t len, void **into)
{
	for (size_t i = 0; i < n; i++) {
		const struct opt *o = opt_find(t[i].opts, name, len);

		if (o) {
			*into = t[i].into;
			return o;
		}
	}
	return NULL;
}

static const struct opt *find_brief(const struct opt_table *t, size_t n, char c, void **into)
{
	for (size_t i = 0; i < n; i++)
		for (const struct opt *o = t[i].opts; o->name; o++)
			if (o->brief == c) {
				*into = t[i].into;
				return o;
			}
	return NULL;
}

/* strconv.ParseInt and friends report "parsing "x": invalid syntax" or "... value out of range". */
static int bad_number(const char *func, const char *value, bool range)
{
	return err_set(EINVAL, "strconv.%s: parsing \"%s\": %s", func, value,
		       range ? "value out of range" : "invalid syntax");
}

static int parse_bool(const char *v, bool *ret)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
	static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (!strcmp(v, yes[i]) || !strcmp(v, no[i])) {
			*ret = !strcmp(v, yes[i]);
			return 0;
		}
	}
	return bad_number("ParseBool", v, false);
}

/* Base 0 as in Go: 0x, 0o, 0b and 0 prefixes. */
static int parse_int(const char *v, int64_t *ret)
{
	const char *digits = v + (*v == '-' || *v == '+');
	int base = 0;
	char *end;

	if (!isdigit((unsigned char)*digits))
		return bad_number("ParseInt", v, false);
	if (digits == v && digits[0] == '0' && (digits[1] == 'o' || digits[1] == 'b')) {
		base = digits[1] == 'o' ? 8 : 2;
		v += 2;
	}
	errno = 0;
	*ret = strtoll(v, &end, base);
	if (*end || end == v)
		return bad_number("ParseInt", v, false);
	return errno ? bad_number("ParseInt", v, true) : 0;
}

static int parse_uint(const char *v, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)*v))
		return bad_number("ParseUint", v, false);
	errno = 0;
	*ret = strtoull(v, &end, 0);
	if (*end)
		return bad_number("ParseUint", v, false);
	return errno ? bad_number("ParseUint", v, true) : 0;
}

static int parse_float(const char *v, double *ret)
{
	char *end;

	*ret = g_ascii_strtod(v, &end);
	if (!*v || *end || isspace((unsigned char)*v))
		return bad_number("ParseFloat", v, false);
	return 0;
}

/* Appends TEXT, which the list owns from now on. */
static void append_take(char ***list, char *text)
{
	size_t n = *list ? g_strv_length(*list) : 0;

	*list = g_renew(char *, *list, n + 2);
	(*list)[n] = text;
	(*list)[n + 1] = NULL;
}

/* encoding/csv's one record: "a,b" in double quotes keeps its comma, "" is a quote. */
static void split_commas(char ***into, const char *v)
{
	while (*v) {
		GString *s = g_string_new(NULL);
		bool quoted = *v == '"';

		v += quoted;
		for (; *v && (quoted || *v != ','); v++) {
			if (quoted && *v == '"') {
				if (v[1] != '"') {
					quoted = false;
					continue;
				}
				v++;
			}
			g_string_append_c(s, *v);
		}
		append_take(into, g_string_free(s, FALSE));
		if (*v == ',' && !*++v)
			append_take(into, g_strdup(""));
	}
}

static int check_choice(const struct opt *o, const char *value)
{
	g_auto(GStrv) choices = g_strsplit(o->choices, ", ", -1);

	if (g_strv_contains((const char *const *)choices, value))
		return 0;
	return err_set(EINVAL, "\"%s\" is not a valid value.  Choose from: \"%s\"", value,
		       o->choices);
}

static int store(const struct opt *o, void *into, const char *value)
{
	void *field = (char *)into + o->at;

	if (o->choices) {
		int r = check_choice(o, value);

		if (r < 0)
			return r;
	}
	switch (o->kind) {
	case OPT_BOOL:
		return parse_bool(value, field);
	case OPT_STRING:
		*(const char **)field = value;
		return 0;
	case OPT_OWNED:
		g_free(*(char **)field);
		*(char **)field = g_strdup(value);
		return 0;
	case OPT_INT:
		return parse_int(value, field);
	case OPT_UINT:
		return parse_uint(value, field);
	case OPT_FLOAT:
		return parse_float(value, field);
	case OPT_LIST:
		split_commas(field, value);
		return 0;
	case OPT_WHOLE:
		append_take(field, g_strdup(value));
		return 0;
	}
	return 0;
}

static int set(const struct opt *o, void *into, const char *value, struct opt_parsed *out)
{
	if (store(o, into, value) < 0) {
		g_autofree char *why = g_strdup(err_message());

		if (o->brief)
			return err_set(EINVAL, "invalid argument \"%s\" for \"-%c, --%s\" flag: %s",
				       value, o->brief, o->name, why);
		return err_set(EINVAL, "invalid argument \"%s\" for \"--%s\" flag: %s", value,
			       o->name, why);
	}
	g_ptr_array_add(out->given, (void *)o);
	return 0;
}

/* "--name", "--name=value", "--name value".  Returns how many words were used. */
static int parse_long(const struct opt_table *t, size_t n, char **argv, struct opt_parsed *out)
{
	const char *name = argv[0] + 2, *eq = strchr(name, '=');
	size_t len = eq ? (size_t)(eq - name) : strlen(name);
	void *into = NULL;
	const struct opt *o;
	int r;

	if (!len || name[0] == '-')
		return err_set(EINVAL, "bad flag syntax: %s", argv[0]);
	o = find_long(t, n, name, len, &into);
	if (!o && !strncmp(name, "help", len) && len == 4) {
		out->help = !eq || strcmp(eq, "=false") != 0;
		return 1;
	}
	if (!o)
		return err_set(EINVAL, "unknown flag: --%.*s", (int)len, name);
	if (eq || o->kind == OPT_BOOL) {
		r = set(o, into, eq ? eq + 1 : "true", out);
		return r < 0 ? r : 1;
	}
	if (!argv[1])
		return err_set(EINVAL, "flag needs an argument: --%.*s", (int)len, name);
	r = set(o, into, argv[1], out);
	return r < 0 ? r : 2;
}

/* "-d", "-dit", "-nvalue", "-n=value", "-n value", "-itn value". */
static int parse_brief(const struct opt_table *t, size_t n, char **argv, struct opt_parsed *out)
{
	for (const char *p = argv[0] + 1; *p; p++) {
		void *into = NULL;
		const struct opt *o = find_brief(t, n, *p, &into);
		bool last = !p[1];
		int r;

		if (!o && *p == 'h') {
			out->help = true;
			continue;
		}
		if (!o)
			return err_set(EINVAL, "unknown shorthand flag: '%c' in -%s", *p, p);
		if (p[1] == '=' && p[2]) {
			r = set(o, into, p + 2, out);
			return r < 0 ? r : 1;
		}
		if (o->kind == OPT_BOOL) {
			r = set(o, into, "true", out);
			if (r < 0)
				return r;
			continue;
		}
		if (last && !argv[1])
			return err_set(EINVAL, "flag needs an argument: '%c' in -%s", *p, p);
		r = set(o, into, last ? argv[1] : p + 1, out);
		return r < 0 ? r : 1 + last;
	}
	return 1;
}

int opt_parse(const struct opt_table *tables, size_t n, bool stop_at_arg, char **argv,
	      struct opt_parsed *out)
{
	*out = (struct opt_parsed){
		.args = g_ptr_array_new_null_terminated(4, NULL, TRUE),
		.given = g_ptr_array_new(),
	};
	while (*argv) {
		int used = 1;

		if (argv[0][0] != '-' || !argv[0][1]) {
			g_ptr_array_add(out->args, *argv);
			if (stop_at_arg) {
				while (*++argv)
					g_ptr_array_add(out->args, *argv);
				return 0;
			}
		} else if (!strcmp(*argv, "--")) {
			while (*++argv)
				g_ptr_array_add(out->args, *argv);
			return 0;
		} else {
			used = argv[0][1] == '-' ? parse_long(tables, n, argv, out)
						 : parse_brief(tables, n, argv, out);
			if (used < 0)
				return used;
		}
		argv += used;
	}
	return 0;
}

void opt_parsed_clear(struct opt_parsed *p)
{
	g_clear_pointer(&p->args, g_ptr_array_unref);
	g_clear_pointer(&p->given, g_ptr_array_unref);
}

bool opt_given(const struct opt_parsed *p, const char *name)
{
	for (guint i = 0; i < p->given->len; i++)
		if (!strcmp(((const struct opt *)p->given->pdata[i])->name, name))
			return true;
	return false;
}

void opt_free(const struct opt *opts, void *into)
{
	for (const struct opt *o = opts; o->name; o++) {
		void *field = (char *)into + o->at;

		if (o->kind == OPT_LIST || o->kind == OPT_WHOLE)
			g_clear_pointer((char ***)field, g_strfreev);
		else if (o->kind == OPT_OWNED)
			g_clear_pointer((char **)field, g_free);
	}
}

const char *opt_arg_word(const struct opt *o)
{
	static const char *const words[] = {
		[OPT_BOOL] = "",	[OPT_STRING] = "string",     [OPT_OWNED] = "string",
		[OPT_INT] = "int",	[OPT_UINT] = "uint",	     [OPT_FLOAT] = "float",
		[OPT_LIST] = "strings", [OPT_WHOLE] = "stringArray",
	};

	return o->arg ? o->arg : words[o->kind];
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct opt *const *)a)->name, (*(const struct opt *const *)b)->name);
}

static char *left_column(const struct opt *o)
{
	const char *word = opt_arg_word(o);

	if (o->brief)
		return g_strdup_printf("  -%c, --%s%s%s", o->brief, o->name, *word ? " " : "",
				       word);
	return g_strdup_printf("      --%s%s%s", o->name, *word ? " " : "", word);
}

static void append_default(const struct opt *o, GString *to)
{
	if (!o->def)
		return;
	if ((o->kind == OPT_STRING || o->kind == OPT_OWNED) && !o->choices)
		g_string_append_printf(to, " (default \"%s\")", o->def);
	else
		g_string_append_printf(to, " (default %s)", o->def);
}

void opt_help(const struct opt *opts, GString *to)
{
	g_autoptr(GPtrArray) sorted = g_ptr_array_new();
	size_t width = 0;

	for (const struct opt *o = opts; o->name; o++) {
		g_autofree char *left = left_column(o);

		if (o->hidden)
			continue;
		width = MAX(width, strlen(left));
		g_ptr_array_add(sorted, (void *)o);
	}
	g_ptr_array_sort(sorted, by_name);
	for (guint i = 0; i < sorted->len; i++) {
		const struct opt *o = sorted->pdata[i];
		g_autofree char *left = left_column(o);
		g_auto(GStrv) lines = g_strsplit(o->help, "\n", -1);
		g_autofree char *indent = g_strdup_printf("\n%*s", (int)width + 3, "");
		g_autofree char *text = g_strjoinv(indent, lines);

		g_string_append_printf(to, "%-*s   %s", (int)width, left, text);
		append_default(o, to);
		g_string_append_c(to, '\n');
	}
}
