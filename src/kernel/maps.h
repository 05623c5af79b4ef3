/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory maps: /proc/PID/maps, or /proc/PID/smaps for VmFlags too.
 *
 * maps costs microseconds.  smaps walks all page tables, so its cost grows with resident memory;
 * it is meant for the look before the freeze, or for a process that is small.
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

/* clang-format off */
#define VM_FLAGS(X) \
	X(RD) X(WR) X(EX) X(SH) X(MR) X(MW) X(ME) X(MS) X(GD) X(PF) X(LO) X(IO) \
	X(SR) X(RR) X(DC) X(DE) X(LF) X(AC) X(NR) X(HT) X(SF) X(AR) X(WF) X(DD) \
	X(SD) X(MM) X(HG) X(NH) X(MG) X(BT) X(MT) X(UM) X(UW) X(UI) X(SS) X(SL) \
	X(DP) X(GU)
/* clang-format on */

/* VmFlags of smaps (fs/proc/task_mmu.c: show_smap_vma_flags); our own bits, not the kernel's. */
#define X(name) VMF_##name,
enum vm_flag { VM_FLAGS(X) VMF_COUNT };
#undef X
#define VMF(name) (UINT64_C(1) << VMF_##name)

/* What the kernel made itself, by name. */
enum vma_special {
	VMA_ORDINARY,
	VMA_HEAP,  /* [heap] */
	VMA_STACK, /* [stack] */
	VMA_VDSO,
	VMA_VVAR,
	VMA_VVAR_VCLOCK,
	VMA_VSYSCALL,
	VMA_UPROBES,
	VMA_ANON_NAMED, /* [anon:NAME], [anon_shmem:NAME]: prctl(PR_SET_VMA) */
	VMA_OTHER,	/* another [name] */
};

struct vma {
	uint64_t start, end;
	uint64_t offset; /* bytes */
	int prot;	 /* PROT_* */
	bool shared;
	bool deleted;	       /* the file has no name any more; NAME is without " (deleted)" */
	uint32_t major, minor; /* of the file system; btrfs and overlayfs differ from fstat(2)'s */
	uint64_t ino;	       /* 0: no file */
	uint64_t vmflags;      /* VMF_* bits; 0 unless read from smaps */
	uint32_t page_bytes;   /* KernelPageSize (hugetlb); 0 unless read from smaps */
	enum vma_special special;
	const char *name; /* unescaped; "" for anonymous; belongs to the table */
};

struct maps {
	struct vma *v;
	size_t n;
	char *text;
};

int maps_read(int dir, struct maps *ret) MUST_CHECK;
int maps_read_vmflags(int dir, struct maps *ret) MUST_CHECK;
void maps_clear(struct maps *m);

/* The mapping that holds ADDR, or NULL. */
const struct vma *maps_find(const struct maps *m, uint64_t addr);

static inline uint64_t vma_len(const struct vma *v)
{
	return v->end - v->start;
}

/* Opens the object behind the mapping through map_files/ (CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN).
 */
int vma_open(int dir, const struct vma *v, int flags, int *ret_fd) MUST_CHECK;

/* Turns octal escapes (\012) of /proc into bytes, in place. */
void proc_unescape(char *s);
