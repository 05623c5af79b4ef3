/* SPDX-License-Identifier: Apache-2.0 */
/* Who has which address.  The tables of all of engine/network*.c are here. */
#include "engine/network_private.h"
#include "engine/store.h"

#include <errno.h>
#include <stdio.h>
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

	*ret = subnet_parse_ip(text);
	if (!usable(s, *ret))
		return err_set(EINVAL, "requested static ip %s not in any subnet on network %s",
			       text, network);
	r = owner_of(e, network, *ret, &owner);
	if (r > 0 && strcmp(owner, id))
		return err_set(EADDRINUSE,
			       "IPAM error: requested ip address %s is already allocated to "
			       "container ID %s",
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
		if (!usable(s, ip) || ip < s->first || ip > s->last)
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
	subnet_ip_text(mine, ret->ip);
	if (lower)
		g_strlcpy(ret->mac, lower, sizeof(ret->mac));
	else if (had.there && *had.mac)
		g_strlcpy(ret->mac, had.mac, sizeof(ret->mac));
	else
		random_mac(ret->mac);
	if (had.there && had.ip == mine && !strcmp(had.mac, ret->mac) &&
	    !strcmp(had.network, network))
		return 0;
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

int network_renew(struct engine *e, const char *id)
{
	return store_exec(e, "UPDATE leases SET ip=NULL, mac=NULL WHERE container=?", "s", id);
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

const char *network_first_mac(const json_t *status)
{
	const char *mac = NULL;

	status_ip(status, &mac);
	return mac;
}

int network_adopt(struct engine *e, const char *id, const char *network, const char *ip,
		  const char *mac)
{
	json_t *definition = NULL;
	struct lease l;
	bool misfit = false;
	int r = network_definition(e, network, &definition);

	if (r == 0)
		r = lease_take(e, id, definition, ip, mac, &l);
	if (r == -EINVAL && ip) {
		misfit = true;
		r = lease_take(e, id, definition, NULL, mac, &l);
	}
	json_decref(definition);
	return r < 0 ? r : misfit;
}
