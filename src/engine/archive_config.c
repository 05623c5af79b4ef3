/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.dump: Podman's container record, with what readers of archives look for, and our own
 * options under ARCHIVE_OURS.  spec.dump: the OCI document that the runtime was given.
 */
#include "base/json.h"
#include "engine/archive_in.h"
#include "engine/archive_out.h"
#include "engine/ckfiles.h"
#include "engine/image.h"
#include "engine/inspect.h"
#include "engine/mounts.h"
#include "engine/network.h"
#include "engine/options.h"
#include "engine/spec.h"

#include <string.h>

static void put(json_t *to, const char *key, json_t *value)
{
	json_object_set_new(to, key, value);
}

static void put_string(json_t *to, const char *key, const char *value)
{
	put(to, key, json_string(value ? value : ""));
}

static void put_stamp(json_t *to, const char *key, int64_t ns)
{
	g_autofree char *text = time_rfc3339(ns);

	put_string(to, key, text);
}

static json_t *strings(char *const *v)
{
	json_t *a = json_array();

	for (; v && *v; v++)
		json_array_append_new(a, json_string(*v));
	return a;
}

/* As Podman has it: number 80 from "80/tcp" -> ["tcp"]. */
static json_t *exposed_ports(const json_t *exposed)
{
	json_t *all = json_object(), *unused;
	const char *port;

	json_object_foreach((json_t *)exposed, port, unused)
	{
		g_auto(GStrv) parts = g_strsplit(port, "/", 2);

		if (parts[0])
			put(all, parts[0], json_pack("[s]", parts[1] ? parts[1] : "tcp"));
	}
	return all;
}

static int put_volumes(json_t *to, const struct container_options *o)
{
	CLEANUP(user_mounts_clear) struct user_mounts all = {0};
	json_t *named = json_array(), *places = json_array();
	int r = user_mounts_parse(o, &all);

	for (unsigned i = 0; i < all.n; i++) {
		g_autofree char *name = NULL;

		json_array_append_new(places, json_string(all.v[i].destination));
		if (all.v[i].type != USER_MOUNT_VOLUME)
			continue;
		name = volume_name_of(&all.v[i]);
		json_array_append_new(named, json_pack("{s:s, s:s, s:o}", "volumeName", name,
						       "dest", all.v[i].destination, "options",
						       strings(all.v[i].options)));
	}
	if (json_array_size(named))
		put(to, "namedVolumes", json_incref(named));
	put(to, "userVolumes", json_incref(places));
	json_decref(named);
	json_decref(places);
	return r;
}

const char *archive_network_name(const char *name)
{
	return strcmp(name, NETWORK_DEFAULT) ? name : "podman";
}

static void put_network(json_t *to, struct container *c, const struct container_options *o)
{
	const char *mode = container_text(c, "networkMode"), *arg = container_text(c, "networkArg");
	bool bridge = !strcmp(mode, "bridge");
	json_t *net = json_object();

	put(to, "createNetNS", json_boolean(bridge || !strcmp(mode, "none")));
	put(to, "newPortMappings", json_incref(json_object_get(c->config, "ports")));
	put(to, "exposedPorts", exposed_ports(json_object_get(c->config, "exposed")));
	put_string(to, "networkMode", mode);
	put(to, "dnsServer", strings(o->dns));
	put(to, "dnsSearch", strings(o->dns_search));
	put(to, "dnsOption", strings(o->dns_option));
	put(to, "hostsAdd", strings(o->add_host));
	put(to, "UseImageHosts", json_boolean(o->no_hosts));
	put_string(net, "interface_name", "eth0");
	if (o->ip)
		put(net, "static_ips", json_pack("[s]", o->ip));
	if (o->mac_address)
		put_string(net, "static_mac", o->mac_address);
	put(net, "aliases", strings(o->network_aliases));
	if (bridge)
		put(to, "newNetworks", json_pack("{s:O}", archive_network_name(arg), net));
	json_decref(net);
}

static void put_identity(json_t *to, struct engine *e, struct container *c)
{
	const struct container_state *s = &c->state;
	g_autofree char *dir = container_static_dir(e, c), *log = container_log_path(e, c);
	g_autofree char *shm = g_build_filename(dir, "shm", NULL);

	put_string(to, "id", c->id);
	put_string(to, "name", c->name);
	put(to, "lockID", json_integer(0));
	put(to, "CreateCommand", json_incref(json_object_get(c->config, "createCommand")));
	put_string(to, "rootfsImageID", c->image_id);
	put_string(to, "rootfsImage", c->image_id);
	put_string(to, "rootfsImageRef", container_text(c, "imageDigest"));
	put_string(to, "rootfsImageName", c->image_name);
	put_string(to, "ShmDir", shm);
	put_string(to, "staticDir", dir);
	put_string(to, "logPath", log);
	put_string(to, "runtime", container_text(c, "runtime"));
	put_stamp(to, "createdTime", c->created_ns);
	put_stamp(to, "checkpointedTime", engine_now_ns());
	put_stamp(to, "restoredTime", s->restored_ns);
	put(to, "restored", json_boolean(s->restored));
	put(to, "Dependencies", json_null());
}

