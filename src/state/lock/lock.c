/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel shows a descriptor's locks in its fdinfo: those of the description (flock, OFD, lease)
 * and, through any descriptor of the file, those of the process (fs/locks.c: show_fd_locks()):
 *
 *	lock:	1: POSIX  ADVISORY  WRITE 359 fe:00:10956993 5 14
 *	lock:	2: LEASE  ACTIVE    READ 359 fe:00:10956993 0 EOF
 *
 * Of a lease that somebody waits for it tells what the holder is asked to leave (LEASE BREAKING
 *READ or UNLCK, target_leasetype()).
 *
 * A process loses its locks when it closes any descriptor of the file, and a lease wants the file
 * to be open nowhere else: both are set when everything else is done.
 */
#include "state/lock/lock.h"

#include "state/fd/files.h"

#include "image/file-lock.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

/* file_lock_entry.flag: CRIU's FL_* */
enum { FL_POSIX = 1, FL_FLOCK = 2, FL_OFD = 4, FL_LEASE = 8 };

/* In the type of a lease: it is being broken, and the rest is what is to be left; CRIU's. */
#define LEASE_BREAKING 4

struct lock {
	unsigned kind;
	int type; /* F_RDLCK, F_WRLCK; of a lease also F_UNLCK, with LEASE_BREAKING */
	int64_t start, len;
	char state[16], range[96];
};

static const struct {
	const char *name;
	unsigned kind;
} kinds[] = {{"POSIX", FL_POSIX}, {"FLOCK", FL_FLOCK}, {"OFDLCK", FL_OFD}, {"LEASE", FL_LEASE}};

static const struct {
	const char *name;
	int type;
} types[] = {{"READ", F_RDLCK}, {"WRITE", F_WRLCK}, {"UNLCK", F_UNLCK}};

static int parse(const char *line, struct lock *ret)
{
	char kind[16], type[16], end[32];
	long long start;

	*ret = (struct lock){.type = -1};
	if (sscanf(line, "%*d: %15s %15s %15s %*d %*s %lld %31s", kind, ret->state, type, &start,
		   end) != 5)
		return err_set(EBADMSG, "lock: %s", line);
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].name, kind) == 0)
			ret->kind = kinds[i].kind;
	if (!ret->kind)
		return err_set(EOPNOTSUPP, "a lock of kind %s cannot be saved; give it up first",
			       kind);
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(types[i].name, type) == 0)
			ret->type = types[i].type;
	if (ret->type < 0 || (ret->type == F_UNLCK && ret->kind != FL_LEASE))
		return err_set(EOPNOTSUPP, "a lock of type %s cannot be saved; give it up first",
			       type);
	if (ret->kind == FL_LEASE && strcmp(ret->state, "ACTIVE") != 0)
		ret->type |= LEASE_BREAKING;
	ret->start = start;
	ret->len = strcmp(end, "EOF") == 0 ? 0 : g_ascii_strtoll(end, NULL, 10) + 1 - start;
	snprintf(ret->range, sizeof(ret->range), "%lld %s %s", start, end, type);
	return 0;
}

bool locks_lease(const struct fdinfo *info)
{
	const char *line;
	size_t at = 0;

	while ((line = fdinfo_next(info, "lock", &at)))
		if (strstr(line, " LEASE "))
			return true;
	return false;
}

int locks_check(struct dump *d, const struct fd_view *v)
{
	const char *line = fdinfo_get(&v->info, "lock");
	struct lock l;

	if (line && !d->o.file_locks)
		return err_set(EOPNOTSUPP, "%s is locked; use --file-locks to keep file locks",
			       v->link);
	return line ? err_wrap(parse(line, &l), "%s", v->link) : 0;
}

/* Locks of the process: each once, through a descriptor that would be allowed to set it. */
static bool is_mine(struct dump *d, const struct fd_view *v, const struct lock *l)
{
	unsigned mode = v->info.flags & O_ACCMODE;
	g_autofree char *key = NULL;

	if (mode == (l->type == F_WRLCK ? O_RDONLY : O_WRONLY))
		return false;
	key = g_strdup_printf("posix %u %llx %s", v->task->index, (unsigned long long)v->st.st_dev,
			      l->range);
	return dump_once(d, key, v->st.st_ino);
}

