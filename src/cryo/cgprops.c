/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRIU's simple kind of YAML:
 *
 *	"cpu":
 *	 - "strategy": "replace"
 *	 - "properties": ["cpu.shares", "cpu.cfs_quota_us"]
 */
#include "cryo/cgprops.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define FILE_MAX (1u << 20)

/* Without blanks, dashes and quotation marks around it; in place. */
static char *bare(char *text)
{
	size_t len;

	text += strspn(text, " \t-\"'");
	len = strlen(text);
	while (len && strchr(" \t\r\"'", text[len - 1]))
		text[--len] = 0;
	return text;
}

static int take_names(char *list, struct cryo_cgroup_prop *p)
{
	char *end = strchr(list, ']');
	g_auto(GStrv) words = NULL;
	unsigned n = 0;

	if (*list != '[' || !end)
		return err_set(EINVAL, "properties are not in brackets");
	*end = 0;
	words = g_strsplit(list + 1, ",", -1);
	g_strfreev(p->names);
	p->names = g_new0(char *, g_strv_length(words) + 1);
	for (char **w = words; *w; w++)
		if (*bare(*w))
			p->names[n++] = g_strdup(bare(*w));
	return 0;
}

static int take_line(char *line, struct cryo_cgroup_props *ret)
{
	struct cryo_cgroup_prop *last = ret->n ? &ret->v[ret->n - 1] : NULL;
	char *colon, *key, *value;

	line = g_strstrip(line);
	if (!*line || *line == '#')
		return 0;
	colon = strchr(line, ':');
	if (!colon)
		return err_set(EINVAL, "\"%s\" has no colon", line);
	*colon = 0;
	key = bare(line);
	value = g_strstrip(colon + 1);
	if (!*value) {
		ret->v = g_renew(struct cryo_cgroup_prop, ret->v, ret->n + 1);
		ret->v[ret->n++] = (struct cryo_cgroup_prop){.controller = g_strdup(key)};
		return 0;
	}
	if (!last)
		return err_set(EINVAL, "\"%s\" is of no controller", key);
	if (strcmp(key, "properties") == 0)
		return take_names(value, last);
	value = bare(value);
	if (strcmp(key, "strategy") != 0 ||
	    (strcmp(value, "merge") != 0 && strcmp(value, "replace") != 0))
		return err_set(EINVAL,
			       "\"%s\": \"%s\" is neither a strategy (merge, replace) nor "
			       "properties",
			       key, value);
	last->replace = *value == 'r';
	return 0;
}

static int parse(const char *text, struct cryo_cgroup_props *ret)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	int r = 0;

	for (unsigned i = 0; r == 0 && lines[i]; i++) {
		r = take_line(lines[i], ret);
		if (r < 0)
			return err_wrap(r, "line %u", i + 1);
	}
	return r;
}

int cgprops_parse(const struct options *o, struct cryo_cgroup_props *ret)
{
	g_autofree char *text = NULL;
	int r = 0;

	ret->no_defaults = o->cgroup_props_only;
	if (o->cgroup_props)
		r = err_wrap(parse(o->cgroup_props, ret), "option --cgroup-props");
	if (r < 0 || !o->cgroup_props_file)
		return r;
	r = file_read_at(AT_FDCWD, o->cgroup_props_file, FILE_MAX, &text, NULL);
	if (r == 0)
		r = parse(text, ret);
	return r < 0 ? err_wrap(r, "option --cgroup-props-file %s", o->cgroup_props_file) : 0;
}

void cgprops_clear(struct cryo_cgroup_props *p)
{
	for (unsigned i = 0; i < p->n; i++) {
		g_free(p->v[i].controller);
		g_strfreev(p->v[i].names);
	}
	g_free(p->v);
	*p = (struct cryo_cgroup_props){0};
}
