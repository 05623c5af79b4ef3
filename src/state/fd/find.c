/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an inode back to a name.  Most file systems decode a file handle (open_by_handle_at(2)); for
 * the others, overlayfs among them, the tree's mounts of that file system are walked.  What was
 * found is remembered from the look to the dump, where it is only verified.
 */
#include "state/fd/find.h"
#include "state/ns/spaces.h"

#include "base/file.h"
#include "kernel/fdinfo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define ENTRIES_MAX 4000000u /* a walk over more gives up */
#define DEPTH_MAX   256

struct place { /* a mount namespace */
	int root;
	const struct mountinfo *mounts;
};

struct walk {
	const struct find_key *key;
	uint64_t mnt_id; /* STATX_MNT_ID */
	unsigned seen;
	GString *name;
};

static int open_in(const struct place *p, const char *name, uint64_t flags)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};

	return file_openat2(p->root, name, &how);
}

/* Is it the inode, in a mount of that file system? */
static bool is_it(const struct place *p, const struct find_key *k, int fd)
{
	const struct mount_entry *m;
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &st) < 0 || st.stx_ino != k->ino)
		return false;
	m = mountinfo_by_id(p->mounts, (int)st.stx_mnt_id);
	return m && m->major == k->major && m->minor == k->minor;
}

static bool leads_there(const struct place *p, const struct find_key *k, const char *name)
{
	autoclose int fd = open_in(p, name, O_PATH | O_NOFOLLOW);

	return fd >= 0 && is_it(p, k, fd);
}

/* *RET_GONE: the inode was found, and has no name at all. */
static char *by_handle(const struct place *p, const struct find_key *k, int mount, bool *ret_gone)
{
	autoclose int fd = open_by_handle_at(mount, k->handle, O_PATH | O_CLOEXEC);
	char path[64], name[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return NULL;
	*ret_gone = fstat(fd, &st) == 0 && st.st_ino == k->ino && st.st_nlink == 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, name, sizeof(name) - 1);
	if (n <= 0)
		return NULL;
	name[n] = 0;
	return leads_there(p, k, name) ? g_strdup(name) : NULL;
}

static bool walk(const struct place *p, struct walk *w, int dir_take, unsigned depth);

/* One entry of a directory; true: found, its name is in w->name. */
static bool visit(const struct place *p, struct walk *w, int dir, const struct dirent *e,
		  unsigned depth)
{
	size_t len = w->name->len;
	bool found = false;
	struct statx st;
	int fd;

	if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
		return false;
	if (e->d_type != DT_DIR && e->d_ino != w->key->ino)
		return false;
	g_string_append_printf(w->name, "%s%s", len && w->name->str[len - 1] == '/' ? "" : "/",
			       e->d_name);
	fd = openat(dir, e->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &st) == 0 &&
	    st.stx_mnt_id == w->mnt_id) {
		found = st.stx_ino == w->key->ino;
		if (!found && S_ISDIR(st.stx_mode) && depth < DEPTH_MAX)
			found = walk(p, w,
				     openat(dir, e->d_name,
					    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
				     depth + 1);
	}
	cleanup_close(&fd);
	if (!found)
		g_string_truncate(w->name, len);
	return found;
}

static bool walk(const struct place *p, struct walk *w, int dir_take, unsigned depth)
{
	DIR *dir = dir_take < 0 ? NULL : fdopendir(dir_take);
	bool found = false;
	struct dirent *e;

	if (!dir) {
		cleanup_close(&dir_take);
		return false;
	}
	while (!found && w->seen++ < ENTRIES_MAX && (e = readdir(dir)))
		found = visit(p, w, dirfd(dir), e, depth);
	closedir(dir);
	return found;
}

static char *by_walk(const struct place *p, const struct find_key *k, const struct mount_entry *m)
{
	g_autoptr(GString) name = g_string_new(m->target);
	struct walk w = {.key = k, .name = name};
	int dir = open_in(p, m->target, O_RDONLY | O_NONBLOCK);
	struct statx st;

	if (dir < 0 || statx(dir, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &st) < 0) {
		cleanup_close(&dir);
		return NULL;
	}
	w.mnt_id = st.stx_mnt_id;
	if (st.stx_ino == k->ino && is_it(p, k, dir)) {
		close(dir);
		return g_strdup(m->target);
	}
	if (!S_ISDIR(st.stx_mode)) {
		close(dir);
		return NULL;
	}
	return walk(p, &w, dir, 0) ? g_strdup(name->str) : NULL;
}

