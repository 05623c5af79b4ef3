/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the namespaces of a tree that its root is not in. */
#include "state/ns/spaces.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/parallel.h"
#include "kernel/mount.h"
#include "state/ns/mnt.h"
#include "state/ns/net.h"
#include "state/ns/ns.h"
#include "state/task/levels.h"
#include "state/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MOUNTINFO_MAX (64u << 20)

/* Numbers of the root's. */
static const uint32_t numbers[NS_COUNT] = {
	[NS_USER] = NSID_USER,	   [NS_MNT] = NSID_MNT,	  [NS_UTS] = NSID_UTS,
	[NS_IPC] = NSID_IPC,	   [NS_PID] = NSID_PID,	  [NS_NET] = NSID_NET,
	[NS_CGROUP] = NSID_CGROUP, [NS_TIME] = NSID_TIME,
};

static const bool can_make[NS_COUNT] = {
	[NS_MNT] = true,    [NS_UTS] = true, [NS_NET] = true, [NS_PID] = true,
	[NS_CGROUP] = true, [NS_IPC] = true, [NS_USER] = true};

static void space_free(void *p)
{
	struct space *s = p;

	cleanup_close(&s->fd);
	cleanup_close(&s->root);
	mountinfo_clear(&s->mounts);
	g_free(s);
}

void spaces_end(struct dump *d)
{
	g_clear_pointer(&d->spaces, g_ptr_array_unref);
	g_clear_pointer(&d->strays, g_hash_table_unref);
}

struct space *spaces_find(const struct dump *d, enum ns_kind kind, uint64_t ino)
{
	for (unsigned i = 0; d->spaces && i < d->spaces->len; i++) {
		struct space *s = g_ptr_array_index(d->spaces, i);

		if (s->kind == kind && s->ino == ino)
			return s;
	}
	return NULL;
}

uint32_t spaces_id(const struct dump *d, enum ns_kind kind, uint64_t ino)
{
	const struct space *s;

	if (ino == d->ns[kind])
		return numbers[kind];
	s = spaces_find(d, kind, ino);
	return s ? s->id : 0;
}

const uint64_t *spaces_of(const struct dump *d, pid_t tid)
{
	const uint64_t *its =
		d->strays ? g_hash_table_lookup(d->strays, GINT_TO_POINTER(tid)) : NULL;

	return its ? its : d->ns;
}

/* In the mount namespace, whose root directory is the process's then: not that of a chroot. */
static int copy_mountinfo(void *arg, int *ret_fd)
{
	autoclose int to = memfd_create("mountinfo", MFD_CLOEXEC);
	g_autofree char *text = NULL;
	size_t len;
	int r = to < 0 ? err_errno("memfd")
		       : file_read_at(*(int *)arg, "self/mountinfo", MOUNTINFO_MAX, &text, &len);

	if (r == 0)
		r = fd_write_full(to, text, len);
	*ret_fd = take_fd(&to);
	return r;
}

static int open_root(void *arg, int *ret_fd)
{
	*ret_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno("open its root directory") : 0;
}

static int read_mounts(struct space *s)
{
	autoclose int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), copy = -1;
	char *text = NULL, path[64];
	int r;

	if (proc < 0)
		return err_errno("open /proc");
	r = ns_run(&s->fd, 1, copy_mountinfo, &proc, &copy);
	if (r == 0)
		r = ns_run(&s->fd, 1, open_root, NULL, &s->root);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", copy);
	if (r == 0)
		r = file_read_at(AT_FDCWD, path, MOUNTINFO_MAX, &text, NULL);
	return r < 0 ? r : mountinfo_parse(text, &s->mounts);
}

static int count_queues(void *arg, int *ret_fd)
{
	const struct mount_param none[] = {{NULL}};
	autoclose int fd = -1;
	struct dirent *e;
	int r = mount_make("mqueue", none, 0, &fd);
	DIR *dir = r < 0 ? NULL : fdopendir(dup(fd));

	for (r = MIN(r, 0); dir && (e = readdir(dir));)
		r += e->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return r;
}

