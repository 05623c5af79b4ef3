/* SPDX-License-Identifier: Apache-2.0 */
/* A container as JSON, with Podman's keys in Podman's order. */
#pragma once

#include "engine/container.h"

/* The object of `container inspect`; a new reference.  SIZE adds SizeRw and SizeRootFs. */
int container_inspect(struct engine *e, struct container *c, bool size, json_t **ret) MUST_CHECK;

/*
 * Published ports: [{"host_ip","container_port","host_port","range","protocol"}], as `ps` and
 * `port` show them; a new reference, empty when there are none.
 */
json_t *container_ports(const struct container *c);

/* "2026-11-21T07:35:53.708228545Z"; "0001-01-01T00:00:00Z" for 0.  The caller frees. */
char *time_rfc3339(int64_t ns);
