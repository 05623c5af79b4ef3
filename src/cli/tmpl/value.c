/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tmpl/value.h"

#include "cli/human.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct go_type go_any = {"interface {}", GO_ANY};
const struct go_type go_bool = {"bool", GO_BOOL};
const struct go_type go_int = {"int", GO_INT};
const struct go_type go_float = {"float64", GO_FLOAT};
const struct go_type go_string = {"string", GO_STRING};
const struct go_type go_time = {"time.Time", GO_TIME};
const struct go_type go_strings = {"[]string", GO_SLICE, &go_string};
const struct go_type go_string_map = {"map[string]string", GO_MAP, &go_string};
const struct go_type go_int_pointer = {.name = "*int64", .kind = GO_INT, .pointer = true};
const struct go_type go_string_pointer = {.name = "*string", .kind = GO_STRING, .pointer = true};
const struct go_type go_map = {"map[string]interface {}", GO_MAP, &go_any};

static enum go_kind kind_of_json(const json_t *j)
{
	switch (j ? json_typeof(j) : JSON_NULL) {
	case JSON_TRUE:
	case JSON_FALSE:
		return GO_BOOL;
	case JSON_INTEGER:
		return GO_INT;
	case JSON_REAL:
		return GO_FLOAT;
	case JSON_STRING:
		return GO_STRING;
	case JSON_ARRAY:
		return GO_SLICE;
	case JSON_OBJECT:
		return GO_MAP;
	case JSON_NULL:
		break;
	}
	return GO_ANY;
}

enum go_kind go_kind_of(struct go_value v)
{
	if (!v.type)
		return GO_ANY;
	if (v.type->pointer && (!v.j || json_is_null(v.j)))
		return GO_ANY;
	return v.type->kind == GO_ANY ? kind_of_json(v.j) : v.type->kind;
}

struct go_value go_of_json(json_t *j)
{
	return (struct go_value){&go_any, j};
}

const char *go_type_name(struct go_value v)
{
	return v.type ? v.type->name : "nil";
}

ssize_t go_len(struct go_value v)
{
	switch (go_kind_of(v)) {
	case GO_STRING:
		return json_is_string(v.j) ? (ssize_t)json_string_length(v.j) : 0;
	case GO_SLICE:
		return json_is_array(v.j) ? (ssize_t)json_array_size(v.j) : 0;
	case GO_MAP:
		return json_is_object(v.j) ? (ssize_t)json_object_size(v.j) : 0;
	default:
		return -1;
	}
}

bool go_truth(struct go_value v)
{
	switch (go_kind_of(v)) {
	case GO_BOOL:
		return json_is_true(v.j);
	case GO_INT:
		return json_integer_value(v.j) != 0;
	case GO_FLOAT:
		return json_number_value(v.j) != 0;
	case GO_STRING:
	case GO_SLICE:
	case GO_MAP:
		return go_len(v) > 0;
	case GO_TIME:
	case GO_STRUCT:
		return true;
	case GO_ANY:
		break;
	}
	return false;
}

struct go_value go_element(struct go_value v, size_t i)
{
	const struct go_type *elem = v.type->elem ? v.type->elem : &go_any;

	return (struct go_value){elem, json_array_get(v.j, i)};
}

static struct go_value map_get(struct go_value v, const char *name)
{
	json_t *j = json_object_get(v.j, name);
	const struct go_type *elem = v.type->elem ? v.type->elem : &go_any;

	return (struct go_value){j ? elem : NULL, j};
}

struct go_value go_key(struct go_value v, const char *key)
{
	return (struct go_value){v.type->elem ? v.type->elem : &go_any, json_object_get(v.j, key)};
}

struct go_value go_field(struct go_value v, const char *name)
{
	if (go_kind_of(v) == GO_MAP)
		return map_get(v, name);
	if (!v.type->fields) {
		json_t *j = json_object_get(v.j, name);

		return (struct go_value){j ? &go_any : NULL, j};
	}
	for (const struct go_field *f = v.type->fields; f->name; f++)
		if (!strcmp(f->name, name))
			return (struct go_value){f->type ? f->type : &go_any,
						 json_object_get(v.j, f->key ? f->key : f->name)};
	return (struct go_value){NULL, NULL};
}

static int key_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *go_keys(struct go_value v)
{
	GPtrArray *keys = g_ptr_array_new();
	const char *key;
	json_t *value;

	json_object_foreach(v.j, key, value) g_ptr_array_add(keys, (void *)key);
	g_ptr_array_sort(keys, key_order);
	return keys;
}

