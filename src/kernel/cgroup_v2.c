/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup.freeze and cgroup.events of version 2 (Documentation/admin-guide/cgroup-v2.rst). */
#include "base/file.h"
#include "kernel/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

static int set(const struct freezer *f, bool frozen)
{
	return file_poke_at(f->dir, "cgroup.freeze", frozen ? "1" : "0");
}

/* Frozen from above counts in "frozen" of cgroup.events only, ourselves in cgroup.freeze at once.
 */
static int get(const struct freezer *f)
{
	g_autofree char *own = NULL, *events = NULL;
	int r = file_read_at(f->dir, "cgroup.freeze", 64, &own, NULL);

	if (r < 0)
		return r;
	if (own[0] == '1')
		return 1;
	r = file_read_at(f->dir, "cgroup.events", 4096, &events, NULL);
	return r < 0 ? r : strstr(events, "frozen 1") != NULL;
}

/* cgroup.events wakes pollers with POLLPRI at each change after the last read. */
static int await(const struct freezer *f, bool frozen, int timeout_ms)
{
	autoclose int fd = openat(f->dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
	const char *wanted = frozen ? "frozen 1" : "frozen 0";
	gint64 end = g_get_monotonic_time() + (gint64)timeout_ms * 1000;

	if (fd < 0)
		return err_errno("open cgroup.events");
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLPRI};
		gint64 left = (end - g_get_monotonic_time() + 999) / 1000;
		char text[256];
		ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

		if (n < 0)
			return err_errno("read cgroup.events");
		text[n] = 0;
		if (strstr(text, wanted))
			return 1;
		if (left <= 0)
			return 0;
		if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
			return err_errno("wait for cgroup.events");
	}
}

const struct freezer_ops freezer_v2 = {.name = "v2", .set = set, .wait = await, .get = get};
