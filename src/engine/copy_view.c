/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dir.h"
#include "engine/copy_parts.h"
#include "engine/mounts.h"
#include "engine/options.h"
#include "engine/spec_parts.h"
#include "engine/volume.h"
#include "kernel/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINKS_MAX 40 /* MAXSYMLINKS, include/linux/namei.h */

static int open_running(struct container *c, struct copy_view *v)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/root", c->state.pid);

	v->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (v->root < 0)
		return err_errno("open the root of container %s", c->name);
	if (container_pid_start(c->state.pid) != c->state.pid_start)
		return err_set(ESRCH, "container %s has just ended", c->name);
	return 0;
}

/* The host's path of what will be mounted; NULL: it has none. */
static char *source_of(const struct copy_view *v, const struct user_mount *m)
{
	if (m->type == USER_MOUNT_VOLUME)
		return volume_path(v->e, v->c, m, VOLUME_DATA);
	return m->type == USER_MOUNT_BIND ? g_strdup(m->source) : NULL;
}

/* A place to mount on, as a start would make it. */
static int open_target(int root, const char *path, bool directory, int *ret)
{
	g_autofree char *dir = directory ? g_strdup(path) : g_path_get_dirname(path);
	int r = dir_make_in_root(root, dir);

	if (r < 0)
		return r;
	*ret = dir_open_in_root(root, path,
				directory ? O_PATH | O_DIRECTORY
					  : O_RDONLY | O_CREAT | O_NONBLOCK | O_NOCTTY);
	return *ret < 0 ? err_errno("open %s of the container", path) : 0;
}

