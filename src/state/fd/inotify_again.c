/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Things happen to files of a tmpfs that nobody else has, each for the sake of one event.  What
 * is watched asks for that event only when it is due, so that what has to be done around it is
 * not seen.
 */
#include "state/fd/inotify_queue.h"

#include "kernel/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef INOTIFY_IOC_SETNEXTWD
#define INOTIFY_IOC_SETNEXTWD _IOW('I', 0, int32_t)
#endif
#define QUIET IN_DELETE_SELF /* a watch wants something; that comes only when it is meant to */
#define AWAY  "away"

struct actor { /* what a watch looks at */
	int wd;
	bool dir, ends_mount, watched, gone;
	int root, fd; /* where it is; O_PATH of it */
	char name[16];
};

struct scene {
	int fd, root;
	const struct queued *v;
	unsigned n;
	GHashTable *actors; /* wd -> struct actor */
	struct actor noise;
	int noisy;	/* opened */
	unsigned beats; /* of noise */
};

/* Where an event happens: NAME in DIR, seen by A. */
struct place {
	struct scene *s;
	struct actor *a;
	int dir;
	const char *name;
	bool is_dir;
	uint32_t bit;
};

static int watch(struct scene *s, struct actor *a, uint32_t mask)
{
	char path[64];
	int wd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", a->fd);
	if (!a->watched && ioctl(s->fd, INOTIFY_IOC_SETNEXTWD, (unsigned long)a->wd) < 0)
		return err_errno("INOTIFY_IOC_SETNEXTWD");
	wd = inotify_add_watch(s->fd, path, mask);
	if (wd < 0)
		return err_errno("inotify_add_watch");
	a->watched = true;
	return wd == a->wd ? 0 : err_set(EEXIST, "watch %d became %d", a->wd, wd);
}

static int make(int dir, const char *name, bool is_dir)
{
	autoclose int fd = -1;

	if (is_dir)
		return mkdirat(dir, name, 0700) < 0 ? err_errno("mkdir") : 0;
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 || write(fd, "x", 1) != 1 ? err_errno("create a file") : 0;
}

static int unmake(int dir, const char *name, bool is_dir)
{
	return unlinkat(dir, name, is_dir ? AT_REMOVEDIR : 0) < 0 ? err_errno("unlink") : 0;
}

static int actor_make(struct scene *s, struct actor *a)
{
	static const struct mount_param none[] = {{NULL, NULL}};
	int r = 0;

	snprintf(a->name, sizeof(a->name), "%d", a->wd);
	if (a->ends_mount)
		r = mount_make("tmpfs", none, 0, &a->root);
	if (r == 0)
		r = make(a->ends_mount ? a->root : s->root, a->name, a->dir);
	if (r < 0)
		return r;
	a->fd = openat(a->ends_mount ? a->root : s->root, a->name, O_PATH | O_CLOEXEC);
	return a->fd < 0 ? err_errno("open a file") : watch(s, a, QUIET);
}

static void actor_free(void *p)
{
	struct actor *a = p;

	cleanup_close(&a->fd);
	cleanup_close(&a->root);
	g_free(a);
}

static struct actor *actor(struct scene *s, int wd)
{
	return g_hash_table_lookup(s->actors, GINT_TO_POINTER(wd));
}

/* Who has events that only directories have is one. */
static void cast(struct scene *s)
{
	int free = 1;

	for (unsigned i = 0; i < s->n; i++) {
		const struct queued *q = &s->v[i];
		struct actor *a = actor(s, q->wd);

		if (q->mask & IN_Q_OVERFLOW)
			continue;
		if (!a) {
			a = g_new0(struct actor, 1);
			*a = (struct actor){.wd = q->wd, .root = -1, .fd = -1};
			g_hash_table_insert(s->actors, GINT_TO_POINTER(q->wd), a);
		}
		a->dir |= *q->name || (q->mask & IN_ISDIR);
		a->ends_mount |= (q->mask & IN_UNMOUNT) != 0;
	}
	while (actor(s, free))
		free++;
	s->noise = (struct actor){.wd = free, .root = -1, .fd = -1};
}

int scene_new(int fd, const struct queued *v, unsigned n, struct scene **ret)
{
	static const struct mount_param none[] = {{NULL, NULL}};
	CLEANUP(scene_drop) struct scene *s = g_new0(struct scene, 1);
	GHashTableIter it;
	struct actor *a;
	int r;

	*s = (struct scene){.fd = fd, .root = -1, .noisy = -1, .v = v, .n = n};
	s->actors = g_hash_table_new_full(NULL, NULL, NULL, actor_free);
	cast(s);
	r = mount_make("tmpfs", none, 0, &s->root);
	if (r == 0)
		r = actor_make(s, &s->noise);
	if (r < 0)
		return r;
	s->noisy = openat(s->root, s->noise.name, O_RDWR | O_CLOEXEC);
	if (s->noisy < 0)
		return err_errno("open a file");
	r = watch(s, &s->noise, IN_ACCESS | IN_MODIFY);
	g_hash_table_iter_init(&it, s->actors);
	while (r == 0 && g_hash_table_iter_next(&it, NULL, (void **)&a))
		r = actor_make(s, a);
	if (r == 0)
		*ret = g_steal_pointer(&s);
	return r;
}

