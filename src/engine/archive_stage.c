/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/archive_stage.h"
#include "base/treesync.h"
#include "engine/blobs.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct tree {
	char *path, *copy;
	int from, to;
	struct treesync *sync;
};

struct archive_stage {
	int hold; /* the scratch directory is not swept */
	char *scratch;
	GPtrArray *trees;
};

static void tree_free(void *p)
{
	struct tree *t = p;

	treesync_free(&t->sync);
	cleanup_close(&t->from);
	cleanup_close(&t->to);
	g_free(t->path);
	g_free(t->copy);
	g_free(t);
}

int archive_stage_begin(struct engine *e, struct archive_stage **ret)
{
	CLEANUP(archive_stage_drop) struct archive_stage *s = g_new0(struct archive_stage, 1);
	int r;

	s->hold = -1;
	s->trees = g_ptr_array_new_with_free_func(tree_free);
	r = blobs_hold(e, &s->hold);
	if (r == 0)
		r = blobs_scratch(e, "export", &s->scratch);
	if (r == 0)
		*ret = g_steal_pointer(&s);
	return r;
}

static uint64_t bytes_of(const char *path)
{
	char *const paths[] = {(char *)path, NULL};
	FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	uint64_t sum = 0;

	for (FTSENT *f; walk && (f = fts_read(walk));)
		if (f->fts_info == FTS_F)
			sum += (uint64_t)f->fts_statp->st_blocks * 512;
	if (walk)
		fts_close(walk);
	return sum;
}

/* Half of what is free is for others. */
static int check_room(const struct archive_stage *s, const char *path)
{
	uint64_t bytes = bytes_of(path);
	struct statvfs fs;

	if (statvfs(s->scratch, &fs) < 0)
		return err_errno("look at the free space");
	if (bytes > (uint64_t)fs.f_bavail * fs.f_frsize / 2)
		return err_set(ENOSPC, "%s: there is no room for a copy of %" PRIu64 " bytes", path,
			       bytes);
	return 0;
}

int archive_stage_add(struct archive_stage *s, const char *path)
{
	int r = check_room(s, path);
	struct tree *t;

	if (r < 0)
		return r;
	t = g_new0(struct tree, 1);
	t->path = g_strdup(path);
	t->copy = g_strdup_printf("%s/%u", s->scratch, s->trees->len);
	t->from = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t->to = mkdir(t->copy, 0700) < 0 ? -1 : open(t->copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_ptr_array_add(s->trees, t);
	if (t->from < 0 || t->to < 0)
		return err_errno("copy %s to %s", path, t->copy);
	t->sync = treesync_new(t->from, t->to);
	r = treesync_pass(t->sync);
	return r < 0 ? err_wrap(r, "copy %s", path) : 0;
}

int archive_stage_frozen(struct archive_stage *s)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < s->trees->len; i++) {
		const struct tree *t = s->trees->pdata[i];

		r = treesync_pass(t->sync);
		if (r < 0)
			return err_wrap(r, "copy %s", t->path);
	}
	return r;
}

const char *archive_stage_of(const struct archive_stage *s, const char *path)
{
	for (unsigned i = 0; s && i < s->trees->len; i++) {
		const struct tree *t = s->trees->pdata[i];

		if (strcmp(t->path, path) == 0)
			return t->copy;
	}
	return path;
}

void archive_stage_drop(struct archive_stage **sp)
{
	struct archive_stage *s = *sp;

	if (!s)
		return;
	g_ptr_array_unref(s->trees);
	blobs_scratch_drop(&s->scratch);
	cleanup_close(&s->hold);
	g_clear_pointer(sp, g_free);
}
