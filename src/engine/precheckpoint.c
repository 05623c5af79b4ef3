/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/precheckpoint.h"
#include "base/atomicdir.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "cr/step.h"
#include "engine/archive_out.h"
#include "engine/ckfiles.h"
#include "engine/cktree.h"
#include "engine/events.h"
#include "engine/lifecycle.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define PREVIOUS "previous"
#define ROUNDS_MAX                                                                                 \
	16 /* then all memory is written once more: a restore looks into each of them              \
	    */

struct job {
	struct engine *e;
	struct container *c;
	int dir, before; /* userdata; the newest round; -1 */
	struct cktree tree;
	struct archive_out *archive;
	struct progress *progress;
	struct cklog log;
};
#define JOB_NONE ((struct job){.dir = -1, .before = -1, .log = CKLOG_NONE})

static void job_clear(struct job *j)
{
	ERR_KEEP;

	cklog_close(&j->log);
	archive_drop(&j->archive);
	cktree_clear(&j->tree);
	cleanup_close(&j->dir);
	cleanup_close(&j->before);
	*j = JOB_NONE;
}

int precheckpoint_find(struct engine *e, const struct container *c)
{
	g_autofree char *path = ck_path(e, c, CK_PRE_IMAGES);
	struct stat st;

	if (stat(path, &st) == 0)
		return 0;
	return err_set(errno, "stat %s: %s", path,
		       errno == ENOENT ? "no such file or directory" : g_strerror(errno));
}

