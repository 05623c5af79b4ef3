/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/btf.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define BTF_FILE "/sys/kernel/btf/vmlinux"
#define DEPTH	 16 /* of structs within each other */

struct btf {
	char *data;
	size_t len;
	bool mapped;
	const char *strings;
	uint32_t strings_len;
	GArray *types;	     /* const struct btf_type *, by number */
	GHashTable *structs; /* name -> const struct btf_type * */
};

static const char *string_at(const struct btf *b, uint32_t at)
{
	return at < b->strings_len ? b->strings + at : "";
}

/* Bytes behind a struct btf_type; -1: a kind that came after this was written. */
static ssize_t rest_of(const struct btf_type *t)
{
	static const struct {
		uint8_t known, fixed, each;
	} kinds[] = {
		[BTF_KIND_UNKN] = {1, 0, 0},
		[BTF_KIND_INT] = {1, 4, 0},
		[BTF_KIND_PTR] = {1, 0, 0},
		[BTF_KIND_ARRAY] = {1, sizeof(struct btf_array), 0},
		[BTF_KIND_STRUCT] = {1, 0, sizeof(struct btf_member)},
		[BTF_KIND_UNION] = {1, 0, sizeof(struct btf_member)},
		[BTF_KIND_ENUM] = {1, 0, sizeof(struct btf_enum)},
		[BTF_KIND_FWD] = {1, 0, 0},
		[BTF_KIND_TYPEDEF] = {1, 0, 0},
		[BTF_KIND_VOLATILE] = {1, 0, 0},
		[BTF_KIND_CONST] = {1, 0, 0},
		[BTF_KIND_RESTRICT] = {1, 0, 0},
		[BTF_KIND_FUNC] = {1, 0, 0},
		[BTF_KIND_FUNC_PROTO] = {1, 0, sizeof(struct btf_param)},
		[BTF_KIND_VAR] = {1, sizeof(struct btf_var), 0},
		[BTF_KIND_DATASEC] = {1, 0, sizeof(struct btf_var_secinfo)},
		[BTF_KIND_FLOAT] = {1, 0, 0},
		[BTF_KIND_DECL_TAG] = {1, 4, 0},
		[BTF_KIND_TYPE_TAG] = {1, 0, 0},
		[BTF_KIND_ENUM64] = {1, 0, sizeof(struct btf_enum64)},
	};
	unsigned kind = BTF_INFO_KIND(t->info);

	if (kind >= ARRAY_SIZE(kinds) || !kinds[kind].known)
		return -1;
	return kinds[kind].fixed + (ssize_t)kinds[kind].each * BTF_INFO_VLEN(t->info);
}

static int index_types(struct btf *b)
{
	const struct btf_header *h = (const void *)b->data;
	size_t at, end;

	if (b->len < sizeof(*h) || h->magic != BTF_MAGIC ||
	    (uint64_t)h->hdr_len + h->type_off + h->type_len > b->len ||
	    (uint64_t)h->hdr_len + h->str_off + h->str_len > b->len || !h->str_len)
		return err_set(EOPNOTSUPP, BTF_FILE ": not a description of types");
	b->strings = b->data + h->hdr_len + h->str_off;
	b->strings_len = b->strings[h->str_len - 1] ? 0 : h->str_len;
	at = h->hdr_len + h->type_off;
	end = at + h->type_len;
	while (at + sizeof(struct btf_type) <= end) {
		const struct btf_type *t = (const void *)(b->data + at);
		unsigned kind = BTF_INFO_KIND(t->info);
		ssize_t rest = rest_of(t);

		if (rest < 0 || at + sizeof(*t) + (size_t)rest > end)
			return err_set(EOPNOTSUPP, BTF_FILE ": a type of kind %u", kind);
		g_array_append_val(b->types, t);
		if (kind == BTF_KIND_STRUCT)
			g_hash_table_insert(b->structs, (char *)string_at(b, t->name_off),
					    (void *)t);
		at += sizeof(*t) + (size_t)rest;
	}
	return 0;
}

