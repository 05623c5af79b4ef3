/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signalfd(2): a set of signals; what is pending belongs to whoever reads it.
 * fs/signalfd.c: signalfd_show_fdinfo()
 */
#include "state/fd/kind.h"

#include "image/signalfd.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

static bool match(const struct dump *d, const struct fd_view *v)
{
	return strcmp(v->link, "anon_inode:[signalfd]") == 0;
}

static int check(struct dump *d, const struct fd_view *v)
{
	return fown_check(v);
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *e)
{
	uint64_t mask;
	int r = fdinfo_u64(&v->info, "sigmask", 16, &mask);

	if (r < 0)
		return r;
	e->sgfd = g_new0(SignalfdEntry, 1);
	signalfd_entry__init(e->sgfd);
	e->sgfd->id = e->id;
	e->sgfd->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	e->sgfd->sigmask = mask;
	return fown_dump(v, &e->sgfd->fown);
}

static int load(struct restore *r, struct file *f)
{
	return f->entry->sgfd ? 0 : 1;
}

static int open_(struct restore *r, struct file *f)
{
	const SignalfdEntry *e = f->entry->sgfd;

	/* the kernel's set has 8 bytes, the library's 128 */
	f->fd = (int)syscall(SYS_signalfd4, -1, &e->sigmask, sizeof(e->sigmask),
			     SFD_CLOEXEC | (e->flags & O_NONBLOCK ? SFD_NONBLOCK : 0));
	if (f->fd < 0)
		return err_errno("signalfd");
	return fown_restore(r, f, e->fown, e->flags);
}

const struct fd_kind fd_signalfd = {
	.name = "signalfd",
	.type = FD_TYPES__SIGNALFD,
	.alone = true,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
};
