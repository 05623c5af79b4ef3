/* SPDX-License-Identifier: Apache-2.0 */
/* The Go types behind Podman's documents, for templates: names, order and kinds of fields. */
#pragma once

#include "cli/tmpl/value.h"

extern const struct go_type type_container; /* container inspect */
extern const struct go_type type_image;	    /* image inspect */
extern const struct go_type type_info;	    /* info */
extern const struct go_type type_version;   /* version */
extern const struct go_type type_volume;    /* volume inspect, volume ls */
extern const struct go_type type_network;   /* network inspect */
