/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree while it is being dumped: what is known of each process and thread, and what collects
 * the records.  Filled by the steps of cr/dump_steps.c in their order.
 *
 * Looking (before the freeze) and dumping use the same structures: what was read while the tree
 * ran is dropped and read again when it is frozen.
 */
#pragma once

#include "agent/batch.h"
#include "image/core.pb-c.h"
#include "image/image.h"
#include "image/mm.pb-c.h"
#include "kernel/maps.h"
#include "kernel/mountinfo.h"
#include "kernel/ns.h"
#include "kernel/proc.h"
#include "kernel/procstat.h"
#include "kernel/procstatus.h"
#include "state/options.h"

#include <inttypes.h>
#include <jansson.h>

struct dthread {
	struct dtask *task;
	pid_t tid, nstid;	 /* as we see it, as its own namespace sees it */
	unsigned slot;		 /* in task->agent */
	bool own_fs, own_files;	 /* its directories, descriptors are not those of its process */
	struct dtask *own_table; /* for those: state/fd/threads.c */
	struct procstatus status;
	CoreEntry *core; /* the leader's is the task's, if it lives */
};

struct thread_seen {	    /* before the freeze: state/tree_threads.c */
	pid_t tid, own_tid; /* as we see it, and as it does itself; */
	pid_t nstid;	    /* as the root's namespace does; 0: it has ended meanwhile */
	pid_t tracer;	    /* 0: none */
	bool own_fs, own_files;
};

struct dtask {
	struct dump *dump;
	pid_t pid;	     /* as we see it */
	struct proc proc;    /* .pid is that of a living thread if the leader has ended */
	int parent;	     /* index in dump.tasks, -1: the root, a guest */
	unsigned index;	     /* in dump.tasks */
	unsigned files;	     /* index of the first task that has this table of descriptors */
	const char *guest;   /* its name in the options; NULL: it is below the first process */
	unsigned fs;	     /* the same for its directories, */
	unsigned vm;	     /* its memory */
	unsigned sighand;    /* and its signal actions */
	unsigned maker;	     /* the sibling that shares with it; 0: its parent can make it */
	int process_keyring; /* 0: none; state/task/ownkeys.c */
	bool own_tables;     /* one of its threads does not share them */
	bool zombie, reaper;
	bool leader_dead;     /* its first thread has ended before others: task/leader.c */
	bool lends;	      /* has children that share its pages since fork(2) */
	bool traced;	      /* by another of the tree: task/traced.h */
	bool settled, looked; /* it stands still; its children then have been seen */
	pid_t nspid, nspgid, nssid;
	struct procstat stat;
	struct procstatus status;
	struct maps maps;
	struct seized seized;
	struct agent *agent;	 /* NULL for a zombie, and before the injection */
	GArray *table;		 /* state/fd/table.c; NULL: none, or in another task */
	GArray *seen;		 /* struct thread_seen; NULL: frozen, its threads are known */
	struct dthread *threads; /* the leader first; those that live */
	unsigned nthreads;
	CoreEntry *core;
	MmEntry *mm;
	uint32_t cwd_id, root_id; /* records of files.img: state/task/fs.c */
	json_t *extra;		  /* of this task, for IMAGE_EXTRA */
	GArray *lazy;		  /* struct page_piece: what stays, options.lazy */
	struct track *track;	  /* state/mem/track.h; NULL: its memory is not followed */
};

