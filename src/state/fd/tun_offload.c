/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the program takes over from the kernel (TUNSETOFFLOAD): large packets, and checksums that
 * are not there yet.  No call of tun(4) tells; but of these features the device has just those that
 * were asked for (drivers/net/tun.c: tun_net_fix_features()), and ethtool shows them.
 */
#include "state/fd/tun.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#define FEATURES_MAX 1024

/* net/ethtool/common.c: netdev_features_strings[] */
static const struct {
	const char *name;
	unsigned offload;
} known[] = {
	{"tx-checksum-ip-generic", TUN_F_CSUM},
	{"tx-tcp-segmentation", TUN_F_TSO4},
	{"tx-tcp6-segmentation", TUN_F_TSO6},
	{"tx-tcp-ecn-segmentation", TUN_F_TSO_ECN},
	{"tx-udp-segmentation", TUN_F_USO4 | TUN_F_USO6}, /* both or none: set_offload() */
};

static int ask(int sock, const char *name, void *what)
{
	struct ifreq ifr = {.ifr_data = what};

	g_strlcpy(ifr.ifr_name, name, sizeof(ifr.ifr_name));
	return ioctl(sock, SIOCETHTOOL, &ifr) < 0 ? err_errno("features of %s", name) : 0;
}

static int count(int sock, const char *name, uint32_t *ret)
{
	struct {
		struct ethtool_sset_info head;
		uint32_t n;
	} q = {.head = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_FEATURES}};
	int r = ask(sock, name, &q);

	*ret = q.n;
	return r == 0 && q.n > FEATURES_MAX ? err_set(EFBIG, "%u features", q.n) : r;
}

int tun_offloads(int sock, const char *name, unsigned *ret)
{
	g_autofree struct ethtool_gstrings *names = NULL;
	g_autofree struct ethtool_gfeatures *v = NULL;
	uint32_t n = 0;
	int r = count(sock, name, &n);

	*ret = 0;
	if (r < 0)
		return r;
	names = g_malloc0(sizeof(*names) + (size_t)n * ETH_GSTRING_LEN);
	*names = (struct ethtool_gstrings){
		.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = n};
	v = g_malloc0(sizeof(*v) + (n + 31) / 32 * sizeof(v->features[0]));
	*v = (struct ethtool_gfeatures){.cmd = ETHTOOL_GFEATURES, .size = (n + 31) / 32};
	r = ask(sock, name, names);
	if (r == 0)
		r = ask(sock, name, v);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		for (unsigned k = 0; k < ARRAY_SIZE(known); k++)
			if (v->features[i / 32].active & 1u << i % 32 &&
			    !strncmp((char *)names->data + (size_t)i * ETH_GSTRING_LEN,
				     known[k].name, ETH_GSTRING_LEN))
				*ret |= known[k].offload;
	return r;
}
