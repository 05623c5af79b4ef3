/* SPDX-License-Identifier: Apache-2.0 */
/* Networks that users make: `network create`, ls, rm. */
#include "engine/events.h"
#include "engine/network_private.h"
#include "engine/options.h"
#include "engine/store.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BRIDGES 1000

static int check_name(const char *name)
{
	if (!g_regex_match_simple("^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", name, G_REGEX_DOLLAR_ENDONLY, 0))
		return err_set(EINVAL,
			       "network name %s invalid: names must match "
			       "[a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument",
			       name);
	if (g_strv_contains((const char *const[]){"bridge", "default", "private", "none", "host",
						  "container", "ns", NULL},
			    name))
		return err_set(EINVAL, "network name %s is one of the network modes", name);
	return 0;
}

int network_list(struct engine *e, json_t **ret)
{
	CLEANUP(store_finish) sqlite3_stmt *q = NULL;
	json_t *definition = NULL, *all;
	int r = network_definition(e, NETWORK_DEFAULT, &definition); /* it is always there */

	if (r < 0)
		return r;
	json_decref(definition);
	q = store_prepare(e, "SELECT definition FROM networks ORDER BY name");
	all = json_array();
	while ((r = store_step(e, q)) > 0)
		json_array_append_new(all, store_json(q, 0));
	if (r < 0)
		json_decref(all);
	else
		*ret = all;
	return r;
}

int network_find(struct engine *e, const char *ref, json_t **ret)
{
	json_t *all = NULL, *j;
	const json_t *found = NULL;
	size_t i, n = 0;
	int r = network_list(e, &all);

	if (r < 0)
		return r;
	json_array_foreach(all, i, j)
	{
		const char *name = json_string_value(json_object_get(j, "name"));

		if (!strcmp(name, ref)) {
			found = j;
			n = 1;
			break;
		}
		if (*ref && g_str_has_prefix(json_string_value(json_object_get(j, "id")), ref)) {
			found = j;
			n++;
		}
	}
	if (n == 1)
		*ret = json_incref((json_t *)found);
	else if (n > 1)
		r = err_set(EINVAL, "more than one result for network ID %s", ref);
	else
		r = err_set(ENOENT, "unable to find network with name or ID %s: network not found",
			    ref);
	json_decref(all);
	return r;
}

/* The bridge's name must be new on this host, also to other roots' networks that are not up. */
static int pick_bridge(struct engine *e, const char *wanted, const json_t *all, char ret[IFNAMSIZ])
{
	g_autofree char *prefix = NULL;

	if (wanted) {
		if (strlen(wanted) >= IFNAMSIZ || strpbrk(wanted, "/: \t") || !*wanted)
			return err_set(EINVAL, "interface name %s is not valid", wanted);
		g_strlcpy(ret, wanted, IFNAMSIZ);
	}
	prefix = !strcmp(e->root, ENGINE_ROOT)
			 ? g_strdup(NETWORK_DEFAULT)
			 : g_strdup_printf("cp%06x-", g_str_hash(e->root) & 0xffffff);
	for (unsigned k = 1; k < BRIDGES; k++) {
		bool taken = false;
		json_t *j;
		size_t i;

		if (!wanted)
			snprintf(ret, IFNAMSIZ, "%s%u", prefix, k);
		json_array_foreach(all, i, j) taken |=
			!g_strcmp0(json_string_value(json_object_get(j, "network_interface")), ret);
		if (!taken && !if_nametoindex(ret))
			return 0;
		if (wanted)
			break;
	}
	return err_set(EEXIST, "bridge name %s already in use", ret);
}

static bool overlaps(const struct subnet *a, const struct subnet *b)
{
	uint32_t wider = a->mask & b->mask;

	return (a->net & wider) == (b->net & wider);
}

static bool taken_by_config(const json_t *all, const struct subnet *s)
{
	struct subnet other;
	json_t *j;
	size_t i;

	json_array_foreach(all, i, j)
	{
		if (subnet_of(j, &other) == 0 && overlaps(&other, s))
			return true;
	}
	err_clear();
	return false;
}

