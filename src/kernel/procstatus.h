/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/status and task/TID/status (proc(5), fs/proc/array.c: proc_pid_status). */
#pragma once

#include "base/err.h"

#include <sys/types.h>

#define PROC_NS_LEVELS 32 /* MAX_PID_NS_LEVEL */

struct pid_chain {
	unsigned n;		     /* how many pid namespaces see it, ours first */
	pid_t v[PROC_NS_LEVELS + 1]; /* v[n - 1]: as its own namespace sees it */
};

struct procstatus {
	char state;
	mode_t umask;
	bool has_umask; /* not for a zombie */
	pid_t tgid, pid, ppid, tracer;
	uid_t uid[4]; /* real, effective, saved, file system */
	gid_t gid[4];
	size_t ngroups;
	gid_t *groups;
	struct pid_chain nstgid, nspid, nspgid, nssid;
	int threads;
	int fd_size; /* slots of its table of descriptors */
	uint64_t sigq, sigq_max;
	uint64_t sigpnd, shdpnd, sigblk, sigign, sigcgt; /* bit N - 1 is signal N */
	uint64_t cap_inh, cap_prm, cap_eff, cap_bnd, cap_amb;
	bool no_new_privs;
	int seccomp;	     /* 0 none, 1 strict, 2 filter */
	int seccomp_filters; /* -1: this kernel does not say (before 5.9) */
	uint64_t vm_locked_bytes, anon_bytes, swap_bytes;
	bool thp_enabled; /* false: PR_SET_THP_DISABLE */
};

int procstatus_read(int dir, struct procstatus *ret) MUST_CHECK;
/* Of one thread; DIR is the process'. */
int procstatus_read_task(int dir, pid_t tid, struct procstatus *ret) MUST_CHECK;
int procstatus_read_thread(pid_t pid, pid_t tid, struct procstatus *ret) MUST_CHECK;
void procstatus_clear(struct procstatus *s);

static inline pid_t pid_chain_inner(const struct pid_chain *c)
{
	return c->n ? c->v[c->n - 1] : 0;
}
