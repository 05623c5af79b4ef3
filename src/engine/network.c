/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation: table `connections` has a row from before the first thing is made until
 *after the last one is gone:
 *
 *	row without status	being set up, or whoever did it was killed
 *	row with status		up, if it is of this boot and the namespace is still there
 *
 * The row holds what netavark was asked for, so that a teardown needs nobody else's knowledge.
 */
#include "base/file.h"
#include "base/log.h"
#include "engine/network_private.h"
#include "engine/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define IFNAME "eth0"

struct connection {
	bool there, this_boot;
	char *netns;
	json_t *request, *status; /* request NULL: nothing but a namespace */
	int peer;		  /* index of the host's end of eth0; never given twice in a boot */
};

static void connection_clear(struct connection *c)
{
	g_free(c->netns);
	json_decref(c->request);
	json_decref(c->status);
	*c = (struct connection){0};
}

static void unref_json(json_t **j)
{
	json_decref(*j);
}

int network_boot_id(char **ret)
{
	int r = file_read_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 256, ret, NULL);

	if (r == 0)
		g_strchomp(*ret);
	return r;
}

static int load(struct engine *e, const char *id, struct connection *ret)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(
		e, "SELECT netns, boot, request, status, peer FROM connections WHERE container=?");
	g_autofree char *boot = NULL;
	int r = network_boot_id(&boot);

	if (r < 0)
		return r;
	store_bind(q, "s", id);
	r = store_step(e, q);
	if (r <= 0)
		return r;
	ret->there = true;
	ret->netns = g_strdup(store_text(q, 0));
	ret->this_boot = !strcmp(boot, store_text(q, 1));
	ret->request = store_json(q, 2);
	ret->status = store_json(q, 3);
	ret->peer = sqlite3_column_int(q, 4);
	return 0;
}

static int save(struct engine *e, const char *id, const char *netns, const json_t *request)
{
	g_autofree char *boot = NULL;
	int r = network_boot_id(&boot);

	if (r < 0)
		return r;
	return store_exec(e,
			  "INSERT OR REPLACE INTO connections(container, netns, boot, request) "
			  "VALUES(?,?,?,?)",
			  "sssj", id, netns, boot, request);
}

static int save_status(struct engine *e, const char *id, const json_t *status, int peer)
{
	return store_exec(e, "UPDATE connections SET status=?, peer=? WHERE container=?", "jis",
			  status, peer, id);
}

static char *netns_path(struct engine *e, const char *id)
{
	return g_strdup_printf("%s/netns/%s", e->runroot, id);
}

/* 1: all of it is there. */
static int is_up(const struct connection *c)
{
	g_autofree char *ip = network_first_ip(c->status);
	int r;

	if (!c->there || !c->this_boot || !c->status)
		return 0;
	r = netns_exists(c->netns);
	if (r <= 0 || !c->request)
		return r;
	return ip ? netns_has_address(c->netns, IFNAME, ip) : 0;
}

int network_is_up(struct engine *e, const char *id)
{
	CLEANUP(connection_clear) struct connection c = {0};
	int r = load(e, id, &c);

	return r < 0 ? r : is_up(&c);
}

void network_result_clear(struct network_result *r)
{
	g_free(r->netns);
	json_decref(r->status);
	*r = (struct network_result){0};
}

/*
 * netavark's chains are named after the network, so each bridge has a name of its own there; to the
 * user it is always the definition's.
 */
static const char *netavark_name(const json_t *definition)
{
	const char *bridge = json_string_value(json_object_get(definition, "network_interface"));

	return strcmp(bridge, NETWORK_DEFAULT "0") ? bridge : NETWORK_DEFAULT;
}

static json_t *make_request(const struct network_request *r, const json_t *definition,
			    const struct lease *l)
{
	const char *name = netavark_name(definition);
	json_t *info = json_copy((json_t *)definition), *aliases = json_array();

	json_object_set_new(info, "name", json_string(name));
	for (char *const *a = r->aliases; a && *a; a++)
		json_array_append_new(aliases, json_string(*a));
	return json_pack("{ss ss s{s{s[s] ss ss so}} s{so} so}", "container_id", r->id,
			 "container_name", r->name, "networks", name, "static_ips", l->ip,
			 "static_mac", l->mac, "interface_name", IFNAME, "aliases", aliases,
			 "network_info", name, info, "port_mappings",
			 r->ports ? json_deep_copy(r->ports) : json_array());
}

/* As Podman keeps it: by the name that users know, without what is empty. */
static json_t *make_status(const json_t *answer, const json_t *definition)
{
	static const char *const optional[] = {"dns_server_ips", "dns_search_domains"};
	json_t *net = json_copy(json_object_get(answer, netavark_name(definition)));

	for (size_t i = 0; i < ARRAY_SIZE(optional); i++)
		if (!json_array_size(json_object_get(net, optional[i])))
			json_object_del(net, optional[i]);
	return json_pack("{so}", json_string_value(json_object_get(definition, "name")),
			 net ?: json_null());
}