struct dump {
	struct cryo_dump_options o;
	struct cryo_dump_stats stats;
	GPtrArray *tasks;   /* struct dtask, parents first */
	GHashTable *by_pid; /* pid as we see it -> index in tasks + 1 */
	bool frozen;
	int root; /* O_PATH: the root of the tree's mount namespace */
	struct mountinfo mounts;
	uint64_t ns[NS_COUNT];	 /* of the root task */
	unsigned own;		 /* CLONE_NEW* of those that are not ours; of a standalone tree */
	uint32_t ipc_id;	 /* the IPC namespace that is being read, as images number it */
	unsigned depth;		 /* pid namespaces between ours and the root's */
	uint64_t usual_slice_ns; /* of the fair scheduler; 0: not asked yet */
	bool unborn;	     /* somebody has made a pid namespace for children that are to come */
	GPtrArray *spaces;   /* struct space: state/ns/spaces.h */
	GHashTable *strays;  /* pid or tid -> uint64_t[NS_COUNT]: those that are in any of them */
	GArray *uids, *gids; /* struct id_extent: state/ns/user.c */
	const void *was_frozen;			  /* by somebody else: state/thaw.c */
	bool told_lock;				  /* somebody else has locked its network */
	const char *external_net, *external_pids; /* names of namespaces that will be given */
	bool uprobes;				  /* some of it has met a breakpoint of those */
	bool own_root; /* of a standalone tree: its mounts are all made anew */
	int dir;       /* images; -1 while looking */
	struct image_writer w;
	struct files_dump *files;
	GPtrArray *thread_tables;    /* struct dtask: state/fd/threads.c */
	GHashTable *fine_sockets;    /* inodes that the look has found nothing wrong with */
	struct questions *questions; /* state/question.c */
	struct beside *reading[2];   /* mappings, meanwhile: of the first task, of others */
	struct beside *finding;	     /* who looks for its pages meanwhile */
	GHashTable *found;	     /* "MAJOR:MINOR:INODE" -> name, "": state/fd/find.c */
	GPtrArray *linked;	     /* state/fd/linked.c */
	GHashTable *waits;	     /* tid -> struct wait: state/task/waits.c */
	GHashTable *vforks;	     /* pid: between vfork(2) and execve(2), at the last look */
	int64_t frozen_ns;	     /* CLOCK_MONOTONIC */
	GPtrArray *traced;	     /* struct tracee: state/task/traced.h */
	bool stops_traced;	     /* by SIGSTOP, once they are given back */
	bool traced_passing;	     /* one of them is where it will not be for long */
	GHashTable *homes;	     /* tid -> struct seized_home, theirs */
	GHashTable *scouted;	     /* pid -> struct insns, from the look */
	struct conns_dump *conns;    /* state/sock/conns.c */
	struct socks_dump *socks;    /* state/sock/sock.h */
	int mqueues;		     /* the file system of its message queues, once looked at; -1 */
	struct peek *peek;	     /* dump_peek() */
	bool no_peek;		     /* it was tried */
	int unaccepted;	     /* sock/tcp_unaccepted.c: 1: can be kept, -1: cannot, 0: not asked */
	bool landlock_known; /* the next one: state/task/landlock.c */
	unsigned landlock_at;
	GHashTable *shmem;	/* inode -> struct shmem_dump: state/mem/shmem.c */
	struct ptys_seen *ptys; /* state/tty/pty_dump.c */
	GPtrArray *seccomp;	/* SeccompFilter: state/task/seccomp.c */
	uint32_t next_pages_id;
	struct pages_dump *pages; /* snapshots that are still to be written: state/mem/pages.c */
	GArray *readouts;	  /* state/mem/readout.c */
	json_t *extra;
	json_t *parent_extra; /* IMAGE_EXTRA of the images before; may be NULL */
	GHashTable *before;   /* nspid -> what they have of it: state/mem/track.c */
	GHashTable *trackers; /* pid -> numbers of trackers: state/mem/track.c */
	GString *refused;     /* while looking: what cannot be saved, one per line */
	bool taken;	      /* connections that cannot be given back: unix_waiting.c */
	bool lasting;	      /* some of it will not pass by itself */
};

static inline struct dtask *dump_task(const struct dump *d, unsigned i)
{
	return g_ptr_array_index(d->tasks, i);
}

/* Of a look, or of the freeze: those that live then. */
unsigned dtask_nthreads(const struct dtask *t);
pid_t dtask_tid(const struct dtask *t, unsigned i);
/* It has a table of descriptors of its own; known when sharing_check() has looked. */
bool dtask_has_table(const struct dtask *t, unsigned i);

static inline const struct thread_seen *dtask_seen(const struct dtask *t, unsigned i)
{
	return &g_array_index(t->seen, struct thread_seen, i);
}

/* "task 12 (nginx): <story>" around the error R of a task. */
int dtask_wrap(const struct dtask *t, int r) MUST_CHECK;

/*
 * While looking, -EOPNOTSUPP is collected and becomes 0, and so is -EAGAIN: what will pass by
 * itself as the program goes on; other errors stay.
 */
int dump_refuse(struct dump *d, int r) MUST_CHECK;

/*
 * peek.c: kernel/peek.h, opened when it is first wanted, which takes some milliseconds: in looks
 * already.  False: not possible here.
 */
struct peek;
bool dump_peek(struct dump *d, struct peek **ret);

/* Starts a batch for the leader, or for a thread. */
static inline void dtask_batch(struct dtask *t, struct batch *b)
{
	batch_begin(b, t->agent, t->threads[0].slot);
}
static inline void dthread_batch(struct dthread *h, struct batch *b)
{
	batch_begin(b, h->task->agent, h->slot);
}
