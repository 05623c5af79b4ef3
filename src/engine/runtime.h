/* SPDX-License-Identifier: Apache-2.0 */
/* The OCI runtime by its command line: any program that speaks runc's. */
#pragma once

#include "engine/container.h"

/* RUNROOT/runtime/NAME, the runtime's --root; the caller frees. */
char *runtime_root(struct engine *e, const struct container *c);
/* The path of the runtime that the container was created with. */
int runtime_path(struct engine *e, const struct container *c, const char **ret) MUST_CHECK;

/* The runtime has a record of the container (a directory in its root). */
bool runtime_knows(struct engine *e, const struct container *c);

int runtime_start(struct engine *e, struct container *c) MUST_CHECK;
/* All: every process of the container (it may have no pid namespace of its own).  -ESRCH: gone. */
int runtime_kill(struct engine *e, struct container *c, int sig, bool all) MUST_CHECK;
/* A container that the runtime does not know is fine. */
int runtime_delete(struct engine *e, struct container *c, bool force) MUST_CHECK;
int runtime_pause(struct engine *e, struct container *c) MUST_CHECK;
int runtime_resume(struct engine *e, struct container *c) MUST_CHECK;
/* FILE: limits, as linux.resources has them. */
int runtime_update(struct engine *e, struct container *c, const char *file) MUST_CHECK;
/* The answer of `runtime state`, a new reference; NULL when it does not know the container. */
int runtime_state(struct engine *e, struct container *c, json_t **ret) MUST_CHECK;

/*
 * Turns what a runtime wrote (plain lines, logrus text or JSON) into an error in Podman's words:
 * "runc: <message>: OCI runtime attempted to invoke a command that was not found" and the like.
 * Sets e->exit_hint.  Returns a negative errno.
 */
int runtime_error(struct engine *e, const char *name, const char *output);

/* The file that is given to the runtime's --log, for who starts it by conmon; callers free. */
char *runtime_log(struct engine *e, const struct container *c);
void runtime_log_reset(struct engine *e, const struct container *c);
char *runtime_log_read(struct engine *e, const struct container *c); /* "" when there is none */
char *runtime_log_read_in(const char *dir);			     /* DIR/oci-log */
