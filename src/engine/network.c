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
#include "engine/container.h"
#include "engine/network_private.h"
#include "engine/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

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

static int boot_id(char **ret)
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
	int r = boot_id(&boot);

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
	int r = boot_id(&boot);

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

/*
 * Tries the lock of a container that is not the caller's: waiting for it while holding one's own
 * could go round in a circle.  1: *RET_FD holds it; 0: somebody is at work on it.
 */
static int try_lock(struct engine *e, const char *id, int *ret_fd)
{
	g_autofree char *path = g_build_filename(e->runroot, "locks", id, NULL);
	autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno("open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 0 : err_errno("lock %s", path);
	*ret_fd = take_fd(&fd);
	return 1;
}

/*
 * A checkpointed container keeps its network for the restore, but not against one that wants its
 * ports now.  1: they are free; 0: the container is in use.
 */
static int take_over(struct engine *e, const char *id)
{
	CLEANUP(container_unref) struct container *c = NULL;
	autoclose int lock = -1;
	int r = container_find(e, id, &c);

	if (r < 0 && r != -ENOENT) /* ENOENT: what a crash left of a removed one */
		return r;
	if (r == 0) {
		r = try_lock(e, id, &lock);
		if (r <= 0)
			return r;
		r = container_reload(e, c);
		if (r < 0 && r != -ENOENT)
			return r;
		if (r == 0 && c->state.status != CONTAINER_EXITED &&
		    c->state.status != CONTAINER_CREATED)
			return 0;
	}
	r = network_teardown(e, id);
	return r < 0 ? r : 1;
}

struct rival {
	char *id, *port;
};

static void rival_free(void *p)
{
	struct rival *v = p;

	g_free(v->id);
	g_free(v->port);
	g_free(v);
}

/* Our other containers that publish one of PORTS: netavark's second rule would never match. */
static int find_rivals(struct engine *e, const char *id, const json_t *ports, GPtrArray *to)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q =
		store_prepare(e, "SELECT container, request FROM connections WHERE boot=? AND "
				 "container<>? AND request IS NOT NULL");
	g_autofree char *boot = NULL;
	int r = boot_id(&boot);

	if (r < 0)
		return r;
	store_bind(q, "ss", boot, id);
	while ((r = store_step(e, q)) > 0) {
		CLEANUP(unref_json) json_t *other = store_json(q, 1);
		struct rival v = {
			.port = ports_overlap(ports, json_object_get(other, "port_mappings"))};

		if (!v.port)
			continue;
		v.id = g_strdup(store_text(q, 0));
		g_ptr_array_add(to, g_memdup2(&v, sizeof(v)));
	}
	return r;
}

static int check_others(struct engine *e, const char *id, const json_t *ports)
{
	g_autoptr(GPtrArray) rivals = g_ptr_array_new_with_free_func(rival_free);
	int r = json_array_size(ports) ? find_rivals(e, id, ports, rivals) : 0;

	for (guint i = 0; r >= 0 && i < rivals->len; i++) {
		const struct rival *v = rivals->pdata[i];

		r = take_over(e, v->id);
		if (r == 0)
			return err_set(EADDRINUSE,
				       "port %s is already published by container %.12s: stop or "
				       "remove that one first",
				       v->port, v->id);
	}
	return r < 0 ? r : 0;
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
		k = check_others(e, r->id, json_object_get(request, "port_mappings"));
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
