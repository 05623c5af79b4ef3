/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcryo: freeze a process tree into images, and thaw it again.
 *
 * Dump:
 *
 *	CLEANUP(cryo_dump_drop) struct cryo_dump *d = NULL;
 *
 *	r = cryo_dump_new(&options, &d);	// looks only: everything that would be refused, at
 *once r = cryo_dump_write(d, dir);		// freezes, reads, writes the images; all stays
 *frozen
 *	... what else belongs to the checkpoint is written, then committed by rename ...
 *	r = cryo_dump_finish(d, CRYO_KILL);	// or CRYO_RESUME
 *
 * Dropped before cryo_dump_finish(), the tree is cured and goes on as if nothing had happened; the
 * same when this process dies.  With CRYO_RESUME the caller may finish before it commits.
 *
 * Restore:
 *
 *	struct cryo_box box = {.pid = host pid of the stub, .sock = our end of its socket};
 *	r = cryo_restore(&options, &box, &result);
 *
 * The stub (agent/stub.h) is PID 1 of a container that the OCI runtime made, or a task forked by
 * cryo_box_fork().  A restore that fails kills everything in the box and leaves the images alone.
 *
 * Both may be called by one thread only, the same for all calls on one object: ptrace binds
 * tracees to a thread.  Everything blocks.  Errors as in base/err.h; where several things are
 * wrong the story has one line for each, joined by "; ".
 */
#pragma once

#include "base/err.h"
#include "state/options.h" /* struct cryo_dump_options, cryo_restore_options, statistics */

#include <jansson.h>
#include <sys/types.h>

struct cryo_dump;

/*
 * Looks at the running tree.  Everything that cannot be saved is an error now (-EOPNOTSUPP, with
 * the full list); a process that does not exist is -ESRCH.  Does not stop anything.  OPTIONS is
 * copied shallowly: what it points to must outlive the dump.
 */
int cryo_dump_new(const struct cryo_dump_options *options, struct cryo_dump **ret) MUST_CHECK;

/* The same look only: NULL-terminated, each that would be refused, the caller's (g_strfreev()). */
int cryo_dump_look(const struct cryo_dump_options *options, char ***ret_refusals) MUST_CHECK;

/*
 * Freezes and writes all images, with stats-dump, into the empty directory DIR.  Nothing is synced:
 * that is the committer's.  On failure the tree has been cured already; -EAGAIN: a new dump may
 * succeed, as what is refused passes by itself.
 */
int cryo_dump_write(struct cryo_dump *d, int dir) MUST_CHECK;

enum cryo_finish { CRYO_KILL, CRYO_RESUME, CRYO_STOP, CRYO_FREEZE };

/*
 * Kills the whole tree and waits until it is gone, lets it go on, leaves it stopped (SIGSTOP), or
 * frozen by its control group (options.cgroups) without having run an instruction.
 */
int cryo_dump_finish(struct cryo_dump *d, enum cryo_finish how) MUST_CHECK;

/*
 * The memory of a tree that goes on, into the empty directory DIR, for the dump or pre-dump to come
 * that has it as options.parent.  The tree stands still for a moment only, and what it writes from
 * then on is followed (state/mem/track.h).  Shared memory is left to the dump.  Of OPTIONS pid,
 * cgroups, guests, parent and pages_out are used.  -EOPNOTSUPP: this kernel cannot tell which
 * memory has changed.
 */
int cryo_can_track(void) MUST_CHECK; /* 0, or that error */
int cryo_predump(const struct cryo_dump_options *options, int dir, struct cryo_dump_stats *ret)
	MUST_CHECK;

/*
 * Takes the pages that a dump elsewhere sends to SOCK (options.pages_to there, or a CRIU's) into
 * DIR.  The link "parent" of IMAGES leads to the images before, if there are any.  DONE is called
 * when all of a dump has come, before that is answered; may be NULL.  Whoever asks for pages gets
 * those of IMAGES.  Returns when the other side is done.
 */
struct cryo_page_server {
	int sock, dir, images;
	int (*done)(void *arg);
	void *arg;
};
/*
 * Serves the memory of a tree that cryo_restore() makes with options.lazy: SOCK is the other end of
 * its LAZY_SOCK.  PAGE_SERVER is a connection to a dump that has kept pages back, or -1.  Returns
 * when every process has all of its memory, or has ended.  If the server dies before that, the
 * processes are killed: what they have not got would read as zeros.
 */
struct cryo_lazy_options {
	int images, sock, page_server;
};
int cryo_lazy_pages(const struct cryo_lazy_options *o) MUST_CHECK;

/* What images before those in DIR have in vain is freed: their pages become holes. */
int cryo_images_dedup(int dir) MUST_CHECK;
/* All memory in the images, in those before as well: a restored tree has it. */
int cryo_images_forget(int dir) MUST_CHECK;

int cryo_serve_pages(const struct cryo_page_server *o) MUST_CHECK;

/*
 * After cryo_dump_write() with options.lazy: gives the pages that have stayed to whoever asks for
 * them at SOCK, cryo_lazy_pages() or CRIU's, until he has all; then the tree may be killed.  An
 * error when he goes before: it may go on.
 */
int cryo_dump_serve_lazy(struct cryo_dump *d, int sock) MUST_CHECK;

/* Memory of the tree when it was looked at: about as much as will be written. */
uint64_t cryo_dump_bytes(const struct cryo_dump *d);
unsigned cryo_dump_threads(const struct cryo_dump *d); /* then; of all processes */

const struct cryo_dump_stats *cryo_dump_stats(const struct cryo_dump *d);

