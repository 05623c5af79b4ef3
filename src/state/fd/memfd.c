/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memfd_create(2): files without a directory; and shared anonymous memory that has a descriptor or
 * a private mapping, as whoever may opens it in /proc/PID/map_files.  The object (name, content,
 * seals) is recorded once in memfd.img, its pages as those of shared memory; descriptions and
 * mappings refer to it.  Seals come last, as some forbid what is done before.
 */
#include "state/fd/files.h"
#include "state/fd/kind.h"
#include "state/mem/mem.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#define PREFIX	"/memfd:"
#define DELETED " (deleted)"
#define NO_FILE "/dev/zero" /* shared anonymous memory (mm/shmem.c: shmem_zero_setup()) */

static bool is_memfd(const char *link)
{
	return g_str_has_prefix(link, PREFIX) && g_str_has_suffix(link, DELETED);
}

/* The file system that all memory is on that has no file; 0: nobody knows. */
static dev_t memory_dev(void)
{
	static dev_t dev;
	autoclose int fd = dev ? -1 : memfd_create("cryo-where", MFD_CLOEXEC);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0)
		dev = st.st_dev;
	return dev;
}

static bool is_no_file(const char *link)
{
	return strcmp(link, NO_FILE DELETED) == 0;
}

static bool match(const struct dump *d, const struct fd_view *v)
{
	/* nobody has the kernel's own mount in a namespace: a real file of that name is on another
	 */
	return (is_memfd(v->link) || (is_no_file(v->link) && v->st.st_dev == memory_dev())) &&
	       v->st.st_nlink == 0 && !spaces_mount(d, v->info.mnt_id);
}

bool memfd_is_map(const struct vma *v)
{
	if (!v->deleted)
		return false;
	return g_str_has_prefix(v->name, PREFIX)
		       ? !shmem_is_stand_in(v)
		       : !v->shared && strcmp(v->name, NO_FILE) == 0 &&
				 makedev(v->major, v->minor) == memory_dev();
}

static int check(struct dump *d, const struct fd_view *v)
{
	return fown_check(v);
}

/* One number for all inodes: those of tmpfs, and with the highest bit those of hugetlbfs. */
static uint32_t number_of(const struct stat *st)
{
	return (uint32_t)st->st_ino ^ (st->st_blksize > 4096 ? UINT32_C(1) << 31 : 0);
}

static int dump_object(struct dump *d, const char *link, const struct stat *st, const char *reopen)
{
	MemfdInodeEntry e = MEMFD_INODE_ENTRY__INIT;
	g_autofree char *name = NULL;
	autoclose int fd = -1;
	uint32_t huge;
	int r, seals;

	if (!dump_once(d, "memfd", number_of(st)))
		return 0;
	if (st->st_ino > UINT32_MAX)
		return err_set(EOVERFLOW, "%s has number %lu", link, (unsigned long)st->st_ino);
	fd = open(reopen, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno("open %s", reopen);
	r = hugetlb_fd_flags(fd, &huge);
	if (r < 0)
		return r;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0)
		return err_errno("seals of %s", link);
	name = g_strndup(link, strlen(link) - strlen(DELETED));
	if (is_no_file(link))
		seals = 0; /* it is born with F_SEAL_SEAL */
	else
		memmove(name, name + strlen(PREFIX), strlen(name) - strlen(PREFIX) + 1);
	e.name = name;
	e.uid = users_uid(d, st->st_uid);
	e.gid = users_gid(d, st->st_gid);
	e.size = (uint64_t)st->st_size;
	e.shmid = number_of(st);
	e.inode_id = number_of(st);
	e.has_hugetlb_flag = huge != 0;
	e.hugetlb_flag = huge ? huge | MFD_HUGETLB : 0;
	e.seals = (uint32_t)seals;
	e.has_mode = true;
	e.mode = st->st_mode & 07777;
	r = image_write(&d->w, IMG_MEMFD_INODE, 0, &e.base);
	return r < 0 ? r : shmem_dump_object(d, e.shmid, take_fd(&fd), e.size);
}

