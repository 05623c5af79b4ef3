/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "engine/inspect.h"

#include <stdlib.h>

struct port_opts {
	bool all, latest;
};

#define O(field, ...) OPT(struct port_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(all, "all", 'a', "Display port information for all containers"),
	O(latest, "latest", 'l', HELP_LATEST),
	{}};

struct wanted {
	const char *text; /* as typed; NULL: all */
	long port;
	char proto[8];
};

static int parse_wanted(const char *text, struct wanted *ret)
{
	char *end;

	ret->text = text;
	ret->port = strtol(text, &end, 10);
	g_strlcpy(ret->proto, *end == '/' ? end + 1 : "tcp", sizeof(ret->proto));
	if (end == text || (*end && *end != '/') || ret->port < 1 || ret->port > 65535)
		return err_set(EINVAL, "strconv.Atoi: parsing \"%s\": invalid syntax", text);
	if (*end == '/' && strcmp(ret->proto, "tcp") && strcmp(ret->proto, "udp") &&
	    strcmp(ret->proto, "sctp"))
		return err_set(EINVAL, "invalid port protocol \"%s\"", ret->proto);
	return 0;
}

static json_int_t number(const json_t *p, const char *key)
{
	return json_integer_value(json_object_get(p, key));
}

static const char *host_of(const json_t *p)
{
	const char *ip = json_string_value(json_object_get(p, "host_ip"));

	return ip && *ip ? ip : "0.0.0.0";
}

/* Returns how many lines were printed. */
static unsigned print_mapping(const json_t *p, const struct wanted *w, const char *prefix)
{
	const char *proto = json_string_value(json_object_get(p, "protocol"));
	json_int_t range = MAX(number(p, "range"), 1);
	unsigned printed = 0;

	for (json_int_t i = 0; i < range; i++) {
		int inside = (int)(number(p, "container_port") + i);
		int outside = (int)(number(p, "host_port") + i);

		if (!w->text)
			printf("%s%d/%s -> %s:%d\n", prefix, inside, proto, host_of(p), outside);
		else if (inside == w->port && !strcmp(proto, w->proto))
			printf("%s%s:%d\n", prefix, host_of(p), outside);
		else
			continue;
		printed++;
	}
	return printed;
}

static int show(const GArray *picks, const struct wanted *w, bool with_id)
{
	unsigned printed = 0;

	for (guint i = 0; i < picks->len; i++) {
		const struct container *c = g_array_index(picks, struct pick, i).c;
		json_t *ports = container_ports(c), *p;
		char prefix[16] = "";
		size_t k;

		if (with_id)
			snprintf(prefix, sizeof(prefix), "%.12s\t", c->id);
		json_array_foreach(ports, k, p) printed += print_mapping(p, w, prefix);
		json_decref(ports);
	}
	if (w->text && !printed)
		return err_set(ENOENT, "failed to find published port \"%s\"", w->text);
	return 0;
}

static int run(struct cli *cli)
{
	const struct port_opts *o = cli->opts;
	const struct pick_how how = {
		.all = o->all, .latest = o->latest, .wanted = container_is_running};
	g_autoptr(GArray) picks = NULL;
	struct wanted w = {0};
	size_t names = !o->all && !o->latest;
	int r = 0;

	if (cli->nargs > 2 || (cli->nargs == 2 && !names))
		return err_set(EINVAL, "%s port accepts at most 2 arguments", cli_name(cli));
	if (!cli->nargs && names)
		return err_set(EINVAL, "you must supply a running container name or id");
	if (o->all && o->latest)
		return err_set(EINVAL, "--all and --latest cannot be used together");
	if (cli->nargs > names)
		r = parse_wanted(cli->args[names], &w);
	if (r < 0)
		return r;
	cli->nargs = names;
	r = pick_containers(cli, &how, &picks);
	return r < 0 ? r : show(picks, &w, o->all);
}

const struct command cmd_port = {
	.path = "port,container port",
	.usage = "[options] CONTAINER [PORT]",
	.brief = "List port mappings or a specific mapping for the container",
	.text = "List port mappings for the CONTAINER, or look up the public-facing port that is "
		"NAT-ed to the PRIVATE_PORT",
	.examples = "--all\nweb 80/tcp\n--latest 80",
	.options = options,
	.size = sizeof(struct port_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run,
};
