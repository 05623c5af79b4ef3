/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pidfd_open(2).  One of a process that is gone (reaped: its number is -1) becomes one of a child
 * of ours that has ended in the same way, for PIDFD_GET_INFO (Linux 6.15). kernel/pid.c,
 * fs/pidfs.c: pidfd_show_fdinfo().  It was in the pid namespace of who has the descriptor: nothing
 * tells, but of one further out pidfd_send_signal(2) would say EINVAL, not ESRCH.
 */
#include "state/extra.h"
#include "state/fd/kind.h"

#include "base/fd.h"
#include "image/pidfd.pb-c.h"
#include "kernel/ns.h"
#include "kernel/procstat.h"
#include "state/ns/spaces.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#define ANCESTORS_MAX 256

/* linux/pidfd.h, as far as Linux 6.15 */
struct exit_info {
	uint64_t mask, cgroupid;
	uint32_t pid, tgid, ppid, ids[8];
	int32_t exit_code;
};
#define PIDFS_MAGIC 0x50494446
#define AT_ONCE	    FD_SEND_MAX

#define INFO_EXIT (UINT64_C(1) << 3)
#define GET_INFO  _IOWR(0xFF, 11, struct exit_info)

static bool match(const struct dump *d, const struct fd_view *v)
{
	return strcmp(v->link, "anon_inode:[pidfd]") == 0;
}

/* The process as we see it; 0: it is gone, -1: it is in no namespace of ours. */
static int pid_of(const struct fd_view *v, pid_t *ret)
{
	const char *text = fdinfo_get(&v->info, "Pid");

	if (!text)
		return err_set(EBADMSG, "no line Pid");
	*ret = (pid_t)g_ascii_strtoll(text, NULL, 10);
	*ret = *ret == -1 ? 0 : *ret == 0 ? -1 : *ret;
	return 0;
}

static int outside(pid_t pid)
{
	return err_set(EOPNOTSUPP, "pidfd of process %d, which is not in the tree; close it", pid);
}

static bool is_top(const struct dump *d, pid_t pid)
{
	bool found = pid == d->o.pid;

	for (unsigned i = 0; !found && i < d->o.nguests; i++)
		found = pid == d->o.guests[i].pid;
	return found;
}

/* While the tree runs, there are newer processes than those that we know. */
static bool is_below(const struct dump *d, pid_t pid)
{
	for (int i = 0; i < ANCESTORS_MAX && pid > 0; i++) {
		CLEANUP(proc_close) struct proc p = PROC_NONE;
		struct procstat s;

		if (is_top(d, pid))
			return true;
		if (proc_open(pid, &p) < 0 || procstat_read(p.dir, &s) < 0)
			return true; /* it has ended */
		pid = s.ppid;
	}
	return false;
}

static int check(struct dump *d, const struct fd_view *v)
{
	pid_t pid;
	int r = fown_check(v);

	if (r == 0)
		r = pid_of(v, &pid);
	if (r == 0 && pid != 0 && !is_below(d, pid))
		r = outside(pid);
	return r;
}

/*
 * Those of one process have one inode (Linux 6.9), by which programs compare them; before that it
 * was that of all anonymous files.
 */
static bool tells_processes_apart(const struct fd_view *v)
{
	struct statfs fs;
	char path[64];

	fd_view_path(v, path);
	return statfs(path, &fs) == 0 && fs.f_type == PIDFS_MAGIC;
}

static void keep_exit(struct dump *d, const struct fd_view *v, uint32_t id)
{
	struct exit_info info = {.mask = INFO_EXIT};
	autoclose int fd = -1;

	if (fd_view_get(v, &fd) < 0 || ioctl(fd, GET_INFO, &info) < 0 || !(info.mask & INFO_EXIT))
		return;
	extra_set(d->extra, "pidfds", id, json_integer(info.exit_code));
}

