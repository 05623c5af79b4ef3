/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/sys/net/ipv4/conf/DEV and ipv6: ip-sysctl.  A record has values only; their order is that
 * of CRIU's images.  All settings are numbers but stable_secret.
 */
#include "state/ns/net.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX 256
#define NAMES_MAX 64

static const char *const names4 =
	"accept_local accept_redirects accept_source_route arp_accept arp_announce arp_filter "
	"arp_ignore arp_notify bootp_relay disable_policy disable_xfrm force_igmp_version "
	"forwarding igmpv2_unsolicited_report_interval igmpv3_unsolicited_report_interval "
	"log_martians medium_id promote_secondaries proxy_arp proxy_arp_pvlan route_localnet "
	"rp_filter secure_redirects send_redirects shared_media src_valid_mark tag "
	"ignore_routes_with_linkdown drop_gratuitous_arp drop_unicast_in_l2_multicast";
static const char *const names6 =
	"accept_dad accept_ra accept_ra_defrtr accept_ra_from_local accept_ra_min_hop_limit "
	"accept_ra_mtu accept_ra_pinfo accept_ra_rt_info_max_plen accept_ra_rtr_pref "
	"accept_redirects accept_source_route autoconf dad_transmits disable_ipv6 "
	"drop_unicast_in_l2_multicast drop_unsolicited_na force_mld_version force_tllao forwarding "
	"hop_limit ignore_routes_with_linkdown keep_addr_on_down max_addresses max_desync_factor "
	"mldv1_unsolicited_report_interval mldv2_unsolicited_report_interval mtu ndisc_notify "
	"optimistic_dad proxy_ndp regen_max_retry router_probe_interval router_solicitation_delay "
	"router_solicitation_interval router_solicitations stable_secret suppress_frag_ndisc "
	"temp_prefered_lft temp_valid_lft use_oif_addrs_only use_optimistic use_tempaddr";

static char **names_of(enum net_family f)
{
	return g_strsplit(f == NET_V4 ? names4 : names6, " ", NAMES_MAX);
}

static char *path_of(enum net_family f, const char *dev, const char *name)
{
	return g_strdup_printf("/proc/sys/net/ipv%c/conf/%s/%s", f == NET_V4 ? '4' : '6', dev,
			       name);
}

SysctlEntry **net_conf_read(enum net_family f, const char *dev, size_t *ret_n)
{
	g_auto(GStrv) names = names_of(f);
	SysctlEntry **v = g_new0(SysctlEntry *, NAMES_MAX);

	*ret_n = g_strv_length(names);
	for (size_t i = 0; i < *ret_n; i++) {
		g_autofree char *path = path_of(f, dev, names[i]), *text = NULL;
		bool is_text = strcmp(names[i], "stable_secret") == 0;

		v[i] = g_new0(SysctlEntry, 1);
		sysctl_entry__init(v[i]);
		v[i]->type = is_text ? SYSCTL_TYPE__CTL_STR : SYSCTL_TYPE__CTL_32;
		/* not in this kernel; EIO: a secret that was never set */
		if (file_read_at(AT_FDCWD, path, VALUE_MAX, &text, NULL) < 0) {
			err_clear();
			continue;
		}
		if (is_text) {
			v[i]->sarg = g_strdup(g_strchomp(text));
		} else {
			v[i]->has_iarg = true;
			v[i]->iarg = atoi(text);
		}
	}
	return v;
}

static bool is_same(const SysctlEntry *a, const SysctlEntry *b)
{
	return a->has_iarg ? b->has_iarg && a->iarg == b->iarg : g_strcmp0(a->sarg, b->sarg) == 0;
}

static int write_one(const char *path, const SysctlEntry *e, bool weak)
{
	char number[16];
	int r;

	snprintf(number, sizeof(number), "%d", e->iarg);
	r = file_poke_at(AT_FDCWD, path, e->has_iarg ? number : e->sarg);
	if (r < 0 && weak) {
		log_warn("%s", err_message());
		err_clear();
		return 0;
	}
	return r;
}

/* What differs from NOW only; accept_redirects follows forwarding, which changes it, and is last.
 */
int net_conf_write(enum net_family f, const char *dev, SysctlEntry *const *v, size_t n,
		   SysctlEntry *const *now, size_t nnow, bool weak)
{
	g_auto(GStrv) names = names_of(f);
	int r = 0;

	for (int last = 0; r == 0 && last < 2; last++) {
		for (size_t i = 0; r == 0 && i < MIN(n, g_strv_length(names)); i++) {
			g_autofree char *path = path_of(f, dev, names[i]);
			bool late = strcmp(names[i], "accept_redirects") == 0;

			if (late != last || (!v[i]->has_iarg && !v[i]->sarg) ||
			    (!late && i < nnow && is_same(v[i], now[i])))
				continue;
			r = write_one(path, v[i], weak);
		}
	}
	return r;
}

int net_conf_write_up(const char *dev, SysctlEntry *const *v, size_t n, bool weak)
{
	g_auto(GStrv) names = names_of(NET_V6);
	size_t at = 0;

	while (strcmp(names[at], "mtu") != 0)
		at++;
	if (at < n && v[at]->has_iarg) {
		g_autofree char *path = path_of(NET_V6, dev, "mtu");

		return write_one(path, v[at], weak);
	}
	return 0;
}

void net_conf_free(SysctlEntry **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sysctl_entry__free_unpacked(v[i], NULL);
	g_free(v);
}
