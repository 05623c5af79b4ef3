/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/checkpoint.h"
#include "base/atomicdir.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "cr/step.h"
#include "engine/archive_out.h"
#include "engine/ckfiles.h"
#include "engine/cknamed.h"
#include "engine/cksave.h"
#include "engine/cktree.h"
#include "engine/events.h"
#include "engine/exported.h"
#include "engine/image_checkpoint.h"
#include "engine/lifecycle_internal.h"
#include "engine/precheckpoint.h"
#include "engine/store.h"
#include "kernel/cgroup.h"
#include "kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Podman's own texts; nothing has been touched yet. */
int checkpoint_check_state(struct engine *e, struct container *c, bool export)
{
	const struct container_options *o;
	int r;

	if (c->state.status != CONTAINER_RUNNING)
		return err_set(EINVAL,
			       "\"%s\" is not running, cannot checkpoint: container state improper",
			       container_status_name(c->state.status));
	r = container_options(c, &o);
	if (r < 0)
		return r;
	if (o->pid)
		return err_set(
			EOPNOTSUPP,
			"container %s shares the PID namespace of \"%s\", where its processes "
			"could not get their numbers again: run it without --pid",
			c->name, o->pid);
	if (o->rm && !export)
		return err_set(EINVAL, "cannot checkpoint containers that have been started with "
				       "'--rm' unless '--export' is used");
	return 0;
}

#define CONMON_TIMEOUT_MS 5000

struct job {
	struct engine *e;
	struct container *c;
	const struct checkpoint_options *o;
	struct cktree tree;
	int dir, before; /* userdata; the round before, or -1 */
	int into;	 /* where the images' directory comes to be: DIR, or the named one's */
	struct cksave save;
	struct cryo_dump *dump;
	struct progress *progress;
	struct archive_options archive_options;
	struct archive_out *archive;
	struct cryo_pages_stream stream;
	struct checkpoint_image *image; /* that the archive is for, or NULL */
	struct cklog log;
	struct proc conmon; /* of the container that has ended */
};

#define JOB_NONE                                                                                   \
	((struct job){.dir = -1,                                                                   \
		      .before = -1,                                                                \
		      .into = -1,                                                                  \
		      .save = CKSAVE_NONE,                                                         \
		      .log = CKLOG_NONE,                                                           \
		      .conmon = PROC_NONE})

static void job_clear(struct job *j)
{
	ERR_KEEP;

	cryo_dump_drop(&j->dump);
	archive_drop(&j->archive);
	checkpoint_image_drop(&j->image);
	cklog_close(&j->log);
	proc_close(&j->conmon);
	cktree_clear(&j->tree);
	if (j->dir >= 0)
		close(j->dir);
	cleanup_close(&j->before);
	cksave_drop(&j->save);
	*j = JOB_NONE;
}

/* What a snapshot copies is charged to the container, which near its limit would be killed. */
static bool has_room(struct container *c)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(cgroup_host_clear) struct cgroup_host host = {0};
	const struct container_options *o;
	int r = container_options(c, &o);

	if (r == 0 && o->memory <= 0)
		return true;
	if (r == 0)
		r = proc_open(c->state.pid, &p);
	if (r == 0)
		r = cgroup_host_ours(&host);
	if (r == 0)
		r = cgroup_room_for_copy(&host, p.dir);
	if (r < 0)
		err_clear();
	return r == 1;
}

static int save_frozen(void *arg)
{
	struct job *j = arg;
	int r = step_begin("checkpoint", "root file system");

	return r < 0 ? r : cksave_frozen(&j->save);
}

/* Memory goes from the processes into the archive, without a copy on disk in between. */
static int stream_begin(void *arg, const char *name, uint64_t bytes)
{
	return archive_begin_image(((struct job *)arg)->archive, name, bytes);
}

static int stream_data(void *arg, const void *buf, size_t len)
{
	return pack_data(archive_pack(((struct job *)arg)->archive), buf, len);
}

static int stream_end(void *arg)
{
	return pack_end(archive_pack(((struct job *)arg)->archive));
}