static int check_queues(const struct space *s)
{
	int r = ns_run(&s->fd, 1, count_queues, NULL, NULL);

	return r > 0 ? err_set(EOPNOTSUPP,
			       "there are POSIX message queues in an IPC namespace that the first "
			       "task is not in; remove them")
		     : r;
}

/* What it sees of its own control groups. */
static int is_at_root(void *arg, int *ret_fd)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	int r = file_read_at(*(int *)arg, "cgroup", MOUNTINFO_MAX, &text, NULL);

	if (r < 0)
		return r;
	lines = g_strsplit(text, "\n", -1);
	for (char **l = lines; *l; l++)
		if (**l && !g_str_has_suffix(*l, ":/"))
			return 1;
	return 0;
}

static int check_cgroups(const struct space *s, int dir)
{
	int r = ns_run(&s->fd, 1, is_at_root, &dir, NULL);

	return r > 0 ? err_set(EOPNOTSUPP,
			       "it is not in the control groups that are the root of its cgroup "
			       "namespace, by which that could be made again; move it there")
		     : r;
}

int spaces_add(struct dump *d, enum ns_kind kind, uint64_t ino, int fd_take, struct space **ret)
{
	struct space *s = g_new0(struct space, 1);
	int r;

	*s = (struct space){.kind = kind, .ino = ino, .fd = fd_take, .root = -1};
	s->id = NSID_FIRST_SPACE + d->spaces->len;
	memcpy(s->around, d->ns, sizeof(s->around));
	s->external = kind == NS_NET ? box_external(d, "net", ino) : NULL;
	g_ptr_array_add(d->spaces, s);
	*ret = s;
	r = spaces_add_owner(d, s);
	if (r < 0)
		return r;
	return kind == NS_MNT ? read_mounts(s) : kind == NS_IPC ? check_queues(s) : 0;
}

int spaces_add_fd(struct dump *d, enum ns_kind kind, uint64_t ino, int fd)
{
	struct space *s;
	int mine;

	if (spaces_id(d, kind, ino))
		return 0;
	if (kind != NS_NET && kind != NS_UTS && kind != NS_USER)
		return err_set(EOPNOTSUPP,
			       "%s:[%" PRIu64 "] is not a namespace of the tree; close it",
			       ns_infos[kind].name, ino);
	if (d->frozen)
		return err_set(EAGAIN, "%s:[%" PRIu64 "] has just been made", ns_infos[kind].name,
			       ino);
	mine = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (mine < 0)
		return err_errno("dup");
	return spaces_add(d, kind, ino, mine, &s);
}

static int add_of(struct dump *d, int dir, pid_t pid, enum ns_kind kind, const uint64_t *its)
{
	struct space *s = spaces_find(d, kind, its[kind]);
	autoclose int fd = -1;
	int r = s ? 0 : ns_open(dir, kind, &fd);

	if (r == 0 && !s && d->frozen)
		return err_set(EAGAIN, "it has just entered another %s namespace",
			       ns_infos[kind].name);
	if (r == 0 && !s)
		r = spaces_add(d, kind, its[kind], take_fd(&fd), &s);
	if (r == 0 && kind == NS_CGROUP)
		r = check_cgroups(s, dir);
	if (r == 0 && !s->pid) {
		s->pid = pid;
		memcpy(s->around, its, sizeof(s->around));
	}
	return r;
}

static int refuse(enum ns_kind kind)
{
	return err_set(EOPNOTSUPP,
		       "it is in another %s namespace than the first task, which cannot be saved; "
		       "end it",
		       ns_infos[kind].name);
}

