/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks of containers.  The engine owns the network namespace (RUNROOT/netns/ID, a bind mount),
 * netavark fills it, the addresses are leased from the database.
 *
 *	r = network_choice_parse(options->network, &choice);
 *	r = network_ports(options, image_config, &ports);	// at create; host ports are fixed
 *then
 *	...
 *	r = network_setup(e, &request, &net);	// at init, start and restore
 *	r = network_write_files(&files);	// hosts, resolv.conf, hostname in the run directory
 *	...
 *	r = network_teardown(e, id);		// at exit; not at a checkpoint
 *	r = network_forget(e, id);		// at rm
 *
 * A container has one address and one MAC for its whole life: they are leased at the first setup
 * and given back by network_forget().
 *
 * What is being set up is written down first, so that network_teardown() needs nothing but the ID
 * and cleans up whatever a killed command, a wiped run root or a reboot has left.  A checkpoint
 *just does not tear down; network_setup() finds what is up and uses it again at no cost.  The
 *caller holds the container's lock.
 */
#pragma once

#include "engine/engine.h"

struct container_options; /* engine/options.h */

/* Tables of this file, for store.c. */
extern const char network_schema_sql[];

enum network_mode {
	NETWORK_BRIDGE,	   /* the default */
	NETWORK_NONE,	   /* a namespace with nothing but lo */
	NETWORK_HOST,	   /* no namespace of its own */
	NETWORK_CONTAINER, /* that of container ARG */
	NETWORK_PATH,	   /* the one at path ARG */
};

struct network_choice {
	enum network_mode mode;
	char *arg; /* NETWORK_BRIDGE: the network's name; CONTAINER, PATH: as above */
};

/* --network: NULL, "bridge", "private", "none", "host", "container:X", "ns:PATH", or a network. */
int network_choice_parse(const char *text, struct network_choice *ret) MUST_CHECK;
void network_choice_clear(struct network_choice *c);

#define NETWORK_DEFAULT "cryopod"

/*
 * A list of [{container_port, host_ip, host_port, protocol, range}] from -p and -P, as Podman keeps
 * and shows it; a new reference.  Host ports that were left open are free ones now.  IMAGE_CONFIG
 * (or NULL) has the ExposedPorts that -P publishes.
 */
int network_ports(const struct container_options *o, const json_t *image_config, json_t **ret)
	MUST_CHECK;

/* One -p: appended to the list TO. */
int network_port_parse(const char *text, json_t *to) MUST_CHECK;

/* --ip and --mac-address are well-formed.  *RET_MAC (or NULL): in lower case with colons. */
int network_check_ip(const char *ip) MUST_CHECK;
int network_check_mac(const char *mac, char **ret_mac) MUST_CHECK;

/* Called for a namespace that was made anew, before anything leads into it. */
struct network_hook {
	int (*fn)(void *arg, const char *netns);
	void *arg;
};

struct network_request {
	const char *id, *name;
	const struct network_choice *choice; /* NETWORK_BRIDGE, NETWORK_NONE or NETWORK_HOST */
	const char *ip, *mac;		     /* as asked for, or NULL */
	const json_t *ports;		     /* from network_ports(), or NULL */
	char *const *aliases;		     /* or NULL */
	const struct network_hook *made;     /* or NULL */
};

struct network_result {
	char *netns;	/* path of the namespace; NULL: the host's */
	json_t *status; /* network name -> {interfaces: ...}, or NULL: nothing is connected */
	bool reused;	/* it was up already */
};
void network_result_clear(struct network_result *r);

/*
 * Up already with the same addresses: taken as it is.  -EADDRINUSE: --ip belongs to another
 * container, or the host port to somebody else.  -ENOENT: netavark is not installed, or no such
 * network.  After a failure nothing is left but the lease.  Blocking, about 70 ms.
 */
int network_setup(struct engine *e, const struct network_request *r, struct network_result *ret)
	MUST_CHECK;

/* Takes down namespace, links and firewall rules.  Nothing there: 0. */
int network_teardown(struct engine *e, const char *id) MUST_CHECK;

/* The same, and the addresses are given back. */
int network_forget(struct engine *e, const char *id) MUST_CHECK;

/* Drops the lease of an address only: the next setup gets a new IP (restore --ignore-static-ip). */
int network_release_ip(struct engine *e, const char *id) MUST_CHECK;
int network_release_mac(struct engine *e, const char *id) MUST_CHECK;

/* Both, for a start from the beginning: what was not asked for is another one in the next run. */
int network_renew(struct engine *e, const char *id) MUST_CHECK;

/*
 * Addresses that container ID had elsewhere become its own on NETWORK; IP or MAC may be NULL.
 * -EADDRINUSE: somebody else has the IP; 1: it does not fit the network, so that it gets another.
 */
int network_adopt(struct engine *e, const char *id, const char *network, const char *ip,
		  const char *mac) MUST_CHECK;
/* The MAC of what network_first_ip() is the address of, or NULL; borrowed from STATUS. */
const char *network_first_mac(const json_t *status);

/* 1: the namespace and its links are there, of this boot. */
int network_is_up(struct engine *e, const char *id) MUST_CHECK;

/* The definition of a network as `network inspect` shows it; made at first use if the default. */
int network_definition(struct engine *e, const char *name, json_t **ret) MUST_CHECK;

/* What `network create` makes: a bridge of its own with an IPv4 subnet.  NULL: chosen. */
struct network_new {
	const char *name, *subnet, *gateway, *ip_range, *interface;
	char *const *labels; /* KEY=VALUE, or NULL */
	bool internal;	     /* no way out of the host */
	bool ignore;	     /* one of that name is fine */
};

/* *RET: its name, the caller's.  -EEXIST: name, bridge or subnet is taken; -EINVAL. */
int network_create(struct engine *e, const struct network_new *n, char **ret) MUST_CHECK;

/* All definitions, the default one included, by name. */
int network_list(struct engine *e, json_t **ret) MUST_CHECK;
/* By name or unique start of an ID; a new reference. */
int network_find(struct engine *e, const char *ref, json_t **ret) MUST_CHECK;

/* IDs of the containers on it; g_strfreev(). */
int network_users(struct engine *e, const char *name, char ***ret) MUST_CHECK;
/* -EBUSY: it has containers. */
int network_delete(struct engine *e, const char *name) MUST_CHECK;

struct network_files {
	const char *dir;	     /* RUNROOT/containers/ID, exists */
	const char *hostname, *name; /* of the container */
	enum network_mode mode;
	const json_t *status;  /* or NULL */
	char *const *add_host; /* NAME:IP */
	char *const *dns, *const *dns_search, *const *dns_option;
	bool no_hosts;
	const char *like; /* the run directory of the container whose network is shared, or NULL */
};

/* hosts, resolv.conf and hostname, made from the host's as Podman does. */
int network_write_files(const struct network_files *f) MUST_CHECK;

/* The first address in STATUS, without the prefix, or NULL.  The caller's. */
char *network_first_ip(const json_t *status);
