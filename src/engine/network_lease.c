/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks and who has which address in them.
 *
 * Bridges and netavark's chains belong to the host, the database to one --root.  So the default
 * network of the default root is "cryopod" on cryopod0 with 10.88.0.0/16, that of another root is
 * named after the root and has a subnet that no interface of the host had when it was first used.
 */
#include "engine/network_private.h"
#include "engine/store.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char network_schema_sql[] =
	"CREATE TABLE IF NOT EXISTS networks("
	" name TEXT PRIMARY KEY, definition TEXT NOT NULL, last INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE IF NOT EXISTS leases("
	" container TEXT PRIMARY KEY, network TEXT NOT NULL, ip INTEGER, mac TEXT,"
	" UNIQUE(network, ip));"
	"CREATE TABLE IF NOT EXISTS connections("
	" container TEXT PRIMARY KEY, netns TEXT NOT NULL, boot TEXT NOT NULL,"
	" request TEXT, status TEXT, peer INTEGER);";

struct subnet {
	uint32_t net, mask, gateway; /* host byte order */
};

static uint32_t parse_ip(const char *text)
{
	struct in_addr a;

	return text && inet_pton(AF_INET, text, &a) == 1 ? ntohl(a.s_addr) : 0;
}

static void ip_text(uint32_t ip, char text[16])
{
	struct in_addr a = {.s_addr = htonl(ip)};

	inet_ntop(AF_INET, &a, text, 16);
}

static uint32_t prefix_mask(unsigned bits)
{
	return bits ? ~UINT32_C(0) << (32 - MIN(bits, 32)) : 0;
}

static int subnet_of(const json_t *definition, struct subnet *ret)
{
	const json_t *s = json_array_get(json_object_get(definition, "subnets"), 0);
	const char *text = json_string_value(json_object_get(s, "subnet"));
	const char *slash = text ? strchr(text, '/') : NULL;
	g_autofree char *net = slash ? g_strndup(text, (gsize)(slash - text)) : NULL;

	if (!slash)
		return err_set(EBADMSG, "the network has no subnet");
	ret->mask = prefix_mask((unsigned)strtoul(slash + 1, NULL, 10));
	ret->net = parse_ip(net) & ret->mask;
	ret->gateway = parse_ip(json_string_value(json_object_get(s, "gateway")));
	return 0;
}

/* True when an interface other than BRIDGE already has an address in NET/MASK. */
static bool taken_by_host(uint32_t net, uint32_t mask, const char *bridge)
{
	struct ifaddrs *all, *i;
	bool taken = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (i = all; i && !taken; i = i->ifa_next) {
		struct sockaddr_in in, m;

		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !i->ifa_netmask ||
		    !strcmp(i->ifa_name, bridge))
			continue;
		memcpy(&in, i->ifa_addr, sizeof(in));
		memcpy(&m, i->ifa_netmask, sizeof(m));
		m.sin_addr.s_addr &= htonl(mask); /* the wider of both */
		taken = ((ntohl(in.sin_addr.s_addr) ^ net) & ntohl(m.sin_addr.s_addr)) == 0;
	}
	freeifaddrs(all);
	return taken;
}

/* 10.88.0.0/16, else the first free /24 of 10.89.0.0 to 10.127.255.0 from SEED on. */
static int pick_subnet(bool first_choice, uint32_t seed, const char *bridge, uint32_t *ret_net,
		       unsigned *ret_bits)
{
	const uint32_t first = UINT32_C(10) << 24 | 88 << 16, many = (127 - 88) * 256;

	*ret_net = first;
	*ret_bits = 16;
	if (first_choice && !taken_by_host(first, prefix_mask(16), bridge))
		return 0;
	*ret_bits = 24;
	for (uint32_t i = 0; i < many; i++) {
		*ret_net = first + (1 << 16) + ((seed + i) % many << 8);
		if (!taken_by_host(*ret_net, prefix_mask(24), bridge))
			return 0;
	}
	return err_set(EADDRNOTAVAIL,
		       "all of 10.88.0.0/16 to 10.127.255.0/24 is in use on this host");
}

