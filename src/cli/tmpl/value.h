/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values as a Go template sees them.
 *
 * The engine hands out JSON.  Templates, written for Podman, address Go structs: other names
 * ("CgroupsVersion" for "cgroupVersion"), fields that JSON leaves out when they are zero, times
 * that print as "2026-11-21 07:42:09 +0000 UTC", and errors that name Go types.  So a value is
 * JSON plus the Go type that it stands for; without a type (GO_ANY) it is what JSON says.
 */
#pragma once

#include "base/err.h"

#include <jansson.h>

enum go_kind {
	GO_ANY, /* interface {}: decided by the JSON value */
	GO_BOOL,
	GO_INT,
	GO_FLOAT,
	GO_STRING,
	GO_TIME, /* RFC 3339 in JSON */
	GO_SLICE,
	GO_MAP, /* string keys */
	GO_STRUCT,
};

struct go_type;

struct go_field {
	const char *name;	    /* Go's */
	const char *key;	    /* JSON's; NULL: the same */
	const struct go_type *type; /* NULL: GO_ANY */
	bool alias;		    /* a second name, which printing the struct leaves out */
};

/* A method of a struct type, called with at most one string: {{.Label "x"}}. */
struct go_method {
	const char *name;
	const struct go_type *type;			/* of what it returns */
	json_t *(*call)(json_t *self, const char *arg); /* a new reference or NULL */
};

struct go_type {
	const char *name; /* Go's, for errors: "*define.InspectContainerState" */
	enum go_kind kind;
	const struct go_type *elem;    /* of slices and maps; NULL: GO_ANY */
	const struct go_field *fields; /* up to one without a name; NULL: any member of the JSON */
	const struct go_method *methods; /* up to one without a name, or NULL */
	bool pointer;			 /* absent is nil, not zero */
};

extern const struct go_type go_any, go_bool, go_int, go_float, go_string, go_time, go_strings,
	go_string_map, go_map, go_int_pointer, go_string_pointer;

/* J is borrowed or owned as the context says; NULL stands for the zero value of the type. */
struct go_value {
	const struct go_type *type; /* NULL: no value at all */
	json_t *j;
};

/* The kind behind an interface; GO_ANY means nil. */
enum go_kind go_kind_of(struct go_value v);

/* A value of unknown type. */
struct go_value go_of_json(json_t *j);

bool go_truth(struct go_value v);
/* What fmt's %v prints. */
void go_print(struct go_value v, GString *to);
/* The type's name for errors. */
const char *go_type_name(struct go_value v);
/* text/template's truth of emptiness: length of strings, slices and maps; -1 for others. */
ssize_t go_len(struct go_value v);

/* Borrowed values; .type NULL when there is no such field (STRUCT) or key (MAP). */
struct go_value go_field(struct go_value v, const char *name);
/* A map's value as "index" sees it: the zero value for a key that is missing. */
struct go_value go_key(struct go_value v, const char *key);
struct go_value go_element(struct go_value v, size_t i);
/* The keys of a map in Go's order (sorted), borrowed; free the array. */
GPtrArray *go_keys(struct go_value v);

/* As Go encodes it: the keys of maps are sorted, fields stay in their order.  A new reference. */
json_t *go_to_json(struct go_value v);

/* encoding/json without HTML escaping; indent 0: one line without blanks.  The caller frees. */
char *json_text(const json_t *j, unsigned indent);
