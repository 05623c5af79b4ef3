/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/archive_out.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "engine/archive_stage.h"
#include "engine/archive_trust.h"
#include "engine/image.h"
#include "engine/mounts.h"
#include "engine/options.h"
#include "engine/pack_tree.h"
#include "engine/rootfs.h"
#include "engine/volume.h"
#include "kernel/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

struct archive_out {
	struct archive_options o;
	struct pack *pack;
	int fd, dir;		     /* the file; the directory where it gets its name, or -1 */
	char *base;		     /* the name */
	char *aside;		     /* by which it is there already, or NULL: it has none */
	struct archive_stage *stage; /* copies of trees that are packed later; or NULL */
	GPtrArray *changes;	     /* struct rootfs_change, as they were while nothing moved */
	bool waiting;		     /* the trees are still to be packed: those of */
	struct engine *engine;
	struct container *container;
};

static int create_error(const struct archive_options *o)
{
	return err_set(errno, "creating checkpoint export file \"%s\": open %s: %s", o->path,
		       o->path, errno == ENOENT ? "no such file or directory" : g_strerror(errno));
}

/* A file without a name, or where there is no such thing, with one that says what it is. */
static int open_aside(struct archive_out *a)
{
	a->fd = openat(a->dir, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (a->fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
		return a->fd < 0 ? -1 : 0;
	a->aside = g_strdup_printf(".%s.new-%d", a->base, getpid());
	a->fd = openat(a->dir, a->aside, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (a->fd < 0)
		g_clear_pointer(&a->aside, g_free);
	return a->fd < 0 ? -1 : 0;
}

static int open_file(struct archive_out *a)
{
	/* A link is not replaced but the file that it leads to. */
	g_autofree char *real = realpath(a->o.path, NULL);
	const char *path = real ? real : a->o.path;
	g_autofree char *dir = g_path_get_dirname(path);
	struct stat st;

	if (real && stat(real, &st) == 0 && !S_ISREG(st.st_mode)) {
		a->fd = open(real, O_WRONLY | O_CLOEXEC); /* of a directory: EISDIR */
		return a->fd < 0 ? create_error(&a->o) : 0;
	}
	a->base = g_path_get_basename(path);
	a->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return a->dir < 0 || open_aside(a) < 0 ? create_error(&a->o) : 0;
}

int archive_create(const struct archive_options *o, struct archive_out **ret)
{
	struct archive_out *a = *ret = g_new0(struct archive_out, 1);
	int r = 0;

	a->o = *o;
	a->dir = a->fd = -1;
	if (o->path)
		r = open_file(a);
	if (r < 0)
		return r;
	return pack_open(&(struct pack_options){.fd = o->path ? a->fd : o->fd,
						.compression = o->compression,
						.shown = o->path ? o->path : "the archive",
						.watch = o->watch,
						.watch_arg = o->watch_arg,
						.tap = o->tap,
						.tap_arg = o->tap_arg},
			 &a->pack);
}

struct pack *archive_pack(struct archive_out *a)
{
	return a->pack;
}

const char *archive_file(const struct archive_out *a)
{
	return a->dir >= 0 ? a->o.path : NULL;
}

int archive_check(struct engine *e, struct container *c)
{
	if (json_object_size(json_object_get(c->config, "partners")) > 0)
		return err_set(EINVAL, "cannot export checkpoints of containers with dependencies");
	return 0;
}

static int put_json(struct archive_out *a, const char *name, const json_t *j)
{
	char *text = j ? json_dumps(j, JSON_INDENT(2) | JSON_ENCODE_ANY) : strdup("null");
	g_autoptr(GString) doc = g_string_new(text);

	free(text);
	/* No limit at all is 2^64-1, which jansson's numbers do not reach (engine/spec.c). */
	g_string_replace(doc, "\"hard\": 9223372036854775807", "\"hard\": 18446744073709551615", 0);
	g_string_replace(doc, "\"soft\": 9223372036854775807", "\"soft\": 18446744073709551615", 0);
	return pack_bytes(a->pack, name, doc->str, doc->len);
}

/* All of a directory as a tar file, with names as Podman has them here. */
static int put_tree(struct archive_out *a, const char *member, const char *path)
{
	CLEANUP(pack_tree_drop) struct pack_tree *t = NULL;
	autoclose int dir =
		open(archive_stage_of(a->stage, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (dir < 0)
		return err_errno("open %s", path);
	r = pack_tree_new(dir, &t);
	if (r < 0)
		return r;
	pack_tree_dots(t);
	r = pack_tree_add_all(t);
	return r < 0 ? r : pack_tree_write(t, a->pack, member);
}

static int put_shm(struct archive_out *a, struct engine *e, struct container *c)
{
	g_autofree char *userdata = container_static_dir(e, c);
	g_autofree char *shm = g_build_filename(userdata, "shm", NULL);

	if (mount_is_mount(shm) != 1) {
		err_clear();
		return 0;
	}
	return put_tree(a, ARCHIVE_SHM, shm);
}

/* What overlayfs shows as "/" has the attributes of the upper directory. */
static int add_root(struct pack_tree *t, struct engine *e, int upper, const char *top_layer)
{
	g_autofree char *path = rootfs_diff_path(e, top_layer);
	struct stat ours, below;

	if (fstat(upper, &ours) < 0 || stat(path, &below) < 0)
		return err_errno("compare with %s", path);
	if (ours.st_mode == below.st_mode && ours.st_uid == below.st_uid &&
	    ours.st_gid == below.st_gid)
		return 0;
	return pack_tree_add(t, "");
}

static int add_changes(struct pack_tree *t, const GPtrArray *changes, json_t *deleted)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < changes->len; i++) {
		const struct rootfs_change *ch = changes->pdata[i];

		if (ch->kind != ROOTFS_DELETED)
			r = pack_tree_add(t, ch->path + 1);
		else if (json_array_append_new(deleted, json_string(ch->path)) < 0)
			r = err_set(EILSEQ,
				    "%s was deleted, and its name is not UTF-8: it has no place in "
				    "an archive",
				    ch->path);
	}
	return r;
}

static int put_changes(struct archive_out *a, struct engine *e, struct container *c,
		       const struct image *img, json_t *deleted)
{
	CLEANUP(pack_tree_drop) struct pack_tree *t = NULL;
	g_autofree char *path = rootfs_diff_path(e, c->id);
	autoclose int upper =
		open(archive_stage_of(a->stage, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned n = g_strv_length(img->layers);
	int r;

	if (upper < 0)
		return err_errno("open %s", path);
	r = pack_tree_new(upper, &t);
	if (r == 0 && n)
		r = add_root(t, e, upper, img->layers[n - 1]);
	if (r == 0)
		r = add_changes(t, a->changes, deleted);
	if (r == 0 && pack_tree_entries(t))
		r = pack_tree_write(t, a->pack, ARCHIVE_ROOTFS);
	if (r == 0 && json_array_size(deleted))
		r = put_json(a, ARCHIVE_DELETED, deleted);
	return r;
}

static int put_rootfs(struct archive_out *a, struct engine *e, struct container *c)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	json_t *deleted = json_array();
	int r = image_resolve(e, c->image_id, &img);

	if (r == 0)
		r = put_changes(a, e, c, &img, deleted);
	json_decref(deleted);
	return r;
}

typedef int (*volume_fn)(struct archive_out *a, const char *member, const char *path);

static int each_volume(struct archive_out *a, struct engine *e, struct container *c, volume_fn fn)
{
	CLEANUP(user_mounts_clear) struct user_mounts all = {0};
	const struct container_options *o;
	int r = container_options(c, &o);

	if (r == 0)
		r = user_mounts_parse(o, &all);
	for (unsigned i = 0; r == 0 && i < all.n; i++) {
		g_autofree char *name = NULL, *member = NULL, *path = NULL;

		if (all.v[i].type != USER_MOUNT_VOLUME)
			continue;
		name = volume_name_of(&all.v[i]);
		member = g_strdup_printf(ARCHIVE_VOLUMES "/%s.tar", name);
		path = volume_path(e, c, &all.v[i], VOLUME_DATA);
		r = fn(a, member, path);
	}
	return r;
}

static int stage_volume(struct archive_out *a, const char *member, const char *path)
{
	return archive_stage_add(a->stage, path);
}

static int stage_all(struct archive_out *a, struct engine *e, struct container *c)
{
	g_autofree char *diff = rootfs_diff_path(e, c->id);
	int r = archive_stage_begin(e, &a->stage);

	if (r == 0 && !a->o.ignore_rootfs)
		r = archive_stage_add(a->stage, diff);
	if (r == 0 && !a->o.ignore_volumes)
		r = each_volume(a, e, c, stage_volume);
	return r;
}

/* Without copies (there may be no room for them) files are packed while it stands still. */
static int stage_result(struct archive_out *a, const struct container *c, int r)
{
	if (r == 0 || r == -EINTR)
		return r;
	log_info("container %s: its files are packed while it stands still: %s", c->name,
		 err_message());
	err_clear();
	archive_stage_drop(&a->stage);
	return 0;
}

int archive_put_documents(struct archive_out *a, struct engine *e, struct container *c,
			  bool shm_apart)
{
	json_t *config = NULL, *spec = NULL;
	int r = archive_config_make(e, c, shm_apart, &config);

	if (r == 0)
		r = archive_spec_make(e, c, &spec);
	if (r == 0)
		r = pack_dir(a->pack, ARCHIVE_ARTIFACTS);
	if (r == 0)
		r = put_json(a, ARCHIVE_CONFIG, config);
	if (r == 0)
		r = put_json(a, ARCHIVE_SPEC, spec);
	json_decref(config);
	json_decref(spec);
	return r == 0 && a->o.goes_on ? stage_result(a, c, stage_all(a, e, c)) : r;
}

static int find_changes(struct archive_out *a, struct engine *e, struct container *c)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	int r = image_resolve(e, c->image_id, &img);

	g_clear_pointer(&a->changes, g_ptr_array_unref);
	return r < 0 ? r : rootfs_diff(e, c->id, img.layers, &a->changes);
}

static int put_trees(struct archive_out *a, struct engine *e, struct container *c)
{
	int r = a->o.ignore_rootfs ? 0 : put_rootfs(a, e, c);

	return r == 0 && !a->o.ignore_volumes ? each_volume(a, e, c, put_tree) : r;
}

/* What waits is packed as soon as something else that is much is. */
static int put_waiting(struct archive_out *a)
{
	bool any = a->waiting;

	a->waiting = false;
	if (any)
		log_debug("archive: files from their copies");
	return any ? put_trees(a, a->engine, a->container) : 0;
}

int archive_begin_image(struct archive_out *a, const char *name, uint64_t bytes)
{
	g_autofree char *member = g_strdup_printf(ARCHIVE_IMAGES "/%s", name);
	int r = put_waiting(a);

	return r < 0 ? r : pack_begin(a->pack, member, bytes);
}

#define LOG_WAIT_MS 500

void archive_settle_log(const struct container *c)
{
	for (unsigned fd = 1; fd <= 2; fd++) {
		g_autofree char *path = g_strdup_printf("/proc/%d/fd/%u", c->state.pid, fd);
		struct stat st;
		autoclose int pipe = -1;
		int left = 0;

		/* As reader: nobody misses us when we go, conmon has its own end. */
		if (stat(path, &st) == 0 && S_ISFIFO(st.st_mode))
			pipe = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		for (int i = 0; pipe >= 0 && i < LOG_WAIT_MS; i++) {
			if (ioctl(pipe, FIONREAD, &left) < 0)
				break;
			g_usleep(1000); /* and conmon writes what it has read */
			if (left == 0)
				break;
		}
	}
}

static int put_log(struct archive_out *a, struct engine *e, struct container *c)
{
	g_autofree char *log = container_log_path(e, c);
	int r;

	archive_settle_log(c);
	r = pack_file_at(a->pack, ARCHIVE_LOG, AT_FDCWD, log);
	return r < 0 ? r : 0;
}

static int put_network(struct archive_out *a, const struct container *c)
{
	json_t *all = c->state.network ? json_object() : NULL, *v;
	const char *name;
	int r;

	json_object_foreach(c->state.network, name, v)
		json_object_set(all, archive_network_name(name), v);
	r = put_json(a, ARCHIVE_NETWORK, all);
	json_decref(all);
	return r;
}

int archive_put_files(struct archive_out *a, struct engine *e, struct container *c)
{
	int r = a->o.ignore_shm ? 0 : put_shm(a, e, c);

	if (r == 0)
		r = put_network(a, c);
	if (r == 0)
		r = put_log(a, e, c);
	if (r == 0 && !a->o.ignore_rootfs)
		r = find_changes(a, e, c);
	if (r == 0 && a->stage)
		r = stage_result(a, c, archive_stage_frozen(a->stage));
	a->waiting = r == 0 && a->stage;
	a->engine = e;
	a->container = c;
	return r < 0 || a->waiting ? r : put_trees(a, e, c);
}

int archive_put_images(struct archive_out *a, const char *member, int images)
{
	int r = put_waiting(a);

	return r < 0 ? r : pack_images(a->pack, member, images);
}

int archive_put_stats(struct archive_out *a, int dir)
{
	int r = pack_file_at(a->pack, ARCHIVE_STATS, dir, ARCHIVE_STATS);

	return r < 0 ? r : 0;
}

/* linkat(2) cannot replace: the new file gets a name beside, and then the right one. */
static int give_name(struct archive_out *a)
{
	g_autofree char *proc = g_strdup_printf("/proc/self/fd/%d", a->fd);

	if (!a->aside) {
		if (linkat(AT_FDCWD, proc, a->dir, a->base, AT_SYMLINK_FOLLOW) == 0)
			return 0;
		if (errno != EEXIST)
			return create_error(&a->o);
		a->aside = g_strdup_printf(".%s.new-%d", a->base, getpid());
		unlinkat(a->dir, a->aside, 0);
		if (linkat(AT_FDCWD, proc, a->dir, a->aside, AT_SYMLINK_FOLLOW) < 0) {
			g_clear_pointer(&a->aside, g_free);
			return create_error(&a->o);
		}
	}
	if (renameat(a->dir, a->aside, a->dir, a->base) < 0)
		return create_error(&a->o);
	g_clear_pointer(&a->aside, g_free);
	return 0;
}

int archive_commit(struct archive_out *a)
{
	int r = pack_finish(a->pack);

	if (r < 0 || a->dir < 0)
		return r;
	if (a->o.e)
		archive_mark(a->o.e, a->fd);
	if (fsync(a->fd) < 0)
		return err_errno("write %s", a->o.path);
	r = give_name(a);
	if (r == 0 && fsync(a->dir) < 0)
		r = err_errno("sync the directory of %s", a->o.path);
	return r;
}

void archive_drop(struct archive_out **ap)
{
	struct archive_out *a = *ap;

	if (!a)
		return;
	pack_drop(&a->pack);
	archive_stage_drop(&a->stage);
	if (a->changes)
		g_ptr_array_unref(a->changes);
	if (a->aside)
		unlinkat(a->dir, a->aside, 0);
	if (a->fd >= 0)
		close(a->fd);
	if (a->dir >= 0)
		close(a->dir);
	g_free(a->base);
	g_free(a->aside);
	g_clear_pointer(ap, g_free);
}
