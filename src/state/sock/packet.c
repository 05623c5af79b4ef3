/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet(7) sockets, with rings, groups and memberships.  What sock_diag shows (packet_diag) and
 * options can be read.  Packets that wait are not kept, be it in the queue or in a ring: who
 * captures must expect to miss some.  A ring begins anew at its first frame.
 *
 * A new one takes no packets before it is bound, which comes last.
 */
#include "state/sock/sock.h"

#include "image/packet-sock.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/packet_diag.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif
#ifndef PACKET_VNET_HDR_SZ
#define PACKET_VNET_HDR_SZ 24
#endif
#define FANOUT_NONE   0xffffffffu
#define FANOUT_UNIQUE 0x2000 /* PACKET_FANOUT_FLAG_UNIQUEID: only to find a free number */
#define ADDR_MAX      32     /* MAX_ADDR_LEN */
#define SPKT_DEVICE   14     /* struct sockaddr_pkt.spkt_device */

/* Those that CRIU's record has no place for. */
static const int options[] = {
	PACKET_TX_HAS_OFF,
	PACKET_QDISC_BYPASS,
	PACKET_IGNORE_OUTGOING,
	PACKET_VNET_HDR_SZ,
};

static bool match(const struct dump *d, const struct fd_view *v)
{
	return sock_family(v) == AF_PACKET;
}

static int facts(struct dump *d, const struct sock_view *s, const struct diag_packet **ret)
{
	struct socks_dump *all = d->socks;
	int r = 0;

	for (unsigned i = all->packets ? all->diags->len : 0; r == 0 && i < all->diags->len; i++)
		r = diag_packet(g_array_index(all->diags, int, i), &all->packets);
	if (r < 0)
		return r;
	*ret = g_hash_table_lookup(all->packets, GUINT_TO_POINTER(s->ino));
	return *ret ? 0 : err_set(ENOENT, "%s: sock_diag does not know it", s->v->link);
}

/* A program that chooses the member of a group cannot be read back (fanout_set_data_cbpf()). */
static int check_fanout(const struct sock_view *s, const struct diag_packet *p)
{
	unsigned type = p->fanout >> 16 & 0xff;

	if (p->has_fanout && (type == PACKET_FANOUT_CBPF || type == PACKET_FANOUT_EBPF))
		return err_set(
			EOPNOTSUPP,
			"%s: its group (PACKET_FANOUT) is led by a BPF program, which cannot "
			"be read; close it first",
			s->v->link);
	return 0;
}

static int check(struct dump *d, const struct fd_view *v)
{
	CLEANUP(sock_view_clear) struct sock_view s = SOCK_VIEW_NONE;
	const struct diag_packet *p;
	int r = fown_check(v);

	if (r == 0)
		r = sock_view_read(d, v, &s);
	if (r == 0)
		r = facts(d, &s, &p);
	if (r == -ENOENT) { /* only just opened */
		err_clear();
		return 0;
	}
	if (r == 0)
		r = check_fanout(&s, p);
	return r < 0 ? r : sock_options_check(&s);
}

static void dump_rings(const struct diag_packet *p, PacketSockEntry *e)
{
	PacketRing **to[] = {&e->rx_ring, &e->tx_ring};

	for (int i = 0; i < 2; i++) {
		PacketRing *g;

		if (!p->has_ring[i])
			continue;
		*to[i] = g = g_new0(PacketRing, 1);
		packet_ring__init(g);
		g->block_size = p->ring[i][0];
		g->block_nr = p->ring[i][1];
		g->frame_size = p->ring[i][2];
		g->frame_nr = p->ring[i][3];
		g->retire_tmo = p->ring[i][4];
		g->sizeof_priv = p->ring[i][5];
		g->features = p->ring[i][6];
	}
}

/* Joined N times, it has to be left as often. */
static void dump_memberships(const struct diag_packet *p, PacketSockEntry *e)
{
	for (unsigned i = 0; i < p->nmemberships; i++) {
		const struct packet_diag_mclist *m = &p->memberships[i];

		for (unsigned k = 0; k < MIN(m->pdmc_count, 1024); k++) {
			PacketMclist *one = g_new0(PacketMclist, 1);

			packet_mclist__init(one);
			one->index = m->pdmc_index;
			one->type = m->pdmc_type;
			one->addr.len = MIN(m->pdmc_alen, ADDR_MAX);
			one->addr.data = g_memdup2(m->pdmc_addr, one->addr.len);
			e->mclist = g_renew(PacketMclist *, e->mclist, e->n_mclist + 1);
			e->mclist[e->n_mclist++] = one;
		}
	}
}

