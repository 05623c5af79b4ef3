/* SPDX-License-Identifier: Apache-2.0 */
#include "state/ns/mqueue.h"

#include "base/file.h"
#include "image/sk-packet.pb-c.h"
#include "kernel/mount.h"
#include "state/fd/files.h"
#include "state/ns/ipc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEY	  "mqueues"
#define BYTES_MAX (16u << 20) /* HARD_MSGSIZEMAX */

/* The C library's calls are for names with a slash, and know more than we need. */
static int queue_open(const char *name, int flags, struct mq_attr *attr)
{
	return (int)syscall(SYS_mq_open, name + (*name == '/'), flags | O_CLOEXEC, 0600, attr);
}

static int queue_attr(int fd, struct mq_attr *ret)
{
	return syscall(SYS_mq_getsetattr, fd, NULL, ret) < 0 ? err_errno("attributes") : 0;
}

/* Each line of reading a queue: "QSIZE:129  NOTIFY:2  SIGNO:0  NOTIFY_PID:8260". */
static int notify_of(int fd, int *ret_how, pid_t *ret_pid)
{
	char text[256] = "";
	unsigned long bytes;
	int signal;

	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		return err_errno("read it");
	if (sscanf(text, "QSIZE:%lu NOTIFY:%d SIGNO:%d NOTIFY_PID:%d", &bytes, ret_how, &signal,
		   ret_pid) != 4)
		return err_set(EBADMSG, "unexpected text \"%s\"", text);
	return 0;
}

int mqueue_check_fd(struct dump *d, int fd, const char *name)
{
	struct mq_attr a;
	int r = queue_attr(fd, &a), how;
	struct peek *k;
	pid_t pid;

	if (r == 0)
		r = notify_of(fd, &how, &pid);
	if (r < 0)
		return err_wrap(r, "message queue %s", name);
	if (pid && how == SIGEV_THREAD)
		return err_set(EOPNOTSUPP,
			       "message queue %s: a thread is to be started for a message "
			       "(SIGEV_THREAD), which cannot be saved; use a signal",
			       name);
	if ((a.mq_curmsgs || pid) && !dump_peek(d, &k))
		return err_set(EOPNOTSUPP,
			       "message queue %s: its messages cannot be read without taking them, "
			       "as this kernel does not let its memory be read; empty it first",
			       name);
	return 0;
}

int mqueue_dump_fd(struct dump *d, int fd, const char *name, bool deleted)
{
	json_t *all = json_object_get(d->extra, KEY), *x;
	uint32_t id = files_new_id(d);
	struct mq_attr a;
	struct stat st;
	pid_t pid;
	int r, how;

	if (fstat(fd, &st) < 0)
		return err_errno("message queue %s", name);
	if (!dump_once(d, "message queue", st.st_ino))
		return 0;
	r = queue_attr(fd, &a);
	if (r == 0)
		r = notify_of(fd, &how, &pid);
	if (r < 0)
		return err_wrap(r, "message queue %s", name);
	if (!all)
		json_object_set_new(d->extra, KEY, all = json_array());
	x = json_pack(
		"{s:I,s:s,s:b,s:I,s:I,s:I,s:I,s:I,s:I}", "ino", (json_int_t)st.st_ino, "name", name,
		"deleted", deleted, "id", (json_int_t)id, "max", (json_int_t)a.mq_maxmsg, "size",
		(json_int_t)a.mq_msgsize, "uid", (json_int_t)users_uid(d, st.st_uid), "gid",
		(json_int_t)users_gid(d, st.st_gid), "mode", (json_int_t)(st.st_mode & 07777));
	if (!x)
		return err_set(EOPNOTSUPP, "a message queue has a name that is not UTF-8");
	json_array_append_new(all, x);
	r = a.mq_curmsgs || pid ? mqueue_peek(d, fd, id, x) : 0;
	return r < 0 ? err_wrap(r, "message queue %s", name) : 0;
}

/* It stays open until the end, as its last close waits for all CPUs (namespace_unlock()). */
static int open_here(void *arg)
{
	static const struct mount_param none[] = {{NULL, NULL}};
	struct dump *d = arg;

	return d->mqueues >= 0 ? 0 : mount_make("mqueue", none, 0, &d->mqueues);
}

