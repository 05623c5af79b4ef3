/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands: one const struct each, in cli/cmd/, listed once in commands.c.
 *
 * A command's run() looks at its arguments first, opens the engine when it is sure that it needs
 * it, and returns the exit status, or a described error, which ends as one line "Error: ..." and
 * status cli->error_status (125 unless the command says otherwise).
 */
#pragma once

#include "cli/opt.h"

#define CLI_NAME "cryopod"

struct cli;
struct engine;

enum complete_args {
	COMPLETE_NOTHING,
	COMPLETE_CONTAINERS,
	COMPLETE_RUNNING,
	COMPLETE_IMAGES,
	COMPLETE_VOLUMES,
	COMPLETE_NETWORKS,
	COMPLETE_OBJECTS /* containers and images */
};

struct command {
	const char *path;    /* "rm", or several spellings: "rm,container rm" */
	const char *aliases; /* more spellings, which lists of commands leave out: "image remove" */
	const char *usage;   /* after the path: "[options] CONTAINER [CONTAINER...]" */
	const char *brief;   /* one line */
	const char *text;    /* description, lines without indentation */
	const char *examples; /* lines, each to be put behind "cryopod <path> " */
	const struct opt *options;
	size_t size;		  /* of the option struct, zeroed before use */
	void (*init)(void *opts); /* sets defaults that are not zero; or NULL */
	bool stop_at_arg;	  /* what follows the first argument belongs to the container */
	bool hidden;
	bool raw; /* gets its words unparsed in cli->args */
	enum complete_args complete;
	int (*run)(struct cli *cli);
};

struct command_group {
	const char *name, *brief;
};

struct global_options {
	const char *root, *runroot, *runtime, *conmon, *log_level, *out;
	bool version, noout;
	const char *ignored; /* accepted for scripts' sake: there is nothing to choose */
	char **ignored_list;
	bool ignored_flag;
};

struct cli {
	const struct command *command;
	const char *path; /* as typed: "container rm" */
	void *opts;	  /* the command's option struct */
	struct opt_parsed parsed;
	char **args; /* positional arguments, NULL-terminated */
	size_t nargs;
	char **argv; /* the whole command line, for CreateCommand and cli_name() */
	struct global_options global;
	struct engine *engine; /* NULL until cli_engine() */
	int error_status;      /* of a described error */
};

extern const struct command *const commands[]; /* NULL-terminated */
extern const struct command_group command_groups[];
extern const struct opt global_options[];

/* What it was called as: "docker" or "podman", or "cryopod" by whatever other name. */
const char *cli_name(const struct cli *cli);

/* The whole program: returns its exit status. */
int cli_main(int argc, char **argv);

/* Opens the engine as the global options say; later calls give the same one. */
int cli_engine(struct cli *cli, struct engine **ret) MUST_CHECK;

/* Was --NAME on the command line? */
bool cli_given(const struct cli *cli, const char *name);

/* Prints the story of the last failure: "Error: ...". */
void cli_print_error(void);
/* The story as it is printed; the caller frees. */
char *cli_error_text(const char *story);

/* Looks a command up by its full path; *IS_ALIAS may be NULL. */
const struct command *command_find(const char *path);
bool command_group_find(const char *name);

/* help.c */
void help_command(const struct command *c, const char *path, GString *to);
void help_group(const char *group, GString *to); /* "" is the program itself */
/* "Did you mean this?" lines for an unknown word in a group ("" for the program). */
void help_suggest(const char *group, const char *word, GString *to);