int precheckpoint_open(int dir, int *ret_fd)
{
	*ret_fd = openat(dir, CK_PRE_IMAGES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno("open " CK_PRE_IMAGES) : 0;
}

/* A checkpoint that goes on from the newest round takes it along. */
static int leave_to_checkpoint(struct job *j)
{
	char link[sizeof(CK_PARENT) + 1] = "";

	if (readlinkat(j->dir, CK_IMAGES "/parent", link, sizeof(link) - 1) < 0 ||
	    strcmp(link, CK_PARENT) != 0)
		return 0;
	if (renameat(j->dir, CK_PRE_IMAGES, j->dir, CK_IMAGES "/" CK_PRE_IMAGES) < 0 &&
	    errno != ENOENT)
		return err_errno("move " CK_PRE_IMAGES " to its checkpoint");
	if (unlinkat(j->dir, CK_IMAGES "/parent.new", 0) < 0 && errno != ENOENT)
		return err_errno("remove " CK_IMAGES "/parent.new");
	if (symlinkat(CK_PRE_IMAGES, j->dir, CK_IMAGES "/parent.new") < 0 ||
	    renameat(j->dir, CK_IMAGES "/parent.new", j->dir, CK_IMAGES "/parent") < 0)
		return err_errno("link to " CK_PRE_IMAGES);
	return 0;
}

/* The newest round, unless there are too many already. */
static int open_before(struct job *j)
{
	autoclose int at = -1;

	j->before = openat(j->dir, CK_PRE_IMAGES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->before < 0)
		return errno == ENOENT ? 0 : err_errno("open " CK_PRE_IMAGES);
	if (faccessat(j->before, "inventory.img", R_OK, 0) < 0)
		cleanup_close(&j->before), j->before = -1;
	for (unsigned i = 0; j->before >= 0; i++) {
		int next = openat(at < 0 ? j->before : at, PREVIOUS,
				  O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (next < 0)
			break;
		cleanup_close(&at);
		at = next;
		if (i + 1 == ROUNDS_MAX) {
			cleanup_close(&j->before);
			j->before = -1;
		}
	}
	return 0;
}

/* It may have nothing that the new one needs: the container was started again. */
static int take_before(struct job *j, const struct atomicdir *d, const struct cryo_dump_stats *s)
{
	if (j->before < 0)
		return 0;
	if (!s->pages_skipped_parent)
		return unlinkat(d->fd, "parent", 0) < 0 ? err_errno("remove a link") : 0;
	return renameat(j->dir, CK_PRE_IMAGES, d->fd, PREVIOUS) < 0
		       ? err_errno("move " CK_PRE_IMAGES)
		       : 0;
}

static uint64_t written(void *arg)
{
	return ck_pages_bytes(*(const int *)arg, true);
}

/* Bytes that went into the archive; a moment to stop, too. */
static int archive_watch(void *arg, uint64_t bytes)
{
	struct job *j = arg;

	progress_total(j->progress, pack_bytes_announced(archive_pack(j->archive)));
	progress_at(j->progress, bytes);
	return interrupt_check();
}

static int write_images(struct job *j, struct cryo_dump_stats *ret)
{
	CLEANUP(atomicdir_drop) struct atomicdir d = ATOMICDIR_NONE;
	const struct cryo_dump_options o = {
		.pid = j->c->state.pid,
		.guests = (const struct cryo_guest *)(void *)j->tree.sessions.guests->data,
		.nguests = j->tree.sessions.guests->len,
		.parent = j->before < 0 ? NULL : PREVIOUS,
		.parent_dir = j->before,
	};
	int r = atomicdir_begin(&d, j->dir, CK_PRE_IMAGES);

	progress_ask(j->progress, written, &d.fd);
	if (r == 0)
		r = cryo_predump(&o, d.fd, ret);
	progress_ask(j->progress, NULL, NULL);
	if (r == 0)
		r = ck_copy(d.fd, CK_STATS_DUMP, j->dir);
	if (r == 0)
		r = ck_write_network(j->dir, j->c->state.network);
	if (r == 0)
		r = step_begin("pre-checkpoint", "commit");
	if (r == 0)
		r = take_before(j, &d, ret);
	return r < 0 ? r : atomicdir_commit(&d);
}

/* All rounds that the newest one needs, and the files as they are now. */
static int export_images(struct job *j)
{
	autoclose int images = -1;
	int r;

	if (!j->archive)
		return 0;
	r = precheckpoint_open(j->dir, &images);
	if (r == 0)
		r = archive_put_documents(j->archive, j->e, j->c, false);
	if (r == 0)
		r = archive_put_files(j->archive, j->e, j->c);
	if (r == 0)
		r = archive_put_images(j->archive, ARCHIVE_PREVIOUS, images);
	if (r == 0)
		r = archive_put_stats(j->archive, j->dir);
	return r < 0 ? r : archive_commit(j->archive);
}

/* Disk space of rounds before that the new one has made useless. */
static void free_old(struct job *j)
{
	autoclose int dir = -1;

	if (precheckpoint_open(j->dir, &dir) < 0 || cryo_images_dedup(dir) < 0) {
		log_info("%s", err_message());
		err_clear();
	}
}

static int settle(struct job *j)
{
	struct container_state *s = &j->c->state;

	cklog_close(&j->log);
	g_free(s->checkpoint_path);
	s->checkpoint_path = ck_path(j->e, j->c, CK_IMAGES);
	g_free(s->checkpoint_log);
	s->checkpoint_log = ck_path(j->e, j->c, CK_DUMP_LOG);
	return container_save(j->e, j->c);
}

static int precheckpoint_locked(struct job *j, const struct archive_options *export,
				struct checkpoint_report *ret)
{
	int64_t from = g_get_monotonic_time();
	struct archive_options archive = export ? *export : (struct archive_options){};
	int r = checkpoint_check_state(j->e, j->c, export != NULL);

	archive.watch = archive_watch;
	archive.watch_arg = j;
	if (r == 0 && export)
		r = archive_create(&archive, &j->archive);

	if (r == 0)
		r = ck_open_static(j->e, j->c, &j->dir);
	if (r == 0)
		r = cktree_read(j->e, j->c, j->dir, &j->tree);
	if (r == 0)
		r = cklog_open(&j->log, j->dir, CK_DUMP_LOG);
	if (r == 0)
		r = leave_to_checkpoint(j);
	if (r == 0)
		r = open_before(j);
	if (r < 0)
		return r;
	cktree_await(j->c, &j->tree);
	r = write_images(j, &ret->cryo);
	if (r == 0)
		r = export_images(j);
	ret->runtime_us = (uint64_t)(g_get_monotonic_time() - from);
	if (r < 0)
		return err_wrap(r, "pre-checkpoint %s", j->c->name);
	free_old(j);
	event_container(j->e, j->c, "checkpoint");
	return settle(j);
}

int container_precheckpoint(struct engine *e, struct container *c,
			    const struct archive_options *export, struct checkpoint_report *ret)
{
	CLEANUP(interrupt_end) struct interrupt interrupt __attribute__((unused)) = {0};
	g_autofree char *what = g_strdup_printf("pre-checkpoint %s", c->name);
	CLEANUP(progress_end) struct progress *progress = NULL;
	CLEANUP(job_clear) struct job j = JOB_NONE;
	int r = container_lock(e, c);

	if (r < 0)
		return r;
	interrupt = interrupt_begin();
	j.progress = progress = progress_begin(what);
	j.e = e;
	j.c = c;
	*ret = (struct checkpoint_report){0};
	r = precheckpoint_locked(&j, export, ret);
	container_unlock(c);
	return r;
}
