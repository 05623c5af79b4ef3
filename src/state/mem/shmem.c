/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared anonymous memory (MAP_SHARED | MAP_ANONYMOUS): an object of the kernel's internal tmpfs
 * that lives as long as somebody maps it.  It is reached through map_files/; its number is the
 * inode's.  The pagemap's addresses are offsets in the object.
 */
#include "state/mem/mem.h"
#include "state/mem/sink.h"

#include "base/fd.h"
#include "base/interrupt.h"
#include "image/pages.h"
#include "state/fd/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_MAX (1u << 20)

#define STAND_IN "cryo-shared"

struct shmem_dump {
	int fd;
	uint64_t bytes;
	bool copy; /* FD is a copy of what is mapped */
};

bool shmem_is_stand_in(const struct vma *v)
{
	return v->deleted && strcmp(v->name, "/memfd:" STAND_IN) == 0;
}

static bool is_zero(const uint8_t *buf, size_t len)
{
	return buf[0] == 0 && memcmp(buf, buf + 1, len - 1) == 0;
}

/*
 * Within a user namespace map_files/ is for nobody (fs/proc/base.c: proc_map_files_get_link()):
 * what is mapped is read through the process, which is what anybody has of it.
 */
static int copy_mapping(struct shmem_dump *s, const struct dtask *t, const struct vma *v)
{
	autoclose int mem = openat(t->proc.dir, "mem", O_RDONLY | O_CLOEXEC);
	g_autofree uint8_t *buf = g_malloc(COPY_MAX);
	uint64_t end = v->offset + vma_len(v);

	s->copy = true;
	if (s->fd < 0)
		s->fd = memfd_create("cryo-copy", MFD_CLOEXEC);
	s->bytes = MAX(s->bytes, end);
	if (mem < 0 || s->fd < 0 || ftruncate(s->fd, (off_t)s->bytes) < 0)
		return err_errno("copy shared memory %" PRIu64, v->ino);
	for (uint64_t at = v->offset; at < end; at += COPY_MAX) {
		size_t n = MIN(end - at, COPY_MAX);
		off_t there = (off_t)(v->start + (at - v->offset));
		ssize_t got = pread(mem, buf, n, there);

		if (got <= 0) /* behind the end of the object */
			break;
		for (size_t i = 0; i < (size_t)got; i += IMAGE_PAGE_SIZE) {
			size_t len = MIN((size_t)got - i, IMAGE_PAGE_SIZE);
			int r = is_zero(buf + i, len)
					? 0
					: fd_pwrite_full(s->fd, buf + i, len, (off_t)(at + i));

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static void shmem_dump_free(void *p)
{
	struct shmem_dump *s = p;

	cleanup_close(&s->fd);
	g_free(s);
}

int shmem_dump_add(struct dump *d, struct dtask *t, const struct vma *v, uint64_t *ret_shmid)
{
	struct shmem_dump *s;
	struct stat st;
	int r;

	/* inodes of tmpfs and of hugetlbfs have numbers of their own */
	*ret_shmid = v->ino | (v->vmflags & VMF(HT) ? UINT64_C(1) << 32 : 0);
	if (!d->shmem)
		d->shmem =
			g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, shmem_dump_free);
	s = g_hash_table_lookup(d->shmem, ret_shmid);
	if (s)
		return s->copy ? copy_mapping(s, t, v) : 0;
	s = g_new0(struct shmem_dump, 1);
	s->fd = -1;
	g_hash_table_insert(d->shmem, g_memdup2(ret_shmid, sizeof(*ret_shmid)), s);
	r = vma_open(t->proc.dir, v, O_RDONLY | O_CLOEXEC, &s->fd);
	if (r == -EPERM) {
		err_clear();
		return copy_mapping(s, t, v);
	}
	if (r < 0)
		return r;
	if (fstat(s->fd, &st) < 0)
		return err_errno("size of shared memory %" PRIu64, v->ino);
	s->bytes = (uint64_t)st.st_size;
	return 0;
}

int shmem_dump_object(struct dump *d, uint64_t id, int fd_take, uint64_t bytes)
{
	struct shmem_dump *s = g_new0(struct shmem_dump, 1);

	s->fd = fd_take;
	s->bytes = ROUND_UP(bytes, IMAGE_PAGE_SIZE);
	if (!d->shmem)
		d->shmem =
			g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, shmem_dump_free);
	g_hash_table_replace(d->shmem, g_memdup2(&id, sizeof(id)), s);
	return 0;
}

/* The last page may reach beyond the end of the object. */
static int read_page_tail(int fd, uint8_t *buf, size_t len, off_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, buf + done, len - done, at + (off_t)done);

		if (n < 0)
			return err_errno("read");
		if (n == 0)
			break;
		done += (size_t)n;
	}
	memset(buf + done, 0, len - done);
	return 0;
}

