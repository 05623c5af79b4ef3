/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/container_store.h"
#include "engine/exit.h"
#include "engine/lifecycle.h"

#include <errno.h>
#include <sys/pidfd.h>

#define ENDED (1U << CONTAINER_STOPPED | 1U << CONTAINER_EXITED)
/* Woken by events; this is for a conmon that was killed and cannot cause any. */
#define LOOK_AGAIN_MS 2000

/* It was removed while we waited. */
static int vanished(struct engine *e, struct container *c, unsigned conditions, int *ret_code)
{
	if (!(conditions & (ENDED | 1U << CONTAINER_REMOVING)))
		return -ENOENT;
	err_clear();
	*ret_code = c->state.exit_code;
	return container_late_exit(e, c->id, ret_code) < 0 ? -EIO : 0;
}

/*
 * Stopped is on the way to exited: conmon runs `cleanup` and stays until that is done.  Who waited
 * may expect to find nothing of the container's around.
 */
static bool being_cleaned_up(const struct container *c, unsigned conditions, int *ret_conmon)
{
	if (c->state.status != CONTAINER_STOPPED || conditions != ENDED || c->state.conmon_pid <= 0)
		return false;
	*ret_conmon = pidfd_open(c->state.conmon_pid, 0);
	return *ret_conmon >= 0;
}

int container_wait(struct engine *e, struct container *c, unsigned conditions, int *ret_code)
{
	autoclose int watch = -1;
	int r;

	if (!conditions)
		conditions = ENDED;
	r = exit_watch_open(e, &watch);
	if (r < 0)
		return r;
	for (;;) {
		autoclose int process = -1, conmon = -1;

		r = container_reload(e, c);
		if (r == -ENOENT)
			return vanished(e, c, conditions, ret_code);
		if (r < 0)
			return r;
		if (conditions & 1U << c->state.status &&
		    !being_cleaned_up(c, conditions, &conmon)) {
			*ret_code = conditions & ENDED ? c->state.exit_code : -1;
			return 0;
		}
		/* The end of the process comes before anything that conmon writes about it. */
		if (container_is_running(c) && container_pidfd(c, &process) < 0)
			err_clear();
		r = exit_watch_wait(watch, conmon >= 0 ? conmon : process, LOOK_AGAIN_MS);
		if (r < 0)
			return r;
	}
}
