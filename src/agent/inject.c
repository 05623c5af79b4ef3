/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Into a held process, and out again.
 *
 * In: safe frames (safeframe.c), mmap of the mailbox, our own view of it through map_files (no
 * descriptor of the target is used), then the first thread enters the agent, and each other one
 * when there is something for it to do: it is woken once and not twice.
 * Out: the same backwards.  At every instant in between, each thread has a way home if we die:
 *
 *	thread		state				way home
 *	first		frames laid			through them
 *	first		in the agent, or going back	its bell says that we are gone; it waits
 *							for the others and takes the mailbox away
 *	others		not entered yet			they never left
 *	others		in the agent			sent home by the first one
 *	others		being moved (INSIDE_MAYBE)	either has its registers already, or is at
 *the agent's entry with its own stack
 */
#include "agent/batch.h"
#include "agent/private.h"
#include "arch/x86_64/sigframe.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define STOP_TIMEOUT_MS 10000
/* Threads whose filters are looked at one by one; more are taken to be like the first one. */
#define FILTERS_MAX 64

static void store_inside(struct slot *s, enum slot_inside v)
{
	__atomic_store_n(&s->inside, (uint32_t)v, __ATOMIC_RELEASE);
}

static int check_group(const struct seized *s)
{
	for (unsigned i = 0; i < s->threads->len; i++)
		if (regs_are_compat(&seized_at(s, i)->regs))
			return err_set(EOPNOTSUPP, "task %d runs 32-bit code",
				       seized_at(s, i)->tid);
	return 0;
}

static int open_proc(pid_t pid, int *ret)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	*ret = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_errno("open %s", path) : 0;
}

static void lay_way_home(struct agent *a, unsigned slot, const struct seized_thread *t)
{
	struct agent_slot *as = &a->slots[slot];
	struct slot *s = as->shm;
	struct regs home = t->regs;
	uint64_t sp = regs_sp(&t->regs);

	regs_fix(&home, REGS_RESTORE);
	s->frame_bytes = sigframe_size(&t->xstate);
	s->landing = ROUND_DOWN(sp - REGS_RED_ZONE - REGS_NOTES - s->frame_bytes, SIGFRAME_ALIGN);
	s->own_sp = sp;
	sigframe_build((uint8_t *)s + as->frame, s->landing, &home, &t->xstate, t->sigmask,
		       a->insns.restorer);
	s->frame = as->frame;
	s->syscall_ret = a->hurried || a->quiet || a->stays ? 0 : a->insns.syscall_ret;
	dispatch_note(a, slot, &t->dispatch);
}

static void lay_first_way_home(struct agent *a)
{
	struct agent_slot *as = &a->slots[0];
	struct slot *s = as->shm;

	lay_way_home(a, 0, seized_at(a->group, 0));
	s->map = a->addr;
	s->map_bytes = a->bytes;
	s->nothers = a->group->threads->len - 1;
	if (s->nothers) {
		unsigned second = agent_thread_slot(a, 1);

		s->others = agent_slot_addr(a, second);
		if (s->nothers > 1)
			s->others_stride = a->slots[second + 1].offset - a->slots[second].offset;
	}
	s->fds = agent_box(as) + CONTROL_HEADER;
	s->nfds = a->quiet ? 0 : BOX_INTS;
}

/* Registers first, mask second: see start.S for what happens when we die in between. */
static int enter(struct agent *a, unsigned slot, const struct seized_thread *t, uint64_t sp)
{
	struct regs regs = t->regs;
	int r;

	regs_set_call(&regs, agent_entry_addr(a), sp, agent_slot_addr(a, slot));
	store_inside(a->slots[slot].shm, INSIDE_MAYBE);
	a->slots[slot].tid = t->tid;
	a->slots[slot].held = a->slots[slot].cures = true;
	r = dispatch_moves(a, slot);
	if (r == 0)
		r = ptrace_set_regs(t->tid, &regs);
	if (r == 0)
		r = dispatch_off(a, slot);
	if (r == 0)
		r = ptrace_set_sigmask(t->tid, ALL_SIGNALS);
	if (r == 0)
		r = ptrace_cont(t->tid, 0);
	a->slots[slot].held = r < 0;
	return r;
}

