/* SPDX-License-Identifier: Apache-2.0 */
/* The records of exec sessions.  One that has ended, or never began, is removed by the next look.
 */
#pragma once

#include "engine/container.h"

#include <sys/types.h>

int exec_record_insert(struct engine *e, const char *session, const struct container *c) MUST_CHECK;
int exec_record_started(struct engine *e, const char *session, pid_t pid) MUST_CHECK;
/* Of another container than C? */
bool exec_is_others(struct engine *e, const char *session, const struct container *c);

struct exec_live {
	char id[ENGINE_ID_LEN + 1];
	pid_t pid; /* of its first process, as we see it */
};
/* Those of C that run, oldest first; the caller's.  With C's lock held the dead are forgotten. */
int exec_live(struct engine *e, const struct container *c, GArray **ret) MUST_CHECK;

int exec_record_delete(struct engine *e, const char *session) MUST_CHECK;