static int put(struct page_sink *s, uint64_t at, size_t n, const uint8_t *buf)
{
	const struct page_piece p = {at, at + n, PE_PRESENT};

	return page_sink_put(s, &p, 1, buf);
}

static int dump_range(struct page_sink *s, int fd, uint64_t from, uint64_t to, uint8_t *buf)
{
	int r = 0;

	for (uint64_t at = from; r == 0 && at < to; at += COPY_MAX) {
		size_t n = MIN(to - at, COPY_MAX);

		r = interrupt_check();
		if (r == 0)
			r = read_page_tail(fd, buf, n, (off_t)at);
		if (r == 0)
			r = put(s, at, n, buf);
	}
	return r;
}

static void add_piece(GArray *pieces, uint64_t start, uint64_t end)
{
	const struct page_piece p = {start, end, PE_PRESENT};

	g_array_append_val(pieces, p);
}

/* hugetlbfs knows of no holes (it has no llseek() of its own): what is zero is as good as one. */
static int find_huge(int fd, uint64_t bytes, uint8_t *buf, GArray *pieces)
{
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < bytes; at += COPY_MAX) {
		size_t n = MIN(bytes - at, COPY_MAX);

		r = read_page_tail(fd, buf, n, (off_t)at);
		if (r == 0 && !is_zero(buf, n))
			add_piece(pieces, at, at + n);
	}
	return r;
}

static int find_data(int fd, uint64_t bytes, GArray *pieces)
{
	off_t at = 0, end;

	for (;;) {
		at = lseek(fd, at, SEEK_DATA);
		if (at < 0 && errno == ENXIO)
			return 0;
		end = at < 0 ? -1 : lseek(fd, at, SEEK_HOLE);
		if (end < 0)
			return err_errno("look for data");
		at = ROUND_DOWN(at, IMAGE_PAGE_SIZE);
		end = MIN((off_t)ROUND_UP((uint64_t)end, IMAGE_PAGE_SIZE), (off_t)bytes);
		add_piece(pieces, (uint64_t)at, (uint64_t)end);
		at = end;
	}
}

/*
 * What goes on afterwards stands still until this is written, which is soonest done without a
 * stream and its compression.
 */
static int open_sink(struct page_sink *sink, struct dump *d, uint64_t id, const GArray *pieces)
{
	uint64_t bytes = 0;

	if (!d->o.pages_stream || d->o.leave_running)
		return page_sink_open(sink, d, IMG_SHMEM_PAGEMAP, id);
	for (unsigned i = 0; i < pieces->len; i++)
		bytes += g_array_index(pieces, struct page_piece, i).end -
			 g_array_index(pieces, struct page_piece, i).start;
	return page_sink_open_stream(sink, d, IMG_SHMEM_PAGEMAP, id, bytes);
}

static int dump_one(struct dump *d, uint64_t id, const struct shmem_dump *s)
{
	CLEANUP(page_sink_drop) struct page_sink sink = PAGE_SINK_NONE;
	g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(struct page_piece));
	g_autofree uint8_t *room = g_malloc(COPY_MAX + IMAGE_PAGE_SIZE);
	uint8_t *buf = (uint8_t *)ROUND_UP((uintptr_t)room, IMAGE_PAGE_SIZE);
	uint32_t huge = 0;
	int r = hugetlb_fd_flags(s->fd, &huge);

	d->stats.shpages_scanned += ROUND_UP(s->bytes, IMAGE_PAGE_SIZE) / IMAGE_PAGE_SIZE;
	if (r == 0)
		r = huge ? find_huge(s->fd, s->bytes, buf, pieces)
			 : find_data(s->fd, s->bytes, pieces);
	if (r == 0)
		r = open_sink(&sink, d, id, pieces);
	for (unsigned i = 0; r == 0 && i < pieces->len; i++) {
		const struct page_piece *p = &g_array_index(pieces, struct page_piece, i);

		r = dump_range(&sink, s->fd, p->start, p->end, buf);
	}
	return r < 0 ? r : page_sink_close(&sink);
}

