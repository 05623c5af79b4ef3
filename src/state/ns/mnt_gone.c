/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bind mounts of files and directories that have been deleted since: only the mount still has them.
 * What a file holds is in a file of ours, its owner and mode in IMAGE_EXTRA, "deleted_mounts"; for
 * CRIU it is empty.  At restore it gets its old name, or one beside it, and loses that when it is
 * mounted.
 */
#include "state/extra.h"
#include "state/ns/mnt_plan.h"

#include "base/fd.h"
#include "base/file.h"
#include "state/ns/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define SUFFIX "//deleted"

bool mnt_is_gone(const struct mount_entry *m)
{
	return g_str_has_suffix(m->root, SUFFIX);
}

char *mnt_root_of(const struct mount_entry *m)
{
	return g_strndup(m->root, strlen(m->root) - (mnt_is_gone(m) ? strlen(SUFFIX) : 0));
}

static char *content_name(uint32_t id)
{
	return g_strdup_printf("mount-content-%u", id);
}

static int copy_all(int from, int to)
{
	ssize_t n;

	do
		n = sendfile(to, from, NULL, 1 << 20);
	while (n > 0);
	return n < 0 ? err_errno("copy") : 0;
}

int mnt_gone_dump(const struct mnt_scope *s, size_t i)
{
	const struct mount_entry *m = &s->its->v[i];
	g_autofree char *name = content_name((uint32_t)m->id);
	autoclose int top = -1, from = -1, to = -1;
	char path[64];
	struct stat st;
	int r = mnt_open_bare(s, i, &top);

	if (r < 0)
		return r;
	if (fstat(top, &st) < 0)
		return err_errno("stat %s", m->target);
	extra_set(s->d->extra, "deleted_mounts", (uint32_t)m->id,
		  json_pack("{s:i,s:I,s:I}", "mode", (int)st.st_mode, "uid",
			    (json_int_t)users_uid(s->d, st.st_uid), "gid",
			    (json_int_t)users_gid(s->d, st.st_gid)));
	if (!S_ISREG(st.st_mode))
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", top);
	from = open(path, O_RDONLY | O_CLOEXEC);
	to = openat(s->d->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (from < 0 || to < 0)
		return err_errno("content of mount %s", m->target);
	r = copy_all(from, to);
	return r < 0 ? err_wrap(r, "mount %s", m->target) : 0;
}

int mnt_gone_load(const struct mnt_options *o, struct mnt *m)
{
	g_autofree char *name = content_name(m->e->mnt_id);

	if (!m->e->deleted)
		return 0;
	m->content = openat(o->images, name, O_RDONLY | O_CLOEXEC);
	return m->content < 0 && errno != ENOENT ? err_errno("open %s", name) : 0;
}

static const json_t *about_gone(const struct mnt_plan *p, const struct mnt *m)
{
	return extra_get(p->o.extra, "deleted_mounts", m->e->mnt_id);
}

static bool is_on_dir(const struct mnt_plan *p, const struct mnt *m)
{
	const char *rest = m->parent ? mnt_below(mnt_target(m->e), mnt_target(m->parent->e)) : NULL;
	struct stat st;

	return rest && m->parent->fd >= 0 &&
	       fstatat(m->parent->fd, *rest ? rest : ".", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

/* Directories on the way that are gone as well are made; how many. */
static int make_way(int top, const char *dir)
{
	g_auto(GStrv) parts = g_strsplit(dir, "/", -1);
	g_autoptr(GString) at = g_string_new(NULL);
	int made = 0;

	for (char **p = parts; *p && strcmp(dir, ".") != 0; p++) {
		g_string_append_printf(at, "%s%s", at->len ? "/" : "", *p);
		if (mkdirat(top, at->str, 0755) == 0)
			made++;
		else if (errno != EEXIST)
			return err_errno("make directory %s for a while", at->str);
	}
	return made;
}

static int dress(int fd, const json_t *about)
{
	uid_t uid = (uid_t)json_integer_value(json_object_get(about, "uid"));
	gid_t gid = (gid_t)json_integer_value(json_object_get(about, "gid"));
	mode_t mode = (mode_t)json_integer_value(json_object_get(about, "mode"));
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (about &&
	    (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0 || chmod(path, mode & 07777) < 0))
		return err_errno("owner and mode");
	return 0;
}

/* Like what it is mounted on: a directory, or a file. */
static int create(const struct mnt *m, int top, const char *name, bool is_dir, const json_t *about)
{
	autoclose int fd = -1;
	int r = 0;

	if (is_dir ? mkdirat(top, name, 0700) < 0
		   : (fd = openat(top, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0)
		return err_errno("create %s for a while", name);
	if (is_dir)
		fd = openat(top, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (m->content >= 0 && !is_dir)
		r = copy_all(m->content, fd);
	return r < 0 ? r : dress(fd, about);
}

/* What is to be removed: not before it is in its place (fs/dcache.c: d_set_mounted()). */
struct gone {
	int top, made; /* so many directories on the way to it */
	bool is_dir;
	char *name;
};

static void gone_free(void *p)
{
	struct gone *g = p;

	cleanup_close(&g->top);
	g_free(g->name);
	g_free(g);
}

static void note(struct mnt_plan *p, int top_take, char *name_take, bool is_dir, int made)
{
	struct gone *g = g_new0(struct gone, 1);

	*g = (struct gone){.top = top_take, .name = name_take, .is_dir = is_dir, .made = made};
	if (!p->gone)
		p->gone = g_ptr_array_new_with_free_func(gone_free);
	g_ptr_array_add(p->gone, g);
}

int mnt_gone_make(struct mnt_plan *p, struct mnt *m, int wide, const char *rest, int *ret)
{
	const json_t *about = about_gone(p, m);
	mode_t mode = (mode_t)json_integer_value(json_object_get(about, "mode"));
	g_autofree char *dir = g_path_get_dirname(rest), *base = g_path_get_basename(rest);
	g_autofree char *name = g_build_filename(dir, base, NULL);
	bool is_dir = about ? S_ISDIR(mode) : is_on_dir(p, m);
	autoclose int top = openat(wide, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int made = top < 0 ? err_errno("open what it is in") : make_way(top, dir), r;

	if (made < 0)
		return made;
	if (faccessat(top, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) { /* another one by now */
		g_free(name);
		name = g_strdup_printf("%s/.cryo-%u-%s", dir, m->e->mnt_id, base);
	}
	r = create(m, top, name, is_dir, about);
	if (r == 0)
		r = mnt_view(p, wide, name, ret);
	note(p, take_fd(&top), g_steal_pointer(&name), is_dir, made);
	return r;
}

void mnt_gone_end(struct mnt_plan *p)
{
	for (unsigned i = p->gone ? p->gone->len : 0; i-- > 0;) {
		const struct gone *g = g_ptr_array_index(p->gone, i);
		g_autofree char *at = g_strdup(g->name);

		unlinkat(g->top, at, g->is_dir ? AT_REMOVEDIR : 0);
		for (int n = g->made; n > 0; n--) {
			char *up = g_path_get_dirname(at);

			unlinkat(g->top, up, AT_REMOVEDIR);
			g_free(at);
			at = up;
		}
	}
	g_clear_pointer(&p->gone, g_ptr_array_unref);
}
