/* SPDX-License-Identifier: Apache-2.0 */
/* Packets in queues: include/linux/skbuff.h */
#include "kernel/peek.h"

#include <errno.h>
#include <string.h>

#define QUEUE_MAX 1000000
#define DEPTH_MAX 4
#define BYTES_MAX (256u << 20)

int peek_skbs(struct peek *k, uint64_t head, int (*fn)(struct peek *k, uint64_t skb, void *arg),
	      void *arg)
{
	uint64_t at = head;
	int r = 0;

	for (unsigned i = 0; r == 0; i++) {
		r = peek_u64(k, at, "sk_buff", "next", &at); /* first in struct sk_buff_head, too */
		if (r == 0 && at == head)
			return 0;
		if (r == 0 && i >= QUEUE_MAX)
			r = err_set(ELOOP, "a queue of the kernel has no end");
		if (r == 0)
			r = fn(k, at, arg);
	}
	return r;
}

static int add(struct peek *k, uint64_t at, uint32_t len, GByteArray *into)
{
	guint was = into->len;

	if (len > BYTES_MAX || was + len > BYTES_MAX)
		return err_set(EFBIG, "a packet of %u bytes", len);
	g_byte_array_set_size(into, was + len);
	return peek_read(k, at, into->data + was, len);
}

/* Of some pages that belong together (skb_frag_t). */
static int add_piece(struct peek *k, uint64_t at, GByteArray *into)
{
	uint64_t page, where;
	uint32_t len, offset;
	int r = peek_u64(k, at, "skb_frag", "netmem", &page);

	if (r == 0)
		r = peek_u32(k, at, "skb_frag", "len", &len);
	if (r == 0)
		r = peek_u32(k, at, "skb_frag", "offset", &offset);
	if (r == 0 && page & 1)
		return err_set(EOPNOTSUPP, "memory of a device");
	if (r == 0)
		r = peek_page(k, page, &where);
	return r < 0 ? r : add(k, where + offset, len, into);
}

static int add_packet(struct peek *k, uint64_t skb, unsigned depth, GByteArray *into);

static int add_pieces(struct peek *k, uint64_t info, unsigned depth, GByteArray *into)
{
	uint64_t at, list;
	unsigned size;
	uint8_t n;
	int r = peek_at(k, info, "skb_shared_info", "nr_frags", &at);

	if (r == 0)
		r = peek_read(k, at, &n, 1);
	if (r == 0)
		r = peek_at(k, info, "skb_shared_info", "frags", &at);
	if (r == 0)
		r = peek_size(k, "skb_frag", &size);
	for (unsigned i = 0; r == 0 && i < n; i++)
		r = add_piece(k, at + (uint64_t)i * size, into);
	if (r == 0)
		r = peek_u64(k, info, "skb_shared_info", "frag_list", &list);
	/* others behind it: skb_gro_receive(), inet_frag_reasm_finish() */
	for (unsigned i = 0; r == 0 && list && i < QUEUE_MAX; i++) {
		r = add_packet(k, list, depth + 1, into);
		if (r == 0)
			r = peek_u64(k, list, "sk_buff", "next", &list);
	}
	return r;
}

static int add_packet(struct peek *k, uint64_t skb, unsigned depth, GByteArray *into)
{
	uint32_t len, beyond, end;
	uint64_t data, head;
	int r = peek_u32(k, skb, "sk_buff", "len", &len);

	if (r == 0)
		r = peek_u32(k, skb, "sk_buff", "data_len", &beyond);
	if (r == 0)
		r = peek_u64(k, skb, "sk_buff", "data", &data);
	if (r == 0)
		r = peek_u64(k, skb, "sk_buff", "head", &head);
	if (r == 0)
		r = peek_u32(k, skb, "sk_buff", "end", &end);
	if (r == 0 && depth > DEPTH_MAX)
		return err_set(ELOOP, "a packet of the kernel has no end");
	if (r == 0 && len < beyond)
		return err_set(EIO, "a packet of %u bytes, %u of them elsewhere", len, beyond);
	if (r == 0)
		r = add(k, data, len - beyond, into);
	return r == 0 && beyond ? add_pieces(k, head + end, depth, into) : r;
}

int peek_skb_data(struct peek *k, uint64_t skb, GByteArray *into)
{
	return add_packet(k, skb, 0, into);
}
