/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BPF maps: attributes and content, of the kinds that give it back.  kernel/bpf/syscall.c:
 * bpf_map_show_fdinfo().  What programs do with them is not seen: those are refused.
 *
 * The content is in bpfmap-data.img: all keys, then all values.  Values of a kind that has one for
 * each CPU are as many as the machine could have, rounded up to 8 bytes each.
 */
#include "state/fd/kind.h"

#include "state/fd/files.h"

#include "image/bpfmap-data.pb-c.h"
#include "image/bpfmap-file.pb-c.h"
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>

#define BYTES_MAX (256u << 20)
#define LINK	  "anon_inode:bpf-map"

static const struct {
	uint32_t type;
	bool per_cpu;
} types[] = {
	{BPF_MAP_TYPE_HASH, false},	      {BPF_MAP_TYPE_ARRAY, false},
	{BPF_MAP_TYPE_LRU_HASH, false},	      {BPF_MAP_TYPE_LPM_TRIE, false},
	{BPF_MAP_TYPE_PERCPU_HASH, true},     {BPF_MAP_TYPE_PERCPU_ARRAY, true},
	{BPF_MAP_TYPE_LRU_PERCPU_HASH, true},
};

static int bpf(int command, union bpf_attr *a)
{
	return (int)syscall(SYS_bpf, command, a, sizeof(*a));
}

/* Bytes of one value; 0: a kind that we do not know. */
static uint64_t value_bytes(const BpfmapFileEntry *e)
{
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].type == e->map_type)
			return types[i].per_cpu ? ROUND_UP((uint64_t)e->value_size, 8) *
							  (uint64_t)sysconf(_SC_NPROCESSORS_CONF)
						: e->value_size;
	return 0;
}

static int check_size(const BpfmapFileEntry *e)
{
	uint64_t one = value_bytes(e);

	if (!one)
		return err_set(EOPNOTSUPP,
			       "a BPF map of kind %u does not give back what it holds; close it "
			       "first",
			       e->map_type);
	if (e->max_entries > BYTES_MAX / (one + e->key_size))
		return err_set(EOPNOTSUPP,
			       "a BPF map of up to %u entries of %" PRIu64
			       " bytes is too large to be saved; close it first",
			       e->max_entries, one + e->key_size);
	return 0;
}

static bool match(const struct dump *d, const struct fd_view *v)
{
	return strcmp(v->link, LINK) == 0;
}

static int read_numbers(const struct fd_view *v, BpfmapFileEntry *e)
{
	const struct {
		const char *name;
		int base;
		uint32_t *to;
	} numbers[] = {
		{"map_type", 10, &e->map_type},	    {"key_size", 10, &e->key_size},
		{"value_size", 10, &e->value_size}, {"max_entries", 10, &e->max_entries},
		{"map_flags", 16, &e->map_flags},   {"map_id", 10, &e->map_id},
	};
	uint64_t n, frozen = 0;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(numbers); i++) {
		r = fdinfo_u64(&v->info, numbers[i].name, numbers[i].base, &n);
		*numbers[i].to = (uint32_t)n;
	}
	if (r == 0)
		r = fdinfo_u64(&v->info, "memlock", 10, &e->memlock);
	if (r == 0)
		r = fdinfo_u64(&v->info, "frozen", 10, &frozen);
	e->frozen = frozen != 0;
	if (r == 0 && fdinfo_get(&v->info, "map_extra")) {
		e->has_map_extra = true;
		r = fdinfo_u64(&v->info, "map_extra", 16, &e->map_extra);
	}
	return r;
}

/* Another description of the same map, to read by: this one may be for writing only. */
static int open_by_id(uint32_t id, uint32_t flags, int *ret)
{
	union bpf_attr a = {.map_id = id, .open_flags = flags};

	*ret = bpf(BPF_MAP_GET_FD_BY_ID, &a);
	return *ret < 0 ? err_errno("open BPF map %u", id) : 0;
}

static int read_info(int fd, struct bpf_map_info *ret)
{
	union bpf_attr a = {
		.info = {.bpf_fd = (uint32_t)fd, .info_len = sizeof(*ret), .info = (uintptr_t)ret}};

	*ret = (struct bpf_map_info){0};
	return bpf(BPF_OBJ_GET_INFO_BY_FD, &a) < 0 ? err_errno("look at a BPF map") : 0;
}