static int make_default(struct engine *e, json_t **ret)
{
	bool standard = !strcmp(e->root, ENGINE_ROOT);
	uint32_t hash = g_str_hash(e->root), net;
	char bridge[IFNAMSIZ], base[16], gateway[16], subnet[32], id[65];
	g_autofree char *now = NULL;
	g_autoptr(GDateTime) t = g_date_time_new_now_utc();
	unsigned bits;
	int r;

	if (standard)
		g_strlcpy(bridge, NETWORK_DEFAULT "0", sizeof(bridge));
	else
		snprintf(bridge, sizeof(bridge), NETWORK_DEFAULT "-%06x", hash & 0xffffff);
	r = pick_subnet(standard, hash, bridge, &net, &bits);
	if (r < 0)
		return r;
	ip_text(net, base);
	ip_text(net + 1, gateway);
	snprintf(subnet, sizeof(subnet), "%s/%u", base, bits);
	now = g_date_time_format_iso8601(t);
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, bridge, -1);
	g_strlcpy(id, sum, sizeof(id));
	*ret = json_pack("{ss ss ss ss ss s[{ss ss}] sb sb sb s{} s{} s{ss}}", "name",
			 NETWORK_DEFAULT, "id", id, "driver", "bridge", "network_interface", bridge,
			 "created", now, "subnets", "subnet", subnet, "gateway", gateway,
			 "ipv6_enabled", 0, "internal", 0, "dns_enabled", 0, "labels", "options",
			 "ipam_options", "driver", "host-local");
	return 0;
}

static int load_definition(struct engine *e, const char *name, json_t **ret)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(e, "SELECT definition FROM networks WHERE name=?");
	int r;

	store_bind(q, "s", name);
	r = store_step(e, q);
	if (r > 0)
		*ret = store_json(q, 0);
	return r;
}

int network_definition(struct engine *e, const char *name, json_t **ret)
{
	json_t *made = NULL;
	int r = load_definition(e, name, ret);

	if (r != 0)
		return r < 0 ? r : 0;
	if (strcmp(name, NETWORK_DEFAULT))
		return err_set(ENOENT,
			       "unable to find network with name or ID %s: network not found",
			       name);
	r = make_default(e, &made);
	if (r < 0)
		return r;
	/* Somebody else may have been faster: theirs counts. */
	r = store_exec(e, "INSERT OR IGNORE INTO networks(name, definition) VALUES(?, ?)", "sj",
		       name, made);
	json_decref(made);
	if (r < 0)
		return r;
	r = load_definition(e, name, ret);
	return r < 0 ? r : 0;
}

static int owner_of(struct engine *e, const char *network, uint32_t ip, char **ret)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(e, "SELECT container FROM leases WHERE network=? AND ip=?");
	int r;

	store_bind(q, "sl", network, (int64_t)ip);
	r = store_step(e, q);
	if (r > 0)
		*ret = g_strdup(store_text(q, 0));
	return r;
}

static bool usable(const struct subnet *s, uint32_t ip)
{
	return (ip & s->mask) == s->net && ip != s->net && ip != (s->net | ~s->mask) &&
	       ip != s->gateway;
}

static int wanted_ip(struct engine *e, const char *id, const char *network, const struct subnet *s,
		     const char *text, uint32_t *ret)
{
	g_autofree char *owner = NULL;
	int r;

	*ret = parse_ip(text);
	if (!usable(s, *ret))
		return err_set(EINVAL, "requested static ip %s not in any subnet on network %s",
			       text, network);
	r = owner_of(e, network, *ret, &owner);
	if (r > 0 && strcmp(owner, id))
		return err_set(EADDRINUSE,
			       "requested ip address %s is already allocated to container ID %s",
			       text, owner);
	return r < 0 ? r : 0;
}

static int last_given(struct engine *e, const char *network, uint32_t *ret)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(e, "SELECT last FROM networks WHERE name=?");
	int r;

	store_bind(q, "s", network);
	r = store_step(e, q);
	*ret = r > 0 ? (uint32_t)sqlite3_column_int64(q, 0) : 0;
	return r < 0 ? r : 0;
}

/* The one after the last given: an address is not given again at once, others may remember it. */
static int next_ip(struct engine *e, const char *network, const struct subnet *s, uint32_t *ret)
{
	uint32_t size = ~s->mask, ip;
	int r = last_given(e, network, &ip);

	if (r < 0)
		return r;
	if (!usable(s, ip))
		ip = s->net;
	for (uint32_t tries = 0; tries <= size; tries++) {
		g_autofree char *owner = NULL;

		ip = s->net | ((ip + 1) & ~s->mask);
		if (!usable(s, ip))
			continue;
		r = owner_of(e, network, ip, &owner);
		if (r < 0)
			return r;
		if (r > 0)
			continue;
		*ret = ip;
		return store_exec(e, "UPDATE networks SET last=? WHERE name=?", "ls", (int64_t)ip,
				  network);
	}
	return err_set(EADDRNOTAVAIL, "network %s has no free address left: remove containers",
		       network);
}

