/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options, declared once: parsing, --help, completion and the manual's OPTIONS all read the same
 * table.
 *
 *	struct rm_opts { bool force; uint64_t time; char **cidfile; };
 *
 *	static const struct opt rm_options[] = {
 *		OPT(struct rm_opts, force, "force", 'f', "Force removal ..."),
 *		OPT(struct rm_opts, cidfile, "cidfile", 0, "Read the ID from the file"),
 *		{}
 *	};
 *
 * The field's type picks the kind, so that a table cannot disagree with its struct.  Rules and
 * texts are pflag's (github.com/spf13/pflag), which Podman parses with: scripts match on them.
 */
#pragma once

#include "base/err.h"

enum opt_kind {
	OPT_BOOL,   /* bool: --x, --x=false */
	OPT_STRING, /* const char *: borrowed from argv */
	OPT_OWNED,  /* char *: a copy, freed by opt_free() */
	OPT_INT,    /* int64_t */
	OPT_UINT,   /* uint64_t */
	OPT_FLOAT,  /* double */
	OPT_LIST,  /* char **: NULL-terminated, NULL when never given; commas split (CSV quoting) */
	OPT_WHOLE, /* the same without splitting */
};

struct opt {
	const char *name; /* long name without dashes; NULL ends a table */
	char brief;	  /* short name or 0 */
	enum opt_kind kind;
	size_t at; /* offset of the field */
	const char *help;
	const char *aliases; /* further long names: "net,lan" */
	const char *arg;     /* what --help calls the value; NULL: pflag's word for the kind */
	const char *def;     /* default as --help shows it, without "(default )", or NULL */
	const char *choices; /* the only legal values: "a, b, c", or NULL */
	bool hidden;
};

#define OPT_KIND(type, field)                                                                      \
	_Generic(((type *)0)->field,                                                               \
		bool: OPT_BOOL,                                                                    \
		const char *: OPT_STRING,                                                          \
		int64_t: OPT_INT,                                                                  \
		uint64_t: OPT_UINT,                                                                \
		char *: OPT_OWNED,                                                                 \
		double: OPT_FLOAT,                                                                 \
		char **: OPT_LIST)

#define OPT_ROW(type, field, kind_, long_, short_, help_, ...)                                     \
	{                                                                                          \
		.name = (long_), .brief = (short_), .kind = (kind_), .at = offsetof(type, field),  \
		.help = (help_), __VA_ARGS__                                                       \
	}
/* Further fields of struct opt may follow: OPT(..., "text", .def = "10"). */
#define OPT(type, field, ...) OPT_ROW(type, field, OPT_KIND(type, field), __VA_ARGS__)
/* A list whose values are not split at commas. */
#define OPT_ARRAY(type, field, ...) OPT_ROW(type, field, OPT_WHOLE, __VA_ARGS__)

struct opt_table {
	const struct opt *opts; /* up to an entry without a name */
	void *into;
};

struct opt_parsed {
	GPtrArray *args;  /* what is no option; borrowed strings, NULL-terminated */
	GPtrArray *given; /* const struct opt *, in the order of the command line */
	bool help;	  /* --help or, where no option has that letter, -h */
};

void opt_parsed_clear(struct opt_parsed *p);

/*
 * Parses ARGV (NULL-terminated, without the command's own words) with the first table that knows
 * each option.  With STOP_AT_ARG the first non-option ends the options.  A bad command line is
 * -EINVAL with pflag's text.  OUT is to be cleared in any case.
 */
int opt_parse(const struct opt_table *tables, size_t n, bool stop_at_arg, char **argv,
	      struct opt_parsed *out) MUST_CHECK;

bool opt_given(const struct opt_parsed *p, const char *name);
void opt_free(const struct opt *opts, void *into); /* what the fields own */

/* One option by name or alias; NULL. */
const struct opt *opt_find(const struct opt *opts, const char *name, size_t len);

/* The word for the value in --help ("string", "strings", "" for a flag). */
const char *opt_arg_word(const struct opt *o);
/* Appends the "Options:" lines, sorted by name, aligned; hidden ones are left out. */
void opt_help(const struct opt *opts, GString *to);
