/* SPDX-License-Identifier: Apache-2.0 */
/* Operations in words, for error messages. */
#include "agent/batch.h"
#include "agent/private.h"

#include <stdio.h>
#include <string.h>

/*
 * How to show arguments, one letter each: x hexadecimal, l "+length" of the one before, d decimal,
 * o octal, s a string of the arena, - nothing.
 */
static const struct {
	uint32_t nr;
	const char *name, *args;
} names[] = {
	{OP_CLONE, "clone3", ""},
	{OP_TILES, "tiles", ""},
	{SYS_accept4, "accept4", "d"},
	{SYS_bind, "bind", "d"},
	{SYS_brk, "brk", "x"},
	{SYS_capset, "capset", ""},
	{SYS_chdir, "chdir", "s"},
	{SYS_chroot, "chroot", "s"},
	{SYS_clock_nanosleep, "clock_nanosleep", ""},
	{SYS_clone3, "clone3", ""},
	{SYS_close, "close", "d"},
	{SYS_close_range, "close_range", "dd"},
	{SYS_connect, "connect", "d"},
	{SYS_dup, "dup", "d"},
	{SYS_dup3, "dup3", "dd"},
	{SYS_epoll_create1, "epoll_create1", "x"},
	{SYS_epoll_ctl, "epoll_ctl", "ddd"},
	{SYS_eventfd2, "eventfd2", "d"},
	{SYS_execve, "execve", "s"},
	{SYS_execveat, "execveat", "ds"},
	{SYS_exit, "exit", "d"},
	{SYS_exit_group, "exit_group", "d"},
	{SYS_fchdir, "fchdir", "d"},
	{SYS_fcntl, "fcntl", "ddx"},
	{SYS_flock, "flock", "dd"},
	{SYS_ftruncate, "ftruncate", "dd"},
	{SYS_getitimer, "getitimer", "d"},
	{SYS_getpid, "getpid", ""},
	{SYS_getppid, "getppid", ""},
	{SYS_gettid, "gettid", ""},
	{SYS_inotify_add_watch, "inotify_add_watch", "dsx"},
	{SYS_inotify_init1, "inotify_init1", "x"},
	{SYS_io_setup, "io_setup", "d"},
	{SYS_ioctl, "ioctl", "dx"},
	{SYS_ioprio_set, "ioprio_set", "ddx"},
	{SYS_kill, "kill", "dd"},
	{SYS_lseek, "lseek", "ddd"},
	{SYS_madvise, "madvise", "xld"},
	{SYS_mbind, "mbind", "xld"},
	{SYS_membarrier, "membarrier", "d"},
	{SYS_memfd_create, "memfd_create", "sx"},
	{SYS_mincore, "mincore", "xl"},
	{SYS_mkdirat, "mkdirat", "dso"},
	{SYS_mlock2, "mlock2", "xl"},
	{SYS_mlockall, "mlockall", "x"},
	{SYS_mmap, "mmap", "xl"},
	{SYS_mount, "mount", "ss"},
	{SYS_move_mount, "move_mount", "dsds"},
	{SYS_mprotect, "mprotect", "xld"},
	{SYS_mremap, "mremap", "xl--x"},
	{SYS_munmap, "munmap", "xl"},
	{SYS_nanosleep, "nanosleep", ""},
	{SYS_open_tree, "open_tree", "ds"},
	{SYS_openat, "openat", "-s"},
	{SYS_openat2, "openat2", "-s"},
	{SYS_personality, "personality", "x"},
	{SYS_pipe2, "pipe2", "-x"},
	{SYS_pivot_root, "pivot_root", "ss"},
	{SYS_prctl, "prctl", "dxx"},
	{SYS_pread64, "pread", "dxld"},
	{SYS_preadv, "preadv", "d-dd"},
	{SYS_prlimit64, "prlimit", "dd"},
	{SYS_process_vm_readv, "process_vm_readv", "d"},
	{SYS_pwrite64, "pwrite", "dxld"},
	{SYS_pwritev, "pwritev", "d-dd"},
	{SYS_pwritev2, "pwritev2", "d-dd"},
	{SYS_preadv2, "preadv2", "d-dd"},
	{SYS_read, "read", "dxl"},
	{SYS_recvfrom, "recvfrom", "d"},
	{SYS_recvmsg, "recvmsg", "d"},
	{SYS_rseq, "rseq", "xdxx"},
	{SYS_rt_sigaction, "rt_sigaction", "d"},
	{SYS_rt_sigprocmask, "rt_sigprocmask", "d"},
	{SYS_rt_sigqueueinfo, "rt_sigqueueinfo", "dd"},
	{SYS_rt_tgsigqueueinfo, "rt_tgsigqueueinfo", "ddd"},
	{SYS_sched_setaffinity, "sched_setaffinity", "d"},
	{SYS_sched_setattr, "sched_setattr", "d"},
	{SYS_sched_setscheduler, "sched_setscheduler", "dd"},
	{SYS_seccomp, "seccomp", "dx"},
	{SYS_semctl, "semctl", "ddd"},
	{SYS_semget, "semget", "xdo"},
	{SYS_sendmsg, "sendmsg", "d"},
	{SYS_sendto, "sendto", "d"},
	{SYS_set_robust_list, "set_robust_list", "xd"},
	{SYS_set_tid_address, "set_tid_address", "x"},
	{SYS_setdomainname, "setdomainname", "s"},
	{SYS_setfsgid, "setfsgid", "d"},
	{SYS_setfsuid, "setfsuid", "d"},
	{SYS_setgroups, "setgroups", "d"},
	{SYS_sethostname, "sethostname", "s"},
	{SYS_setitimer, "setitimer", "d"},
	{SYS_setns, "setns", "dx"},
	{SYS_setpgid, "setpgid", "dd"},
	{SYS_setpriority, "setpriority", "ddd"},
	{SYS_setregid, "setregid", "dd"},
	{SYS_setresgid, "setresgid", "ddd"},
	{SYS_setresuid, "setresuid", "ddd"},
	{SYS_setreuid, "setreuid", "dd"},
	{SYS_setsid, "setsid", ""},
	{SYS_setsockopt, "setsockopt", "ddd"},
	{SYS_shmat, "shmat", "dxx"},
	{SYS_shmdt, "shmdt", "x"},
	{SYS_shmget, "shmget", "xdo"},
	{SYS_sigaltstack, "sigaltstack", ""},
	{SYS_signalfd4, "signalfd4", "d"},
	{SYS_socket, "socket", "ddd"},
	{SYS_socketpair, "socketpair", "ddd"},
	{SYS_splice, "splice", "d-d"},
	{SYS_symlinkat, "symlinkat", "sds"},
	{SYS_tee, "tee", "dd"},
	{SYS_tgkill, "tgkill", "ddd"},
	{SYS_timer_create, "timer_create", "d"},
	{SYS_timer_delete, "timer_delete", "d"},
	{SYS_timer_settime, "timer_settime", "d"},
	{SYS_timerfd_create, "timerfd_create", "dx"},
	{SYS_timerfd_settime, "timerfd_settime", "d"},
	{SYS_umask, "umask", "o"},
	{SYS_umount2, "umount2", "sx"},
	{SYS_unlinkat, "unlinkat", "ds"},
	{SYS_unshare, "unshare", "x"},
	{SYS_userfaultfd, "userfaultfd", "x"},
	{SYS_utimensat, "utimensat", "ds"},
	{SYS_vmsplice, "vmsplice", "d"},
	{SYS_wait4, "wait4", "d"},
	{SYS_waitid, "waitid", "dd"},
	{SYS_write, "write", "dxl"},
	{SYS_writev, "writev", "d"},
};

