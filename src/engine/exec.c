/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation: a session has a directory RUNDIR/exec/ID with the OCI process object and
 * conmon's sockets and pid files, and a record in the database.  The container's lock is held until
 * the process runs, so that neither `stop` nor `checkpoint` meets a half-begun one.  Afterwards the
 * session is conmon's and, when attached, ours; what a killed command leaves is removed with the
 * container's run directory, or by the next look at the records.
 */
#include "engine/exec.h"
#include "base/file.h"
#include "base/log.h"
#include "engine/events.h"
#include "engine/exec_store.h"
#include "engine/exec_thawed.h"
#include "engine/lifecycle_internal.h"
#include "engine/monitor.h"
#include "engine/rootfs.h"
#include "engine/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>

struct session {
	struct engine *e;
	struct container *c;
	char id[ENGINE_ID_LEN + 1];
	char *dir, *file; /* FILE: the process object */
	bool recorded, keep;
	pid_t init; /* the container's when it began */
	json_t *process;
	struct exec_thawed thawed;
	int fds[MONITOR_FDS_MAX];
	unsigned nfds;
	struct monitor_session monitor;
	struct attach *attach;
	int pidfd;
};

static void session_clear(struct session *s)
{
	ERR_KEEP;

	attach_close(&s->attach);
	monitor_session_clear(&s->monitor);
	exec_thawed_clear(&s->thawed);
	json_decref(s->process);
	if (s->pidfd >= 0)
		close(s->pidfd);
	if (!s->keep) {
		if (s->recorded && exec_record_delete(s->e, s->id) < 0)
			log_debug("exec session %s: %s", s->id, err_message());
		if (s->dir && file_remove_tree_at(AT_FDCWD, s->dir) < 0)
			log_debug("exec session %s: %s", s->id, err_message());
	}
	g_free(s->dir);
	g_free(s->file);
}

static int check(struct container *c, const struct exec_options *o)
{
	if (c->state.status != CONTAINER_RUNNING)
		return life_improper("can only create exec sessions on running containers");
	if (!o->argv || !o->argv[0])
		return err_set(EINVAL, "must provide a non-empty command to start an exec session: "
				       "invalid argument");
	if (o->preserve_fds && c->state.thawed)
		return err_set(
			EOPNOTSUPP,
			"--preserve-fds is not possible in a restored container: restart it");
	return 0;
}

static int build_process(struct session *s, const struct exec_options *o)
{
	g_autofree char *dir = container_static_dir(s->e, s->c);
	g_autofree char *root = rootfs_path(s->e, s->c->id);
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *spec = NULL;
	int r;

	if (fd < 0)
		return err_errno("open %s", dir);
	r = spec_read(fd, "config.json", &spec);
	if (r == 0)
		r = spec_exec_process(spec, root, o, &s->process);
	json_decref(spec);
	return r;
}

/* What goes to the process from 3 on: the stub's, or ours that are to be preserved. */
static int gather_fds(struct session *s, const struct exec_options *o)
{
	int r;

	if (s->c->state.thawed) {
		r = exec_thawed_prepare(s->e, s->c, s->process, &s->thawed);
		for (unsigned i = 0; r == 0 && i < s->thawed.nfds; i++)
			s->fds[s->nfds++] = s->thawed.fds[i];
		return r;
	}
	r = monitor_preserved((uint64_t)o->preserve_fds, s->fds);
	s->nfds = r == 0 ? (unsigned)o->preserve_fds : 0;
	return r;
}

static int make_files(struct session *s)
{
	g_autofree char *run = container_run_dir(s->e, s->c), *exits = NULL;
	autoclose int fd = -1;
	int r;

	engine_random_id(s->id);
	s->dir = g_build_filename(run, "exec", s->id, NULL);
	s->file = g_build_filename(s->dir, "process.json", NULL);
	exits = g_build_filename(s->dir, "exit", NULL);
	r = file_mkdirs(exits, 0700);
	if (r < 0)
		return r;
	fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno("open %s", s->dir);
	r = spec_write(s->process, fd, "process.json");
	if (r == 0)
		r = exec_record_insert(s->e, s->id, s->c);
	s->recorded = r == 0;
	return r;
}