static int parse_cidr(const char *text, struct subnet *ret, unsigned *ret_bits)
{
	const char *slash = strchr(text, '/');
	g_autofree char *net = slash ? g_strndup(text, (gsize)(slash - text)) : NULL;
	char *end = NULL;
	unsigned long bits = slash ? strtoul(slash + 1, &end, 10) : 0;

	if (slash && strchr(net, ':'))
		return err_set(EOPNOTSUPP, "subnet %s: IPv6 networks are not supported", text);
	if (!slash || !*(slash + 1) || *end || bits > 30 || !bits || !subnet_parse_ip(net))
		return err_set(EINVAL, "invalid CIDR address: %s", text);
	ret->mask = ~UINT32_C(0) << (32 - bits);
	ret->net = subnet_parse_ip(net) & ret->mask;
	ret->gateway = ret->net + 1;
	*ret_bits = (unsigned)bits;
	return 0;
}

/* The next free /24 from 10.89.0.0 on. */
static int free_subnet(const json_t *all, const char *bridge, struct subnet *ret)
{
	ret->mask = UINT32_C(0xffffff00);
	for (uint32_t k = 0; k < 39 * 256; k++) {
		ret->net = (UINT32_C(10) << 24 | 89 << 16) + (k << 8);
		ret->gateway = ret->net + 1;
		if (!taken_by_config(all, ret) && !subnet_taken_by_host(ret, bridge))
			return 0;
	}
	return err_set(EADDRNOTAVAIL, "could not find free subnet from subnet pools");
}

static int pick_gateway(const char *text, const char *subnet, struct subnet *s)
{
	if (!text)
		return 0;
	s->gateway = subnet_parse_ip(text);
	if (!s->gateway || (s->gateway & s->mask) != s->net)
		return err_set(EINVAL, "gateway %s not in subnet %s", text, subnet);
	return 0;
}

static int pick_range(const char *text, const struct subnet *s, json_t *into)
{
	struct subnet range;
	char first[16], last[16];
	unsigned bits;
	int r;

	if (!text)
		return 0;
	r = parse_cidr(text, &range, &bits);
	if (r < 0)
		return r;
	if ((range.net & s->mask) != s->net || (range.mask & s->mask) != s->mask)
		return err_set(EINVAL, "ip range %s is not in the network's subnet", text);
	subnet_ip_text(range.net + 1, first);
	subnet_ip_text(range.net | ~range.mask, last);
	json_object_set_new(into, "lease_range",
			    json_pack("{ss ss}", "start_ip", first, "end_ip", last));
	return 0;
}

static int subnet_json(const struct network_new *n, const json_t *all, const char *bridge,
		       json_t **ret)
{
	char base[16], gateway[16], text[32];
	struct subnet s = {0};
	unsigned bits = 24;
	int r;

	if ((n->gateway || n->ip_range) && !n->subnet)
		return err_set(EINVAL, "--gateway and --ip-range need a --subnet");
	r = n->subnet ? parse_cidr(n->subnet, &s, &bits) : free_subnet(all, bridge, &s);
	if (r < 0)
		return r;
	subnet_ip_text(s.net, base);
	snprintf(text, sizeof(text), "%s/%u", base, bits);
	if (n->subnet && (taken_by_config(all, &s) || subnet_taken_by_host(&s, bridge)))
		return err_set(EEXIST, "subnet %s is already used on the host or by another config",
			       text);
	r = pick_gateway(n->gateway, text, &s);
	if (r < 0)
		return r;
	subnet_ip_text(s.gateway, gateway);
	*ret = json_pack("{ss ss}", "subnet", text, "gateway", gateway);
	r = pick_range(n->ip_range, &s, *ret);
	if (r < 0)
		json_decref(*ret);
	return r;
}

