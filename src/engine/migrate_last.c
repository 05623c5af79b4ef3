/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last part: what it takes is what the container is down.  Nothing here waits for a disk: until
 * "go" the container has all that it needs to go on in memory, and after it too, frozen by its
 * control group and recorded as paused, until the other side says that it runs there.
 */
#include "engine/migrate_out.h"

#include "base/interrupt.h"
#include "base/log.h"
#include "cr/cryo.h"
#include "cr/step.h"
#include "engine/archive_out.h"
#include "engine/checkpoint.h"
#include "engine/ckfiles.h"
#include "engine/cktree.h"
#include "engine/events.h"
#include "engine/lifecycle.h"
#include "engine/pack.h"
#include "kernel/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define PAGE_BYTES	  4096u
#define CONMON_TIMEOUT_MS 5000
#define TRIES		  5

/* It is down: who does not answer for so long, and for what there is to be read, is gone. */
#define PATIENCE_S    20
#define SLOWEST_BYTES (UINT64_C(50) << 20) /* a second */

struct last {
	struct moving *m;
	struct cktree tree;
	struct cryo_dump *dump;
	struct memory_out out;
	struct freezer freezer;
	struct proc conmon;
	int dir, images;
};

static void last_clear(struct last *l)
{
	ERR_KEEP;

	cryo_dump_drop(&l->dump);
	freezer_close(&l->freezer);
	cktree_clear(&l->tree);
	proc_close(&l->conmon);
	cleanup_close(&l->dir);
	cleanup_close(&l->images);
}

int migrate_open_freezer(const struct moving *m, struct freezer *ret)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(cgroup_host_clear) struct cgroup_host host = {0};
	int r = proc_open(m->c->state.pid, &p);

	if (r == 0)
		r = cgroup_host_ours(&host);
	if (r == 0)
		r = freezer_open(ret, &host, p.dir);
	return r == -EOPNOTSUPP ? err_set(EOPNOTSUPP,
					  "%s is in no control group with a freezer, which has to "
					  "hold it until it runs there",
					  m->c->name)
				: r;
}

/* All have their SIGKILL. */
static void thaw_group(void *arg)
{
	struct last *l = arg;

	if (l->freezer.ops->set(&l->freezer, false) < 0)
		log_warn("%s", err_message());
}

static int tell_rest(void *arg)
{
	return channel_say(((struct last *)arg)->m->ch, json_pack("{ss}", "next", "rest"));
}

static int look(struct last *l)
{
	struct moving *m = l->m;
	struct cryo_dump_options o = {
		.tcp_established = m->o->tcp_established,
		.file_locks = true,
		.pages_out = &l->out.hooks,
		.parent = m->before < 0 ? NULL : "previous",
		.parent_dir = m->before,
		.dying = thaw_group,
		.dying_arg = l,
	};

	cktree_options(m->c, &l->tree, &o);
	cryo_dump_drop(&l->dump);
	return cryo_dump_new(&o, &l->dump);
}

static int prepare(struct last *l)
{
	struct moving *m = l->m;
	int r = checkpoint_check_state(m->e, m->c, true);

	memory_out_init(&l->out, m->ch);
	l->out.begin = tell_rest;
	l->out.begin_arg = l;
	if (r == 0)
		r = migrate_open_freezer(m, &l->freezer);
	if (r == 0)
		r = ck_open_static(m->e, m->c, &l->dir);
	if (r == 0)
		r = cktree_read(m->e, m->c, l->dir, &l->tree);
	if (r == 0)
		r = migrate_images(m, "last", &l->images);
	if (r < 0)
		return r;
	cktree_await(m->c, &l->tree);
	return look(l);
}

/* Something came between the look and the freeze that passes by itself: engine/checkpoint.c */
static int dump(struct last *l)
{
	int r = -EAGAIN;

	for (unsigned i = 0; r == -EAGAIN && !l->out.begun && i < TRIES; i++) {
		if (i > 0) {
			log_debug("migrate: try %u: %s", i, err_message());
			err_clear();
			r = look(l);
			if (r < 0)
				return r;
		}
		l->m->frozen_at = g_get_monotonic_time();
		r = cryo_dump_write(l->dump, l->images);
	}
	return r;
}