static void put_rest(json_t *to, struct container *c, const struct container_options *o)
{
	put_string(to, "RawImageName", o->image);
	put(to, "shmSize", json_integer(o->shm_size ? o->shm_size : 65536000));
	put(to, "privileged", json_boolean(o->privileged));
	put_string(to, "user", container_text(c, "user"));
	put(to, "groups", strings(o->group_add));
	put(to, "entrypoint", json_incref(json_object_get(c->config, "entrypoint")));
	put(to, "command", json_incref(json_object_get(c->config, "command")));
	put(to, "stdin", json_boolean(o->interactive));
	put(to, "labels", json_incref(json_object_get(c->config, "labels")));
	put(to, "stopSignal", json_incref(json_object_get(c->config, "stopSignal")));
	put(to, "stopTimeout", json_integer(o->stop_timeout));
	if (o->timeout)
		put(to, "timeout", json_integer(o->timeout));
	if (o->timezone)
		put_string(to, "timezone", o->timezone);
	put_string(to, "cgroupManager", "cgroupfs");
	put_string(to, "cgroupParent", o->cgroup_parent ? o->cgroup_parent : "/cryopod");
	put_string(to, "logDriver", o->log_driver ? o->log_driver : "k8s-file");
	if (o->restart)
		put_string(to, "restart_policy", o->restart);
	put_string(to, "umask", o->umask ? o->umask : "0022");
}

/* What our own reader takes, after checking it: engine/archive_trust.c. */
static int put_ours(json_t *to, struct engine *e, struct container *c,
		    const struct container_options *o, bool shm_apart)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	int r = image_resolve(e, c->image_id, &img);
	json_t *layers;

	if (r < 0)
		return r;
	layers = json_object_get(json_object_get(img.document, "rootfs"), "diff_ids");
	put(to, ARCHIVE_OURS,
	    json_pack("{s:i, s:s, s:o, s:O*, s:O*, s:b}", "version", 1, "engine", CRYOPOD_VERSION,
		      "options", container_options_to_json(o), "layers", layers, "volumes",
		      json_object_get(c->config, "volumes"), ARCHIVE_SHM_APART, shm_apart));
	return 0;
}

/* Podman leaves a namespace without network to its runtime, so that a path to ours would stay. */
static void drop_network_path(json_t *spec)
{
	json_t *ns;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(spec, "linux"), "namespaces"), i, ns)
	{
		if (!strcmp(json_text_of(ns, "type"), "network"))
			json_object_del(ns, "path");
	}
}

/*
 * Podman makes volumes anew, but leaves the mounts of spec.dump as they are: they have to be where
 * its own volumes are (container_internal_common.go: restore()).
 */
#define PODMAN_VOLUMES "/var/lib/containers/storage/volumes"

static void move_volumes(const struct engine *e, json_t *spec)
{
	g_autofree char *ours = g_strconcat(e->root, "/volumes/", NULL);
	json_t *m;
	size_t i;

	json_array_foreach(json_object_get(spec, "mounts"), i, m)
	{
		const char *from = json_text_of(m, "source");
		g_autofree char *to = NULL;

		if (!g_str_has_prefix(from, ours))
			continue;
		to = g_build_filename(PODMAN_VOLUMES, from + strlen(ours), NULL);
		json_object_set_new(m, "source", json_string(to));
	}
}

/* By these the others know who made it, and what for: checkpointctl show, Podman, CRI-O's restore.
 */
static void put_notes(json_t *spec, const struct container *c, const struct container_options *o)
{
	static const char *const words[] = {"FALSE", "TRUE"};
	g_autofree char *created = time_rfc3339(c->created_ns);
	json_t *metadata = json_pack("{ss}", "name", c->name), *notes;
	g_autofree char *name = json_dumps(metadata, JSON_COMPACT);
	const struct {
		const char *key, *value;
	} all[] = {
		{"io.container.manager", "libpod"},
		{"io.kubernetes.cri-o.Annotations", "{}"},
		{"io.kubernetes.cri-o.Created", created},
		{"io.kubernetes.cri-o.Labels", "{}"},
		{"io.kubernetes.cri-o.Metadata", name},
		{"io.kubernetes.cri-o.TTY", o->tty ? "true" : "false"},
		{"io.podman.annotations.autoremove", words[o->rm]},
		{"io.podman.annotations.init", words[false]},
		{"io.podman.annotations.privileged", words[o->privileged]},
		{"io.podman.annotations.publish-all", words[o->publish_all]},
	};

	json_decref(metadata);
	notes = json_object_get(spec, "annotations");
	if (!notes)
		json_object_set_new(spec, "annotations", notes = json_object());
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		json_object_set_new(notes, all[i].key, json_string(all[i].value));
}

int archive_spec_make(struct engine *e, struct container *c, json_t **ret)
{
	const struct container_options *o;
	autoclose int dir = -1;
	int r = container_options(c, &o);

	if (r == 0)
		r = ck_open_static(e, c, &dir);
	if (r == 0)
		r = spec_read(dir, "config.json", ret);
	if (r < 0)
		return r;
	move_volumes(e, *ret);
	put_notes(*ret, c, o);
	if (!g_strcmp0(o->network, "none"))
		drop_network_path(*ret);
	return 0;
}

int archive_config_make(struct engine *e, struct container *c, bool shm_apart, json_t **ret)
{
	const struct container_options *o;
	json_t *all = json_object(), *spec = NULL;
	int r = container_options(c, &o);

	if (r == 0)
		r = archive_spec_make(e, c, &spec);
	if (r == 0) {
		put(all, "spec", spec);
		put_identity(all, e, c);
		put_network(all, c, o);
		put_rest(all, c, o);
		r = put_volumes(all, o);
	}
	if (r == 0)
		r = put_ours(all, e, c, o, shm_apart);
	if (r < 0)
		json_decref(all);
	else
		*ret = all;
	return r;
}
