/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files that make config.json; nobody else includes this. */
#pragma once

#include "engine/mounts.h"
#include "engine/spec.h"

struct spec_user {
	uint32_t uid, gid;
	uint32_t *groups; /* additional ones, the primary first */
	unsigned ngroups;
	char *home; /* "/" when /etc/passwd does not know */
};

/* What the parts read and write. */
struct spec_context {
	const struct spec_input *in;
	const struct container_options *o;
	const json_t *image; /* "config" of the image's configuration, or NULL */
	int root;	     /* O_PATH of the root file system */
	bool unified;	     /* cgroup v2 alone */
	uint64_t own;	     /* capabilities that we can give */
	uint64_t caps;	     /* of the container: its bounding set */
	struct spec_user user;
	json_t *spec, *process, *os; /* of the document: itself, .process, .linux */
};

/* The parts, in the order in which spec.c calls them. */
int spec_put_user(struct spec_context *c) MUST_CHECK;
int spec_put_process(struct spec_context *c) MUST_CHECK;
int spec_put_capabilities(struct spec_context *c) MUST_CHECK;
int spec_put_rlimits(struct spec_context *c) MUST_CHECK;
int spec_put_mounts(struct spec_context *c) MUST_CHECK;
int spec_put_namespaces(struct spec_context *c) MUST_CHECK;
int spec_put_devices(struct spec_context *c) MUST_CHECK;
int spec_put_resources(struct spec_context *c) MUST_CHECK;
int spec_put_seccomp(struct spec_context *c) MUST_CHECK;
int spec_put_paths(struct spec_context *c) MUST_CHECK;

void spec_user_clear(struct spec_user *u);

/*
 * "name", "uid", either with ":group" or ":gid"; NULL or "" is root.  ROOT: O_PATH of the root file
 * system, whose /etc/passwd and /etc/group are read.
 */
int spec_user_find(int root, const char *user, char *const *group_add, struct spec_user *ret)
	MUST_CHECK;

/* {"uid", "gid", "additionalGids"}; a new reference. */
json_t *spec_user_json(const struct spec_user *u);

/* The permitted capabilities of this process (capget(2)). */
uint64_t spec_own_capabilities(void);
/* What a container has without --cap-add, --cap-drop and --privileged. */
uint64_t spec_default_capabilities(void);
json_t *spec_capability_list(uint64_t mask);

/* {"bounding": ..., "effective": ...} as Podman gives them to root or to others. */
json_t *spec_capability_sets(uint64_t bounding, uint64_t others, uint32_t uid);

/* The directory of a volume, made and filled from the image if it is new. */
int spec_volume_make(struct spec_context *c, const struct user_mount *u, char **ret_path)
	MUST_CHECK;

/* The value of --security-opt KEY=VALUE or KEY:VALUE, the last one; NULL when not given. */
const char *spec_security_option(const struct container_options *o, const char *key);

/* Appends "NAME=VALUE" to a list of strings; a NAME that is there already is replaced. */
void spec_env_set(char ***env, const char *assignment);
const char *spec_env_get(char *const *env, const char *name);

/* Control groups are of version 2 alone. */
bool spec_is_unified(void);

json_t *spec_strings(char *const *list);
