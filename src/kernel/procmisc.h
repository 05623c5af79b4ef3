/* SPDX-License-Identifier: Apache-2.0 */
/* The many one-value files of /proc/PID (proc(5)). */
#pragma once

#include "base/err.h"

#include <sys/resource.h>
#include <sys/types.h>

/* The task's name without the newline; NAME has room for 64 bytes (kernel workers have long ones).
 */
int proc_comm(int dir, char name[64]) MUST_CHECK;

/* Somebody lives who has the number; leaves errno alone. */
bool proc_number_held(pid_t pid);

/* -EEXIST: "number 12 is taken by process 12 (sleep)", for what was to get the number PID. */
int proc_number_taken(pid_t pid);

/* cmdline or environ: NUL-separated, the caller's; at most MAX bytes. */
int proc_strings(int dir, const char *file, size_t max, char **ret, size_t *ret_len) MUST_CHECK;

#define PROC_AUXV_MAX 64
struct proc_auxv {
	unsigned n; /* 64-bit words, AT_NULL included */
	uint64_t words[2 * PROC_AUXV_MAX];
};
int proc_auxv(int dir, struct proc_auxv *ret) MUST_CHECK;
uint64_t proc_auxv_get(const struct proc_auxv *a, uint64_t type); /* 0 when missing */

/* All of RLIM_NLIMITS, index RLIMIT_*; RLIM_INFINITY for "unlimited". */
int proc_limits(int dir, struct rlimit limits[RLIM_NLIMITS]) MUST_CHECK;
const char *rlimit_name(int resource); /* "RLIMIT_NOFILE"; "RLIMIT_?" */

int proc_oom_score_adj(int dir, int *ret) MUST_CHECK;
int proc_coredump_filter(int dir, uint32_t *ret)
	MUST_CHECK;				      /* -ENOENT: no mm, no CONFIG_ELF_CORE */
int proc_loginuid(int dir, uint32_t *ret) MUST_CHECK; /* UINT32_MAX: unset or no audit */

/* What can be had without swapping: MemAvailable in /proc/meminfo.  PROC is a directory, as that.
 */
int proc_memory_available(int proc, uint64_t *ret_bytes) MUST_CHECK;

/* Needs CAP_SYS_NICE for others' tasks (timerslack_ns_show). */
int proc_timerslack_ns(int dir, uint64_t *ret) MUST_CHECK;
int proc_set_timerslack_ns(int dir, uint64_t ns) MUST_CHECK;

/* Scheduling by sched_getattr(2); TID as our pid namespace sees it. */
struct proc_sched {
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns; /* SCHED_DEADLINE; of others the slice, 0: by priority */
	uint64_t deadline_ns, period_ns;
};
int proc_sched(pid_t tid, struct proc_sched *ret) MUST_CHECK;
int proc_set_sched(pid_t tid, const struct proc_sched *s) MUST_CHECK;

/* One POSIX timer, /proc/PID/timers; intervals and time left come from timer_gettime() in the task.
 */
struct proc_timer {
	int id;
	int signal;
	uint64_t sigev_value;
	int notify; /* SIGEV_*, without SIGEV_THREAD_ID's bit when tid is 0 */
	pid_t tid;  /* SIGEV_THREAD_ID: the thread as our namespace sees it, else 0 */
	int clockid;
};
/* *RET is the caller's (g_free); -ENOENT when the kernel has no such file. */
int proc_timers(int dir, struct proc_timer **ret, size_t *ret_n) MUST_CHECK;
