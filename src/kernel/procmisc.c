/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/procmisc.h"
#include "base/file.h"
#include "kernel/procstat.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

/* What sched_setattr(2) takes again: RESET_ON_FORK, RECLAIM, DL_OVERRUN. */
#define SCHED_FLAGS_KEPT 7u

/* linux/sched/types.h (SCHED_ATTR_SIZE_VER0), which cannot be included beside the C library's. */
struct sched_attr_v0 {
	uint32_t size, sched_policy;
	uint64_t sched_flags;
	int32_t sched_nice;
	uint32_t sched_priority;
	uint64_t sched_runtime, sched_deadline, sched_period;
};

bool proc_number_held(pid_t pid)
{
	autoclose int dir = -1;
	struct procstat st;
	int was = errno;
	char path[32];
	bool held;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	held = dir >= 0 && procstat_read(dir, &st) == 0 && st.state != 'Z';
	err_clear();
	errno = was;
	return held;
}

int proc_number_taken(pid_t pid)
{
	autoclose int dir = -1;
	struct procstat st;
	char path[32], name[64];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0 && procstat_read(dir, &st) == 0 && st.state == 'Z')
		return err_set(
			EEXIST,
			"number %d is taken by process %d (%s), which has ended, but process "
			"%d has not waited for it",
			pid, pid, st.comm, st.ppid);
	if (dir >= 0 && proc_comm(dir, name) == 0)
		return err_set(EEXIST, "number %d is taken by process %d (%s)", pid, pid, name);
	return err_set(EEXIST, "number %d is still that of a process group or a session", pid);
}

int proc_comm(int dir, char name[64])
{
	g_autofree char *text = NULL;
	size_t len;
	int r = file_read_at(dir, "comm", 4096, &text, &len);

	if (r < 0)
		return r;
	if (len && text[len - 1] == '\n') /* a name may hold newlines of its own */
		text[--len] = 0;
	len = MIN(len, 63);
	memcpy(name, text, len);
	name[len] = 0;
	return 0;
}

int proc_strings(int dir, const char *file, size_t max, char **ret, size_t *ret_len)
{
	return file_read_at(dir, file, max, ret, ret_len);
}

int proc_auxv(int dir, struct proc_auxv *ret)
{
	g_autofree char *raw = NULL;
	size_t len;
	int r = file_read_at(dir, "auxv", sizeof(ret->words), &raw, &len);

	if (r < 0)
		return r;
	if (len % 16)
		return err_set(EBADMSG, "auxv: %zu bytes: not of a 64-bit process", len);
	memcpy(ret->words, raw, len);
	ret->n = (unsigned)(len / 8);
	return 0;
}

uint64_t proc_auxv_get(const struct proc_auxv *a, uint64_t type)
{
	for (unsigned i = 0; i + 1 < a->n && a->words[i]; i += 2)
		if (a->words[i] == type)
			return a->words[i + 1];
	return 0;
}

/* fs/proc/base.c: lnames[] */
static const struct {
	const char *shown, *name;
} limit_names[RLIM_NLIMITS] = {
	[RLIMIT_CPU] = {"Max cpu time", "RLIMIT_CPU"},
	[RLIMIT_FSIZE] = {"Max file size", "RLIMIT_FSIZE"},
	[RLIMIT_DATA] = {"Max data size", "RLIMIT_DATA"},
	[RLIMIT_STACK] = {"Max stack size", "RLIMIT_STACK"},
	[RLIMIT_CORE] = {"Max core file size", "RLIMIT_CORE"},
	[RLIMIT_RSS] = {"Max resident set", "RLIMIT_RSS"},
	[RLIMIT_NPROC] = {"Max processes", "RLIMIT_NPROC"},
	[RLIMIT_NOFILE] = {"Max open files", "RLIMIT_NOFILE"},
	[RLIMIT_MEMLOCK] = {"Max locked memory", "RLIMIT_MEMLOCK"},
	[RLIMIT_AS] = {"Max address space", "RLIMIT_AS"},
	[RLIMIT_LOCKS] = {"Max file locks", "RLIMIT_LOCKS"},
	[RLIMIT_SIGPENDING] = {"Max pending signals", "RLIMIT_SIGPENDING"},
	[RLIMIT_MSGQUEUE] = {"Max msgqueue size", "RLIMIT_MSGQUEUE"},
	[RLIMIT_NICE] = {"Max nice priority", "RLIMIT_NICE"},
	[RLIMIT_RTPRIO] = {"Max realtime priority", "RLIMIT_RTPRIO"},
	[RLIMIT_RTTIME] = {"Max realtime timeout", "RLIMIT_RTTIME"},
};

const char *rlimit_name(int resource)
{
	return resource >= 0 && resource < RLIM_NLIMITS ? limit_names[resource].name : "RLIMIT_?";
}

static int take_limit(char **at, rlim_t *ret)
{
	char *s = *at + strspn(*at, " "), *end;

	if (!strncmp(s, "unlimited", 9)) {
		*ret = RLIM_INFINITY;
		*at = s + 9;
		return 0;
	}
	*ret = strtoull(s, &end, 10);
	*at = end;
	return end == s ? -EBADMSG : 0;
}

int proc_limits(int dir, struct rlimit limits[RLIM_NLIMITS])
{
	g_autofree char *text = NULL;
	int r = file_read_at(dir, "limits", 65536, &text, NULL);

	if (r < 0)
		return r;
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		char *at = strstr(text, limit_names[i].shown);

		if (at)
			at += strlen(limit_names[i].shown);
		if (!at || take_limit(&at, &limits[i].rlim_cur) < 0 ||
		    take_limit(&at, &limits[i].rlim_max) < 0)
			return err_set(EBADMSG, "limits: cannot read %s", limit_names[i].name);
	}
	return 0;
}