static int check(struct dump *d, const struct fd_view *v)
{
	BpfmapFileEntry e = BPFMAP_FILE_ENTRY__INIT;
	autoclose int fd = -1;
	struct bpf_map_info info;
	int r = fown_check(v);

	if (r == 0)
		r = read_numbers(v, &e);
	if (r == 0)
		r = check_size(&e);
	if (r == 0)
		r = open_by_id(e.map_id, 0, &fd);
	if (r == 0)
		r = read_info(fd, &info);
	if (r == 0 && info.btf_id)
		r = err_set(EOPNOTSUPP,
			    "BPF map %s has types of its own (BTF), which cannot be "
			    "saved; close it first",
			    info.name);
	if (r == 0 && info.ifindex)
		r = err_set(EOPNOTSUPP, "BPF map %s is in a network device; close it first",
			    info.name);
	return r;
}

/* 1: this kind of map has no such call. */
static int read_batch(int fd, const BpfmapFileEntry *e, uint8_t *keys, uint8_t *values,
		      uint32_t *ret_n)
{
	g_autofree uint8_t *place = g_malloc0(MAX(e->key_size, 8));
	union bpf_attr a = {.batch = {.out_batch = (uintptr_t)place,
				      .keys = (uintptr_t)keys,
				      .values = (uintptr_t)values,
				      .count = e->max_entries,
				      .map_fd = (uint32_t)fd}};

	if (bpf(BPF_MAP_LOOKUP_BATCH, &a) < 0 && errno != ENOENT)
		return errno == EOPNOTSUPP || errno == ENOTSUP ? 1 : err_errno("read a BPF map");
	*ret_n = a.batch.count;
	return 0;
}

static int read_each(int fd, const BpfmapFileEntry *e, uint8_t *keys, uint8_t *values,
		     uint32_t *ret_n)
{
	uint64_t bytes = value_bytes(e);
	const uint8_t *last = NULL;
	uint32_t n = 0;

	for (; n < e->max_entries; n++) {
		uint8_t *key = keys + (size_t)n * e->key_size;
		union bpf_attr a = {
			.map_fd = (uint32_t)fd, .key = (uintptr_t)last, .next_key = (uintptr_t)key};

		if (bpf(BPF_MAP_GET_NEXT_KEY, &a) < 0) {
			if (errno == ENOENT)
				break;
			return err_errno("keys of a BPF map");
		}
		a = (union bpf_attr){.map_fd = (uint32_t)fd,
				     .key = (uintptr_t)key,
				     .value = (uintptr_t)(values + n * bytes)};
		if (bpf(BPF_MAP_LOOKUP_ELEM, &a) < 0)
			return err_errno("read a BPF map");
		last = key;
	}
	*ret_n = n;
	return 0;
}

static int dump_content(struct dump *d, int fd, const BpfmapFileEntry *e)
{
	uint64_t bytes = value_bytes(e);
	g_autofree uint8_t *keys = g_malloc0((size_t)e->max_entries * e->key_size + 8);
	g_autofree uint8_t *values = g_malloc0(e->max_entries * bytes + 8);
	BpfmapDataEntry data = BPFMAP_DATA_ENTRY__INIT;
	int r = read_batch(fd, e, keys, values, &data.count);

	if (r == 1)
		r = read_each(fd, e, keys, values, &data.count);
	if (r < 0)
		return r;
	data.map_id = e->map_id;
	data.keys_bytes = data.count * e->key_size;
	data.values_bytes = (uint32_t)(data.count * bytes);
	r = image_write(&d->w, IMG_BPFMAP_DATA, 0, &data.base);
	if (r == 0)
		r = image_write_raw(&d->w, IMG_BPFMAP_DATA, 0, keys, data.keys_bytes);
	return r < 0 ? r : image_write_raw(&d->w, IMG_BPFMAP_DATA, 0, values, data.values_bytes);
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	BpfmapFileEntry *e = f->bpf = g_new0(BpfmapFileEntry, 1);
	autoclose int fd = -1;
	struct bpf_map_info info;
	int r;

	bpfmap_file_entry__init(e);
	e->id = f->id;
	e->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	e->pos = v->info.pos;
	r = fown_dump(v, &e->fown);
	if (r == 0)
		r = read_numbers(v, e);
	if (r == 0)
		r = check_size(e);
	if (r == 0)
		r = open_by_id(e->map_id, 0, &fd);
	if (r == 0)
		r = read_info(fd, &info);
	e->map_name = g_strndup(info.name, sizeof(info.name));
	return r == 0 && dump_once(d, "BPF map", e->map_id) ? dump_content(d, fd, e) : r;
}

/* Restore. */

struct content {
	uint32_t count;
	uint8_t *keys, *values;
	size_t keys_bytes, values_bytes;
	int fd; /* the map, once made */
};

static void content_free(void *p)
{
	struct content *c = p;

	cleanup_close(&c->fd);
	g_free(c->keys);
	g_free(c->values);
	g_free(c);
}

