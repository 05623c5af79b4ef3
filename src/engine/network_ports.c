/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line says about networks: --network, -p, -P, --ip, --mac-address. */
#include "engine/network_private.h"
#include "engine/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int network_choice_parse(const char *text, struct network_choice *ret)
{
	static const struct {
		const char *name;
		enum network_mode mode;
		bool takes_arg;
		const char *what;
	} modes[] = {
		{"none", NETWORK_NONE, false, NULL},
		{"host", NETWORK_HOST, false, NULL},
		{"bridge", NETWORK_BRIDGE, false, NULL},
		{"private", NETWORK_BRIDGE, false, NULL},
		{"default", NETWORK_BRIDGE, false, NULL},
		{"container:", NETWORK_CONTAINER, true, "the name or ID of a container"},
		{"ns:", NETWORK_PATH, true, "the path of a network namespace"},
	};
	size_t len;

	*ret = (struct network_choice){.mode = NETWORK_BRIDGE};
	for (size_t i = 0; text && *text && i < ARRAY_SIZE(modes); i++) {
		len = strlen(modes[i].name);
		if (modes[i].takes_arg ? strncmp(text, modes[i].name, len)
				       : strcmp(text, modes[i].name))
			continue;
		if (modes[i].takes_arg && !text[len])
			return err_set(EINVAL, "--network %s must be followed by %s", text,
				       modes[i].what);
		ret->mode = modes[i].mode;
		ret->arg = g_strdup(modes[i].takes_arg		  ? text + len
				    : ret->mode == NETWORK_BRIDGE ? NETWORK_DEFAULT
								  : NULL);
		return 0;
	}
	if (text && strpbrk(text, ":,/"))
		return err_set(EINVAL,
			       "invalid network %s: use none, host, bridge, private, "
			       "container:NAME, ns:PATH or the name of a network",
			       text);
	ret->arg = g_strdup(text && *text ? text : NETWORK_DEFAULT);
	return 0;
}

void network_choice_clear(struct network_choice *c)
{
	g_free(c->arg);
	*c = (struct network_choice){0};
}

int network_check_ip(const char *ip)
{
	struct in_addr a;

	if (inet_pton(AF_INET, ip, &a) != 1)
		return err_set(EINVAL, "\"%s\" is not an ip address", ip);
	return 0;
}

int network_check_mac(const char *mac, char **ret_mac)
{
	unsigned b[6];
	char end;

	if (strlen(mac) != 17 || (sscanf(mac, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2],
					 &b[3], &b[4], &b[5], &end) != 6 &&
				  sscanf(mac, "%2x-%2x-%2x-%2x-%2x-%2x%c", &b[0], &b[1], &b[2],
					 &b[3], &b[4], &b[5], &end) != 6))
		return err_set(EINVAL, "address %s: invalid MAC address", mac);
	if (b[0] & 1)
		return err_set(EINVAL,
			       "address %s: is a multicast address, no interface can have it", mac);
	if (ret_mac)
		*ret_mac = g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3],
					   b[4], b[5]);
	return 0;
}

struct range {
	int first, count;
};

static int parse_port(const char *s, const char *end, int *ret)
{
	char *stop;
	long v = strtol(s, &stop, 10);

	if (stop == s || stop != end)
		return err_set(EINVAL, "invalid port number: \"%.*s\"", (int)(end - s), s);
	if (v < 1 || v > 65535)
		return err_set(EINVAL,
			       "port numbers must be between 1 and 65535 (inclusive), got %ld", v);
	*ret = (int)v;
	return 0;
}

static int parse_range(const char *s, const char *what, struct range *ret)
{
	const char *dash = strchr(s, '-'), *end = s + strlen(s);
	int last, r;

	r = parse_port(s, dash ?: end, &ret->first);
	if (r < 0)
		return err_wrap(r, "parsing %s port", what);
	ret->count = 1;
	if (!dash)
		return 0;
	r = parse_port(dash + 1, end, &last);
	if (r < 0)
		return err_wrap(r, "parsing %s port", what);
	if (last <= ret->first)
		return err_set(EINVAL,
			       "parsing %s port: the end port of a range must be higher than the "
			       "start port - %d is not higher than %d",
			       what, last, ret->first);
	ret->count = last - ret->first + 1;
	return 0;
}

