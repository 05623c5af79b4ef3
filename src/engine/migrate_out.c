/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/migrate_out.h"

#include "base/interrupt.h"
#include "engine/archive_out.h"
#include "engine/blobs.h"
#include "engine/checkpoint.h"
#include "engine/image.h"
#include "engine/lifecycle.h"

#include <errno.h>
#include <fcntl.h>

static void moving_clear(struct moving *m)
{
	ERR_KEEP;

	migrate_disconnect(m);
	files_out_free(&m->files);
	cleanup_close(&m->dir);
	cleanup_close(&m->before);
	blobs_scratch_drop(&m->scratch);
}

static int greet(struct moving *m)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	json_t *hello, *answer = NULL;
	uint64_t before;
	bool missing;
	int r = image_resolve(m->e, m->c->image_id, &img);

	if (r < 0)
		return r;
	hello = json_pack("{si ss ss ss ss ss sb ss*}", "version", MIGRATE_VERSION, "id", m->c->id,
			  "name", m->c->name, "imageID", img.id, "imageDigest", img.digest,
			  "imageName", m->c->image_name, "tcpEstablished", m->o->tcp_established,
			  "newName", m->o->name);
	r = migrate_ask(m, hello, "needImage", &answer);
	missing = json_is_true(json_object_get(answer, "needImage"));
	json_decref(answer);
	if (r < 0 || !missing)
		return r;
	before = channel_bytes_out(m->ch);
	r = migrate_send_image(m->e, m->ch, &img);
	m->report->image_bytes = channel_bytes_out(m->ch) - before;
	return r < 0 ? r : migrate_hear(m, "image", NULL);
}

/* All that is noted here as known is in what is packed then, or is seen as changed later. */
static int pack_container(struct moving *m, int fd)
{
	CLEANUP(archive_drop) struct archive_out *a = NULL;
	const struct archive_options o = {.fd = fd, .compression = PACK_NONE, .ignore_shm = true};
	int r = files_out_new(m->e, m->c, &m->files);

	if (r == 0) {
		files_out_log(m->files);
		r = files_out_pass(m->files, NULL, false);
	}
	if (r == 0)
		r = archive_create(&o, &a);
	if (r == 0)
		r = archive_put_documents(a, m->e, m->c, false);
	if (r == 0)
		r = archive_put_files(a, m->e, m->c);
	return r < 0 ? r : archive_commit(a);
}

/* Configuration and files go ahead: the other side makes the container of them. */
static int send_container(struct moving *m)
{
	uint64_t before = channel_bytes_out(m->ch);
	int fd, r = channel_say(m->ch, json_pack("{ss}", "next", "container"));

	if (r == 0)
		r = channel_out_begin(m->ch, &fd);
	if (r < 0)
		return r;
	r = container_lock(m->e, m->c);
	if (r == 0) {
		r = checkpoint_check_state(m->e, m->c, true);
		if (r == 0)
			r = pack_container(m, fd);
		container_unlock(m->c);
	}
	r = channel_out_end(m->ch, r);
	m->report->files_bytes = channel_bytes_out(m->ch) - before;
	return r < 0 ? r : migrate_hear(m, "box", NULL);
}

static int open_scratch(struct moving *m)
{
	int r = blobs_scratch(m->e, "migrate", &m->scratch);

	if (r < 0)
		return r;
	m->dir = open(m->scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return m->dir < 0 ? err_errno("open %s", m->scratch) : 0;
}

/* It runs there.  --keep: it stays here as a checkpoint, of what is still in memory. */
static int leave(struct moving *m)
{
	const struct remove_options how = {.force = true, .volumes = true, .timeout = 0};
	const struct checkpoint_options o = {
		.tcp_established = m->o->tcp_established, .file_locks = true, .paused = true};
	struct checkpoint_report unused;

	return m->o->keep ? container_checkpoint(m->e, m->c, &o, &unused)
			  : container_remove(m->e, m->c, &how);
}

/* What went wrong, and what that means for the container. */
static int describe(const struct moving *m, int r)
{
	if (!m->gone)
		return err_set(-r, "%s; %s goes on running here", err_message(), m->c->name);
	return err_set(-r,
		       "%s; %s is paused here, and it is not known whether it runs on %s: if not, "
		       "`container unpause %s` lets it go on",
		       err_message(), m->c->name, m->o->host, m->c->name);
}

int container_migrate(struct engine *e, struct container *c, const struct migrate_options *o,
		      struct migrate_report *ret)
{
	CLEANUP(interrupt_end) struct interrupt interrupt __attribute__((unused)) = {0};
	CLEANUP(moving_clear)
	struct moving m = {.e = e,
			   .c = c,
			   .o = o,
			   .in = -1,
			   .out = -1,
			   .ssh_status = -1,
			   .dir = -1,
			   .before = -1,
			   .report = ret};
	CLEANUP(freezer_close) struct freezer freezer = FREEZER_NONE;
	int64_t from = g_get_monotonic_time();
	int r = checkpoint_check_state(e, c, true);

	*ret = (struct migrate_report){0};
	if (r == 0)
		r = archive_check(e, c);
	if (r == 0)
		r = migrate_open_freezer(&m, &freezer);
	if (r < 0)
		return r;
	interrupt = interrupt_begin();
	r = open_scratch(&m);
	if (r == 0)
		r = migrate_connect(&m);
	if (r == 0)
		r = greet(&m);
	if (r == 0)
		r = send_container(&m);
	if (r == 0)
		r = migrate_rounds(&m);
	if (r == 0)
		r = migrate_last(&m);
	if (r < 0)
		return describe(&m, migrate_explain(&m, r));
	r = leave(&m);
	ret->total_us = g_get_monotonic_time() - from;
	return r;
}
