/* SPDX-License-Identifier: Apache-2.0 */
/* Usable instructions in a process' own code. */
#include "agent/private.h"
#include "kernel/maps.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define CHUNK	   (64 * 1024)	       /* usually enough */
#define SCAN_LIMIT (256 * 1024 * 1024) /* a JIT's code is not searched for ever */

static bool scan_mapping(pid_t pid, const struct vma *v, uint8_t *buf, struct insns *ins,
			 size_t *budget)
{
	for (uint64_t at = v->start; at < v->end && *budget;) {
		size_t len = MIN(MIN(CHUNK, v->end - at), *budget);

		if (task_read_memory(pid, at, buf, len) < 0)
			return false; /* guard pages and the like; no reason to fail */
		if (insns_scan(buf, len, at, ins))
			return true;
		*budget -= len;
		if (at + len == v->end)
			break;
		at += len - INSNS_OVERLAP;
	}
	return false;
}

/*
 * Programs and libraries that were searched already: most processes of a tree have the same.  What
 * is remembered is looked at in each process before it is believed.
 */
#define REMEMBERED 16

static struct seen {
	uint64_t ino, offset;
	uint32_t major, minor;
	uint64_t syscall_ret, restorer; /* from where the mapping begins */
} seen[REMEMBERED];
static unsigned nseen;

static bool recall(pid_t pid, const struct vma *v, struct insns *ins)
{
	for (unsigned i = 0; v->ino && i < MIN(nseen, REMEMBERED); i++) {
		const struct seen *s = &seen[i];
		struct insns here = {.syscall = v->start + s->syscall_ret,
				     .syscall_ret = v->start + s->syscall_ret,
				     .restorer = v->start + s->restorer};

		if (s->ino != v->ino || s->offset != v->offset || s->major != v->major ||
		    s->minor != v->minor || here.restorer >= v->end || here.syscall_ret >= v->end ||
		    !agent_insns_are_there(pid, &here))
			continue;
		*ins = here;
		return true;
	}
	return false;
}

static bool is_in(const struct vma *v, uint64_t addr)
{
	return addr >= v->start && addr < v->end;
}

/* All of it must be in this one mapping. */
static void remember(const struct vma *v, const struct insns *ins)
{
	if (v->ino && is_in(v, ins->syscall_ret) && is_in(v, ins->restorer))
		seen[nseen++ % REMEMBERED] =
			(struct seen){.ino = v->ino,
				      .offset = v->offset,
				      .major = v->major,
				      .minor = v->minor,
				      .syscall_ret = ins->syscall_ret - v->start,
				      .restorer = ins->restorer - v->start};
}

/* Not the blob of an agent that was left behind (leftover.c): the next agent takes it away. */
static bool is_code(const struct vma *v)
{
	return !(v->shared && vma_len(v) == MAILBOX_CODE_BYTES) &&
	       (v->prot & (PROT_READ | PROT_EXEC)) == (PROT_READ | PROT_EXEC) &&
	       v->special != VMA_VSYSCALL;
}

bool agent_insns_are_there(pid_t pid, const struct insns *ins)
{
	uint8_t code[2][INSNS_OVERLAP];
	struct iovec here[] = {{code[0], INSNS_OVERLAP}, {code[1], INSNS_OVERLAP}};
	struct iovec there[] = {{(void *)ins->syscall_ret, INSNS_OVERLAP},
				{(void *)ins->restorer, INSNS_OVERLAP}};
	struct insns found = {0};

	if (!ins->syscall_ret || !ins->restorer ||
	    process_vm_readv(pid, here, 2, there, 2, 0) != 2 * INSNS_OVERLAP)
		return false;
	insns_scan(code[0], sizeof(code[0]), ins->syscall_ret, &found);
	insns_scan(code[1], sizeof(code[1]), ins->restorer, &found);
	return found.syscall_ret == ins->syscall_ret && found.restorer == ins->restorer;
}

int agent_scout(int proc_dir, pid_t pid, struct insns *ret)
{
	CLEANUP(maps_clear) struct maps m = {0};
	g_autofree uint8_t *buf = g_malloc(CHUNK);
	struct insns ins = {0};
	size_t budget = SCAN_LIMIT;
	bool found = false;
	int r;

	r = maps_read(proc_dir, &m);
	if (r < 0)
		return r;
	for (size_t i = 0; i < m.n && !found; i++)
		found = is_code(&m.v[i]) && recall(pid, &m.v[i], &ins);
	for (size_t i = 0; i < m.n && !found && budget; i++) {
		found = is_code(&m.v[i]) && scan_mapping(pid, &m.v[i], buf, &ins, &budget);
		if (found)
			remember(&m.v[i], &ins);
	}
	err_clear();
	xstate_part(XSTATE_PARTS - 1); /* asks the CPU now, while nothing waits for the answer */
	if (!ins.syscall)
		return err_set(EOPNOTSUPP, "process %d has no system call instruction", pid);
	*ret = ins;
	return found ? 0 : 1;
}
