/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inotify: watches with holes in their numbers, of a directory, a file, a link itself, a removed
 * file that is still open; their masks; nothing that the restore does is reported.
 */
#include "cr.h"

#include <sys/inotify.h>

static int in;

static struct inotify_event *next(void)
{
	static char buf[4096] __attribute__((aligned(8)));
	static ssize_t n, at;
	struct inotify_event *e;

	if (at == n) {
		at = 0;
		n = read(in, buf, sizeof(buf));
	}
	if (n < 0) {
		check(errno == EAGAIN, "errno %d", errno);
		n = 0;
		return NULL;
	}
	e = (void *)(buf + at);
	at += (ssize_t)(sizeof(*e) + e->len);
	return e;
}

static void drain(void)
{
	while (next())
		;
}

int main(void)
{
	char dir[] = "/tmp/inotify.XXXXXX", file[64], link[64], gone[64];
	int wd, wf, wl, wg, fd, held;
	struct inotify_event *e;

	check(mkdtemp(dir) != NULL);
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(link, sizeof(link), "%s/link", dir);
	snprintf(gone, sizeof(gone), "%s/gone", dir);
	fd = open(file, O_RDWR | O_CREAT, 0600);
	held = open(gone, O_RDWR | O_CREAT, 0600);
	check(fd >= 0 && held >= 0 && symlink("/nowhere", link) == 0);
	in = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	check(in >= 0);
	check(inotify_add_watch(in, "/", IN_CREATE) == 1);
	wd = inotify_add_watch(in, dir, IN_CREATE | IN_DELETE | IN_ONLYDIR);
	wf = inotify_add_watch(in, file, IN_MODIFY | IN_ONESHOT);
	wl = inotify_add_watch(in, link, IN_ATTRIB | IN_DELETE_SELF | IN_DONT_FOLLOW);
	wg = inotify_add_watch(in, gone, IN_MODIFY);
	check(wd == 2 && wf == 3 && wl == 4 && wg == 5);
	check(unlink(gone) == 0 && inotify_rm_watch(in, 1) == 0);
	drain();

	ready();

	e = next();
	check(!e, "event %#x of watch %d", e ? e->mask : 0, e ? e->wd : 0);
	check(write(fd, "x", 1) == 1);
	e = next();
	check(e && e->wd == wf && e->mask == IN_MODIFY, "%#x", e ? e->mask : 0);
	e = next();
	check(e && e->wd == wf && e->mask == IN_IGNORED, "%#x", e ? e->mask : 0);
	check(!next());
	check(write(held, "x", 1) == 1);
	e = next();
	check(e && e->wd == wg && e->mask == IN_MODIFY, "%#x", e ? e->mask : 0);
	check(unlink(link) == 0);
	for (int seen = 0; (e = next()); seen++)
		check(seen < 5 && (e->wd == wl || (e->wd == wd && e->mask == IN_DELETE &&
						   strcmp(e->name, "link") == 0)),
		      "watch %d: %#x", e->wd, e->mask);
	check(inotify_add_watch(in, "/tmp", IN_CREATE) > wg);
	check(inotify_rm_watch(in, wd) == 0);
	unlink(file);
	rmdir(dir);
	return ok();
}
