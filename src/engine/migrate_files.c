/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/migrate_parts.h"

#include "engine/archive_out.h"
#include "engine/image.h"
#include "engine/mounts.h"
#include "engine/pack_tree.h"
#include "engine/rootfs.h"
#include "engine/treedelta.h"
#include "engine/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

struct tree {
	char *name; /* "rootfs", "volumes/NAME" */
	int dir;
	struct treedelta *delta;
};

struct files_out {
	struct engine *e;
	struct container *c;
	struct image img;
	GArray *trees;	     /* struct tree: first the root file system's changes */
	GHashTable *deleted; /* paths of the layers below that are hidden */
	uint64_t log_ino, log_bytes;
};

static void tree_clear(void *p)
{
	struct tree *t = p;

	g_free(t->name);
	treedelta_free(&t->delta);
	cleanup_close(&t->dir);
}

static int add_tree(struct files_out *f, const char *name, const char *path)
{
	struct tree t = {.name = g_strdup(name),
			 .dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};

	t.delta = treedelta_new(t.dir);
	g_array_append_val(f->trees, t);
	return t.dir < 0 ? err_errno("open %s", path) : 0;
}

static int add_volumes(struct files_out *f)
{
	CLEANUP(user_mounts_clear) struct user_mounts all = {0};
	const struct container_options *o;
	int r = container_options(f->c, &o);

	if (r == 0)
		r = user_mounts_parse(o, &all);
	for (unsigned i = 0; r == 0 && i < all.n; i++) {
		g_autofree char *volume = NULL, *name = NULL, *path = NULL;

		if (all.v[i].type != USER_MOUNT_VOLUME)
			continue;
		volume = volume_name_of(&all.v[i]);
		name = g_strdup_printf(ARCHIVE_VOLUMES "/%s", volume);
		path = volume_path(f->e, f->c, &all.v[i], VOLUME_DATA);
		r = add_tree(f, name, path);
	}
	return r;
}

int files_out_new(struct engine *e, struct container *c, struct files_out **ret)
{
	struct files_out *f = *ret = g_new0(struct files_out, 1);
	g_autofree char *upper = rootfs_diff_path(e, c->id);
	int r;

	f->e = e;
	f->c = c;
	f->img = IMAGE_NONE;
	f->trees = g_array_new(FALSE, FALSE, sizeof(struct tree));
	g_array_set_clear_func(f->trees, tree_clear);
	f->deleted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	r = image_resolve(e, c->image_id, &f->img);
	if (r == 0)
		r = add_tree(f, "rootfs", upper);
	return r < 0 ? r : add_volumes(f);
}

void files_out_free(struct files_out **fp)
{
	struct files_out *f = *fp;

	if (!f)
		return;
	g_array_unref(f->trees);
	g_hash_table_unref(f->deleted);
	image_clear(&f->img);
	g_clear_pointer(fp, g_free);
}

/* What is there; what of the layers below is hidden since the last time goes to GONE. */
static int list_rootfs(struct files_out *f, GPtrArray *paths, GPtrArray *gone)
{
	g_autoptr(GPtrArray) changes = NULL;
	GHashTable *deleted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	int r = rootfs_diff(f->e, f->c->id, f->img.layers, &changes);

	g_ptr_array_add(paths, g_strdup(""));
	for (unsigned i = 0; r == 0 && i < changes->len; i++) {
		const struct rootfs_change *ch = changes->pdata[i];

		if (ch->kind != ROOTFS_DELETED) {
			g_ptr_array_add(paths, g_strdup(ch->path + 1));
			continue;
		}
		g_hash_table_add(deleted, g_strdup(ch->path + 1));
		if (!g_hash_table_contains(f->deleted, ch->path + 1))
			g_ptr_array_add(gone, g_strdup(ch->path + 1));
	}
	g_hash_table_unref(f->deleted);
	f->deleted = deleted;
	return r;
}