static void keep_namespace(struct dump *d, const struct fd_view *v, uint32_t id)
{
	uint32_t ns = fd_view_in_flight(v)
			      ? 0
			      : spaces_id(d, NS_PID, spaces_of(d, v->task->proc.pid)[NS_PID]);

	if (ns >= NSID_FIRST_SPACE)
		extra_set(d->extra, "pidfd_namespaces", id, json_integer(ns));
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	PidfdEntry *e = f->pidfd = g_new0(PidfdEntry, 1);
	pid_t pid;
	int r;

	pidfd_entry__init(e);
	e->id = f->id;
	e->ino = (uint32_t)v->st.st_ino;
	e->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	e->nspid = -1;
	r = fown_dump(v, &e->fown);
	if (r == 0)
		r = pid_of(v, &pid);
	if (r < 0)
		return r;
	if (pid == 0) {
		if (!tells_processes_apart(v))
			e->ino = f->id;
		keep_exit(d, v, f->id);
		keep_namespace(d, v, f->id);
		return 0;
	}
	for (unsigned i = 0; i < d->tasks->len; i++) {
		const struct dtask *t = dump_task(d, i);

		if (t->pid == pid)
			e->nspid = t->nspid;
		for (unsigned k = !t->leader_dead; k < t->nthreads; k++)
			if (t->threads[k].tid == pid)
				e->nspid = t->threads[k].nstid;
	}
	return e->nspid < 0 ? outside(pid) : 0;
}

static int load(struct restore *r, struct file *f)
{
	return f->entry->pidfd ? 0 : 1;
}

static _Noreturn void die(int code)
{
	sigset_t none;

	prctl(PR_SET_DUMPABLE, 0); /* no core file */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (code & 0x7f) {
		signal(code & 0x7f, SIG_DFL);
		kill(getpid(), code & 0x7f);
	}
	_exit(code >> 8 & 0xff);
}

struct dead {
	int code, sock;
	GPtrArray *files; /* all those of one process */
};

static int send_some(const struct dead *dead, unsigned from, pid_t pid)
{
	int fds[AT_ONCE], ret = 0;
	unsigned n = 0;

	while (ret == 0 && n < AT_ONCE && from + n < dead->files->len) {
		const struct file *f = g_ptr_array_index(dead->files, from + n);

		/* PIDFD_NONBLOCK, PIDFD_THREAD (Linux 6.9) */
		fds[n] = (int)syscall(SYS_pidfd_open, pid,
				      f->entry->pidfd->flags & (O_NONBLOCK | O_EXCL));
		if (fds[n] < 0)
			ret = err_errno("pidfd_open");
		else
			n++;
	}
	if (ret == 0)
		ret = fd_send(dead->sock, "f", 1, fds, n);
	while (n-- > 0)
		close(fds[n]);
	return ret;
}

/* In a child of ours whose children are in the box's PID namespace. */
static int end_one(void *arg, int *ret_fd)
{
	const struct dead *dead = arg;
	pid_t pid = fork();
	int ret = 0;

	if (pid < 0)
		return err_errno("fork");
	if (pid == 0)
		die(dead->code);
	for (unsigned i = 0; ret == 0 && i < dead->files->len; i += AT_ONCE)
		ret = send_some(dead, i, pid);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return ret;
}

static GPtrArray *same_process(struct restore *r, const struct file *f)
{
	GPtrArray *all = g_ptr_array_new();
	GHashTableIter it;
	struct file *o;

	g_hash_table_iter_init(&it, r->files);
	while (g_hash_table_iter_next(&it, NULL, (void **)&o)) {
		const PidfdEntry *e = o->kind == &fd_pidfd ? o->entry->pidfd : NULL;

		if (e && e->nspid < 0 && e->ino == f->entry->pidfd->ino && o->fd < 0)
			g_ptr_array_add(all, o);
	}
	return all;
}

static int take(const struct dead *dead, int sock)
{
	for (unsigned i = 0; i < dead->files->len;) {
		int fds[AT_ONCE];
		unsigned n = 0;
		ssize_t got = fd_recv(sock, &(char){0}, 1, fds, AT_ONCE, &n);

		if (got < 0)
			return (int)got;
		if (n != MIN(AT_ONCE, dead->files->len - i))
			return err_set(EIO, "pidfds of a process that is gone: %u came", n);
		for (unsigned k = 0; k < n; k++, i++)
			((struct file *)g_ptr_array_index(dead->files, i))->fd = fds[k];
	}
	return 0;
}

