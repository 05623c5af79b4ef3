/* SPDX-License-Identifier: Apache-2.0 */
/* A network namespace while it is made: net_make.c, net_device.c. */
#pragma once

#include "state/ns/net.h"

#include <jansson.h>

struct maker {
	const struct net_options *o;
	GPtrArray *links; /* NetDeviceEntry */
	json_t *kinds;	  /* of links, by name: more than their records say; may be NULL */
	const json_t *extra;
	NetnsEntry *settings;
	int sock, outer; /* rtnetlink: in there, in our own namespace */
	int outer_ns, inner_ns;
	GHashTable *made; /* ifindex */
};

/* The device is made by another namespace, with its other end. */
bool net_is_later(const struct maker *m, const NetDeviceEntry *e);
int net_device_make(struct maker *m, const NetDeviceEntry *e) MUST_CHECK;
int net_device_join(struct maker *m, const NetDeviceEntry *e) MUST_CHECK; /* its master */
