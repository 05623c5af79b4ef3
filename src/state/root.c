/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root directory where names in /proc begin, and the mounts below it: those of the mount
 * namespace.  A root task that has done chroot(2) shows neither: /proc/PID/root is its directory,
 * and its mountinfo leaves out what is outside of that (show_mountinfo()).
 */
#include "state/tree.h"

#include "kernel/ns.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define CHUNK 16384

static int enter_root(void *arg, int *ret_fd)
{
	*ret_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno("open the root of its mount namespace") : 0;
}

/* ARG: our /proc; theirs may be covered. */
static int enter_mounts(void *arg, int *ret_fd)
{
	const int *proc = arg;

	*ret_fd = openat(*proc, "self/mountinfo", O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno("open mountinfo") : 0;
}

static int read_mounts(int fd, struct mountinfo *ret)
{
	g_autoptr(GString) text = g_string_new(NULL);
	ssize_t n;

	do {
		g_string_set_size(text, text->len + CHUNK);
		n = read(fd, text->str + text->len - CHUNK, CHUNK);
		g_string_truncate(text, text->len - CHUNK + (gsize)MAX(n, 0));
	} while (n > 0);
	if (n < 0)
		return err_errno("read mountinfo");
	return mountinfo_parse(g_string_free(g_steal_pointer(&text), FALSE), ret);
}

/* Whoever enters a mount namespace has its root, not that of anybody in it (mntns_install()). */
static int open_outer(struct dump *d, const struct dtask *t)
{
	autoclose int ns = -1, info = -1, proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = proc < 0 ? err_errno("open /proc") : ns_open(t->proc.dir, NS_MNT, &ns);

	if (r == 0 && d->root < 0)
		r = ns_run(&ns, 1, enter_root, NULL, &d->root);
	if (r == 0)
		r = ns_run(&ns, 1, enter_mounts, &proc, &info);
	return r < 0 ? r : read_mounts(info, &d->mounts);
}

int tree_open_root(struct dump *d)
{
	struct dtask *t = dump_task(d, 0);
	g_autofree char *link = NULL, *path = g_strdup_printf("/proc/%d/root", t->proc.pid);
	int r = proc_link(t->proc.dir, "root", &link);

	if (r < 0)
		return r;
	mountinfo_clear(&d->mounts);
	if (strcmp(link, "/") != 0)
		return open_outer(d, t);
	if (d->root < 0)
		d->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return d->root < 0 ? err_errno("open %s", path) : mountinfo_read(t->proc.dir, &d->mounts);
}