/* From conmon to the running process; A is NULL for a detached one. */
static int launch(struct session *s, const struct exec_options *o, const struct attach_options *a)
{
	const struct monitor_exec x = {
		.session = s->id,
		.dir = s->dir,
		.process = s->file,
		.tty = o->tty,
		.interactive = o->interactive,
		.attach = a != NULL,
		.fds = s->fds,
		.nfds = s->nfds,
	};
	pid_t pid;
	int r = monitor_exec_begin(s->e, s->c, &x, &s->monitor);

	if (r == 0 && a)
		r = attach_open(s->dir, a, &s->attach);
	if (r == 0)
		r = monitor_exec_go(s->e, s->c, &s->monitor, &pid);
	if (r == 0 && s->c->state.thawed)
		r = exec_thawed_serve(s->e, &s->thawed);
	if (r < 0)
		return r;
	s->pidfd = pidfd_open(pid, 0); /* -1: it has ended already, which is fine */
	return exec_record_started(s->e, s->id, pid);
}

static int begin(struct session *s, const struct exec_options *o, const struct attach_options *a)
{
	int r = container_lock(s->e, s->c);

	if (r < 0)
		return r;
	r = check(s->c, o);
	if (r == 0)
		r = build_process(s, o);
	if (r == 0)
		r = gather_fds(s, o);
	if (r == 0)
		r = make_files(s);
	if (r == 0)
		r = launch(s, o, a);
	if (r == 0)
		event_container(s->e, s->c, "exec");
	s->init = s->c->state.pid;
	container_unlock(s->c);
	return r;
}

static void forward(void *data, int sig)
{
	struct session *s = data;

	if (s->pidfd < 0 || pidfd_send_signal(s->pidfd, sig, NULL, 0) < 0)
		log_debug("signal %d: %s", sig, g_strerror(errno));
}

/*
 * Has a checkpoint killed it?  Then its record and directory are not ours any more: a restored
 * session has the same.  Asks only after SIGKILL, and waits until the checkpoint is done.
 */
static int check_frozen(struct session *s, int exit)
{
	const struct container_state *now = &s->c->state;
	bool frozen;

	if (exit != 128 + SIGKILL)
		return 0;
	if (container_lock(s->e, s->c) < 0) { /* the container is no more */
		err_clear();
		return 0;
	}
	frozen = now->checkpointed || (now->restored && now->pid != s->init);
	container_unlock(s->c);
	if (!frozen)
		return 0;
	s->keep = true;
	s->e->exit_hint = exit;
	return err_set(ECANCELED,
		       "container %s was checkpointed: exec session %.12s goes on, with nobody "
		       "attached, when it is restored",
		       s->c->name, s->id);
}

#define SESSION_NONE                                                                               \
	((struct session){.monitor = MONITOR_SESSION_NONE, .thawed = EXEC_THAWED_NONE, .pidfd = -1})

int container_exec(struct engine *e, struct container *c, const struct exec_options *o,
		   const struct attach_options *a, int *ret_exit)
{
	CLEANUP(session_clear) struct session s = SESSION_NONE;
	struct attach_options with = *a;
	int r;

	s.e = e;
	s.c = c;
	with.tty = o->tty;
	r = begin(&s, o, &with);
	if (r == 0)
		r = attach_run(s.attach, forward, &s);
	if (r < 0)
		return r;
	if (r > 0) { /* detached by the user: it goes on by itself */
		s.keep = true;
		*ret_exit = 0;
		return 0;
	}
	r = monitor_exec_wait(&s.monitor, ret_exit);
	if (r == 0)
		r = check_frozen(&s, *ret_exit);
	if (r == 0)
		event_container(e, c, "exec_died");
	return r;
}

int container_exec_detached(struct engine *e, struct container *c, const struct exec_options *o,
			    char ret_session[ENGINE_ID_LEN + 1])
{
	CLEANUP(session_clear) struct session s = SESSION_NONE;
	int r;

	s.e = e;
	s.c = c;
	r = begin(&s, o, NULL);
	if (r < 0)
		return r;
	s.keep = true;
	g_strlcpy(ret_session, s.id, ENGINE_ID_LEN + 1);
	return 0;
}
