/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/migrate_parts.h"

#include "image/pages.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define TABLE_MAX 4096u /* entries of a frame */
#define ALIGN	  64u	/* the kernel copies much slower from where no cache line begins */

enum memory_kind { MEMORY_MAPS = 1, MEMORY_PIECES };

/* On the wire, little-endian; the content begins at a multiple of ALIGN. */
struct memory_head {
	uint32_t kind, n;
	int32_t nspid, pad;
};
struct memory_entry {
	uint64_t start, end;
	uint32_t flags, pad;
};

static int begin(struct memory_out *m)
{
	int r = m->begun || !m->begin ? 0 : m->begin(m->begin_arg);

	m->begun = true;
	return r;
}

static int put(struct memory_out *m, enum memory_kind kind, pid_t nspid,
	       const struct memory_entry *v, unsigned n, const void *data, size_t len)
{
	static const char zeros[ALIGN];
	const struct memory_head h = {htole32(kind), htole32(n), (int32_t)htole32((uint32_t)nspid),
				      0};
	size_t bytes = sizeof(h) + n * sizeof(*v);
	const struct iovec parts[] = {
		{(void *)&h, sizeof(h)},
		{(void *)v, n * sizeof(*v)},
		{(void *)zeros, ROUND_UP(bytes, ALIGN) - bytes},
		{(void *)data, len},
	};
	int r = begin(m);

	return r < 0 ? r : channel_put(m->ch, parts, ARRAY_SIZE(parts));
}

static struct memory_entry entry(uint64_t start, uint64_t end, uint32_t flags)
{
	return (struct memory_entry){htole64(start), htole64(end), htole32(flags), 0};
}

static int put_maps(void *arg, pid_t nspid, const struct page_map *v, unsigned n)
{
	g_autofree struct memory_entry *table = g_new(struct memory_entry, TABLE_MAX);
	int r = 0;

	for (unsigned done = 0, k; r == 0 && done < n; done += k) {
		for (k = 0; k < TABLE_MAX && done + k < n; k++)
			table[k] = entry(v[done + k].start, v[done + k].end, v[done + k].flags);
		r = put(arg, MEMORY_MAPS, nspid, table, k, NULL, 0);
	}
	return r;
}

static int put_pieces(void *arg, pid_t nspid, const struct page_piece *v, unsigned n,
		      const void *buf)
{
	g_autofree struct memory_entry *table = g_new(struct memory_entry, n + 1);
	size_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		table[i] = entry(v[i].start, v[i].end, v[i].flags);
		len += v[i].flags & PE_PRESENT ? v[i].end - v[i].start : 0;
	}
	return put(arg, MEMORY_PIECES, nspid, table, n, buf, len);
}

void memory_out_init(struct memory_out *m, struct channel *ch)
{
	*m = (struct memory_out){.ch = ch, .hooks = {put_maps, put_pieces, m}};
}

int memory_out_end(struct memory_out *m)
{
	int r = begin(m);

	return r < 0 ? r : channel_put_end(m->ch);
}

static int nonsense(void)
{
	return err_set(EBADMSG, "the other side sent memory that makes no sense");
}

static int take_maps(struct stage *s, pid_t nspid, const struct memory_entry *v, unsigned n)
{
	g_autofree struct page_map *maps = g_new(struct page_map, n + 1);

	for (unsigned i = 0; i < n; i++)
		maps[i] = (struct page_map){le64toh(v[i].start), le64toh(v[i].end),
					    le32toh(v[i].flags)};
	return stage_maps(s, nspid, maps, n);
}

static int take_pieces(struct stage *s, pid_t nspid, const struct memory_entry *v, unsigned n,
		       const uint8_t *data, size_t len)
{
	g_autofree struct page_piece *pieces = g_new(struct page_piece, n + 1);
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++) {
		pieces[i] = (struct page_piece){le64toh(v[i].start), le64toh(v[i].end),
						le32toh(v[i].flags)};
		if (pieces[i].end < pieces[i].start)
			return nonsense();
		if (pieces[i].flags & PE_PRESENT)
			sum += pieces[i].end - pieces[i].start;
		if (sum > len)
			return nonsense();
	}
	return sum == len ? stage_pages(s, nspid, pieces, n, data) : nonsense();
}

static int take(struct stage *s, const uint8_t *buf, size_t len)
{
	struct memory_head h;
	size_t table, at;
	unsigned n;

	if (len < sizeof(h))
		return nonsense();
	memcpy(&h, buf, sizeof(h));
	n = le32toh(h.n);
	table = (size_t)n * sizeof(struct memory_entry);
	at = ROUND_UP(sizeof(h) + table, ALIGN);
	if (n > TABLE_MAX || at > len)
		return nonsense();

	const struct memory_entry *v = (const void *)(buf + sizeof(h));
	pid_t nspid = (pid_t)le32toh((uint32_t)h.nspid);

	switch (le32toh(h.kind)) {
	case MEMORY_MAPS:
		return take_maps(s, nspid, v, n);
	case MEMORY_PIECES:
		return take_pieces(s, nspid, v, n, buf + at, len - at);
	default:
		return nonsense();
	}
}

int memory_in(struct channel *ch, struct stage *s)
{
	uint8_t *buf = mmap(NULL, CHANNEL_PIECE_MAX, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t len;
	int r = buf == MAP_FAILED ? err_errno("memory for a piece") : 0;

	while (r == 0 && (r = channel_take(ch, buf, CHANNEL_PIECE_MAX, &len)) > 0)
		r = take(s, buf, len);
	if (buf != MAP_FAILED)
		munmap(buf, CHANNEL_PIECE_MAX);
	return r < 0 ? r : stage_round(s);
}
