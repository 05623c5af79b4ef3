/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cksave.h"

#include "base/file.h"
#include "engine/checkpoint.h"
#include "engine/ckfiles.h"
#include "engine/cknamed.h"
#include "engine/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_dir(int dir, const char *name, int *ret)
{
	*ret = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret < 0 ? err_errno("open %s", name) : 0;
}

static int make_dir(int dir, const char *name, int *ret)
{
	int r = file_remove_tree_at(dir, name); /* of a command that was killed */

	if (r == 0 && mkdirat(dir, name, 0700) < 0)
		r = err_errno("create directory %s", name);
	return r < 0 ? r : open_dir(dir, name, ret);
}

static int make_dirs(struct cksave *s)
{
	g_autofree char *diff = rootfs_diff_path(s->e, s->c->id);
	int r = make_dir(s->base, s->aside, &s->dir);

	if (r == 0)
		r = make_dir(s->dir, CKNAMED_ROOTFS, &s->into);
	return r < 0 ? r : open_dir(AT_FDCWD, diff, &s->from);
}

int cksave_begin(struct engine *e, const struct container *c, const struct named_options *o,
		 struct cksave *s)
{
	int r = cknamed_check_name(o->name);

	*s = CKSAVE_NONE;
	s->e = e;
	s->c = c;
	s->o = o;
	if (r == 0)
		r = cknamed_dir(e, c, o->dir, true, &s->base);
	if (r == 0 && faccessat(s->base, o->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		r = err_set(EEXIST, "checkpoint with name %s already exists for container %s",
			    o->name, c->name);
	if (r < 0)
		return r;
	r = cknamed_sweep(s->base, o->dir);
	if (r < 0)
		return r;
	s->aside = g_strconcat(CKNAMED_NEW, o->name, NULL);
	r = make_dirs(s);
	if (r < 0)
		return r;
	s->sync = treesync_new(s->from, s->into);
	r = treesync_pass(s->sync);
	return r < 0 ? err_wrap(r, "copy the root file system's changes") : 0;
}

int cksave_frozen(struct cksave *s)
{
	int r = treesync_pass(s->sync);

	return r < 0 ? err_wrap(r, "copy the root file system's changes") : 0;
}

static int write_meta(struct cksave *s, const struct checkpoint_report *report, bool leave_running)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *seconds = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S");
	g_autofree char *created =
		g_strdup_printf("%s.%06dZ", seconds, g_date_time_get_microsecond(now));
	autoclose int images = openat(s->dir, CK_IMAGES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *j = json_pack("{ss ss ss ss ss ss sI sI sI sb}", "name", s->o->name, "created",
			      created, "container", s->c->id, "containerName", s->c->name, "image",
			      s->c->image_name, "imageID", s->c->image_id, "imagesSize",
			      (json_int_t)ck_images_size(images), "rootfsSize",
			      (json_int_t)treesync_total(s->sync), "frozenMicroseconds",
			      (json_int_t)report->cryo.frozen_time, "leftRunning", leave_running);
	g_autofree char *text = json_dumps(j, JSON_INDENT(4));
	int r = file_write_at(s->dir, CKNAMED_META, text, strlen(text), 0600);

	json_decref(j);
	return r;
}

int cksave_commit(struct cksave *s, const struct checkpoint_report *report, bool leave_running)
{
	int r = write_meta(s, report, leave_running);

	if (r < 0)
		return r;
	if (syncfs(s->dir) < 0)
		return err_errno("sync checkpoint %s", s->o->name);
	if (renameat(s->base, s->aside, s->base, s->o->name) < 0)
		return err_errno("create checkpoint %s", s->o->name);
	g_clear_pointer(&s->aside, g_free);
	return fsync(s->base) < 0 ? err_errno("sync checkpoint %s", s->o->name) : 0;
}

void cksave_drop(struct cksave *s)
{
	ERR_KEEP;
	int *const fds[] = {&s->base, &s->dir, &s->from, &s->into};

	treesync_free(&s->sync);
	if (s->aside && s->base >= 0 && file_remove_tree_at(s->base, s->aside) < 0)
		err_clear();
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		if (*fds[i] >= 0)
			close(take_fd(fds[i]));
	g_clear_pointer(&s->aside, g_free);
}
