/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's terminal: its master is outside (conmon's), its slave comes from the OCI runtime
 * again.  Saved are its modes, its size, whose controlling terminal it is and the foreground
 * group.
 */
#pragma once

#include "state/fd/kind.h"

bool tty_is_terminal(const struct stat *st);

/* Adds "tty" to the JSON of an external file. */
int tty_dump(struct dump *d, const struct fd_view *v, json_t *x) MUST_CHECK;

/* Is it the terminal of a session that is led from outside of the tree? */
bool tty_is_shells(const struct dump *d, const struct stat *st);

/* Modes, and if WITH_SIZE the size, on our own descriptor of it. */
int tty_restore(int fd, json_t *tty, bool with_size) MUST_CHECK;

/* Controlling terminal and foreground group, in the session's leader. */
int tty_settle(struct restore *r, struct rtask *t, json_t *tty, int tfd) MUST_CHECK;

/* The terminal that a session leader had, from inside the tree: before it forks. */
int tty_session_restore(struct restore *r, struct rtask *t) MUST_CHECK;

/* The foreground group; who gave the terminal up.  All tasks exist, descriptors do not. */
int tty_group_restore(struct restore *r, struct rtask *t) MUST_CHECK;

/* Refuses a controlling terminal that comes from outside. */
int tty_session_check(struct dump *d, struct dtask *t) MUST_CHECK;
int tty_session_dump(struct dump *d, struct dtask *t) MUST_CHECK;

void ptys_seen_free(struct dump *d);
void ttys_free(struct restore *r);
