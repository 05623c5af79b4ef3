/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the documents of an archive to the options of a new container, and what of them is believed.
 *
 * An archive is somebody else's word.  It may say what its own processes need: their command line,
 * environment, user, limits, volumes by name, ports, labels.  What reaches out of the container is
 * not taken from it: bind mounts, devices, capabilities beyond the default, --privileged,
 * namespaces of the host, security options, annotations, cgroup parents.  Paths of logs and pid
 * files, hooks and the runtime's path are never taken.  The container is then made as `create`
 * makes one, and its config.json is built here from options and the local image.
 *
 * An archive that this store has written itself is known by a mark in the file's attributes that
 * only root can set and that the store's secret is part of; with it, or with --trust, the rest
 * counts as well.
 */
#pragma once

#include "engine/archive_in.h"

/* Options that make the container again, ours or from Podman's documents; into a fresh struct. */
int archive_parse(const struct archive_in *in, struct container_options *ret) MUST_CHECK;

/* -EPERM: all that is asked for beyond the container, in one line. */
int archive_check_trust(const struct archive_in *in, const struct container_options *o) MUST_CHECK;

/* The file, complete and synced, was written by this store.  Best effort. */
void archive_mark(struct engine *e, int fd);
bool archive_is_ours(struct engine *e, int fd);
