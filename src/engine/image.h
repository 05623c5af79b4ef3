/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images: what containers are made from.
 *
 * An image is the OCI (or Docker) configuration with the digest `id`, and the layers that it lists,
 * unpacked once each below ROOT/overlay (layer.h).  Manifests, configurations and packed layers are
 * kept as they came, in ROOT/blobs/sha256, so that digests never change; the table `images` says
 * which of them are in use.
 *
 *	CLEANUP(image_clear) struct image img = IMAGE_NONE;
 *	r = image_resolve(e, "busybox", &img);		// only looks: one query, no other program
 *	r = image_obtain(e, "busybox", &opts, &img);	// pulls it if the policy says so
 *
 * Whoever stores a record that depends on an image (a container) asks image_in_store() within the
 * same transaction: an image may go away at any time before.
 */
#pragma once

#include "engine/engine.h"

struct image {
	char *id;	     /* 64 hexadecimal digits: the digest of the configuration */
	char *digest;	     /* of the manifest, "sha256:..." */
	char *name;	     /* by which it was found, in full; the ID when it was found by ID */
	char **names;	     /* "docker.io/library/busybox:latest"; never NULL, may be empty */
	char **repo_digests; /* "docker.io/library/busybox@sha256:..."; never NULL */
	char **layers;	     /* directories below ROOT/overlay, the lowest first (chain IDs) */
	int64_t created_ns;
	uint64_t size_bytes; /* uncompressed */
	json_t *config;	     /* "config" of the configuration: Entrypoint, Cmd, Env, Labels ... */
	json_t *document;    /* the whole configuration */
};
#define IMAGE_NONE ((struct image){0})

void image_clear(struct image *img);
void image_free(struct image *img);

/*
 * Finds an image by name (with or without registry and tag), name@digest, ID or unique start of an
 * ID.  A short name means localhost/NAME first, then the aliases and search registries of
 * registries.conf, then any repository that ends in NAME.
 * -ENOENT: "NAME: image not known"; -EINVAL: "invalid reference format" and the like.
 */
int image_resolve(struct engine *e, const char *name, struct image *ret) MUST_CHECK;

/* 1 if an image with this ID is there, else 0.  For use inside the caller's transaction. */
int image_in_store(struct engine *e, const char *id) MUST_CHECK;

/* All, newest first: struct image *, freed with the array (g_ptr_array_unref). */
int image_list(struct engine *e, GPtrArray **ret) MUST_CHECK;

enum pull_policy { PULL_MISSING, PULL_ALWAYS, PULL_NEVER, PULL_NEWER };
/* "always", "missing" ("ifnotpresent"), "never", "newer"; NULL is missing.  -EINVAL. */
int pull_policy_parse(const char *text, enum pull_policy *ret) MUST_CHECK;

struct pull_options {
	enum pull_policy policy;
	bool quiet;		      /* no progress on stderr */
	int tls_verify;		      /* 0: as registries.conf says; 1: yes; -1: no */
	const char *authfile, *creds; /* "user:password"; or NULL */
	const char *cert_dir;	      /* or NULL */
	const char *platform;	      /* "linux/arm64/v8" or NULL: this machine's */
	int retries;		      /* of a download that failed; 0: none */
};

/*
 * By policy from the store or from elsewhere: NAME is a name or TRANSPORT:DETAILS with one of
 * docker://, oci:, oci-archive:, docker-archive:, dir:, docker-daemon:, containers-storage:.
 * Progress goes to stderr.  Blocking as long as the download takes.
 */
int image_obtain(struct engine *e, const char *name, const struct pull_options *o,
		 struct image *ret) MUST_CHECK;

/*
 * `load`: every image of a docker-archive, an oci-archive or a directory of either kind.  PATH NULL
 * or "-" is stdin.  *RET: what to say after "Loaded image: ", names or IDs (g_strfreev).
 */
int image_load(struct engine *e, const char *path, bool quiet, char ***ret) MUST_CHECK;