static void dump_extra(const struct sock_view *s, const struct diag_packet *p, json_t *x)
{
	json_t *all = json_array();
	struct ifreq ifr = {.ifr_ifindex = (int)p->index};
	int v;

	/* its number may be another one where it is restored */
	if (p->index && ioctl(s->fd, SIOCGIFNAME, &ifr) == 0)
		json_object_set_new(x, "device", json_string(ifr.ifr_name));
	for (unsigned i = 0; i < ARRAY_SIZE(options); i++)
		if (sock_get_int(s->fd, SOL_PACKET, options[i], &v) && v)
			json_array_append_new(all, json_pack("[i,i]", options[i], v));
	json_object_set_new(x, "options", all);
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *file)
{
	CLEANUP(sock_view_clear) struct sock_view s = SOCK_VIEW_NONE;
	PacketSockEntry *e = file->psk = g_new0(PacketSockEntry, 1);
	const struct diag_packet *p;
	int r;

	packet_sock_entry__init(e);
	r = sock_view_read(d, v, &s);
	if (r == 0)
		r = facts(d, &s, &p);
	if (r == 0)
		r = check_fanout(&s, p);
	if (r < 0)
		return r;
	e->id = file->id;
	e->has_ns_id = true;
	e->ns_id = s.ns;
	e->type = (uint32_t)s.type;
	e->protocol = p->protocol;
	e->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	e->ifindex = p->index;
	e->version = p->version;
	e->reserve = p->reserve;
	e->aux_data = p->flags & PDI_AUXDATA;
	e->orig_dev = p->flags & PDI_ORIGDEV;
	e->vnet_hdr = p->flags & PDI_VNETHDR;
	e->loss = p->flags & PDI_LOSS;
	e->timestamp = p->timestamp;
	e->copy_thresh = p->copy_thresh;
	e->has_fanout = p->has_fanout;
	e->fanout = p->has_fanout ? p->fanout : FANOUT_NONE;
	dump_rings(p, e);
	dump_memberships(p, e);
	dump_extra(&s, p, sock_extra_new(d, file->id));
	sock_more_dump(&s, sock_extra_of(d, file->id));
	g_hash_table_insert(d->socks->ids, GUINT_TO_POINTER(s.ino), GUINT_TO_POINTER(file->id));
	r = fown_dump(v, &e->fown);
	if (r == 0)
		r = sock_options_dump(&s, &e->opts);
	sock_tell_lost(&s);
	return r < 0 ? err_wrap(r, "%s", v->link) : 0;
}

static int load(struct restore *r, struct file *f)
{
	const PacketSockEntry *e = f->entry->psk;

	if (!e)
		return 1;
	for (size_t i = 0; i < e->n_mclist; i++)
		if (e->mclist[i]->addr.len > ADDR_MAX)
			return err_set(EBADMSG, "packet socket %u: an address of %zu bytes", f->id,
				       e->mclist[i]->addr.len);
	return 0;
}

static int restore_options(int fd, const PacketSockEntry *e, json_t *x)
{
	const struct {
		int name;
		unsigned value;
	} all[] = {
		{PACKET_VERSION, e->version},	  {PACKET_RESERVE, e->reserve},
		{PACKET_AUXDATA, e->aux_data},	  {PACKET_ORIGDEV, e->orig_dev},
		{PACKET_VNET_HDR, e->vnet_hdr},	  {PACKET_LOSS, e->loss},
		{PACKET_TIMESTAMP, e->timestamp}, {PACKET_COPY_THRESH, e->copy_thresh},
	};
	json_t *one;
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < ARRAY_SIZE(all); i++)
		if (all[i].value)
			r = sock_set_int(fd, SOL_PACKET, all[i].name, (int)all[i].value);
	json_array_foreach(json_object_get(x, "options"), i, one)
	{
		int name = (int)json_integer_value(json_array_get(one, 0));

		for (unsigned k = 0; r == 0 && k < ARRAY_SIZE(options); k++)
			if (options[k] == name)
				r = sock_set_int(fd, SOL_PACKET, name,
						 (int)json_integer_value(json_array_get(one, 1)));
	}
	return r;
}

static int restore_ring(int fd, int name, const PacketRing *g)
{
	struct tpacket_req3 q;

	if (!g)
		return 0;
	q = (struct tpacket_req3){
		.tp_block_size = g->block_size,
		.tp_block_nr = g->block_nr,
		.tp_frame_size = g->frame_size,
		.tp_frame_nr = g->frame_nr,
		.tp_retire_blk_tov = g->retire_tmo,
		.tp_sizeof_priv = g->sizeof_priv,
		.tp_feature_req_word = g->features,
	};
	if (setsockopt(fd, SOL_PACKET, name, &q, sizeof(q)) < 0)
		return err_errno("its ring of %u blocks", g->block_nr);
	return 0;
}