/* Bytes that went into the archive; a moment to stop, too. */
static int archive_watch(void *arg, uint64_t bytes)
{
	struct job *j = arg;
	uint64_t memory = j->dump ? cryo_dump_bytes(j->dump) : 0;

	progress_total(j->progress, MAX(memory, pack_bytes_announced(archive_pack(j->archive))));
	progress_at(j->progress, bytes);
	return interrupt_check();
}

static uint64_t written(void *arg)
{
	return ck_pages_bytes(*(const int *)arg, true);
}

/* Or else the archive is the only checkpoint, and then it must be one that can be read again. */
static bool keeps_images(const struct job *j)
{
	return !j->archive || !(archive_file(j->archive) || j->image) || j->o->keep || j->o->named;
}

/* What the archive has beside the images, while nothing in it moves. */
static int archive_frozen(void *arg)
{
	struct job *j = arg;
	int r = step_begin("checkpoint", "archive files");

	return r < 0 ? r : archive_put_files(j->archive, j->e, j->c);
}

static int look(struct job *j)
{
	struct cryo_dump_options o = {
		.leave_running = j->o->leave_running,
		.snapshot = j->o->leave_running && has_room(j->c),
		.tcp_established = j->o->tcp_established,
		.skip_in_flight = j->o->skip_in_flight,
		.ext_unix_sk = j->o->ext_unix_sk,
		.file_locks = j->o->file_locks,
		.frozen = j->o->named  ? save_frozen
			  : j->archive ? archive_frozen
				       : NULL,
		.frozen_arg = j,
		.pages_stream = keeps_images(j) ? NULL : &j->stream,
		.parent = j->before < 0 ? NULL : CK_PARENT,
		.parent_dir = j->before,
	};

	cktree_options(j->c, &j->tree, &o);
	if (j->archive)
		cktree_foreign(j->c, &j->tree, &o);
	if (!keeps_images(j)) /* it is in the archive */
		o.ntmpfs = 0;
	cryo_dump_drop(&j->dump);
	return cryo_dump_new(&o, &j->dump);
}

static int archive_images(struct job *j, int images)
{
	int r;

	if (!j->archive)
		return 0;
	r = step_begin("checkpoint", "archive images");
	if (r == 0)
		r = archive_put_images(j->archive, ARCHIVE_IMAGES, images);
	if (r == 0)
		r = archive_put_stats(j->archive, images);
	if (r == 0)
		r = step_begin("checkpoint", "archive commit");
	if (r < 0)
		return r;
	if (!j->image || !keeps_images(j))
		interrupt_commit();
	r = archive_commit(j->archive);
	return r < 0 || !j->image ? r : checkpoint_image_commit(j->image, j->c);
}

static int open_archive(struct job *j)
{
	int r = 0;

	if (j->o->create_image)
		r = checkpoint_image_begin(j->e, j->o->create_image, &j->image);
	if (r < 0 || (!j->image && !j->o->export))
		return r;
	j->archive_options = j->image ? *checkpoint_image_archive(j->image) : *j->o->export;
	j->archive_options.goes_on = j->o->leave_running;
	j->archive_options.watch = archive_watch;
	j->archive_options.watch_arg = j;
	r = archive_create(&j->archive_options, &j->archive);
	j->stream = (struct cryo_pages_stream){stream_begin, stream_data, stream_end, j};
	return r < 0 ? r : archive_put_documents(j->archive, j->e, j->c, !keeps_images(j));
}

/* An older checkpoint is not what the next restore is to find. */
static int keep_archive(struct job *j)
{
	int r = step_begin("checkpoint", "commit");

	if (r == 0 && j->image)
		r = exported_note_image(j->e, j->dir, checkpoint_image_layer(j->image),
					checkpoint_image_name(j->image));
	else if (r == 0)
		r = exported_note(j->e, j->dir, archive_file(j->archive));
	if (r == 0)
		ck_remove(j->dir, CK_IMAGES);
	return r;
}

