/* SPDX-License-Identifier: Apache-2.0 */
/* network create, exists, inspect, rm, prune. */
#include "engine/network.h"

#include "cli/cmd/common.h"
#include "cli/cmd/network_filter.h"
#include "cli/cmd/object.h"
#include "cli/report.h"
#include "cli/types.h"

struct create_opts {
	bool disable_dns, internal, ignore, ipv6;
	const char *driver, *interface;
	char **gateway, **ip_range, **label, **opt, **subnet;
};

#define O(field, ...) OPT(struct create_opts, field, __VA_ARGS__)
#define A(field, ...) OPT_ARRAY(struct create_opts, field, __VA_ARGS__)
static const struct opt create_options[] = {
	O(disable_dns, "disable-dns", 0, "Disable dns plugin"),
	O(driver, "driver", 'd', "Driver to manage the network", .def = "bridge"),
	O(gateway, "gateway", 0, "IPv4 gateway for the subnet"),
	O(ignore, "ignore", 0, "Don't fail if network already exists"),
	O(interface, "interface-name", 0, "Interface name which is used by the driver"),
	O(internal, "internal", 0, "Restrict external access from this network"),
	A(ip_range, "ip-range", 0, "Allocate container IP from range"),
	O(ipv6, "ipv6", 0, "Enable IPv6 networking"),
	A(label, "label", 0, "Set metadata on a network"),
	A(opt, "opt", 'o', "Set driver specific options"),
	A(subnet, "subnet", 0, "Subnets in CIDR format"),
	{}};

static int check_create(const struct create_opts *o)
{
	if (o->driver && strcmp(o->driver, "bridge") != 0)
		return err_set(EINVAL, "unsupported driver %s: invalid argument", o->driver);
	if (o->ipv6)
		return err_set(EOPNOTSUPP, "--ipv6 is not supported: networks are IPv4");
	if (o->opt && o->opt[0])
		return err_set(EOPNOTSUPP, "unsupported bridge network option %s", o->opt[0]);
	if (o->subnet && o->subnet[0] && o->subnet[1])
		return err_set(EOPNOTSUPP, "a network has one subnet: --subnet %s", o->subnet[1]);
	return 0;
}

static const char *first(char *const *list)
{
	return list ? list[0] : NULL;
}

static int run_create(struct cli *cli)
{
	const struct create_opts *o = cli->opts;
	const struct network_new n = {
		.name = cli->args[0],
		.subnet = first(o->subnet),
		.gateway = first(o->gateway),
		.ip_range = first(o->ip_range),
		.interface = o->interface,
		.labels = o->label,
		.internal = o->internal,
		.ignore = o->ignore,
	};
	g_autofree char *name = NULL;
	struct engine *e;
	int r = args_range(cli, 0, 1);

	if (r == 0)
		r = check_create(o);
	if (r == 0)
		r = cli_engine(cli, &e);
	if (r == 0)
		r = network_create(e, &n, &name);
	if (r == 0)
		puts(name);
	return r;
}

static const struct opt no_options[] = {{}};

static int run_exists(struct cli *cli)
{
	json_t *j = NULL;
	struct engine *e;
	int r = args_range(cli, 1, 1);

	if (r < 0 || (r = cli_engine(cli, &e)) < 0)
		return r;
	r = network_find(e, cli->args[0], &j);
	json_decref(j);
	return r == -ENOENT ? 1 : r;
}

struct inspect_opts {
	const char *format;
};

static const struct opt inspect_options[] = {OPT(struct inspect_opts, format, "format", 'f',
						 "Pretty-print network to JSON or using a Go "
						 "template"),
					     {}};

static int run_inspect(struct cli *cli)
{
	const struct inspect_opts *o = cli->opts;
	json_t *list = json_array(), *j;
	struct engine *e;
	int r = args_range(cli, 1, -1), r1 = 0;

	if (r == 0)
		r = cli_engine(cli, &e);
	for (size_t i = 0; r == 0 && i < cli->nargs; i++) {
		r = network_find(e, cli->args[i], &j);
		if (r == 0)
			json_array_append_new(list, j);
	}
	if (r == 0 && (!o->format || report_wants_json(o->format)))
		report_json(list, 5);
	else if (r == 0)
		r1 = report_template("network inspect", o->format, &type_network, list);
	json_decref(list);
	return r < 0 ? r : r1;
}

