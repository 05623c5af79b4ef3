/* SPDX-License-Identifier: Apache-2.0 */
/* What cr/cryo.h is told and what it reports; see there. */
#pragma once

#include "base/base.h"

#include <sys/types.h>

enum { LEVELS_MAX = 8 }; /* of pid namespaces below the root's */

/*
 * A thing outside the tree that stays outside: "pipe:[INODE]", "tty[RDEV:DEV]" (hex, as CRIU's
 * --external wants them), "file[MNT_ID:INODE]" (hex) or "dev[MAJOR:MINOR]" (decimal).  Recorded by
 * its NAME; at restore the descriptor of that NAME takes its place.
 */
struct cryo_external {
	const char *key, *name;
};

/*
 * A process that was put into the tree's pid namespace from outside, as `exec` does: its parent is
 * not in there, so that it is the root of a tree of its own beside the first one.  Recorded by NAME
 * as long as it lives; one that has ended meanwhile is no part of the dump.
 */
struct cryo_guest {
	pid_t pid; /* as we see it */
	const char *name;
};

/*
 * Called at named points of a story, in their order; an error ends it.  PID: the tree's root; FD: a
 * descriptor that belongs to what is told, or -1.
 */
typedef int (*cryo_stage_fn)(void *arg, const char *stage, pid_t pid, int fd);

/* One pages file after another; its size is known before.  An error of any ends the dump. */
struct cryo_pages_stream {
	int (*begin)(void *arg, const char *name, uint64_t bytes);
	int (*data)(void *arg, const void *buf, size_t len);
	int (*end)(void *arg);
	void *arg;
};

/* A piece of a process's memory; FLAGS are PE_* of image/pages.h. */
struct page_piece {
	uint64_t start, end;
	uint32_t flags; /* PE_PRESENT: there is content; PE_PARENT: there is none */
};

/* A mapping, as whoever makes room for it before there is a process wants to know it. */
struct page_map {
	uint64_t start, end;
	uint32_t flags; /* PAGE_MAP_* */
};
#define PAGE_MAP_ALONE	   (1u << 0) /* private anonymous memory that nobody shares */
#define PAGE_MAP_NORESERVE (1u << 1)
#define PAGE_MAP_HUGE	   (1u << 2) /* MADV_HUGEPAGE */

/*
 * Somebody takes the pages at once, and all rounds of them: of each process the mappings (roughly,
 * at pre-dumps, before the freeze), then its pieces in order, the content of those that have any in
 * BUF, one after another.  A process without pages has one call with N 0.
 */
struct cryo_pages_out {
	int (*maps)(void *arg, pid_t nspid, const struct page_map *v, unsigned n);
	int (*put)(void *arg, pid_t nspid, const struct page_piece *v, unsigned n, const void *buf);
	void *arg;
};

/* Settings of control groups beside, or instead of, those that are saved anyway. */
struct cryo_cgroup_prop {
	char *controller;
	bool replace;
	char **names; /* "memory.high", NULL-terminated; NULL: none */
};
struct cryo_cgroup_props {
	struct cryo_cgroup_prop *v;
	unsigned n;
	bool no_defaults;
};

struct cryo_dump_options {
	cryo_stage_fn stage; /* "network-lock", "network-unlock"; may be NULL */
	void *stage_arg;

	pid_t pid; /* the root of the tree, as we see it: a container's init */

	const struct cryo_guest *guests;
	unsigned nguests;

	/* Directories of freezer cgroups (v1 or v2) that hold exactly this tree; may be none. */
	const char *const *cgroups;
	unsigned ncgroups;

	const struct cryo_external *externals;
	unsigned nexternals;

	/*
	 * Mount points in the tree's mount namespace that whoever makes the box makes too: the
	 * root, the bind mounts and tmpfs of config.json.  NULL: all that are there are taken for
	 * granted. A tmpfs among them has its content saved.  Others are refused by name.
	 */
	const char *const *mounts;
	unsigned nmounts;

	/*
	 * Mount points whose tmpfs belongs to the tree although we see it too (an engine's
	 * /dev/shm). Others are saved if nobody outside sees them and MOUNTS is given.
	 */
	const char *const *tmpfs;
	unsigned ntmpfs;