int shmem_dump_pages(struct dump *d)
{
	GHashTableIter it;
	uint64_t *id;
	struct shmem_dump *s;
	int r;

	if (!d->shmem)
		return 0;
	g_hash_table_iter_init(&it, d->shmem);
	while (g_hash_table_iter_next(&it, (void **)&id, (void **)&s)) {
		r = dump_one(d, *id, s);
		if (r < 0)
			return err_wrap(r, "shared memory %" PRIu64, *id);
	}
	return 0;
}

struct shmem_restore {
	int fd;
	uint64_t bytes; /* as far as anybody maps it */
	uint32_t huge;	/* MAP_HUGETLB and the size, or 0 */
	struct page_set pages;
};

static void shmem_restore_free(void *p)
{
	struct shmem_restore *s = p;

	cleanup_close(&s->fd);
	page_set_clear(&s->pages);
	g_free(s);
}

/* How large each object has to be: the last byte that is mapped or has content. */
static int find_all(struct restore *r)
{
	r->shmem = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, shmem_restore_free);
	for (unsigned i = 0; i < r->nimages; i++) {
		const MmEntry *m = restore_task(r, i)->mm;

		for (size_t k = 0; m && k < m->n_vmas; k++) {
			const VmaEntry *v = m->vmas[k];
			struct shmem_restore *s;

			if (!(v->status & VMA_STATUS_ANON_SHARED) || v->status & VMA_STATUS_SYSVIPC)
				continue;
			s = g_hash_table_lookup(r->shmem, &v->shmid);
			if (!s) {
				s = g_new0(struct shmem_restore, 1);
				s->fd = -1;
				g_hash_table_insert(r->shmem,
						    g_memdup2(&v->shmid, sizeof(v->shmid)), s);
			}
			s->bytes = MAX(s->bytes, v->pgoff + (v->end - v->start));
			s->huge = v->flags & (MAP_HUGETLB | HUGETLB_BITS);
		}
	}
	return 0;
}

/* The same as far as programs see; /proc/PID/maps has another name for it. */
static int make_stand_in(struct shmem_restore *s)
{
	s->fd = memfd_create(STAND_IN, MFD_CLOEXEC | (s->huge ? MFD_HUGETLB | s->huge : 0));
	return s->fd < 0 || ftruncate(s->fd, (off_t)s->bytes) < 0
		       ? err_errno("shared memory of %" PRIu64 " bytes", s->bytes)
		       : 0;
}

/* The only way to such an object is to map it; map_files/ then gives a descriptor of it. */
static int make_object(struct shmem_restore *s)
{
	int reserve = s->huge ? (int)s->huge : MAP_NORESERVE;
	char path[80];
	void *p;
	int r;

	if (s->huge)
		s->bytes = ROUND_UP(s->bytes, hugetlb_page_bytes(s->huge));
	p = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | reserve, -1,
		 0);
	if (p == MAP_FAILED)
		return hugetlb_wrap(err_errno("shared memory of %" PRIu64 " bytes", s->bytes));
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)p,
		 (unsigned long)p + s->bytes);
	s->fd = open(path, O_RDWR | O_CLOEXEC);
	r = s->fd < 0 ? err_errno("open %s", path) : 0;
	munmap(p, s->bytes);
	if (r != -EPERM)
		return r;
	err_clear();
	return make_stand_in(s);
}

int shmem_new(uint64_t bytes, int *ret_fd)
{
	struct shmem_restore s = {.fd = -1, .bytes = ROUND_UP(MAX(bytes, 1), IMAGE_PAGE_SIZE)};
	int r = make_object(&s);

	*ret_fd = s.fd;
	return r;
}

