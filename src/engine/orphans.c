/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/orphans.h"
#include "base/file.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>

#define END_MS 5000

static char *mark_path(struct engine *e, const struct container *c)
{
	g_autofree char *run = container_run_dir(e, c);

	return g_build_filename(run, "creating", NULL);
}

int orphans_mark(struct engine *e, const struct container *c)
{
	g_autofree char *path = mark_path(e, c);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 ? err_errno("create %s", path) : 0;
}

void orphans_unmark(struct engine *e, const struct container *c)
{
	g_autofree char *path = mark_path(e, c);

	unlink(path);
}

bool orphans_marked(struct engine *e, const struct container *c)
{
	g_autofree char *path = mark_path(e, c);

	return access(path, F_OK) == 0;
}

/*
 * conmon [...] -c ID [...], or the runtime: RUNTIME [...] create [...] ID; of this store, as their
 * paths say: another one of this host may have a container with the same ID, moved from or to here.
 */
static bool is_ours(const struct engine *e, const char *line, size_t len, const char *id)
{
	const char *end = line + len, *last = line, *before = "";
	bool conmon = false, create = false, here = false;

	for (const char *arg = line; arg < end; arg += strlen(arg) + 1) {
		here |= g_str_has_prefix(arg, e->runroot) || g_str_has_prefix(arg, e->root);
		conmon |= !strcmp(before, "-c") && !strcmp(arg, id);
		create |= !strcmp(arg, "create");
		before = arg;
		last = arg;
	}
	return here && (conmon || (create && !strcmp(last, id)));
}

/* The pidfd comes first, so that what cmdline says is about the process that is signalled. */
static int check(const struct engine *e, int proc, const char *name, const char *id)
{
	g_autofree char *path = g_strdup_printf("%s/cmdline", name), *line = NULL;
	autoclose int fd = pidfd_open(atoi(name), 0);
	size_t len = 0;

	if (fd < 0)
		return -1;
	if (file_read_at(proc, path, 1 << 20, &line, &len) < 0) {
		err_clear();
		return -1;
	}
	return is_ours(e, line, len, id) ? take_fd(&fd) : -1;
}

static int end_one(int fd, const char *name)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	log_debug("process %s was left by a killed command: ending it", name);
	if (pidfd_send_signal(fd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return err_errno("end process %s", name);
	if (poll(&p, 1, END_MS) == 0)
		return err_set(ETIMEDOUT, "process %s, left by a killed command, does not end",
			       name);
	return 0;
}

int orphans_end(struct engine *e, const struct container *c)
{
	DIR *d = opendir("/proc");
	struct dirent *de;
	int r = 0;

	if (!d)
		return err_errno("open /proc");
	while (r == 0 && (de = readdir(d))) {
		autoclose int fd = -1;

		if (atoi(de->d_name) <= 0 || atoi(de->d_name) == getpid())
			continue;
		fd = check(e, dirfd(d), de->d_name, c->id);
		if (fd >= 0)
			r = end_one(fd, de->d_name);
	}
	closedir(d);
	if (r == 0)
		orphans_unmark(e, c);
	return r;
}
