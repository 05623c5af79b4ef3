/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: what every command of cryopod works on.  Opened once per command, passed everywhere,
 * closed at the end; there is no daemon and nothing stays in memory between commands.
 *
 * Paths
 *	ROOT/db.sqlite				everything that outlives a reboot
 *	ROOT/overlay-containers/ID/userdata/	a container's own directory ("StaticDir")
 *	RUNROOT/boot				the boot that the run root belongs to
 *	RUNROOT/containers/ID/			pid files, hosts, resolv.conf ...
 *	RUNROOT/exits/ID			conmon's exit file: the decimal exit status
 *	RUNROOT/locks/ID			flock(2): whoever changes the container holds it
 *	RUNROOT/runtime/NAME			the OCI runtime's --root
 */
#pragma once

#include "base/err.h"

#include <jansson.h>
#include <sqlite3.h>

#define ENGINE_ROOT    "/var/lib/cryopod"
#define ENGINE_RUNROOT "/run/cryopod"
#define ENGINE_ID_LEN  64 /* hexadecimal digits of a container's, image's or session's ID */

struct engine_options {
	const char *root, *runroot; /* NULL: the defaults above */
	const char *runtime;	    /* a name looked up in PATH, or a path; NULL: by the host */
	const char *conmon;	    /* NULL: looked up in PATH */
};

struct engine {
	char *root, *runroot; /* absolute, without a trailing slash */
	sqlite3 *db;
	char *self;	      /* the path of this very program, for conmon's --exit-command */
	char *runtime_wanted; /* as given by --runtime, or NULL */
	char *conmon_wanted;  /* as given, or NULL */
	char *runtime_name;   /* "runc"; set by engine_runtime() */
	char *runtime_path;   /* "/usr/sbin/runc"; set by engine_runtime() */
	char *conmon_path;    /* set by engine_conmon() */
	/*
	 * 126 or 127 when the last failure was the OCI runtime that could not execute, or find, the
	 * container's program; 125 when the host lacks what containers need; else 0.  `run`,
	 * `start` and `exec` exit with it.
	 */
	int exit_hint;
	char swapping[ENGINE_ID_LEN +
		      1];	/* container whose root fs is being exchanged; rootfs_swap.c */
	GHashTable *statements; /* of store.c */
	int log_pages;		/* of store.c: the log's length after our last commit */
};

/*
 * Makes the directories (0700) and the database when they are missing.  A run root of another
 * boot is refreshed first: whatever ran has exited.
 */
int engine_open(const struct engine_options *o, struct engine **ret) MUST_CHECK;
void engine_close(struct engine *e); /* NULL is fine */
void engine_closep(struct engine **e);

/*
 * The runtime and the monitor are looked up when first needed, so that `ps` works without them.
 * Afterwards e->runtime_name, e->runtime_path and e->conmon_path are set.
 */
int engine_runtime(struct engine *e) MUST_CHECK;
int engine_conmon(struct engine *e) MUST_CHECK;

/* The path of a runtime by name or path, "" when it is not installed.  The caller frees. */
char *engine_find_program(const char *name);

/* A fresh random 64-digit ID. */
void engine_random_id(char ret[ENGINE_ID_LEN + 1]);

int64_t engine_now_ns(void); /* CLOCK_REALTIME */