/* Files only: nothing in them leads to the rounds before, whose pages are there already. */
static int pack_images_of(struct pack *p, int images)
{
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", images);
	g_autoptr(GDir) names = g_dir_open(path, 0, NULL);
	const char *name;
	struct stat st;
	int r = names ? 0 : err_set(EIO, "read the images");

	while (r == 0 && (name = g_dir_read_name(names))) {
		g_autofree char *member = g_strconcat(ARCHIVE_IMAGES "/", name, NULL);

		if (fstatat(images, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			r = pack_file_at(p, member, images, name);
	}
	return r;
}

static int send_images(struct last *l)
{
	CLEANUP(pack_drop) struct pack *p = NULL;
	int fd, r = channel_out_begin(l->m->ch, &fd);

	if (r < 0)
		return r;
	r = pack_open(&(struct pack_options){.fd = fd,
					     .compression = PACK_NONE,
					     .shown = "the last part"},
		      &p);
	if (r == 0)
		r = pack_images_of(p, l->images);
	if (r == 0)
		r = files_out_pass(l->m->files, p, true);
	if (r == 0)
		r = pack_finish(p);
	return channel_out_end(l->m->ch, r);
}

static unsigned patience(const struct last *l)
{
	const struct migrate_report *r = l->m->report;
	uint64_t bytes = r->rounds ? r->round[r->rounds - 1].aside : cryo_dump_bytes(l->dump);

	return PATIENCE_S + (unsigned)MIN(bytes / SLOWEST_BYTES, 3600u);
}

static int send_rest(struct last *l)
{
	struct moving *m = l->m;
	uint64_t before = channel_bytes_out(m->ch);
	const struct cryo_dump_stats *stats;
	int r;

	channel_patience(m->ch, patience(l), true);
	r = dump(l);

	if (r == 0)
		r = ck_write_descriptors(l->images, l->tree.box.descriptors);
	if (r == 0)
		r = sessions_write(&l->tree.sessions, l->images);
	if (r == 0)
		r = memory_out_end(&l->out);
	if (r == 0)
		r = step_begin("migrate", "images");
	if (r == 0)
		r = send_images(l);
	m->report->last_bytes = channel_bytes_out(m->ch) - before;
	stats = cryo_dump_stats(l->dump);
	m->report->memory_bytes += (stats->pages_written + stats->shpages_written) * PAGE_BYTES;
	m->report->dump_us = g_get_monotonic_time() - m->frozen_at;
	return r;
}

static int set_status(struct moving *m, enum container_status status)
{
	m->c->state.status = status;
	return container_save(m->e, m->c);
}

/* It goes on here after all. */
static void unhold(struct last *l)
{
	ERR_KEEP;

	thaw_group(l);
	if (set_status(l->m, CONTAINER_RUNNING) < 0)
		log_warn("%s", err_message());
}

/* From "go" on nothing here may run on by itself, whatever becomes of us. */
static int hold(struct last *l)
{
	struct moving *m = l->m;
	int r = step_begin("migrate", "hold");

	if (r == 0)
		r = l->freezer.ops->set(&l->freezer, true);
	if (r == 0)
		r = set_status(m, CONTAINER_PAUSED);
	if (r == 0)
		r = step_begin("migrate", "go");
	if (r < 0)
		unhold(l);
	return r;
}

static int agree(struct last *l)
{
	struct moving *m = l->m;
	json_t *answer = NULL;
	int64_t ready_at, runs_at;
	int r = migrate_hear(m, "ready", NULL);

	ready_at = g_get_monotonic_time();
	m->report->thaw_us = ready_at - m->frozen_at - m->report->dump_us;
	if (r == 0)
		r = hold(l);
	if (r < 0)
		return r;
	interrupt_commit();
	m->gone = true;
	r = migrate_ask(m, json_pack("{sb}", "go", 1), "running", &answer);
	runs_at = g_get_monotonic_time();
	m->report->downtime_us = runs_at - m->frozen_at;
	m->report->agree_us = runs_at - ready_at;
	if (r == 0)
		g_strlcpy(m->report->id,
			  json_string_value(json_object_get(answer, "running")) ?: "",
			  sizeof(m->report->id));
	json_decref(answer);
	if (r < 0 && channel_was_refused(m->ch)) { /* it says that it does not run there */
		m->gone = false;
		unhold(l);
	}
	return r < 0 ? r : step_begin("migrate", "running");
}

/* Nobody knows: as it is, frozen, until somebody does. */
static int keep_frozen(struct last *l)
{
	int r = l->freezer.ops->set(&l->freezer, false);

	return r < 0 ? r : cryo_dump_finish(l->dump, CRYO_FREEZE);
}

static int end_here(struct last *l)
{
	struct moving *m = l->m;
	int r;

	if (m->c->state.conmon_pid > 0 && proc_open(m->c->state.conmon_pid, &l->conmon) < 0)
		err_clear();
	r = cryo_dump_finish(l->dump, CRYO_KILL);
	if (r == 0)
		r = cktree_end(m->e, m->c, &l->tree);
	if (r < 0)
		return r;
	container_forget_checkpoint(&m->c->state);
	r = container_save(m->e, m->c);
	event_container(m->e, m->c, "checkpoint");
	return r;
}

static int locked(struct last *l)
{
	int r = prepare(l);

	if (r == 0)
		r = send_rest(l);
	if (r == 0)
		r = agree(l);
	if (r == 0)
		return l->m->o->keep ? keep_frozen(l) : end_here(l);
	if (l->m->gone) {
		ERR_KEEP;

		if (keep_frozen(l) < 0)
			log_warn("%s", err_message());
	}
	return r;
}

int migrate_last(struct moving *m)
{
	CLEANUP(interrupt_end) struct interrupt interrupt __attribute__((unused)) = {0};
	CLEANUP(last_clear)
	struct last l = {
		.m = m, .freezer = FREEZER_NONE, .conmon = PROC_NONE, .dir = -1, .images = -1};
	int r = container_lock(m->e, m->c);

	if (r < 0)
		return r;
	interrupt = interrupt_begin();
	r = locked(&l);
	cryo_dump_drop(&l.dump); /* resumes it before others may look at it */
	container_unlock(m->c);
	if (l.conmon.pidfd >= 0 && proc_wait_end(&l.conmon, CONMON_TIMEOUT_MS) != 1) {
		log_debug("conmon (%d) of %s stays", l.conmon.pid, m->c->name);
		err_clear();
	}
	return r;
}
