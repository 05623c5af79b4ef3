/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: which mappings a process has (mm-N.img) and what is in them (pagemap-N.img, pages-N.img;
 * for memory shared between processes pagemap-shmem-N.img).
 */
#pragma once

#include "state/question.h"
#include "state/restore.h"

#define TASK_SIZE UINT64_C(0x7ffffffff000) /* x86-64 with four levels */

/* vma_entry.status: CRIU's VMA_AREA_* */
#define VMA_STATUS_REGULAR	(1u << 0) /* part of the application */
#define VMA_STATUS_STACK	(1u << 1)
#define VMA_STATUS_VSYSCALL	(1u << 2)
#define VMA_STATUS_VDSO		(1u << 3)
#define VMA_STATUS_HEAP		(1u << 5)
#define VMA_STATUS_FILE_PRIVATE (1u << 6)
#define VMA_STATUS_FILE_SHARED	(1u << 7)
#define VMA_STATUS_ANON_SHARED	(1u << 8)
#define VMA_STATUS_ANON_PRIVATE (1u << 9)
#define VMA_STATUS_SYSVIPC	(1u << 10) /* with ANON_SHARED; shmid is shmget(2)'s */
#define VMA_STATUS_SOCKET	(1u << 11) /* shmid is its file's id */
#define VMA_STATUS_VVAR		(1u << 12)
#define VMA_STATUS_AIORING	(1u << 13)
#define VMA_STATUS_MEMFD	(1u << 14)

/* Private, neither the kernel's own nor droppable: its pages are in the image of the process. */
bool mem_has_pages(const struct vma *v);

/* unreadable.c: FAILED, with what is wrong with the memory if that is why. */
int mem_why_unreadable(struct dump *d, int failed) MUST_CHECK;

/* Does it share pages with others since fork(2)? */
bool mem_is_shared(const struct dump *d, const struct dtask *t);

/* Refuses mappings that cannot be saved.  Reads t->maps with VmFlags. */
int mem_check(struct dump *d, struct dtask *t) MUST_CHECK;

/* t->mm with all mappings and their files; frozen, before an agent is mapped there. */
int mem_dump_layout(struct dump *d, struct dtask *t) MUST_CHECK;

/* What the agent knows of it: end of the heap, dumpable. */
extern const struct question mem_question;

/* Of the tree, as its processes told when they were looked at. */
uint64_t mem_resident_pages(const struct dump *d);

/* Before the freeze: the files of what the next one writes. */
int mem_prepare_pages(struct dump *d) MUST_CHECK;
/* Did it seem to have more than what was prepared, or was nothing? */
bool mem_has_more(const struct dtask *t, uint64_t prepared);

/* Looks for them already, where it is known how: by a thread of ours, until the next one. */
int mem_find_pages(struct dump *d) MUST_CHECK;

/*
 * The pages of all processes, written by their agents at the same time: these are busy with it
 * until mem_end_pages().
 */
int mem_dump_pages(struct dump *d) MUST_CHECK;
int mem_end_pages(struct dump *d) MUST_CHECK;

/* Those of a process that has its memory in common with an earlier one: dtask.vm. */
int mem_dump_no_pages(struct dump *d, const struct dtask *t) MUST_CHECK;

/*
 * If then snapshots hold the memory, the tree may go on, but for its agents: the pages are written
 * by mem_dump_snapshots().  mem_end_snapshots() takes the snapshots away and ends what is still
 * being written, whatever happened.
 */
bool mem_has_snapshots(const struct dump *d);
int mem_dump_snapshots(struct dump *d) MUST_CHECK;
void mem_end_snapshots(struct dump *d);

/* A memfd that a restore within a user namespace has taken for shared anonymous memory. */
bool shmem_is_stand_in(const struct vma *v);
/* Remembers a mapping of shared anonymous memory, whose number is *RET_SHMID. */
int shmem_dump_add(struct dump *d, struct dtask *t, const struct vma *v, uint64_t *ret_shmid)
	MUST_CHECK;
/* The same for an object that is reached by a descriptor: a memfd. */
int shmem_dump_object(struct dump *d, uint64_t id, int fd_take, uint64_t bytes) MUST_CHECK;
int shmem_dump_pages(struct dump *d) MUST_CHECK;

int mem_load(struct restore *r, struct rtask *t) MUST_CHECK;

/* Addresses that no task uses, for the agent and the waiting vdso: r->hole. */
int mem_find_hole(struct restore *r, uint64_t bytes) MUST_CHECK;

/* In the root, before it forks: the vdso into the hole, everything else away. */
int mem_clear(struct restore *r) MUST_CHECK;

