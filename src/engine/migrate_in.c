/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container that arrives: made as from an archive (engine/import.h) that has no checkpoint; the
 * checkpoint comes while the box waits for it (restore_options.await).
 */
#include "engine/migrate_parts.h"

#include "base/file.h"
#include "base/json.h"
#include "cr/step.h"
#include "engine/archive_out.h"
#include "engine/arrivals.h"
#include "engine/blobs.h"
#include "engine/container_store.h"
#include "engine/import.h"
#include "engine/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGES_MAX 1000000u
#define PATIENCE_S 600 /* without a word from the other side, which may look through many files */

struct receiving {
	struct engine *e;
	struct channel *ch;
	json_t *hello;
	char *scratch; /* images come to be in it, and memory that does not wait in the stub */
	int dir, images, aside;
	struct container *c; /* borrowed; when there is a box */
	struct stage *stage;
	char id[ENGINE_ID_LEN + 1];
	int arrival; /* engine/arrivals.h; -1 */
	bool told;   /* that it runs */
};

static void receiving_clear(struct receiving *v)
{
	ERR_KEEP;

	stage_free(&v->stage);
	cleanup_close(&v->images);
	cleanup_close(&v->aside);
	cleanup_close(&v->dir);
	blobs_scratch_drop(&v->scratch);
	arrival_end(v->e, v->id, &v->arrival);
	json_decref(v->hello);
	channel_free(&v->ch);
}

/* What it will be called here. */
static const char *name_of(const struct receiving *v)
{
	const char *wanted = json_text_of(v->hello, "newName");

	return *wanted ? wanted : json_text_of(v->hello, "name");
}

static int check_hello(struct receiving *v)
{
	const char *id = json_text_of(v->hello, "id"), *name = name_of(v);
	CLEANUP(container_unref) struct container *other = NULL;
	int r;

	if (json_integer_value(json_object_get(v->hello, "version")) != MIGRATE_VERSION)
		return err_set(EPROTONOSUPPORT,
			       "another version of cryopod is at the other side: install the same");
	if (!*id || !*name || !*json_text_of(v->hello, "imageID"))
		return err_set(EBADMSG, "the greeting is not complete");
	r = container_check_name(name);
	if (r < 0)
		return r;
	if (container_name_used(v->e, name))
		return err_set(EEXIST, "the name %s is in use: choose another with --name", name);
	if (!*json_text_of(v->hello, "newName") && container_find(v->e, id, &other) == 0)
		return err_set(EEXIST,
			       "container %s is here already: choose another name with "
			       "--name",
			       id);
	err_clear();
	return 0;
}

static int greet(struct receiving *v)
{
	int r = channel_hear(v->ch, &v->hello), there = 0;

	if (r == 0)
		r = check_hello(v);
	if (r == 0)
		r = there = migrate_has_image(v->e, v->hello);
	if (r < 0)
		return r;
	r = channel_say(v->ch, json_pack("{sb}", "needImage", !there));
	if (r == 0 && !there) {
		r = migrate_take_image(v->e, v->ch, v->hello);
		if (r == 0)
			r = channel_say(v->ch, json_pack("{sb}", "image", 1));
	}
	return r;
}

/* A stream of files; images among them only if IMAGES is a directory. */
static int take_files(struct receiving *v, int fd, int images)
{
	CLEANUP(unpack_drop) struct unpack *u = NULL;
	struct unpack_member m;
	unsigned n = 0;
	int r = unpack_open(&(struct unpack_options){.fd = fd, .shown = "what came"}, &u);

	while (r == 0 && (r = unpack_next(u, &m)) > 0) {
		const char *image = m.name + strlen(ARCHIVE_IMAGES "/");

		if (S_ISREG(m.type) && !strcmp(m.name, PACK_SUMS)) {
			r = 0;
			continue;
		}
		if (images >= 0 && S_ISREG(m.type) &&
		    g_str_has_prefix(m.name, ARCHIVE_IMAGES "/") && !strchr(image, '/') &&
		    *image != '.' && *image && n++ < IMAGES_MAX) {
			r = unpack_to_file(u, images, image);
			continue;
		}
		r = files_in_member(v->e, v->c, u, &m);
		if (r == 0)
			r = err_set(EBADMSG, "member %s is not expected", m.name);
		r = MIN(r, 0);
	}
	return r < 0 ? r : unpack_finish(u);
}

static int take_stream(struct receiving *v, int images)
{
	int fd, r1, r = channel_in_begin(v->ch, &fd);

	if (r < 0)
		return r;
	r = take_files(v, fd, images);
	r1 = channel_in_end(v->ch);
	return r < 0 ? r : r1;
}

static int take_changed_files(struct receiving *v)
{
	int r = take_stream(v, -1);

	return r < 0 ? r : channel_say(v->ch, json_pack("{sb}", "files", 1));
}

static int take_round(struct receiving *v)
{
	uint64_t waiting, aside;
	int r = memory_in(v->ch, v->stage);

	if (r < 0)
		return r;
	stage_sums(v->stage, &waiting, &aside);
	return channel_say(v->ch, json_pack("{sb sI sI si}", "round", 1, "waiting",
					    (json_int_t)waiting, "aside", (json_int_t)aside,
					    "processes", (int)stage_tasks(v->stage)));
}

