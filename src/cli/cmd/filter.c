/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/filter.h"

#include "cli/human.h"
#include "engine/image.h"
#include "engine/network.h"
#include "engine/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct filter_row;

struct filter_key {
	const char *name;
	/* Checks and resolves the value; may be NULL. */
	int (*prepare)(struct engine *e, struct filter_row *row);
	bool (*match)(const struct filter_row *row, const struct container *c);
	bool every; /* all values of this key must match */
};

struct filter_row {
	const struct filter_key *key;
	char *value;
	int64_t number; /* resolved: a time, a status, an exit code */
	char *id;	/* resolved: an image or container */
	GRegex *regex;
};

bool filter_label(const char *value, const json_t *labels)
{
	const char *eq = strchr(value, '=');
	g_autofree char *name = g_strndup(value, eq ? (size_t)(eq - value) : strlen(value));
	const char *have = json_string_value(json_object_get(labels, name));

	return have && (!eq || !strcmp(have, eq + 1));
}

static int prepare_regex(struct engine *e, struct filter_row *row)
{
	g_autoptr(GError) error = NULL;

	row->regex = g_regex_new(row->value, G_REGEX_RAW, 0, &error);
	if (!row->regex)
		return err_set(EINVAL, "invalid filter \"%s=%s\": %s", row->key->name, row->value,
			       error->message);
	return 0;
}

static bool match_id(const struct filter_row *row, const struct container *c)
{
	return g_str_has_prefix(c->id, row->value) || g_regex_match(row->regex, c->id, 0, NULL);
}

static bool match_name(const struct filter_row *row, const struct container *c)
{
	return g_regex_match(row->regex, c->name, 0, NULL);
}

static bool match_label(const struct filter_row *row, const struct container *c)
{
	return filter_label(row->value, json_object_get(c->config, "labels"));
}

static bool match_not_label(const struct filter_row *row, const struct container *c)
{
	return !match_label(row, c);
}

static int prepare_status(struct engine *e, struct filter_row *row)
{
	enum container_status s;
	int r = container_status_parse(row->value, &s);

	row->number = s;
	return r;
}

static bool match_status(const struct filter_row *row, const struct container *c)
{
	/* "stopped" and "exited" are one state to people. */
	if (row->number == CONTAINER_EXITED || row->number == CONTAINER_STOPPED)
		return c->state.status == CONTAINER_EXITED || c->state.status == CONTAINER_STOPPED;
	return c->state.status == row->number;
}

static int prepare_number(struct engine *e, struct filter_row *row)
{
	char *end;

	row->number = strtol(row->value, &end, 10);
	if (!*row->value || *end)
		return err_set(EINVAL, "exited code out of range \"%s\"", row->value);
	return 0;
}

static bool match_exited(const struct filter_row *row, const struct container *c)
{
	return (c->state.status == CONTAINER_EXITED || c->state.status == CONTAINER_STOPPED) &&
	       c->state.exit_code == row->number;
}

static int prepare_ancestor(struct engine *e, struct filter_row *row)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	int r = image_resolve(e, row->value, &img);

	if (r == -ENOENT) {
		err_clear(); /* the name may still be that of an image that is gone */
		return 0;
	}
	if (r >= 0)
		row->id = g_strdup(img.id);
	return r;
}

static bool match_ancestor(const struct filter_row *row, const struct container *c)
{
	if (row->id && c->image_id && !strcmp(row->id, c->image_id))
		return true;
	return c->image_name && strstr(c->image_name, row->value);
}

static int prepare_container_time(struct engine *e, struct filter_row *row)
{
	CLEANUP(container_unref) struct container *c = NULL;
	int r = container_find(e, row->value, &c);

	if (r >= 0)
		row->number = c->created_ns;
	return r;
}

static int prepare_until(struct engine *e, struct filter_row *row)
{
	if (!human_parse_when(row->value, engine_now_ns(), &row->number))
		return err_set(EINVAL, "unable to interpret time value \"%s\"", row->value);
	return 0;
}

static bool match_before(const struct filter_row *row, const struct container *c)
{
	return c->created_ns < row->number;
}

static bool match_since(const struct filter_row *row, const struct container *c)
{
	return c->created_ns > row->number;
}

