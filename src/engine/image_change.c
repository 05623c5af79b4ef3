/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/image_change.h"

#include <errno.h>
#include <string.h>

static json_t *member(json_t *config, const char *key, json_t *fresh)
{
	json_t *have = json_object_get(config, key);

	if (have) {
		json_decref(fresh);
		return have;
	}
	json_object_set_new(config, key, fresh);
	return json_object_get(config, key);
}

static bool is_strings(const json_t *j)
{
	size_t i;
	json_t *v;

	if (!json_is_array(j))
		return false;
	json_array_foreach(j, i, v)
	{
		if (!json_is_string(v))
			return false;
	}
	return true;
}

/* CMD, ENTRYPOINT: a JSON list, or words for the shell. */
static int set_command(json_t *config, const char *key, const char *value)
{
	json_t *list = json_loads(value, 0, NULL);

	if (!is_strings(list)) {
		json_decref(list);
		list = json_pack("[s, s, s]", "/bin/sh", "-c", value);
	}
	if (!list)
		return err_set(EINVAL, "not UTF-8: %s", value);
	json_object_set_new(config, key, list);
	return 0;
}

static int set_string(json_t *config, const char *key, const char *value)
{
	json_object_set_new(config, key, json_string(value));
	return 0;
}

/* Docker's extension of the configuration. */
static int add_trigger(json_t *config, const char *key, const char *value)
{
	json_array_append_new(member(config, key, json_array()), json_string(value));
	return 0;
}

/* EXPOSE, VOLUME: one name, several words or a JSON list; members of an object. */
static int add_names(json_t *config, const char *key, const char *value)
{
	json_t *list = json_loads(value, 0, NULL), *v;
	g_auto(GStrv) words = g_strsplit_set(value, " \t", -1);
	bool port = !strcmp(key, "ExposedPorts");
	json_t *to = member(config, key, json_object());
	size_t i;

	if (is_strings(list)) {
		json_array_foreach(list, i, v)
			json_object_set_new(to, json_string_value(v), json_object());
	} else {
		for (char **w = words; *w; w++) {
			g_autofree char *name =
				g_strconcat(*w, port && !strchr(*w, '/') ? "/tcp" : "", NULL);

			if (**w)
				json_object_set_new(to, name, json_object());
		}
	}
	json_decref(list);
	return 0;
}

/* "NAME=value", or "NAME value" in the old form; quotes around the value are not part of it. */
static int split_pair(const char *text, char **ret_name, char **ret_value)
{
	size_t n = strcspn(text, "=");
	char *value;

	if (!text[n])
		n = strcspn(text, " ");
	if (!n)
		return err_set(EINVAL, "\"%s\" must be formatted as NAME=VALUE", text);
	value = g_strdup(text[n] ? text + n + 1 : "");
	if (strlen(value) >= 2 && (*value == '"' || *value == '\'') &&
	    value[strlen(value) - 1] == *value) {
		value[strlen(value) - 1] = 0;
		memmove(value, value + 1, strlen(value));
	}
	*ret_name = g_strndup(text, n);
	*ret_value = value;
	return 0;
}

static int add_env(json_t *config, const char *key, const char *text)
{
	g_autofree char *name = NULL, *value = NULL, *pair = NULL, *start = NULL;
	json_t *env = member(config, key, json_array()), *v;
	int r = split_pair(text, &name, &value);
	size_t i;

	if (r < 0)
		return r;
	pair = g_strdup_printf("%s=%s", name, value);
	start = g_strdup_printf("%s=", name);
	json_array_foreach(env, i, v)
	{
		if (g_str_has_prefix(json_string_value(v), start)) {
			json_array_set_new(env, i, json_string(pair));
			return 0;
		}
	}
	json_array_append_new(env, json_string(pair));
	return 0;
}

static int add_label(json_t *config, const char *key, const char *text)
{
	g_autofree char *name = NULL, *value = NULL;
	int r = split_pair(text, &name, &value);

	if (r == 0)
		json_object_set_new(member(config, key, json_object()), name, json_string(value));
	return r;
}

static const struct {
	const char *instruction, *key;
	int (*apply)(json_t *config, const char *key, const char *value);
} instructions[] = {
	{"CMD", "Cmd", set_command},
	{"ENTRYPOINT", "Entrypoint", set_command},
	{"ENV", "Env", add_env},
	{"EXPOSE", "ExposedPorts", add_names},
	{"LABEL", "Labels", add_label},
	{"ONBUILD", "OnBuild", add_trigger},
	{"STOPSIGNAL", "StopSignal", set_string},
	{"USER", "User", set_string},
	{"VOLUME", "Volumes", add_names},
	{"WORKDIR", "WorkingDir", set_string},
};

int image_change(json_t *config, const char *change)
{
	const char *end = strpbrk(change, " =");
	g_autofree char *word = NULL, *value = NULL;

	if (!end)
		return err_set(EINVAL, "invalid change \"%s\" - must be formatted as KEY VALUE",
			       change);
	word = g_strndup(change, (gsize)(end - change));
	value = g_strstrip(g_strdup(end + 1));
	for (unsigned i = 0; i < ARRAY_SIZE(instructions); i++) {
		int r;

		if (g_ascii_strcasecmp(instructions[i].instruction, g_strstrip(word)))
			continue;
		r = instructions[i].apply(config, instructions[i].key, value);
		return r < 0 ? err_wrap(r, "invalid change \"%s\"", change) : 0;
	}
	return err_set(EINVAL, "invalid change \"%s\" - invalid instruction %s", change, word);
}