	/*
	 * The root's session, its group and its terminal are those of the shell that started it; at
	 * restore those of whoever restores take their place.  Otherwise a session that is led from
	 * outside is refused.
	 */
	bool shell_job;

	/*
	 * Whoever restores has nothing but the images to make the box from (cryo_images_box()): a
	 * namespace of the tree's own that they cannot describe is refused.
	 */
	bool standalone;

	/*
	 * Of a container: an OCI runtime with another CRIU may restore the images, which needs to
	 * be told of namespaces and mounts that our own box has anyway.
	 */
	bool foreign;
	const char *foreign_net; /* what runtimes call its network namespace, if it is given one */

	uint64_t ghost_limit; /* bytes of a file without a name that are saved; 0: all */

	bool leave_running; /* the tree goes on: nothing may be taken from it */
	/*
	 * The tree goes on afterwards, and there is room for copies of the memory that it changes
	 * meanwhile: much memory may be written by copy-on-write children while it runs.
	 */
	bool snapshot;
	int (*frozen)(void *arg); /* called when all is read, before anything runs on; or NULL */
	void *frozen_arg;
	/*
	 * Called when every process has got its SIGKILL: whoever has frozen their control group
	 * meanwhile lets them die now.  Or NULL.
	 */
	void (*dying)(void *arg);
	void *dying_arg;
	bool tcp_established; /* keep established TCP connections instead of refusing */
	bool tcp_close;	      /* do not save them: restored, they are closed */
	bool no_netlock;      /* packets of connections that are kept are not held back */
	bool lock_net;	      /* once it is dead: all packets, where its network is not ours */
	bool ext_unix_sk;     /* unix sockets may have peers outside: connected again or closed */
	bool skip_in_flight;  /* drop connections that wait to be accepted instead of refusing */
	bool link_remap;      /* files get names: state/fd/linked.c */
	bool file_locks;      /* keep file locks instead of refusing */
	bool allow_uprobes;   /* whoever restores has the same uprobes in the same files */
	bool orphan_masters;  /* terminals in the tree's own devpts may have masters outside */

	/*
	 * Memory in rounds.  TRACK_MEM: what is written from now on can be told at the next dump.
	 * PARENT: images of the round before, as a link in DIR is to name them; what has not
	 * changed since is left to them.  PARENT_DIR is that directory.
	 */
	bool track_mem;
	const char *parent;
	int parent_dir;
	/* Pages go to a page server, as those of the parent have: a connection to it. */
	bool pages_elsewhere;
	int pages_to;
	/* Pages of private anonymous memory stay where they are: cryo_dump_serve_lazy(). */
	bool lazy;
	bool pages_force_close; /* others go on with the connection */
	/*
	 * Or to a stream instead of pages-N.img; what a tree that goes on would have to wait for is
	 * in the images nevertheless.  Or NULL.
	 */
	const struct cryo_pages_stream *pages_stream;
	const struct cryo_pages_out *pages_out; /* or here: no pagemap-N.img is written; or NULL */
	bool empty_net;	     /* nothing of the tree's network namespace is wanted */
	bool manage_cgroups; /* record control groups of all tasks */
	const struct cryo_cgroup_props *cgroup_props; /* NULL: none */
	const char *cgroup_yard; /* where hierarchies are mounted, or NULL: where we see them */
	char *const *cgroup_controllers; /* only those of these, NULL-terminated; NULL: all */

	/* Mount namespaces of a standalone tree. */
	bool new_root; /* its root directory will be another one (--root), whatever it is now */
	bool external_sharing;	/* mounts may have peers outside */
	bool external_masters;	/* ... and masters */
	const char *enabled_fs; /* "ext4,xfs" or "all": others that mount by name and source */
	const char *const *skipped_mounts;
	unsigned nskipped_mounts;
};

/* The name under which unix[INODE] is the socket that whoever asked for the dump is answered at. */
#define CRYO_SERVICE "service"

/* The name under which the terminal of a shell job is external. */
#define CRYO_SHELL_JOB "shell-job"