static int take_rest(struct receiving *v)
{
	int r = memory_in(v->ch, v->stage);

	return r < 0 ? r : take_stream(v, v->images);
}

static const struct {
	const char *name;
	int (*take)(struct receiving *v);
	bool last;
} parts[] = {
	{"files", take_changed_files, false},
	{"round", take_round, false},
	{"rest", take_rest, true},
};

static int take_part(struct receiving *v, bool *ret_last)
{
	json_t *j = NULL;
	const char *what;
	int r = channel_hear(v->ch, &j);
	size_t i = 0;

	if (r < 0)
		return r;
	what = json_text_of(j, "next");
	while (i < ARRAY_SIZE(parts) && strcmp(what, parts[i].name) != 0)
		i++;
	if (i == ARRAY_SIZE(parts))
		r = err_set(EBADMSG, "the other side wants \"%s\"", what);
	json_decref(j);
	if (r < 0)
		return r;
	*ret_last = parts[i].last;
	r = step_begin("arrival", parts[i].name);
	return r < 0 ? r : parts[i].take(v);
}

/* The box is there, and the stub in it waits. */
static int await(void *arg, struct container *c, const struct cryo_box *box,
		 struct restore_late *ret)
{
	struct receiving *v = arg;
	bool last = false;
	int r = stage_new(box->sock, v->aside, &v->stage);

	v->c = c;
	if (r == 0)
		r = step_begin("arrival", "box");
	if (r == 0)
		r = channel_in_end(v->ch); /* the archive is read */
	if (r == 0)
		r = channel_say(v->ch, json_pack("{sb}", "box", 1));
	while (r == 0 && !last)
		r = take_part(v, &last);
	*ret = (struct restore_late){.images = v->images, .stage = v->stage};
	return r;
}

static int announce(void *arg, const char *id, const GPtrArray *volumes)
{
	struct receiving *v = arg;

	int r;

	g_strlcpy(v->id, id, sizeof(v->id));
	r = arrival_begin(v->e, id, volumes, &v->arrival);
	return r < 0 ? r : step_begin("arrival", "announced");
}

/* All is thawed and held: it runs here only when it does not run there any more. */
static int ready(void *arg)
{
	struct receiving *v = arg;
	json_t *answer = NULL;
	int r = channel_say(v->ch, json_pack("{sb}", "ready", 1));

	if (r == 0)
		r = channel_hear(v->ch, &answer);
	if (r == 0 && !json_is_true(json_object_get(answer, "go")))
		r = err_set(EBADMSG, "the other side did not say that it may run");
	json_decref(answer);
	return r < 0 ? r : step_begin("arrival", "go");
}

static void running(void *arg)
{
	struct receiving *v = arg;

	arrival_end(v->e, v->id, &v->arrival);
	v->told = channel_say(v->ch, json_pack("{ss}", "running", v->id)) == 0;
	err_clear();
}

static int take_container(struct receiving *v, struct container **ret)
{
	const char *wanted = json_text_of(v->hello, "newName");
	struct import_checkpoint o = {
		.name = *wanted ? wanted : NULL,
		.trust = true, /* whoever can log in as root here needs no archive to do harm */
		.announce = announce,
		.announce_arg = v,
		.restore = {.await = await,
			    .await_arg = v,
			    .ready = ready,
			    .running = running,
			    .ready_arg = v,
			    .file_locks = true},
	};
	struct restore_report report;
	json_t *j = NULL;
	int r = channel_hear(v->ch, &j);

	if (r == 0 && strcmp(json_text_of(j, "next"), "container") != 0)
		r = err_set(EBADMSG, "the other side sends no container");
	json_decref(j);
	if (r == 0)
		r = channel_in_begin(v->ch, &o.fd);
	if (r < 0)
		return r;
	o.restore.tcp_established = json_is_true(json_object_get(v->hello, "tcpEstablished"));
	return container_import(v->e, &o, ret, &report);
}

static int open_scratch(struct receiving *v)
{
	int r = blobs_scratch(v->e, "migrate", &v->scratch);

	if (r < 0)
		return r;
	v->dir = open(v->scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v->dir < 0 || mkdirat(v->dir, "images", 0700) < 0)
		return err_errno("make a directory in %s", v->scratch);
	v->images = openat(v->dir, "images", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	v->aside = openat(v->dir, "aside", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return v->images < 0 || v->aside < 0 ? err_errno("make files in %s", v->scratch) : 0;
}

void container_migrate_decline(int out, int r)
{
	struct channel *ch = channel_new(-1, out);

	channel_complain(ch, r);
	channel_free(&ch);
}

int container_migrate_receive(struct engine *e, int in, int out, char **ret_name)
{
	CLEANUP(receiving_clear)
	struct receiving v = {.e = e, .dir = -1, .images = -1, .aside = -1, .arrival = -1};
	CLEANUP(container_unref) struct container *c = NULL;
	int r = open_scratch(&v);

	v.ch = channel_new(in, out);
	channel_patience(v.ch, PATIENCE_S, false);
	if (r == 0)
		r = greet(&v);
	if (r == 0)
		r = take_container(&v, &c);
	if (r < 0) {
		if (!v.told)
			channel_complain(v.ch, r);
		return r;
	}
	*ret_name = g_strdup(c->name);
	return 0;
}