static void print_float(double d, GString *to)
{
	char text[64];

	/* %v is %g with the shortest digits that read back the same, exponent from 21 on. */
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, d);
		if (strtod(text, NULL) == d)
			break;
	}
	if (strchr(text, 'e') && fabs(d) < 1e21 && fabs(d) >= 1)
		snprintf(text, sizeof(text), "%.0f", d);
	g_string_append(to, text);
}

static void print_struct(struct go_value v, GString *to)
{
	bool first = true;

	g_string_append_c(to, '{');
	for (const struct go_field *f = v.type->fields; f && f->name; f++) {
		if (f->alias)
			continue;
		if (!first)
			g_string_append_c(to, ' ');
		first = false;
		go_print(go_field(v, f->name), to);
	}
	g_string_append_c(to, '}');
}

static void print_map(struct go_value v, GString *to)
{
	g_autoptr(GPtrArray) keys = go_keys(v);

	g_string_append(to, "map[");
	for (guint i = 0; i < keys->len; i++) {
		g_string_append_printf(to, "%s%s:", i ? " " : "", (char *)keys->pdata[i]);
		go_print(map_get(v, keys->pdata[i]), to);
	}
	g_string_append_c(to, ']');
}

void go_print(struct go_value v, GString *to)
{
	switch (go_kind_of(v)) {
	case GO_BOOL:
		g_string_append(to, json_is_true(v.j) ? "true" : "false");
		break;
	case GO_INT:
		g_string_append_printf(to, "%" JSON_INTEGER_FORMAT, json_integer_value(v.j));
		break;
	case GO_FLOAT:
		print_float(json_number_value(v.j), to);
		break;
	case GO_STRING:
		if (json_is_string(v.j))
			g_string_append_len(to, json_string_value(v.j), json_string_length(v.j));
		break;
	case GO_TIME:
		human_go_time(json_string_value(v.j), to);
		break;
	case GO_SLICE:
		g_string_append_c(to, '[');
		for (ssize_t i = 0; i < go_len(v); i++) {
			if (i)
				g_string_append_c(to, ' ');
			go_print(go_element(v, i), to);
		}
		g_string_append_c(to, ']');
		break;
	case GO_MAP:
		print_map(v, to);
		break;
	case GO_STRUCT:
		print_struct(v, to);
		break;
	case GO_ANY:
		g_string_append(to, v.type ? "<nil>" : "<no value>");
		break;
	}
}

static json_t *zero_json(enum go_kind kind)
{
	switch (kind) {
	case GO_BOOL:
		return json_false();
	case GO_INT:
		return json_integer(0);
	case GO_FLOAT:
		return json_real(0);
	case GO_STRING:
		return json_string("");
	case GO_TIME:
		return json_string("0001-01-01T00:00:00Z");
	default:
		return json_null();
	}
}

static json_t *map_to_json(struct go_value v)
{
	g_autoptr(GPtrArray) keys = go_keys(v);
	json_t *out = json_object();

	for (guint i = 0; i < keys->len; i++)
		json_object_set_new(out, keys->pdata[i], go_to_json(map_get(v, keys->pdata[i])));
	return out;
}

/* In the order of the document: an encoder of Go writes fields as they are declared. */
static json_t *struct_to_json(struct go_value v)
{
	json_t *out = json_object(), *member;
	const char *key;

	json_object_foreach(v.j, key, member)
	{
		const struct go_type *type = &go_any;

		for (const struct go_field *f = v.type->fields; f && f->name; f++)
			if (!strcmp(f->key ? f->key : f->name, key) && f->type)
				type = f->type;
		json_object_set_new(out, key, go_to_json((struct go_value){type, member}));
	}
	return out;
}

json_t *go_to_json(struct go_value v)
{
	json_t *out;

	if (!v.j)
		return v.type && !v.type->pointer ? zero_json(v.type->kind) : json_null();
	if (json_is_object(v.j))
		return v.type->kind == GO_STRUCT ? struct_to_json(v) : map_to_json(v);
	if (!json_is_array(v.j))
		return json_incref(v.j);
	out = json_array();
	for (size_t i = 0; i < json_array_size(v.j); i++)
		json_array_append_new(out, go_to_json(go_element(v, i)));
	return out;
}

char *json_text(const json_t *j, unsigned indent)
{
	/* jansson escapes neither <, > and & nor non-ASCII, like Go with SetEscapeHTML(false). */
	size_t flags = JSON_ENCODE_ANY | (indent ? JSON_INDENT(indent) : JSON_COMPACT);
	char *text = json_dumps(j, flags);

	return text ? text : g_strdup("null");
}