/* By the root's agent, so that its cgroup pays for the memory. */
static int fill(struct restore *r, const struct shmem_restore *s)
{
	CLEANUP(batch_end) struct batch b = {0};
	int fds[2] = {s->fd, -1}, got[2], map, ret;

	rtask_batch(restore_task(r, 0), &b);
	batch_recv_fds(&b, fds, 1, got);
	ret = batch_run(&b);
	if (ret < 0)
		return ret;
	map = batch_add(&b, SYS_mmap, IMM(0), IMM(s->bytes), IMM(PROT_READ | PROT_WRITE),
			IMM(MAP_SHARED), IMM(got[0]), IMM(0));
	batch_add(&b, SYS_close, IMM(got[0]));
	ret = batch_run(&b);
	for (unsigned f = 0; ret == 0 && f < s->pages.nfds; f++) {
		int tfd;

		batch_recv_fds(&b, &s->pages.fds[f], 1, &tfd);
		ret = batch_run(&b);
		for (unsigned i = 0; ret == 0 && i < s->pages.n; i++) {
			const struct image_run *run = &s->pages.runs[i];
			uint64_t len = run->nr_pages * IMAGE_PAGE_SIZE;

			if (run->fd != s->pages.fds[f])
				continue;
			batch_expect(&b,
				     batch_add(&b, SYS_pread64, IMM(tfd),
					       IMM((uint64_t)batch_result(&b, map) + run->vaddr),
					       IMM(len), IMM(run->offset)),
				     (int64_t)len);
		}
		batch_add(&b, SYS_close, IMM(tfd));
		if (ret == 0)
			ret = batch_run(&b);
	}
	batch_add(&b, SYS_munmap, RES(map), IMM(s->bytes));
	return ret < 0 ? ret : batch_run(&b);
}

int shmem_fill_object(struct restore *r, uint64_t id, int fd, uint64_t bytes)
{
	struct shmem_restore s = {.fd = fd, .bytes = bytes};
	int ret = pages_open(r->o.images, IMG_SHMEM_PAGEMAP, id, &s.pages);

	if (ret == 0 && s.pages.n) {
		const struct image_run *last = &s.pages.runs[s.pages.n - 1];

		if (last->vaddr + last->nr_pages * IMAGE_PAGE_SIZE >
		    ROUND_UP(bytes, IMAGE_PAGE_SIZE))
			ret = err_set(EBADMSG, "pages of object %" PRIu64 " are beyond its end",
				      id);
	}
	if (ret == 0 && s.pages.n)
		ret = fill(r, &s);
	r->stats.pages_restored += s.pages.nr_pages;
	page_set_clear(&s.pages);
	return ret < 0 ? ret : 0;
}

int shmem_make(struct restore *r)
{
	GHashTableIter it;
	uint64_t *id;
	struct shmem_restore *s;
	int ret = find_all(r);

	g_hash_table_iter_init(&it, r->shmem);
	while (ret == 0 && g_hash_table_iter_next(&it, (void **)&id, (void **)&s)) {
		ret = memfd_shared(r, *id, &s->fd);
		if (ret == 0)
			continue;
		if (ret == 1)
			ret = pages_open(r->o.images, IMG_SHMEM_PAGEMAP, *id, &s->pages);
		if (ret < 0)
			break;
		if (s->pages.n) {
			const struct image_run *last = &s->pages.runs[s->pages.n - 1];

			s->bytes = MAX(s->bytes, last->vaddr + last->nr_pages * IMAGE_PAGE_SIZE);
		}
		r->stats.pages_restored += s->pages.nr_pages;
		ret = make_object(s);
		if (ret == 0 && s->pages.n)
			ret = fill(r, s);
		if (ret < 0)
			return err_wrap(ret, "shared memory %" PRIu64, *id);
	}
	return ret < 0 ? ret : 0;
}

int shmem_fd(struct restore *r, uint64_t shmid, int *ret_fd)
{
	struct shmem_restore *s = g_hash_table_lookup(r->shmem, &shmid);

	if (!s)
		return err_set(EBADMSG, "shared memory %" PRIu64 " is not known", shmid);
	*ret_fd = s->fd;
	return 0;
}

void shmem_close(struct restore *r)
{
	g_clear_pointer(&r->shmem, g_hash_table_unref);
}
