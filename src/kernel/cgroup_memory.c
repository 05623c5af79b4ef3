/* SPDX-License-Identifier: Apache-2.0 */
/* What the memory controller counts; version 1 and 2 have other names for the same. */
#include "base/file.h"
#include "kernel/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define STAT_MAX 65536
#define SPARE	 (UINT64_C(16) << 20) /* page tables, buffers of the kernel */

static const struct names {
	const char *controller, *limit, *own, *shared;
} versions[] = {
	{"", "memory.max", "anon ", "shmem "},
	{"memory", "memory.limit_in_bytes", "total_rss ", "total_shmem "},
};

/* The number after KEY at the start of a line; 0: there is none. */
static uint64_t value_of(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, n))
			return strtoull(line + n, NULL, 10);
	}
	return 0;
}

/* 1, 0; -ENOENT: this version does not count it. */
static int has_room(int dir, const struct names *v)
{
	g_autofree char *limit = NULL, *stat = NULL;
	uint64_t most, own;
	int r = file_read_at(dir, v->limit, 64, &limit, NULL);

	if (r == 0)
		r = file_read_at(dir, "memory.stat", STAT_MAX, &stat, NULL);
	if (r < 0)
		return r;
	most = strtoull(limit, NULL, 10);
	own = value_of(stat, v->own);
	/* Cached files make room. */
	return !strncmp(limit, "max", 3) ||
	       2 * own + value_of(stat, v->shared) + SPARE + own / 16 <= most;
}

int cgroup_room_for_copy(const struct cgroup_host *h, int dir)
{
	for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
		g_autofree char *path = NULL;
		autoclose int fd = -1;
		int r = cgroup_dir(h, dir, versions[i].controller, &path);

		if (r == 0) {
			fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			r = fd < 0 ? err_errno("open %s", path) : has_room(fd, &versions[i]);
		}
		if (r != -ENOENT)
			return r;
		err_clear();
	}
	return 1;
}
