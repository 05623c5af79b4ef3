/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --format: rows of JSON through a Go template, with Podman's rules about tables and headers.
 *
 *	"table {{.ID}} {{.Names}}"	aligned columns under headers; blanks divide columns
 *	"{{.ID}} {{.Names}}"		as it stands, once per row, a newline behind each
 *	"json", "{{json .}}"		report_wants_json(): the caller prints the document
 *
 * "\t" and "\n" typed as two characters are translated.
 */
#pragma once

#include "cli/tmpl/value.h"

struct report_header {
	const char *field, *title;
};

struct report {
	const char *name;     /* of the command, for errors: "ps" */
	const char *format;   /* the user's, or NULL */
	const char *standard; /* used without one; begins with "table " */
	const struct go_type *row;
	const struct report_header *headers; /* where the title is not the field's own words */
	bool no_heading;
};

bool report_wants_json(const char *format);

/* Prints ROWS (a JSON array) to stdout.  What came before an error is printed as well. */
int report_print(const struct report *r, json_t *rows) MUST_CHECK;

/* "{{.State.Status}}" once per element, as inspect does it. */
int report_template(const char *name, const char *format, const struct go_type *row, json_t *rows)
	MUST_CHECK;

/* The document as it stands, and a newline. */
void report_json(const json_t *j, unsigned indent);