static uint64_t own_stack(const struct seized_thread *t)
{
	return ROUND_DOWN(regs_sp(&t->regs) - REGS_RED_ZONE, 16);
}

static void look_at_filters(struct agent *a)
{
	for (unsigned i = 0; i < MIN(a->group->threads->len, FILTERS_MAX) && !a->quiet; i++)
		a->quiet = !agent_filters_allow_leaving(seized_at(a->group, i)->tid);
	err_clear();
}

static int enter_all(struct agent *a)
{
	const struct seized *g = a->group;
	int r;

	for (unsigned i = 1; i < g->threads->len; i++) {
		unsigned slot = agent_thread_slot(a, i);

		lay_way_home(a, slot, seized_at(g, i));
		a->slots[slot].tid = seized_at(g, i)->tid;
		a->slots[slot].outside = true;
	}
	lay_first_way_home(a);
	r = bell_own(a->slots[0].shm);
	if (r == 0)
		r = enter(a, 0, seized_at(g, 0),
			  a->hurried ? own_stack(seized_at(g, 0)) : a->chain_at);
	return r;
}

int agent_enter(struct agent *a, unsigned slot)
{
	const struct seized_thread *t = agent_slot_thread(a, slot);

	a->slots[slot].outside = false;
	return enter(a, slot, t, own_stack(t));
}

static size_t largest_frame(const struct seized *s)
{
	size_t max = 0;

	for (unsigned i = 0; i < s->threads->len; i++)
		max = MAX(max, sigframe_size(&seized_at(s, i)->xstate));
	return max;
}

/* M is filled unless MAPS are given. */
static int find_place(struct agent *a, const struct insns *known, struct maps *m,
		      const struct maps *maps)
{
	autoclose int dir = -1;
	int r;

	r = open_proc(seized_alive(a->group), &dir);
	if (r == 0 && !maps)
		r = maps_read(dir, m);
	if (r < 0)
		return r;
	/* code may have changed since the scouting, by execve(2) for example */
	if (known && agent_insns_are_there(seized_alive(a->group), known))
		a->insns = *known;
	else
		r = agent_scout(dir, seized_alive(a->group), &a->insns);
	if (r < 0)
		return r;
	a->addr = agent_find_hole(maps ?: m, a->bytes);
	if (!a->addr)
		return err_set(ENOMEM, "process %d has no room for an agent", a->group->pid);
	return 0;
}

int agent_inject(struct seized *s, const struct insns *known, const struct agent_sizes *sizes,
		 struct agent **ret)
{
	const struct maps *maps = sizes ? sizes->maps : NULL;
	CLEANUP(maps_clear) struct maps own = {0};
	CLEANUP(agent_free) struct agent *a = NULL;
	int r;

	r = check_group(s);
	if (r < 0)
		return r;
	a = agent_new(1 + (sizes ? sizes->spare : 0), s->threads->len - 1, sizes, largest_frame(s));
	a->group = s;
	a->traced = true;
	a->pidfd = s->pidfd;
	r = find_place(a, known, &own, maps);
	if (r < 0)
		return r;
	look_at_filters(a);
	dispatch_look(a);
	r = dispatch_begin(a);
	if (r == 0)
		r = safe_frames_lay(a);
	if (r == 0 && a->hurried)
		log_debug("process %d: no safe way home; keep this process alive", s->pid);
	if (r == 0)
		r = agent_map_there_and_here(a);
	if (r == 0)
		r = enter_all(a);
	if (r == 0)
		r = agent_remove_leftovers(a, maps ?: &own);
	if (r < 0)
		return err_wrap(r, "process %d", s->pid);
	*ret = g_steal_pointer(&a);
	return 0;
}