/* What a process or thread is in; which it is to have in common with its process: SAME. */
static int look_at(struct dump *d, int dir, pid_t tid, const uint64_t *process)
{
	uint64_t its[NS_COUNT];
	int r = ns_ids(dir, its);

	if (r < 0 || memcmp(its, d->ns, sizeof(its)) == 0)
		return r;
	for (unsigned k = 0; r == 0 && k < NS_COUNT; k++) {
		if (its[k] == d->ns[k])
			continue;
		if (!can_make[k] || (process && (k == NS_MNT || k == NS_PID || k == NS_USER) &&
				     its[k] != process[k]))
			return refuse((enum ns_kind)k);
		r = add_of(d, dir, tid, (enum ns_kind)k, its);
	}
	g_hash_table_insert(d->strays, GINT_TO_POINTER(tid), g_memdup2(its, sizeof(its)));
	return r;
}

/* The others are entered by processes without threads only (user_namespaces(7), setns(2)). */
static const enum ns_kind of_threads[] = {NS_MNT, NS_UTS, NS_IPC, NS_NET, NS_CGROUP};

/* Of thousands of threads hardly one is elsewhere: which, is asked side by side. */
struct whereabouts {
	const struct dtask *t;
	const uint64_t *process;
	bool *alike; /* false: not so, or not known */
};

static void ask_one(void *arg, unsigned i)
{
	struct whereabouts *w = arg;
	int r = ns_thread_is_in(w->t->proc.dir, dtask_tid(w->t, i), of_threads,
				ARRAY_SIZE(of_threads), w->process);

	if (r < 0)
		err_clear(); /* then it is looked at below */
	w->alike[i] = r > 0;
}

static int look_at_thread(struct dump *d, const struct dtask *t, pid_t tid)
{
	autoclose int dir = -1;
	int r = proc_open_task(t->proc.dir, tid, &dir);

	return r < 0 ? r : look_at(d, dir, tid, spaces_of(d, t->proc.pid));
}

static int look_at_threads(struct dump *d, const struct dtask *t)
{
	unsigned n = dtask_nthreads(t);
	g_autofree bool *alike = g_new0(bool, n);
	struct whereabouts w = {t, spaces_of(d, t->proc.pid), alike};
	int r = 0;

	if (w.process == d->ns)
		parallel_run(n, ask_one, &w);
	for (unsigned i = 0; r == 0 && i < n; i++) {
		pid_t tid = dtask_tid(t, i);

		/* a first thread that has ended is in none any more */
		if (alike[i] || tid == t->proc.pid || (t->leader_dead && tid == t->pid))
			continue;
		r = look_at_thread(d, t, tid);
		if (r == -ESRCH || r == -ENOENT) {
			err_clear();
			r = 0;
		}
	}
	return r;
}

/* A pid namespace that only children are in (unshare(2), setns(2)); its first one may have ended.
 */
static int look_at_children(struct dump *d, const struct dtask *t)
{
	uint64_t own, id;
	struct space *s;
	int fd, r = ns_id(t->proc.dir, NS_PID, &own);

	if (r == 0)
		r = ns_child_id(t->proc.dir, NS_PID, &id);
	if (r < 0 || own == id)
		return r;
	d->unborn = d->unborn || !id;
	if (t->status.threads > 1)
		return err_set(EOPNOTSUPP, "it has threads, and its children go to another pid "
					   "namespace");
	if (!id || spaces_id(d, NS_PID, id))
		return 0;
	r = proc_open_link(t->proc.dir, "ns/pid_for_children", O_RDONLY | O_CLOEXEC, &fd);
	return r < 0 ? r : spaces_add(d, NS_PID, id, fd, &s);
}

/* Clocks that only children will have (unshare(2)): who restores makes none for them. */
static int look_at_clocks(const struct dtask *t)
{
	uint64_t own, children;
	int r = ns_id(t->proc.dir, NS_TIME, &own);

	if (r == 0)
		r = ns_child_id(t->proc.dir, NS_TIME, &children);
	if (r < 0 || own == children)
		return r;
	return err_set(EOPNOTSUPP, "its children go to another time namespace, which cannot be "
				   "saved; end it");
}

