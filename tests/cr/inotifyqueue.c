/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that were not read yet: of every kind, of directories and files, also of watches that
 * have gone; as many as fit, with an overflow at the end or in between.  After them, new ones.
 */
#include "cr.h"

#include <limits.h>
#include <linux/magic.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#define MAX 200000

struct seen {
	int wd;
	uint32_t mask, cookie;
	char name[32];
};

struct list {
	struct seen *v;
	unsigned n;
};

/* Everything that waits. */
static struct list drain(int in)
{
	static char buf[65536] __attribute__((aligned(8)));
	struct list l = {calloc(MAX, sizeof(struct seen)), 0};
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0; at < n;) {
			struct inotify_event *e = (void *)(buf + at);
			struct seen *s = &l.v[l.n++];

			check(l.n < MAX);
			s->wd = e->wd;
			s->mask = e->mask;
			s->cookie = e->cookie;
			if (e->len)
				snprintf(s->name, sizeof(s->name), "%s", e->name);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	check(n < 0 && errno == EAGAIN, "errno %d", errno);
	return l;
}

/* The same things happen in each, one is read at once, the other one later. */
static char dir[] = "/tmp/inotify.XXXXXX", sub[64], file[64], gone[64], mnt[64];

static void in_dir(const char *name, char ret[static 96])
{
	snprintf(ret, 96, "%s/%s", dir, name);
}

/* On overlayfs whoever looks for the names of what is watched has to open directories. */
static uint32_t all_events(void)
{
	struct statfs fs;

	check(statfs(dir, &fs) == 0);
	return fs.f_type == OVERLAYFS_SUPER_MAGIC
		       ? IN_ALL_EVENTS & ~(uint32_t)(IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE)
		       : IN_ALL_EVENTS;
}

static void watch_all(int in, bool mounted)
{
	uint32_t all = all_events();

	check(inotify_add_watch(in, "/", IN_CREATE) == 1);
	check(inotify_add_watch(in, dir, all) == 2);
	check(inotify_add_watch(in, file, all) == 3);
	check(inotify_add_watch(in, sub, all) == 4);
	check(inotify_add_watch(in, gone, all) == 5);
	check(inotify_add_watch(in, "/tmp", IN_MOVE_SELF) == 6);
	if (mounted)
		check(inotify_add_watch(in, mnt, all) == 7);
	check(inotify_rm_watch(in, 6) == 0);
	check(inotify_rm_watch(in, 1) == 0);
}

static void live(bool mounted)
{
	char a[96], b[96], c[96], byte;
	int fd;

	in_dir("a long name with spaces", a);
	in_dir("b", b);
	in_dir("sub/c", c);
	fd = open(a, O_RDWR | O_CREAT, 0600);
	check(fd >= 0 && write(fd, "x", 1) == 1 && pread(fd, &byte, 1, 0) == 1 &&
	      fchmod(fd, 0644) == 0);
	close(fd);
	fd = open(a, O_RDONLY);
	close(fd);
	check(rename(a, b) == 0 && rename(b, c) == 0 && unlink(c) == 0);
	check(mkdir(a, 0700) == 0 && rmdir(a) == 0);
	fd = open(sub, O_RDONLY | O_DIRECTORY);
	check(fd >= 0 && syscall(SYS_getdents64, fd, b, sizeof(b)) > 0);
	close(fd);
	fd = open(file, O_WRONLY);
	check(fd >= 0 && write(fd, "y", 1) == 1);
	close(fd);
	in_dir("other", a);
	check(rename(file, a) == 0 && rename(a, file) == 0);
	check(rename(file, "/tmp/elsewhere") == 0 && rename("/tmp/elsewhere", file) == 0);
	check(unlink(gone) == 0);
	if (mounted)
		check(umount(mnt) == 0);
}

/* Whoever looks through the file system meanwhile (a search for names, too) opens directories. */
static void without_visitors(struct list *l)
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->n; i++)
		if (!(l->v[i].mask & IN_ISDIR &&
		      l->v[i].mask & (IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE)))
			l->v[n++] = l->v[i];
	l->n = n;
}