/* Where part I of the vdso waits until it is mapped. */
uint64_t mem_vdso_waits(const struct restore *r, unsigned i);

/* Makes shared anonymous objects; their content is read by the root's agent. */
int shmem_make(struct restore *r) MUST_CHECK;
int shmem_fill_object(struct restore *r, uint64_t id, int fd, uint64_t bytes) MUST_CHECK;
int shmem_new(uint64_t bytes, int *ret_fd) MUST_CHECK; /* an object, and room for at least that */
int shmem_fd(struct restore *r, uint64_t shmid, int *ret_fd) MUST_CHECK;
void shmem_close(struct restore *r);

int mem_map(struct restore *r, struct rtask *t) MUST_CHECK;	/* mappings, writable for now */
int mem_fill(struct restore *r) MUST_CHECK;			/* all tasks at the same time */
int mem_protect(struct restore *r, struct rtask *t) MUST_CHECK; /* protections, advice, mm_map */

/* state/mem/extra.c: what only cryo.json has a place for */
void mem_extra_dump(struct dtask *t);
int mem_guards_dump(struct dtask *t) MUST_CHECK; /* looks at all page tables */
/* The same in two: what is found, struct page_piece, may be found by another thread of ours. */
int mem_guards_find(const struct dtask *t, GArray *ret) MUST_CHECK;
void mem_guards_note(struct dtask *t, const GArray *guards);
/* with an agent: mlockall(MCL_FUTURE) */
int mem_future_ask(struct dtask *t, struct batch *b);
int mem_future_dump(struct dump *d, struct dtask *t, int64_t answer) MUST_CHECK;
bool mem_locks_on_fault(const struct rtask *t, const VmaEntry *v);
int mem_guards_restore(struct rtask *t, struct batch *b) MUST_CHECK;
int mem_extra_restore(struct rtask *t, struct batch *b) MUST_CHECK;

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08 /* Linux 6.11; recorded together with MAP_PRIVATE */
#endif

/* state/mem/hugetlb.c: huge pages by request; FLAGS have their size in the bits of MAP_HUGE_SHIFT
 */
#define HUGETLB_SHIFT 26u
#define HUGETLB_MASK  0x3fu
#define HUGETLB_BITS  (HUGETLB_MASK << HUGETLB_SHIFT)

/* The kernel's own file of an anonymous mapping. */
bool hugetlb_is_anonymous(const struct vma *v);
uint32_t hugetlb_map_flags(const struct vma *v);	/* with MAP_HUGETLB; 0: none */
int hugetlb_fd_flags(int fd, uint32_t *ret) MUST_CHECK; /* the size alone; 0: none */
uint64_t hugetlb_page_bytes(uint32_t flags);
int hugetlb_wrap(int r) MUST_CHECK; /* says what helps against ENOMEM */

/* state/mem/numa.c: memory policies of mappings and threads */
extern const struct question numa_maps_question;
extern const struct question numa_question;
int numa_restore(struct rtask *t) MUST_CHECK; /* mappings are there, pages are not */
int numa_tell(struct restore *r, struct rthread *h, struct batch *b) MUST_CHECK;

/* state/mem/aio.c: rings of io_setup(2); restored with their content, before the pages are read */
bool aio_is_ring(const struct vma *v);
int aio_dump(struct dtask *t, const struct vma *v, VmaEntry *e) MUST_CHECK;
int aio_restore(struct rtask *t) MUST_CHECK;

/* state/fd/uffd.c: mappings that a userfaultfd of the tree watches; why it cannot be saved */
const char *uffd_why_not(struct dump *d, const struct dtask *t, const struct vma *v);
bool uffd_marks(struct dump *d, const struct dtask *t); /* what it has written, as we do */
int uffd_check_maps(struct dump *d, const struct dtask *t) MUST_CHECK; /* all files are seen */
int uffd_watch_again(struct restore *r) MUST_CHECK;		       /* memory has its content */

/* state/mem/sysv.c: System V shared memory */
bool sysv_is_map(const struct vma *v);
int sysv_check(struct dump *d, const struct dtask *t, size_t i) MUST_CHECK;
void sysv_dump(const struct vma *v, VmaEntry *e);
int sysv_map(struct restore *r, struct rtask *t, struct batch *b, size_t i) MUST_CHECK;

/* state/mem/vdso.c: the kernel's own pages, which must be the same kernel's. */
void vdso_parts_of_maps(const struct maps *m, struct vdso_part ret[VDSO_PARTS]);
/* A hash of the code, to tell kernels apart; the caller's. */
int vdso_hash(pid_t pid, const struct vdso_part *code, char **ret) MUST_CHECK;
