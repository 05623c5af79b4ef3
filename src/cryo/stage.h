/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points of a dump and a restore at which others are told: --action-script, and the notifications
 * of the RPC.  Each may end the story by its failure.
 */
#pragma once

#include "cryo/session.h"

bool stage_any(const struct session *s); /* somebody wants to know */

/* ARG: the session.  PID: the tree's root as we see it, 0 if there is none yet.  FD: -1, or it goes
 * along. */
int stage_tell(void *arg, const char *stage, pid_t pid, int fd) MUST_CHECK;