static int look_at_task(struct dump *d, struct dtask *t)
{
	int r = t->zombie ? 0 : look_at(d, t->proc.dir, t->proc.pid, NULL);

	if (r == 0 && !t->zombie)
		r = look_at_clocks(t);
	if (r == 0 && !t->zombie)
		r = look_at_children(d, t);
	if (r == 0 && !t->zombie)
		r = look_at_threads(d, t);
	if (r == 0 && !t->zombie)
		r = spaces_check_users(d, t);
	if (r == 0)
		r = levels_check(t);
	/* it ends, and has given up its namespaces already */
	if (r == -ESRCH || r == -ENOENT || (r < 0 && !d->frozen && task_is_ending(t))) {
		err_clear();
		return 0;
	}
	return dtask_wrap(t, r);
}

static int look_at_all(struct dump *d)
{
	int r = 0;

	d->strays = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		r = look_at_task(d, dump_task(d, i));
		r = d->frozen ? r : dump_refuse(d, r);
	}
	return r;
}

int spaces_look(struct dump *d)
{
	int r;

	spaces_end(d);
	d->spaces = g_ptr_array_new_with_free_func(space_free);
	d->unborn = false;
	r = look_at_all(d);
	if (r == 0)
		r = dump_refuse(d, mnt_nsfs_spaces(d));
	return r < 0 ? r : spaces_check_births(d);
}

/*
 * Who is in none when we look and makes one before the freeze is not seen: that would cost the
 * frozen tree as many calls as it has threads.
 */
int spaces_look_frozen(struct dump *d)
{
	int r;

	if (!d->spaces->len)
		return 0;
	g_clear_pointer(&d->strays, g_hash_table_unref);
	r = look_at_all(d);
	return r < 0 ? r : spaces_check_births(d);
}

static struct space *mount_space(const struct dump *d, int mnt_id)
{
	for (unsigned i = 0; d->spaces && i < d->spaces->len; i++) {
		struct space *s = g_ptr_array_index(d->spaces, i);

		if (s->kind == NS_MNT && mountinfo_by_id(&s->mounts, mnt_id))
			return s;
	}
	return NULL;
}

const struct mount_entry *spaces_mount(const struct dump *d, int mnt_id)
{
	const struct mount_entry *m = mountinfo_by_id(&d->mounts, mnt_id);
	const struct space *s = m ? NULL : mount_space(d, mnt_id);

	return s ? mountinfo_by_id(&s->mounts, mnt_id) : m;
}

int spaces_root(const struct dump *d, int mnt_id)
{
	const struct space *s = mnt_id < 0 ? NULL : mount_space(d, mnt_id);

	return s ? s->root : d->root;
}

int spaces_mount_of(const struct dump *d, const char *path)
{
	struct statx st;

	if (!d->spaces || !d->spaces->len || statx(AT_FDCWD, path, 0, STATX_MNT_ID, &st) < 0)
		return -1;
	return (int)st.stx_mnt_id;
}

int spaces_dump_threads(struct dump *d, struct dtask *t)
{
	const uint64_t *process = spaces_of(d, t->proc.pid);
	json_t *all = json_object();

	for (unsigned i = 1; i < t->nthreads; i++) {
		const uint64_t *its = spaces_of(d, t->threads[i].tid);
		json_t *one = its == process ? NULL : json_object();
		char tid[16];

		snprintf(tid, sizeof(tid), "%d", t->threads[i].nstid);
		for (unsigned k = 0; one && k < NS_COUNT; k++)
			if (its[k] != process[k])
				json_object_set_new(
					one, ns_infos[k].name,
					json_integer(spaces_id(d, (enum ns_kind)k, its[k])));
		if (json_object_size(one))
			json_object_set(all, tid, one);
		json_decref(one);
	}
	if (json_object_size(all))
		json_object_set(t->extra, "thread_namespaces", all);
	json_decref(all);
	return 0;
}