static const struct {
	const char *name;
	int type, protocol;
} protocols[] = {
	{"tcp", SOCK_STREAM, IPPROTO_TCP},
	{"udp", SOCK_DGRAM, IPPROTO_UDP},
	{"sctp", SOCK_STREAM, IPPROTO_SCTP},
};

/* Binds PORT (0: any) of HOST_IP and lets it go again; *RET is which.  -EADDRINUSE. */
static int try_bind(const char *host_ip, const char *proto, int port, int *ret)
{
	bool v6 = strchr(host_ip, ':') != NULL;
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	struct sockaddr *sa = v6 ? (void *)&in6 : (void *)&in;
	socklen_t len = v6 ? sizeof(in6) : sizeof(in);
	autoclose int s = -1;
	int one = 1;
	size_t i = 0;

	if (*host_ip)
		inet_pton(v6 ? AF_INET6 : AF_INET, host_ip,
			  v6 ? (void *)&in6.sin6_addr : (void *)&in.sin_addr);
	while (i + 1 < ARRAY_SIZE(protocols) && strcmp(protocols[i].name, proto))
		i++;
	s = socket(v6 ? AF_INET6 : AF_INET, protocols[i].type | SOCK_CLOEXEC,
		   protocols[i].protocol);
	if (s < 0 && protocols[i].protocol == IPPROTO_SCTP)
		return 0; /* no SCTP here, hence nobody who uses it */
	if (s < 0)
		return err_errno("socket");
	/* Old connections in TIME_WAIT are not in the way of a redirection. */
	if (protocols[i].type == SOCK_STREAM)
		setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, sa, len) < 0 || getsockname(s, sa, &len) < 0)
		return err_code(errno, "cannot listen on the %s port: %s:%d", proto, host_ip, port);
	if (ret)
		*ret = ntohs(v6 ? in6.sin6_port : in.sin_port);
	return 0;
}

static void append(json_t *to, const char *host_ip, int ctr, int host, int count, const char *proto)
{
	json_array_append_new(to,
			      json_pack("{ss si si si ss}", "host_ip", host_ip, "container_port",
					ctr, "host_port", host, "range", count, "protocol", proto));
}

static int publish(json_t *to, const char *host_ip, const struct range *ctr,
		   const struct range *host, const char *proto)
{
	int port = 0;

	if (host->count) {
		append(to, host_ip, ctr->first, host->first, ctr->count, proto);
		return 0;
	}
	for (int i = 0; i < ctr->count; i++) {
		int r = try_bind(host_ip, proto, 0, &port);

		if (r < 0)
			return r;
		append(to, host_ip, ctr->first + i, port, 1, proto);
	}
	return 0;
}

/* [IP:][HOST:]CTR; an IPv6 address is in brackets.  Cuts TEXT into its parts. */
static int split_port(char *text, char **ip, char **host, char **ctr)
{
	char *colon;

	*ip = *host = NULL;
	if (*text == '[') {
		char *close = strchr(text, ']');

		if (!close || close[1] != ':')
			return err_set(EINVAL, "invalid port format: \"%s\"", text);
		*close = 0;
		*ip = text + 1;
		text = close + 2;
	}
	colon = strrchr(text, ':');
	if (!colon) {
		*ctr = text;
		return 0;
	}
	*colon = 0;
	*ctr = colon + 1;
	*host = text;
	colon = strrchr(text, ':');
	if (!colon)
		return 0;
	if (*ip || memchr(text, ':', (size_t)(colon - text)))
		return err_set(EINVAL, "invalid port format - can only specify IP:host:container");
	*colon = 0;
	*ip = text;
	*host = colon + 1;
	return 0;
}

static bool known_protocol(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		if (!strcmp(protocols[i].name, name))
			return true;
	return false;
}