/* 0: the root's. */
static uint32_t namespace_of(struct restore *r, const GPtrArray *files)
{
	for (unsigned i = 0; i < files->len; i++) {
		const struct file *f = g_ptr_array_index(files, i);
		uint32_t id = (uint32_t)json_integer_value(
			extra_get(r->extra, "pidfd_namespaces", f->id));

		if (spaces_is(r, NS_PID, id))
			return id;
	}
	return 0;
}

static int open_dead(struct restore *r, struct file *f)
{
	g_autoptr(GPtrArray) files = same_process(r, f);
	struct dead dead = {.files = files};
	autoclose int ours = -1, theirs = -1;
	int ns, ret = spaces_fd(r, NS_PID, namespace_of(r, files), &ns), sv[2];

	dead.code = (int)json_integer_value(extra_get(r->extra, "pidfds", f->id));
	if (ret < 0)
		return ret;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return err_errno("create a socket pair");
	ours = sv[0];
	dead.sock = theirs = sv[1];
	ret = ns_run(&ns, 1, end_one, &dead, NULL);
	return ret < 0 ? ret : take(&dead, ours);
}

/* The process whose thread it is; NULL: it is of none. */
static struct rtask *task_of_thread(struct restore *r, pid_t nstid)
{
	for (unsigned i = 0; nstid > 0 && i < r->nimages; i++) {
		struct rtask *t = restore_task(r, i);

		for (unsigned k = 1; !t->zombie && k < t->nthreads; k++)
			if (t->threads[k].nstid == nstid)
				return t;
	}
	return NULL;
}

/* Threads come after files: until then it is one of their process. */
static int open_for_now(struct restore *r, struct file *f, const struct rtask *t)
{
	f->fd = (int)syscall(SYS_pidfd_open, rtask_pid(t), f->entry->pidfd->flags & O_NONBLOCK);
	return f->fd < 0 ? err_errno("pidfd of process %d", t->nspid) : 0;
}

static int late(struct restore *r, struct rtask *t, struct file *f, int *ret_tfd)
{
	const PidfdEntry *e = f->entry->pidfd;
	CLEANUP(batch_end) struct batch b = {0};
	int op, ret;

	if (!task_of_thread(r, e->nspid))
		return 1;
	rtask_batch(t, &b);
	op = batch_add(&b, SYS_pidfd_open, IMM(e->nspid), IMM(e->flags & (O_NONBLOCK | O_EXCL)));
	ret = batch_run(&b);
	*ret_tfd = (int)batch_result(&b, op);
	return ret;
}

static int open_(struct restore *r, struct file *f)
{
	const PidfdEntry *e = f->entry->pidfd;
	unsigned flags = e->flags & (O_NONBLOCK | O_EXCL); /* as in send_some() */
	const struct rtask *threads = task_of_thread(r, e->nspid);
	int ret = threads ? open_for_now(r, f, threads) : 1;

	for (unsigned i = 0; ret == 1 && e->nspid > 0 && i < r->nimages; i++) {
		const struct rtask *t = restore_task(r, i);

		if (t->nspid != e->nspid)
			continue;
		f->fd = (int)syscall(SYS_pidfd_open, rtask_pid(t), flags);
		ret = f->fd < 0 ? err_errno("pidfd of process %d", e->nspid) : 0;
	}
	if (ret == 1 && e->nspid > 0)
		return err_set(EBADMSG, "pidfd of process %d, which is not there", e->nspid);
	if (ret == 1) /* with another one of the same process, perhaps */
		ret = f->fd < 0 ? open_dead(r, f) : 0;
	return ret < 0 ? ret : fown_restore(r, f, e->fown, e->flags);
}

const struct fd_kind fd_pidfd = {
	.name = "pidfd",
	.type = FD_TYPES__PIDFD,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
	.late = late,
};