/* What comes up, in the order of the row's states. */
static int bring_up(struct engine *e, const struct network_request *r, const char *netns,
		    const json_t *request, const json_t *definition, json_t **ret_status)
{
	CLEANUP(unref_json) json_t *answer = NULL;
	int k, peer = 0;

	k = save(e, r->id, netns, request);
	if (k == 0)
		k = netns_make(netns);
	if (k == 0 && r->made)
		k = r->made->fn(r->made->arg, netns);
	if (k == 0 && request)
		k = netavark_run("setup", netns, request, &answer);
	if (k == 0 && request)
		k = peer = netns_peer_index(netns, IFNAME);
	if (k < 0)
		return k;
	if (request)
		*ret_status = make_status(answer, definition);
	/* A namespace alone is up when its row says so. */
	return save_status(e, r->id, *ret_status ?: json_null(), peer);
}

static int prepare(struct engine *e, const struct network_request *r, json_t **ret_definition,
		   json_t **ret_request)
{
	struct lease l;
	int k;

	if (r->choice->mode == NETWORK_NONE)
		return 0;
	if (r->choice->mode != NETWORK_BRIDGE)
		return err_set(EINVAL, "container %s has no network of its own", r->name);
	k = network_definition(e, r->choice->arg ?: NETWORK_DEFAULT, ret_definition);
	if (k == 0)
		k = lease_take(e, r->id, *ret_definition, r->ip, r->mac, &l);
	if (k == 0)
		*ret_request = make_request(r, *ret_definition, &l);
	return k;
}

/* 1: what is up is what is asked for; *RET is filled. */
static int reuse(struct engine *e, const char *id, const json_t *request,
		 struct network_result *ret)
{
	CLEANUP(connection_clear) struct connection c = {0};
	int r = load(e, id, &c);

	if (r < 0)
		return r;
	if (request ? !json_equal(request, c.request) : c.request != NULL)
		return 0;
	r = is_up(&c);
	if (r > 0) {
		ret->netns = g_steal_pointer(&c.netns);
		ret->status = json_is_object(c.status) ? json_incref(c.status) : NULL;
		ret->reused = true;
	}
	return r;
}

int network_setup(struct engine *e, const struct network_request *r, struct network_result *ret)
{
	CLEANUP(unref_json) json_t *definition = NULL, *request = NULL, *status = NULL;
	g_autofree char *netns = netns_path(e, r->id);
	g_autofree char *dir = g_path_get_dirname(netns);
	int k;

	*ret = (struct network_result){0};
	if (r->choice->mode == NETWORK_HOST)
		return 0;
	k = prepare(e, r, &definition, &request);
	if (k == 0)
		k = reuse(e, r->id, request, ret);
	if (k != 0)
		return k < 0 ? k : 0;
	k = network_teardown(e, r->id);
	if (k == 0)
		k = rivals_make_way(e, r->id, json_object_get(request, "port_mappings"));
	if (k == 0)
		k = ports_check_free(json_object_get(request, "port_mappings"));
	if (k == 0)
		k = file_mkdirs(dir, 0700);
	if (k < 0)
		return k;
	k = bring_up(e, r, netns, request, definition, &status);
	if (k < 0) {
		g_autofree char *story = g_strdup(err_message());

		if (network_teardown(e, r->id) < 0)
			log_warn("network of %.12s: %s", r->id, err_message());
		return err_adopt(k, story);
	}
	ret->netns = g_steal_pointer(&netns);
	ret->status = g_steal_pointer(&status);
	return 0;
}

/*
 * netavark removes firewall rules only on its way to the interface inside, so that a namespace
 * which is gone, or never was finished, gets a stand-in.
 */
static int take_down(const struct connection *c)
{
	int r = netns_exists(c->netns);

	if (r < 0)
		return r;
	if (r == 0) {
		g_autofree char *dir = g_path_get_dirname(c->netns);

		r = file_mkdirs(dir, 0700);
		if (r == 0)
			r = netns_make(c->netns);
		if (r == 0)
			r = netns_make_decoy(c->netns, IFNAME);
		/* The kernel takes its time over what was in there; a bridge in use would stay. */
		if (r == 0 && c->peer)
			r = netns_delete_link(c->peer);
	} else if (!c->status) {
		r = netns_make_decoy(c->netns, IFNAME);
	} else {
		r = 0;
	}
	return r < 0 ? r : netavark_run("teardown", c->netns, c->request, NULL);
}

int network_teardown(struct engine *e, const char *id)
{
	CLEANUP(connection_clear) struct connection c = {0};
	int r = load(e, id, &c);

	if (r < 0 || !c.there)
		return r;
	if (c.request && c.this_boot && take_down(&c) < 0) {
		/* Half a setup has only half of the rules; else somebody should know what stays. */
		log_at(c.status ? LOG_WARN : LOG_DEBUG, "network of container %.12s: %s", id,
		       err_message());
	}
	r = netns_remove(c.netns);
	if (r < 0)
		return r;
	return store_exec(e, "DELETE FROM connections WHERE container=?", "s", id);
}

int network_forget(struct engine *e, const char *id)
{
	int r = network_teardown(e, id);

	return r < 0 ? r : lease_drop(e, id);
}
