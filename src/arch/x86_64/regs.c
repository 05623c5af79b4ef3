/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/regs.h"

#include <cpuid.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>

/* include/linux/errno.h: between kernel and itself only */
#define ERESTARTSYS	      512
#define ERESTARTNOINTR	      513
#define ERESTARTNOHAND	      514
#define ERESTART_RESTARTBLOCK 516

#define SYSCALL_INSN_BYTES 2

#define FLAG_TRAP      (1u << 8)
#define FLAG_DIRECTION (1u << 10)

#define USER_CS_64 0x33 /* arch/x86/include/asm/segment.h: __USER_CS */

#define XSAVE_LEGACY_BYTES 512
#define XSAVE_HEADER_BYTES 64

void xstate_clear(struct xstate *x)
{
	g_clear_pointer(&x->data, g_free);
	x->len = 0;
}

/* Asked once: cpuid leaves a virtual machine, 20 us each. */
static struct xstate_part parts[XSTATE_PARTS];
static pthread_once_t parts_once = PTHREAD_ONCE_INIT;

static void find_parts(void)
{
	unsigned a, b, c, d, low, high;
	uint64_t enabled;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return;
	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	enabled = (uint64_t)high << 32 | low;
	for (unsigned i = 2; i < XSTATE_PARTS; i++)
		if (enabled >> i & 1)
			__cpuid_count(0xd, i, parts[i].bytes, parts[i].offset, c, d);
}

const struct xstate_part *xstate_part(unsigned i)
{
	pthread_once(&parts_once, find_parts);
	return &parts[i];
}

uint64_t xstate_features(const struct xstate *x)
{
	uint64_t features = 0;

	if (x->len >= XSAVE_LEGACY_BYTES + XSAVE_HEADER_BYTES)
		memcpy(&features, x->data + XSAVE_LEGACY_BYTES, sizeof(features));
	return features;
}

size_t xstate_used(const struct xstate *x)
{
	size_t used = XSAVE_LEGACY_BYTES + XSAVE_HEADER_BYTES;

	for (uint64_t f = xstate_features(x) & ~UINT64_C(3); f; f &= f - 1) {
		const struct xstate_part *p = xstate_part((unsigned)__builtin_ctzll(f));

		used = MAX(used, (size_t)p->offset + p->bytes);
	}
	return MIN(used, x->len);
}

bool regs_are_compat(const struct regs *r)
{
	return r->gp.cs != USER_CS_64;
}

bool regs_are_kernels(const struct regs *r)
{
	return r->gp.rip == 0 && r->gp.rsp == 0;
}

bool regs_in_syscall(const struct regs *r)
{
	return (int64_t)r->gp.orig_rax >= 0;
}

bool regs_need_restart_block(const struct regs *r)
{
	return regs_in_syscall(r) && (int64_t)r->gp.rax == -ERESTART_RESTARTBLOCK;
}

bool regs_restarted(const struct regs *r)
{
	return regs_need_restart_block(r) && r->gp.orig_rax == SYS_restart_syscall;
}

static bool has_restart_block(uint32_t nr)
{
	return nr == SYS_poll || nr == SYS_nanosleep || nr == SYS_clock_nanosleep ||
	       nr == SYS_futex;
}

#define POINTER_MIN 0x10000 /* vm.mmap_min_addr */

/* A clock of a process or a thread, extended or not; a pointer may have the same lower half. */
static bool is_negative_int(uint64_t v)
{
	return (int64_t)v < 0 || (v >> 32 == 0 && (int32_t)v < 0);
}

static long call_by_arguments(const struct regs *r)
{
	unsigned op = r->gp.rsi & 0x7f; /* without FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME */

	if (r->gp.rdi < POINTER_MIN || is_negative_int(r->gp.rdi))
		return r->gp.rdx >= POINTER_MIN ? SYS_clock_nanosleep : SYS_poll;
	if (r->gp.rsi == 0 && r->gp.r10 < POINTER_MIN)
		return SYS_nanosleep;
	if (r->gp.rsi >= POINTER_MIN)
		return SYS_nanosleep;
	/* FUTEX_WAIT, FUTEX_WAIT_BITSET, with the time that made it restart */
	return (op == 0 || op == 9) && r->gp.r10 >= POINTER_MIN ? SYS_futex : SYS_poll;
}

void regs_first_call(struct regs *r, const uint8_t code[static REGS_CALL_BYTES])
{
	uint32_t nr;

	/* mov $NR, %eax; perhaps something else; syscall */
	for (unsigned i = REGS_CALL_BYTES - SYSCALL_INSN_BYTES - 5 + 1; i-- > 0;) {
		memcpy(&nr, code + i + 1, sizeof(nr));
		if (code[i] == 0xb8 && has_restart_block(nr)) {
			r->gp.orig_rax = nr;
			return;
		}
	}
	r->gp.orig_rax = (uint64_t)call_by_arguments(r);
}