int mqueue_is_elsewhere(struct dump *d, const struct stat *st)
{
	struct stat its;
	int r = d->mqueues >= 0 ? 0 : ipc_in_namespace(dump_task(d, 0)->proc.dir, open_here, d);

	if (r == 1) /* the root's is ours */
		r = open_here(d);
	if (r == 0 && fstat(d->mqueues, &its) < 0)
		return err_errno("message queues");
	return r < 0 ? r : its.st_dev != st->st_dev;
}

/* Calls FN for all with names, in the IPC namespace that we are in when we look. */
static int each(struct dump *d, int (*fn)(struct dump *d, int fd, const char *name))
{
	int r = open_here(d);
	struct dirent *e;
	DIR *dir;

	if (r < 0)
		return r;
	dir = fdopendir(openat(d->mqueues, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (!dir)
		return err_errno("message queues");
	while (r == 0 && (e = readdir(dir)) != NULL) {
		g_autofree char *name = g_strconcat("/", e->d_name, NULL);
		autoclose int fd = -1;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		fd = openat(d->mqueues, e->d_name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0)
			r = fn(d, fd, name);
		else if (errno != ENOENT) /* it may have gone while we look */
			r = err_errno("message queue %s", name);
	}
	closedir(dir);
	return r;
}

static int check_one(struct dump *d, int fd, const char *name)
{
	return dump_refuse(d, mqueue_check_fd(d, fd, name));
}

static int check_inside(void *arg)
{
	return each(arg, check_one);
}

int mqueue_check(struct dump *d)
{
	int r = ipc_in_namespace(dump_task(d, 0)->proc.dir, check_inside, d);

	return r < 0 ? r : 0;
}

static int dump_named(struct dump *d, int fd, const char *name)
{
	return mqueue_dump_fd(d, fd, name, false);
}

int mqueue_dump(struct dump *d)
{
	return each(d, dump_named);
}

/* Restore. */

static void close_one(void *p)
{
	close(GPOINTER_TO_INT(p) - 1);
}

static int own(struct restore *r, int fd, const json_t *x)
{
	json_int_t uid, gid, mode;

	if (json_unpack((json_t *)x, "{s:I,s:I,s:I}", "uid", &uid, "gid", &gid, "mode", &mode) < 0)
		return err_set(EBADMSG, "no owner");
	if (fchown(fd, users_outer_uid(r, (uint32_t)uid), users_outer_gid(r, (uint32_t)gid)) < 0 ||
	    fchmod(fd, (mode_t)mode & 07777) < 0)
		return err_errno("owner");
	return 0;
}

static int make(struct restore *r, const json_t *x)
{
	const char *name;
	json_int_t ino, id, max, size;
	struct mq_attr a = {0};
	int deleted, fd, ret;

	if (json_unpack((json_t *)x, "{s:I,s:s,s:b,s:I,s:I,s:I}", "ino", &ino, "name", &name,
			"deleted", &deleted, "id", &id, "max", &max, "size", &size) < 0 ||
	    *name != '/')
		return err_set(EBADMSG, "not a record");
	a.mq_maxmsg = (long)max;
	a.mq_msgsize = (long)size;
	fd = queue_open(name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, &a);
	if (fd < 0)
		return err_errno("make message queue %s", name);
	g_hash_table_insert(r->mqueues, g_memdup2(&ino, sizeof(ino)), GINT_TO_POINTER(fd + 1));
	ret = own(r, fd, x);
	if (ret == 0 && deleted && syscall(SYS_mq_unlink, name + 1) < 0)
		ret = err_errno("unlink");
	return ret < 0 ? err_wrap(ret, "message queue %s", name) : 0;
}

/* Those without a name come first: theirs may be another's now. */
static int make_all(struct restore *r, json_t *all)
{
	int ret = 0;

	for (int deleted = 1; deleted >= 0; deleted--) {
		json_t *x;
		size_t i;

		json_array_foreach(all, i,
				   x) if (ret == 0 && json_is_true(json_object_get(x, "deleted")) ==
							      deleted) ret = make(r, x);
	}
	return ret;
}

static const json_t *queue_of(json_t *all, uint32_t id)
{
	json_t *x;
	size_t i;

	json_array_foreach(all, i,
			   x) if (json_integer_value(json_object_get(x, "id")) == id) return x;
	return NULL;
}

static int send_one(struct restore *r, const json_t *x, const void *data, uint32_t len,
		    GHashTable *counts)
{
	unsigned n = GPOINTER_TO_UINT(g_hash_table_lookup(counts, x));
	const json_t *priority = json_array_get(json_object_get(x, "priorities"), n);
	uint64_t ino = (uint64_t)json_integer_value(json_object_get(x, "ino"));
	int fd = mqueue_made(r, ino, NULL);

	g_hash_table_insert(counts, (void *)x, GUINT_TO_POINTER(n + 1));
	if (syscall(SYS_mq_timedsend, fd, data, (size_t)len, (unsigned)json_integer_value(priority),
		    NULL) < 0)
		return err_errno("message queue %s: message %u",
				 json_string_value(json_object_get(x, "name")), n);
	return 0;
}

static int fill(struct restore *r, json_t *all)
{
	CLEANUP(image_close) struct image *img = NULL;
	CLEANUP(image_record_free) SkPacketEntry *e = NULL;
	g_autoptr(GHashTable) counts = g_hash_table_new(NULL, NULL);
	int ret = image_open(r->o.images, IMG_SK_QUEUES, 0, &img);

	while (ret == 0 && (ret = image_read(img, &e)) == 0) {
		const json_t *x = queue_of(all, e->id_for);
		g_autofree char *data = NULL;

		if (e->length > image_rest(img) || (x && e->length > BYTES_MAX))
			return err_set(EBADMSG, "%s: a message of %u bytes", img->name, e->length);
		data = g_malloc(e->length + 1);
		ret = image_read_raw(img, data, e->length);
		if (ret == 0 && x)
			ret = send_one(r, x, data, e->length, counts);
	}
	return ret < 0 ? ret : 0;
}

/* What queues hold counts for the user who makes them: that is us. */
static void raise_limit(struct rlimit *ret_was)
{
	const struct rlimit much = {RLIM_INFINITY, RLIM_INFINITY};
	struct rlimit some;

	if (getrlimit(RLIMIT_MSGQUEUE, ret_was) < 0 || setrlimit(RLIMIT_MSGQUEUE, &much) == 0)
		return;
	some = (struct rlimit){ret_was->rlim_max, ret_was->rlim_max}; /* no CAP_SYS_RESOURCE */
	(void)!setrlimit(RLIMIT_MSGQUEUE, &some);
}

bool mqueue_has(struct restore *r)
{
	return json_array_size(json_object_get(r->extra, KEY)) > 0;
}

int mqueue_restore(struct restore *r)
{
	json_t *all = json_object_get(r->extra, KEY);
	struct rlimit was = {0};
	int ret, group;

	if (!json_array_size(all))
		return 0;
	r->mqueues = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, close_one);
	raise_limit(&was);
	group = setfsgid(users_outer_gid(r, 0)); /* an inode's must be one of the namespace */
	ret = make_all(r, all);
	setfsgid((gid_t)group);
	if (ret == 0)
		ret = fill(r, all);
	setrlimit(RLIMIT_MSGQUEUE, &was);
	return ret;
}

int mqueue_made(struct restore *r, uint64_t ino, json_t **ret)
{
	gint64 key = (gint64)ino;
	void *p = r->mqueues ? g_hash_table_lookup(r->mqueues, &key) : NULL;
	json_t *x;
	size_t i;

	if (ret)
		json_array_foreach(json_object_get(r->extra, KEY), i,
				   x) if (json_integer_value(json_object_get(x, "ino")) ==
					  key) *ret = x;
	return GPOINTER_TO_INT(p) - 1;
}

void mqueue_close(struct restore *r)
{
	g_clear_pointer(&r->mqueues, g_hash_table_unref);
}
