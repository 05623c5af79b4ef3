/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of the life cycle that expect the container's lock to be held; for its own files only. */
#pragma once

#include "engine/lifecycle.h"

/* prepare.c: config.json in the static directory. */
int life_write_spec(struct engine *e, struct container *c) MUST_CHECK;
/* Something of an earlier run is still there. */
bool life_has_leftovers(struct engine *e, struct container *c);

/* start.c */
int life_init(struct engine *e, struct container *c) MUST_CHECK;
int life_start(struct engine *e, struct container *c) MUST_CHECK;

/*
 * stop.c.  Stops and leaves the container exited; the lock is given away while we wait and held
 * again at the end, unless the container was removed meanwhile: -ENOENT.
 */
int life_stop(struct engine *e, struct container *c, int timeout) MUST_CHECK;
/* STOPPED -> EXITED: exit code noted, everything released. */
int life_settle(struct engine *e, struct container *c) MUST_CHECK;

/*
 * container_save() of what can be found out again.  A full disk is only warned of: what ends or
 * goes must be able to, also because it may be what makes room.
 */
int life_save_if_room(struct engine *e, struct container *c) MUST_CHECK;

/* remove.c */
int life_remove(struct engine *e, struct container *c, const struct remove_options *o) MUST_CHECK;

/* -EINVAL: "<text>: container state improper". */
int life_improper(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((cold));
