/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V shared memory: shmget(2).  The content follows each record of ipcns-shm.img, with holes
 * where the segment has them.  While tasks attach them segments belong to root; owner, mode and
 * removal come at the end.
 */
#include "state/ns/ipc.h"

#include "base/fd.h"
#include "image/ipc-shm.pb-c.h"
#include "state/mem/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#define PAGE	 4096u
#define COPY_MAX (1u << 20)

#ifndef SHM_DEST
#define SHM_DEST 01000
#endif
#ifndef SHM_LOCKED
#define SHM_LOCKED 02000 /* shmctl(SHM_LOCK) */
#endif

struct shm {		   /* at restore */
	uint32_t ns;	   /* number of its namespace */
	uint64_t bytes;	   /* of whole pages */
	IpcDescEntry desc; /* numbers only */
};

static const uint64_t page_sizes[] = {PAGE, UINT64_C(2) << 20, UINT64_C(1) << 30};

/* The segment's file, by which holes are seen: attached here for a moment. */
static int open_segment(int id, uint64_t bytes, int flags, int *ret)
{
	void *p = shmat(id, NULL, flags == O_RDONLY ? SHM_RDONLY : 0);
	int r = 0;

	if (p == (void *)-1)
		return err_errno("attach");
	*ret = -1;
	for (unsigned i = 0; *ret < 0 && i < ARRAY_SIZE(page_sizes); i++) {
		uint64_t len = ROUND_UP(bytes, page_sizes[i]);
		char path[80];

		snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)p,
			 (unsigned long)p + (unsigned long)len);
		*ret = open(path, flags | O_CLOEXEC);
		r = *ret < 0 ? err_errno("open %s", path) : 0;
	}
	shmdt(p);
	return r;
}

static bool is_zero(const uint8_t *buf, size_t len)
{
	return buf[0] == 0 && memcmp(buf, buf + 1, len - 1) == 0;
}

static int copy(int from, int to, off_t at, off_t end, off_t place)
{
	g_autofree uint8_t *buf = g_malloc(COPY_MAX);
	int r = 0;

	while (r == 0 && at < end) {
		size_t n = MIN((size_t)(end - at), COPY_MAX);

		r = fd_pread_full(from, buf, n, at);
		if (r == 0 && !is_zero(buf, n)) /* hugetlbfs does not show its holes */
			r = fd_pwrite_full(to, buf, n, place + at);
		at += (off_t)n;
	}
	return r;
}

static int dump_content(struct dump *d, int from, uint64_t bytes)
{
	autoclose int to = -1;
	off_t at = 0, end, place;
	int r = image_write_fd(&d->w, IMG_IPCNS_SHM, d->ipc_id, &to);

	if (r < 0)
		return r;
	place = lseek(to, 0, SEEK_END);
	if (place < 0 || ftruncate(to, place + (off_t)ROUND_UP(bytes, 4)) < 0)
		return err_errno("make room for %" PRIu64 " bytes", bytes);
	while (r == 0) {
		at = lseek(from, at, SEEK_DATA);
		if (at < 0 || at >= (off_t)bytes)
			break;
		end = lseek(from, at, SEEK_HOLE);
		if (end < 0)
			return err_errno("look for holes");
		end = MIN(end, (off_t)bytes);
		r = copy(from, to, at, end, place);
		at = end;
	}
	return r;
}

static int dump_segment(struct dump *d, int id)
{
	IpcShmEntry e = IPC_SHM_ENTRY__INIT;
	IpcDescEntry desc;
	autoclose int fd = -1;
	struct shmid_ds s;
	uint32_t huge;
	int r;

	if (shmctl(id, IPC_STAT, &s) < 0)
		return err_errno("look at it");
	ipc_desc_fill(&desc, id, &s.shm_perm);
	e.desc = &desc;
	e.size = s.shm_segsz;
	e.has_in_pagemaps = true;
	r = open_segment(id, s.shm_segsz, O_RDONLY, &fd);
	if (r == 0)
		r = hugetlb_fd_flags(fd, &huge);
	if (r < 0)
		return r;
	e.has_hugetlb_flag = huge != 0;
	e.hugetlb_flag = huge ? huge | SHM_HUGETLB : 0;
	r = image_write(&d->w, IMG_IPCNS_SHM, d->ipc_id, &e.base);
	return r < 0 ? r : dump_content(d, fd, s.shm_segsz);
}

