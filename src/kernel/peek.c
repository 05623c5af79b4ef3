/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/bpf.h"
#include "kernel/peek_private.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define DATA_BYTES 65536
#define DATA_AT	   4096

/* The only value of an array map that is mapped: what the program is told, and its answer. */
struct window {
	uint64_t at, len; /* at 0: who calls? */
	int64_t result;
	uint64_t task;
	char space[DATA_AT - 32], data[DATA_BYTES];
};

static int make_map(struct peek *k)
{
	void *p = NULL;
	int r = bpf_window(sizeof(struct window), &k->map, &p);

	if (r == 0)
		k->window = p;
	return r;
}

/* In whoever calls BPF_PROG_TEST_RUN: a program that "syscall" says is run right there. */
static int load_program(struct peek *k)
{
	const struct bpf_insn v[] = {
		BPF_INSN(BPF_LD | BPF_DW | BPF_IMM, 6, BPF_PSEUDO_MAP_VALUE, 0, k->map),
		BPF_INSN(0, 0, 0, 0, 0),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, -1),
		BPF_INSN(BPF_LDX | BPF_MEM | BPF_DW, 3, 6, offsetof(struct window, at), 0),
		BPF_INSN(BPF_LDX | BPF_MEM | BPF_DW, 2, 6, offsetof(struct window, len), 0),
		BPF_INSN(BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 6, 0),
		BPF_INSN(BPF_JMP | BPF_JGT | BPF_K, 2, 0, 3, DATA_BYTES),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0),
		BPF_INSN(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, DATA_AT),
		BPF_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_probe_read_kernel),
		BPF_INSN(BPF_STX | BPF_MEM | BPF_DW, 6, 0, offsetof(struct window, result), 0),
		BPF_INSN(BPF_JMP | BPF_JA, 0, 0, 2, 0),
		BPF_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_current_task),
		BPF_INSN(BPF_STX | BPF_MEM | BPF_DW, 6, 0, offsetof(struct window, task), 0),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
		BPF_INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr a = {.prog_type = BPF_PROG_TYPE_SYSCALL,
			    .prog_flags = BPF_F_SLEEPABLE,
			    .insns = (uintptr_t)v,
			    .insn_cnt = ARRAY_SIZE(v)};

	k->program = bpf_load(&a);
	return k->program < 0
		       ? err_set(EOPNOTSUPP, "the kernel does not let its memory be read: %s",
				 g_strerror(errno))
		       : 0;
}

static int run(struct peek *k)
{
	union bpf_attr a = {.test = {.prog_fd = (uint32_t)k->program}};

	return bpf_call(BPF_PROG_TEST_RUN, &a) < 0 ? err_errno("run a BPF program") : 0;
}

int peek_open(struct peek **ret)
{
	CLEANUP(peek_close) struct peek *k = g_new0(struct peek, 1);
	int r;

	k->map = k->program = -1;
	r = btf_open(&k->btf);
	if (r == 0)
		r = make_map(k);
	if (r == 0)
		r = load_program(k);
	if (r == 0)
		r = run(k);
	if (r == 0)
		k->task = k->window->task;
	if (r == 0)
		*ret = g_steal_pointer(&k);
	return r;
}

void peek_close(struct peek **k)
{
	if (!*k)
		return;
	if ((*k)->window)
		munmap((*k)->window, sizeof(struct window));
	cleanup_close(&(*k)->map);
	cleanup_close(&(*k)->program);
	btf_close(&(*k)->btf);
	g_free(g_steal_pointer(k));
}

int peek_read(struct peek *k, uint64_t at, void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		size_t n = MIN(len - done, DATA_BYTES);
		int r;

		k->window->at = at + done;
		k->window->len = n;
		r = at ? run(k) : 0;
		if (r < 0)
			return r;
		if (!at || k->window->result)
			return err_set(EFAULT, "nothing is at %#llx of the kernel",
				       (unsigned long long)(at + done));
		memcpy((char *)buf + done, k->window->data, n);
		done += n;
	}
	return 0;
}

int peek_at(struct peek *k, uint64_t at, const char *name, const char *field, uint64_t *ret)
{
	unsigned offset;
	int r = btf_offset(k->btf, name, field, &offset);

	if (r == 0)
		*ret = at + offset;
	return r;
}

struct btf *peek_types(struct peek *k)
{
	return k->btf;
}

int peek_size(struct peek *k, const char *name, unsigned *ret)
{
	return btf_size(k->btf, name, ret);
}

int peek_u64(struct peek *k, uint64_t at, const char *name, const char *field, uint64_t *ret)
{
	uint64_t where;
	int r = peek_at(k, at, name, field, &where);

	return r < 0 ? r : peek_read(k, where, ret, sizeof(*ret));
}

int peek_u32(struct peek *k, uint64_t at, const char *name, const char *field, uint32_t *ret)
{
	uint64_t where;
	int r = peek_at(k, at, name, field, &where);

	return r < 0 ? r : peek_read(k, where, ret, sizeof(*ret));
}

/* One after the other: {struct, field that points to the next}. */
static int follow(struct peek *k, uint64_t at, const char *const path[][2], unsigned n,
		  uint64_t *ret)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < n; i++)
		r = peek_u64(k, at, path[i][0], path[i][1], &at);
	*ret = at;
	return r;
}

int peek_file(struct peek *k, int fd, uint64_t *ret)
{
	static const char *const path[][2] = {
		{"task_struct", "files"}, {"files_struct", "fdt"}, {"fdtable", "fd"}};
	uint64_t table;
	int r = follow(k, k->task, path, ARRAY_SIZE(path), &table);

	return r < 0 ? r : peek_read(k, table + (unsigned)fd * sizeof(*ret), ret, sizeof(*ret));
}

int peek_sock(struct peek *k, int fd, uint64_t *ret)
{
	static const char *const path[][2] = {{"file", "private_data"}, {"socket", "sk"}};
	uint64_t file;
	int r = peek_file(k, fd, &file);

	return r < 0 ? r : follow(k, file, path, ARRAY_SIZE(path), ret);
}

/* As deep as we are ourselves: struct pid has a number for each namespace above it. */
int peek_pid(struct peek *k, uint64_t at, pid_t *ret)
{
	uint64_t ours, numbers;
	uint32_t level, its;
	unsigned size;
	int r = peek_u64(k, k->task, "task_struct", "thread_pid", &ours);

	*ret = 0;
	if (r < 0 || !at)
		return r;
	r = peek_u32(k, ours, "pid", "level", &level);
	if (r == 0)
		r = peek_u32(k, at, "pid", "level", &its);
	if (r == 0)
		r = peek_size(k, "upid", &size);
	if (r == 0)
		r = peek_at(k, at, "pid", "numbers", &numbers);
	if (r < 0 || its < level)
		return r;
	return peek_read(k, numbers + (uint64_t)level * size, ret, sizeof(*ret));
}
