/* SPDX-License-Identifier: Apache-2.0 */
/* The mailbox, in a held process and in ours. */
#include "agent/batch.h"
#include "agent/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int checked_call(struct agent *a, const char *what, long nr, const uint64_t args[6],
			int64_t expect)
{
	int64_t ret;
	int r = safe_call(a, a->chain_at, nr, args, &ret);

	if (r < 0)
		return err_wrap(r, "%s in process %d", what, a->group->pid);
	if (ret != expect)
		return err_code(ret < 0 ? (int)ret : EEXIST, "%s in process %d", what,
				a->group->pid);
	return 0;
}

/* Limits of the program that are in the way of the mailbox (mm/mmap.c: do_mmap()). */
static const int in_the_way[] = {RLIMIT_AS, RLIMIT_MEMLOCK}; /* after mlockall(MCL_FUTURE) */

static void lift_limits(pid_t pid, struct rlimit was[static ARRAY_SIZE(in_the_way)])
{
	static const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};

	for (unsigned i = 0; i < ARRAY_SIZE(in_the_way); i++) {
		struct rlimit most;

		if (prlimit(pid, in_the_way[i], NULL, &was[i]) < 0)
			was[i] = none;
		most = (struct rlimit){was[i].rlim_max, was[i].rlim_max};
		if (prlimit(pid, in_the_way[i], &none, NULL) < 0)
			prlimit(pid, in_the_way[i], &most, NULL);
	}
}

static void lower_limits(pid_t pid, const struct rlimit was[static ARRAY_SIZE(in_the_way)])
{
	for (unsigned i = 0; i < ARRAY_SIZE(in_the_way); i++)
		prlimit(pid, in_the_way[i], &was[i], NULL);
}

static int map_mailbox(struct agent *a, const uint64_t map[6])
{
	static const char what[] = "mmap of the agent's mailbox";
	struct rlimit was[ARRAY_SIZE(in_the_way)];
	int r = checked_call(a, what, SYS_mmap, map, (int64_t)a->addr);

	if (r != -ENOMEM && r != -EAGAIN)
		return r;
	err_clear();
	lift_limits(seized_alive(a->group), was);
	r = checked_call(a, what, SYS_mmap, map, (int64_t)a->addr);
	lower_limits(seized_alive(a->group), was);
	return r == -ENOMEM || r == -EAGAIN
		       ? err_wrap(r, "its limits of memory (RLIMIT_AS, RLIMIT_MEMLOCK) leave no "
				     "room; raise them (prlimit(1))")
		       : r;
}

/* The address of a byte 0 on its stack, as a name that it need not have been given. */
static int find_empty_name(const struct agent *a, uint64_t *ret)
{
	uint64_t sp = regs_sp(&seized_at(a->group, 0)->regs);
	uint8_t bytes[512], *zero;
	int r = task_read_memory(seized_alive(a->group), sp, bytes, sizeof(bytes));

	if (r < 0)
		return r;
	zero = memchr(bytes, 0, sizeof(bytes));
	if (!zero)
		return err_set(EOPNOTSUPP, "process %d: no string on its stack", a->group->pid);
	*ret = sp + (uint64_t)(zero - bytes);
	return 0;
}

/*
 * Where map_files/ is not for us (fs/proc/base.c: proc_map_files_get_link() asks for rights in the
 * initial user namespace): the mailbox is a file that has a descriptor there for a moment.
 */
static int map_by_descriptor(struct agent *a, const uint64_t map[6])
{
	uint64_t create[6] = {0, MFD_CLOEXEC}, shut[6] = {0}, there[6];
	autoclose int fd = -1;
	int64_t tfd = -1;
	int r = find_empty_name(a, &create[0]);

	if (r == 0)
		r = safe_call(a, a->chain_at, SYS_memfd_create, create, &tfd);
	if (r < 0)
		return r;
	if (tfd < 0)
		return err_code((int)tfd, "process %d: a descriptor for the agent's mailbox",
				a->group->pid);
	fd = (int)syscall(SYS_pidfd_getfd, a->group->pidfd, tfd, 0);
	r = fd < 0 || ftruncate(fd, (off_t)a->bytes) < 0 ? err_errno("the agent's mailbox") : 0;
	memcpy(there, map, sizeof(there));
	there[3] = MAP_SHARED | MAP_FIXED_NOREPLACE;
	there[4] = (uint64_t)tfd;
	if (r == 0)
		r = map_mailbox(a, there);
	a->injected = r == 0;
	shut[0] = (uint64_t)tfd;
	if (r == 0)
		r = checked_call(a, "close", SYS_close, shut, 0);
	else if (safe_call(a, a->chain_at, SYS_close, shut, &tfd) < 0)
		err_clear();
	return r < 0 ? r : agent_map_mailbox(a, fd);
}

static int map_by_map_files(struct agent *a, const uint64_t map[6])
{
	const uint64_t unmap[6] = {a->addr, a->bytes};
	autoclose int fd = -1;
	char path[96];
	int r = map_mailbox(a, map);

	if (r < 0)
		return r;
	a->injected = true;
	snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", seized_alive(a->group), a->addr,
		 a->addr + a->bytes);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		return agent_map_mailbox(a, fd);
	if (errno != EPERM)
		return err_errno("open %s", path);
	r = checked_call(a, "munmap of the agent's mailbox", SYS_munmap, unmap, 0);
	a->injected = r < 0;
	return r < 0 ? r : map_by_descriptor(a, map);
}

int agent_map_there_and_here(struct agent *a)
{
	/*
	 * Where PR_SET_MDWE forbids that memory becomes code it may still be code from the
	 * beginning (include/linux/mman.h: map_deny_write_exec()): the rest loses that.
	 */
	const uint64_t map[6] = {a->addr,
				 a->bytes,
				 PROT_READ | PROT_EXEC,
				 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
				 (uint64_t)-1,
				 0};
	uint64_t protect[6] = {a->addr + MAILBOX_CODE_BYTES, a->bytes - MAILBOX_CODE_BYTES,
			       PROT_READ | PROT_WRITE};
	int r = map_by_map_files(a, map);

	if (r < 0)
		return r;
	r = checked_call(a, "mprotect of the agent", SYS_mprotect, protect, 0);
	if (r != -EACCES)
		return r;
	/* with READ_IMPLIES_EXEC what may be read is code; what may be written may be read here */
	err_clear();
	protect[2] = PROT_WRITE;
	return checked_call(a, "mprotect of the agent", SYS_mprotect, protect, 0);
}