/* All of them, when the first is opened. */
static int load_contents(struct restore *r)
{
	CLEANUP(image_close) struct image *img = NULL;
	CLEANUP(image_record_free) BpfmapDataEntry *e = NULL;
	int ret;

	if (r->bpfmaps)
		return 0;
	r->bpfmaps = g_hash_table_new_full(NULL, NULL, NULL, content_free);
	ret = image_open(r->o.images, IMG_BPFMAP_DATA, 0, &img);
	while (ret == 0 && (ret = image_read(img, &e)) == 0) {
		struct content *c = g_new0(struct content, 1);

		c->fd = -1;
		c->count = e->count;
		c->keys_bytes = e->keys_bytes;
		c->values_bytes = e->values_bytes;
		g_hash_table_insert(r->bpfmaps, GUINT_TO_POINTER(e->map_id), c);
		if ((uint64_t)e->keys_bytes + e->values_bytes > image_rest(img))
			return err_set(EBADMSG, "%s: map %u has %u entries", img->name, e->map_id,
				       e->count);
		c->keys = g_malloc0(c->keys_bytes + 8);
		c->values = g_malloc0(c->values_bytes + 8);
		ret = image_read_raw(img, c->keys, c->keys_bytes);
		if (ret == 0)
			ret = image_read_raw(img, c->values, c->values_bytes);
	}
	return ret < 0 ? ret : 0;
}

static int load(struct restore *r, struct file *f)
{
	return f->entry->bpf ? check_size(f->entry->bpf) : 1;
}

static int make(const BpfmapFileEntry *e, int *ret)
{
	union bpf_attr a = {.map_type = e->map_type,
			    .key_size = e->key_size,
			    .value_size = e->value_size,
			    .max_entries = e->max_entries,
			    .map_flags = e->map_flags,
			    .map_extra = e->map_extra};

	g_strlcpy(a.map_name, e->map_name, sizeof(a.map_name));
	*ret = bpf(BPF_MAP_CREATE, &a);
	return *ret < 0 ? err_errno("make BPF map %s", e->map_name) : 0;
}

static int fill(const struct content *c, const BpfmapFileEntry *e)
{
	uint64_t bytes = value_bytes(e);

	if ((uint64_t)c->count * e->key_size != c->keys_bytes)
		return err_set(EBADMSG, "BPF map %s has %u entries", e->map_name, c->count);
	if (c->count * bytes != c->values_bytes)
		return err_set(EOPNOTSUPP,
			       "BPF map %s has a value for each CPU of another machine; restore it "
			       "on one with as many",
			       e->map_name);
	for (uint32_t i = 0; i < c->count; i++) {
		union bpf_attr a = {.map_fd = (uint32_t)c->fd,
				    .key = (uintptr_t)(c->keys + (size_t)i * e->key_size),
				    .value = (uintptr_t)(c->values + i * bytes)};

		if (bpf(BPF_MAP_UPDATE_ELEM, &a) < 0)
			return err_errno("BPF map %s: entry %u", e->map_name, i);
	}
	return 0;
}

static int freeze(const struct content *c, const BpfmapFileEntry *e)
{
	union bpf_attr a = {.map_fd = (uint32_t)c->fd};

	return e->frozen && bpf(BPF_MAP_FREEZE, &a) < 0
		       ? err_errno("freeze BPF map %s", e->map_name)
		       : 0;
}

static int open_(struct restore *r, struct file *f)
{
	const BpfmapFileEntry *e = f->entry->bpf;
	uint32_t access = e->flags & O_ACCMODE;
	struct bpf_map_info info;
	struct content *c;
	int ret = load_contents(r);

	c = ret < 0 ? NULL : g_hash_table_lookup(r->bpfmaps, GUINT_TO_POINTER(e->map_id));
	if (ret == 0 && !c)
		return err_set(EBADMSG, "BPF map %s has no content", e->map_name);
	if (ret == 0 && c->fd < 0) {
		ret = make(e, &c->fd);
		if (ret == 0)
			ret = fill(c, e);
		if (ret == 0)
			ret = freeze(c, e);
	}
	if (ret == 0)
		ret = read_info(c->fd, &info);
	if (ret == 0)
		ret = open_by_id(info.id,
				 access == O_RDONLY   ? BPF_F_RDONLY
				 : access == O_WRONLY ? BPF_F_WRONLY
						      : 0,
				 &f->fd);
	return ret < 0 ? ret : fown_restore(r, f, e->fown, e->flags);
}

void bpfmaps_end(struct restore *r)
{
	g_clear_pointer(&r->bpfmaps, g_hash_table_unref);
}

const struct fd_kind fd_bpfmap = {
	.name = "BPF map",
	.type = FD_TYPES__BPFMAP,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
};