static int dump_line(struct dump *d, const struct fd_view *v, const char *line, bool first)
{
	FileLockEntry e = FILE_LOCK_ENTRY__INIT;
	struct lock l;
	int r = parse(line, &l);

	if (r < 0)
		return err_wrap(r, "%s", v->link);
	if (l.kind == FL_POSIX ? !is_mine(d, v, &l) : !first)
		return 0;
	e.flag = l.kind;
	e.type = (uint32_t)l.type;
	e.pid = v->task->nspid;
	e.fd = v->tfd;
	e.start = l.start;
	e.len = l.len;
	return image_write(&d->w, IMG_FILE_LOCKS, 0, &e.base);
}

int locks_dump(struct dump *d, const struct fd_view *v, bool first)
{
	const char *line;
	size_t at = 0;
	int r = fdinfo_get(&v->info, "lock") ? locks_check(d, v) : 0;

	while (r == 0 && (line = fdinfo_next(&v->info, "lock", &at)))
		r = dump_line(d, v, line, first);
	return r;
}

/* In IMAGE_EXTRA: "flight_locks": [{"file", "kind", "type", "start", "len"}]. */
int locks_dump_flight(struct dump *d, const struct fd_view *v, uint32_t id)
{
	json_t *all = json_object_get(d->extra, "flight_locks");
	const char *line;
	struct lock l;
	size_t at = 0;
	int r = locks_check(d, v);

	while (r == 0 && (line = fdinfo_next(&v->info, "lock", &at))) {
		r = parse(line, &l);
		if (r == 0 && l.kind == FL_LEASE)
			return err_set(
				EOPNOTSUPP,
				"%s: a lease of a file that nobody has open cannot be saved; "
				"receive the descriptor first",
				v->link);
		if (r < 0 || l.kind == FL_POSIX) /* that would be our own */
			continue;
		if (!all)
			json_object_set_new(d->extra, "flight_locks", all = json_array());
		json_array_append_new(all,
				      json_pack("{s:I,s:i,s:i,s:I,s:I}", "file", (json_int_t)id,
						"kind", (int)l.kind, "type", l.type, "start",
						(json_int_t)l.start, "len", (json_int_t)l.len));
	}
	return r;
}

int locks_load(struct restore *r)
{
	int ret = image_load_all(r->o.images, IMG_FILE_LOCKS, 0, &r->locks);

	for (unsigned i = 0; ret == 0 && i < r->locks->len; i++) {
		const FileLockEntry *e = g_ptr_array_index(r->locks, i);
		unsigned kind = e->flag;
		bool breaking = kind == FL_LEASE && (e->type == (LEASE_BREAKING | F_RDLCK) ||
						     e->type == (LEASE_BREAKING | F_UNLCK));

		if ((kind != FL_POSIX && kind != FL_FLOCK && kind != FL_OFD && kind != FL_LEASE) ||
		    (e->type != F_RDLCK && e->type != F_WRLCK && !breaking))
			return err_set(EBADMSG, "filelocks.img: record %u: kind %u, type %u", i,
				       kind, e->type);
	}
	return ret;
}

/* Nothing tells what a lease was that is to be left altogether: what its description allows. */
static int lease_before(const FileLockEntry *e, int fd)
{
	int mode = fcntl(fd, F_GETFL) & O_ACCMODE;

	return e->type == (LEASE_BREAKING | F_UNLCK) && mode == O_RDONLY ? F_RDLCK : F_WRLCK;
}

/* Of files of others only by who may do so on the whole machine (fs/locks.c: vfs_setlease()). */
static int set_lease(struct batch *b, const FileLockEntry *e, int type)
{
	struct stat st;
	int was, ret;

	batch_add(b, SYS_fstat, IMM(e->fd), batch_out(b, &st, sizeof(st)));
	ret = batch_run(b);
	if (ret < 0)
		return ret;
	was = batch_add(b, SYS_setfsuid, IMM(st.st_uid));
	batch_add(b, SYS_fcntl, IMM(e->fd), IMM(F_SETLEASE), IMM(type));
	batch_add(b, SYS_setfsuid, RES(was));
	return batch_run(b);
}

