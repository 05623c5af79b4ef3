/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files in /proc/PID of a process that has gone.  They can only be had from a process of that
 * number that goes as well: one is made in the box's PID namespace, its file opened, and it is
 * ended. Those of living processes are found by their names (regular.c); those of threads,
 * descriptors and mappings are opened when all of these are there, by the task that has them.
 */
#include "base/file.h"
#include "state/extra.h"
#include "state/fd/files.h"
#include "state/fd/kind.h"

#include "image/regfile.pb-c.h"
#include "image/remap-file-path.pb-c.h"
#include "kernel/ns.h"
#include "state/ns/spaces.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* The number in "/proc/12/status" and what comes after it; 0: it is no file of a process. */
static pid_t number_in(const struct dump *d, int mnt_id, const char *at, const char **ret_rest)
{
	const struct mount_entry *m = spaces_mount(d, mnt_id);
	char *end;
	long pid;

	if (!m || strcmp(m->fstype, "proc") != 0 || !g_str_has_prefix(at, m->target))
		return 0;
	at += strlen(m->target);
	if (strcmp(m->root, "/") != 0 || *at++ != '/')
		return 0;
	pid = strtol(at, &end, 10);
	*ret_rest = end;
	return end != at && (*end == '/' || *end == ' ' || *end == 0) ? (pid_t)pid : 0;
}

static pid_t number_of(const struct dump *d, const struct fd_view *v, const char **ret_rest)
{
	return number_in(d, v->info.mnt_id, v->link, ret_rest);
}

static bool is_alive(const struct dump *d, pid_t nspid)
{
	for (unsigned i = 0; i < d->tasks->len; i++)
		if (dump_task(d, i)->nspid == nspid)
			return true;
	return false;
}

/* "/task/13/stat" of another thread than the first, or what a descriptor or a mapping has. */
static bool comes_late(pid_t pid, const char *rest)
{
	static const char *const of_parts[] = {"/fd/", "/fdinfo/", "/map_files/"};

	if (g_str_has_prefix(rest, "/task/") && strtol(rest + 6, NULL, 10) != pid)
		return true;
	for (unsigned i = 0; i < ARRAY_SIZE(of_parts); i++)
		if (strstr(rest, of_parts[i]))
			return true;
	return false;
}

static bool match(const struct dump *d, const struct fd_view *v)
{
	const char *rest;
	pid_t pid = number_of(d, v, &rest);
	struct path_view p;
	char reopen[64];

	if (!pid || is_alive(d, pid))
		return pid && comes_late(pid, rest);
	p = fd_view_named(v, reopen); /* of somebody outside of the tree? */
	return !path_leads_there(d, &p);
}

static int check(struct dump *d, const struct fd_view *v)
{
	return fown_check(v);
}

static RegFileEntry *entry_new(uint32_t id, const char *link, unsigned flags, mode_t mode)
{
	RegFileEntry *e = g_new0(RegFileEntry, 1);

	reg_file_entry__init(e);
	e->id = id;
	e->flags = flags;
	e->name = g_str_has_suffix(link, " (deleted)")
			  ? g_strndup(link, strlen(link) - strlen(" (deleted)"))
			  : g_strdup(link);
	e->has_mode = true;
	e->mode = mode;
	return e;
}

static int remap(struct dump *d, uint32_t id, pid_t pid)
{
	RemapFilePathEntry m = REMAP_FILE_PATH_ENTRY__INIT;

	m.orig_id = id;
	m.remap_id = (uint32_t)pid;
	m.has_remap_type = true;
	m.remap_type = REMAP_TYPE__PROCFS;
	return image_write(&d->w, IMG_REMAP_FPATH, 0, &m.base);
}

/* In IMAGE_EXTRA "thread_files": {"FILE ID": true}. */
static int note_thread(struct dump *d, uint32_t id)
{
	extra_set(d->extra, "thread_files", id, json_true());
	return 0;
}