int ipc_shm_dump(struct dump *d)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(int));
	int r = ipc_ids("shm", ids);

	for (unsigned i = 0; r == 0 && i < ids->len; i++) {
		int id = g_array_index(ids, int, i);

		r = dump_segment(d, id);
		if (r < 0)
			r = err_wrap(r, "shm %d", id);
	}
	return r;
}

/* Each namespace counts for itself. */
static void *key_of(uint32_t ns, uint32_t id)
{
	return GSIZE_TO_POINTER((gsize)ns << 32 | id);
}

static int make_segment(key_t key, int flags, const void *arg)
{
	const IpcShmEntry *e = arg;

	return shmget(key, e->size, flags | (int)(e->hugetlb_flag & (SHM_HUGETLB | HUGETLB_BITS)));
}

struct filling {
	struct batch b;
	const struct image *img;
	int tfd;	      /* of the image, there */
	uint64_t map;	      /* the segment, there */
	uint64_t place, size; /* its content in the image */
};

/* What is not zero of FROM..END of the content: images that have been moved may have no holes left.
 */
static int fill_range(struct filling *f, uint64_t from, uint64_t end, uint8_t *buf)
{
	uint64_t n = end - from, start;
	int r = fd_pread_full(f->img->fd, buf, n, (off_t)(f->place + from));

	for (uint64_t at = 0; r == 0 && at < n;) {
		while (at < n && is_zero(buf + at, MIN(PAGE, n - at)))
			at += PAGE;
		for (start = at; at < n && !is_zero(buf + at, MIN(PAGE, n - at));)
			at += PAGE;
		if (start >= n)
			break;
		batch_expect(&f->b,
			     batch_add(&f->b, SYS_pread64, IMM(f->tfd), IMM(f->map + from + start),
				       IMM(MIN(at, n) - start), IMM(f->place + from + start)),
			     (int64_t)(MIN(at, n) - start));
	}
	return r < 0 ? r : batch_run(&f->b);
}

static int fill_all(struct filling *f)
{
	g_autofree uint8_t *buf = g_malloc(COPY_MAX);
	off_t at = (off_t)f->place, hole = 0;
	int r = 0;

	for (uint64_t from = 0, end; r == 0 && from < f->size; from = end) {
		end = MIN(from + COPY_MAX, f->size);
		if ((off_t)(f->place + from) >= hole) {
			at = lseek(f->img->fd, (off_t)(f->place + from), SEEK_DATA);
			hole = at < 0 ? -1 : lseek(f->img->fd, at, SEEK_HOLE);
		}
		if (at < 0 || at >= (off_t)(f->place + f->size))
			break;
		if (hole < 0)
			return err_errno("look for holes in %s", f->img->name);
		if (at < (off_t)(f->place + end))
			r = fill_range(f, from, end, buf);
	}
	return r;
}

/* By the root's agent, so that its cgroup pays for the memory. */
static int fill(struct restore *r, int fd, const struct image *img, uint64_t place, uint64_t bytes,
		uint64_t len)
{
	struct filling f = {.img = img, .place = place, .size = bytes};
	int fds[2] = {fd, img->fd}, got[2], map, ret;

	rtask_batch(restore_task(r, 0), &f.b);
	batch_recv_fds(&f.b, fds, 2, got);
	ret = batch_run(&f.b);
	if (ret == 0) {
		map = batch_add(&f.b, SYS_mmap, IMM(0), IMM(len), IMM(PROT_READ | PROT_WRITE),
				IMM(MAP_SHARED), IMM(got[0]), IMM(0));
		ret = batch_run(&f.b);
	}
	if (ret == 0) {
		f.map = (uint64_t)batch_result(&f.b, map);
		f.tfd = got[1];
		ret = fill_all(&f);
		batch_add(&f.b, SYS_munmap, IMM(f.map), IMM(len));
		batch_add(&f.b, SYS_close, IMM(got[0]));
		batch_add(&f.b, SYS_close, IMM(got[1]));
	}
	if (ret == 0)
		ret = batch_run(&f.b);
	batch_end(&f.b);
	return ret;
}