/* One name after another, each with a NUL at its end: names of files are any bytes. */
static int pack_gone(struct pack *p, const char *name, const GPtrArray *gone)
{
	g_autofree char *member = g_strconcat(name, ".gone", NULL);
	g_autoptr(GByteArray) all = g_byte_array_new();

	for (unsigned i = 0; i < gone->len; i++)
		g_byte_array_append(all, gone->pdata[i], (guint)strlen(gone->pdata[i]) + 1);
	return gone->len ? pack_bytes(p, member, all->data, all->len) : 0;
}

static int pack_changed(struct pack *p, const struct tree *t, const GPtrArray *changed)
{
	CLEANUP(pack_tree_drop) struct pack_tree *x = NULL;
	g_autofree char *member = g_strconcat(t->name, ".tar", NULL);
	int r = changed->len ? pack_tree_new(t->dir, &x) : 0;

	for (unsigned i = 0; r == 0 && i < changed->len; i++)
		r = pack_tree_add(x, changed->pdata[i]);
	return r < 0 || !changed->len ? r : pack_tree_write(x, p, member);
}

static int pass(struct files_out *f, struct tree *t, struct pack *p, bool frozen)
{
	g_autoptr(GPtrArray) changed = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
	bool root = t == &g_array_index(f->trees, struct tree, 0);
	int r = root ? list_rootfs(f, paths, gone) : 0;

	if (r == 0)
		r = treedelta_pass(t->delta, root ? paths : NULL, frozen, changed, gone);
	if (r == 0 && p)
		r = pack_gone(p, t->name, gone);
	if (r == 0 && p)
		r = pack_changed(p, t, changed);
	return r < 0 ? err_wrap(r, "%s", t->name) : 0;
}

static int open_log(struct files_out *f, struct stat *st)
{
	g_autofree char *path = container_log_path(f->e, f->c);
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd >= 0 && fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	cleanup_close(&fd);
	return -1;
}

void files_out_log(struct files_out *f)
{
	g_autofree char *path = container_log_path(f->e, f->c);
	g_autofree char *own = container_static_dir(f->e, f->c);
	struct stat st;
	autoclose int fd = -1;

	if (!g_str_has_prefix(path, own)) /* only that one is in an archive's place */
		return;
	fd = open_log(f, &st);

	f->log_ino = fd < 0 ? 0 : st.st_ino;
	f->log_bytes = fd < 0 ? 0 : (uint64_t)st.st_size;
}

/* conmon only ever writes at its end, or begins another file (--log-size-max). */
static int pack_log(struct files_out *f, struct pack *p)
{
	g_autofree char *name = NULL, *buf = g_malloc(65536);
	struct stat st;
	autoclose int fd = open_log(f, &st);
	uint64_t from, to;
	int r;

	if (fd < 0)
		return 0;
	from = st.st_ino == f->log_ino && (uint64_t)st.st_size >= f->log_bytes ? f->log_bytes : 0;
	to = (uint64_t)st.st_size;
	f->log_ino = st.st_ino;
	f->log_bytes = to;
	if (from == to)
		return 0;
	name = g_strdup_printf("log.%" PRIu64, from);
	r = pack_begin(p, name, to - from);
	while (r == 0 && from < to) {
		ssize_t n = pread(fd, buf, MIN(to - from, 65536), (off_t)from);

		if (n <= 0)
			return n < 0 ? err_errno("read the log")
				     : err_set(EIO, "the log has become shorter");
		r = pack_data(p, buf, (size_t)n);
		from += (uint64_t)n;
	}
	return r < 0 ? r : pack_end(p);
}

int files_out_pass(struct files_out *f, struct pack *p, bool frozen)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < f->trees->len; i++)
		r = pass(f, &g_array_index(f->trees, struct tree, i), p, frozen);
	if (r == 0 && p && frozen)
		archive_settle_log(f->c);
	return r == 0 && p ? pack_log(f, p) : r;
}