/*
 * It is broken again, by an open(2) that does not wait.  The signal that this sends came before,
 * too: it is not kept (state/task/signals.c).
 */
static int break_lease(struct rtask *t, const FileLockEntry *e)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(batch_end) struct batch b = {0};
	autoclose int fd = -1, other = -1;
	char path[32];
	int ret = proc_open(rtask_pid(t), &p);

	if (ret == 0)
		ret = proc_getfd(&p, e->fd, &fd);
	if (ret < 0)
		return ret;
	rtask_batch(t, &b);
	ret = set_lease(&b, e, lease_before(e, fd));
	if (ret < 0)
		return ret;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	other = open(path, (e->type == (LEASE_BREAKING | F_RDLCK) ? O_RDONLY : O_WRONLY) |
				   O_NONBLOCK | O_CLOEXEC);
	return other < 0 && errno == EWOULDBLOCK ? 0 : err_set(EIO, "it is not being broken");
}

static int set_lock(struct batch *b, const FileLockEntry *e)
{
	struct flock f = {.l_type = (short)e->type,
			  .l_whence = SEEK_SET,
			  .l_start = e->start,
			  .l_len = e->len};

	if (e->flag == FL_FLOCK)
		batch_add(b, SYS_flock, IMM(e->fd),
			  IMM((e->type == F_RDLCK ? LOCK_SH : LOCK_EX) | LOCK_NB));
	else if (e->flag == FL_LEASE)
		return set_lease(b, e, (int)e->type);
	else
		batch_add(b, SYS_fcntl, IMM(e->fd), IMM(e->flag == FL_OFD ? F_OFD_SETLK : F_SETLK),
			  batch_in(b, &f, sizeof(f)));
	return batch_run(b);
}

int locks_restore(struct restore *r, struct rtask *t)
{
	CLEANUP(batch_end) struct batch b = {0};

	rtask_batch(t, &b);
	for (unsigned i = 0; i < r->locks->len; i++) {
		const FileLockEntry *e = g_ptr_array_index(r->locks, i);
		int ret;

		if (e->pid != t->nspid)
			continue;
		ret = e->type & LEASE_BREAKING ? break_lease(t, e) : set_lock(&b, e);
		if (ret < 0)
			return err_wrap(ret, "fd %d: its lock (held by somebody else?)", e->fd);
	}
	return 0;
}

int locks_restore_flight(struct restore *r)
{
	json_t *x;
	size_t i;

	json_array_foreach(json_object_get(r->extra, "flight_locks"), i, x)
	{
		json_int_t id, start, len;
		struct flock l = {.l_whence = SEEK_SET};
		int kind, type, ret;
		struct file *f;

		if (json_unpack(x, "{s:I,s:i,s:i,s:I,s:I}", "file", &id, "kind", &kind, "type",
				&type, "start", &start, "len", &len) < 0)
			return err_set(EBADMSG, "%s: a lock that is no record", IMAGE_EXTRA);
		f = g_hash_table_lookup(r->files, GUINT_TO_POINTER((uint32_t)id));
		if (!f || f->fd < 0)
			return err_set(EBADMSG, "%s: a lock of file %lld, which is not open",
				       IMAGE_EXTRA, (long long)id);
		l.l_type = (short)type;
		l.l_start = start;
		l.l_len = len;
		ret = kind == FL_FLOCK
			      ? flock(f->fd, (type == F_RDLCK ? LOCK_SH : LOCK_EX) | LOCK_NB)
			      : fcntl(f->fd, F_OFD_SETLK, &l);
		if (ret < 0)
			return err_errno("file %u, which is on its way: its lock (held by somebody "
					 "else?)",
					 f->id);
	}
	return 0;
}
