/* SPDX-License-Identifier: Apache-2.0 */
/* Usable instructions in a process' own code. */
#include "agent/private.h"
#include "kernel/maps.h"

#include <errno.h>
#include <sys/mman.h>

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
	for (size_t i = 0; i < m.n && !found && budget; i++)
		if ((m.v[i].prot & (PROT_READ | PROT_EXEC)) == (PROT_READ | PROT_EXEC) &&
		    m.v[i].special != VMA_VSYSCALL)
			found = scan_mapping(pid, &m.v[i], buf, &ins, &budget);
	err_clear();
	xstate_part(XSTATE_PARTS - 1); /* asks the CPU now, while nothing waits for the answer */
	if (!ins.syscall)
		return err_set(EOPNOTSUPP, "process %d has no system call instruction", pid);
	*ret = ins;
	return found ? 0 : 1;
}
