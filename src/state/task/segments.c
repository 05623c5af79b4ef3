/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments of its own, which emulators of 16 and 32 bit programs make: three descriptors of each
 * thread (set_thread_area(2); in the record of its registers, as CRIU's) and the table of an
 * address space (modify_ldt(2); in IMAGE_EXTRA of the task: "ldt": its 8-byte descriptors in
 * base64).
 */
#include "state/task/task.h"

#include <asm/ldt.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>

#define PTRACE_GET_THREAD_AREA_ 25
#define PTRACE_SET_THREAD_AREA_ 26
#define TLS_FIRST		12 /* GDT_ENTRY_TLS_MIN */
#define TLS_COUNT		3
#define LDT_BYTES		(LDT_ENTRIES * LDT_ENTRY_SIZE)
#define LDT_READ		0
#define LDT_WRITE		0x11
#define ADDRESSES_32		(UINT64_C(1) << 32)

/* asm/desc.h: LDT_empty() */
static bool is_empty(const struct user_desc *u)
{
	return !u->base_addr && !u->limit && !u->contents && u->read_exec_only && !u->seg_32bit &&
	       !u->limit_in_pages && u->seg_not_present && !u->useable;
}

static UserDescT *message_of(const struct user_desc *u)
{
	UserDescT *e = g_new0(UserDescT, 1);

	user_desc_t__init(e);
	e->entry_number = u->entry_number;
	e->base_addr = u->base_addr;
	e->limit = u->limit;
	e->seg_32bit = u->seg_32bit;
	e->contents_h = u->contents >> 1;
	e->contents_l = u->contents & 1;
	e->read_exec_only = u->read_exec_only;
	e->limit_in_pages = u->limit_in_pages;
	e->seg_not_present = u->seg_not_present;
	e->usable = u->useable;
	return e;
}

static struct user_desc desc_of(const UserDescT *e)
{
	return (struct user_desc){.entry_number = e->entry_number,
				  .base_addr = e->base_addr,
				  .limit = e->limit,
				  .seg_32bit = e->seg_32bit,
				  .contents = (unsigned)(e->contents_h << 1 | e->contents_l) & 3,
				  .read_exec_only = e->read_exec_only,
				  .limit_in_pages = e->limit_in_pages,
				  .seg_not_present = e->seg_not_present,
				  .useable = e->usable};
}

/* Bases have 32 bits: who has nothing there has no such segment either, and is not asked. */
static bool may_have(const struct dtask *t)
{
	return t->maps.n && t->maps.v[0].start < ADDRESSES_32;
}

int segments_dump(struct dump *d, struct dthread *h)
{
	ThreadInfoX86 *info = h->core->thread_info;

	if (!may_have(h->task))
		return 0;
	for (unsigned i = 0; i < TLS_COUNT; i++) {
		struct user_desc u = {0};

		if (ptrace(PTRACE_GET_THREAD_AREA_, h->tid, TLS_FIRST + i, &u) < 0)
			return errno == EIO ? 0 /* CONFIG_IA32_EMULATION */
					    : err_errno("segments of thread %d", h->nstid);
		if (is_empty(&u))
			continue;
		info->tls = g_renew(UserDescT *, info->tls, info->n_tls + 1);
		info->tls[info->n_tls++] = message_of(&u);
	}
	return 0;
}

int segments_restore(struct rthread *h)
{
	const ThreadInfoX86 *info = h->core->thread_info;
	pid_t tid = agent_tid(h->task->restore->agent, h->slot);

	for (size_t i = 0; i < info->n_tls; i++) {
		struct user_desc u = desc_of(info->tls[i]);

		if (!is_empty(&u) && ptrace(PTRACE_SET_THREAD_AREA_, tid, u.entry_number, &u) < 0)
			return err_errno("segment %u of thread %d", u.entry_number, h->nstid);
	}
	return 0;
}

struct told {
	int8_t first[LDT_ENTRY_SIZE];
	int ldt;
};

/* Whether there is a table (arch/x86/kernel/ldt.c: read_ldt()). */
static int ldt_ask(struct dthread *h, struct batch *b, void *data)
{
	struct told *q = data;

	q->ldt = batch_add(b, SYS_modify_ldt, IMM(LDT_READ),
			   batch_out(b, q->first, sizeof(q->first)), IMM(sizeof(q->first)));
	batch_may_fail(b, q->ldt);
	return 0;
}

static int read_ldt(struct dtask *t, uint8_t *ret)
{
	CLEANUP(batch_end) struct batch b = {0};
	int map, r;

	dtask_batch(t, &b);
	map = batch_add(&b, SYS_mmap, IMM(0), IMM(LDT_BYTES), IMM(PROT_READ | PROT_WRITE),
			IMM(MAP_PRIVATE | MAP_ANONYMOUS), IMM(-1), IMM(0));
	batch_add(&b, SYS_modify_ldt, IMM(LDT_READ), RES(map), IMM(LDT_BYTES));
	r = batch_run(&b);
	if (r == 0)
		r = task_read_memory(t->proc.pid, (uint64_t)batch_result(&b, map), ret, LDT_BYTES);
	if (r == 0) {
		batch_add(&b, SYS_munmap, RES(map), IMM(LDT_BYTES));
		r = batch_run(&b);
	}
	return r < 0 ? err_wrap(r, "its descriptors of segments (modify_ldt)") : 0;
}

static int ldt_take(struct dump *d, struct dthread *h, const struct answers *a)
{
	const struct told *q = a->data;
	struct dtask *t = h->task;
	g_autofree uint8_t *table = NULL;
	g_autofree char *text = NULL;
	size_t n = LDT_BYTES;
	int r;

	if (answer(a, q->ldt) <= 0 || dump_task(d, t->vm) != t)
		return 0;
	table = g_malloc0(LDT_BYTES);
	r = read_ldt(t, table);
	if (r < 0)
		return dtask_wrap(t, r);
	while (n && !table[n - 1])
		n--;
	text = g_base64_encode(table, (n + LDT_ENTRY_SIZE - 1) / LDT_ENTRY_SIZE * LDT_ENTRY_SIZE);
	if (n)
		json_object_set_new(t->extra, "ldt", json_string(text));
	return 0;
}

const struct question segments_question = {
	.bytes = sizeof(struct told),
	.leader = true,
	.ask = ldt_ask,
	.take = ldt_take,
};

/* The processor's form (Intel SDM volume 3, 3.4.5) as modify_ldt(2) wants it. */
static struct user_desc desc_of_ldt(unsigned number, const uint8_t raw[static LDT_ENTRY_SIZE])
{
	return (struct user_desc){
		.entry_number = number,
		.base_addr = raw[2] | raw[3] << 8 | raw[4] << 16 | (unsigned)raw[7] << 24,
		.limit = raw[0] | (unsigned)raw[1] << 8 | (raw[6] & 0xfu) << 16,
		.contents = raw[5] >> 2 & 3,
		.read_exec_only = !(raw[5] >> 1 & 1),
		.seg_not_present = !(raw[5] >> 7),
		.useable = raw[6] >> 4 & 1,
		.seg_32bit = raw[6] >> 6 & 1,
		.limit_in_pages = raw[6] >> 7,
	};
}

int ldt_restore(struct restore *r, struct rtask *t)
{
	const char *text = json_string_value(json_object_get(t->extra, "ldt"));
	static const uint8_t none[LDT_ENTRY_SIZE];
	CLEANUP(batch_end) struct batch b = {0};
	g_autofree uint8_t *table = NULL;
	size_t n = 0;
	int ret;

	if (!text)
		return 0;
	table = g_base64_decode(text, &n);
	if (n > LDT_BYTES || n % LDT_ENTRY_SIZE)
		return err_set(EBADMSG, "%s: ldt of process %d", IMAGE_EXTRA, t->nspid);
	ret = seccomp_floor_allows(r, SYS_modify_ldt, "modify_ldt");
	if (ret < 0)
		return ret;
	rtask_batch(t, &b);
	for (size_t i = 0; i < n / LDT_ENTRY_SIZE; i++) {
		const uint8_t *raw = table + i * LDT_ENTRY_SIZE;
		struct user_desc u = desc_of_ldt((unsigned)i, raw);

		if (memcmp(raw, none, sizeof(none)) != 0)
			batch_add(&b, SYS_modify_ldt, IMM(LDT_WRITE), batch_in(&b, &u, sizeof(u)),
				  IMM(sizeof(u)));
	}
	ret = batch_run(&b);
	return ret < 0 ? err_wrap(ret, "segments of process %d", t->nspid) : 0;
}
