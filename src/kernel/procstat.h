/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/stat (proc(5), fs/proc/array.c: do_task_stat).  Ids are as our pid namespace sees them.
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

struct procstat {
	pid_t pid, ppid, pgid, sid; /* ppid, pgid, sid 0: outside of our pid namespace */
	char comm[64];		    /* unescaped, as the task has it */
	char state;		    /* R S D T t Z X I */
	uint32_t tty_nr;	    /* new_decode_dev(); 0: no controlling terminal */
	pid_t tty_pgrp;		    /* -1: none */
	uint32_t flags;		    /* PF_* of include/linux/sched.h */
	uint64_t utime_ticks, stime_ticks;
	int priority, nice;
	int threads;
	uint64_t start_ticks; /* since boot, in sysconf(_SC_CLK_TCK) */
	uint64_t vsize_bytes, rss_pages;
	/* The layout; 0 for a zombie, and without the right to ptrace. */
	uint64_t start_code, end_code, start_stack, start_data, end_data, start_brk;
	uint64_t arg_start, arg_end, env_start, env_end;
	int exit_signal; /* what the parent gets at our end */
	unsigned rt_priority, policy;
	int exit_code; /* as from waitpid(2); zombies only */
};

#define PROC_PF_EXITING	   0x00000004u
#define PROC_PF_KTHREAD	   0x00200000u
#define PROC_PF_FORKNOEXEC 0x00000040u

int procstat_read(int dir, struct procstat *ret) MUST_CHECK;