/* As CRIU's stats-dump, whose names they have; times in us.  Of shared memory: shpages_. */
struct cryo_dump_stats {
	uint32_t freezing_time, frozen_time, memdump_time, memwrite_time;
	uint64_t pages_scanned, pages_written, pages_skipped_parent, pages_lazy;
	uint64_t shpages_scanned, shpages_written, shpages_skipped_parent;
};

/* The descriptor that stands for an external of this NAME. */
struct cryo_inherit {
	const char *name;
	int fd; /* ours, or the stub's if IN_STUB (0-2, the container's stdio) */
	bool in_stub;
	const char *guest; /* with IN_STUB: the stub of this guest; NULL: the first one */
};

/*
 * Where a guest is thawed: a stub with the guest's own number, in the box's namespaces, whose
 * parent is not in there.  SOCK: our end of its socket; stays the caller's.
 */
struct cryo_guest_box {
	const char *name;
	int sock;
};

struct cryo_restore_options {
	int images; /* directory */

	const struct cryo_inherit *inherits;
	unsigned ninherits;

	/* A guest for which there is none comes back as a child of the first process. */
	const struct cryo_guest_box *guests;
	unsigned nguests;

	/*
	 * No process gets a capability outside of CAP_CEILING (bit = capability number), whatever
	 * the images say.  ~0 for none.
	 */
	uint64_t cap_ceiling;

	/*
	 * A seccomp filter, struct sock_filter[] of FLOOR_LEN bytes, that every thread has below
	 * those of its images; not where it is the first of those already.  NULL: none.
	 */
	const void *floor;
	size_t floor_len;
	bool no_new_privs; /* for every thread, whatever the images say */

	/* Resource limits that may not be raised here are set as high as they can be. */
	bool strict_rlimits; /* ... are an error instead */
	bool check_modes;    /* files must have the permissions that they had */
	bool check_sizes;    /* and be as long */

	/* CLOCK_MONOTONIC and CLOCK_BOOTTIME go on from where they were, in a new time namespace.
	 */
	bool time_namespace;

	/*
	 * Called when the whole tree is made and held; its success lets the tree go, its error ends
	 * it.  Whoever keeps a record of the tree makes it here: if we die before it, the tree dies
	 * with us; after it, the tree runs.  May be NULL.
	 */
	int (*commit)(void *arg);
	void *commit_arg;
	/*
	 * Takes the master of a terminal whose master was outside (the descriptor stays ours), with
	 * commit_arg; NULL: nobody does, such a terminal is refused.
	 */
	int (*orphan_master)(void *arg, int fd);

	bool tcp_established; /* established connections go on */
	bool tcp_close;	      /* established connections come back as closed sockets */
	bool no_netlock;
	bool allow_uprobes; /* those of the dump are there */
	/*
	 * The tree is somebody else now: a host name that is this one is not restored, the box
	 * keeps its own.  Or NULL.
	 */
	const char *hostname_was;
	bool leave_stopped; /* SIGSTOP before the first instruction */

	/* As at the dump; terminals of the tree are taken from the inherit CRYO_SHELL_JOB. */
	bool shell_job;

	/* Memory of the tree that is in the box already: cryo_stage_new(); or NULL. */
	struct stage *stage;

	/* Memory comes when it is wanted, from cryo_lazy_pages() at the other end of LAZY_SOCK. */
	bool lazy;
	int lazy_sock;

	bool manage_cgroups;	 /* tasks go into their control groups */
	const char *cgroup_yard; /* as above */
	char *const *cgroup_roots;

	/* "mnt[NAME]" and the path that takes its place, for mount namespaces below the root's. */
	const struct cryo_external *externals;
	unsigned nexternals;

	bool mounts_made;  /* with their contents, by cryo_box_fork() */
	bool network_made; /* its devices, by cryo_box_fork() */
	bool weak_sysctls; /* settings of networks that cannot be made are left */

	int work; /* directory of stats-restore; 0: IMAGES */
};

struct cryo_restore_stats {
	uint32_t forking_time, restore_time; /* us */
	uint64_t pages_compared, pages_skipped_cow, pages_restored;
};
