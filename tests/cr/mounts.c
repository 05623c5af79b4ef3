/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts of a tree with a root directory of its own: peers, slaves and slaves with peers in one
 * namespace and in others inside, a root that is shared, a namespace with another root, and mounts
 * that lie on those with content.  What /proc says of all of them is the same afterwards, but for
 * the numbers.
 */
#include "cr.h"

#include <sched.h>
#include <sys/mount.h>

#define SHARE "/tmp/share"
#define ALL   128

/* One mount of a process: "PROCESS ROOT TARGET FLAGS", and its groups. */
struct shown {
	char what[600], groups[256];
};

struct picture {
	struct shown v[ALL];
	unsigned n;
};

static int by_what(const void *a, const void *b)
{
	return strcmp(((const struct shown *)a)->what, ((const struct shown *)b)->what);
}

static void look(pid_t pid, struct picture *to)
{
	char name[64], line[1024], root[128], target[128], flags[128];
	struct shown *s;
	int at = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/mountinfo", pid);
	f = fopen(name, "re");
	check(f);
	while (fgets(line, sizeof(line), f)) {
		check(to->n < ALL);
		s = &to->v[to->n++];
		check(sscanf(line, "%*s %*s %*s %127s %127s %127s %n", root, target, flags, &at) ==
		      3);
		snprintf(s->what, sizeof(s->what), "%d %s %s %s", pid, root, target, flags);
		snprintf(s->groups, sizeof(s->groups), "%s", line + at);
		check(strchr(s->groups, '-'));
		*strchr(s->groups, '-') = 0;
	}
	fclose(f);
}

/* The numbers of groups: which of all it is, in the order of what they are of. */
static void renumber(struct picture *p)
{
	char *known[ALL] = {0}, text[256], *rest;
	unsigned n;

	qsort(p->v, p->n, sizeof(p->v[0]), by_what);
	for (unsigned i = 0; i < p->n; i++) {
		size_t at = 0;

		text[0] = 0;
		for (char *w = strtok_r(p->v[i].groups, " ", &rest); w;
		     w = strtok_r(NULL, " ", &rest)) {
			if (strcmp(w, "unbindable") == 0) {
				at += (size_t)snprintf(text + at, sizeof(text) - at, "%s ", w);
				continue;
			}
			check(strchr(w, ':'));
			for (n = 0; n < ALL && known[n] && strcmp(known[n], strchr(w, ':')) != 0;)
				n++;
			check(n < ALL);
			known[n] = known[n] ?: strdup(strchr(w, ':'));
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%.6s %u ", w, n);
		}
		strcpy(p->v[i].groups, text);
	}
	for (n = 0; n < ALL; n++)
		free(known[n]);
}

static void bind(const char *from, const char *to, unsigned long propagation)
{
	check(mount(from, to, NULL, MS_BIND, NULL) == 0, "%s: errno %d", to, errno);
	check(!propagation || mount(NULL, to, NULL, propagation, NULL) == 0);
}

static void tmpfs(const char *at, unsigned long propagation)
{
	check(mount("test", at, "tmpfs", 0, "size=1m") == 0, "%s: errno %d", at, errno);
	check(mount(NULL, at, NULL, propagation, NULL) == 0);
}

static void directory(const char *name)
{
	check(mkdir(name, 0755) == 0 || errno == EEXIST, "%s: errno %d", name, errno);
}

static void file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s", name);
	close(fd);
}

/* What is open, mapped, and the current directory, where something has been mounted over it since.
 */
static struct covered {
	int file, fifo, under; /* the last one is in a tmpfs */
	char *map;
	struct stat st[3];
} covered;

static void cover(struct covered *c)
{
	directory("/tmp/cover");
	file("/tmp/cover/file", "below");
	check(mkfifo("/tmp/cover/fifo", 0600) == 0);
	c->file = open("/tmp/cover/file", O_RDWR | O_CLOEXEC);
	c->fifo = open("/tmp/cover/fifo", O_RDWR | O_CLOEXEC);
	c->under = open(SHARE "/under/file", O_RDONLY | O_CLOEXEC);
	check(c->file >= 0 && c->fifo >= 0 && c->under >= 0 && write(c->fifo, "x", 1) == 1);
	c->map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, c->file, 0);
	check(c->map != MAP_FAILED && chdir("/tmp/cover") == 0);
	check(fstat(c->file, &c->st[0]) == 0 && fstat(c->fifo, &c->st[1]) == 0);
	tmpfs("/tmp/cover", MS_PRIVATE);
	file("/tmp/cover/other", "above");
}

