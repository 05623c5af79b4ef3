/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cktree.h"

#include "base/file.h"
#include "cr/step.h"
#include "engine/ckfiles.h"
#include "engine/lifecycle.h"
#include "engine/options.h"
#include "engine/runtime.h"
#include "kernel/cgroup.h"
#include "kernel/mount.h"
#include "kernel/proc.h"
#include "kernel/program.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define PROGRAM_TIMEOUT_MS 30000

/* The cgroup with a freezer, as a directory; NULL when the host has none or it is the root's. */
static int freezer_dir(pid_t pid, char **ret)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(cgroup_host_clear) struct cgroup_host host = {0};
	CLEANUP(freezer_close) struct freezer f = FREEZER_NONE;
	int r = proc_open(pid, &p);

	*ret = NULL;
	if (r < 0)
		return r;
	r = cgroup_host_ours(&host);
	if (r < 0)
		return r;
	r = freezer_open(&f, &host, p.dir);
	if (r == -EOPNOTSUPP) {
		err_clear();
		return 0;
	}
	if (r == 0)
		*ret = g_strdup(f.path);
	return r;
}

/* The container's own /dev/shm is a tmpfs that prepare.c has mounted where the host sees it. */
static bool has_own_shm(struct engine *e, const struct container *c)
{
	g_autofree char *userdata = container_static_dir(e, c);
	g_autofree char *shm = g_build_filename(userdata, "shm", NULL);

	return mount_is_mount(shm) == 1;
}

/* The container's own, then those of its exec sessions. */
static void join_externals(struct cktree *t)
{
	const GArray *more = t->sessions.externals;
	unsigned n = t->box.nexternals;

	t->externals = g_new0(struct cryo_external, n + more->len + 1);
	memcpy(t->externals, t->box.externals, n * sizeof(*t->externals));
	if (more->len)
		memcpy(t->externals + n, more->data, more->len * sizeof(*t->externals));
	t->nexternals = n + more->len;
}

int cktree_read(struct engine *e, struct container *c, int dir, struct cktree *t)
{
	int r = box_read(e, c, &t->box);

	if (r == 0)
		r = freezer_dir(c->state.pid, &t->cgroup);
	if (r == 0)
		r = sessions_read(e, c, dir, &t->sessions);
	if (r < 0)
		return r;
	t->own_shm = has_own_shm(e, c);
	err_clear();
	join_externals(t);
	return 0;
}

void cktree_await(const struct container *c, const struct cktree *t)
{
	program_await(c->state.pid, PROGRAM_TIMEOUT_MS);
	for (unsigned i = 0; i < t->sessions.guests->len; i++)
		program_await(g_array_index(t->sessions.guests, struct cryo_guest, i).pid,
			      PROGRAM_TIMEOUT_MS);
}

void cktree_options(const struct container *c, struct cktree *t, struct cryo_dump_options *o)
{
	static const char *const shm[] = {"/dev/shm"};

	t->cgroups[0] = t->cgroup;
	o->pid = c->state.pid;
	o->cgroups = t->cgroups;
	o->ncgroups = t->cgroup ? 1 : 0;
	o->guests = (const struct cryo_guest *)(void *)t->sessions.guests->data;
	o->nguests = t->sessions.guests->len;
	o->externals = t->externals;
	o->nexternals = t->nexternals;
	o->mounts = (const char *const *)t->box.mounts;
	o->nmounts = t->box.mounts ? g_strv_length(t->box.mounts) : 0;
	o->tmpfs = shm;
	o->ntmpfs = t->own_shm ? 1 : 0;
}

/* runc's and crun's name for a network namespace that they are given (libcontainer/criu_linux.go).
 */
static const char *network_key(struct container *c)
{
	static const char *const not_given[] = {"none", "host", NULL};
	const struct container_options *o;

	if (container_options(c, &o) < 0) {
		err_clear();
		return NULL;
	}
	return g_strv_contains(not_given, o->network ?: "") ? NULL : "extRootNetNS";
}

void cktree_foreign(struct container *c, struct cktree *t, struct cryo_dump_options *o)
{
	static const char *const streams[] = {"stdin", "stdout", "stderr", NULL};
	unsigned n = 0;

	o->foreign = true;
	o->foreign_net = network_key(c);
	for (unsigned i = 0; i < t->nexternals; i++)
		if (!g_str_has_prefix(t->externals[i].key, "pipe:[") ||
		    !g_strv_contains(streams, t->externals[i].name))
			t->externals[n++] = t->externals[i];
	o->nexternals = t->nexternals = n;
}

struct ending {
	struct engine *e;
	struct container *c;
};

/* In a thread; what goes wrong is container_release()'s to try again and to tell. */
static void *delete_record(void *data)
{
	const struct ending *x = data;

	if (runtime_delete(x->e, x->c, true) < 0)
		err_clear();
	return NULL;
}

/*
 * conmon reaps, notes the exit and leaves; its note must not meet the restored container.  The
 * runtime can forget the container meanwhile: it needs as long to start.
 */
static int settle_exit(struct engine *e, struct container *c)
{
	struct ending x = {e, c};
	GThread *t = g_thread_try_new("delete", delete_record, &x, NULL);
	int r = ck_wait_exit(e, c);

	if (t)
		g_thread_join(t);
	return r;
}

int cktree_end(struct engine *e, struct container *c, const struct cktree *t)
{
	struct container_state *s = &c->state;
	int r;

	s->status = CONTAINER_STOPPED;
	s->checkpointed = true;
	s->restored = false;
	s->checkpointed_ns = s->finished_ns = engine_now_ns();
	s->restored_ns = 0;
	s->exit_code = 0;
	r = container_save(e, c);
	if (r == 0)
		r = step_begin("checkpoint", "exit");
	if (r < 0)
		return r;
	r = settle_exit(e, c);
	if (r == 0)
		r = sessions_end(e, c, &t->sessions);
	if (r < 0)
		return r;
	r = container_release(e, c, RELEASE_KEEP_NETWORK);
	if (r < 0)
		return r;
	s->status = CONTAINER_EXITED;
	s->pid = s->conmon_pid = 0;
	s->thawed = false;
	return 0;
}

void cktree_clear(struct cktree *t)
{
	box_clear(&t->box);
	sessions_clear(&t->sessions);
	g_free(t->externals);
	g_free(t->cgroup);
	*t = CKTREE_NONE;
}