static int join(int fd, const PacketMclist *m)
{
	struct {
		struct packet_mreq q;
		unsigned char more[ADDR_MAX]; /* struct packet_mreq_max */
	} all = {.q = {.mr_ifindex = (int)m->index,
		       .mr_type = (unsigned short)m->type,
		       .mr_alen = (unsigned short)m->addr.len}};

	memcpy((char *)&all + offsetof(struct packet_mreq, mr_address), m->addr.data, m->addr.len);
	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) < 0)
		return err_errno("membership of type %u at device %u", m->type, m->index);
	return 0;
}

static int open_(struct restore *r, struct file *f)
{
	const PacketSockEntry *e = f->entry->psk;
	struct sock_maker root = sock_maker_in(r, e->has_ns_id ? e->ns_id : 0);
	int protocol = e->type == SOCK_PACKET ? (int)e->protocol : 0;
	int ret = sock_make(&root, AF_PACKET, (int)e->type, protocol, &f->fd);

	if (ret == 0)
		ret = sock_options_restore(f->fd, e->opts);
	if (ret == 0)
		ret = sock_more_restore(f->fd, sock_extra(r, f->id));
	if (ret == 0)
		ret = restore_options(f->fd, e, sock_extra(r, f->id));
	if (ret == 0)
		ret = restore_ring(f->fd, PACKET_RX_RING, e->rx_ring);
	if (ret == 0)
		ret = restore_ring(f->fd, PACKET_TX_RING, e->tx_ring);
	for (size_t i = 0; ret == 0 && i < e->n_mclist; i++)
		ret = join(f->fd, e->mclist[i]);
	return ret < 0 ? err_wrap(ret, "packet socket %u", f->id) : 0;
}

/* The device by its name, if it is known; else by its number. */
static int device(struct restore *r, const struct file *f, struct ifreq *ret)
{
	const char *name = json_string_value(json_object_get(sock_extra(r, f->id), "device"));

	*ret = (struct ifreq){.ifr_ifindex = (int)f->entry->psk->ifindex};
	if (!ret->ifr_ifindex)
		return 0;
	if (!name)
		return ioctl(f->fd, SIOCGIFNAME, ret) < 0
			       ? err_errno("device %u", f->entry->psk->ifindex)
			       : 0;
	g_strlcpy(ret->ifr_name, name, sizeof(ret->ifr_name));
	return ioctl(f->fd, SIOCGIFINDEX, ret) < 0 ? err_errno("device %s", name) : 0;
}

/* SOCK_PACKET knows devices by name only (packet_bind_spkt()), and its protocol from socket(2). */
static int bind_old(struct restore *r, struct file *f, const struct ifreq *ifr)
{
	struct sockaddr a = {.sa_family = AF_PACKET};

	if (!ifr->ifr_name[0])
		return 0;
	memcpy(a.sa_data, ifr->ifr_name, MIN(strlen(ifr->ifr_name) + 1, SPKT_DEVICE));
	a.sa_data[SPKT_DEVICE - 1] = 0;
	return bind(f->fd, &a, sizeof(a)) < 0 ? err_errno("bind to %s", ifr->ifr_name) : 0;
}

static int bind_it(struct restore *r, struct file *f)
{
	const PacketSockEntry *e = f->entry->psk;
	struct sockaddr_ll a = {.sll_family = AF_PACKET};
	struct ifreq ifr;
	int ret = (int)e->ifindex < 0 ? 0 : device(r, f, &ifr); /* -1: the device had gone */

	if (ret < 0 || (int)e->ifindex < 0)
		return ret;
	if (e->type == SOCK_PACKET)
		return bind_old(r, f, &ifr);
	if (!e->ifindex && !e->protocol)
		return 0;
	a.sll_protocol = (uint16_t)e->protocol;
	a.sll_ifindex = e->ifindex ? ifr.ifr_ifindex : 0;
	return bind(f->fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? err_errno("bind") : 0;
}

static int finish(struct restore *r, struct file *f)
{
	const PacketSockEntry *e = f->entry->psk;
	int ret = bind_it(r, f);

	if (ret == 0 && e->has_fanout && e->fanout != FANOUT_NONE)
		ret = sock_set_int(f->fd, SOL_PACKET, PACKET_FANOUT,
				   (int)(e->fanout & ~((unsigned)FANOUT_UNIQUE << 16)));
	if (ret == 0)
		ret = sock_flags_restore(r, f, e->fown, e->flags);
	return ret < 0 ? err_wrap(ret, "packet socket %u", f->id) : 0;
}

const struct fd_kind fd_packet = {
	.name = "packet socket",
	.type = FD_TYPES__PACKETSK,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
	.finish = finish,
	.settle = fown_settle,
};