static void check_covered(struct covered *c)
{
	struct stat st;
	char text[8];

	check(fstat(c->file, &st) == 0 && st.st_ino == c->st[0].st_ino);
	check(fstat(c->fifo, &st) == 0 && st.st_ino == c->st[1].st_ino);
	check(pread(c->file, text, 8, 0) == 5 && pread(c->under, text, 8, 0) == 7);
	check(read(c->fifo, text, 8) == 1 && text[0] == 'x');
	check(access("file", F_OK) == 0 && access("other", F_OK) < 0);
	check(access("/tmp/cover/other", F_OK) == 0 && access("/tmp/cover/file", F_OK) < 0);
	c->map[0] = 'B';
	check(umount2("/tmp/cover", 0) == 0);
	check(stat("/tmp/cover/file", &st) == 0 && st.st_ino == c->st[0].st_ino);
	check(pread(c->file, text, 8, 0) == 5 && text[0] == 'B');
}

/* Peers, slaves, and slaves that have peers, of parts of one tmpfs; some are mounted by others. */
static void share(void)
{
	static const char *const views[] = {"b", "c", "d"};
	char name[64];

	directory(SHARE);
	tmpfs(SHARE, MS_PRIVATE);
	for (const char *const *n = (const char *const[]){"a", "b", "c", "d", "e", "under", NULL};
	     *n; n++) {
		snprintf(name, sizeof(name), SHARE "/%s", *n);
		directory(name);
	}
	file(SHARE "/under/file", "covered");
	cover(&covered);
	tmpfs(SHARE "/under", MS_PRIVATE);
	tmpfs(SHARE "/a", MS_SHARED);
	directory(SHARE "/a/one");
	directory(SHARE "/a/two");
	bind(SHARE "/a", SHARE "/b", 0);
	bind(SHARE "/b", SHARE "/c", MS_SLAVE);
	bind(SHARE "/c", SHARE "/d", MS_SHARED);
	tmpfs(SHARE "/a/one", MS_SHARED);
	tmpfs(SHARE "/e", MS_UNBINDABLE);
	file(SHARE "/a/one/file", "content");
	for (unsigned i = 0; i < ARRAY_SIZE(views); i++) {
		snprintf(name, sizeof(name), SHARE "/%s/one/file", views[i]);
		check(access(name, F_OK) == 0, "%s", name);
	}
	check(mount(NULL, SHARE "/b/one", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0);
	check(mount(NULL, SHARE "/c/one", NULL, MS_PRIVATE, NULL) == 0);
}

/* One whose layers are in a tmpfs, which is mounted by then. */
static void overlay(void)
{
	directory("/tmp/layers");
	tmpfs("/tmp/layers", MS_PRIVATE);
	directory("/tmp/layers/low");
	directory("/tmp/layers/up");
	directory("/tmp/layers/work");
	directory("/tmp/layers/all");
	file("/tmp/layers/low/file", "low");
	check(mount("layers", "/tmp/layers/all", "overlay", 0,
		    "lowerdir=/tmp/layers/low,upperdir=/tmp/layers/up,workdir=/tmp/layers/work") ==
		      0,
	      "errno %d", errno);
	file("/tmp/layers/all/other", "up");
}

static void check_overlay(void)
{
	check(access("/tmp/layers/all/file", F_OK) == 0 &&
	      access("/tmp/layers/all/other", F_OK) == 0);
	file("/tmp/layers/all/file", "new");
	check(access("/tmp/layers/up/file", F_OK) == 0);
}

/* A file without a name in a mount that was made read-only since. */
static int read_only(const char *at)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "%s/file", at);
	directory(at);
	tmpfs(at, MS_PRIVATE);
	file(name, "content");
	fd = open(name, O_RDONLY | O_CLOEXEC);
	check(fd >= 0 && unlink(name) == 0);
	check(mount(NULL, at, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0);
	return fd;
}