static int restore_segment(struct restore *r, struct image *img, const IpcShmEntry *e)
{
	struct shm *s = g_new0(struct shm, 1);
	IpcDescEntry first = *e->desc;
	autoclose int fd = -1;
	uint64_t place;
	int ret = ipc_desc_check(e->desc);

	s->bytes = ROUND_UP(e->size, e->hugetlb_flag ? hugetlb_page_bytes(e->hugetlb_flag) : PAGE);
	s->desc = *e->desc;
	s->ns = r->ipc_id;
	g_hash_table_insert(r->shms, key_of(r->ipc_id, e->desc->id), s);
	if (ret == 0 && e->size == 0)
		ret = err_set(EBADMSG, "it is empty");
	if (ret == 0 && e->has_in_pagemaps && e->in_pagemaps)
		return err_set(EOPNOTSUPP, "its content is kept in another way, as CRIU does");
	if (ret == 0)
		ret = image_skip_raw(img, ROUND_UP(e->size, 4), &place);
	if (ret < 0)
		return ret;
	first.mode = 0600;
	first.cuid = s->desc.cuid;
	ret = ipc_create("shm", &first, make_segment, e);
	if (e->hugetlb_flag)
		ret = hugetlb_wrap(ret);
	if (ret == 0)
		ret = open_segment((int)e->desc->id, e->size, O_RDWR, &fd);
	return ret < 0 ? ret : fill(r, fd, img, place, e->size, s->bytes);
}

int ipc_shm_restore(struct restore *r)
{
	CLEANUP(image_close) struct image *img = NULL;
	CLEANUP(image_record_free) IpcShmEntry *e = NULL;
	int ret = image_open(r->o.images, IMG_IPCNS_SHM, r->ipc_id, &img);

	if (!r->shms)
		r->shms = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	while (ret == 0 && (ret = image_read(img, &e)) == 0) {
		struct shmid_ds all = {.shm_perm = {.mode = 0600}};

		ret = restore_segment(r, img, e);
		if (ret == 0 && shmctl((int)e->desc->id, IPC_SET, &all) < 0)
			ret = err_errno("give it to root");
		if (ret < 0)
			return err_wrap(ret, "shm %u", e->desc->id);
	}
	return ret < 0 ? ret : 0;
}

int ipc_shm_end(struct restore *r)
{
	GHashTableIter it;
	const struct shm *s;

	g_hash_table_iter_init(&it, r->shms);
	while (g_hash_table_iter_next(&it, NULL, (void **)&s)) {
		struct shmid_ds d = {0};

		if (s->ns != r->ipc_id)
			continue;
		ipc_perm_of(&s->desc, &d.shm_perm);
		if (shmctl((int)s->desc.id, IPC_SET, &d) < 0)
			return err_errno("shm %u: owner", s->desc.id);
		if (s->desc.mode & SHM_LOCKED && shmctl((int)s->desc.id, SHM_LOCK, NULL) < 0)
			return err_errno("shm %u: lock", s->desc.id);
		if (s->desc.mode & SHM_DEST && shmctl((int)s->desc.id, IPC_RMID, NULL) < 0)
			return err_errno("shm %u: remove", s->desc.id);
	}
	return 0;
}

int ipc_shm_bytes(struct restore *r, uint32_t ns, uint64_t id, uint64_t *ret)
{
	const struct shm *s = r->shms && id <= INT32_MAX
				      ? g_hash_table_lookup(r->shms, key_of(ns, (uint32_t)id))
				      : NULL;

	if (!s)
		return err_set(EBADMSG, "segment %" PRIu64 " is not in ipcns-shm-%d.img", id, ns);
	*ret = s->bytes;
	return 0;
}
