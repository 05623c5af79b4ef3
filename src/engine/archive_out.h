/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Archives of containers: Podman's layout, which CRI-O, containerd and checkpointctl share
 * (docs/archives.md has the members).
 *
 * Writing:
 *
 *	CLEANUP(archive_drop) struct archive_out *a = NULL;
 *
 *	r = archive_create(&(struct archive_options){.path = file}, &a);	// nothing touched
 *yet r = archive_put_documents(a, e, c, false);	// config.dump, spec.dump r =
 *archive_put_files(a, e, c);		// what may change when it runs: frozen r =
 *archive_put_images(a, "checkpoint", images); r = archive_put_stats(a, dir); r = archive_commit(a);
 *	// synced, and under its name
 *
 * Until archive_commit() nothing has the file's name; a program that is killed leaves nothing
 * behind where the file system has O_TMPFILE.
 *
 * Reading: engine/archive_in.h.
 */
#pragma once

#include "engine/container.h"
#include "engine/pack.h"

/* Members; "/" at the end: a directory. */
#define ARCHIVE_ARTIFACTS "artifacts"
#define ARCHIVE_CONFIG	  "config.dump"
#define ARCHIVE_SPEC	  "spec.dump"
#define ARCHIVE_NETWORK	  "network.status"
#define ARCHIVE_STATS	  "stats-dump"
#define ARCHIVE_LOG	  "ctr.log"
#define ARCHIVE_IMAGES	  "checkpoint"
#define ARCHIVE_PREVIOUS  "pre-checkpoint"
#define ARCHIVE_SHM	  "devshm-checkpoint.tar"
#define ARCHIVE_ROOTFS	  "rootfs-diff.tar"
#define ARCHIVE_DELETED	  "deleted.files"
#define ARCHIVE_VOLUMES	  "volumes"

struct archive_options {
	const char *path; /* replaced when it exists; a FIFO or device is written into */
	int fd;		  /* instead of PATH, if that is NULL: a pipe, a socket; borrowed */
	enum pack_compression compression;
	bool ignore_rootfs, ignore_volumes;
	bool ignore_shm;  /* it comes with the images */
	bool goes_on;	  /* its files are packed when it runs again */
	struct engine *e; /* marks the file as its own: engine/archive_trust.h; or NULL */
	int (*watch)(void *arg, uint64_t bytes); /* as in engine/pack.h */
	void *watch_arg;
	void (*tap)(void *arg, const void *data, size_t len);
	void *tap_arg;
};

struct archive_out;

/* -ENOENT and the like: "creating checkpoint export file ...".  OPTIONS is copied shallowly. */
int archive_create(const struct archive_options *o, struct archive_out **ret) MUST_CHECK;
struct pack *archive_pack(struct archive_out *a);
/* Its file's name, or NULL: it goes to where nobody can read it again. */
const char *archive_file(const struct archive_out *a);

/* What C depends on other containers for could not be restored elsewhere: Podman's text. */
int archive_check(struct engine *e, struct container *c) MUST_CHECK;

/* SHM_APART: /dev/shm is not one of the file systems in the images. */
int archive_put_documents(struct archive_out *a, struct engine *e, struct container *c,
			  bool shm_apart) MUST_CHECK;
/*
 * /dev/shm, network.status, ctr.log, the root file system's changes, volumes; the last two only as
 * copies with options.goes_on, which are packed before the first image is.
 */
int archive_put_files(struct archive_out *a, struct engine *e, struct container *c) MUST_CHECK;
/* What the container has printed and conmon has not read yet belongs into the log, too. */
void archive_settle_log(const struct container *c);
/* A member among the images, of BYTES; its content goes to archive_pack(). */
int archive_begin_image(struct archive_out *a, const char *name, uint64_t bytes) MUST_CHECK;
int archive_put_images(struct archive_out *a, const char *member, int images) MUST_CHECK;
/* DIR: where stats-dump is, if it is. */
int archive_put_stats(struct archive_out *a, int dir) MUST_CHECK;

int archive_commit(struct archive_out *a) MUST_CHECK;
void archive_drop(struct archive_out **a);

/* archive_config.c: the two documents; new references. */
int archive_config_make(struct engine *e, struct container *c, bool shm_apart, json_t **ret)
	MUST_CHECK;
int archive_spec_make(struct engine *e, struct container *c, json_t **ret) MUST_CHECK;

/* The network NAME as other engines know it: everybody has a default one, each by another name. */
const char *archive_network_name(const char *name);