static const char *find(uint32_t nr, const char **ret_args)
{
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].nr != nr)
			continue;
		*ret_args = names[i].args;
		return names[i].name;
	}
	*ret_args = "xxxxxx";
	return NULL;
}

const char *syscall_name(uint32_t nr, char buf[static 24])
{
	const char *args, *name = find(nr, &args);

	if (name)
		return name;
	snprintf(buf, 24, "syscall %u", nr);
	return buf;
}

static void show_string(GString *to, uint64_t at, const struct agent_slot *slot)
{
	const char *text = (const char *)slot->shm + at;
	size_t end = (size_t)slot->arena + slot->arena_bytes;

	if (at >= end)
		return;
	g_string_append_c(to, ' ');
	g_string_append_len(to, text, (gssize)strnlen(text, MIN(end - at, 256)));
}

static uint64_t result(const struct agent_slot *slot, uint64_t v)
{
	const struct op *ops = (const struct op *)((const uint8_t *)slot->shm + slot->ops);
	uint32_t i = (uint32_t)v;

	return i < slot->nops ? (uint64_t)ops[i].ret + (v >> 32) : 0;
}

static void show_number(GString *to, char how, uint64_t v)
{
	switch (how) {
	case 'd':
		g_string_append_printf(to, " %d", (int)v);
		break;
	case 'l':
		g_string_append_printf(to, "+%lu", v);
		break;
	case 'o':
		g_string_append_printf(to, " 0%lo", v);
		break;
	default:
		g_string_append_printf(to, " %#lx", v);
	}
}

void op_describe(const struct op *op, const struct agent_slot *slot, char *buf, size_t size)
{
	g_autoptr(GString) s = g_string_new(NULL);
	const char *args;
	char name[24];

	g_string_append(s, syscall_name(op->nr, name));
	find(op->nr, &args);
	for (unsigned i = 0; i < 6 && args[i]; i++) {
		unsigned kind = op->flags >> OP_ARG_SHIFT(i) & 15;

		if (args[i] == '-')
			continue;
		if (args[i] == 's' && kind == ARG_SLOT)
			show_string(s, op->arg[i], slot);
		else if (kind == ARG_IMM)
			show_number(s, args[i] == 's' ? 'x' : args[i], op->arg[i]);
		else if (kind == ARG_RES)
			show_number(s, args[i] == 's' ? 'x' : args[i], result(slot, op->arg[i]));
	}
	g_strlcpy(buf, s->str, size);
}
