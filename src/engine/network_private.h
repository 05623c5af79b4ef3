/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of engine/network*.c; all others include engine/network.h. */
#pragma once

#include "engine/network.h"

/* Network namespaces as bind mounts: netns.c */

/* A new one with lo up, mounted at PATH, whose directory exists.  What was there is replaced. */
int netns_make(const char *path) MUST_CHECK;
int netns_remove(const char *path) MUST_CHECK; /* nothing there: 0 */
int netns_exists(const char *path) MUST_CHECK; /* 1 or 0 */

/* 1: interface NAME in there has IP. */
int netns_has_address(const char *path, const char *name, const char *ip) MUST_CHECK;

/* Makes an interface NAME in there that can be deleted and does nothing. */
int netns_make_decoy(const char *path, const char *name) MUST_CHECK;

/* > 0: the index, in the host's namespace, of the other end of veth NAME in there; 0: none. */
int netns_peer_index(const char *path, const char *name) MUST_CHECK;
int netns_delete_link(int index) MUST_CHECK; /* gone already: 0 */

/*
 * netavark.c: one run of `netavark VERB NETNS` with REQUEST on its stdin, alone in this host
 * network namespace.  *RET (or NULL) is its answer, a new reference.
 */
int netavark_run(const char *verb, const char *netns, const json_t *request, json_t **ret)
	MUST_CHECK;

/* network_definition.c */

struct subnet {
	uint32_t net, mask, gateway; /* host byte order */
	uint32_t first, last;	     /* of what is given to those who ask for none */
};
int subnet_of(const json_t *definition, struct subnet *ret) MUST_CHECK;
/* True when an interface other than BRIDGE already has an address in it. */
bool subnet_taken_by_host(const struct subnet *s, const char *bridge);
uint32_t subnet_parse_ip(const char *text); /* 0: not an address */
void subnet_ip_text(uint32_t ip, char text[16]);

/* network_lease.c */

struct lease {
	char ip[16], mac[18];
};

/*
 * The addresses of container ID in the network DEFINITION: those it has, unless IP or MAC say
 * otherwise; new ones at its first time.
 */
int lease_take(struct engine *e, const char *id, const json_t *definition, const char *ip,
	       const char *mac, struct lease *ret) MUST_CHECK;
int lease_drop(struct engine *e, const char *id) MUST_CHECK;

/* Ports and such: network_ports.c */

/* -EADDRINUSE when somebody listens on one of PORTS on this host. */
int ports_check_free(const json_t *ports) MUST_CHECK;

/*
 * network_rivals.c: makes sure that no other container of ours publishes one of PORTS.  One that is
 * not in use, because it is checkpointed, is taken down.  -EADDRINUSE: one is.
 */
int rivals_make_way(struct engine *e, const char *id, const json_t *ports) MUST_CHECK;

/* network.c: what tells one boot of the host from another.  The caller's. */
int network_boot_id(char **ret) MUST_CHECK;
