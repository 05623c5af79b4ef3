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

struct usage {
	uint64_t most, own, shared; /* bytes */
};

/* -ENOENT: this version does not count it. */
static int read_usage(int dir, const struct names *v, struct usage *ret)
{
	g_autofree char *limit = NULL, *stat = NULL;
	int r = file_read_at(dir, v->limit, 64, &limit, NULL);

	if (r == 0)
		r = file_read_at(dir, "memory.stat", STAT_MAX, &stat, NULL);
	if (r < 0)
		return r;
	ret->most = strncmp(limit, "max", 3) ? strtoull(limit, NULL, 10) : UINT64_MAX;
	ret->own = value_of(stat, v->own);
	ret->shared = value_of(stat, v->shared);
	return 0;
}

/* 1, 0, -ENOENT as above. */
static int has_room(int dir, const struct names *v)
{
	struct usage u;
	int r = read_usage(dir, v, &u);

	/* Cached files make room. */
	return r < 0 ? r : 2 * u.own + u.shared + SPARE + u.own / 16 <= u.most;
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

/* Of the cgroup PATH and those above it. */
static uint64_t left_upwards(const char *path, const struct names *v)
{
	g_autofree char *at = g_strdup(path);
	uint64_t left = UINT64_MAX;

	for (;;) {
		autoclose int dir = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		char *above = g_path_get_dirname(at);
		struct usage u;

		g_free(at);
		at = above;
		if (dir < 0 || read_usage(dir, v, &u) < 0)
			return left; /* the root has no limit in version 2, and nothing is above it
				      */
		left = MIN(left, u.most - MIN(u.most, u.own + u.shared));
	}
}

uint64_t cgroup_memory_left(const struct cgroup_host *h, int dir)
{
	uint64_t left = UINT64_MAX;
	ERR_KEEP;

	for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
		g_autofree char *path = NULL;

		if (cgroup_dir(h, dir, versions[i].controller, &path) == 0)
			left = MIN(left, left_upwards(path, &versions[i]));
	}
	return left;
}