static void check_read_only(int fd, const char *at)
{
	char text[8], name[64];

	snprintf(name, sizeof(name), "%s/file", at);
	check(pread(fd, text, sizeof(text), 0) == 7 && memcmp(text, "content", 7) == 0);
	check(access(name, F_OK) < 0 && errno == ENOENT);
	check(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 && errno == EROFS);
}

/* With the mounts of the first one as peers and slaves of those, one of its own where those have
 * another, and a view of a part of the root, which is shared. */
static int inside_ro;

static int inside(void)
{
	if (unshare(CLONE_NEWNS) < 0 || umount2(SHARE "/under", MNT_DETACH) < 0)
		return -1;
	tmpfs(SHARE "/under", MS_PRIVATE);
	file(SHARE "/under/mine", "of the other namespace");
	bind("/tmp/dir", "/tmp/bind", 0);
	inside_ro = read_only("/tmp/inside-ro");
	return 0;
}

static int inside_is_whole(void)
{
	check_read_only(inside_ro, "/tmp/inside-ro");
	return access(SHARE "/under/mine", F_OK) || access("/tmp/bind/sub/late", F_OK) ||
	       access(SHARE "/d/one/file", F_OK);
}

/* With a tmpfs as its root. */
static int elsewhere(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	tmpfs("/tmp/dir", MS_PRIVATE);
	directory("/tmp/dir/old");
	directory("/tmp/dir/proc");
	file("/tmp/dir/here", "root");
	return mount("proc", "/tmp/dir/proc", "proc", 0, NULL) < 0 || chdir("/tmp/dir") < 0 ||
	       syscall(SYS_pivot_root, ".", "old") < 0 || chdir("/") < 0 ||
	       umount2("/old", MNT_DETACH) < 0;
}

static int elsewhere_is_whole(void)
{
	char own[32], at[32] = "";

	snprintf(own, sizeof(own), "%d", getpid());
	return access("/here", F_OK) || access("/old", F_OK) ||
	       readlink("/proc/self", at, sizeof(at) - 1) < 0 || strcmp(own, at) != 0;
}

static void look_at_all(const struct child *a, const struct child *b, struct picture *to)
{
	look(getpid(), to);
	look(a->pid, to);
	look(b->pid, to);
	renumber(to);
}

int main(void)
{
	static struct picture before, after;
	struct child a, b;
	int ro;

	check(mount(NULL, "/", NULL, MS_SHARED, NULL) == 0);
	directory("/tmp/dir");
	directory("/tmp/dir/sub");
	directory("/tmp/bind");
	share();
	ro = read_only("/tmp/ro");
	overlay();
	a = child_start(inside, inside_is_whole);
	b = child_start(elsewhere, elsewhere_is_whole);
	check(mount("late", "/tmp/dir/sub", "tmpfs", 0, NULL) == 0); /* also seen in /tmp/bind */
	file("/tmp/dir/sub/late", "");
	look_at_all(&a, &b, &before);
	ready();
	look_at_all(&a, &b, &after);
	for (unsigned i = 0; i < before.n && i < after.n; i++) {
		const struct shown *was = &before.v[i], *is = &after.v[i];

		check(strcmp(was->what, is->what) == 0 && strcmp(was->groups, is->groups) == 0,
		      "\"%s %s\" was \"%s %s\"", is->what, is->groups, was->what, was->groups);
	}
	check(before.n == after.n, "%u mounts were %u", after.n, before.n);
	check_read_only(ro, "/tmp/ro");
	check_covered(&covered);
	check_overlay();
	child_go(&a);
	child_go(&b);
	check(mount(SHARE "/e", SHARE "/d", NULL, MS_BIND, NULL) < 0 && errno == EINVAL);
	check(umount2(SHARE "/under", 0) == 0 && access(SHARE "/under/file", F_OK) == 0);
	return ok();
}