static bool is_thread_file(const struct restore *r, uint32_t id)
{
	return extra_get(r->extra, "thread_files", id) != NULL;
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	const char *rest;
	pid_t pid = number_of(d, v, &rest);
	int r = check(d, v);

	f->reg = entry_new(f->id, v->link, v->info.flags & ~(unsigned)O_CLOEXEC, v->st.st_mode);
	if (r == 0)
		r = fown_dump(v, &f->reg->fown);
	if (r < 0)
		return r;
	f->reg->pos = v->info.pos;
	return is_alive(d, pid) ? note_thread(d, f->id) : remap(d, f->id, pid);
}

static pid_t number_of_dir(const struct dump *d, const struct path_view *v)
{
	const char *rest;
	struct statx st;
	pid_t pid;

	if (statx(AT_FDCWD, v->reopen, 0, STATX_MNT_ID, &st) < 0)
		return 0;
	pid = number_in(d, (int)st.stx_mnt_id, v->link, &rest);
	return pid && !is_alive(d, pid) && !path_leads_there(d, v) ? pid : 0;
}

bool procfile_is_gone(const struct dump *d, const struct path_view *v)
{
	return number_of_dir(d, v) != 0;
}

int procfile_dump_dir(struct dump *d, const struct path_view *v, uint32_t *ret_id)
{
	FileEntry f = FILE_ENTRY__INIT;
	int r;

	f.id = *ret_id = files_new_id(d);
	f.type = FD_TYPES__REG;
	f.reg = entry_new(f.id, v->link, v->flags, v->st.st_mode);
	f.reg->fown = fown_none();
	r = image_write(&d->w, IMG_FILES, 0, &f.base);
	reg_file_entry__free_unpacked(f.reg, NULL);
	return r < 0 ? r : remap(d, f.id, number_of_dir(d, v));
}

static int load(struct restore *r, struct file *f)
{
	if (!f->entry->reg)
		return 1;
	return is_thread_file(r, f->id) || g_hash_table_contains(r->gone, GUINT_TO_POINTER(f->id))
		       ? 0
		       : 1;
}

struct work {
	struct restore *r;
	const RegFileEntry *e;
	pid_t pid;
};

static long make_process(const pid_t *pid)
{
	struct clone_args a = {.exit_signal = SIGCHLD,
			       .set_tid = (uint64_t)(uintptr_t)pid,
			       .set_tid_size = pid ? 1 : 0};
	long p = syscall(SYS_clone3, &a, sizeof(a));

	if (p == 0)
		for (;;)
			pause();
	return p;
}

/* In a child of ours whose children are in the box's PID namespace. */
static int open_and_end(void *arg, int *ret_fd)
{
	struct work *w = arg;
	struct open_how how = {
		.flags =
			(w->e->flags & (O_ACCMODE | O_PATH | O_DIRECTORY | O_NONBLOCK)) | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT};
	long p = make_process(&w->pid);
	int ret = 0;

	if (w->e->has_mode && S_ISLNK(w->e->mode)) /* "exe" itself, not where it leads */
		how.flags |= O_NOFOLLOW;
	if (p < 0)
		return errno == EEXIST ? err_set(EOPNOTSUPP,
						 "%s was of a process that is gone, but its "
						 "number %d is another's by now",
						 w->e->name, w->pid)
				       : err_errno("process %d for a moment", w->pid);
	*ret_fd = file_openat2(spaces_root_of(w->r, w->e->has_mnt_id ? w->e->mnt_id : -1),
			       w->e->name, &how);
	if (*ret_fd < 0)
		ret = err_errno("open %s", w->e->name);
	kill((pid_t)p, SIGKILL);
	waitpid((pid_t)p, NULL, 0);
	return ret;
}