bool regs_interrupted(const struct regs *r)
{
	/* reads, writes, connect(2): sockets with SO_RCVTIMEO, SO_SNDTIMEO (net/core:
	 * sock_intr_errno()); select(2) and ppoll(2) where the time left cannot be stored
	 * (fs/select.c: poll_select_finish()), which have all of it again */
	static const long calls[] = {
		SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_rt_sigtimedwait,
		SYS_semop,	SYS_semtimedop,	 SYS_io_getevents, SYS_read,
		SYS_readv,	SYS_recvfrom,	 SYS_recvmsg,	   SYS_recvmmsg,
		SYS_accept,	SYS_accept4,	 SYS_write,	   SYS_writev,
		SYS_sendto,	SYS_sendmsg,	 SYS_sendmmsg,	   SYS_io_uring_enter,
		SYS_connect,	SYS_sendfile,	 SYS_splice,	   SYS_select,
		SYS_pselect6,	SYS_ppoll,
	};

	if (!regs_in_syscall(r) || (int64_t)r->gp.rax != -EINTR)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++)
		if (r->gp.orig_rax == (uint64_t)calls[i])
			return true;
	return false;
}

bool regs_will_be_again(const struct regs *r)
{
	int64_t v = (int64_t)r->gp.rax;

	return regs_in_syscall(r) && (v == -ERESTARTNOHAND || v == -ERESTARTSYS);
}

uint64_t regs_call(const struct regs *r)
{
	return r->gp.orig_rax;
}

void regs_arguments(const struct regs *r, uint64_t ret[6])
{
	const uint64_t v[] = {r->gp.rdi, r->gp.rsi, r->gp.rdx, r->gp.r10, r->gp.r8, r->gp.r9};

	memcpy(ret, v, sizeof(v));
}

void regs_set_argument(struct regs *r, unsigned i, uint64_t v)
{
	unsigned long long *const at[] = {&r->gp.rdi, &r->gp.rsi, &r->gp.rdx,
					  &r->gp.r10, &r->gp.r8,  &r->gp.r9};

	*at[i] = v;
}

void regs_make_call(struct regs *r)
{
	r->gp.rip -= SYSCALL_INSN_BYTES;
	r->gp.rax = r->gp.orig_rax;
	r->gp.orig_rax = (uint64_t)-1;
}

void regs_set_result(struct regs *r, int64_t v)
{
	r->gp.rax = (uint64_t)v;
}

void regs_again(struct regs *r)
{
	r->gp.rax = (uint64_t)-ERESTARTNOHAND;
}

static void restart_as(struct regs *r, uint64_t nr)
{
	r->gp.rax = nr;
	r->gp.rip -= SYSCALL_INSN_BYTES;
}

/* kernel/time/hrtimer.c: do_nanosleep() has stored the rest by now; into the request itself if both
 * are the same, and then asking again is exact. */
static bool remaining_time_is_stored(const struct regs *r)
{
	switch (r->gp.orig_rax) {
	case SYS_nanosleep:
		return r->gp.rsi && r->gp.rsi != r->gp.rdi;
	case SYS_clock_nanosleep:
		return r->gp.r10 && r->gp.r10 != r->gp.rdx;
	default:
		return false;
	}
}

void regs_fix(struct regs *r, enum regs_fix how)
{
	if (regs_in_syscall(r)) {
		switch ((int64_t)r->gp.rax) {
		case -ERESTARTSYS:
		case -ERESTARTNOINTR:
		case -ERESTARTNOHAND:
			restart_as(r, r->gp.orig_rax);
			break;
		case -ERESTART_RESTARTBLOCK:
			if (how == REGS_CURE)
				restart_as(r, SYS_restart_syscall);
			else if (remaining_time_is_stored(r))
				r->gp.rax = (uint64_t)-EINTR;
			else
				restart_as(r, r->gp.orig_rax);
			break;
		}
	}
	r->gp.orig_rax = (uint64_t)-1;
}

void regs_leave(struct regs *r, enum regs_fix how)
{
	if (how == REGS_CURE || !regs_need_restart_block(r))
		return;
	if (remaining_time_is_stored(r))
		regs_fix(r, how);
	else
		regs_again(r);
}

void regs_set_syscall(struct regs *r, uint64_t insn, uint64_t sp, long nr, const uint64_t args[6])
{
	r->gp.rip = insn;
	r->gp.rsp = sp;
	r->gp.rax = (uint64_t)nr;
	r->gp.orig_rax = (uint64_t)-1;
	r->gp.eflags &= ~(uint64_t)(FLAG_TRAP | FLAG_DIRECTION);
	r->gp.rdi = args[0];
	r->gp.rsi = args[1];
	r->gp.rdx = args[2];
	r->gp.r10 = args[3];
	r->gp.r8 = args[4];
	r->gp.r9 = args[5];
}

void regs_set_call(struct regs *r, uint64_t pc, uint64_t sp, uint64_t arg)
{
	r->gp.rip = pc;
	r->gp.rsp = sp;
	r->gp.rdi = arg;
	r->gp.orig_rax = (uint64_t)-1;
	r->gp.eflags &= ~(uint64_t)(FLAG_TRAP | FLAG_DIRECTION);
}

int64_t regs_result(const struct regs *r)
{
	return (int64_t)r->gp.rax;
}

uint64_t regs_sp(const struct regs *r)
{
	return r->gp.rsp;
}

uint64_t regs_tls(const struct regs *r)
{
	return r->gp.fs_base;
}

uint64_t regs_pc(const struct regs *r)
{
	return r->gp.rip;
}

void regs_set_pc(struct regs *r, uint64_t pc)
{
	r->gp.rip = pc;
}
