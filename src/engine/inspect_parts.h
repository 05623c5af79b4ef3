/* SPDX-License-Identifier: Apache-2.0 */
/* The larger members of a container's inspect object, one file each. */
#pragma once

#include "engine/container.h"
#include "engine/image.h"
#include "engine/inspect.h"
#include "engine/options.h"

struct inspected {
	struct engine *e;
	struct container *c;
	const struct container_options *o;
	const char *dir, *run; /* static directory, run directory */
	json_t *spec;	       /* config.json of the last start, or NULL */
	const char *version;   /* of the spec */
	char *lower;	       /* overlayfs's lowerdir, or NULL */
	uint64_t image_bytes;
};

json_t *inspect_mounts(const struct inspected *in); /* inspect_mounts.c */
json_t *inspect_binds(const struct inspected *in);
json_t *inspect_tmpfs(const struct inspected *in);
json_t *inspect_network(const struct inspected *in); /* inspect_network.c */
json_t *inspect_port_bindings(const struct inspected *in);
json_t *inspect_config(const struct inspected *in);	 /* inspect_config.c */
json_t *inspect_host_config(const struct inspected *in); /* inspect_host.c */

/* Members at the end of an object; NULL text is "". */
void put_text(json_t *o, const char *key, const char *value);
void put_int(json_t *o, const char *key, int64_t value);
void put_bool(json_t *o, const char *key, bool value);
void put_time(json_t *o, const char *key, int64_t ns);
void put_strings(json_t *o, const char *key, char *const *v);
void put_copy(json_t *o, const char *key, json_t *value); /* a new reference; NULL is null */