static int define(struct engine *e, const struct network_new *n, const char *name,
		  const json_t *all, json_t **ret)
{
	g_autoptr(GDateTime) t = g_date_time_new_now_utc();
	g_autofree char *now = g_date_time_format_iso8601(t);
	json_t *subnet = NULL, *labels = json_object();
	char bridge[IFNAMSIZ], id[ENGINE_ID_LEN + 1];
	int r;

	engine_random_id(id);
	r = pick_bridge(e, n->interface, all, bridge);
	if (r == 0)
		r = subnet_json(n, all, bridge, &subnet);
	if (r == 0)
		r = options_parse_labels(n->labels, labels);
	if (r < 0) {
		json_decref(subnet);
		json_decref(labels);
		return r;
	}
	*ret = json_pack("{ss ss ss ss ss s[o] sb sb sb so s{} s{ss}}", "name", name, "id", id,
			 "driver", "bridge", "network_interface", bridge, "created", now, "subnets",
			 subnet, "ipv6_enabled", 0, "internal", (int)n->internal, "dns_enabled", 0,
			 "labels", labels, "options", "ipam_options", "driver", "host-local");
	return 0;
}

static int insert(struct engine *e, const struct network_new *n, const char *name)
{
	json_t *all = NULL, *definition = NULL;
	int r = network_list(e, &all);

	if (r == 0)
		r = define(e, n, name, all, &definition);
	if (r == 0)
		r = store_exec(e, "INSERT INTO networks(name, definition) VALUES(?, ?)", "sj", name,
			       definition);
	json_decref(all);
	json_decref(definition);
	return r;
}

/* 1: there is one of that name. */
static int name_used(struct engine *e, const char *name)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(e, "SELECT 1 FROM networks WHERE name=?");

	store_bind(q, "s", name);
	return !strcmp(name, NETWORK_DEFAULT) ? 1 : store_step(e, q);
}

int network_create(struct engine *e, const struct network_new *n, char **ret)
{
	CLEANUP(store_rollback) struct store_tx tx = {0};
	char made[16];
	const char *name = n->name;
	json_t *definition = NULL;
	int r = name ? check_name(name) : 0;

	/* The default network's subnet counts, too. */
	if (r == 0)
		r = network_definition(e, NETWORK_DEFAULT, &definition);
	json_decref(definition);
	if (r == 0)
		r = store_begin(e, &tx);
	if (r < 0)
		return r;
	for (unsigned k = 1; !name && k < BRIDGES; k++) {
		snprintf(made, sizeof(made), NETWORK_DEFAULT "%u", k);
		r = name_used(e, made);
		if (r < 0)
			return r;
		if (r == 0)
			name = made;
	}
	r = name ? name_used(e, name) : -EEXIST;
	if (r > 0 && n->ignore) {
		*ret = g_strdup(name);
		return 0;
	}
	if (r != 0)
		return r < 0 ? r
			     : err_set(EEXIST,
				       "network name %s already used: network already exists",
				       name);
	r = insert(e, n, name);
	if (r == 0)
		r = store_commit(&tx);
	if (r < 0)
		return r;
	event_object(e, "network", "create", name);
	*ret = g_strdup(name);
	return 0;
}

int network_users(struct engine *e, const char *name, char ***ret)
{
	CLEANUP(container_array_free) GPtrArray *all = NULL;
	g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
	int r = container_list(e, &all);

	if (r < 0)
		return r;
	for (guint i = 0; i < all->len; i++) {
		const struct container *c = all->pdata[i];

		if (!strcmp(container_text(c, "networkMode"), "bridge") &&
		    !strcmp(container_text(c, "networkArg"), name))
			g_ptr_array_add(ids, g_strdup(c->id));
	}
	g_ptr_array_add(ids, NULL);
	*ret = (char **)g_ptr_array_steal(ids, NULL);
	return 0;
}

int network_delete(struct engine *e, const char *name)
{
	CLEANUP(store_rollback) struct store_tx tx = {0};
	g_auto(GStrv) users = NULL;
	int r;

	if (!strcmp(name, NETWORK_DEFAULT))
		return err_set(EPERM, "default network %s cannot be removed", name);
	r = store_begin(e, &tx);
	if (r == 0)
		r = network_users(e, name, &users);
	if (r < 0)
		return r;
	if (users[0])
		return err_set(
			EBUSY,
			"\"%s\" has associated containers with it. Use -f to forcibly delete "
			"containers and pods: network is being used",
			name);
	r = store_exec(e, "DELETE FROM networks WHERE name=?", "s", name);
	if (r == 0)
		r = store_commit(&tx);
	if (r == 0)
		event_object(e, "network", "remove", name);
	return r;
}