int network_port_parse(const char *text, json_t *to)
{
	g_autofree char *copy = g_strdup(text);
	char *slash = strchr(copy, '/'), *ip = NULL, *host_text = NULL, *ctr_text = NULL;
	g_autofree char *proto = g_ascii_strdown(slash ? slash + 1 : "tcp", -1);
	struct range ctr = {0}, host = {0};
	struct in6_addr addr;
	int r;

	if (slash)
		*slash = 0;
	if (!known_protocol(proto))
		return err_set(
			EINVAL,
			"unrecognized protocol \"%s\" - only TCP, UDP, and SCTP are supported",
			proto);
	r = split_port(copy, &ip, &host_text, &ctr_text);
	if (r < 0)
		return r;
	if (!*ctr_text)
		return err_set(EINVAL, "must provide a non-empty container port to publish");
	if (ip && !*ip)
		return err_set(EINVAL, "must provide a non-empty container host IP to publish");
	if (ip && inet_pton(strchr(ip, ':') ? AF_INET6 : AF_INET, ip, &addr) != 1)
		return err_set(EINVAL, "cannot parse \"%s\" as an IP address", ip);
	r = parse_range(ctr_text, "container", &ctr);
	if (r == 0 && host_text && *host_text)
		r = parse_range(host_text, "host", &host);
	if (r < 0)
		return r;
	if (host.count && host.count != ctr.count)
		return err_set(EINVAL,
			       "host and container port ranges have different lengths: %d vs %d",
			       host.count, ctr.count);
	return publish(to, ip ?: "", &ctr, &host, proto);
}

static bool covers(const json_t *ports, int port, const char *proto)
{
	size_t i;
	json_t *p;

	json_array_foreach(ports, i, p)
	{
		int first = (int)json_integer_value(json_object_get(p, "container_port"));
		int count = (int)json_integer_value(json_object_get(p, "range"));

		if (port >= first && port < first + count &&
		    !strcmp(json_string_value(json_object_get(p, "protocol")), proto))
			return true;
	}
	return false;
}

/* "80", "80/tcp", "8000-8010/udp", published on a free port unless -p did already. */
static int publish_exposed(const char *text, json_t *to)
{
	g_autofree char *copy = g_strdup(text);
	char *slash = strchr(copy, '/');
	struct range ctr;
	int r;

	if (slash)
		*slash = 0;
	r = parse_range(copy, "exposed", &ctr);
	for (int i = 0; r == 0 && i < ctr.count; i++) {
		const char *proto = slash ? slash + 1 : "tcp";
		g_autofree char *one = g_strdup_printf("%d/%s", ctr.first + i, proto);

		if (!covers(to, ctr.first + i, proto))
			r = network_port_parse(one, to);
	}
	return r;
}

int network_ports(const struct container_options *o, const json_t *image_config, json_t **ret)
{
	json_t *all = json_array(), *value;
	const char *exposed;
	int r = 0;

	for (char **p = o->publish; p && *p && r == 0; p++)
		r = network_port_parse(*p, all);
	if (o->publish_all) {
		for (char **p = o->expose; p && *p && r == 0; p++)
			r = publish_exposed(*p, all);
		json_object_foreach(json_object_get(image_config, "ExposedPorts"), exposed, value)
		{
			if (r == 0)
				r = publish_exposed(exposed, all);
		}
	}
	if (r < 0) {
		json_decref(all);
		return r;
	}
	*ret = all;
	return 0;
}

int ports_check_free(const json_t *ports)
{
	size_t i;
	json_t *p;

	json_array_foreach(ports, i, p)
	{
		const char *ip = json_string_value(json_object_get(p, "host_ip"));
		const char *proto = json_string_value(json_object_get(p, "protocol"));
		int first = (int)json_integer_value(json_object_get(p, "host_port"));
		int count = (int)json_integer_value(json_object_get(p, "range"));

		for (int n = 0; n < count; n++) {
			int r = try_bind(ip ?: "", proto ?: "tcp", first + n, NULL);

			if (r < 0)
				return r;
		}
	}
	return 0;
}