static char *search(const struct place *p, const struct find_key *k)
{
	bool gone = false;

	for (int pass = 0; pass < 2 && !gone; pass++)
		for (size_t i = 0; i < p->mounts->n; i++) {
			const struct mount_entry *m = &p->mounts->v[i];
			autoclose int fd = -1;
			char *name = NULL;

			if (m->major != k->major || m->minor != k->minor)
				continue;
			if (pass == 1) {
				name = by_walk(p, k, m);
			} else if (k->handle) {
				fd = open_in(p, m->target, O_RDONLY | O_NONBLOCK);
				name = fd >= 0 ? by_handle(p, k, fd, &gone) : NULL;
			}
			if (name)
				return name;
		}
	return NULL;
}

bool find_name(struct dump *d, const struct find_key *k, char **ret_name)
{
	g_autofree char *key =
		g_strdup_printf("%u:%u:%llu", k->major, k->minor, (unsigned long long)k->ino);
	const struct place tree = {d->root, &d->mounts};
	const char *known;
	char *name;

	if (!d->found)
		d->found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	known = g_hash_table_lookup(d->found, key);
	if (known && !*known && d->frozen)
		return false;
	if (known && *known && leads_there(&tree, k, known)) {
		*ret_name = g_strdup(known);
		return true;
	}
	name = search(&tree, k);
	g_hash_table_replace(d->found, g_steal_pointer(&key), g_strdup(name ?: ""));
	*ret_name = name;
	return name != NULL;
}

/* Hexadecimal digits, two per byte. */
static int parse_handle(const char *hex, uint64_t bytes, FhEntry *e)
{
	uint8_t *to;

	if (bytes > FH_ENTRY_SIZES__min_entries * sizeof(uint64_t))
		return err_set(EBADMSG, "file handle of %" PRIu64 " bytes", bytes);
	e->bytes = (uint32_t)bytes;
	e->n_handle = FH_ENTRY_SIZES__min_entries;
	e->handle = g_new0(uint64_t, e->n_handle);
	to = (uint8_t *)e->handle;
	for (uint64_t i = 0; i < bytes; i++) {
		int high = g_ascii_xdigit_value(hex[2 * i]), low;

		low = high < 0 ? -1 : g_ascii_xdigit_value(hex[2 * i + 1]);
		if (low < 0)
			return err_set(EBADMSG, "file handle %s", hex);
		to[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

int find_handle(const char *line, FhEntry **ret)
{
	const char *hex = strstr(line, "f_handle:");
	uint64_t bytes = 0, type = 0;
	int r = 0;

	*ret = g_new0(FhEntry, 1);
	fh_entry__init(*ret);
	if (hex) /* there is none where the file system has no handles */
		r = fdinfo_field(line, "fhandle-bytes", 16, &bytes);
	if (r == 0 && hex)
		r = fdinfo_field(line, "fhandle-type", 16, &type);
	if (r < 0)
		return r;
	(*ret)->type = (uint32_t)type;
	return parse_handle(hex ? hex + strlen("f_handle:") : "", bytes, *ret);
}

/* In a mount namespace inside of the tree. */
static bool find_inside(const struct dump *d, const struct find_key *k, FhEntry *e)
{
	for (unsigned i = 0; d->spaces && i < d->spaces->len; i++) {
		const struct space *s = g_ptr_array_index(d->spaces, i);
		const struct place inside = {s->root, &s->mounts};

		if (s->kind != NS_MNT || !s->mounts.n)
			continue;
		e->path = search(&inside, k);
		if (e->path) {
			e->has_mnt_id = true;
			e->mnt_id = (uint32_t)s->mounts.v[0].id;
			return true;
		}
	}
	return false;
}

bool find_watched_name(struct dump *d, uint32_t sdev, uint64_t ino, FhEntry *e)
{
	struct find_key k = {.major = sdev >> 20, .minor = sdev & 0xfffff, .ino = ino};
	g_autofree struct file_handle *h = NULL;

	if (e->bytes) {
		h = g_malloc0(sizeof(*h) + e->bytes);
		h->handle_bytes = e->bytes;
		h->handle_type = (int)e->type;
		memcpy(h->f_handle, e->handle, e->bytes);
		k.handle = h;
	}
	return find_name(d, &k, &e->path) || find_inside(d, &k, e);
}