static json_t *options_member(const struct container *c, const char *name)
{
	return json_object_get(json_object_get(c->config, "options"), name);
}

static bool match_network(const struct filter_row *row, const struct container *c)
{
	const char *wanted = json_string_value(options_member(c, "network"));

	if (json_object_get(c->state.network, row->value))
		return true;
	return !strcmp(wanted ? wanted : "bridge", row->value) ||
	       (!wanted && !strcmp(row->value, NETWORK_DEFAULT));
}

static bool mentions(json_t *list, const char *value)
{
	json_t *text;
	size_t i;

	json_array_foreach(list, i, text) if (strstr(json_string_value(text), value)) return true;
	return false;
}

static bool match_volume(const struct filter_row *row, const struct container *c)
{
	return mentions(options_member(c, "volumes"), row->value) ||
	       mentions(options_member(c, "mounts"), row->value);
}

static bool match_restart(const struct filter_row *row, const struct container *c)
{
	const char *policy = json_string_value(options_member(c, "restart"));

	return !strcmp(policy ? policy : "no", row->value);
}

static bool match_command(const struct filter_row *row, const struct container *c)
{
	const char *first =
		json_string_value(json_array_get(json_object_get(c->config, "argv"), 0));

	return first && g_regex_match(row->regex, first, 0, NULL);
}

/* No container has a health check or a pod. */
static bool match_none(const struct filter_row *row, const struct container *c)
{
	return false;
}

static bool match_health(const struct filter_row *row, const struct container *c)
{
	return !strcmp(row->value, "none");
}

static const struct filter_key keys[] = {
	{"id", prepare_regex, match_id},
	{"name", prepare_regex, match_name},
	{"label", NULL, match_label, true},
	{"label!", NULL, match_not_label, true},
	{"status", prepare_status, match_status},
	{"exited", prepare_number, match_exited},
	{"ancestor", prepare_ancestor, match_ancestor},
	{"before", prepare_container_time, match_before},
	{"since", prepare_container_time, match_since},
	{"until", prepare_until, match_before},
	{"network", NULL, match_network},
	{"volume", NULL, match_volume},
	{"restart-policy", NULL, match_restart},
	{"command", prepare_regex, match_command},
	{"health", NULL, match_health},
	{"pod", NULL, match_none},
};

static const struct filter_key *find_key(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strlen(keys[i].name) == len && !memcmp(keys[i].name, name, len))
			return &keys[i];
	return NULL;
}

static void row_clear(void *data)
{
	struct filter_row *row = data;

	g_free(row->value);
	g_free(row->id);
	g_clear_pointer(&row->regex, g_regex_unref);
}

int filters_parse(struct engine *e, char *const *texts, struct filters *ret)
{
	ret->rows = g_array_new(FALSE, FALSE, sizeof(struct filter_row));
	g_array_set_clear_func(ret->rows, row_clear);
	for (; texts && *texts; texts++) {
		const char *eq = strchr(*texts, '=');
		size_t len = eq ? (size_t)(eq - *texts) : 0;
		struct filter_row row = {0};
		int r;

		if (!eq)
			return err_set(EINVAL, "invalid filter \"%s\"", *texts);
		row.key = find_key(*texts, len);
		if (!row.key)
			return err_set(EINVAL, "%.*s is an invalid filter", (int)len, *texts);
		row.value = g_strdup(eq + 1);
		r = row.key->prepare ? row.key->prepare(e, &row) : 0;
		g_array_append_val(ret->rows, row);
		if (r < 0)
			return r;
	}
	return 0;
}

bool filters_match(const struct filters *f, const struct container *c)
{
	for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
		unsigned asked = 0, matched = 0;

		for (guint i = 0; f->rows && i < f->rows->len; i++) {
			const struct filter_row *row =
				&g_array_index(f->rows, struct filter_row, i);

			if (row->key != &keys[k])
				continue;
			asked++;
			matched += row->key->match(row, c);
		}
		if (asked && (keys[k].every ? matched < asked : !matched))
			return false;
	}
	return true;
}

void filters_clear(struct filters *f)
{
	g_clear_pointer(&f->rows, g_array_unref);
}
