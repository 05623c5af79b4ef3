/* SPDX-License-Identifier: Apache-2.0 */
/* eventfd(2): a counter.  fs/eventfd.c: eventfd_show_fdinfo() */
#include "state/fd/kind.h"

#include "image/eventfd.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>

static bool match(const struct dump *d, const struct fd_view *v)
{
	return strcmp(v->link, "anon_inode:[eventfd]") == 0;
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *e)
{
	uint64_t count, semaphore = 0;
	int r;

	r = fdinfo_u64(&v->info, "eventfd-count", 16, &count);
	if (r < 0)
		return r;
	if (fdinfo_get(&v->info, "eventfd-semaphore")) {
		r = fdinfo_u64(&v->info, "eventfd-semaphore", 10, &semaphore);
		if (r < 0)
			return r;
	}
	e->efd = g_new0(EventfdFileEntry, 1);
	eventfd_file_entry__init(e->efd);
	e->efd->id = e->id;
	e->efd->flags = (v->info.flags & ~(unsigned)O_CLOEXEC) | (semaphore ? EFD_SEMAPHORE : 0);
	e->efd->counter = count;
	return fown_dump(v, &e->efd->fown);
}

static int open_(struct restore *r, struct file *f)
{
	const EventfdFileEntry *e = f->entry->efd;
	int fd;

	fd = eventfd(0, EFD_CLOEXEC | (int)(e->flags & EFD_SEMAPHORE));
	if (fd < 0)
		return err_errno("eventfd");
	f->fd = fd;
	/* written, as eventfd(2) takes only 32 bits */
	if (e->counter && write(fd, &e->counter, sizeof(e->counter)) < 0)
		return err_errno("eventfd counter %" PRIu64, e->counter);
	if (fcntl(fd, F_SETFL, (int)(e->flags & O_NONBLOCK)) < 0)
		return err_errno("eventfd flags");
	return fown_restore(r, f, e->fown, e->flags);
}

static int load(struct restore *r, struct file *f)
{
	return f->entry->efd ? 0 : 1;
}

const struct fd_kind fd_eventfd = {
	.name = "eventfd",
	.type = FD_TYPES__EVENTFD,
	.alone = true,
	.match = match,
	.dump = dump,
	.load = load,
	.open = open_,
};