void scene_drop(struct scene **ps)
{
	struct scene *s = *ps;

	if (!s)
		return;
	g_hash_table_unref(s->actors);
	cleanup_close(&s->noise.fd);
	cleanup_close(&s->noisy);
	cleanup_close(&s->root);
	g_free(g_steal_pointer(ps));
}

int scene_noise(struct scene *s, unsigned n)
{
	char c = 0;

	for (unsigned i = 0; i < n; i++)
		if ((s->beats++ % 2 ? pread(s->noisy, &c, 1, 0) : pwrite(s->noisy, &c, 1, 0)) != 1)
			return err_errno("a file of our own");
	return 0;
}

int scene_unwatch(struct scene *s)
{
	GHashTableIter it;
	struct actor *a;

	g_hash_table_iter_init(&it, s->actors);
	while (g_hash_table_iter_next(&it, NULL, (void **)&a))
		if (a->watched && !a->gone && inotify_rm_watch(s->fd, a->wd) < 0)
			return err_errno("inotify_rm_watch");
	return inotify_rm_watch(s->fd, s->noise.wd) < 0 ? err_errno("inotify_rm_watch") : 0;
}

/* The moment: all else is ready. */
static int now(const struct place *p)
{
	return watch(p->s, p->a, p->bit);
}

static int quiet(const struct place *p)
{
	return watch(p->s, p->a, QUIET);
}

static int open_it(const struct place *p, int flags)
{
	int fd = openat(p->dir, p->name, flags | O_CLOEXEC);

	return fd < 0 ? err_errno("open a file") : fd;
}

static int do_access(const struct place *p)
{
	autoclose int fd = open_it(p, O_RDONLY);
	char b[1024];
	int r = fd < 0 ? fd : now(p);

	if (r == 0 && (p->is_dir ? syscall(SYS_getdents64, fd, b, sizeof(b)) : read(fd, b, 1)) < 1)
		r = err_errno("read a file");
	return r < 0 ? r : quiet(p);
}

static int do_modify(const struct place *p)
{
	autoclose int fd = open_it(p, O_WRONLY);
	int r = fd < 0 ? fd : now(p);

	if (r == 0 && pwrite(fd, "y", 1, 0) != 1)
		r = err_errno("write a file");
	return r < 0 ? r : quiet(p);
}

static int do_attrib(const struct place *p)
{
	int r = now(p);

	if (r == 0 && fchmodat(p->dir, p->name, 0700, 0) < 0)
		r = err_errno("chmod");
	return r < 0 ? r : quiet(p);
}

static int do_open(const struct place *p)
{
	autoclose int fd = -1;
	int r = now(p);

	if (r == 0)
		fd = r = open_it(p, O_RDONLY);
	return r < 0 ? r : quiet(p);
}

static int do_close(const struct place *p)
{
	int fd = open_it(p, p->bit == IN_CLOSE_WRITE ? O_WRONLY : O_RDONLY);
	int r = fd < 0 ? fd : now(p);

	if (fd >= 0)
		close(fd);
	return r < 0 ? r : quiet(p);
}

static int do_create(const struct place *p)
{
	int r = now(p);

	if (r == 0)
		r = make(p->dir, p->name, p->is_dir);
	if (r == 0)
		r = quiet(p);
	return r < 0 ? r : unmake(p->dir, p->name, p->is_dir);
}

static int do_delete(const struct place *p)
{
	int r = make(p->dir, p->name, p->is_dir);

	if (r == 0)
		r = now(p);
	return r < 0 ? r : unmake(p->dir, p->name, p->is_dir);
}

static int move(int from, const char *a, int to, const char *b)
{
	return renameat(from, a, to, b) < 0 ? err_errno("rename") : 0;
}

static int do_moved(const struct place *p)
{
	bool from = p->bit == IN_MOVED_FROM;
	int r = from ? make(p->dir, p->name, p->is_dir) : make(p->s->root, AWAY, p->is_dir);

	if (r == 0)
		r = now(p);
	if (r == 0)
		r = from ? move(p->dir, p->name, p->s->root, AWAY)
			 : move(p->s->root, AWAY, p->dir, p->name);
	if (r == 0)
		r = quiet(p);
	return r < 0 ? r : unmake(from ? p->s->root : p->dir, from ? AWAY : p->name, p->is_dir);
}

static int do_move_self(const struct place *p)
{
	int r = now(p);

	if (r == 0)
		r = move(p->dir, p->name, p->dir, AWAY);
	if (r == 0)
		r = quiet(p);
	return r < 0 ? r : move(p->dir, AWAY, p->dir, p->name);
}

