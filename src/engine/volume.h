/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named volumes: a record in the database and ROOT/volumes/NAME/_data.
 *
 *	r = volume_create(e, &(struct volume_options){.name = "data"}, &name);
 *	r = volume_find(e, "data", &definition);	// as `volume inspect` shows it
 *	r = volume_remove(e, "data", NULL);
 *
 * Containers refer to them by name; engine/spec_volume.c fills a fresh one with what the image has
 * at the place where it is mounted first.
 */
#pragma once

#include "engine/container.h"
#include "engine/mounts.h"

struct volume_options {
	const char *name;     /* NULL: 64 random hex digits */
	char *const *labels;  /* KEY=VALUE, or NULL */
	char *const *options; /* of the driver; anything is refused by name */
	bool ignore;	      /* one that exists already is fine */
	bool anonymous;	      /* belongs to a container */
};

/* *RET: its name, the caller's.  -EEXIST, -EINVAL with Podman's texts.  Blocking. */
int volume_create(struct engine *e, const struct volume_options *o, char **ret) MUST_CHECK;

/* By full name or unique start of one.  *RET: {Name, Driver, Mountpoint, ...}, a new reference. */
int volume_find(struct engine *e, const char *ref, json_t **ret) MUST_CHECK;
int volume_exists(struct engine *e, const char *name) MUST_CHECK; /* 1 or 0, full names only */

/* An array of what volume_find() gives, by name. */
int volume_list(struct engine *e, json_t **ret) MUST_CHECK;

/* IDs of the containers that mount it; g_strfreev(). */
int volume_users(struct engine *e, const char *name, char ***ret) MUST_CHECK;

/* The record and all data.  -EBUSY: a container uses it.  -ENOENT: no such volume. */
int volume_remove(struct engine *e, const char *name) MUST_CHECK;

/* A container with these mounts is being recorded: volumes that it names exist from now on. */
int volume_ensure_all(struct engine *e, struct container *c) MUST_CHECK;

/*
 * Where the volume that C mounts by M is, whether it exists or not; FILE: VOLUME_DATA or
 * VOLUME_FRESH (mounts.h), or NULL for the directory of both.  The caller frees.
 */
char *volume_path(struct engine *e, const struct container *c, const struct user_mount *m,
		  const char *file);
