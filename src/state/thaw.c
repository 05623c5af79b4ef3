/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree that somebody has frozen by its cgroup (--freeze-cgroup).  A frozen task does not stop for
 * its tracer, nor run an agent: so all are seized as they are, and then let out of the freezer,
 * from which they come straight into the tracer's hands (kernel/signal.c: get_signal() before
 * anything of the program).  If they are to go on, they are frozen again first.
 */
#include "state/tree.h"

#include "base/file.h"
#include "base/log.h"
#include "kernel/cgroup.h"
#include "kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define STATE_MAX 64

struct names {
	const char *file, *frozen, *thawed;
};

static const struct names versions[] = {
	{"freezer.state", "FROZEN", "THAWED"},
	{"cgroup.freeze", "1", "0"},
};

static int open_group(const char *path, int *ret)
{
	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_errno("control group %s", path) : 0;
}

/* NULL: it is not frozen, or has no freezer. */
static const struct names *frozen_as(int dir)
{
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		g_autofree char *text = NULL;

		if (file_read_at(dir, versions[i].file, STATE_MAX, &text, NULL) < 0)
			err_clear();
		else if (g_str_has_prefix(text, versions[i].frozen) || *text == 'F')
			return &versions[i];
	}
	return NULL;
}

int thaw_needed(struct dump *d)
{
	for (unsigned i = 0; i < d->o.ncgroups; i++) {
		autoclose int dir = -1;
		int r = open_group(d->o.cgroups[i], &dir);

		if (r < 0)
			return r;
		if (frozen_as(dir))
			return 1;
	}
	return 0;
}

static bool waits_for_sigcont(pid_t pid)
{
	CLEANUP(pid_list_clear) struct pid_list threads = {0};
	char path[48];
	autoclose int dir = -1;
	bool stopped = false;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0 && proc_tasks(dir, &threads) < 0)
		threads.n = 0;
	for (size_t i = 0; !stopped && i < threads.n; i++) {
		g_autofree char *where = NULL;

		snprintf(path, sizeof(path), "task/%d/wchan", threads.v[i]);
		stopped = file_read_at(dir, path, STATE_MAX, &where, NULL) == 0 &&
			  g_str_has_prefix(where, "do_signal_stop");
	}
	err_clear();
	return stopped;
}

bool thaw_first(struct dump *d, pid_t pid)
{
	bool v1 = false;

	for (unsigned i = 0; !v1 && i < d->o.ncgroups; i++) {
		autoclose int dir = -1;

		if (open_group(d->o.cgroups[i], &dir) == 0)
			v1 = frozen_as(dir) == &versions[0];
	}
	err_clear();
	return v1 && waits_for_sigcont(pid);
}

static int set_all(struct dump *d, bool frozen)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->o.ncgroups; i++) {
		autoclose int dir = -1;
		const struct names *n;

		r = open_group(d->o.cgroups[i], &dir);
		n = r < 0 ? NULL : frozen ? d->was_frozen : frozen_as(dir);
		if (n)
			r = file_poke_at(dir, n->file, frozen ? n->frozen : n->thawed);
		if (n && !frozen)
			d->was_frozen = n;
	}
	return r;
}

int thaw(struct dump *d)
{
	return set_all(d, false);
}

void thaw_undo(struct dump *d)
{
	if (d->was_frozen && set_all(d, true) < 0)
		log_warn("%s", err_message());
	d->was_frozen = NULL;
}

int thaw_undo_later(struct dump *d)
{
	for (unsigned i = 0; i < d->o.ncgroups; i++) {
		autoclose int dir = -1;
		int r = open_group(d->o.cgroups[i], &dir);

		if (r < 0)
			return r;
		for (size_t k = 0; k < ARRAY_SIZE(versions); k++)
			if (faccessat(dir, versions[k].file, W_OK, 0) == 0) {
				d->was_frozen = &versions[k];
				return 0;
			}
	}
	return err_set(EOPNOTSUPP, "the tree is in no control group with a freezer");
}
