/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Huge pages that were asked for: mmap(2) with MAP_HUGETLB, MFD_HUGETLB, SHM_HUGETLB.  All of them
 * are files of the kernel's own hugetlbfs (mm/hugetlb: hugetlb_file_setup()); which size of page is
 * asked for by the same six bits everywhere (MAP_HUGE_SHIFT, MFD_HUGE_SHIFT, SHM_HUGE_SHIFT).
 */
#include "state/mem/mem.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>

bool hugetlb_is_anonymous(const struct vma *v)
{
	return v->deleted && strcmp(v->name, "/anon_hugepage") == 0;
}

static uint32_t size_flag(uint64_t page_bytes)
{
	return (uint32_t)__builtin_ctzll(page_bytes) << HUGETLB_SHIFT;
}

uint32_t hugetlb_map_flags(const struct vma *v)
{
	return v->vmflags & VMF(HT) && v->page_bytes ? MAP_HUGETLB | size_flag(v->page_bytes) : 0;
}

int hugetlb_fd_flags(int fd, uint32_t *ret)
{
	struct statfs s;

	if (fstatfs(fd, &s) < 0)
		return err_errno("statfs");
	*ret = s.f_type == HUGETLBFS_MAGIC ? size_flag((uint64_t)s.f_bsize) : 0;
	return 0;
}

uint64_t hugetlb_page_bytes(uint32_t flags)
{
	return UINT64_C(1) << (flags >> HUGETLB_SHIFT & HUGETLB_MASK);
}

int hugetlb_wrap(int r)
{
	return r == -ENOMEM ? err_wrap(r, "huge pages are needed, see /proc/sys/vm/nr_hugepages")
			    : r;
}
