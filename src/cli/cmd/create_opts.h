/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options that create and run share.  Most of them are fields of the engine's struct
 * container_options; what needs the host (files, our environment, sizes in words) is resolved by
 * create_options_resolve().
 */
#pragma once

#include "cli/command.h"
#include "engine/options.h"

struct create_opts {
	struct container_options o;
	/* of create and run */
	char **env_file, **env, **label_file, **label, **attach, **network;
	bool env_host, http_proxy, quiet, tls_verify, ignored_flag, init;
	const char *entrypoint, *memory, *memory_swap, *memory_reservation, *shm_size;
	const char *authfile, *platform, *arch, *os, *variant, *ignored;
	/* of run only */
	bool detach, sig_proxy;
	uint64_t preserve_fds;
	const char *detach_keys;
};

extern const struct opt create_options[]; /* with a name-less entry at the end */
extern const struct opt run_options[];
extern const struct opt update_options[]; /* limits only */

void create_opts_init(void *opts);

/*
 * Fills the rest of o->o from the arguments and the other fields, and checks all that can be
 * checked before anything is done.  The caller clears o->o.
 */
int create_options_resolve(struct cli *cli, struct create_opts *o) MUST_CHECK;

/* A part of it: sizes in words, numbers of processes. */
int create_limits_resolve(const struct cli *cli, struct create_opts *o) MUST_CHECK;

/* Pulls the image if options ask for more than the engine's own pull knows; else does nothing. */
/* The image, fetched as the options say. */
struct image;
int create_obtain(struct cli *cli, struct create_opts *o, struct engine *e, struct image *ret)
	MUST_CHECK;
int create_pull(struct cli *cli, struct create_opts *o, struct engine *e) MUST_CHECK;

/* --cidfile, after the container exists. */
int create_write_cidfile(const struct container_options *o, const char *id) MUST_CHECK;