struct rm_opts {
	bool force;
	int64_t time;
};

static const struct opt rm_options[] = {
	OPT(struct rm_opts, force, "force", 'f', "Remove any containers using network"),
	OPT(struct rm_opts, time, "time", 't',
	    "Seconds to wait for running containers to stop before killing the container",
	    .aliases = "timeout", .def = "10"),
	{}};

static const struct object_kind networks = {
	.plural = "networks",
	.name = "name",
	.kept = NETWORK_DEFAULT,
	.list = network_list,
	.find = network_find,
	.users = network_users,
	.remove = network_delete,
	.check_filters = network_filters_check,
	.match_filters = network_filters_match,
};

static int run_rm(struct cli *cli)
{
	const struct rm_opts *o = cli->opts;
	struct engine *e;
	int r = args_range(cli, 1, -1);

	if (r == 0)
		r = cli_engine(cli, &e);
	return r < 0 ? r
		     : objects_remove(cli, &networks, cli->args, o->force,
				      cli_given(cli, "time") ? (int)o->time : -1);
}

struct prune_opts {
	bool force;
	char **filter;
};

static const struct opt prune_options[] = {
	OPT_ARRAY(struct prune_opts, filter, "filter", 0,
		  "Provide filter values (e.g. 'label=<key>=<value>')"),
	OPT(struct prune_opts, force, "force", 'f', "Do not prompt for confirmation"),
	{}};

static int run_prune(struct cli *cli)
{
	const struct prune_opts *o = cli->opts;

	return objects_prune(cli, &networks, o->force, o->filter);
}

const struct command cmd_network_create = {
	.path = "network create",
	.usage = "[options] [NAME]",
	.brief = "Create networks for containers",
	.text = "Makes a bridge network with a subnet of its own and prints its name. Without\n"
		"--subnet it is a free /24 from 10.89.0.0 on.",
	.examples = "backend\n--subnet 10.99.0.0/24 --gateway 10.99.0.1 backend",
	.options = create_options,
	.size = sizeof(struct create_opts),
	.run = run_create,
};

const struct command cmd_network_exists = {
	.path = "network exists",
	.usage = "NETWORK",
	.brief = "Check if network exists",
	.text = "Exits with 0 if the given network exists, otherwise with 1.",
	.examples = "backend",
	.options = no_options,
	.complete = COMPLETE_NETWORKS,
	.run = run_exists,
};

const struct command cmd_network_inspect = {
	.path = "network inspect",
	.usage = "[options] NETWORK [NETWORK...]",
	.brief = "Inspect network",
	.text = "Displays the configuration of one or more networks.",
	.examples = "web\n--format '{{(index .Subnets 0).Subnet}}' web",
	.options = inspect_options,
	.size = sizeof(struct inspect_opts),
	.complete = COMPLETE_NETWORKS,
	.run = run_inspect,
};

const struct command cmd_network_rm = {
	.path = "network rm",
	.aliases = "network remove",
	.usage = "[options] NETWORK [NETWORK...]",
	.brief = "Remove networks",
	.text = "Removes networks. One that has containers is not removed without --force, which\n"
		"removes the containers first.",
	.examples = "backend\n--force backend",
	.options = rm_options,
	.size = sizeof(struct rm_opts),
	.complete = COMPLETE_NETWORKS,
	.run = run_rm,
};

const struct command cmd_network_prune = {
	.path = "network prune",
	.usage = "[options]",
	.brief = "Remove unused networks",
	.text = "Removes the networks that no container is connected to, after a question that\n"
		"--force leaves out. The default network stays.",
	.examples = "--force",
	.options = prune_options,
	.size = sizeof(struct prune_opts),
	.run = run_prune,
};
