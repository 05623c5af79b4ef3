/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/stats.h"

#include "base/file.h"
#include "engine/engine.h"
#include "kernel/cgroup.h"
#include "kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#define TEXT_MAX (1u << 20)

/* Directories of the control groups that the process is in; NULL: the host has no such hierarchy.
 */
struct groups {
	char *unified, *cpu, *memory, *pids, *blkio;
};

static void groups_clear(struct groups *g)
{
	g_free(g->unified);
	g_free(g->cpu);
	g_free(g->memory);
	g_free(g->pids);
	g_free(g->blkio);
}

static void find_groups(const struct cgroup_host *h, const struct proc *p, struct groups *ret)
{
	const struct {
		const char *controller;
		char **dir;
	} all[] = {{"", &ret->unified},
		   {"cpuacct", &ret->cpu},
		   {"memory", &ret->memory},
		   {"pids", &ret->pids},
		   {"blkio", &ret->blkio}};

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (cgroup_dir(h, p->dir, all[i].controller, all[i].dir) < 0)
			err_clear();
}

static char *text_of(const char *dir, const char *file)
{
	g_autofree char *path = dir ? g_build_filename(dir, file, NULL) : NULL;
	char *text = NULL;

	if (!path || file_read_at(AT_FDCWD, path, TEXT_MAX, &text, NULL) < 0) {
		err_clear();
		return NULL;
	}
	return text;
}

static uint64_t number_of(const char *dir, const char *file)
{
	g_autofree char *text = text_of(dir, file);

	return text ? g_ascii_strtoull(text, NULL, 10) : 0;
}

/* The sum of what stands behind KEY: "Read 12" in v1's lines, "rbytes=12" in v2's. */
static uint64_t sum_of(const char *text, const char *key)
{
	uint64_t sum = 0;

	for (const char *at = text; at && (at = strstr(at, key)) != NULL; at += strlen(key))
		if (at > text && at[-1] == ' ')
			sum += g_ascii_strtoull(at + strlen(key), NULL, 10);
	return sum;
}

static void read_cpu(const struct groups *g, struct container_stats *s)
{
	g_autofree char *stat = g->cpu ? NULL : text_of(g->unified, "cpu.stat");
	const char *usage = stat ? strstr(stat, "usage_usec ") : NULL;

	s->cpu_ns = usage ? g_ascii_strtoull(usage + strlen("usage_usec "), NULL, 10) * 1000
			  : number_of(g->cpu, "cpuacct.usage");
}

static void read_memory(const struct groups *g, struct container_stats *s)
{
	const char *file = g->memory ? "memory.limit_in_bytes" : "memory.max";
	const char *dir = g->memory ?: g->unified;
	struct sysinfo host;
	uint64_t all;

	s->memory = number_of(dir, g->memory ? "memory.usage_in_bytes" : "memory.current");
	s->memory_limit = number_of(dir, file); /* 0 of "max" */
	if (sysinfo(&host) < 0)
		return;
	all = (uint64_t)host.totalram * host.mem_unit;
	if (!s->memory_limit || s->memory_limit > all)
		s->memory_limit = all;
}

/* Lines "8:0 Read 4096" or, for v2, "8:0 rbytes=4096 wbytes=0 ..."; cgroups(7). */
static void read_block(const struct groups *g, struct container_stats *s)
{
	g_autofree char *text =
		g->blkio ? text_of(g->blkio, "blkio.throttle.io_service_bytes_recursive")
			 : text_of(g->unified, "io.stat");

	s->block_in = sum_of(text, g->blkio ? "Read " : "rbytes=");
	s->block_out = sum_of(text, g->blkio ? "Write " : "wbytes=");
}

static bool has_own_network(const struct proc *p)
{
	struct stat its, ours;

	return fstatat(p->dir, "ns/net", &its, 0) == 0 && stat("/proc/self/ns/net", &ours) == 0 &&
	       its.st_ino != ours.st_ino;
}

/* "  eth0: bytes packets errs drop fifo frame compressed multicast bytes ..."; proc(5). */
static void read_network(const struct proc *p, struct container_stats *s)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	if (!has_own_network(p) || file_read_at(p->dir, "net/dev", TEXT_MAX, &text, NULL) < 0) {
		err_clear();
		return;
	}
	lines = g_strsplit(text, "\n", -1);
	for (char **l = lines; *l; l++) {
		unsigned long long in, out;
		const char *colon = strchr(*l, ':');

		if (!colon || g_str_has_prefix(g_strchug(*l), "lo:") ||
		    sscanf(strchr(*l, ':') + 1, "%llu %*u %*u %*u %*u %*u %*u %*u %llu", &in,
			   &out) != 2)
			continue;
		s->net_in += in;
		s->net_out += out;
	}
}

int container_stats(struct engine *e, const struct container *c, struct container_stats *ret)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(cgroup_host_clear) struct cgroup_host h = {0};
	CLEANUP(groups_clear) struct groups g = {0};
	int r;

	*ret = (struct container_stats){.at_ns = engine_now_ns()};
	if (c->state.status != CONTAINER_RUNNING && c->state.status != CONTAINER_PAUSED)
		return 0;
	r = proc_open(c->state.pid, &p);
	if (r == -ESRCH) { /* it has just ended */
		err_clear();
		return 0;
	}
	if (r == 0)
		r = cgroup_host_ours(&h);
	if (r < 0)
		return r;
	find_groups(&h, &p, &g);
	read_cpu(&g, ret);
	read_memory(&g, ret);
	ret->pids = number_of(g.pids ?: g.unified, "pids.current");
	read_block(&g, ret);
	read_network(&p, ret);
	return 0;
}
