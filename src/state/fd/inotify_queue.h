/* SPDX-License-Identifier: Apache-2.0 */
/* What waits to be read from inotify descriptors. */
#pragma once

#include "state/fd/kind.h"

struct queued { /* struct inotify_event */
	int wd;
	uint32_t mask, cookie;
	char *name; /* "": about the watched inode itself */
};

/*
 * inotify_queue.c.  1: there is something, which nothing can read but who takes it.  In
 * IMAGE_EXTRA:
 * {"inotify events": {"FILE": [[wd, mask, cookie, name in hexadecimal], ...]}}.
 */
int inotify_queue_dump(struct dump *d, const struct fd_view *v, uint32_t id) MUST_CHECK;

/* Before the freeze: what dump() needs is made ready. */
void inotify_queue_look(struct dump *d, const struct fd_view *v);

/* Puts the events into F, which has no watches yet.  *RET_NEXT: a number above all that they name.
 */
int inotify_queue_restore(struct restore *r, struct file *f, int *ret_next) MUST_CHECK;

/*
 * inotify_again.c: a place where things happen that nobody else sees; watches of FD that look at
 * it have the numbers of the events.
 */
struct scene;
int scene_new(int fd, const struct queued *v, unsigned n, struct scene **ret) MUST_CHECK;
void scene_drop(struct scene **s); /* its watches stay what they are */

/* The event I happens again; returns how many events it made: those that follow it may be its. */
int scene_play(struct scene *s, unsigned i, unsigned *ret_n) MUST_CHECK;

/* N events of a watch that is not among them, no two in a row alike. */
int scene_noise(struct scene *s, unsigned n) MUST_CHECK;

/* Takes all watches away. */
int scene_unwatch(struct scene *s) MUST_CHECK;