/* The images, and what Podman and its readers expect beside them. */
static int write_images(struct job *j)
{
	CLEANUP(atomicdir_drop) struct atomicdir d = ATOMICDIR_NONE;
	int r = atomicdir_begin(&d, j->into, CK_IMAGES);

	if (r < 0)
		return r;
	progress_total(j->progress, cryo_dump_bytes(j->dump));
	if (!j->archive)
		progress_ask(j->progress, written, &d.fd);
	r = cryo_dump_write(j->dump, d.fd);
	progress_ask(j->progress, NULL, NULL);
	if (r == 0)
		r = ck_write_descriptors(d.fd, j->tree.box.descriptors);
	if (r == 0)
		r = sessions_write(&j->tree.sessions, d.fd);
	if (r == 0)
		r = ck_copy(d.fd, CK_STATS_DUMP, j->into);
	if (r == 0 && j->o->leave_running)
		r = cryo_dump_finish(j->dump, CRYO_RESUME); /* the disk is waited for later */
	if (r == 0)
		r = ck_write_network(j->into, j->c->state.network);
	if (r == 0)
		r = archive_images(j, d.fd);
	if (r == 0 && !keeps_images(j))
		return keep_archive(j);
	/* What a restore needs besides, which nobody has waited for yet. */
	if (r == 0)
		r = atomicdir_also(&d, j->into, CK_NETWORK);
	if (r == 0)
		r = atomicdir_also(&d, j->dir, "config.json");
	if (r == 0)
		r = store_sync_with(j->e, &d);
	if (r == 0)
		r = step_begin("checkpoint", "commit");
	if (r == 0)
		interrupt_commit();
	if (r == 0)
		r = atomicdir_commit(&d);
	if (r == 0 && !j->o->named)
		ck_remove(j->dir, CK_EXPORTED);
	return r;
}

#define TRIES 5

/*
 * Something came between the look and the freeze that passes by itself, as a connection that is
 * accepted in a moment: the container goes on, and is looked at again.
 */
static int write_patiently(struct job *j)
{
	int r = write_images(j);

	for (unsigned i = 1; r == -EAGAIN && i < TRIES; i++) {
		log_debug("checkpoint: try %u: %s", i, err_message());
		err_clear();
		r = look(j);
		if (r == 0)
			r = write_images(j);
	}
	return r;
}

/* From here on the checkpoint is what counts: the processes go. */
static int end_container(struct job *j)
{
	struct container_state *s = &j->c->state;
	int r = step_begin("checkpoint", "kill");

	if (s->conmon_pid > 0 && proc_open(s->conmon_pid, &j->conmon) < 0)
		err_clear(); /* it is gone already */
	if (r == 0)
		r = cryo_dump_finish(j->dump, CRYO_KILL);
	if (r == 0)
		r = step_begin("checkpoint", "record");
	if (r < 0)
		return r;
	return cktree_end(j->e, j->c, &j->tree);
}

/* Started with --rm: the archive is all that is left of it. */
static bool goes_away(struct job *j)
{
	const struct container_options *o;

	return j->o->export && !j->o->leave_running && container_options(j->c, &o) == 0 && o->rm;
}

static int settle(struct job *j)
{
	struct container_state *s = &j->c->state;

	if (goes_away(j))
		return life_remove(
			j->e, j->c,
			&(struct remove_options){.force = true, .volumes = true, .timeout = -1});
	g_free(s->checkpoint_path);
	if (j->o->named) {
		g_autofree char *dir =
			cknamed_path(j->e, j->c, j->o->named->dir, j->o->named->name);

		s->checkpoint_path = g_build_filename(dir, CK_IMAGES, NULL);
	} else {
		s->checkpoint_path = ck_path(j->e, j->c, CK_IMAGES);
	}
	g_clear_pointer(&s->checkpoint_log, g_free);
	cklog_close(&j->log);
	if (j->o->keep) {
		s->checkpoint_log = ck_path(j->e, j->c, CK_DUMP_LOG);
	} else {
		ck_remove(j->dir, CK_DUMP_LOG);
		ck_remove(j->dir, CK_STATS_DUMP);
	}
	return container_save(j->e, j->c);
}

/* A refusal: nothing has happened that a log could tell of. */
static void drop_log(struct job *j)
{
	ERR_KEEP;

	cklog_close(&j->log);
	if (j->dir >= 0)
		ck_remove(j->dir, CK_DUMP_LOG);
}

