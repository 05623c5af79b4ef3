/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections that a listening socket has in its queue, made of nothing: no call makes them, as
 * they come of a handshake, in which each side chooses its own numbers.
 *
 * But handshakes without state may be the business of a BPF program, to which the numbers are
 * nothing but those of the segment that ends one: the kernel's function for it makes the connection
 * that the program describes (bpf_sk_assign_tcp_reqsk(), Linux 6.8; net/ipv4/syncookies.c:
 * cookie_bpf_check()).  So a program at the loopback device waits for one segment that we send
 * there, and says what it is of.
 *
 *	CLEANUP(born_close) struct born *b = NULL;
 *
 *	r = born_open(types, ns, &b);			// types: kernel/btf.h
 *	if (r == 0)
 *		r = born_listener(b, fd);		// whose queue
 *	if (r == 0)
 *		r = born_expect(b, &child, &segment);
 *	... send the segment with that mark, ...
 *	r = born_done(b);				// 1: not yet
 */
#pragma once

#include "base/err.h"
#include "kernel/btf.h"

struct born;

struct born_child {
	uint32_t their_time,
		our_time; /* timestamps: the last of the peer's; what ours would be now */
	uint16_t mss;	  /* that the peer has asked for: BORN_MSS_MIN */
	uint8_t snd_wscale, rcv_wscale;
	bool wscale, sack, timestamps, ecn;
};
#define BORN_MSS_MIN(family) ((family) == AF_INET ? 536 : 1220)

struct born_segment {
	int family;
	uint32_t mark;
	uint16_t from, to; /* ports */
	uint32_t seq, ack;
};

/*
 * NS: a network namespace, or -1: nothing happens, it is only asked whether it could.  -EOPNOTSUPP:
 * it cannot be done here (no such function, BPF is not for us, no CONFIG_NET_XGRESS).
 */
int born_open(struct btf *types, int ns, struct born **ret) MUST_CHECK;
void born_close(struct born **b);

/*
 * Until born_listener_done() connections of others that share its port (SO_REUSEPORT) are its own,
 * too, and the program that chose among them is no more.
 */
int born_listener(struct born *b, int fd) MUST_CHECK;
int born_listener_done(struct born *b, int fd) MUST_CHECK;
int born_expect(struct born *b, const struct born_child *c, const struct born_segment *s)
	MUST_CHECK;
int born_done(struct born *b) MUST_CHECK;
