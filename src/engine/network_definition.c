/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The networks that there are.
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

uint32_t subnet_parse_ip(const char *text)
{
	struct in_addr a;

	return text && inet_pton(AF_INET, text, &a) == 1 ? ntohl(a.s_addr) : 0;
}

void subnet_ip_text(uint32_t ip, char text[16])
{
	struct in_addr a = {.s_addr = htonl(ip)};

	inet_ntop(AF_INET, &a, text, 16);
}

static uint32_t prefix_mask(unsigned bits)
{
	return bits ? ~UINT32_C(0) << (32 - MIN(bits, 32)) : 0;
}

int subnet_of(const json_t *definition, struct subnet *ret)
{
	const json_t *s = json_array_get(json_object_get(definition, "subnets"), 0);
	const json_t *range;
	const char *text = json_string_value(json_object_get(s, "subnet"));
	const char *slash = text ? strchr(text, '/') : NULL;
	g_autofree char *net = slash ? g_strndup(text, (gsize)(slash - text)) : NULL;

	if (!slash)
		return err_set(EBADMSG, "the network has no subnet");
	ret->mask = prefix_mask((unsigned)strtoul(slash + 1, NULL, 10));
	ret->net = subnet_parse_ip(net) & ret->mask;
	ret->gateway = subnet_parse_ip(json_string_value(json_object_get(s, "gateway")));
	range = json_object_get(s, "lease_range");
	ret->first = subnet_parse_ip(json_string_value(json_object_get(range, "start_ip")));
	ret->last = subnet_parse_ip(json_string_value(json_object_get(range, "end_ip")));
	if (!ret->last)
		ret->last = ret->net | ~ret->mask;
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

bool subnet_taken_by_host(const struct subnet *s, const char *bridge)
{
	return taken_by_host(s->net, s->mask, bridge);
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
	subnet_ip_text(net, base);
	subnet_ip_text(net + 1, gateway);
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