static int open_(struct restore *r, struct file *f)
{
	struct work w = {.r = r, .e = f->entry->reg};
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	autoclose int ns = -1;
	int ret = proc_open(r->stub.pid, &p);

	w.pid = (pid_t)GPOINTER_TO_UINT(g_hash_table_lookup(r->gone, GUINT_TO_POINTER(f->id)));
	if (w.pid == 0) { /* of what comes later */
		f->fd = open("/dev/null", (int)(w.e->flags & O_ACCMODE) | O_CLOEXEC);
		return f->fd < 0 ? err_errno("open /dev/null") : 0;
	}
	if (ret == 0)
		ret = ns_open(p.dir, NS_PID, &ns);
	if (ret == 0)
		ret = ns_run(&ns, 1, open_and_end, &w, &f->fd);
	return ret < 0 ? ret : fown_restore(r, f, w.e->fown, w.e->flags);
}

/*
 * In a child of ours, whose child stays and becomes ours: in another PID namespace than its
 * parent's it goes to a subreaper of the parent (kernel/exit.c: find_new_reaper()).
 */
static int make_one(void *arg, int *ret_fd)
{
	const struct work *w = arg;
	long p = make_process(&w->pid);

	if (p < 0)
		return err_errno("process %d for a moment", w->pid);
	*ret_fd = (int)syscall(SYS_pidfd_open, p, 0);
	if (*ret_fd >= 0)
		return 0;
	kill((pid_t)p, SIGKILL);
	return err_errno("pidfd_open");
}

static int go_there(struct restore *r, struct rtask *t, const char *name)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT};
	autoclose int dir = file_openat2(r->root, name, &how);
	CLEANUP(batch_end) struct batch b = {0};
	int tfd, ret;

	if (dir < 0)
		return err_errno("open %s", name);
	rtask_batch(t, &b);
	batch_recv_fds(&b, &dir, 1, &tfd);
	ret = batch_run(&b);
	if (ret < 0)
		return ret;
	batch_add(&b, SYS_fchdir, IMM(tfd));
	batch_add(&b, SYS_close, IMM(tfd));
	return batch_run(&b);
}

/* Nobody can go into the directory of a process that is gone: it lives until T is there. */
int procfile_chdir(struct restore *r, struct rtask *t, uint32_t id, const char *name)
{
	struct work w = {
		.pid = (pid_t)GPOINTER_TO_UINT(g_hash_table_lookup(r->gone, GUINT_TO_POINTER(id)))};
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	autoclose int ns = -1, pidfd = -1;
	int ret, reaps = 0;

	if (w.pid == 0)
		return 1;
	ret = proc_open(r->stub.pid, &p);
	if (ret == 0)
		ret = ns_open(p.dir, NS_PID, &ns);
	if (ret < 0)
		return ret;
	prctl(PR_GET_CHILD_SUBREAPER, &reaps);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	ret = ns_run(&ns, 1, make_one, &w, &pidfd);
	prctl(PR_SET_CHILD_SUBREAPER, reaps);
	if (ret < 0)
		return ret;
	ret = go_there(r, t, name);
	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	while (waitid(P_PIDFD, (id_t)pidfd, &(siginfo_t){0}, WEXITED) < 0 && errno == EINTR)
		;
	return ret;
}

static int late(struct restore *r, struct rtask *t, struct file *f, int *ret_tfd)
{
	const RegFileEntry *e = f->entry->reg;
	unsigned flags = (e->flags & (O_ACCMODE | O_PATH | O_DIRECTORY | O_NONBLOCK)) | O_CLOEXEC;
	CLEANUP(batch_end) struct batch b = {0};
	int op, ret;

	if (!is_thread_file(r, f->id))
		return 1;
	if (e->has_mode && S_ISLNK(e->mode))
		flags |= O_NOFOLLOW;
	rtask_batch(t, &b);
	op = batch_add(&b, SYS_openat, IMM(AT_FDCWD), batch_str(&b, e->name), IMM(flags));
	if (e->pos)
		batch_add(&b, SYS_lseek, RES(op), IMM(e->pos), IMM(SEEK_SET));
	ret = batch_run(&b);
	*ret_tfd = (int)batch_result(&b, op);
	return ret;
}

const struct fd_kind fd_procfile = {
	.name = "file of a process",
	.type = FD_TYPES__REG,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
	.late = late,
};
