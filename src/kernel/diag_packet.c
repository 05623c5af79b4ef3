/* SPDX-License-Identifier: Apache-2.0 */
/* net/packet/diag.c */
#include "kernel/diag.h"

#include <libmnl/libmnl.h>
#include <linux/packet_diag.h>
#include <string.h>

static void read_ring(struct diag_packet *p, const struct nlattr *a, int which)
{
	_Static_assert(sizeof(struct packet_diag_ring) == sizeof(p->ring[0]), "seven numbers");

	if (mnl_attr_get_payload_len(a) < sizeof(p->ring[0]))
		return;
	p->has_ring[which] = true;
	memcpy(p->ring[which], mnl_attr_get_payload(a), sizeof(p->ring[0]));
}

static void read_info(struct diag_packet *p, const struct nlattr *a)
{
	struct packet_diag_info i;

	if (mnl_attr_get_payload_len(a) < sizeof(i))
		return;
	memcpy(&i, mnl_attr_get_payload(a), sizeof(i));
	p->index = i.pdi_index;
	p->version = i.pdi_version;
	p->reserve = i.pdi_reserve;
	p->copy_thresh = i.pdi_copy_thresh;
	p->timestamp = i.pdi_tstamp;
	p->flags = i.pdi_flags;
}

static int attr(const struct nlattr *a, void *arg)
{
	struct diag_packet *p = arg;
	unsigned type = mnl_attr_get_type(a);
	size_t len = mnl_attr_get_payload_len(a);

	if (type == PACKET_DIAG_INFO) {
		read_info(p, a);
	} else if (type == PACKET_DIAG_RX_RING || type == PACKET_DIAG_TX_RING) {
		read_ring(p, a, type == PACKET_DIAG_TX_RING);
	} else if (type == PACKET_DIAG_FANOUT && len >= sizeof(uint32_t)) {
		p->has_fanout = true;
		p->fanout = mnl_attr_get_u32(a);
	} else if (type == PACKET_DIAG_MCLIST) {
		g_free(p->memberships);
		p->memberships = g_memdup2(mnl_attr_get_payload(a), len);
		p->nmemberships = (unsigned)(len / sizeof(struct packet_diag_mclist));
	}
	return MNL_CB_OK;
}

static void packet_free(void *p)
{
	g_free(((struct diag_packet *)p)->memberships);
	g_free(p);
}

static int message(const struct nlmsghdr *h, void *arg)
{
	const struct packet_diag_msg *m = mnl_nlmsg_get_payload(h);
	struct diag_packet *p;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*m) || m->pdiag_ino == 0)
		return MNL_CB_OK;
	p = g_new0(struct diag_packet, 1);
	p->ino = m->pdiag_ino;
	p->protocol = GUINT16_TO_BE(m->pdiag_num);
	mnl_attr_parse(h, sizeof(*m), attr, p);
	g_hash_table_insert((GHashTable *)arg, GUINT_TO_POINTER(p->ino), p);
	return MNL_CB_OK;
}

int diag_packet(int sock, GHashTable **ret)
{
	const struct packet_diag_req req = {
		.sdiag_family = AF_PACKET,
		.pdiag_show = PACKET_SHOW_INFO | PACKET_SHOW_MCLIST | PACKET_SHOW_RING_CFG |
			      PACKET_SHOW_FANOUT,
	};
	int r;

	if (!*ret)
		*ret = g_hash_table_new_full(NULL, NULL, NULL, packet_free);
	r = diag_list(sock, &req, sizeof(req), message, *ret);
	return r < 0 ? err_wrap(r, "packet sockets") : 0;
}
