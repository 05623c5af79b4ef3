/* SPDX-License-Identifier: Apache-2.0 */
/* What happened to containers, images, networks and volumes, kept in the database for `events`. */
#pragma once

#include "engine/container.h"

struct event {
	int64_t id, time_ns;
	const char *type, *status, *object_id, *name, *image; /* NULL: none */
	json_t *attributes;				      /* labels {}, or NULL */
	int exit_code;
};

/* Best effort: an event that cannot be written is logged, never an error. */
void event_container(struct engine *e, const struct container *c, const char *status);
void event_image(struct engine *e, const char *status, const char *id, const char *name);
/* TYPE is "volume" or "network". */
void event_object(struct engine *e, const char *type, const char *status, const char *name);

/* Those with an id above AFTER within the bounds (0: none), oldest first. */
int events_read(struct engine *e, int64_t after, int64_t since_ns, int64_t until_ns,
		int (*each)(void *data, const struct event *ev), void *data) MUST_CHECK;

/* The id of the newest; 0: there is none. */
int events_last(struct engine *e, int64_t *ret_id) MUST_CHECK;

/*
 * *RET_FD (the caller's) is readable after something was written, which may have been an event; it
 * is there for events_read() after events_settle(), which blocks until it is.
 */
int events_watch(struct engine *e, int *ret_fd) MUST_CHECK;
int events_settle(struct engine *e) MUST_CHECK;