/* The last that is known of it, with an IN_IGNORED behind. */
static int do_delete_self(const struct place *p)
{
	int r = now(p);

	close(take_fd(&p->a->fd));
	p->a->gone = true;
	return r < 0 ? r : unmake(p->dir, p->name, p->a->dir);
}

static int do_unmount(const struct place *p)
{
	close(take_fd(&p->a->fd));
	close(take_fd(&p->a->root));
	p->a->gone = true;
	return 0;
}

static int do_ignored(const struct place *p)
{
	p->a->gone = true;
	return inotify_rm_watch(p->s->fd, p->a->wd) < 0 ? err_errno("inotify_rm_watch") : 0;
}

static const struct {
	uint32_t bit;
	bool needs_name; /* only of what is in a directory */
	bool last;	 /* an IN_IGNORED follows by itself */
	int (*play)(const struct place *p);
} plays[] = {
	{IN_ACCESS, .play = do_access},
	{IN_MODIFY, .play = do_modify},
	{IN_ATTRIB, .play = do_attrib},
	{IN_CLOSE_WRITE, .play = do_close},
	{IN_CLOSE_NOWRITE, .play = do_close},
	{IN_OPEN, .play = do_open},
	{IN_MOVED_FROM, .needs_name = true, .play = do_moved},
	{IN_MOVED_TO, .needs_name = true, .play = do_moved},
	{IN_CREATE, .needs_name = true, .play = do_create},
	{IN_DELETE, .needs_name = true, .play = do_delete},
	{IN_DELETE_SELF, .last = true, .play = do_delete_self},
	{IN_MOVE_SELF, .play = do_move_self},
	{IN_UNMOUNT, .last = true, .play = do_unmount},
	{IN_IGNORED, .play = do_ignored},
};

/* A child has to be there for what happens to it. */
static bool needs_child(uint32_t bit, const char *name)
{
	return *name && !(bit & (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO));
}

static int play_in(const struct place *p, const struct queued *q, int (*fn)(const struct place *p))
{
	bool child = needs_child(p->bit, q->name);
	int r = child ? make(p->dir, p->name, p->is_dir) : 0;

	if (r == 0)
		r = fn(p);
	if (r == 0 && child)
		r = quiet(p);
	return r == 0 && child ? unmake(p->dir, p->name, p->is_dir) : r;
}

/* One rename, two events with the same cookie. */
static int play_rename(struct scene *s, const struct queued *from, const struct queued *to)
{
	struct actor *a = actor(s, from->wd), *b = actor(s, to->wd);
	bool dir = from->mask & IN_ISDIR;
	int r = make(a->fd, from->name, dir);

	if (r == 0)
		r = watch(s, a, IN_MOVED_FROM | (a == b ? IN_MOVED_TO : 0));
	if (r == 0 && a != b)
		r = watch(s, b, IN_MOVED_TO);
	if (r == 0)
		r = move(a->fd, from->name, b->fd, to->name);
	if (r == 0)
		r = watch(s, a, QUIET);
	if (r == 0 && a != b)
		r = watch(s, b, QUIET);
	return r < 0 ? r : unmake(b->fd, to->name, dir);
}

static bool is_rename(const struct scene *s, unsigned i)
{
	const struct queued *q = &s->v[i], *next = q + 1;

	return i + 1 < s->n && q->mask & IN_MOVED_FROM && next->mask & IN_MOVED_TO &&
	       q->cookie == next->cookie && !actor((struct scene *)s, q->wd)->gone &&
	       !actor((struct scene *)s, next->wd)->gone &&
	       !actor((struct scene *)s, q->wd)->ends_mount &&
	       !actor((struct scene *)s, next->wd)->ends_mount;
}

static int play_one(struct scene *s, unsigned i, unsigned *ret_n)
{
	const struct queued *q = &s->v[i];
	struct actor *a = actor(s, q->wd);
	int root = a && a->ends_mount ? a->root : s->root;

	for (unsigned k = 0; a && !a->gone && k < ARRAY_SIZE(plays); k++) {
		struct place p = {.s = s,
				  .a = a,
				  .dir = *q->name ? a->fd : root,
				  .name = *q->name ? q->name : a->name,
				  .is_dir = q->mask & IN_ISDIR,
				  .bit = plays[k].bit};

		if (!(q->mask & p.bit))
			continue;
		if (plays[k].needs_name && !*q->name)
			break;
		if (plays[k].last && i + 1 < s->n && q[1].wd == q->wd && q[1].mask & IN_IGNORED)
			*ret_n = 2;
		return play_in(&p, q, plays[k].play);
	}
	return err_set(EBADMSG, "event %u, %#x of watch %d, cannot be", i, q->mask, q->wd);
}

int scene_play(struct scene *s, unsigned i, unsigned *ret_n)
{
	*ret_n = 1;
	if (is_rename(s, i)) {
		*ret_n = 2;
		return play_rename(s, &s->v[i], &s->v[i + 1]);
	}
	return play_one(s, i, ret_n);
}
