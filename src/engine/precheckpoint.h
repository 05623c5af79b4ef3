/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory in rounds: `cryopod container checkpoint --pre-checkpoint`, any number of times, then
 * --with-previous.
 *
 *	userdata/pre-checkpoint/		the newest round
 *	userdata/pre-checkpoint/previous/	the one that it goes on from, and so on
 *	userdata/checkpoint/parent		-> ../pre-checkpoint
 *
 * A round that a checkpoint goes on from stays that one's: when the next one begins, it is moved to
 * checkpoint/pre-checkpoint.
 */
#pragma once

#include "engine/checkpoint.h"

/* Saves the memory of C, which runs on; EXPORT, or NULL: also as an archive.  Takes C's lock
 * itself. */
struct archive_options;
int container_precheckpoint(struct engine *e, struct container *c,
			    const struct archive_options *export, struct checkpoint_report *ret)
	MUST_CHECK;

/* The newest round in the container's directory DIR, for a checkpoint: its link is CK_PARENT. */
#define CK_PARENT "../pre-checkpoint"
int precheckpoint_open(int dir, int *ret_fd) MUST_CHECK;

/* -ENOENT with Podman's text: there is none. */
int precheckpoint_find(struct engine *e, const struct container *c) MUST_CHECK;