/* Locally administered, unicast. */
static void random_mac(char mac[18])
{
	guint32 a = g_random_int(), b = g_random_int();

	snprintf(mac, 18, "%02x:%02x:%02x:%02x:%02x:%02x", (a & 0xfc) | 2, a >> 8 & 255,
		 a >> 16 & 255, a >> 24, b & 255, b >> 8 & 255);
}

struct row {
	bool there;
	char *network;
	uint32_t ip; /* 0: none yet */
	char mac[18];
};

static void row_clear(struct row *r)
{
	g_free(r->network);
}

static int load_lease(struct engine *e, const char *id, struct row *ret)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(e, "SELECT network, ip, mac FROM leases WHERE container=?");
	int r;

	store_bind(q, "s", id);
	r = store_step(e, q);
	if (r <= 0)
		return r;
	ret->there = true;
	ret->network = g_strdup(store_text(q, 0));
	ret->ip = (uint32_t)sqlite3_column_int64(q, 1);
	g_strlcpy(ret->mac, store_text(q, 2), sizeof(ret->mac));
	return 0;
}

int lease_take(struct engine *e, const char *id, const json_t *definition, const char *ip,
	       const char *mac, struct lease *ret)
{
	const char *network = json_string_value(json_object_get(definition, "name"));
	CLEANUP(store_rollback) struct store_tx tx = {0};
	CLEANUP(row_clear) struct row had = {0};
	g_autofree char *lower = NULL;
	struct subnet s = {0};
	uint32_t mine;
	int r;

	r = subnet_of(definition, &s);
	if (r == 0 && mac)
		r = network_check_mac(mac, &lower);
	if (r == 0)
		r = store_begin(e, &tx);
	if (r == 0)
		r = load_lease(e, id, &had);
	if (r < 0)
		return r;
	mine = had.there && !strcmp(had.network, network) && usable(&s, had.ip) ? had.ip : 0;
	if (ip)
		r = wanted_ip(e, id, network, &s, ip, &mine);
	else if (!mine)
		r = next_ip(e, network, &s, &mine);
	if (r < 0)
		return r;
	ip_text(mine, ret->ip);
	if (lower)
		g_strlcpy(ret->mac, lower, sizeof(ret->mac));
	else if (had.there && *had.mac)
		g_strlcpy(ret->mac, had.mac, sizeof(ret->mac));
	else
		random_mac(ret->mac);
	r = store_exec(e,
		       "INSERT OR REPLACE INTO leases(container, network, ip, mac) VALUES(?,?,?,?)",
		       "ssls", id, network, (int64_t)mine, ret->mac);
	return r < 0 ? r : store_commit(&tx);
}

int lease_drop(struct engine *e, const char *id)
{
	return store_exec(e, "DELETE FROM leases WHERE container=?", "s", id);
}

int network_release_ip(struct engine *e, const char *id)
{
	return store_exec(e, "UPDATE leases SET ip=NULL WHERE container=?", "s", id);
}

int network_release_mac(struct engine *e, const char *id)
{
	return store_exec(e, "UPDATE leases SET mac=NULL WHERE container=?", "s", id);
}

/* The first interface of the first network of a status that has a subnet. */
static const char *status_ip(const json_t *status, const char **ret_mac)
{
	const char *name;
	json_t *net, *itf;

	json_object_foreach((json_t *)status, name, net)
	{
		const char *ifname;

		json_object_foreach(json_object_get(net, "interfaces"), ifname, itf)
		{
			const json_t *s = json_array_get(json_object_get(itf, "subnets"), 0);
			const char *ip = json_string_value(json_object_get(s, "ipnet"));

			if (!ip)
				continue;
			if (ret_mac)
				*ret_mac = json_string_value(json_object_get(itf, "mac_address"));
			return ip;
		}
	}
	return NULL;
}

char *network_first_ip(const json_t *status)
{
	const char *ipnet = status_ip(status, NULL);

	return ipnet ? g_strndup(ipnet, strcspn(ipnet, "/")) : NULL;
}

int network_adopt_status(struct engine *e, const char *id, const json_t *status)
{
	g_autofree char *ip = network_first_ip(status);
	const char *mac = NULL;
	json_t *definition = NULL;
	struct lease l;
	int r;

	if (!ip)
		return 0;
	status_ip(status, &mac);
	r = network_definition(e, NETWORK_DEFAULT, &definition);
	if (r == 0)
		r = lease_take(e, id, definition, ip, mac, &l);
	json_decref(definition);
	if (r == -EADDRINUSE || r == -EINVAL)
		return 0;
	return r < 0 ? r : 1;
}
