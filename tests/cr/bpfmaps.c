/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BPF maps: hashes, arrays, tries, values per CPU; their attributes, a frozen one, several
 * descriptions of one, for reading and for writing only.
 */
#include "cr.h"

#include <linux/bpf.h>

#define N 1000

static int bpf(int command, union bpf_attr *a)
{
	return (int)syscall(SYS_bpf, command, a, sizeof(*a));
}

static int make(uint32_t type, const char *name, uint32_t key, uint32_t value, uint32_t flags)
{
	union bpf_attr a = {.map_type = type,
			    .key_size = key,
			    .value_size = value,
			    .max_entries = N,
			    .map_flags = flags};
	int fd;

	strcpy(a.map_name, name);
	fd = bpf(BPF_MAP_CREATE, &a);
	if (fd < 0 && (errno == EPERM || errno == ENOSYS))
		skip("BPF is not permitted here");
	check(fd >= 0, "%s: errno %d", name, errno);
	return fd;
}

static int set(int fd, const void *key, const void *value)
{
	union bpf_attr a = {
		.map_fd = (uint32_t)fd, .key = (uintptr_t)key, .value = (uintptr_t)value};

	return bpf(BPF_MAP_UPDATE_ELEM, &a);
}

static int get(int fd, const void *key, void *value)
{
	union bpf_attr a = {
		.map_fd = (uint32_t)fd, .key = (uintptr_t)key, .value = (uintptr_t)value};

	return bpf(BPF_MAP_LOOKUP_ELEM, &a);
}

static struct bpf_map_info info_of(int fd)
{
	struct bpf_map_info i = {0};
	union bpf_attr a = {
		.info = {.bpf_fd = (uint32_t)fd, .info_len = sizeof(i), .info = (uintptr_t)&i}};

	check(bpf(BPF_OBJ_GET_INFO_BY_FD, &a) == 0, "errno %d", errno);
	return i;
}

static int again(int fd, uint32_t flags)
{
	union bpf_attr a = {.map_id = info_of(fd).id, .open_flags = flags};

	return bpf(BPF_MAP_GET_FD_BY_ID, &a);
}

struct prefix {
	uint32_t bits;
	uint8_t at[4];
};

static void same(int fd, const struct bpf_map_info *was)
{
	struct bpf_map_info i = info_of(fd);

	check(i.type == was->type && i.key_size == was->key_size &&
		      i.value_size == was->value_size && i.max_entries == was->max_entries &&
		      i.map_flags == was->map_flags && !strcmp(i.name, was->name),
	      "%s is not as it was", was->name);
}

int main(void)
{
	int hash = make(BPF_MAP_TYPE_HASH, "hash", 8, 100, BPF_F_NO_PREALLOC),
	    array = make(BPF_MAP_TYPE_ARRAY, "array", 4, 24, 0),
	    trie = make(BPF_MAP_TYPE_LPM_TRIE, "trie", sizeof(struct prefix), 4, BPF_F_NO_PREALLOC),
	    cpus = make(BPF_MAP_TYPE_PERCPU_ARRAY, "cpus", 4, 8, 0),
	    empty = make(BPF_MAP_TYPE_HASH, "empty", 4, 4, 0),
	    lru = make(BPF_MAP_TYPE_LRU_HASH, "lru", 4, 4, 0), reader, writer, ncpus;
	struct bpf_map_info infos[6] = {info_of(hash), info_of(array), info_of(trie),
					info_of(cpus), info_of(empty), info_of(lru)};
	static uint64_t per_cpu[4096];
	struct prefix p = {16, {10, 1, 0, 0}};
	union bpf_attr a;
	char value[100], want[100];
	uint64_t key;
	uint32_t k, v;

	ncpus = (int)sysconf(_SC_NPROCESSORS_CONF);
	for (key = 0; key < N / 2; key++) {
		memset(value, (int)key, sizeof(value));
		key *= 1000000007;
		check(set(hash, &key, value) == 0, "errno %d", errno);
		key /= 1000000007;
	}
	for (k = 0; k < N; k++) {
		memset(value, (int)k, 24);
		check(set(array, &k, value) == 0);
		for (int i = 0; i < ncpus; i++)
			per_cpu[i] = k * 1000 + (unsigned)i;
		check(set(cpus, &k, per_cpu) == 0);
	}
	v = 77;
	check(set(trie, &p, &v) == 0);
	k = 5;
	check(set(lru, &k, &v) == 0);
	a = (union bpf_attr){.map_fd = (uint32_t)array};
	check(bpf(BPF_MAP_FREEZE, &a) == 0);
	reader = again(hash, BPF_F_RDONLY);
	writer = again(hash, BPF_F_WRONLY);
	check(reader >= 0 && writer >= 0);

	ready();

	same(hash, &infos[0]);
	same(array, &infos[1]);
	same(trie, &infos[2]);
	same(cpus, &infos[3]);
	same(empty, &infos[4]);
	same(lru, &infos[5]);
	for (key = 0; key < N / 2; key++) {
		uint64_t x = key * 1000000007;

		memset(want, (int)key, sizeof(want));
		check(get(reader, &x, value) == 0 && !memcmp(value, want, sizeof(want)));
	}
	for (k = 0; k < N; k++) {
		memset(want, (int)k, 24);
		check(get(array, &k, value) == 0 && !memcmp(value, want, 24));
		check(get(cpus, &k, per_cpu) == 0);
		for (int i = 0; i < ncpus; i++)
			check(per_cpu[i] == k * 1000 + (unsigned)i, "CPU %d", i);
	}
	memcpy(p.at, (uint8_t[]){10, 1, 2, 3}, 4);
	p.bits = 32;
	check(get(trie, &p, &v) == 0 && v == 77);
	p.at[1] = 2;
	check(get(trie, &p, &v) < 0);
	k = 5;
	check(get(lru, &k, &v) == 0 && v == 77);
	check(get(empty, &k, &v) < 0 && errno == ENOENT);
	check(set(array, &k, value) < 0 && errno == EPERM, "a frozen map was written");
	key = 3;
	check(set(reader, &key, value) < 0 && errno == EPERM);
	check(get(writer, &key, value) < 0 && errno == EPERM);
	memset(value, 1, sizeof(value));
	check(set(writer, &key, value) == 0 && get(reader, &key, want) == 0 && want[0] == 1);
	return ok();
}
