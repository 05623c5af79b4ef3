/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/procstatus.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One line of the table: how its value is read, and where it goes. */
struct line {
	const char *key;
	int (*read)(const char *value, void *to);
	size_t at;
};

static int read_int(const char *value, void *to)
{
	*(int *)to = (int)strtol(value, NULL, 10);
	return 0;
}

static int read_bool(const char *value, void *to)
{
	*(bool *)to = strtol(value, NULL, 10) != 0;
	return 0;
}

static int read_hex(const char *value, void *to)
{
	*(uint64_t *)to = strtoull(value, NULL, 16);
	return 0;
}

static int read_kib(const char *value, void *to)
{
	*(uint64_t *)to = strtoull(value, NULL, 10) * 1024;
	return 0;
}

static int read_state(const char *value, void *to)
{
	*(char *)to = *value;
	return 0;
}

static int read_ids(const char *value, void *to)
{
	uint32_t *ids = to;
	char *end;

	for (int i = 0; i < 4; i++, value = end) {
		ids[i] = (uint32_t)strtoul(value, &end, 10);
		if (end == value)
			return -EBADMSG;
	}
	return 0;
}

static int read_chain(const char *value, void *to)
{
	struct pid_chain *c = to;
	char *end;

	for (c->n = 0;; value = end) {
		pid_t pid = (pid_t)strtol(value, &end, 10);

		if (end == value)
			return c->n ? 0 : -EBADMSG;
		if (c->n == PROC_NS_LEVELS + 1)
			return -EBADMSG;
		c->v[c->n++] = pid;
	}
}

static int read_umask(const char *value, void *to)
{
	struct procstatus *s = to;

	s->umask = (mode_t)strtoul(value, NULL, 8);
	s->has_umask = true;
	return 0;
}

static int read_groups(const char *value, void *to)
{
	struct procstatus *s = to;
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(gid_t));
	char *end;

	for (;; value = end) {
		gid_t gid = (gid_t)strtoul(value, &end, 10);

		if (end == value)
			break;
		g_array_append_val(all, gid);
	}
	g_free(s->groups);
	s->ngroups = all->len;
	s->groups = (gid_t *)(void *)g_array_free(g_steal_pointer(&all), FALSE);
	return 0;
}

static int read_sigq(const char *value, void *to)
{
	struct procstatus *s = to;
	char *end;

	s->sigq = strtoull(value, &end, 10);
	if (*end != '/')
		return -EBADMSG;
	s->sigq_max = strtoull(end + 1, NULL, 10);
	return 0;
}

#define AT(member) offsetof(struct procstatus, member)

static const struct line lines[] = {
	{"State", read_state, AT(state)},
	{"Umask", read_umask, 0},
	{"Tgid", read_int, AT(tgid)},
	{"Pid", read_int, AT(pid)},
	{"PPid", read_int, AT(ppid)},
	{"TracerPid", read_int, AT(tracer)},
	{"Uid", read_ids, AT(uid)},
	{"Gid", read_ids, AT(gid)},
	{"FDSize", read_int, AT(fd_size)},
	{"Groups", read_groups, 0},
	{"NStgid", read_chain, AT(nstgid)},
	{"NSpid", read_chain, AT(nspid)},
	{"NSpgid", read_chain, AT(nspgid)},
	{"NSsid", read_chain, AT(nssid)},
	{"VmLck", read_kib, AT(vm_locked_bytes)},
	{"RssAnon", read_kib, AT(anon_bytes)},
	{"VmSwap", read_kib, AT(swap_bytes)},
	{"THP_enabled", read_bool, AT(thp_enabled)},
	{"Threads", read_int, AT(threads)},
	{"SigQ", read_sigq, 0},
	{"SigPnd", read_hex, AT(sigpnd)},
	{"ShdPnd", read_hex, AT(shdpnd)},
	{"SigBlk", read_hex, AT(sigblk)},
	{"SigIgn", read_hex, AT(sigign)},
	{"SigCgt", read_hex, AT(sigcgt)},
	{"CapInh", read_hex, AT(cap_inh)},
	{"CapPrm", read_hex, AT(cap_prm)},
	{"CapEff", read_hex, AT(cap_eff)},
	{"CapBnd", read_hex, AT(cap_bnd)},
	{"CapAmb", read_hex, AT(cap_amb)},
	{"NoNewPrivs", read_bool, AT(no_new_privs)},
	{"Seccomp", read_int, AT(seccomp)},
	{"Seccomp_filters", read_int, AT(seccomp_filters)},
};

void procstatus_clear(struct procstatus *s)
{
	g_free(s->groups);
	*s = (struct procstatus){0};
}

static int parse(char *text, struct procstatus *ret)
{
	CLEANUP(procstatus_clear) struct procstatus s = {.seccomp_filters = -1};
	unsigned next = 0;
	char *save = NULL;

	s.thp_enabled = !strstr(text, "\nTHP_enabled:");
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(l, ':');

		if (!value)
			continue;
		*value++ = 0;
		value += strspn(value, " \t");
		/* The kernel's order is the table's, so this finds most at the first look. */
		for (unsigned tries = 0; tries < ARRAY_SIZE(lines); tries++) {
			const struct line *row = &lines[(next + tries) % ARRAY_SIZE(lines)];

			if (row->key[0] != l[0] || strcmp(row->key, l))
				continue;
			if (row->read(value, (char *)&s + row->at) < 0)
				return err_set(EBADMSG, "status: cannot read %s: %s", l, value);
			next = (unsigned)(row - lines) + 1;
			break;
		}
	}
	if (!s.pid || !s.state)
		return err_set(EBADMSG, "status: no Pid or State");
	/* released, but its struct pid is still there (fs/proc/array.c: task_state()) */
	if (s.nspid.n && !pid_chain_inner(&s.nspid))
		return err_set(ESRCH, "process %d has ended", s.pid);
	*ret = s;
	s.groups = NULL;
	return 0;
}

static int read_file(int dir, const char *name, struct procstatus *ret)
{
	g_autofree char *large = NULL;
	char text[8192];
	int r = file_read_piece_at(dir, name, text, sizeof(text));

	if (r == 0)
		return parse(text, ret);
	if (r != -EFBIG)
		return r;
	/* 65536 groups of 10 digits are the most that one line can hold. */
	r = file_read_at(dir, name, 1 << 20, &large, NULL);
	return r < 0 ? r : parse(large, ret);
}

int procstatus_read(int dir, struct procstatus *ret)
{
	return read_file(dir, "status", ret);
}

int procstatus_read_thread(pid_t pid, pid_t tid, struct procstatus *ret)
{
	char name[56];

	snprintf(name, sizeof(name), "/proc/%d/task/%d/status", pid, tid);
	return read_file(AT_FDCWD, name, ret);
}

int procstatus_read_task(int dir, pid_t tid, struct procstatus *ret)
{
	char name[40];

	snprintf(name, sizeof(name), "task/%d/status", tid);
	return read_file(dir, name, ret);
}
