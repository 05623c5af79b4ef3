/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

static int remove_content(int dir, dev_t dev);

static int remove_entry(int dir, const char *name, const dev_t *dev)
{
	struct stat st;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_errno("remove %s", name);

	autoclose int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (sub < 0 || fstat(sub, &st) < 0)
		return err_errno("remove %s", name);
	if (dev && st.st_dev != *dev)
		return err_set(EBUSY, "remove %s: something is mounted there", name);
	r = remove_content(sub, st.st_dev);
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

static int remove_content(int dir, dev_t dev)
{
	CLEANUP(close_dir) DIR *d = NULL;
	int copy = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	struct dirent *e;

	if (copy < 0)
		return err_errno("duplicate directory");
	d = fdopendir(copy);
	if (!d) {
		close(copy);
		return err_errno("read directory");
	}
	while ((errno = 0, e = readdir(d))) {
		int r;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		r = remove_entry(dir, e->d_name, &dev);
		if (r < 0)
			return r;
	}
	return errno ? err_errno("read directory") : 0;
}

int file_remove_tree_at(int dir, const char *name)
{
	return remove_entry(dir, name, NULL);
}
