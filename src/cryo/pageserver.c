/* SPDX-License-Identifier: Apache-2.0 */
/* cryo page-server, cryo dedup. */
#include "cryo/images.h"
#include "cryo/net.h"
#include "cryo/session.h"

#include "cr/cryo.h"

#include <errno.h>
#include <fcntl.h>

struct job {
	struct session *s;
	struct images images;
};

/* All of a dump is here: into its place, before the dump is told so. */
static int place(void *arg)
{
	struct job *j = arg;
	int r = images_add(&j->images);

	return r == 0 && j->s->o.auto_dedup ? cryo_images_dedup(j->s->images) : r;
}

static int serve(struct job *j)
{
	struct session *s = j->s;
	autoclose int sock = -1, parent = -1;
	struct cryo_page_server o = {.images = s->images, .done = place, .arg = j};
	int r = images_link_parent(s->images, s->previous);

	if (r == 0)
		r = net_accept(s, &sock);
	if (r == 0)
		r = images_begin(&j->images, s->images);
	if (r < 0)
		return r;
	o.sock = sock;
	o.dir = j->images.aside;
	return cryo_serve_pages(&o);
}

static int page_server(struct session *s)
{
	struct job j = {.s = s, .images = IMAGES_NONE};
	int r = serve(&j);

	images_drop(&j.images);
	return r;
}

const struct action action_page_server = {
	.name = "page-server",
	.log = "page-server.log",
	.needs_images = true,
	.brief = "Take the pages of one dump --page-server into image files",
	.run = page_server,
};

static int dedup(struct session *s)
{
	return cryo_images_dedup(s->images);
}

const struct action action_dedup = {
	.name = "dedup",
	.log = "dedup.log",
	.needs_images = true,
	.brief = "Free pages of the images before that these have, too",
	.run = dedup,
};