static MemfdFileEntry *entry_new(uint32_t id, const struct stat *st, unsigned flags, uint64_t pos)
{
	MemfdFileEntry *e = g_new0(MemfdFileEntry, 1);

	memfd_file_entry__init(e);
	e->id = id;
	e->flags = flags;
	e->pos = pos;
	e->inode_id = number_of(st);
	return e;
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	char reopen[64];
	int r;

	f->memfd = entry_new(f->id, &v->st, v->info.flags & ~(unsigned)O_CLOEXEC, v->info.pos);
	r = fown_dump(v, &f->memfd->fown);
	if (r < 0)
		return r;
	fd_view_path(v, reopen);
	return dump_object(d, v->link, &v->st, reopen);
}

int memfd_dump_map(struct dump *d, const struct path_view *v, uint32_t *ret_id)
{
	FileEntry f = FILE_ENTRY__INIT;
	int r;

	if (files_known(d, v, ret_id))
		return 0;
	r = dump_object(d, v->link, &v->st, v->reopen);
	if (r < 0)
		return r;
	f.id = files_new_id(d);
	f.type = FD_TYPES__MEMFD;
	f.memfd = entry_new(f.id, &v->st, v->flags, 0);
	f.memfd->fown = fown_none();
	r = image_write(&d->w, IMG_FILES, 0, &f.base);
	memfd_file_entry__free_unpacked(f.memfd, NULL);
	files_remember(d, v, f.id);
	*ret_id = f.id;
	return r;
}

static int load(struct restore *r, struct file *f)
{
	return f->entry->memfd ? 0 : 1;
}

struct memfd {
	MemfdInodeEntry *entry;
	int fd; /* ours, writable: see reopen() */
	bool inherited;
	bool given; /* a descriptor of the tree's has its description */
};

static void memfd_free(void *p)
{
	struct memfd *m = p;

	cleanup_close(&m->fd);
	memfd_inode_entry__free_unpacked(m->entry, NULL);
	g_free(m);
}

/* --inherit-fd fd[N]:/memfd:NAME: that one with what is in it, for all who had this one. */
static bool inherit(const struct restore *r, struct memfd *m)
{
	g_autofree char *key = g_strconcat("/memfd:", m->entry->name, NULL);
	int fd = restore_inherited(r, key);

	if (fd < 0)
		fd = restore_inherited(r, key + 1);
	m->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	m->inherited = m->fd >= 0;
	return m->inherited;
}

static int make(struct restore *r, struct memfd *m)
{
	const MemfdInodeEntry *e = m->entry;
	int ret;

	if (inherit(r, m))
		return 0;
	if (strcmp(e->name, NO_FILE) == 0 && !e->seals && !e->hugetlb_flag) {
		ret = shmem_new(e->size, &m->fd);
		if (ret < 0)
			return ret;
	} else {
		m->fd = memfd_create(e->name,
				     MFD_CLOEXEC | MFD_ALLOW_SEALING |
					     (e->hugetlb_flag & (MFD_HUGETLB | HUGETLB_BITS)));
	}
	if (m->fd < 0)
		return err_errno("memfd_create");
	if (e->size > INT64_MAX || ftruncate(m->fd, (off_t)e->size) < 0)
		return err_errno("size %" PRIu64, e->size);
	ret = e->size ? shmem_fill_object(r, e->shmid, m->fd, e->size) : 0;
	if (ret < 0)
		return ret;
	if (fchown(m->fd, users_outer_uid(r, e->uid), users_outer_gid(r, e->gid)) < 0 ||
	    (e->has_mode && fchmod(m->fd, e->mode & 07777) < 0))
		return err_errno("owner and mode");
	return 0;
}

static int make_all(struct restore *r)
{
	CLEANUP(image_close) struct image *img = NULL;
	int ret = image_open(r->o.images, IMG_MEMFD_INODE, 0, &img);

	r->memfds = g_hash_table_new_full(NULL, NULL, NULL, memfd_free);
	while (ret == 0) {
		MemfdInodeEntry *e = NULL;
		struct memfd *m;

		ret = image_read(img, &e);
		if (ret != 0)
			break;
		m = g_new0(struct memfd, 1);
		m->entry = e;
		m->fd = -1;
		g_hash_table_replace(r->memfds, GUINT_TO_POINTER((uint32_t)e->inode_id), m);
		ret = e->hugetlb_flag ? hugetlb_wrap(make(r, m)) : make(r, m);
		if (ret < 0)
			return err_wrap(ret, "memfd \"%s\"", e->name);
	}
	return ret < 0 ? ret : 0;
}