static int read_number(int dir, const char *file, int base, int64_t *ret)
{
	g_autofree char *text = NULL;
	char *end;
	int r = file_read_at(dir, file, 4096, &text, NULL);

	if (r < 0)
		return r;
	*ret = (int64_t)strtoll(text, &end, base);
	return end == text ? err_set(EBADMSG, "%s: not a number: %s", file, text) : 0;
}

int proc_memory_available(int proc, uint64_t *ret_bytes)
{
	static const char name[] = "\nMemAvailable:";
	g_autofree char *text = NULL;
	const char *at;
	int r = file_read_at(proc, "meminfo", 1 << 16, &text, NULL);

	if (r < 0)
		return r;
	at = strstr(text, name);
	if (!at)
		return err_set(EBADMSG, "meminfo: there is no MemAvailable");
	*ret_bytes = strtoull(at + strlen(name), NULL, 10) * 1024;
	return 0;
}

int proc_oom_score_adj(int dir, int *ret)
{
	int64_t v;
	int r = read_number(dir, "oom_score_adj", 10, &v);

	if (r == 0)
		*ret = (int)v;
	return r;
}

int proc_coredump_filter(int dir, uint32_t *ret)
{
	g_autofree char *text = NULL;
	int r = file_read_at(dir, "coredump_filter", 4096, &text, NULL);

	if (r < 0)
		return r;
	if (!*text) /* proc_coredump_filter_read() gives nothing without an mm */
		return err_set(ENOENT, "coredump_filter: the process has no memory");
	*ret = (uint32_t)strtoul(text, NULL, 16);
	return 0;
}

int proc_loginuid(int dir, uint32_t *ret)
{
	int64_t v;
	int r = read_number(dir, "loginuid", 10, &v);

	if (r == -ENOENT) {
		*ret = UINT32_MAX;
		return 0;
	}
	if (r == 0)
		*ret = (uint32_t)v;
	return r;
}

int proc_timerslack_ns(int dir, uint64_t *ret)
{
	int64_t v;
	int r = read_number(dir, "timerslack_ns", 10, &v);

	if (r == 0)
		*ret = (uint64_t)v;
	return r;
}

int proc_set_timerslack_ns(int dir, uint64_t ns)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)ns);
	return file_poke_at(dir, "timerslack_ns", text);
}

int proc_sched(pid_t tid, struct proc_sched *ret)
{
	struct sched_attr_v0 a = {0};

	if (syscall(SYS_sched_getattr, tid, &a, sizeof(a), 0) < 0)
		return err_errno("thread %d: scheduling attributes", tid);
	*ret = (struct proc_sched){
		.policy = a.sched_policy,
		.flags = a.sched_flags,
		.nice = a.sched_nice,
		.priority = a.sched_priority,
		.runtime_ns = a.sched_runtime,
		.deadline_ns = a.sched_deadline,
		.period_ns = a.sched_period,
	};
	return 0;
}

int proc_set_sched(pid_t tid, const struct proc_sched *s)
{
	struct sched_attr_v0 a = {
		.size = sizeof(a),
		.sched_policy = s->policy,
		.sched_flags = s->flags & SCHED_FLAGS_KEPT,
		.sched_nice = s->nice,
		.sched_priority = s->priority,
		.sched_runtime = s->runtime_ns,
		.sched_deadline = s->deadline_ns,
		.sched_period = s->period_ns,
	};

	if (syscall(SYS_sched_setattr, tid, &a, 0) < 0)
		return err_errno("thread %d: set scheduling attributes", tid);
	return 0;
}

/* "notify: signal/tid.17" (fs/proc/base.c: show_timer). */
static void take_notify(const char *s, struct proc_timer *t)
{
	const char *dot = strchr(s, '.');
	int n = dot ? (int)strtol(dot + 1, NULL, 10) : 0;

	t->notify = !strncmp(s, "none", 4)     ? SIGEV_NONE
		    : !strncmp(s, "thread", 6) ? SIGEV_THREAD
					       : SIGEV_SIGNAL;
	if (strstr(s, "/tid.")) {
		t->notify |= SIGEV_THREAD_ID;
		t->tid = n;
	}
}

int proc_timers(int dir, struct proc_timer **ret, size_t *ret_n)
{
	g_autoptr(GArray) all = g_array_new(FALSE, TRUE, sizeof(struct proc_timer));
	g_autofree char *text = NULL;
	struct proc_timer t = {0};
	char *save = NULL;
	int r = file_read_at(dir, "timers", 64 << 20, &text, NULL);

	if (r < 0)
		return r;
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(l, ':');

		if (!value)
			return err_set(EBADMSG, "timers: cannot read line %s", l);
		*value++ = 0;
		value += strspn(value, " ");
		if (!strcmp(l, "ID")) {
			t = (struct proc_timer){.id = (int)strtol(value, NULL, 10)};
		} else if (!strcmp(l, "signal")) {
			t.signal = (int)strtol(value, &value, 10);
			/* "signal: 34/00000000deadbeef" */
			t.sigev_value = *value == '/' ? strtoull(value + 1, NULL, 16) : 0;
		} else if (!strcmp(l, "notify")) {
			take_notify(value, &t);
		} else if (!strcmp(l, "ClockID")) { /* the last one of each */
			t.clockid = (int)strtol(value, NULL, 10);
			g_array_append_val(all, t);
		}
	}
	*ret_n = all->len;
	*ret = (struct proc_timer *)(void *)g_array_free(g_steal_pointer(&all), FALSE);
	return 0;
}
