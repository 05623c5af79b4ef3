/* SPDX-License-Identifier: Apache-2.0 */
/* The records of exec sessions.  One that has ended, or never began, is removed by the next look.
 */
#pragma once

#include "engine/container.h"

#include <sys/types.h>

int exec_record_insert(struct engine *e, const char *session, const struct container *c) MUST_CHECK;
int exec_record_started(struct engine *e, const char *session, pid_t pid) MUST_CHECK;
int exec_record_delete(struct engine *e, const char *session) MUST_CHECK;
