/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A little room kept free for the moment when the disk is full: without it the record of a
 * container could not be removed, and with it all the room that the container takes.
 */
#include "engine/store.h"

#include <errno.h>
#include <fcntl.h>

#define RESERVE_BYTES (512 << 10)

static char *reserve_path(const struct engine *e)
{
	return g_build_filename(e->root, "reserve", NULL);
}

void store_keep_reserve(struct engine *e)
{
	g_autofree char *path = reserve_path(e);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0 && posix_fallocate(fd, 0, RESERVE_BYTES) != 0)
		unlink(path);
}

bool store_use_reserve(struct engine *e)
{
	g_autofree char *path = reserve_path(e);

	return unlink(path) == 0;
}
