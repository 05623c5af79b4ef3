/* SPDX-License-Identifier: Apache-2.0 */
/* What tun.c has in files of its own; FD is a file of the device. */
#pragma once

#include "state/dump.h"
#include "state/restore.h"

struct tun_device {
	const char *name;
	unsigned flags; /* IFF_TUN, IFF_NO_PI, IFF_VNET_HDR, ... */
	int header;	/* bytes of struct virtio_net_hdr; IFF_VNET_HDR */
};

/* tun_queue.c: packets that wait; what is lost is told by a warning. */
void tun_queue_dump(int fd, const struct tun_device *t, json_t *file);
void tun_queue_restore(int fd, const struct tun_device *t, const json_t *file);

/* tun_offload.c: what TUNSETOFFLOAD has been told.  SOCK is any socket where the device is. */
int tun_offloads(int sock, const char *name, unsigned *ret) MUST_CHECK;
