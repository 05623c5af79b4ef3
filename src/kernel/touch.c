/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/touch.h"

#include <sys/mman.h>
#include <sys/uio.h>

/*
 * MADV_POPULATE_WRITE is not for others' memory (mm/madvise.c: process_madvise_remote_valid()). But
 * mm/process_vm_access.c: process_vm_rw_single_vec() gets the other's pages for writing before it
 * copies, up to 1024 at once.  From what cannot be read nothing is copied: EFAULT.
 */
void touch_memory(pid_t pid, uint64_t at, uint64_t bytes)
{
	struct iovec from = {NULL, bytes}, to = {(void *)(uintptr_t)at, bytes};

	from.iov_base = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (from.iov_base == MAP_FAILED)
		return;
	(void)!process_vm_writev(pid, &from, 1, &to, 1, 0);
	munmap(from.iov_base, bytes);
}
