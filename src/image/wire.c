/* SPDX-License-Identifier: Apache-2.0 */
#include "image/wire.h"

#include "base/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define OLD_BYTES   24u
#define NEW_BYTES   32u
#define CMD_BITS    16
#define TYPE_BITS   8
#define TYPE_PID    1
#define TYPE_SHMEM  2
#define POINTER_MIN 0x10000 /* nothing is mapped below; nobody asks for so many pages */

uint64_t wire_dst(enum image_kind kind, uint64_t id)
{
	return id << TYPE_BITS | (kind == IMG_PAGEMAP ? TYPE_PID : TYPE_SHMEM);
}

int wire_dst_parse(uint64_t dst, enum image_kind *ret_kind, uint64_t *ret_id)
{
	unsigned type = dst & ((1u << TYPE_BITS) - 1);

	if (type != TYPE_PID && type != TYPE_SHMEM)
		return err_set(EPROTO, "page server: pages of kind %u", type);
	*ret_kind = type == TYPE_PID ? IMG_PAGEMAP : IMG_SHMEM_PAGEMAP;
	*ret_id = dst >> TYPE_BITS;
	return 0;
}

static int send_all(int sock, struct iovec *v, unsigned n)
{
	while (n) {
		const struct msghdr m = {.msg_iov = v, .msg_iovlen = n};
		ssize_t sent = sendmsg(sock, &m, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return err_errno("send pages");
		for (; n && (size_t)sent >= v->iov_len; v++, n--)
			sent -= (ssize_t)v->iov_len;
		if (n) {
			v->iov_base = (uint8_t *)v->iov_base + sent;
			v->iov_len -= (size_t)sent;
		}
	}
	return 0;
}

int wire_send(struct wire *w, const struct wire_header *h, const void *content, size_t len)
{
	uint32_t words[2] = {h->flags << CMD_BITS | h->cmd, w->old ? (uint32_t)h->nr_pages : 0};
	uint8_t raw[NEW_BYTES];
	size_t at = sizeof(words);
	struct iovec v[2] = {{.iov_base = raw}, {(void *)content, len}};

	memcpy(raw, words, sizeof(words));
	if (!w->old) {
		memcpy(raw + at, &h->nr_pages, 8);
		at += 8;
	}
	memcpy(raw + at, &h->vaddr, 8);
	memcpy(raw + at + 8, &h->dst, 8);
	v[0].iov_len = at + 16;
	return send_all(w->sock, v, len ? 2 : 1);
}

int wire_recv_bytes(struct wire *w, void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = recv(w->sock, (uint8_t *)buf + done, len - done, MSG_WAITALL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno("receive pages");
		if (n == 0)
			return err_set(EPIPE, "receive pages: the other side has gone");
		done += (size_t)n;
	}
	return 0;
}

int wire_recv(struct wire *w, struct wire_header *ret)
{
	uint8_t raw[NEW_BYTES];
	uint32_t cmd, nr;
	uint64_t second, last;
	ssize_t n;
	int r;

	do
		n = recv(w->sock, raw, 1, 0);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return 1;
	if (n < 0)
		return err_errno("receive pages");
	r = wire_recv_bytes(w, raw + 1, OLD_BYTES - 1);
	if (r < 0)
		return r;
	memcpy(&cmd, raw, 4);
	memcpy(&second, raw + 8, 8);
	memcpy(&last, raw + 16, 8);
	if (!w->known) /* the second word is the address, or how many */
		w->old = cmd == WIRE_GET ? second >= POINTER_MIN : last != 0;
	w->known = true;
	if (!w->old)
		r = wire_recv_bytes(w, raw + OLD_BYTES, NEW_BYTES - OLD_BYTES);
	if (r < 0)
		return r;
	memcpy(&nr, raw + 4, 4);
	*ret = (struct wire_header){
		.cmd = cmd & ((1u << CMD_BITS) - 1), .flags = cmd >> CMD_BITS, .nr_pages = nr};
	if (!w->old)
		memcpy(&ret->nr_pages, raw + 8, 8);
	memcpy(&ret->vaddr, raw + (w->old ? 8 : 16), 8);
	memcpy(&ret->dst, raw + (w->old ? 16 : 24), 8);
	if (ret->nr_pages > UINT64_MAX / IMAGE_PAGE_SIZE / 2)
		return err_set(EPROTO, "receive pages: %" PRIu64 " at once", ret->nr_pages);
	return 0;
}

int wire_close(struct wire *w, bool force)
{
	const struct wire_header h = {.cmd = force ? WIRE_FORCE_CLOSE : WIRE_CLOSE};
	int32_t status = -1;
	int r = wire_send(w, &h, NULL, 0);

	if (r == 0)
		r = wire_recv_bytes(w, &status, sizeof(status));
	if (r < 0)
		return err_wrap(r, "page server");
	return status ? err_set(EIO, "the page server has not written all pages") : 0;
}
