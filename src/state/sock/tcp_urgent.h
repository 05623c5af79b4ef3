/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Urgent data of a TCP connection (MSG_OOB; RFC 6093).  Of what was received the kernel remembers
 * one place in the stream, and whether the byte there is to come, waits, or was received apart
 * (tcp_sock.urg_seq, .urg_data); of what is sent where the last one ends (.snd_up).  No call shows
 * these for certain: they are read from the kernel's memory (kernel/peek.h).  At restore the byte
 * comes in a segment of our own, as TCP_REPAIR only fills queues.
 *
 * Beside the socket's record: {"urgent": {"in": [bytes in front of it, "waits"], "out": bytes up to
 * it}}
 */
#pragma once

#include "state/sock/tcp.h"

enum tcp_urgent_kind {
	TCP_URGENT_NONE,
	TCP_URGENT_TO_COME, /* announced */
	TCP_URGENT_WAITS,
	TCP_URGENT_READ, /* reading stops there all the same, and SIOCATMARK tells */
};

struct tcp_urgent {
	enum tcp_urgent_kind in;
	uint32_t in_at, in_len; /* IN_LEN: of the whole queue; at restore */
	uint32_t out_end;	/* 0: none */
};

/* Before the freeze: refuses what could not be read. */
int tcp_urgent_check(struct dump *d, const struct sock_view *s, const char *name) MUST_CHECK;

/* The same of struct tcp_sock SK; RET is empty. */
int tcp_urgent_peek(struct peek *k, uint64_t sk, struct tcp_urgent *ret) MUST_CHECK;

int tcp_urgent_read(struct dump *d, const struct sock_view *s, struct tcp_urgent *ret) MUST_CHECK;
void tcp_urgent_dump(const struct tcp_urgent *u, json_t *x);
int tcp_urgent_load(const json_t *x, uint32_t in_len, struct tcp_urgent *ret) MUST_CHECK;

/* FD, in TCP_REPAIR, whose queue to read ends where S begins, with what is urgent: BYTE. */
int tcp_urgent_receive(struct restore *r, int fd, const struct tcp_urgent *u, struct tcp_segment *s,
		       uint8_t byte) MUST_CHECK;
