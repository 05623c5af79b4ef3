/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define OPENAT2_TRIES 1000

int file_read_at(int dir, const char *name, size_t max, char **ret, size_t *ret_len)
{
	autoclose int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	g_autofree char *buf = NULL;
	size_t size = 4096, len = 0;

	if (fd < 0)
		return err_errno("open %s", name);
	buf = g_malloc(size);
	for (;;) {
		ssize_t n = read(fd, buf + len, size - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno("read %s", name);
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return err_set(EFBIG, "read %s: larger than %zu bytes", name, max);
		if (len == size - 1)
			buf = g_realloc(buf, size *= 2);
	}
	buf[len] = 0;
	if (ret_len)
		*ret_len = len;
	*ret = g_steal_pointer(&buf);
	return 0;
}

int file_read_piece_at(int dir, const char *name, char *buf, size_t size)
{
	autoclose int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return err_errno("open %s", name);
	do
		n = read(fd, buf, size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno("read %s", name);
	if ((size_t)n == size)
		return err_set(EFBIG, "read %s: larger than %zu bytes", name, size - 1);
	buf[n] = 0;
	return 0;
}

static int replace(int dir, const char *name, const void *data, size_t len, mode_t mode, bool sync)
{
	g_autofree char *aside = g_strdup_printf("%s.new-%d-%x", name, getpid(), g_random_int());
	autoclose int fd = openat(dir, aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	int r;

	if (fd < 0)
		return err_errno("create %s", aside);
	r = fd_write_full(fd, data, len);
	if (r == 0 && fchmod(fd, mode) < 0)
		r = err_errno("set mode");
	if (r == 0 && sync && fsync(fd) < 0)
		r = err_errno("sync");
	if (r == 0 && renameat(dir, aside, dir, name) < 0)
		r = err_errno("rename");
	if (r < 0) {
		unlinkat(dir, aside, 0);
		return err_wrap(r, "write %s", name);
	}
	return 0;
}

int file_replace_at(int dir, const char *name, const void *data, size_t len, mode_t mode)
{
	return replace(dir, name, data, len, mode, true);
}

int file_write_at(int dir, const char *name, const void *data, size_t len, mode_t mode)
{
	return replace(dir, name, data, len, mode, false);
}

int file_poke_at(int dir, const char *name, const char *text)
{
	autoclose int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return err_errno("open %s", name);
	do {
		n = write(fd, text, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno("write '%s' to %s", text, name);
	if ((size_t)n != len)
		return err_set(EIO, "write '%s' to %s: only %zd bytes taken", text, name, n);
	return 0;
}

int file_mkdirs(const char *path, mode_t mode)
{
	g_autofree char *copy = g_strdup(path);

	for (char *p = copy + 1;; p++) {
		char end = *p;

		if (end != '/' && end)
			continue;
		*p = 0;
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return err_errno("create directory %s", copy);
		*p = end;
		if (!end)
			return 0;
	}
}

/*
 * Every level holds two descriptors, and a tree may be deeper than those last: what is far down is
 * moved up to the top, where the next pass finds it.
 */
#define REMOVE_DEPTH 64

struct removal {
	int top;
	dev_t dev;
	unsigned moved;
};

static int remove_content(struct removal *t, int dir, unsigned depth);

static bool move_to_top(struct removal *t, int dir, const char *name)
{
	char aside[32];

	snprintf(aside, sizeof(aside), ".removing-%u", t->moved++);
	return renameat2(dir, name, t->top, aside, RENAME_NOREPLACE) == 0;
}

static int remove_entry(struct removal *t, int dir, const char *name, unsigned depth)
{
	struct stat st;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_errno("remove %s", name);

	autoclose int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (sub < 0 && errno == ENOENT) /* somebody else removes it, too */
		return 0;
	if (sub < 0 || fstat(sub, &st) < 0)
		return err_errno("remove %s", name);
	if (depth == 0) {
		t->top = sub;
		t->dev = st.st_dev;
	}
	if (st.st_dev != t->dev)
		return err_set(EBUSY, "remove %s: something is mounted there", name);
	if (depth >= REMOVE_DEPTH && move_to_top(t, dir, name))
		return 0;
	do {
		t->moved = depth ? t->moved : 0;
		r = remove_content(t, sub, depth + 1);
	} while (r == 0 && depth == 0 && t->moved);
	if (r < 0)
		return err_wrap(r, "%s", name);
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_errno("remove %s", name);
	return 0;
}

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int remove_content(struct removal *t, int dir, unsigned depth)
{
	CLEANUP(close_dir) DIR *d = NULL;
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* an offset of its own */
	struct dirent *e;

	if (copy < 0)
		return err_errno("read directory");
	d = fdopendir(copy);
	if (!d) {
		close(copy);
		return err_errno("read directory");
	}
	while ((errno = 0, e = readdir(d))) {
		int r;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		r = remove_entry(t, dir, e->d_name, depth);
		if (r < 0)
			return r;
	}
	return errno ? err_errno("read directory") : 0;
}

int file_remove_tree_at(int dir, const char *name)
{
	struct removal t = {.top = -1};

	return remove_entry(&t, dir, name, 0);
}

int file_openat2(int dir, const char *path, const struct open_how *how)
{
	int fd = -1;

	for (unsigned i = 0; i < OPENAT2_TRIES; i++) {
		fd = (int)syscall(SYS_openat2, dir, path, how, sizeof(*how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd;
}
