/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory and files ahead.  What gets dirty while a round is on its way has to be sent by the next
 * one: each round is shorter than the one before as long as more gets through than gets dirty.
 */
#include "engine/migrate_out.h"

#include "cr/cryo.h"
#include "cr/step.h"
#include "engine/checkpoint.h"
#include "engine/ckfiles.h"
#include "engine/cktree.h"
#include "engine/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define PAGE_BYTES 4096u
#define ROUNDS_MAX 12 /* of those that nobody has asked for by number */
/*
 * What it takes besides bytes: stopping, reading and making processes, agreeing.  Measured with one
 * process of a few threads; each further process and thread adds to it, and so does the page table.
 */
#define FIXED_US      40000
#define FIXED_TASK_US 1500
#define READ_BACK_RATE                                                                             \
	(UINT64_C(1500) << 20) /* of what does not wait in the stub: a file's pages */

int migrate_images(struct moving *m, const char *name, int *ret)
{
	if (mkdirat(m->dir, name, 0700) < 0)
		return err_errno("make a directory for a round");
	*ret = openat(m->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_errno("open %s", name) : 0;
}

int migrate_send_files(struct moving *m, uint64_t *ret_bytes)
{
	CLEANUP(pack_drop) struct pack *p = NULL;
	uint64_t before = channel_bytes_out(m->ch);
	int fd, r = channel_say(m->ch, json_pack("{ss}", "next", "files"));

	if (r == 0)
		r = channel_out_begin(m->ch, &fd);
	if (r < 0)
		return r;
	r = pack_open(&(struct pack_options){.fd = fd, .compression = PACK_NONE, .shown = "files"},
		      &p);
	if (r == 0)
		r = files_out_pass(m->files, p, false);
	if (r == 0)
		r = pack_finish(p);
	r = channel_out_end(m->ch, r);
	*ret_bytes = channel_bytes_out(m->ch) - before;
	return r < 0 ? r : migrate_hear(m, "files", NULL);
}

struct round {
	struct moving *m;
	struct migrate_round now;
	struct cryo_dump_stats stats;
	unsigned tasks;
	uint64_t files;
	int64_t scanned_at; /* what is written from then on is for the next one */
};

static int dump_locked(struct round *x, int images)
{
	struct moving *m = x->m;
	CLEANUP(cktree_clear) struct cktree tree = CKTREE_NONE;
	struct cryo_dump_options o = {.parent = m->before < 0 ? NULL : "previous",
				      .parent_dir = m->before};
	struct memory_out out;
	autoclose int dir = -1;
	int r = checkpoint_check_state(m->e, m->c, true);

	memory_out_init(&out, m->ch);
	o.pages_out = &out.hooks;
	if (r == 0)
		r = ck_open_static(m->e, m->c, &dir);
	if (r == 0)
		r = cktree_read(m->e, m->c, dir, &tree);
	if (r < 0)
		return r;
	cktree_await(m->c, &tree);
	cktree_options(m->c, &tree, &o);
	r = channel_say(m->ch, json_pack("{ss}", "next", "round"));
	if (r == 0)
		r = step_begin("migrate", "round");
	if (r == 0)
		r = cryo_predump(&o, images, &x->stats);
	return r < 0 ? r : memory_out_end(&out);
}

static int send_memory(struct round *x)
{
	struct moving *m = x->m;
	char name[16];
	json_t *answer = NULL;
	int images, r;

	snprintf(name, sizeof(name), "%u", x->now.number);
	r = migrate_images(m, name, &images);
	if (r == 0)
		r = container_lock(m->e, m->c);
	if (r < 0)
		return r;
	x->scanned_at = g_get_monotonic_time();
	r = dump_locked(x, images);
	container_unlock(m->c);
	cleanup_close(&m->before);
	m->before = images;
	if (r == 0)
		r = migrate_hear(m, "round", &answer);
	if (r < 0)
		return r;
	x->now.aside = (uint64_t)json_integer_value(json_object_get(answer, "aside"));
	x->tasks = (unsigned)json_integer_value(json_object_get(answer, "processes"));
	json_decref(answer);
	return 0;
}

/* Is another round worth it? */
static bool enough(const struct moving *m, const struct migrate_round *now,
		   const struct migrate_round *before)
{
	bool shrinks = !before || now->expected_us < before->expected_us - before->expected_us / 8;

	if (m->o->rounds >= 0)
		return (int)now->number >= m->o->rounds;
	if (now->number >= ROUNDS_MAX)
		return true;
	/* One that costs little and gains much is worth it even when the aim is reached. */
	return before && (!shrinks || now->expected_us <= m->o->downtime_us / 2);
}

static void tell(const struct moving *m, const struct migrate_round *round)
{
	if (m->o->progress)
		m->o->progress(m->o->progress_arg, round);
}

/*
 * At the rate at which it gets dirty as much comes together as this round has taken; that, and
 * what does not wait in memory there, has to get through while it is down.
 */
static void estimate(struct round *x, int64_t before_us)
{
	struct migrate_round *now = &x->now;
	struct moving *m = x->m;
	uint64_t took = (uint64_t)MAX(now->took_us, 1), left;

	if (now->bytes > (UINT64_C(4) << 20) || !m->rate) /* less says little about the way */
		m->rate = MAX(now->bytes * 1000000 / took, 1);
	if (before_us)
		now->dirty_rate =
			now->bytes * 1000000 / (uint64_t)MAX(x->scanned_at - before_us, 1);
	left = before_us ? now->dirty_rate * took / 1000000 + x->files : now->bytes;
	now->expected_us = FIXED_US + FIXED_TASK_US * (int64_t)x->tasks + x->stats.frozen_time +
			   (int64_t)(left * 1000000 / m->rate) +
			   (int64_t)(now->aside * 1000000 / READ_BACK_RATE);
}

int migrate_rounds(struct moving *m)
{
	const struct migrate_round *before = NULL;
	int64_t before_us = 0;

	for (unsigned n = 1; m->o->rounds != 0; n++) {
		struct round x = {.m = m, .now = {.number = n}};
		int64_t from = g_get_monotonic_time();
		int r = n > 1 ? migrate_send_files(m, &x.files) : 0;

		if (r == 0)
			r = send_memory(&x);
		if (r < 0)
			return r;
		x.now.bytes = (x.stats.pages_written + x.stats.shpages_written) * PAGE_BYTES;
		x.now.took_us = g_get_monotonic_time() - from;
		estimate(&x, before_us);
		before_us = x.scanned_at;
		m->report->files_bytes += x.files;
		m->report->memory_bytes += x.now.bytes;
		m->report->expected_us = x.now.expected_us;
		m->report->round[m->report->rounds++] = x.now;
		tell(m, &x.now);
		if (enough(m, &x.now, before))
			break;
		before = &m->report->round[m->report->rounds - 1];
	}
	return 0;
}
