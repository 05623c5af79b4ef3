/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/migrate_parts.h"

#include "base/file.h"
#include "engine/archive_out.h"
#include "engine/blobs.h"
#include "engine/container_store.h"
#include "engine/import.h"
#include "engine/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct receiving {
	struct engine *e;
	struct channel *ch;
	json_t *hello;
	char *scratch; /* rounds come to be in it */
	int dir;
	unsigned rounds;
};

static void receiving_clear(struct receiving *v)
{
	ERR_KEEP;

	blobs_scratch_drop(&v->scratch);
	cleanup_close(&v->dir);
	json_decref(v->hello);
	channel_free(&v->ch);
}

static const char *text_of(const json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key));
}

/* What it will be called here. */
static const char *name_of(const struct receiving *v)
{
	const char *wanted = text_of(v->hello, "newName");

	return wanted ? wanted : text_of(v->hello, "name");
}

static int check_hello(struct receiving *v)
{
	const char *id = text_of(v->hello, "id"), *name = name_of(v);
	CLEANUP(container_unref) struct container *other = NULL;
	int r;

	if (json_integer_value(json_object_get(v->hello, "version")) != MIGRATE_VERSION)
		return err_set(EPROTONOSUPPORT,
			       "another version of cryopod is at the other side: install the same");
	if (!id || !name || !text_of(v->hello, "imageID"))
		return err_set(EBADMSG, "the greeting is not complete");
	r = container_check_name(name);
	if (r < 0)
		return r;
	if (container_name_used(v->e, name))
		return err_set(EEXIST, "the name %s is in use: choose another with --name", name);
	if (!text_of(v->hello, "newName") && container_find(v->e, id, &other) == 0)
		return err_set(EEXIST,
			       "container %s is here already: choose another name with "
			       "--name",
			       id);
	err_clear();
	return 0;
}

/* 1: the image has to come. */
static int needs_image(struct receiving *v)
{
	int r = image_in_store(v->e, text_of(v->hello, "imageID"));

	return r < 0 ? r : !r;
}

static int greet(struct receiving *v)
{
	int r = channel_hear(v->ch, &v->hello), missing = 0;

	if (r == 0)
		r = check_hello(v);
	if (r == 0)
		r = missing = needs_image(v);
	if (r < 0)
		return r;
	r = channel_say(v->ch, json_pack("{sb}", "needImage", missing));
	if (r == 0 && missing) {
		r = migrate_take_image(v->e, v->ch, v->hello);
		if (r == 0)
			r = channel_say(v->ch, json_pack("{sb}", "image", 1));
	}
	return r;
}

static int take_round_files(int dir, int fd)
{
	CLEANUP(unpack_drop) struct unpack *u = NULL;
	struct unpack_member m;
	int r = unpack_open(&(struct unpack_options){.fd = fd, .shown = "a round of memory"}, &u);

	while (r == 0 && (r = unpack_next(u, &m)) > 0) {
		if (S_ISLNK(m.type) && !strcmp(m.name, "parent"))
			r = symlinkat("previous", dir, "parent") < 0 ? err_errno("make a link") : 0;
		else if (S_ISREG(m.type) && !strchr(m.name, '/') && *m.name != '.')
			r = strcmp(m.name, PACK_SUMS) ? unpack_to_file(u, dir, m.name) : 0;
		else
			r = err_set(EBADMSG, "a round of memory: member %s", m.name);
	}
	return r < 0 ? r : unpack_finish(u);
}

/* The newest is ARCHIVE_PREVIOUS, the one before in it as "previous", and so on. */
static int place_round(struct receiving *v)
{
	if (renameat(v->dir, ARCHIVE_PREVIOUS, v->dir, "new/previous") < 0 && errno != ENOENT)
		return err_errno("keep the round before");
	if (renameat(v->dir, "new", v->dir, ARCHIVE_PREVIOUS) < 0)
		return err_errno("keep a round");
	v->rounds++;
	return 0;
}

static int take_round(struct receiving *v)
{
	autoclose int dir = -1;
	int fd, r1, r;

	if (mkdirat(v->dir, "new", 0700) < 0)
		return err_errno("make a directory for a round");
	dir = openat(v->dir, "new", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = dir < 0 ? err_errno("open new") : channel_in_begin(v->ch, &fd);
	if (r < 0)
		return r;
	r = take_round_files(dir, fd);
	r1 = channel_in_end(v->ch);
	if (r == 0)
		r = r1;
	if (r == 0)
		r = place_round(v);
	return r < 0 ? r : channel_say(v->ch, json_pack("{sb}", "round", 1));
}

/* All is thawed and held: it runs here only when it does not run there any more. */
static int ready(void *arg)
{
	struct receiving *v = arg;
	json_t *answer = NULL;
	int r = channel_in_end(v->ch); /* the archive is read */

	if (r == 0)
		r = channel_say(v->ch, json_pack("{sb}", "ready", 1));
	if (r == 0)
		r = channel_hear(v->ch, &answer);
	if (r == 0 && !json_is_true(json_object_get(answer, "go")))
		r = err_set(EBADMSG, "the other side did not say that it may run");
	json_decref(answer);
	return r;
}

static int take_rest(struct receiving *v, struct container **ret)
{
	g_autofree char *previous = g_build_filename(v->scratch, ARCHIVE_PREVIOUS, NULL);
	struct import_checkpoint o = {
		.name = text_of(v->hello, "newName"),
		.previous_dir = v->rounds ? previous : NULL,
		.trust = true, /* whoever can log in as root here needs no archive to do harm */
		.restore = {.ready = ready, .ready_arg = v},
	};
	struct restore_report report;
	int r1, r = channel_in_begin(v->ch, &o.fd);

	if (r < 0)
		return r;
	o.restore.tcp_established = json_is_true(json_object_get(v->hello, "tcpEstablished"));
	o.restore.file_locks = true;
	r = container_import(v->e, &o, ret, &report);
	r1 = channel_in_end(v->ch);
	return r < 0 ? r : r1;
}

static int converse(struct receiving *v, struct container **ret)
{
	int r = greet(v);

	while (r == 0) {
		json_t *j = NULL;
		const char *what;
		bool last;

		r = channel_hear(v->ch, &j);
		what = r == 0 ? text_of(j, "next") : NULL;
		last = !g_strcmp0(what, "rest");
		if (r == 0 && !last && g_strcmp0(what, "round"))
			r = err_set(EBADMSG, "the other side wants \"%s\"", what ? what : "");
		json_decref(j);
		if (r == 0)
			r = last ? take_rest(v, ret) : take_round(v);
		if (last)
			break;
	}
	return r;
}

int container_migrate_receive(struct engine *e, int in, int out, char **ret_name)
{
	CLEANUP(receiving_clear) struct receiving v = {.e = e, .dir = -1};
	CLEANUP(container_unref) struct container *c = NULL;
	int r = blobs_scratch(e, "migrate", &v.scratch);

	v.ch = channel_new(in, out);
	if (r == 0) {
		v.dir = open(v.scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = v.dir < 0 ? err_errno("open %s", v.scratch) : converse(&v, &c);
	}
	if (r < 0) {
		channel_complain(v.ch, r);
		return r;
	}
	*ret_name = g_strdup(c->name);
	return channel_say(v.ch, json_pack("{ss}", "running", c->id));
}