static int mount_one(struct copy_view *v, const struct user_mount *m)
{
	g_autofree char *source = source_of(v, m);
	autoclose int copy = -1, on = -1;
	struct stat st;
	int r;

	if (!source || stat(source, &st) < 0)
		return 0; /* a start makes it, or refuses */
	on = dir_open_in_root(v->root, m->destination, O_PATH);
	if (on < 0)
		r = open_target(v->root, m->destination, S_ISDIR(st.st_mode), &on);
	else
		r = 0;
	if (r == 0)
		r = mount_copy(AT_FDCWD, source, true, &copy);
	if (r < 0)
		return r;
	if (syscall(SYS_move_mount, copy, "", on, "",
		    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_errno("mount %s", m->destination);
	return 0;
}

struct visit {
	struct copy_view *v;
	const struct user_mounts *mounts;
	const char *path;
	int error;
	char *why;
};

/* A thread may have a mount namespace of its own, which lives as long as our handle of it. */
static void *enter(void *arg)
{
	struct visit *x = arg;
	struct copy_view *v = x->v;
	int r = 0;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		r = err_errno("a mount namespace to look into container %s", v->c->name);
	if (r == 0) {
		v->ns = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
		v->root = open(x->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (v->ns < 0 || v->root < 0)
			r = err_errno("open %s", x->path);
	}
	for (unsigned i = 0; r == 0 && i < x->mounts->n; i++)
		r = mount_one(v, &x->mounts->v[i]);
	x->error = r;
	if (r < 0)
		x->why = g_strdup(err_message());
	return NULL;
}

static int open_stopped(struct copy_view *v)
{
	CLEANUP(user_mounts_clear) struct user_mounts mounts = {0};
	const struct container_options *o;
	struct visit x = {.v = v, .mounts = &mounts};
	int r = container_options(v->c, &o);

	if (r == 0)
		r = user_mounts_parse(o, &mounts);
	if (r == 0)
		r = rootfs_look_open(v->e, v->c, &v->look);
	if (r < 0)
		return r;
	x.path = v->look.path;
	g_thread_join(g_thread_new("view", enter, &x));
	if (x.error < 0)
		r = err_set(-x.error, "%s", x.why);
	g_free(x.why);
	return r;
}

int copy_view_open(struct engine *e, struct container *c, struct copy_view *ret)
{
	*ret = COPY_VIEW_NONE;
	ret->e = e;
	if (!c) {
		ret->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		return ret->root < 0 ? err_errno("open /") : 0;
	}
	ret->c = c;
	return container_is_running(c) ? open_running(c, ret) : open_stopped(ret);
}

void copy_view_close(struct copy_view *v)
{
	ERR_KEEP;

	cleanup_close(&v->root);
	cleanup_close(&v->ns);
	rootfs_look_close(&v->look);
	v->c = NULL;
}

static int open_in(const struct copy_view *v, const char *path, int flags)
{
	return v->c ? dir_open_in_root(v->root, path, flags) : open(path, flags | O_CLOEXEC);
}

static char *absolute(const struct copy_view *v, const char *path)
{
	const char *dir = v->c ? container_text(v->c, "workdir") : NULL;
	g_autofree char *cwd = v->c ? NULL : g_get_current_dir();

	if (*path == '/')
		return g_strdup(path);
	return g_build_filename(v->c ? (*dir ? dir : "/") : cwd, path, NULL);
}

/* PATH without slashes and dots at its end. */
static void read_end(struct copy_spot *s, char *path)
{
	size_t n = strlen(path);

	s->slash = n && path[n - 1] == '/';
	s->contents = g_str_has_suffix(path, "/.") || !strcmp(path, ".");
	for (;;) {
		n = strlen(path);
		if (n > 1 && path[n - 1] == '/')
			path[n - 1] = '\0';
		else if (n > 1 && path[n - 1] == '.' && path[n - 2] == '/')
			path[n - 1] = '\0';
		else
			break;
	}
}

/* PATH is absolute; one link further it is *RET_NEXT. */
static int step(const struct copy_view *v, struct copy_spot *s, const char *path, char **ret_next)
{
	g_autofree char *dir = g_path_get_dirname(path);
	char target[4096];
	ssize_t len;

	cleanup_close(&s->parent);
	g_free(s->base);
	s->base = g_path_get_basename(path);
	if (!strcmp(s->base, "/") || !strcmp(s->base, "..")) { /* itself is where it is */
		g_free(s->base);
		s->base = g_strdup(".");
		s->parent = open_in(v, path, O_PATH | O_DIRECTORY);
	} else {
		s->parent = open_in(v, dir, O_PATH | O_DIRECTORY);
	}
	if (s->parent < 0)
		return err_errno("open %s", dir);
	len = readlinkat(s->parent, s->base, target, sizeof(target) - 1);
	if (len < 0)
		return 0;
	target[len] = '\0';
	*ret_next = *target == '/' ? g_strdup(target) : g_build_filename(dir, target, NULL);
	return 1;
}

int copy_spot_find(const struct copy_view *v, const char *path, struct copy_spot *ret)
{
	g_autofree char *at = absolute(v, path);
	int r = 1;

	*ret = COPY_SPOT_NONE;
	ret->shown = g_strdup(at);
	read_end(ret, at);
	ret->contents |= !strcmp(at, "/");
	ret->name = g_path_get_basename(at);
	for (int i = 0; r > 0; i++) {
		char *next = NULL;

		r = i < LINKS_MAX ? step(v, ret, at, &next) : err_code(ELOOP, "open %s", path);
		if (r > 0) {
			g_free(at);
			at = next;
		}
	}
	if (r < 0)
		return r;
	ret->fd = openat(ret->parent, ret->base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (ret->fd >= 0 && fstat(ret->fd, &ret->st) < 0)
		return err_errno("look at %s", path);
	return ret->fd < 0 && errno != ENOENT ? err_errno("open %s", path) : 0;
}

void copy_spot_clear(struct copy_spot *s)
{
	cleanup_close(&s->parent);
	cleanup_close(&s->fd);
	g_free(s->base);
	g_free(s->name);
	g_free(s->shown);
	*s = COPY_SPOT_NONE;
}
