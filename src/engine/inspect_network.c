/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/inspect_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

json_t *container_ports(const struct container *c)
{
	json_t *ports = json_object_get(c->config, "ports");

	return json_is_array(ports) ? json_incref(ports) : json_array();
}

/* Ranges become single ports; "tcp,udp" becomes two entries. */
static void add_port(json_t *to, const json_t *p)
{
	int64_t n = json_integer_value(json_object_get(p, "range"));
	int64_t inside = json_integer_value(json_object_get(p, "container_port"));
	int64_t outside = json_integer_value(json_object_get(p, "host_port"));
	const char *ip = json_string_value(json_object_get(p, "host_ip"));
	const char *names = json_string_value(json_object_get(p, "protocol"));
	g_auto(GStrv) protocols = g_strsplit(names && *names ? names : "tcp", ",", -1);

	for (char **proto = protocols; *proto; proto++)
		for (int64_t i = 0; i < MAX(n, 1); i++) {
			g_autofree char *key =
				g_strdup_printf("%" PRId64 "/%s", inside + i, *proto);
			g_autofree char *port = g_strdup_printf("%" PRId64, outside + i);
			json_t *list = json_object_get(to, key);

			if (!json_is_array(list)) {
				list = json_array();
				json_object_set_new(to, key, list);
			}
			json_array_append_new(list, json_pack("{s:s, s:s}", "HostIp", ip ? ip : "",
							      "HostPort", port));
		}
}

json_t *inspect_port_bindings(const struct inspected *in)
{
	json_t *to = json_object();
	const json_t *p;
	size_t i;

	json_array_foreach(json_object_get(in->c->config, "ports"), i, p) add_port(to, p);
	return to;
}

/* Exposed and not published: null. */
static json_t *all_ports(const struct inspected *in)
{
	json_t *to = inspect_port_bindings(in);
	const char *port;
	json_t *value;

	json_object_foreach(json_object_get(in->c->config, "exposed"), port, value)
	{
		g_autofree char *key =
			strchr(port, '/') ? g_strdup(port) : g_strdup_printf("%s/tcp", port);

		if (!json_object_get(to, key))
			json_object_set_new(to, key, json_null());
	}
	return to;
}

struct address {
	char *ip4, *gateway4, *ip6, *gateway6;
	int prefix4, prefix6;
	const char *mac;
};

static void address_clear(struct address *a)
{
	g_free(a->ip4);
	g_free(a->gateway4);
	g_free(a->ip6);
	g_free(a->gateway6);
}

/* A network's part of the status: {"interfaces": {"eth0": {"subnets": [...], "mac_address"}}}. */
static void read_address(const json_t *network, struct address *a)
{
	const json_t *interface, *subnet;
	const char *name;
	size_t i;

	json_object_foreach(json_object_get(network, "interfaces"), name, interface)
	{
		a->mac = json_string_value(json_object_get(interface, "mac_address"));
		json_array_foreach(json_object_get(interface, "subnets"), i, subnet)
		{
			const char *net = json_string_value(json_object_get(subnet, "ipnet"));
			const char *gw = json_string_value(json_object_get(subnet, "gateway"));
			const char *slash = net ? strchr(net, '/') : NULL;

			if (!slash)
				continue;
			if (strchr(net, ':')) {
				a->ip6 = g_strndup(net, (gsize)(slash - net));
				a->gateway6 = g_strdup(gw);
				a->prefix6 = atoi(slash + 1);
			} else {
				a->ip4 = g_strndup(net, (gsize)(slash - net));
				a->gateway4 = g_strdup(gw);
				a->prefix4 = atoi(slash + 1);
			}
		}
		return; /* of several interfaces in one network the first is shown */
	}
}

static void put_address(json_t *o, const struct address *a)
{
	put_text(o, "EndpointID", "");
	put_text(o, "Gateway", a->gateway4);
	put_text(o, "IPAddress", a->ip4);
	put_int(o, "IPPrefixLen", a->prefix4);
	put_text(o, "IPv6Gateway", a->gateway6);
	put_text(o, "GlobalIPv6Address", a->ip6);
	put_int(o, "GlobalIPv6PrefixLen", a->prefix6);
	put_text(o, "MacAddress", a->mac);
}

static json_t *one_network(const struct inspected *in, const char *name, const struct address *a)
{
	g_autofree char *short_id = g_strndup(in->c->id, 12);
	json_t *o = json_object(), *aliases = json_array();

	put_address(o, a);
	put_text(o, "NetworkID", name);
	put_copy(o, "DriverOpts", NULL);
	put_copy(o, "IPAMConfig", NULL);
	put_copy(o, "Links", NULL);
	for (char **p = in->o->network_aliases; p && *p; p++)
		json_array_append_new(aliases, json_string(*p));
	json_array_append_new(aliases, json_string(short_id));
	json_object_set_new(o, "Aliases", aliases);
	return o;
}

static json_t *networks(const struct inspected *in)
{
	const char *mode = container_text(in->c, "networkMode");
	json_t *o = json_object();
	const json_t *network;
	const char *name;

	json_object_foreach(in->c->state.network, name, network)
	{
		CLEANUP(address_clear) struct address a = {0};

		read_address(network, &a);
		json_object_set_new(o, name, one_network(in, name, &a));
	}
	if (json_object_size(o) == 0 && !strcmp(mode, "bridge")) {
		const struct address none = {0};

		name = container_text(in->c, "networkArg");
		json_object_set_new(o, name, one_network(in, name, &none));
	}
	return o;
}

json_t *inspect_network(const struct inspected *in)
{
	CLEANUP(address_clear) struct address a = {0};
	json_t *o = json_object(), *all = networks(in);
	const json_t *network;
	const char *name;

	json_object_foreach(in->c->state.network, name, network)
	{
		read_address(network, &a);
		break;
	}
	put_address(o, &a);
	put_text(o, "Bridge", "");
	put_text(o, "SandboxID", "");
	put_bool(o, "HairpinMode", false);
	put_text(o, "LinkLocalIPv6Address", "");
	put_int(o, "LinkLocalIPv6PrefixLen", 0);
	json_object_set_new(o, "Ports", all_ports(in));
	put_text(o, "SandboxKey", in->c->state.netns);
	json_object_set_new(o, "Networks", all);
	return o;
}
