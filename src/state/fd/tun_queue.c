/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets that wait in a queue of a tun or tap device for the program to read them.  To see them is
 * to take them (tun_do_read()), so they are sent again at once, as they will be at the restore: by
 * a packet(7) socket into the device, which is how they came there (tun_net_xmit()).  Past its
 * queueing discipline (PACKET_QDISC_BYPASS), where nobody else sees them (__dev_direct_xmit()).
 * Of several queues the device chooses one, as for any packet.
 */
#include "state/fd/tun.h"

#include "base/log.h"
#include "kernel/ns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET_MAX (65536 + 256)
#define COUNT_MAX  2048 /* more come while we read; queues have 500 by default */
#define BYTES_MAX  (32u << 20)

static int open_it(void *arg, int *ret_fd)
{
	*ret_fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	return *ret_fd < 0 ? err_errno("packet socket") : 0;
}

/* Where packets go to. */
struct way {
	const struct tun_device *t;
	int fd, index;
};

static void *close_it(void *fd)
{
	close(GPOINTER_TO_INT(fd));
	return NULL;
}

/* Beside us: it takes 10 ms (packet_release(): synchronize_net()). */
static void way_clear(struct way *w)
{
	pthread_t thread;

	if (w->fd < 0)
		return;
	if (pthread_create(&thread, NULL, close_it, GINT_TO_POINTER(w->fd)) == 0)
		pthread_detach(thread);
	else
		close(w->fd);
	w->fd = -1;
}

static int way_open(int fd, const struct tun_device *t, struct way *ret)
{
	struct ifreq ifr = {0};
	autoclose int ns = ioctl(fd, SIOCGSKNS);
	int one = 1, r;

	*ret = (struct way){.t = t, .fd = -1};
	if (ns < 0)
		return err_errno("network namespace of a tun device");
	r = ns_run(&ns, 1, open_it, NULL, &ret->fd);
	if (r < 0)
		return r;
	g_strlcpy(ifr.ifr_name, t->name, sizeof(ifr.ifr_name));
	if (ioctl(ret->fd, SIOCGIFFLAGS, &ifr) < 0)
		return err_errno("device %s", t->name);
	if (!(ifr.ifr_flags & IFF_UP) || !(ifr.ifr_flags & IFF_RUNNING))
		return err_set(ENETDOWN, "%s is down", t->name);
	if (ioctl(ret->fd, SIOCGIFINDEX, &ifr) < 0 ||
	    setsockopt(ret->fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) < 0 ||
	    setsockopt(ret->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) < 0)
		return err_errno("a way into %s", t->name);
	ret->index = ifr.ifr_ifindex;
	return 0;
}

/* In network order. */
static uint16_t protocol_of(const struct tun_device *t, const uint8_t *data, size_t len)
{
	uint16_t v;

	if (!(t->flags & IFF_TUN)) {
		memcpy(&v, data + offsetof(struct ethhdr, h_proto), sizeof(v));
		return v;
	}
	return htons(data[0] >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP);
}

/* DATA is as the program would read it: Documentation/networking/tuntap.rst. */
static int send_again(const struct way *w, const uint8_t *data, size_t len)
{
	struct virtio_net_hdr head = {0};
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = w->index};
	struct iovec iov[] = {{.iov_base = &head, .iov_len = sizeof(head)}, {0}};
	struct msghdr m = {.msg_name = &to,
			   .msg_namelen = sizeof(to),
			   .msg_iov = iov,
			   .msg_iovlen = ARRAY_SIZE(iov)};
	size_t info = w->t->flags & IFF_NO_PI ? 0 : sizeof(struct tun_pi);
	size_t at = info + (w->t->flags & IFF_VNET_HDR ? (size_t)w->t->header : 0);

	if (len < at + ((w->t->flags & IFF_TUN) ? 1 : sizeof(struct ethhdr)))
		return err_set(EBADMSG, "it is of %zu bytes", len);
	if (at >= info + sizeof(head))
		memcpy(&head, data + info, sizeof(head));
	if (info)
		memcpy(&to.sll_protocol, data + offsetof(struct tun_pi, proto),
		       sizeof(to.sll_protocol));
	else
		to.sll_protocol = protocol_of(w->t, data + at, len - at);
	iov[1] = (struct iovec){.iov_base = (void *)(data + at), .iov_len = len - at};
	return sendmsg(w->fd, &m, MSG_DONTWAIT) < 0 ? err_errno("send it") : 0;
}

static bool has_some(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1 && p.revents & POLLIN;
}

static void tell_lost(const struct tun_device *t, unsigned n)
{
	log_warn("%s: %u packets that waited in its queue are lost: %s", t->name, n, err_message());
	err_clear();
}

/* Tell and forget: a wire loses packets, too. */
static void send_all(const struct way *w, const GPtrArray *all)
{
	unsigned lost = 0;

	for (unsigned i = 0; i < all->len; i++) {
		size_t len;
		const void *data = g_bytes_get_data(g_ptr_array_index(all, i), &len);

		if (send_again(w, data, len) < 0)
			lost++;
	}
	if (lost)
		tell_lost(w->t, lost);
}

static void take_all(int fd, GPtrArray *all)
{
	g_autofree uint8_t *buf = g_malloc(PACKET_MAX);
	size_t bytes = 0;

	while (all->len < COUNT_MAX && bytes < BYTES_MAX && has_some(fd)) {
		/* read(2) would leave a position behind: tun_chr_read_iter() */
		ssize_t n = pread(fd, buf, PACKET_MAX, 0);

		if (n <= 0)
			return;
		g_ptr_array_add(all, g_bytes_new(buf, (size_t)n));
		bytes += (size_t)n;
	}
}

static void bytes_unref(void *p)
{
	g_bytes_unref(p);
}

void tun_queue_dump(int fd, const struct tun_device *t, json_t *file)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(bytes_unref);
	CLEANUP(way_clear) struct way w = {.fd = -1};
	json_t *list;
	int be = 0;

	if (!has_some(fd))
		return;
	if (ioctl(fd, TUNGETVNETBE, &be) == 0 && be)
		err_set(EOPNOTSUPP, "their headers are of another byte order");
	else if (way_open(fd, t, &w) == 0)
		take_all(fd, all);
	if (!all->len) {
		log_warn("%s: packets that wait in its queue are not saved: %s", t->name,
			 err_message());
		err_clear();
		return;
	}
	send_all(&w, all);
	list = json_array();
	for (unsigned i = 0; i < all->len; i++) {
		size_t len;
		const void *data = g_bytes_get_data(g_ptr_array_index(all, i), &len);
		g_autofree char *text = g_base64_encode(data, len);

		json_array_append_new(list, json_string(text));
	}
	json_object_set_new(file, "packets", list);
}

void tun_queue_restore(int fd, const struct tun_device *t, const json_t *file)
{
	const json_t *list = json_object_get(file, "packets"), *one;
	g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(bytes_unref);
	CLEANUP(way_clear) struct way w = {.fd = -1};
	size_t i;

	if (!json_array_size(list))
		return;
	json_array_foreach((json_t *)list, i, one)
	{
		const char *text = json_string_value(one);
		size_t len = 0;
		uint8_t *data = text ? g_base64_decode(text, &len) : NULL;

		g_ptr_array_add(all, g_bytes_new_take(data, len));
	}
	if (way_open(fd, t, &w) < 0)
		tell_lost(t, all->len);
	else
		send_all(&w, all);
}