/* Cures what is frozen; frees. */
void cryo_dump_drop(struct cryo_dump **d);

/* Where a tree is thawed. */
struct cryo_box {
	pid_t pid;  /* the stub, as we see it */
	int sock;   /* connected to it; closed by cryo_restore(), whatever its result */
	bool child; /* it is our child: reaped when the restore fails */
};
#define CRYO_BOX_NONE ((struct cryo_box){.sock = -1})

struct cryo_restored {
	pid_t pid; /* the root of the tree, as we see it; the box's */
	struct cryo_restore_stats stats;
};

/*
 * Thaws into BOX.  stats-restore is written into the images directory if that can be written.
 * On failure all processes of the box have been killed.
 */
int cryo_restore(const struct cryo_restore_options *options, struct cryo_box *box,
		 struct cryo_restored *ret) MUST_CHECK;

struct cryo_box_options {
	unsigned namespaces; /* CLONE_NEW* of the root task */
	pid_t pid;	     /* wanted in its pid namespace; 0: any */
	bool mount_proc;     /* over /proc; with CLONE_NEWPID and CLONE_NEWNS */
	bool shell_job;	     /* stays in our session and group instead of leading its own */
	bool sibling;	     /* a child of our parent (CLONE_PARENT), who reaps it */
	const char *root;    /* chroot there, or NULL; the root directory of MOUNTS */
	const int *stdio;    /* three descriptors that become 0-2, or NULL: ours */

	/* What IMAGES say is made: set by cryo_images_box(). */
	bool mounts;  /* with CLONE_NEWNS */
	bool records; /* IMAGES is set: network, maps of users */
	bool others;  /* they are of another CRIU */
	int images;
	bool weak_sysctls;		       /* settings that cannot be made are left */
	const struct cryo_external *externals; /* "mnt[NAME]" and its path, ... */
	unsigned nexternals;

	const char *lsm_exec; /* written into attr/exec of the root task, or NULL */
	bool empty_net;	      /* a new network namespace stays empty */
	/* Descriptors of namespaces that it is born in, instead of new ones or ours. */
	const struct cryo_join {
		unsigned flag; /* CLONE_NEW*: net, uts, ipc or pid */
		int fd;
	} * joins;
	unsigned njoins;
	/* Under these names an external network or pid namespace is found. */
	const struct cryo_inherit *inherits;
	unsigned ninherits;

	/* Called when the task exists, in its new namespaces, before it does anything there. */
	int (*prepare)(void *arg, pid_t pid);
	void *prepare_arg;
};

/*
 * What the images of a standalone tree say: number and namespaces of the root task.  *RET_CLOCKS:
 * CLOCK_MONOTONIC was another one (before a boot, in a time namespace), so that the tree needs a
 * time namespace to go on with it.
 */
int cryo_images_box(int images, struct cryo_box_options *ret, bool *ret_clocks) MUST_CHECK;

/* The guests of the images: {"number": name}, or NULL; a new reference. */
int cryo_images_guests(int images, json_t **ret) MUST_CHECK;

/* Forks a root task that runs the stub.  The caller reaps it, unless cryo_restore() failed. */
int cryo_box_fork(const struct cryo_box_options *options, struct cryo_box *ret) MUST_CHECK;

/*
 * The packets of TCP connections that images keep are held back since the dump, in the network
 * namespace at path NETNS.  They will not be restored: their peers get a reset.  In our own
 * namespace this is about IMAGES (or -1) only, in another one about all images.
 */
int cryo_images_unlock(int images, const char *netns) MUST_CHECK;

/*
 * NETNS, at this path, is new, and IMAGES, which may keep connections, are to be restored in it:
 * peers wait until that has succeeded, or for cryo_images_unlock().
 */
int cryo_images_hold(int images, const char *netns) MUST_CHECK;

/*
 * Moves the root task, before it does anything, into the control groups where the tree's root was.
 * MODE is that of --manage-cgroups: "none": they must be there; "props", "soft", "full", "strict".
 * ROOTS, NULL-terminated or NULL: "[CONTROLLER:]PATH" to be taken instead.  YARD, or NULL: a
 * directory where hierarchies are mounted.
 */
int cryo_box_cgroups(int images, pid_t pid, const char *mode, char *const *roots, const char *yard)
	MUST_CHECK;

/* Ends and reaps a box that is not to be restored into. */
void cryo_box_drop(struct cryo_box *box);

/* The stub as a sealed memfd, read-only, ready to be handed to an OCI runtime: argv[0] must be
   "/proc/self/fd/N" and argv[1] the number of its socket. */
int cryo_stub_open(void) MUST_CHECK;

/*
 * cpuinfo.img in DIR: what this processor is; and whether this one will do in its place.  -ENOTSUP:
 * it will not.
 */
enum {
	CRYO_CPU_FPU = 1, /* extended states, their sizes */
	CRYO_CPU_INS = 2, /* instructions */
	CRYO_CPU_ALL = 4, /* everything that cpuid says */
};
int cryo_cpuinfo_dump(int dir) MUST_CHECK;
int cryo_cpuinfo_check(int images, unsigned what) MUST_CHECK;

/*
 * The first seccomp filter of the tree's root, which is the OCI runtime's: struct sock_filter[] of
 * *RET_LEN bytes, the caller's; NULL when it had none.
 */
int cryo_images_first_filter(int images, char **ret, size_t *ret_len) MUST_CHECK;

/* Reads every record as a restore would, and makes nothing: an error names what does not fit. */
int cryo_images_check(int images) MUST_CHECK;
