/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network namespace of a standalone tree: devices with their settings, addresses, routes,
 * rules, firewall.  CRIU's images hold lists as rtnetlink gives them, the firewall as text.
 *
 * All of it is read and made by processes of ours in that namespace, with our own rights.
 */
#pragma once

#include "state/dump.h"
#include "state/restore.h"

#include "image/netdev.pb-c.h"
#include "kernel/rtnl.h"

/* A device, between the kernel and its record. */
struct net_link {
	int index, link, link_nsid, master; /* LINK: the device below, the peer; 0, -1, 0: none */
	unsigned type, flags, mtu;	    /* ARPHRD_*, IFF_* */
	char name[16], kind[16];	    /* "" : a real device, or the loopback */
	unsigned char address[32];
	unsigned address_len;
	uint32_t macvlan_mode;
	uint16_t macvlan_flags;
	unsigned tun_flags;	  /* IFF_TUN or IFF_TAP, ...; IFF_PERSIST */
	int tun_owner, tun_group; /* -1: none */
	unsigned txqlen;
	GBytes *data, *port; /* attributes of the kind, as a port of its master; NULL: none */
};

struct net_link_kind {
	const char *name;
	NdType type;
	bool external; /* its other end may be outside: --external NAME[IN]:OUT */
	bool raw;      /* the kernel takes its attributes back as it shows them, in IMAGE_EXTRA */
	bool upper;    /* on top of another device, which is there first */
	/* Attributes that are only shown; that mean something by being there; that are shown as a
	 * number and taken as a flag.  Lists end with 0. */
	const unsigned char *told, *present;
	unsigned char flag;
	void (*fit)(unsigned type, void *value, size_t len); /* what else it would refuse */
	int (*put)(struct nlmsghdr *h, const NetDeviceEntry *e, int peer); /* its own attributes */
};
/* By the kernel's name, or what a record says. */
const struct net_link_kind *net_link_kind(const char *name);
const struct net_link_kind *net_link_kind_of(const NetDeviceEntry *e, const char *kind);

/* Where IMAGE_EXTRA names the kinds of "external links" of namespace ID; the caller's. */
char *net_links_key(uint32_t id);

int net_links_read(int sock, GArray *ret) MUST_CHECK; /* struct net_link: net_links_new() */
GArray *net_links_new(void);

/* Attributes of a port of MASTER's kind that can be given back; raw, as those of devices. */
extern const unsigned char net_port_told[];

/* Names of the settings below net/ipv4/conf/DEV and net/ipv6/conf/DEV, as records order them. */
enum net_family { NET_V4, NET_V6 };
SysctlEntry **net_conf_read(enum net_family f, const char *dev, size_t *ret_n);
int net_conf_write(enum net_family f, const char *dev, SysctlEntry *const *v, size_t n,
		   SysctlEntry *const *now, size_t nnow, bool weak) MUST_CHECK;
/* What a device that goes up takes from itself (net/ipv6/addrconf.c: addrconf_notify()). */
int net_conf_write_up(const char *dev, SysctlEntry *const *v, size_t n, bool weak) MUST_CHECK;
void net_conf_free(SysctlEntry **v, size_t n);

/* net_sysctl.c: all other settings, in the namespace */
void net_sysctls_dump(struct dump *d, uint32_t id);
void net_sysctls_restore(const json_t *extra, uint32_t id);

/* net_lists.c: "ip address save" and the like */
int net_lists_dump(struct dump *d, uint32_t id, int sock) MUST_CHECK;
int net_lists_restore(int images, uint32_t id, int sock) MUST_CHECK;
/* Neighbours and tables of bridges that were made by hand: in IMAGE_EXTRA. */
int net_neighbours_dump(struct dump *d, uint32_t id, int sock) MUST_CHECK;
int net_neighbours_restore(const json_t *extra, uint32_t id, int sock) MUST_CHECK;

/* One message of such a list as a request; 1: refused for now, as it may need others (not LAST). */
int net_message_restore(int sock, struct nlmsghdr *h, bool last) MUST_CHECK;

/*
 * net_tun.c, in our own network namespace: a tun or tap device of number INDEX, if that is free,
 * with FD, which is fresh; it is there as long as FD, unless it is persistent.
 */
int net_tun_make(int fd, const char *name, const TunLinkEntry *e, int index) MUST_CHECK;
/* It stays without a descriptor, until somebody has one and says otherwise. */
int net_tun_make_lasting(const NetDeviceEntry *e) MUST_CHECK;

/* net_fire.c */
int net_firewall_dump(struct dump *d, uint32_t id) MUST_CHECK; /* in the namespace */
/*
 * That of namespace NS, number ID in the images.  When its sockets are there: what makes them again
 * sends packets of its own, that rules of the tree's may drop.  Until then packets of connections
 * meet the lock (state/sock/netlock.h).
 */
int net_firewall_restore(int images, uint32_t id, int ns, const json_t *extra) MUST_CHECK;

/* The story. */
int net_check(struct dump *d) MUST_CHECK;
int net_dump(struct dump *d) MUST_CHECK;

struct net_options {
	int images;
	uint32_t id; /* the namespace's number in there */
	int ns;	     /* the new one */
	const struct cryo_external *externals;
	unsigned nexternals;
	bool weak_sysctls;
	uint32_t root; /* number of the root's */
	/* The namespaces that have been made before it, by their numbers. */
	int (*find)(void *arg, uint32_t id, int *ret_fd);
	void *arg;
};
/*
 * Devices first; addresses, settings and the like when those of all namespaces are there.  EXTRA
 * may be NULL.  1: one has its other end in a namespace that comes later, and waits for it.
 */
int net_restore_devices(const struct net_options *o, json_t *extra) MUST_CHECK;
int net_waits(const struct net_options *o) MUST_CHECK; /* 1: so it does */
int net_restore_rest(const struct net_options *o, json_t *extra) MUST_CHECK;
