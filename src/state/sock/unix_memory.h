/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of a unix socket, read from the kernel's memory (kernel/peek.h): also of one that has
 * no descriptor yet, and where urgent data (MSG_OOB) are in a stream, which no call shows.
 *
 * Each packet is written for ID, with an object about it in PACKETS: {"cred": [...]}, {"from": the
 * sender's name, in hexadecimal} of one of a SOCK_DGRAM, {"urgent": "waits"} for a byte that was
 * sent with MSG_OOB, and {"urgent": "read"}, of no length, for the place of one that was received
 * with MSG_OOB (net/unix/af_unix.c: manage_oob()).
 */
#pragma once

#include "kernel/peek.h"
#include "state/sock/sock.h"

struct unix_memory {
	struct dump *d;
	uint32_t id;
	json_t *packets;
	bool stream, only_look; /* ONLY_LOOK: nothing is written */
	bool names;		/* of SOCK_DGRAM */
	bool rights, urgent;	/* there are descriptors, which cannot be had; MSG_OOB */
	bool empty;		/* there is a packet without data */
	uint64_t oob;		/* private */
};

/* Of the struct sock at SK. */
int unix_memory_queue(struct unix_memory *m, struct peek *k, uint64_t sk) MUST_CHECK;

/* Whose numbers are at these places. */
int unix_memory_cred(const struct unix_memory *m, struct peek *k, uint64_t pid, uint64_t uid_at,
		     uint64_t gid_at, json_t **ret) MUST_CHECK;

/* May what is urgent in stream S be saved?  Before the freeze. */
int unix_urgent_check(struct dump *d, const struct sock_view *s) MUST_CHECK;

/* 1: nothing is urgent in it, and nothing was written. */
int unix_urgent_dump(struct dump *d, const struct sock_view *s, uint32_t id, json_t *packets)
	MUST_CHECK;

/*
 * An empty packet waits: to peek at it is to hide it from those who peek later, as the next dump
 * would (__skb_try_recv_from_queue()).  False also where that is not to be seen.
 */
bool unix_has_empty(struct dump *d, const struct sock_view *s);

/* Of whole packets, without taking the error that stands before them.  1: that cannot be. */
int unix_packets_dump(struct dump *d, const struct sock_view *s, uint32_t id, json_t *packets)
	MUST_CHECK;