struct image_save_options {
	const char *output; /* NULL: stdout */
	const char *format; /* NULL, "docker-archive", "oci-archive", "oci-dir", "docker-dir" */
	char *const *tags;  /* further names for the archive (docker-archive), or NULL */
	bool quiet;
};
/*
 * `save`: an archive appears whole under its name or not at all; what was there is replaced.
 * -EINVAL: unsupported format, or a directory to stdout.
 */
int image_save(struct engine *e, const struct image *img, const struct image_save_options *o)
	MUST_CHECK;

/*
 * `push` to DESTINATION, a reference or TRANSPORT:DETAILS; NULL: the image's own name.  O: quiet,
 * retries and how to talk to the registry.  FORMAT: NULL, "oci", "v2s2"; DIGESTFILE or NULL.
 */
int image_push(struct engine *e, const struct image *img, const char *destination,
	       const struct pull_options *o, const char *format, const char *digestfile) MUST_CHECK;

struct import_options {
	const char *reference; /* the new name, or NULL: none */
	const char *message;   /* of the history, or NULL */
	const char *const
		*changes;      /* Dockerfile instructions, "CMD ...", NULL-terminated; or NULL */
	const char *os, *arch; /* NULL: this machine's */
	bool quiet;
};
/*
 * `import`: a root file system in a tar file, in any compression that libarchive has built in,
 * becomes an image of one layer.  PATH "-" is stdin.
 */
int image_import(struct engine *e, const char *path, const struct import_options *o,
		 struct image *ret) MUST_CHECK;

/* As images name it: "amd64". */
const char *image_machine_arch(void);

/* NAME in the new form that is stored: "localhost/x:latest"; the caller frees. */
int image_normalize(const char *name, char **ret) MUST_CHECK;

int image_tag(struct engine *e, const struct image *img, const char *name) MUST_CHECK;
/* NAMES NULL or empty: all of them.  -ENOENT: "localhost/x:latest: tag not known". */
int image_untag(struct engine *e, const struct image *img, const char *const *names) MUST_CHECK;

struct image_remove_options {
	bool force;	/* all names of an image, and the containers that use it */
	bool ignore;	/* an unknown image is fine */
	bool all_names; /* also when it was named by its ID (`rmi -a`) */
	/* Removes a container with force; must be there if FORCE is. */
	int (*remove_container)(struct engine *e, const char *id);
	/* Each line of the output: "Untagged: NAME", "Deleted: ID". */
	void (*report)(void *data, const char *what, const char *which);
	void *data;
};
/*
 * `rmi`: takes the name away, and with the last one the image.  -ENOENT unknown (status 1);
 * -EBUSY in use by a container, with Podman's text (status 2).  Files are removed when no other
 * image needs them and no pull is running; else by whoever finishes last.
 */
int image_remove(struct engine *e, const char *name, const struct image_remove_options *o)
	MUST_CHECK;

/* IDs of the containers that use it (g_strfreev). */
int image_users(struct engine *e, const char *id, char ***ret) MUST_CHECK;

/* The object of `image inspect`, Podman's keys in Podman's order; a new reference. */
int image_inspect(struct engine *e, const struct image *img, json_t **ret) MUST_CHECK;

struct image_history {
	char *id; /* of the image for the newest entry, else NULL: "<missing>" */
	int64_t created_ns;
	char *created_by, *comment;
	uint64_t size_bytes;
	char **tags;
};
/* Newest first: struct image_history *, freed with the array. */
int image_get_history(struct engine *e, const struct image *img, GPtrArray **ret) MUST_CHECK;

/* `image mount`: read-only, at the path that is returned (the caller frees); idempotent. */
int image_mount(struct engine *e, const struct image *img, char **ret_path) MUST_CHECK;
int image_umount(struct engine *e, const struct image *img) MUST_CHECK;
/* The path when it is mounted, else NULL. */
char *image_mountpoint(struct engine *e, const struct image *img);

/* Removes files that no image needs, unless somebody else is just fetching some. */
int image_collect_garbage(struct engine *e) MUST_CHECK;
