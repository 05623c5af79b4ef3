/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds of open file descriptions: one file in this directory for each, one const struct, one line
 * in list.c.  How to add one: docs/howto-add-fd-kind.md.
 */
#pragma once

#include "image/fdinfo.pb-c.h"
#include "kernel/fdinfo.h"
#include "state/dump.h"
#include "state/restore.h"

#include <sys/stat.h>

/* What the kernel shows of a description through one of the descriptors that lead to it. */
struct fd_view {
	const struct dtask *task;
	int tfd;
	char *link; /* readlink of /proc/PID/fd/N */
	struct stat st;
	struct fdinfo info;
};

struct fd_kind { /* a NULL hook means: nothing to do for this kind */
	const char *name;
	FdTypes type;
	/*
	 * Can be made at any time and is of no interest when all that have it have it: where there
	 * are more descriptions than we may have, these come and go.
	 */
	bool alone;
	/* The same, of some only. */
	bool (*lone)(const struct restore *r, const struct file *f);
	/* Is what the kernel shows mine?  Asked in the order of fd_kinds[]. */
	bool (*match)(const struct dump *d, const struct fd_view *v);
	/* Before anything is frozen: can it be saved?  Says why not with err_set(EOPNOTSUPP). */
	int (*check)(struct dump *d, const struct fd_view *v);
	/* Frozen.  E has its id and type; sets the part of the union, allocated with g_new. */
	int (*dump)(struct dump *d, const struct fd_view *v, FileEntry *e);
	/*
	 * All descriptors of all tasks have their ids (files_seen()): what refers to other files.
	 * Completes what dump() began.
	 */
	int (*dump_late)(struct dump *d, const struct fd_view *v, FileEntry *e);
	/* Images are loaded, nothing is made yet: is the record sound?  1: it is not of my kind. */
	int (*load)(struct restore *r, struct file *f);
	/*
	 * Makes the description in our own process: f->fd.  Others may be opened first by
	 * restore_file().  All tasks of the tree exist already, without memory or descriptors.
	 */
	int (*open)(struct restore *r, struct file *f);
	/* All files are open: what refers to several of them (epoll), what is queued in them. */
	int (*finish)(struct restore *r, struct file *f);
	/* In the task T that has it at TFD, through its agent; e.g. a controlling terminal. */
	int (*settle)(struct restore *r, struct rtask *t, struct file *f, int tfd);
	/*
	 * In the task T that has something else at TFD until its threads are there: what is of a
	 * thread.  RET_TFD is where T has it now.  1: it is not.
	 */
	int (*late)(struct restore *r, struct rtask *t, struct file *f, int *ret_tfd);
	/* T has all that came late where it belongs; called for every descriptor. */
	int (*last)(struct restore *r, struct rtask *t, struct file *f, int tfd);
};

extern const struct fd_kind *const fd_kinds[];
extern const size_t fd_kind_count;

const struct fd_kind *fd_kind_of(const struct dump *d, const struct fd_view *v); /* NULL: none */

int fd_view_read(const struct dtask *t, int tfd, struct fd_view *ret) MUST_CHECK;
void fd_view_clear(struct fd_view *v);

/* On its way in a unix socket, and open nowhere: files_dump_flight(). */
static inline bool fd_view_in_flight(const struct fd_view *v)
{
	return v->task->index == ~0u;
}

/* "/proc/PID/fd/N", to open the description's object anew. */
void fd_view_path(const struct fd_view *v, char ret[static 64]);

/* A duplicate of the description itself. */
int fd_view_get(const struct fd_view *v, int *ret_fd) MUST_CHECK;

/* Owner and signal of O_ASYNC (fcntl(2), F_GETOWN_EX).  The record is allocated. */
int fown_dump(const struct fd_view *v, FownEntry **ret) MUST_CHECK;
FownEntry *fown_none(void);
int fown_check(const struct fd_view *v) MUST_CHECK; /* nobody outside of the tree gets signals */

/* For f->fd, which is open; FLAGS are the description's, for O_ASYNC. */
int fown_restore(struct restore *r, struct file *f, const FownEntry *e, unsigned flags) MUST_CHECK;
int fown_settle(struct restore *r, struct rtask *t, struct file *f, int tfd) MUST_CHECK;

/* dnotify.c: F_NOTIFY of what has the number ID in the images; 0: could it be saved? */
int dnotify_dump(struct dump *d, const struct fd_view *v, uint32_t id, const FownEntry *owner)
	MUST_CHECK;
int dnotify_settle(struct restore *r, struct rtask *t, struct file *f, int tfd) MUST_CHECK;

extern const struct fd_kind fd_external, fd_ctty, fd_pty, fd_pipe, fd_eventfd, fd_regular,
	fd_mqfile, fd_bpfmap;
extern const struct fd_kind fd_epoll, fd_fifo, fd_inotify, fd_memfd, fd_signalfd, fd_timerfd;
extern const struct fd_kind fd_unix, fd_inet, fd_netlink, fd_packet; /* state/sock/ */
extern const struct fd_kind fd_fanotify, fd_nsfile, fd_pidfd, fd_procfile, fd_tun, fd_uring,
	fd_uffd;
extern const struct fd_kind fd_pressure;
extern const struct fd_kind fd_ttydev; /* state/tty/ */

/* The error for what no kind takes. */
int fd_refuse(const struct fd_view *v) MUST_CHECK;