/* It can be mapped (Linux 6.16); a read(2) of it gives one page only. */
static int load(struct btf *b)
{
	autoclose int fd = open(BTF_FILE, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(EOPNOTSUPP, "the kernel does not describe its types (" BTF_FILE ")");
	b->len = (size_t)st.st_size;
	p = mmap(NULL, b->len, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	b->mapped = p != MAP_FAILED;
	if (b->mapped)
		b->data = p;
	else if (!g_file_get_contents(BTF_FILE, &b->data, &b->len, NULL))
		return err_set(EIO, "read " BTF_FILE);
	return 0;
}

int btf_open(struct btf **ret)
{
	CLEANUP(btf_close) struct btf *b = g_new0(struct btf, 1);
	const struct btf_type *none = NULL;
	int r;

	b->types = g_array_new(FALSE, FALSE, sizeof(none));
	b->structs = g_hash_table_new(g_str_hash, g_str_equal);
	g_array_append_val(b->types, none); /* 0 is void */
	r = load(b);
	if (r == 0)
		r = index_types(b);
	if (r == 0)
		*ret = g_steal_pointer(&b);
	return r;
}

void btf_close(struct btf **b)
{
	if (!*b)
		return;
	g_array_unref((*b)->types);
	g_hash_table_unref((*b)->structs);
	if ((*b)->mapped)
		munmap((*b)->data, (*b)->len);
	else
		g_free((*b)->data);
	g_free(g_steal_pointer(b));
}

/* Through typedefs and qualifiers to a struct or union; NULL: it is something else. */
static const struct btf_type *composite(const struct btf *b, uint32_t id)
{
	for (unsigned i = 0; i < DEPTH && id < b->types->len; i++) {
		const struct btf_type *t = g_array_index(b->types, const struct btf_type *, id);
		unsigned kind = t ? BTF_INFO_KIND(t->info) : BTF_KIND_UNKN;

		if (kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION)
			return t;
		if (kind != BTF_KIND_TYPEDEF && kind != BTF_KIND_VOLATILE &&
		    kind != BTF_KIND_CONST && kind != BTF_KIND_TYPE_TAG)
			return NULL;
		id = t->type;
	}
	return NULL;
}

/* FIELD up to LEN; its type in *RET_TYPE. */
static bool find(const struct btf *b, const struct btf_type *t, const char *field, size_t len,
		 unsigned depth, unsigned *ret, uint32_t *ret_type)
{
	const struct btf_member *m = (const void *)(t + 1);

	for (unsigned i = 0; i < BTF_INFO_VLEN(t->info); i++, m++) {
		unsigned bits =
			BTF_INFO_KFLAG(t->info) ? BTF_MEMBER_BIT_OFFSET(m->offset) : m->offset;
		const char *name = string_at(b, m->name_off);
		const struct btf_type *inner;

		if (strlen(name) == len && strncmp(name, field, len) == 0) {
			*ret += bits / 8;
			*ret_type = m->type;
			return true;
		}
		inner = *name || depth >= DEPTH ? NULL : composite(b, m->type);
		if (inner && find(b, inner, field, len, depth + 1, ret, ret_type)) {
			*ret += bits / 8;
			return true;
		}
	}
	return false;
}

int btf_offset(struct btf *b, const char *name, const char *field, unsigned *ret)
{
	const struct btf_type *t = g_hash_table_lookup(b->structs, name);
	unsigned at = 0;

	for (const char *p = field; t; p++) {
		size_t len = strcspn(p, ".");
		uint32_t type;

		if (!find(b, t, p, len, 0, &at, &type))
			break;
		p += len;
		if (!*p) {
			*ret = at;
			return 0;
		}
		t = composite(b, type);
	}
	return err_set(EOPNOTSUPP, "this kernel has no field %s in struct %s", field, name);
}

int btf_size(struct btf *b, const char *name, unsigned *ret)
{
	const struct btf_type *t = g_hash_table_lookup(b->structs, name);

	if (!t)
		return err_set(EOPNOTSUPP, "this kernel has no struct %s", name);
	*ret = t->size;
	return 0;
}

int btf_function(struct btf *b, const char *name, uint32_t *ret)
{
	for (uint32_t i = 1; i < b->types->len; i++) {
		const struct btf_type *t = g_array_index(b->types, const struct btf_type *, i);

		if (BTF_INFO_KIND(t->info) == BTF_KIND_FUNC &&
		    strcmp(string_at(b, t->name_off), name) == 0) {
			*ret = i;
			return 0;
		}
	}
	return err_set(EOPNOTSUPP, "this kernel has no function %s for BPF programs", name);
}