/* Stops everybody where he is. */
static int stop_all(struct agent *a)
{
	int res = 0;

	for (unsigned i = 0; i < a->nslots; i++)
		if (a->slots[i].cures && !a->slots[i].held && !a->slots[i].gone)
			a->slots[i].gone = ptrace_interrupt(a->slots[i].tid) == -ESRCH;
	for (unsigned i = 0; i < a->nslots; i++) {
		struct agent_slot *s = &a->slots[i];
		int r;

		if (!s->cures || s->held || s->gone)
			continue;
		r = ptrace_wait_interrupted(s->tid, STOP_TIMEOUT_MS);
		s->gone = r == -ESRCH;
		s->held = r == 0;
		if (r < 0)
			res = r;
	}
	return res;
}

/* Back to the entry on its own stack, where any signal may come; then home. */
static int send_home(struct agent *a, unsigned slot, const struct seized_thread *t)
{
	struct agent_slot *s = &a->slots[slot];
	struct regs at_entry = t->regs, home = t->regs;
	int r;

	regs_set_call(&at_entry, agent_entry_addr(a), own_stack(t), agent_slot_addr(a, slot));
	regs_leave(&home, REGS_CURE);
	r = ptrace_set_regs(t->tid, &at_entry);
	if (r == 0)
		r = ptrace_set_sigmask(t->tid, t->sigmask);
	store_inside(s->shm, INSIDE_MAYBE);
	if (r == 0)
		r = dispatch_on(a, slot);
	if (r == 0)
		r = ptrace_set_regs(t->tid, &home);
	store_inside(s->shm, INSIDE_NO);
	s->cures = false;
	s->tid = 0; /* no agent's any more */
	return r;
}

static int unmap_there(struct agent *a)
{
	const uint64_t args[6] = {a->addr, a->bytes};
	int64_t ret = 0;
	int r;

	if (!a->injected)
		return 0;
	/* It is about to be unmapped: entered at the frame that leads straight home. */
	r = safe_call(a, a->frame_at, SYS_munmap, args, &ret);
	if (r == 0 && ret < 0)
		r = err_code((int)ret, "munmap of the agent's mailbox");
	a->injected = false;
	return r;
}

int agent_cure(struct agent *a)
{
	int r, res = 0;

	if (!a->group)
		return 0;
	if (a->sock >= 0 && !a->slots[0].held && !a->slots[0].gone) {
		CLEANUP(batch_end) struct batch b = {0};

		batch_begin(&b, a, 0);
		batch_close_fds(&b);
		batch_add(&b, SYS_close, IMM(a->tsock));
		r = batch_run(&b);
		res = r;
	}
	r = stop_all(a);
	if (r < 0)
		res = r;
	for (unsigned i = a->group->threads->len; i-- > 1;) {
		unsigned slot = agent_thread_slot(a, i);

		if (!a->slots[slot].cures || !a->slots[slot].held)
			continue;
		r = send_home(a, slot, seized_at(a->group, i));
		if (r < 0)
			res = r;
	}
	if (!a->slots[0].gone) {
		int (*const last[])(struct agent * a) = {dispatch_leave, unmap_there,
							 safe_frames_undo, dispatch_end};

		for (unsigned i = 0; i < ARRAY_SIZE(last); i++) {
			r = last[i](a);
			res = r < 0 ? r : res;
		}
		a->slots[0].tid = 0;
	}
	agent_forget(a);
	return res < 0 ? err_wrap(res, "taking the agent out of process %d",
				  seized_at(a->group, 0)->tid)
		       : 0;
}

void agent_forget(struct agent *a)
{
	a->injected = a->started = false;
	if (a->map)
		bell_disown(a->slots[0].shm);
	cleanup_close(&a->sock);
	a->sock = -1;
	g_clear_pointer(&a->below, g_byte_array_unref);
}

void agent_free(struct agent **ap)
{
	struct agent *a = *ap;
	g_autofree char *story = NULL;

	if (!a)
		return;
	story = g_strdup(err_message());
	if (a->group && (a->injected || a->started) && agent_cure(a) < 0)
		log_warn("%s", err_message());
	agent_kill(a);
	agent_forget(a);
	if (a->map)
		munmap(a->map, a->bytes);
	if (!a->group)
		cleanup_close(&a->pidfd);
	cleanup_close(&a->mailbox_fd);
	g_free(a->slots);
	g_free(a);
	err_adopt(0, story);
	*ap = NULL;
}
