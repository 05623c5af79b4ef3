/* SPDX-License-Identifier: Apache-2.0 */
/* cryo pre-dump. */
#include "cryo/dump.h"
#include "cryo/guard.h"
#include "cryo/images.h"
#include "cryo/net.h"
#include "cryo/session.h"

#include "cr/cryo.h"

#include <errno.h>
#include <fcntl.h>

struct job { /* what an interruption must put in order */
	struct session *s;
	struct images images;
};

static void undo(void *arg)
{
	struct job *j = arg;

	session_report_error(j->s);
	images_drop(&j->images);
}

int parent_open(const struct session *s, struct cryo_dump_options *o, int *ret_fd)
{
	if (!s->previous)
		return 0;
	*ret_fd = openat(s->images, s->previous, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret_fd < 0)
		return err_errno("--prev-images-dir %s (relative to the images directory)",
				 s->o.prev_images_dir);
	o->parent = s->previous;
	o->parent_dir = *ret_fd;
	return 0;
}

int pages_elsewhere(const struct session *s, struct cryo_dump_options *o, int *ret_fd)
{
	int r;

	if (!s->o.page_server)
		return 0;
	/* the page server looks for it when pages come, which may be here */
	r = images_link_parent(s->images, s->previous);
	if (r == 0)
		r = net_connect(&s->o, ret_fd);
	o->pages_elsewhere = true;
	o->pages_to = *ret_fd;
	o->pages_force_close = s->o.ps_socket >= 0;
	return r;
}

static int pre_dump(struct session *s)
{
	struct job j = {.s = s, .images = IMAGES_NONE};
	struct cryo_dump_options o = {
		.pid = (pid_t)s->o.tree,
		.allow_uprobes = s->o.allow_uprobes,
		.cgroups = &s->o.freeze_cgroup,
		.ncgroups = s->o.freeze_cgroup ? 1 : 0,
	};
	autoclose int parent = -1, server = -1;
	struct cryo_dump_stats stats;
	int r = dump_check_tree(&s->o);

	if (r == 0)
		r = parent_open(s, &o, &parent);
	if (r == 0)
		r = pages_elsewhere(s, &o, &server);
	if (r == 0)
		r = images_begin(&j.images, s->images);
	j.images.pages_stay = s->o.page_server;
	if (r == 0)
		r = guard_begin(s->o.timeout_s, undo, &j);
	if (r == 0)
		r = cryo_predump(&o, j.images.aside, &stats);
	guard_end();
	if (r == 0)
		r = images_commit(&j.images, s->work);
	if (r == 0 && s->o.auto_dedup && !s->o.page_server)
		r = cryo_images_dedup(s->images);
	images_drop(&j.images);
	if (r < 0) {
		session_say(s, "Pre-dumping FAILED.");
		return r;
	}
	session_say(s, "Pre-dumping finished successfully");
	if (s->o.display_stats)
		dump_print_stats(&stats);
	session_ready(s);
	return 0;
}

const struct action action_pre_dump = {
	.name = "pre-dump",
	.log = "pre-dump.log",
	.needs_images = true,
	.brief = "Save the memory of a tree that runs on, and follow its changes",
	.run = pre_dump,
};