/* Nothing has been taken from the container; what went wrong may have a cure. */
static int describe(struct job *j, int r)
{
	if (r == -ENOSPC || r == -EDQUOT)
		r = err_set(r, "%s: it goes on running; free some space in %s%s%s", err_message(),
			    j->e->root, j->o->export ? " and for " : "",
			    j->o->export ? j->o->export->path ?: "the archive" : "");
	return err_wrap(r, "checkpoint %s", j->c->name);
}

/* Where the images go: the container's own directory, or a new one that will have a name. */
static int begin_named(struct job *j)
{
	int r = 0;

	j->into = j->dir;
	if (j->o->named) {
		r = cksave_begin(j->e, j->c, j->o->named, &j->save);
		j->into = j->save.dir;
	}
	return r;
}

static int commit_named(struct job *j, struct checkpoint_report *ret)
{
	int r = j->o->named ? step_begin("checkpoint", "name") : 0;

	ret->cryo = *cryo_dump_stats(j->dump);
	return r < 0 || !j->o->named ? r : cksave_commit(&j->save, ret, j->o->leave_running);
}

static int checkpoint_locked(struct job *j, struct checkpoint_report *ret)
{
	int64_t from;
	int r = j->o->with_previous ? precheckpoint_find(j->e, j->c) : 0;

	if (r == 0 && !(j->o->paused && j->c->state.status == CONTAINER_PAUSED))
		r = checkpoint_check_state(j->e, j->c, j->o->export != NULL);
	if (r == 0 && (j->o->export || j->o->create_image))
		r = archive_check(j->e, j->c);
	if (r == 0)
		r = ck_open_static(j->e, j->c, &j->dir);
	if (r == 0)
		r = cktree_read(j->e, j->c, j->dir, &j->tree);
	if (r == 0)
		r = cklog_open(&j->log, j->dir, CK_DUMP_LOG);
	if (r == 0 && j->o->with_previous)
		r = precheckpoint_open(j->dir, &j->before);
	if (r == 0)
		r = open_archive(j);
	if (r < 0) {
		drop_log(j);
		return r;
	}
	cktree_await(j->c, &j->tree);
	from = g_get_monotonic_time();
	r = look(j);
	if (r < 0)
		drop_log(j);
	if (r == 0)
		r = begin_named(j);
	if (r == 0)
		r = write_patiently(j);
	if (r == 0)
		r = commit_named(j, ret);
	if (r < 0)
		return describe(j, r);
	if (!j->o->leave_running)
		r = end_container(j);
	ret->runtime_us = (uint64_t)(g_get_monotonic_time() - from);
	ret->cryo = *cryo_dump_stats(j->dump);
	event_container(j->e, j->c, "checkpoint");
	if (r == 0 && !j->o->leave_running)
		event_container(j->e, j->c, "cleanup");
	if (r == 0)
		r = step_begin("checkpoint", "settle");
	if (r == 0)
		r = settle(j);
	return r;
}

/*
 * conmon's `cleanup` has waited for our lock and finds nothing to do.  When we return, nobody is at
 * work in the container's directories any more: they may be copied, or the run root taken away.
 */
static void wait_for_conmon(struct job *j)
{
	ERR_KEEP;

	if (j->conmon.pidfd >= 0 && proc_wait_end(&j->conmon, CONMON_TIMEOUT_MS) != 1)
		log_debug("conmon (%d) of %s stays", j->conmon.pid, j->c->name);
}

int container_checkpoint(struct engine *e, struct container *c, const struct checkpoint_options *o,
			 struct checkpoint_report *ret)
{
	CLEANUP(interrupt_end) struct interrupt interrupt __attribute__((unused)) = {0};
	g_autofree char *what = g_strdup_printf("checkpoint %s", c->name);
	CLEANUP(progress_end) struct progress *progress = NULL;
	CLEANUP(job_clear) struct job j = JOB_NONE;
	int r = container_lock(e, c);

	if (r < 0)
		return r;
	interrupt = interrupt_begin(); /* who waits for a lock may be ended at any time */
	j.progress = progress = progress_begin(what);
	j.e = e;
	j.c = c;
	j.o = o;
	*ret = (struct checkpoint_report){0};
	r = checkpoint_locked(&j, ret);
	cryo_dump_drop(&j.dump); /* resumes the container before others may look at it */
	container_unlock(c);
	wait_for_conmon(&j);
	return r;
}
