/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's mounts: -v, --mount and --tmpfs parsed into one list, in the order in which they are
 * mounted (shallow destinations first).  Used for config.json and for inspect's Mounts.
 */
#pragma once

#include "engine/options.h"

enum user_mount_type { USER_MOUNT_BIND, USER_MOUNT_VOLUME, USER_MOUNT_TMPFS };

struct user_mount {
	enum user_mount_type type;
	char *source;	   /* bind: an absolute path; volume: its name, NULL when anonymous */
	char *destination; /* absolute, without . and .. */
	char **options;	   /* ro, rw, rbind, z, Z, noexec, size=..., propagation */
	bool read_only;
};

struct user_mounts {
	struct user_mount *v;
	unsigned n;
};

void user_mounts_clear(struct user_mounts *m);

/* All of O.  The later of two with the same destination is -EINVAL "duplicate mount destination".
 */
int user_mounts_parse(const struct container_options *o, struct user_mounts *ret) MUST_CHECK;

/* The name of the volume that M mounts, which an anonymous one has from its place; to be freed. */
char *volume_name_of(const struct user_mount *m);

/* In a volume's directory: its content, and a file as long as nothing has mounted it yet, so that
 * the image's content goes in first. */
#define VOLUME_DATA  "_data"
#define VOLUME_FRESH ".fresh"