/* Cookies are the kernel's: only which are the same. */
static void same(const struct list *a, const struct list *b)
{
	for (unsigned i = 0; i < a->n && i < b->n; i++) {
		const struct seen *x = &a->v[i], *y = &b->v[i];

		check(x->wd == y->wd && x->mask == y->mask && !strcmp(x->name, y->name),
		      "event %u: %d %#x %s, not %d %#x %s", i, y->wd, y->mask, y->name, x->wd,
		      x->mask, x->name);
		check(!x->cookie == !y->cookie, "cookie of event %u", i);
		if (i && x->cookie && x->cookie == x[-1].cookie)
			check(y->cookie == y[-1].cookie, "cookies of event %u", i);
	}
	check(a->n == b->n, "%u events, not %u", b->n, a->n);
}

static int open_in(void)
{
	int in = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	check(in >= 0);
	return in;
}

/* Makes too much happen to a file; leaves N more after the overflow, when some were read. */
static int flood(int in, unsigned after)
{
	char much[] = "/tmp/inotify.XXXXXX";
	int fd = mkstemp(much);
	struct inotify_event e[64];
	char c = 'x';
	int max = 0;
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "re");

	check(f && fscanf(f, "%d", &max) == 1);
	check(fd >= 0 && write(fd, "x", 1) == 1);
	check(inotify_add_watch(in, much, IN_MODIFY | IN_ACCESS) == 1);
	for (int i = 0; i < max + 10; i++)
		check((i % 2 ? pread(fd, &c, 1, 0) : pwrite(fd, &c, 1, 0)) == 1);
	unlink(much);
	if (!after)
		return fd;
	check(read(in, e, sizeof(e)) == sizeof(e));
	for (unsigned i = 0; i < after; i++)
		check((i % 2 ? pread(fd, &c, 1, 0) : pwrite(fd, &c, 1, 0)) == 1);
	return fd;
}

int main(void)
{
	struct list want, got;
	int in = open_in(), model = open_in(), full = open_in(), later = open_in(),
	    model_full = open_in(), model_later = open_in(), fd, n;
	char name[96];
	bool mounted;

	check(mkdtemp(dir) != NULL);
	snprintf(sub, sizeof(sub), "%s/sub", dir);
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(gone, sizeof(gone), "%s/gone", dir);
	snprintf(mnt, sizeof(mnt), "%s/mnt", dir);
	check(mkdir(sub, 0700) == 0 && mkdir(mnt, 0700) == 0);
	fd = open(file, O_RDWR | O_CREAT, 0600);
	check(fd >= 0 && write(fd, "x", 1) == 1);
	close(fd);
	close(open(gone, O_RDWR | O_CREAT, 0600));
	mounted = mount("tmpfs", mnt, "tmpfs", 0, NULL) == 0;
	watch_all(in, mounted);
	watch_all(model, mounted);
	live(mounted);
	want = drain(model);
	close(model);
	fd = flood(full, 0);
	flood(model_full, 0);
	flood(later, 20);
	flood(model_later, 20);

	ready();

	got = drain(in);
	without_visitors(&want);
	without_visitors(&got);
	same(&want, &got);
	check(want.n > 20);
	want = drain(model_full);
	got = drain(full);
	same(&want, &got);
	check(got.v[got.n - 1].mask == IN_Q_OVERFLOW);
	want = drain(model_later);
	got = drain(later);
	same(&want, &got);
	check(got.n > 21 && got.v[got.n - 21].mask == IN_Q_OVERFLOW);

	/* its watches are as they were, with nothing of ours */
	in_dir("new", name);
	close(open(name, O_RDWR | O_CREAT, 0600));
	got = drain(in);
	without_visitors(&got);
	check(got.n >= 2 && got.v[0].wd == 2 && got.v[0].mask == IN_CREATE &&
	      !strcmp(got.v[0].name, "new"));
	check(unlink(name) == 0 && ioctl(in, FIONREAD, &n) == 0 && n > 0);
	n = inotify_add_watch(in, "/tmp", IN_CREATE);
	check(n > (mounted ? 7 : 6), "watch %d", n);
	check(pwrite(fd, "z", 1, 0) == 1);
	got = drain(full);
	check(got.n == 1 && got.v[0].wd == 1 && got.v[0].mask == IN_MODIFY);
	unlink(file);
	rmdir(sub);
	rmdir(mnt);
	rmdir(dir);
	return ok();
}
