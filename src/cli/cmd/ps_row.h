/* SPDX-License-Identifier: Apache-2.0 */
/* One line of ps: as a JSON document, and as what templates see. */
#pragma once

#include "cli/tmpl/value.h"
#include "engine/container.h"

struct ps_show {
	bool no_trunc, size, namespaces;
	int64_t now_ns;
};

extern const struct go_type type_ps;

/* New references. */
json_t *ps_document(struct engine *e, struct container *c, const struct ps_show *s);
json_t *ps_row(struct engine *e, struct container *c, const struct ps_show *s);

/* "Up 5 seconds", "Exited (0) 3 seconds ago", "Created"; the caller frees. */
char *ps_status(const struct container *c, int64_t now_ns);
/* Bytes of the container's own files, and with the image's. */
void ps_sizes(struct engine *e, const struct container *c, uint64_t *ret_own, uint64_t *ret_all);
/* The words of what is executed, joined. */
char *ps_command(const struct container *c);
