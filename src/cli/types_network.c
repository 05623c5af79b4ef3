/* SPDX-License-Identifier: Apache-2.0 */
/* types.Network of containers/common. */
#include "cli/fields.h"
#include "cli/types.h"

static const struct go_field range_fields[] = {
	K("StartIP", "start_ip", &go_string), K("EndIP", "end_ip", &go_string), {}};
static const struct go_type range = {"*types.LeaseRange", GO_STRUCT, NULL, range_fields};

static const struct go_field subnet_fields[] = {K("Subnet", "subnet", &go_string),
						K("Gateway", "gateway", &go_string),
						K("LeaseRange", "lease_range", &range),
						{}};
static const struct go_type subnet = {"types.Subnet", GO_STRUCT, NULL, subnet_fields};
static const struct go_type subnets = {"[]types.Subnet", GO_SLICE, &subnet};

static const struct go_field fields[] = {
	K("Name", "name", &go_string),
	K("ID", "id", &go_string),
	{.name = "Id", .key = "id", .type = &go_string, .alias = true},
	K("Driver", "driver", &go_string),
	K("NetworkInterface", "network_interface", &go_string),
	K("Created", "created", &go_time),
	K("Subnets", "subnets", &subnets),
	K("IPv6Enabled", "ipv6_enabled", &go_bool),
	K("Internal", "internal", &go_bool),
	K("DNSEnabled", "dns_enabled", &go_bool),
	K("NetworkDNSServers", "network_dns_servers", &go_strings),
	K("Labels", "labels", &go_string_map),
	K("Options", "options", &go_string_map),
	K("IPAMOptions", "ipam_options", &go_string_map),
	{}};

const struct go_type type_network = {"types.Network", GO_STRUCT, NULL, fields};