int memfd_shared(struct restore *r, uint64_t shmid, int *ret_fd)
{
	int ret = r->memfds ? 0 : make_all(r);
	GHashTableIter it;
	struct memfd *m;

	if (ret < 0)
		return ret;
	g_hash_table_iter_init(&it, r->memfds);
	while (g_hash_table_iter_next(&it, NULL, (void **)&m)) {
		if (m->entry->shmid != shmid)
			continue;
		*ret_fd = fcntl(m->fd, F_DUPFD_CLOEXEC, 3);
		return *ret_fd < 0 ? err_errno("dup") : 0;
	}
	return 1;
}

static int find(struct restore *r, const MemfdFileEntry *e, struct memfd **m)
{
	int ret = r->memfds ? 0 : make_all(r);

	if (ret < 0)
		return ret;
	*m = g_hash_table_lookup(r->memfds, GUINT_TO_POINTER(e->inode_id));
	return *m ? 0 : err_set(EBADMSG, "memfd %u is not in memfd.img", e->inode_id);
}

/*
 * What memfd_create(2) returns can be written to, but counts as no writer (alloc_file()), so that
 * the file can be executed.  What open(2) returns counts (do_dentry_open()), and so does a mapping
 * of it: execve(2) is told ETXTBSY.
 */
static int reopen(const struct memfd *m, unsigned flags, bool ours, int *ret_fd)
{
	const int status = (int)(flags & (O_APPEND | O_NONBLOCK));
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", m->fd);
	if (ours)
		*ret_fd = fcntl(m->fd, F_DUPFD_CLOEXEC, 3);
	else
		*ret_fd = open(path, (int)(flags & O_ACCMODE) | status | O_CLOEXEC);
	if (*ret_fd < 0 || (ours && status && fcntl(*ret_fd, F_SETFL, status) < 0))
		return err_errno("memfd \"%s\"", m->entry->name);
	return 0;
}

static bool is_original(const struct memfd *m, unsigned flags)
{
	return (flags & O_ACCMODE) == O_RDWR && !m->inherited;
}

int memfd_open_map(struct restore *r, const MemfdFileEntry *e, unsigned flags, int *ret_fd)
{
	struct memfd *m;
	int ret = find(r, e, &m);

	return ret < 0 ? ret : reopen(m, flags & O_ACCMODE, is_original(m, flags), ret_fd);
}

static int open_(struct restore *r, struct file *f)
{
	const MemfdFileEntry *e = f->entry->memfd;
	struct memfd *m;
	int ret = find(r, e, &m);
	bool ours = ret == 0 && f->has_fd && is_original(m, e->flags) && !m->given;

	if (ret == 0)
		ret = reopen(m, e->flags, ours, &f->fd);
	if (ret < 0)
		return ret;
	m->given |= ours;
	if ((ours || e->pos > 0) && lseek(f->fd, (off_t)e->pos, SEEK_SET) < 0)
		return err_errno("memfd %u: position %" PRIu64, e->inode_id, e->pos);
	return fown_restore(r, f, e->fown, e->flags);
}

int memfd_seal(struct restore *r)
{
	GHashTableIter it;
	struct memfd *m;

	if (!r->memfds)
		return 0;
	g_hash_table_iter_init(&it, r->memfds);
	while (g_hash_table_iter_next(&it, NULL, (void **)&m))
		if (!m->inherited && m->entry->seals &&
		    fcntl(m->fd, F_ADD_SEALS, (int)m->entry->seals) < 0)
			return err_errno("memfd \"%s\": seals %#x", m->entry->name,
					 m->entry->seals);
	return 0;
}

const struct fd_kind fd_memfd = {
	.name = "memfd",
	.type = FD_TYPES__MEMFD,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
};
