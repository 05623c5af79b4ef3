/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the host side; not for others. */
#pragma once

#include "agent/agent.h"
#include "base/fd.h"

#define PAGE_BYTES     4096
#define AGENT_ADDR     UINT64_C(0x200000000000) /* nothing lies there by itself */
#define ALL_SIGNALS    (~UINT64_C(0))
#define CONTROL_HEADER 16 /* struct cmsghdr */
#define BOX_FDS	       FD_SEND_MAX
#define BOX_INTS       (BOX_FDS + 2) /* received descriptors, then the channel's socketpair */

/* The blob and the stub, embedded by embed.sh. */
extern const uint8_t agent_blob[], agent_blob_end[];
extern const uint8_t stub_program[], stub_program_end[];

/* layout.c */
struct agent *agent_new(unsigned nbig, unsigned nsmall, const struct agent_sizes *sizes,
			size_t frame_bytes);
uint64_t agent_layout_bytes(unsigned nbig, unsigned nsmall, const struct agent_sizes *sizes,
			    size_t frame_bytes);
/* Takes the mailbox memory FD into our address space at a->map, puts the blob and all slots down.
 */
int agent_map_mailbox(struct agent *a, int fd) MUST_CHECK;
/* map.c: new shared memory at a->addr of the held process, and that here; a->injected when it is
 * there. */
int agent_map_there_and_here(struct agent *a) MUST_CHECK;
static inline uint64_t agent_slot_addr(const struct agent *a, unsigned slot)
{
	return a->addr + a->slots[slot].offset;
}
static inline uint64_t agent_entry_addr(const struct agent *a)
{
	return a->addr + ((const struct blob_header *)agent_blob)->entry;
}
/* The place for descriptors of a big slot: struct cmsghdr, then BOX_INTS ints. */
static inline uint32_t agent_box(const struct agent_slot *s)
{
	return s->arena + s->arena_bytes;
}

/* liveness.c: from now on the slot learns of our end; until disowned. */
int bell_own(struct slot *shm) MUST_CHECK;
void bell_disown(struct slot *shm);
/* The bell of a slot that somebody else watches over. */
void bell_init(struct slot *shm, pid_t owner); /* our thread */

/*
 * reports.c: what a running agent's ptrace reports mean.  CHILDREN: slots of the batch's CLONE
 * operations, taken from the front.  0: the task runs on; otherwise it is gone or has crashed.
 */
int agent_handle_report(struct agent *a, unsigned slot, int status, GArray *children) MUST_CHECK;

/* opname.c: "mmap 0x7f0000000000+4096"; strings are looked up in the slot. */
void op_describe(const struct op *op, const struct agent_slot *s, char *buf, size_t size);

/* batch.c, for run.c */
struct batch;
struct batch_out {
	uint32_t at;
	void *dst;
	size_t len;
};
struct batch_send {
	unsigned n;
	uint32_t box; /* offset of the control message in the slot */
	int fds[FD_SEND_MAX];
};
int batch_fail(struct batch *b, int r);

/* adopt.c: kills and reaps what was adopted or made as a snapshot */
void agent_kill(struct agent *a);

/* filter.c: whether the task's seccomp filters let all calls pass that a way home needs */
bool agent_filters_allow_leaving(pid_t tid);

/* dispatch.c: threads whose system calls go to the program itself.  Who they are; */
void dispatch_look(struct agent *a);
/* for the way home of one; */
void dispatch_note(struct agent *a, unsigned slot, const struct dispatch *d);
/* before the first thread's calls by ptrace alone, which pass from then on; */
int dispatch_begin(struct agent *a) MUST_CHECK;
/* before its registers, or another's, lead into the agent, and when they do; */
int dispatch_moves(struct agent *a, unsigned slot) MUST_CHECK;
int dispatch_off(struct agent *a, unsigned slot) MUST_CHECK;
/* before they lead home; */
int dispatch_on(struct agent *a, unsigned slot) MUST_CHECK;
/* before the first thread's last calls by ptrace alone, and when it is as it was found. */
int dispatch_leave(struct agent *a) MUST_CHECK;
int dispatch_end(struct agent *a) MUST_CHECK;

/* Of an injected agent. */
static inline const struct seized_thread *agent_slot_thread(const struct agent *a, unsigned slot)
{
	return seized_at(a->group, slot ? slot - (a->nbig - 1) : 0);
}

/* inject.c: a thread that is outside starts with what is in its slot */
int agent_enter(struct agent *a, unsigned slot) MUST_CHECK;

/* scout.c: whether what was found once is (still) there */
bool agent_insns_are_there(pid_t pid, const struct insns *ins);

/* safeframe.c: the first thread's way home while it is moved by ptrace alone. */
int safe_frames_lay(struct agent *a) MUST_CHECK;
/* One call in the first thread; FROM is a->frame_at or a->chain_at: where it goes if we die. */
int safe_call(struct agent *a, uint64_t from, long nr, const uint64_t args[6], int64_t *ret)
	MUST_CHECK;
/* The first thread's registers lead home through the frames. */
int safe_frames_lead(struct agent *a) MUST_CHECK;
/* The first thread is as it was found, still held. */
int safe_frames_undo(struct agent *a) MUST_CHECK;

/* layout.c: a free range of BYTES between the mappings M, or 0 */
uint64_t agent_find_hole(const struct maps *m, uint64_t bytes);

/* leftover.c: removes mailboxes that agents without a whole way home have left behind, as the
 * mappings M from before the injection show. */
int agent_remove_leftovers(struct agent *a, const struct maps *m) MUST_CHECK;
